//! The sweep: what is due, not leased and not dispatched lately is claimed for dispatch. Delays, debounce,
//! retries and lost wake-ups are this one mechanism.

use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::event::EventKey;
use dmrelay_domain::ids::{ChatId, EventId};
use sea_orm::FromQueryResult;
use std::time::Duration;
use uuid::Uuid;

/// How long a dispatched job has to be picked up before it is taken for lost.
pub(crate) const DISPATCHED: Duration = Duration::from_secs(30);

/// A chat of which a turn or the outbox is due.
#[derive(Debug, Clone)]
pub struct DueChat {
    /// The chat.
    pub id: ChatId,
    /// Which dispatch of it this is, for the job's key.
    pub dispatch: i64,
    /// Whether it has failed before, and so goes to the queue of retries.
    pub retry: bool,
}

/// An event that waits for ingest.
#[derive(Debug, Clone)]
pub struct DueEvent {
    /// The event.
    pub id: EventId,
    /// Its key.
    pub key: EventKey,
    /// Which dispatch of it this is.
    pub dispatch: i32,
}

#[derive(FromQueryResult)]
struct ChatRow {
    id: Uuid,
    dispatch_no: i64,
    attempts: i32,
}

#[derive(FromQueryResult)]
struct EventRow {
    id: Uuid,
    key: Vec<u8>,
    dispatch_no: i32,
}

#[derive(FromQueryResult)]
struct Resumed {
    id: Uuid,
}

impl Store {
    /// Claims chats whose turn is due for dispatch, at most `each` of one connection and `most` in all;
    /// none while the agent's gate is closed.
    pub async fn due_turns(&self, each: u64, most: u64) -> Result<Vec<DueChat>> {
        let gate = "NOT EXISTS (SELECT 1 FROM gates g WHERE g.key = 'agent' AND g.closed_until > {now})";
        self.due("turn", gate, (each, most)).await
    }

    /// Claims chats whose outbox is due for dispatch, likewise; none of a connection whose gates are closed.
    pub async fn due_outboxes(&self, each: u64, most: u64) -> Result<Vec<DueChat>> {
        let gate = "NOT EXISTS (SELECT 1 FROM gates g WHERE g.closed_until > {now} AND \
             g.key IN ('graph:account:' || k.instagram_account_id, 'graph:app:' || k.login_kind))";
        self.due("outbox", gate, (each, most)).await
    }

    async fn due(&self, what: &str, gate: &str, (each, most): (u64, u64)) -> Result<Vec<DueChat>> {
        let due = self.dialect.due_chats(what, gate);
        let sql = format!(
            "UPDATE chats SET {what}_dispatched_until = {{now}} + $3, dispatch_no = dispatch_no + 1 \
             WHERE id IN ({due}) AND {what}_dispatched_until <= {{now}} \
             RETURNING id, dispatch_no, {what}_attempts AS attempts"
        );
        let values = vec![each.into(), most.into(), millis(DISPATCHED).into()];
        let rows: Vec<ChatRow> = self.write(&sql, values).await?;
        Ok(rows
            .into_iter()
            .map(|row| DueChat { id: row.id.into(), dispatch: row.dispatch_no, retry: row.attempts > 0 })
            .collect())
    }

    /// Claims events that wait for ingest for dispatch.
    pub async fn due_events(&self, most: u64) -> Result<Vec<DueEvent>> {
        let sql = "UPDATE events SET due_at = {now} + $2, dispatch_no = dispatch_no + 1 \
             WHERE id IN (SELECT id FROM events WHERE due_at <= {now} ORDER BY due_at LIMIT $1) \
             AND due_at <= {now} RETURNING id, key, dispatch_no";
        let rows: Vec<EventRow> = self.write(sql, vec![most.into(), millis(DISPATCHED).into()]).await?;
        let event = |row: EventRow| {
            let key = EventKey(row.key.try_into().ok()?);
            Some(DueEvent { id: row.id.into(), key, dispatch: row.dispatch_no })
        };
        Ok(rows.into_iter().filter_map(event).collect())
    }

    /// A claimed chat could not be dispatched: the next sweep takes it again.
    pub async fn undispatch_turn(&self, chat: ChatId) -> Result<()> {
        self.mark("UPDATE chats SET turn_dispatched_until = 0 WHERE id = $1", vec![chat.0.into()]).await?;
        Ok(())
    }

    /// The same for its outbox.
    pub async fn undispatch_outbox(&self, chat: ChatId) -> Result<()> {
        self.mark("UPDATE chats SET outbox_dispatched_until = 0 WHERE id = $1", vec![chat.0.into()]).await?;
        Ok(())
    }

    /// A claimed event could not be dispatched: a later sweep takes it again.
    pub async fn undispatch_event(&self, event: EventId) -> Result<()> {
        let sql = "UPDATE events SET due_at = {now} WHERE id = $1 AND due_at IS NOT NULL";
        self.execute(sql, vec![event.0.into()]).await?;
        Ok(())
    }

    /// Chats whose pause is over go back to the agent, which answers what is unanswered since. Gives how many.
    pub async fn resume_chats(&self, most: u64) -> Result<usize> {
        let sql = "UPDATE chats SET mode = 'bot', mode_reason = NULL, resume_at = NULL, updated_at = {now}, \
                turn_due_at = CASE WHEN first_unanswered_at IS NOT NULL THEN COALESCE(turn_due_at, {now}) \
                    ELSE turn_due_at END \
             WHERE id IN (SELECT id FROM chats WHERE resume_at <= {now} LIMIT $1) AND resume_at <= {now} \
             RETURNING id";
        let rows: Vec<Resumed> = self.write(sql, vec![most.into()]).await?;
        for row in &rows {
            tracing::info!(chat = %row.id, "the pause is over, the agent answers again");
        }
        Ok(rows.len())
    }

    /// The database's clock, in milliseconds.
    pub async fn now(&self) -> Result<Millis> {
        #[derive(FromQueryResult)]
        struct Now {
            now: i64,
        }
        Ok(self.read::<Now>("SELECT {now} AS now", Vec::new()).await?.first().map_or(0, |row| row.now))
    }
}
