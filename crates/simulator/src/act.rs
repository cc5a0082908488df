//! Actions of customers, and when and how often Meta delivers their webhooks.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Core;
use crate::webhook;
use crate::world::action::Action;
use crate::world::thread::ThreadKey;

/// An action, and how Meta delivers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// The professional account.
    pub account: String,
    /// The customer (IGSID).
    pub user: String,
    /// The action.
    pub action: Action,
    /// How many more times the same bytes are delivered.
    #[serde(default)]
    pub duplicate: u32,
    /// Delay of the webhook in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// When it happened, in milliseconds; now if absent.
    #[serde(default)]
    pub timestamp: Option<i64>,
    /// No webhook is sent: only the Conversations API shows it.
    #[serde(default)]
    pub withhold: bool,
}

impl Act {
    /// Done now, delivered at once, and once.
    pub fn new(account: &str, user: &str, action: Action) -> Self {
        Self {
            account: account.to_owned(),
            user: user.to_owned(),
            action,
            duplicate: 0,
            delay_ms: 0,
            timestamp: None,
            withhold: false,
        }
    }

    /// Delivers the same bytes `times` more times.
    #[must_use]
    pub fn duplicate(self, times: u32) -> Self {
        Self { duplicate: times, ..self }
    }

    /// Happened at another time.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// No webhook is sent.
    #[must_use]
    pub fn withheld(self) -> Self {
        Self { withhold: true, ..self }
    }
}

/// Many texts at once, for load runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// The messages.
    pub messages: Vec<BatchMessage>,
    /// Updates per POST.
    #[serde(default = "one")]
    pub updates_per_post: usize,
}

/// One text of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchMessage {
    /// The professional account.
    pub account: String,
    /// The customer (IGSID).
    pub user: String,
    /// The text.
    pub text: String,
}

fn one() -> usize {
    1
}

/// Performs the action, and delivers its webhook.
pub(crate) fn act(core: &Arc<Core>, act: Act) -> Option<String> {
    let at = act.timestamp.unwrap_or_else(|| core.clock.now_ms());
    let acted = core.change(|world| world.act(&ThreadKey::new(&act.account, &act.user), act.action, at));
    if act.withhold {
        return acted.id;
    }
    let (update, duplicate) = (acted.update, act.duplicate);
    if act.delay_ms == 0 {
        webhook::dispatch(core, vec![update], 1, duplicate);
    } else {
        let shared = Arc::clone(core);
        core.spawn(async move {
            tokio::time::sleep(Duration::from_millis(act.delay_ms)).await;
            webhook::dispatch(&shared, vec![update], 1, duplicate);
        });
    }
    acted.id
}

/// Sends all texts, and delivers them in as few POSTs as requested.
pub(crate) fn say_all(core: &Arc<Core>, batch: Batch) -> Vec<String> {
    let now = core.clock.now_ms();
    let (mut mids, mut updates) = (Vec::new(), Vec::new());
    for message in batch.messages {
        let key = ThreadKey::new(&message.account, &message.user);
        let acted = core.change(|world| world.act(&key, Action::text(message.text), now));
        mids.extend(acted.id);
        updates.push(acted.update);
    }
    webhook::dispatch(core, updates, batch.updates_per_post, 0);
    mids
}
