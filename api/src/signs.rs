//! What webhooks tell about the accounts they are for, beyond their messages: counted in memory, and written down every few
//! seconds, so that no webhook waits for it.

use dmrelay_domain::event::{self, Content, Event, Kind};
use dmrelay_domain::states::AccountSign;
use dmrelay_store::{SeenSign, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often what was seen is written down.
const INTERVAL: Duration = Duration::from_secs(5);

/// What was seen of accounts: how often, and more about the last one.
#[derive(Default)]
pub(crate) struct SeenSigns(HashMap<(String, AccountSign), (i64, Option<String>)>);

/// What was seen and is not written down yet; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Signs {
    seen: Arc<Mutex<SeenSigns>>,
}

impl SeenSigns {
    /// Takes note of an event. `is_spoken_for` is whether the signer of its webhook may speak for its account.
    pub(crate) fn note(&mut self, event: &Event, is_spoken_for: bool) {
        if let Some((sign, detail)) = sign_of(event, is_spoken_for) {
            let known = self.0.entry((event.account.clone(), sign)).or_default();
            *known = (known.0 + 1, detail);
        }
    }
}

impl SeenSigns {
    /// Takes note that an event of this account is taken in later.
    pub(crate) fn note_deferred(&mut self, account: &str) {
        let known = self.0.entry((account.to_owned(), AccountSign::EventsOverBudget)).or_default();
        known.0 += 1;
    }
}

impl Signs {
    /// Adds what a webhook has shown.
    pub(crate) fn add(&self, new: SeenSigns) {
        if new.0.is_empty() {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, (count, detail)) in new.0 {
            let known = seen.0.entry(key).or_default();
            *known = (known.0 + count, detail);
        }
    }

    /// Writes down what is seen, until `shutdown` and once more then.
    pub(crate) async fn keep_written(self, store: Store, shutdown: CancellationToken) {
        loop {
            let stops = shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none();
            let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
            let rows = seen.0.iter().map(|((account, sign), (count, detail))| SeenSign {
                account: account.clone(),
                sign: *sign,
                count: *count,
                detail: detail.clone(),
            });
            if let Err(err) = store.record_signs(rows.collect()).await {
                tracing::warn!(error = %err, "cannot write down what webhooks tell about accounts; retrying");
                self.add(seen);
            }
            if stops {
                return;
            }
        }
    }
}

/// What an event tells about its account.
fn sign_of(event: &Event, is_spoken_for: bool) -> Option<(AccountSign, Option<String>)> {
    if !is_spoken_for {
        return Some((AccountSign::NotSpokenFor, None));
    }
    let content = || event::read(event.container, &event.account, &event.raw).map(|item| item.content);
    match event.kind {
        Kind::Message | Kind::Unsupported | Kind::Postback => Some((AccountSign::Message, None)),
        Kind::Standby => Some((AccountSign::Standby, None)),
        Kind::Echo => Some((AccountSign::Echo, None)),
        Kind::Edit => match content() {
            Some(Content::Edit(edit)) if edit.edits == 0 => Some((AccountSign::EditOfNothing, None)),
            _ => None,
        },
        Kind::PolicyEnforcement => match content() {
            Some(Content::PolicyEnforcement { action, reason }) => {
                let words: Vec<String> = [action, reason].into_iter().flatten().collect();
                Some((AccountSign::PolicyEnforcement, Some(words.join(": "))))
            }
            _ => None,
        },
        _ => None,
    }
}
