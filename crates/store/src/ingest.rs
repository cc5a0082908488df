//! The inbox on its way into conversations: which events wait, who takes them in, and what became of those that belong to
//! no conversation.

use crate::bulk::{Column, Kind, Rows};
use crate::dialect::Dialect;
use crate::query::literal;
use crate::{Activity, Connection, Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::event::{Content, Kind as EventKind, read};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{DeadLetterId, EventId, id_at};
use dmrelay_domain::states::{ActivityKind, DeadLetterKind, EventState};
use dmrelay_domain::trace::TraceId;
use dmrelay_entity::{Word, dead_letter, event};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Value,
};
use std::collections::HashMap;
use std::time::Duration;

/// An event that this worker takes in.
#[derive(Debug, Clone)]
pub struct ClaimedEvent {
    /// Its row.
    pub id: EventId,
    /// The Instagram account it was sent for.
    pub account: String,
    /// The Instagram user.
    pub thread: String,
    /// What it is; none if a later version wrote a kind that this one does not know.
    pub kind: Option<EventKind>,
    /// How often it could not be taken in.
    pub failures: i32,
    /// The trace of its webhook.
    pub trace: Option<TraceId>,
}

#[derive(FromQueryResult)]
struct Row {
    id: EventId,
    account: String,
    thread: String,
    kind: Word<EventKind>,
    attempts: i32,
    trace_id: Option<TraceId>,
}

/// How many events of one account are looked at by one claim.
const PER_ACCOUNT_MAX: u32 = 64;

const STATES: &[Column] = &[Column("id", Kind::Uuid), Column("state", Kind::Text)];
const ERRORS: &[Column] = &[Column("id", Kind::Uuid), Column("error", Kind::Text)];
const IDS: &[Column] = &[Column("id", Kind::Uuid)];

/// The accounts that have events waiting, one index probe each.
pub(crate) const WAITING_ACCOUNTS: &str = "WITH RECURSIVE accounts AS (\
    (SELECT account FROM events WHERE due_at IS NOT NULL ORDER BY account LIMIT 1) \
    UNION ALL SELECT (SELECT e.account FROM events e WHERE e.due_at IS NOT NULL AND e.account > a.account \
        ORDER BY e.account LIMIT 1) FROM accounts a WHERE a.account IS NOT NULL)";

impl Store {
    async fn claimed_rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<ClaimedEvent>> {
        let rows = self.mark_rows(sql, values).await?;
        rows.iter().map(|row| Ok(claimed(Row::from_query_result(row, "")?))).collect()
    }

    /// Those of these events that wait and that nobody has claimed. They are not claimed by this: two workers that take
    /// in the same event come one after the other, for each locks its conversation, and the second finds it done.
    ///
    /// # Errors
    /// What the database says.
    pub async fn waiting_events(&self, ids: &[EventId]) -> Result<Vec<ClaimedEvent>> {
        let rows = Rows::of_each(IDS, ids.iter().copied());
        let mut values = Vec::new();
        let table = rows.as_table(self.dialect, "u", &mut values);
        // In these words, so that PostgreSQL finds each event by its id, and does not read the index of those that are due.
        let sql = format!(
            "SELECT e.id, e.account, e.thread, e.kind, e.attempts, e.trace_id FROM {table} JOIN events e ON e.id = u.id \
             WHERE COALESCE(e.due_at, -1) >= 0 AND e.claimed_until <= (SELECT {{now}})"
        );
        self.claimed_rows(&sql, values).await
    }

    /// Claims events that wait, the longest due first, account by account in turn, for as long as `lease`. Which events
    /// of a conversation are claimed does not matter: whoever locks the conversation takes in all that wait, in order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_events(&self, most: u64, lease: Duration) -> Result<Vec<ClaimedEvent>> {
        // A free event is due within `DISPATCHED`; deferred ones, due later, are not scanned.
        let due = millis(crate::due::DISPATCHED);
        let free = format!(
            "due_at IS NOT NULL AND due_at <= (SELECT {{now}}) + {due} AND claimed_until <= (SELECT {{now}})"
        );
        let candidates = match self.dialect {
            Dialect::Postgres => format!(
                "{WAITING_ACCOUNTS} SELECT w.id FROM (SELECT e.id, e.n FROM accounts a CROSS JOIN LATERAL (\
                    SELECT id, ROW_NUMBER() OVER () AS n FROM (SELECT id FROM events WHERE account = a.account \
                        AND {free} ORDER BY due_at LIMIT {PER_ACCOUNT_MAX}) f) e \
                    WHERE a.account IS NOT NULL ORDER BY e.n LIMIT $1) w"
            ),
            Dialect::Sqlite => format!(
                "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY account ORDER BY due_at) AS n FROM events \
                 WHERE {free}) WHERE n <= {PER_ACCOUNT_MAX} ORDER BY n LIMIT $1"
            ),
        };
        let sql = format!(
            "UPDATE events SET claimed_until = (SELECT {{now}}) + $2 WHERE id IN (\
                SELECT id FROM events WHERE id IN ({candidates}) AND {free} {{free}}) \
             RETURNING id, account, thread, kind, attempts, trace_id"
        );
        self.claimed_rows(&sql, vec![most.into(), millis(lease).into()]).await
    }

    /// Events that belong to no conversation are done, each in its state.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle_events(&self, events: &[(EventId, EventState)]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::new(STATES);
        for (id, state) in events {
            rows.push(vec![(*id).into(), state.as_str().into()]);
        }
        let mut values = Vec::new();
        let table = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "UPDATE events SET due_at = NULL, state = u.state FROM {table} \
             WHERE events.id = u.id AND events.due_at IS NOT NULL"
        );
        self.execute(&sql, values).await?;
        Ok(())
    }

    /// Gives claimed events back, to be looked at again after `delay`; those that have failed before keep their own time.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_events(&self, events: &[EventId], delay: Duration) -> Result<()> {
        let rows = Rows::of_each(IDS, events.iter().copied());
        let mut values = vec![millis(delay).into()];
        let table = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "UPDATE events SET due_at = {{now}} + $1, claimed_until = {{now}} + $1 FROM {table} \
             WHERE events.id = u.id AND events.due_at IS NOT NULL AND events.attempts = 0"
        );
        self.mark(&sql, values).await?;
        Ok(())
    }

    /// The event that a conversation takes in next: the oldest of those that wait.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next_event(&self, account: &str, thread: &str) -> Result<Option<ClaimedEvent>> {
        use event::Column;
        let is_due = Column::DueAt.into_expr().lte(self.clock());
        let next = event::Entity::find()
            .select_only()
            .columns([Column::Id, Column::Account, Column::Thread, Column::Kind])
            .columns([Column::Attempts, Column::TraceId])
            .filter(Column::Account.eq(account))
            .filter(Column::Thread.eq(thread))
            .filter(Column::State.into_expr().eq(literal(EventState::New.as_str())))
            .filter(Column::Attempts.eq(0).or(is_due))
            // They name a user, and are of no conversation.
            .filter(Column::Kind.is_not_in([EventKind::Comment, EventKind::Mention].map(EventKind::as_str)))
            .order_by_asc(Column::At)
            .order_by_asc(Column::Id)
            .into_model::<Row>();
        Ok(next.one(&self.relaxed()).await?.map(claimed))
    }

    /// The event could not be taken in, because of what it says. It is tried again after `delay`, and becomes a dead letter
    /// after `most` times. Gives whether it did; not if somebody has done this meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fail_event(
        &self,
        event: &ClaimedEvent,
        delay: Duration,
        most: i32,
        error: &str,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let sql = "UPDATE events SET attempts = attempts + 1, error = $3, due_at = {now} + $4, claimed_until = {now} + $4 \
             WHERE id = $1 AND attempts = $2 AND due_at IS NOT NULL \
             RETURNING id, account, thread, kind, attempts, trace_id";
        let values = vec![event.id.into(), event.failures.into(), error.into(), millis(delay).into()];
        let Some(failed) = tx.first::<Row>(sql, values).await? else { return Ok(false) };
        let dead = failed.attempts >= most;
        if dead {
            tx.bury(&failed, error).await?;
        }
        tx.commit().await?;
        Ok(dead)
    }

    /// These events are not understood, each for its reason, and belong to no conversation in which that could be told: they
    /// become dead letters. Their bytes are kept as long as those of other events.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bury_events(&self, events: &[(EventId, String)]) -> Result<()> {
        let mut rows = Rows::new(ERRORS);
        for (id, error) in events {
            rows.push(vec![(*id).into(), error.as_str().into()]);
        }
        let tx = self.begin().await?;
        let mut values = vec![EventState::Unknown.as_str().into()];
        let table = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "UPDATE events SET due_at = NULL, state = $1, error = u.error FROM {table} \
             WHERE events.id = u.id AND events.due_at IS NOT NULL \
             RETURNING events.id, events.account, events.thread, events.kind, events.attempts, events.trace_id"
        );
        let dead = tx.query::<Row>(&sql, values).await?;
        let mut of_accounts: HashMap<&str, Vec<&Row>> = HashMap::new();
        for row in &dead {
            of_accounts.entry(row.account.as_str()).or_default().push(row);
        }
        let errors: HashMap<EventId, &str> = events.iter().map(|(id, error)| (*id, error.as_str())).collect();
        for (account, rows) in of_accounts {
            let connection = tx.route(account).await?;
            let letters = rows.iter().map(|row| (*row, errors.get(&row.id).copied().unwrap_or_default()));
            tx.write_letters(connection.as_ref(), letters).await?;
            if let Some(connection) = connection {
                let unknown = Activity::of_connection(&connection, ActivityKind::EventUnknown, "meta");
                tx.record(&unknown.about(&connection.id).with("events", rows.len())).await?;
            }
        }
        tx.commit().await
    }

    /// Meta warned or restricted the account: an entry of its log, and the event is kept. Gives what Meta told; none if
    /// somebody has done this meanwhile, or if it tells of something else.
    ///
    /// # Errors
    /// What the database says.
    pub async fn keep_policy_event(
        &self,
        connection: &Connection,
        event: EventId,
    ) -> Result<Option<(String, String)>> {
        let tx = self.begin().await?;
        let close = event::Entity::update_many()
            .col_expr(event::Column::DueAt, Expr::value(None::<i64>))
            .col_expr(event::Column::State, EventState::Kept.as_str().into())
            .filter(event::Column::Id.eq(event))
            .filter(event::Column::DueAt.is_not_null());
        let Some(row) = close.exec_with_returning(tx.connection()).await?.pop() else { return Ok(None) };
        let raw = row.raw.as_deref().unwrap_or_default();
        let item = row.container.known().and_then(|container| read(container, &row.account, raw));
        let told = match item.map(|item| item.content) {
            Some(Content::PolicyEnforcement { action, reason }) => {
                Some((action.unwrap_or_default(), reason.unwrap_or_default()))
            }
            _ => None,
        };
        if let Some((action, reason)) = &told {
            let activity = Activity::of_connection(connection, ActivityKind::PolicyEnforced, "meta")
                .about(&connection.id)
                .with("action", action.as_str())
                .with("reason", reason.as_str());
            tx.record(&activity).await?;
        }
        tx.commit().await?;
        Ok(told)
    }

    /// Events that waited for their account to be connected, and whose account is by now, are taken in. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn route_events(&self) -> Result<u64> {
        let sql = "UPDATE events SET state = 'new', due_at = {now}, claimed_until = 0, attempts = 0 \
             WHERE state = 'unrouted' AND account IN (SELECT instagram_account_id FROM instagram_connections \
                WHERE status NOT IN ('pending', 'disconnected'))";
        self.execute(sql, Vec::new()).await
    }
}

impl Tx {
    /// The event that failed becomes a dead letter.
    async fn bury(&self, dead: &Row, error: &str) -> Result<()> {
        let close = event::Entity::update_many()
            .col_expr(event::Column::DueAt, Expr::value(None::<i64>))
            .col_expr(event::Column::State, EventState::Dead.as_str().into())
            .filter(event::Column::Id.eq(dead.id));
        close.exec(self.connection()).await?;
        let connection = self.route(&dead.account).await?;
        self.write_letters(connection.as_ref(), [(dead, error)].into_iter()).await
    }

    /// Writes the dead letters of events of one account.
    async fn write_letters<'a>(
        &self,
        connection: Option<&Connection>,
        dead: impl Iterator<Item = (&'a Row, &'a str)>,
    ) -> Result<()> {
        let now = self.now().await?;
        let mut letters = Vec::new();
        for (row, error) in dead {
            tracing::warn!(event = %row.id, attempts = row.attempts, error, "dead letter");
            let id: DeadLetterId = id_at(now);
            // What came for an account that nobody has is in nobody's log.
            if let Some(connection) = connection {
                let opened = Activity::of_connection(connection, ActivityKind::DeadLetterOpened, "system")
                    .about(&id)
                    .with("class", FailureClass::Bug.as_str())
                    .with("kind", DeadLetterKind::Event.as_str())
                    .with("reference", row.id.to_string());
                self.record_at(&opened, now).await?;
            }
            letters.push(dead_letter::ActiveModel {
                id: Set(id),
                subaccount_id: Set(connection.map_or_else(String::new, |one| one.subaccount.to_string())),
                connection_id: Set(connection.map(|one| one.id)),
                chat_id: Set(None),
                kind: Set(DeadLetterKind::Event.into()),
                reference: Set(row.id.0),
                class: Set(FailureClass::Bug.into()),
                error: Set(dmrelay_domain::text::truncate(error, 500).to_owned()),
                attempts: Set(row.attempts),
                created_at: Set(now),
                replayed_at: Set(None),
                discarded_at: Set(None),
                closed_by: Set(None),
            });
        }
        let insert = dead_letter::Entity::insert_many(letters);
        insert.exec_without_returning(self.connection()).await?;
        Ok(())
    }
}

fn claimed(row: Row) -> ClaimedEvent {
    ClaimedEvent {
        id: row.id,
        account: row.account,
        thread: row.thread,
        kind: row.kind.known(),
        failures: row.attempts,
        trace: row.trace_id,
    }
}
