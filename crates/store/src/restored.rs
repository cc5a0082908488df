//! After the database was set back to an earlier state, what was in flight then may have happened since.

use crate::{Result, Store};
use sea_orm::FromQueryResult;

/// What is not believed any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distrusted {
    /// Messages that waited to be sent: each is looked for in the conversation before it is sent.
    pub messages: u64,
    /// Questions that waited to be asked again: each is looked for in the agent's chat first.
    pub turns: u64,
}

#[derive(FromQueryResult)]
struct One {
    #[expect(dead_code, reason = "that there is a row is what counts")]
    one: i64,
}

impl Store {
    /// Whether a worker runs: one of them leads the sweep.
    pub async fn is_worked_on(&self) -> Result<bool> {
        let sql = "SELECT CAST(1 AS bigint) AS one FROM leaders WHERE name = 'sweep' AND until > {now}";
        Ok(!self.read::<One>(sql, Vec::new()).await?.is_empty())
    }

    /// Takes nothing that waits for not having happened: it is found out about first, like a call without an answer.
    /// To be called once after a restore, before any worker runs.
    pub async fn distrust(&self) -> Result<Distrusted> {
        let tx = self.begin().await?;
        let sql = "UPDATE messages SET status = 'unknown', deadline = {now}, error_class = 'ambiguous', \
                error_code = 'restored', error_message = 'the database was restored from a backup' \
             WHERE status = 'queued' AND direction = 'outbound'";
        let messages = tx.execute(sql, Vec::new()).await?;
        let sql = "UPDATE turns SET state = 'reconciling', deadline = {now}, error_class = 'ambiguous', \
                error = 'the database was restored from a backup' WHERE state = 'waiting'";
        let turns = tx.execute(sql, Vec::new()).await?;
        // Leases and dispatches of processes that are no more.
        let sql = "UPDATE chats SET turn_lease = NULL, turn_lease_until = 0, turn_dispatched_until = 0, \
                outbox_lease = NULL, outbox_lease_until = 0, outbox_dispatched_until = 0 \
             WHERE turn_due_at IS NOT NULL OR outbox_due_at IS NOT NULL";
        tx.execute(sql, Vec::new()).await?;
        tx.commit().await?;
        Ok(Distrusted { messages, turns })
    }
}
