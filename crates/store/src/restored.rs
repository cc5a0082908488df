//! After the database was set back to an earlier state, what was in flight then may have happened since.

use crate::{Result, Store};

/// What is not believed any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distrusted {
    /// Messages that waited to be sent: each is looked for in the conversation before it is sent.
    pub messages: u64,
    /// Questions that waited to be asked again: each is looked for in the agent's chat first.
    pub turns: u64,
}

impl Store {
    /// Takes nothing that waits for not having happened: it is found out about first, like a call without an answer.
    /// To be called once after a restore, before any worker runs.
    pub async fn distrust(&self) -> Result<Distrusted> {
        let sql = "UPDATE messages SET status = 'unknown', deadline = {now}, error_class = 'ambiguous', \
                error_code = 'restored', error_message = 'the database was restored from a backup' \
             WHERE status = 'queued' AND direction = 'outbound'";
        let messages = self.execute(sql, Vec::new()).await?;
        let sql = "UPDATE turns SET state = 'reconciling', deadline = {now}, error_class = 'ambiguous', \
                error = 'the database was restored from a backup' WHERE state = 'waiting'";
        let turns = self.execute(sql, Vec::new()).await?;
        // Leases and dispatches of processes that are no more.
        let sql = "UPDATE chats SET turn_lease = NULL, turn_lease_until = 0, turn_dispatched_until = 0, \
                outbox_lease = NULL, outbox_lease_until = 0, outbox_dispatched_until = 0 \
             WHERE turn_due_at IS NOT NULL OR outbox_due_at IS NOT NULL";
        self.execute(sql, Vec::new()).await?;
        Ok(Distrusted { messages, turns })
    }
}
