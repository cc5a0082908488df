//! The sweep: what is due, not leased and not dispatched lately is claimed for dispatch. Delays, debounce,
//! retries and lost wake-ups are this one mechanism.

use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::event::EventKey;
use dmrelay_domain::ids::{ChatId, EventId, SubaccountId};
use dmrelay_domain::trace::TraceId;
use sea_orm::FromQueryResult;
use std::collections::HashMap;
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
    /// The trace of what is due.
    pub trace: Option<TraceId>,
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
    /// The trace of its webhook.
    pub trace: Option<TraceId>,
}

#[derive(FromQueryResult)]
struct ChatRow {
    id: Uuid,
    dispatch_no: i64,
    attempts: i32,
    trace_id: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct EventRow {
    id: Uuid,
    key: Vec<u8>,
    dispatch_no: i32,
    trace_id: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct Resumed {
    id: Uuid,
    connection_id: Uuid,
}

#[derive(FromQueryResult)]
struct Owner {
    subaccount_id: String,
}

/// Which work of chats is due, and what of it goes on while the business has the agent paused.
struct Work {
    /// The first part of its columns' names.
    column: &'static str,
    /// What must hold of connection `k`.
    gate: &'static str,
    /// The table of rows `w` that go on, and which of them do. Few rows at any time, so that what waits
    /// for the end of the pause costs the sweep nothing.
    goes_on: (&'static str, &'static str),
}

const TURNS: Work = Work {
    column: "turn",
    gate: "NOT EXISTS (SELECT 1 FROM gates g WHERE g.key = 'agent' AND g.closed_until > {now})",
    // Nothing new is asked; what became of a question is found out all the same.
    goes_on: ("turns", "w.state IN ('asking', 'reconciling')"),
};

const OUTBOXES: Work = Work {
    column: "outbox",
    gate: "NOT EXISTS (SELECT 1 FROM gates g WHERE g.closed_until > {now} AND \
         g.key IN ('graph:account:' || k.instagram_account_id, 'graph:app:' || k.login_kind))",
    // People's messages go out, and what became of a send is found out. The words of an index.
    goes_on: (
        "messages",
        "w.status IN ('queued', 'sending', 'unknown') AND NOT (w.status = 'queued' AND w.author = 'agent') \
         AND NOT (w.status = 'unknown' AND w.deadline IS NULL)",
    ),
};

impl Store {
    /// Claims chats whose turn is due for dispatch, at most `each` of one connection and `most` in all;
    /// none while the agent's gate is closed.
    pub async fn due_turns(&self, each: u64, most: u64) -> Result<Vec<DueChat>> {
        self.due(&TURNS, (each, most)).await
    }

    /// Claims chats whose outbox is due for dispatch, likewise; none of a connection whose gates are closed.
    pub async fn due_outboxes(&self, each: u64, most: u64) -> Result<Vec<DueChat>> {
        self.due(&OUTBOXES, (each, most)).await
    }

    async fn due(&self, work: &Work, (each, most): (u64, u64)) -> Result<Vec<DueChat>> {
        let Work { column: what, gate, goes_on: (table, goes_on) } = work;
        let due = self.dialect.due_chats(what, &format!("NOT k.bot_paused AND {gate}"));
        // CROSS JOIN keeps SQLite from reading the rows first: mostly no account is paused.
        let paused = format!(
            "SELECT DISTINCT c.id FROM instagram_connections k CROSS JOIN {table} w CROSS JOIN chats c \
             WHERE k.bot_paused AND k.status = 'connected' AND {gate} AND w.connection_id = k.id AND {goes_on} \
                AND c.id = w.chat_id AND c.{what}_due_at <= {{now}} AND c.{what}_lease_until <= {{now}} \
                AND c.{what}_dispatched_until <= {{now}} LIMIT $2"
        );
        let sql = format!(
            "UPDATE chats SET {what}_dispatched_until = {{now}} + $3, dispatch_no = dispatch_no + 1 \
             WHERE id IN (SELECT id FROM ({due}) a UNION ALL SELECT id FROM ({paused}) b) \
             AND {what}_dispatched_until <= {{now}} \
             RETURNING id, dispatch_no, {what}_attempts AS attempts, trace_id"
        );
        let values = vec![each.into(), most.into(), millis(DISPATCHED).into()];
        let rows: Vec<ChatRow> = self.write(&sql, values).await?;
        Ok(rows
            .into_iter()
            .map(|row| DueChat {
                id: row.id.into(),
                dispatch: row.dispatch_no,
                retry: row.attempts > 0,
                trace: TraceId::of(row.trace_id),
            })
            .collect())
    }

    /// Claims events that wait for ingest for dispatch.
    pub async fn due_events(&self, most: u64) -> Result<Vec<DueEvent>> {
        let sql = "UPDATE events SET due_at = {now} + $2, dispatch_no = dispatch_no + 1 \
             WHERE id IN (SELECT id FROM events WHERE due_at <= {now} ORDER BY due_at LIMIT $1) \
             AND due_at <= {now} RETURNING id, key, dispatch_no, trace_id";
        let rows: Vec<EventRow> = self.write(sql, vec![most.into(), millis(DISPATCHED).into()]).await?;
        let event = |row: EventRow| {
            let key = EventKey(row.key.try_into().ok()?);
            let trace = TraceId::of(row.trace_id);
            Some(DueEvent { id: row.id.into(), key, dispatch: row.dispatch_no, trace })
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
        let sql = "SELECT id, connection_id FROM chats WHERE resume_at <= {now} LIMIT 1";
        if self.read::<Resumed>(sql, Vec::new()).await?.is_empty() {
            return Ok(0);
        }
        let tx = self.begin().await?;
        let sql = "UPDATE chats SET mode = 'bot', mode_reason = NULL, resume_at = NULL, updated_at = {now}, \
                turn_due_at = CASE WHEN first_unanswered_at IS NOT NULL THEN COALESCE(turn_due_at, {now}) \
                    ELSE turn_due_at END \
             WHERE id IN (SELECT id FROM chats WHERE resume_at <= {now} LIMIT $1 {free}) AND resume_at <= {now} \
             RETURNING id, connection_id";
        let resumed: Vec<Resumed> = tx.query(sql, vec![most.into()]).await?;
        tx.log_resumed(&resumed).await?;
        tx.commit().await?;
        Ok(resumed.len())
    }
}

impl Tx {
    async fn log_resumed(&self, resumed: &[Resumed]) -> Result<()> {
        let mut owners: HashMap<Uuid, SubaccountId> = HashMap::new();
        for chat in resumed {
            let connection = chat.connection_id;
            if !owners.contains_key(&connection) {
                let sql = "SELECT subaccount_id FROM instagram_connections WHERE id = $1";
                let owner: Option<Owner> = self.first(sql, vec![connection.into()]).await?;
                let owner = owner.and_then(|owner| SubaccountId::parse(&owner.subaccount_id).ok());
                owners.extend(owner.map(|owner| (connection, owner)));
            }
            tracing::info!(chat = %chat.id, "the pause is over, the agent answers again");
            // A chat whose connection is gone is nobody's to tell of.
            let Some(subaccount) = owners.get(&connection) else { continue };
            let activity = Activity::of_subaccount(subaccount, ActivityKind::BotResumed, "system")
                .in_connection(Some(connection))
                .about(&chat.id)
                .with("chatId", chat.id.to_string())
                .with("reason", "the pause is over");
            self.record(&activity).await?;
        }
        Ok(())
    }
}
