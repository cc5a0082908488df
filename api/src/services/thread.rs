//! A page of a conversation, with what happened around its messages.

use crate::problem::Problem;
use crate::state::ApiState;
use dmrelay_domain::ids::{MessageId, TurnId};
use dmrelay_store::entity::{activity, chat, message, turn};
use dmrelay_store::{Listed, MessageFilter, Page};
use std::collections::BTreeSet;

/// Maximum number of changes of who answers on a page.
const MODE_CHANGES_MAX: u64 = 100;

/// A page of a conversation.
pub(crate) struct Thread {
    /// Newest first.
    pub(crate) messages: Page<Listed, MessageId>,
    /// The turns the messages belong to.
    pub(crate) turns: Vec<turn::Model>,
    /// The changes of who answers, in the time of the page.
    pub(crate) modes: Vec<activity::Model>,
}

impl Thread {
    /// The rows of the messages.
    pub(crate) fn rows(&self) -> Vec<message::Model> {
        self.messages.items.iter().map(|listed| listed.message.clone()).collect()
    }
}

/// The messages older than one, or the newest, and at most so many after so many.
pub(crate) async fn page(
    state: &ApiState,
    row: &chat::Model,
    (before, limit, skip): (Option<MessageId>, u64, u64),
) -> Result<Thread, Problem> {
    let filter = MessageFilter {
        connections: vec![row.connection_id],
        chat: Some(row.id),
        before,
        limit,
        skip,
        ..MessageFilter::default()
    };
    let messages = state.store.messages(&filter).await?;
    let rows = messages.items.iter().map(|listed| &listed.message);
    let turn_ids: BTreeSet<TurnId> = rows.clone().filter_map(|row| row.turn_id).collect();
    let turns = state.store.turns_of_messages(row.id, &turn_ids.into_iter().collect::<Vec<_>>()).await?;
    let (since, until) = span(rows.map(|row| row.created_at), before.is_none());
    let modes = state.store.mode_changes(row.id, since, until, MODE_CHANGES_MAX).await?;
    Ok(Thread { messages, turns, modes })
}

/// The time range covered by a page of messages; the newest page extends to now.
fn span(times: impl Iterator<Item = i64> + Clone, newest: bool) -> (i64, i64) {
    let until = if newest { i64::MAX } else { times.clone().max().unwrap_or(0) + 1 };
    (times.min().unwrap_or(0), until)
}
