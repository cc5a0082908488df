//! What is due and in nobody's hands: the poller's look. Delays, retries, and what a dead worker left are this one
//! mechanism.
//!
//! Each statement is limited by what its own queue takes, so that retries never crowd out first attempts. None waits for a
//! row that somebody has locked, and the clock is read once for each, so that the indexes serve.

use crate::dialect::Dialect;
use crate::ingest::WAITING_ACCOUNTS;
use crate::pauses::is_paused;
use crate::query::literal;
use crate::{Call, Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::Orphan;
use dmrelay_domain::event::EventKey;
use dmrelay_domain::ids::{ChatId, EventId, MessageId, TurnId};
use dmrelay_domain::states::{MessageStatus, TurnState};
use dmrelay_domain::trace::TraceId;
use dmrelay_entity::{chat, event, message, process, turn};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use std::time::Duration;

/// How long a dispatched job has to be picked up before it is taken for lost.
pub(crate) const DISPATCHED: Duration = Duration::from_secs(30);

/// How many calls without a worker are looked at in one tick.
const ORPHANS_MAX: u64 = 200;

/// How long after its deadline a call of a living worker is taken for lost.
const OVERDUE: Duration = Duration::from_secs(2);

/// A chat of which the turn or the outbox is due.
#[derive(Debug, Clone)]
pub struct DueChat {
    /// The chat.
    pub id: ChatId,
    /// What tells this dispatch from others, for the job's key.
    pub dispatch: i64,
    /// The trace of what is due.
    pub trace: Option<TraceId>,
}

/// An event that waits to be taken in.
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

/// A call without a worker: its row, its chat and its attempt.
type Orphaned<I> = (I, ChatId, i32);

/// Which work of chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueWork {
    /// Turns.
    Turns,
    /// Outboxes.
    Outboxes,
}

/// Whether it has failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// It has not.
    First,
    /// It has.
    Later,
}

#[derive(FromQueryResult)]
struct ChatRow {
    id: ChatId,
    dispatch: i64,
    trace_id: Option<TraceId>,
}

#[derive(FromQueryResult)]
struct EventRow {
    id: EventId,
    key: Vec<u8>,
    dispatch_no: i32,
    trace_id: Option<TraceId>,
}

impl DueWork {
    /// The first part of its columns' names.
    fn column(self) -> &'static str {
        match self {
            Self::Turns => "turn",
            Self::Outboxes => "outbox",
        }
    }

    /// What is called for it.
    fn call(self) -> Call {
        match self {
            Self::Turns => Call::Ask,
            Self::Outboxes => Call::Send,
        }
    }

    /// The keys of the circuit breakers it stands behind, of connection `k`.
    fn breakers(self) -> &'static str {
        match self {
            Self::Turns => {
                "(SELECT 'agent' WHERE NOT EXISTS (SELECT 1 FROM provider_keys p WHERE p.subaccount_id = k.subaccount_id) \
                 UNION ALL SELECT 'agent:' || k.agent_id \
                    WHERE NOT EXISTS (SELECT 1 FROM provider_keys p WHERE p.subaccount_id = k.subaccount_id) \
                 UNION ALL SELECT 'provider:' || p.subaccount_id FROM provider_keys p WHERE p.subaccount_id = k.subaccount_id \
                 UNION ALL SELECT 'provider:' || p.subaccount_id || ':' || k.agent_id FROM provider_keys p \
                    WHERE p.subaccount_id = k.subaccount_id)"
            }
            Self::Outboxes => "('graph:account:' || k.instagram_account_id, 'graph:app:' || k.login_kind)",
        }
    }

    /// What goes on while the business has the agent paused, or a budget is used up: the table of rows `w`, and which of them. Few rows at any
    /// time, so that what waits for the end of the pause costs nothing.
    fn goes_on(self) -> (&'static str, &'static str) {
        match self {
            // Nothing new is asked; the outcome of a question is looked up all the same.
            Self::Turns => ("turns", "w.state IN ('asking', 'reconciling')"),
            // Messages of human agents go out, and the outcome of a send is looked up. The words of an index.
            Self::Outboxes => (
                "messages",
                "w.status IN ('queued', 'sending', 'unknown') AND NOT (w.status = 'queued' AND w.author = 'agent') \
                 AND NOT (w.status = 'unknown' AND w.deadline IS NULL)",
            ),
        }
    }
}

impl Store {
    /// Reserves chats whose work is due for a job each: at most `each` of one connection and `most` in all; none that the
    /// operator has paused or that is behind an open circuit breaker, and one of a connection behind one that is being probed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_chats(
        &self,
        work: DueWork,
        attempts: Attempts,
        (each, most): (u64, u64),
    ) -> Result<Vec<DueChat>> {
        let what = work.column();
        let compare = if attempts == Attempts::First { "= 0" } else { "> 0" };
        let due = format!(
            "c.{what}_due_at IS NOT NULL AND c.{what}_due_at <= (SELECT {{now}}) AND c.{what}_attempts {compare} \
             AND c.{what}_reserved_until <= (SELECT {{now}})"
        );
        // The words of the partial index.
        let waiting = format!("{what}_due_at IS NOT NULL AND {what}_attempts {compare}");
        let breakers = work.breakers();
        let closed = format!(
            "NOT EXISTS (SELECT 1 FROM gates g WHERE g.key IN {breakers} AND g.closed_until > (SELECT {{now}})) \
             AND NOT {}",
            is_paused(work.call())
        );
        // Behind a breaker that has tripped, one call probes whether the service has recovered.
        let limit = format!(
            "CASE WHEN EXISTS (SELECT 1 FROM gates g WHERE g.key IN {breakers} AND g.failures >= {}) THEN 1 ELSE $1 END",
            crate::breakers::FAILURES
        );
        // Not what has been asked before, which is counted. Mostly nothing is held, and then nothing is looked up for it.
        let may_hold = work == DueWork::Turns && attempts == Attempts::First && self.holds_turns().await?;
        let is_held = if may_hold { crate::turn_counts::IS_HELD } else { "FALSE" };
        let fresh = match self.dialect {
            // One short index scan for each connection with such work, however long its backlog is; those without cost nothing.
            Dialect::Postgres => format!(
                "WITH RECURSIVE busy AS (\
                    (SELECT connection_id AS id FROM chats WHERE {waiting} ORDER BY connection_id LIMIT 1) \
                    UNION ALL SELECT (SELECT c.connection_id FROM chats c WHERE {waiting} AND c.connection_id > b.id \
                        ORDER BY c.connection_id LIMIT 1) FROM busy b WHERE b.id IS NOT NULL) \
                 SELECT d.id FROM busy b JOIN instagram_connections k ON k.id = b.id CROSS JOIN LATERAL (\
                    SELECT c.id, c.{what}_due_at AS due FROM chats c WHERE c.connection_id = k.id AND {due} \
                    ORDER BY c.{what}_due_at LIMIT {limit}) d \
                 WHERE k.status = 'connected' AND NOT k.bot_paused AND NOT {is_held} AND {closed} ORDER BY d.due LIMIT $2"
            ),
            Dialect::Sqlite => format!(
                "SELECT id FROM (SELECT c.id, c.{what}_due_at AS due, {limit} AS most, \
                    ROW_NUMBER() OVER (PARTITION BY c.connection_id ORDER BY c.{what}_due_at) AS n \
                    FROM chats c JOIN instagram_connections k ON k.id = c.connection_id \
                    WHERE k.status = 'connected' AND NOT k.bot_paused AND NOT {is_held} AND {closed} AND {due}) d \
                 WHERE n <= most ORDER BY due LIMIT $2"
            ),
        };
        let (table, goes_on) = work.goes_on();
        let stopped = if is_held == "FALSE" {
            "k.bot_paused".to_owned()
        } else {
            format!("(k.bot_paused OR {is_held})")
        };
        // CROSS JOIN keeps SQLite from reading the rows first: mostly no account is paused.
        let paused = format!(
            "SELECT DISTINCT c.id FROM instagram_connections k CROSS JOIN {table} w CROSS JOIN chats c \
             WHERE {stopped} AND k.status = 'connected' AND {closed} AND w.connection_id = k.id AND {goes_on} \
                AND c.id = w.chat_id AND {due} LIMIT $2"
        );
        let sql = format!(
            "UPDATE chats SET {what}_reserved_until = (SELECT {{now}}) + $3 WHERE id IN (\
                SELECT c.id FROM chats c WHERE c.id IN (SELECT id FROM ({fresh}) a UNION SELECT id FROM ({paused}) b) \
                AND c.{what}_reserved_until <= (SELECT {{now}}) {{free}}) \
             RETURNING id, {what}_reserved_until AS dispatch, trace_id"
        );
        let values = vec![each.into(), most.into(), millis(DISPATCHED).into()];
        let rows = self.mark_rows(&sql, values).await?;
        let chat = |row: ChatRow| DueChat { id: row.id, dispatch: row.dispatch, trace: row.trace_id };
        rows.iter().map(|row| Ok(chat(ChatRow::from_query_result(row, "")?))).collect()
    }

    /// The next look at this work of a chat is after `delay`: at once for a job that could not be pushed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reserve_chat(&self, work: DueWork, chat: ChatId, delay: Duration) -> Result<()> {
        let reserved_until = match work {
            DueWork::Turns => chat::Column::TurnReservedUntil,
            DueWork::Outboxes => chat::Column::OutboxReservedUntil,
        };
        let reserve = chat::Entity::update_many()
            .col_expr(reserved_until, self.clock().add(millis(delay)))
            .filter(chat::Column::Id.eq(chat));
        reserve.exec(&self.relaxed()).await?;
        Ok(())
    }

    /// Reserves events that are due for a job each, account by account in turn.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_events(&self, most: u64) -> Result<Vec<DueEvent>> {
        let due = "due_at IS NOT NULL AND due_at <= (SELECT {now}) AND claimed_until <= (SELECT {now})";
        let candidates = match self.dialect {
            Dialect::Postgres => format!(
                "{WAITING_ACCOUNTS} SELECT w.id FROM (SELECT e.id, e.n FROM accounts a CROSS JOIN LATERAL (\
                    SELECT id, ROW_NUMBER() OVER () AS n FROM (SELECT id FROM events WHERE account = a.account \
                        AND {due} ORDER BY due_at LIMIT $1) f) e WHERE a.account IS NOT NULL ORDER BY e.n LIMIT $1) w"
            ),
            Dialect::Sqlite => format!(
                "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY account ORDER BY due_at) AS n FROM events \
                 WHERE {due}) ORDER BY n LIMIT $1"
            ),
        };
        // One that has failed before is taken in only once it is due, so it stays due.
        let sql = format!(
            "UPDATE events SET due_at = CASE WHEN attempts > 0 THEN due_at ELSE (SELECT {{now}}) + $2 END, dispatch_no = dispatch_no + 1 WHERE id IN (\
                SELECT id FROM events WHERE id IN ({candidates}) AND {due} {{free}}) \
             RETURNING id, key, dispatch_no, trace_id"
        );
        let rows = self.mark_rows(&sql, vec![most.into(), millis(DISPATCHED).into()]).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let row = EventRow::from_query_result(row, "")?;
            let Ok(key) = row.key.try_into() else { continue };
            events.push(DueEvent {
                id: row.id,
                key: EventKey(key),
                dispatch: row.dispatch_no,
                trace: row.trace_id,
            });
        }
        Ok(events)
    }

    /// An event could not be dispatched: the next tick takes it again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn undispatch_event(&self, event: EventId) -> Result<()> {
        let undispatch = event::Entity::update_many()
            .col_expr(event::Column::DueAt, self.clock())
            .filter(event::Column::Id.eq(event))
            .filter(event::Column::DueAt.is_not_null());
        undispatch.exec(&self.relaxed()).await?;
        Ok(())
    }

    /// Calls of which nobody will tell the outcome: their worker is gone, or their deadline is over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn orphans(&self) -> Result<Vec<(ChatId, Orphan)>> {
        let is_lost = |deadline: Expr, worker: Expr| {
            let lives = process::Entity::find()
                .select_only()
                .expr(literal(1))
                .filter(process::Column::Id.into_expr().eq(worker))
                .filter(process::Column::AliveUntil.into_expr().gt(self.instant()));
            let overdue = deadline.add(millis(OVERDUE)).lte(self.instant());
            overdue.or(Expr::exists(lives.into_query()).not())
        };
        // The states as literals, so that the partial indexes serve.
        let turns = {
            use turn::Column;
            turn::Entity::find()
                .select_only()
                .columns([Column::Id, Column::ChatId, Column::Attempt])
                .filter(Column::State.into_expr().eq(literal(TurnState::Asking.as_str())))
                .filter(is_lost(Column::Deadline.into_expr(), Column::Worker.into_expr()))
                .order_by_asc(Column::Deadline)
                .limit(ORPHANS_MAX)
        };
        let sends = {
            use message::Column;
            message::Entity::find()
                .select_only()
                .columns([Column::Id, Column::ChatId, Column::Attempt])
                .filter(Column::Status.into_expr().eq(literal(MessageStatus::Sending.as_str())))
                .filter(is_lost(Column::Deadline.into_expr(), Column::Worker.into_expr()))
                .limit(ORPHANS_MAX)
        };
        let turns: Vec<Orphaned<TurnId>> = turns.into_tuple().all(&self.relaxed()).await?;
        let sends: Vec<Orphaned<MessageId>> = sends.into_tuple().all(&self.relaxed()).await?;
        let turns = turns.into_iter().map(|(id, chat, attempt)| (chat, Orphan::Turn(id, attempt)));
        let sends = sends.into_iter().map(|(id, chat, attempt)| (chat, Orphan::Send(id, attempt)));
        Ok(turns.chain(sends).collect())
    }

    /// Chats whose pause is over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_resumes(&self, most: u64) -> Result<Vec<ChatId>> {
        let due = chat::Entity::find()
            .select_only()
            .column(chat::Column::Id)
            .filter(chat::Column::ResumeAt.is_not_null())
            .filter(chat::Column::ResumeAt.into_expr().lte(self.instant()))
            .limit(most);
        Ok(due.into_tuple().all(&self.relaxed()).await?)
    }
}
