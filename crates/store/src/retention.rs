//! What is no longer needed is deleted, in small batches: what the pipeline needs no more, and what the operator wants to be
//! kept no longer.

use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{
    ActivityId, ChatId, ConnectionId, DeadLetterId, EventId, MessageId, TurnId, first_id_at,
};
use dmrelay_domain::states::EventState;
use dmrelay_entity::event::{Column, Entity};
use dmrelay_entity::{activity, chat, dead_letter, turn};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use std::time::Duration;

/// How far the clock of an API process, of which an event's id is, may be from the database's.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Keys of processed events: at least as long as Meta may deliver them again.
    pub events: Duration,
    /// Events of accounts nobody connected.
    pub unrouted: Duration,
    /// Events that failed for good, with their bytes.
    pub dead: Duration,
    /// Rows deleted in one statement.
    pub batch: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            events: Duration::from_hours(168),
            unrouted: Duration::from_hours(72),
            dead: Duration::from_hours(30 * 24),
            batch: 5_000,
        }
    }
}

impl Store {
    /// Deletes one batch of what is kept no longer. Gives how many rows; fewer than a batch means done.
    pub async fn forget_events(&self, kept: &Kept) -> Result<u64> {
        // Ids are UUIDv7, made when the event arrived: only old ones are looked at, a range of the primary key.
        let shortest = kept.events.min(kept.unrouted).min(kept.dead);
        let youngest = self.now().await? - millis(shortest) + millis(CLOCK_SKEW);
        let received_before =
            |age: Duration| Column::ReceivedAt.into_expr().lt(self.clock().sub(millis(age)));
        let is = |state: EventState| Column::State.eq(state.as_str());
        let unrouted = is(EventState::Unrouted).and(received_before(kept.unrouted));
        let dead = is(EventState::Dead).and(received_before(kept.dead));
        let others = Column::State.ne(EventState::Dead.as_str()).and(received_before(kept.events));
        let old = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.lt(first_id_at::<EventId>(youngest)))
            .filter(Column::DueAt.is_null())
            .filter(others.or(unrouted).or(dead))
            .order_by_asc(Column::Id)
            .limit(kept.batch);
        let forget = Entity::delete_many().filter(Column::Id.in_subquery(old.into_query()));
        Ok(forget.exec(&self.writer()).await?.rows_affected)
    }

    /// Deletes one batch of messages older than this that nothing waits for. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_messages(&self, age: Duration, batch: u64) -> Result<u64> {
        // The ids begin with the time, by a worker's clock.
        let before = first_id_at::<MessageId>(self.now().await? - millis(age) - millis(CLOCK_SKEW));
        let sql = "DELETE FROM messages WHERE id IN (SELECT m.id FROM messages m WHERE m.id < $1 \
             AND m.status NOT IN ('queued', 'sending') AND NOT (m.status = 'unknown' AND m.deadline IS NOT NULL) \
             AND NOT (m.needs_answer AND m.turn_id IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.chat_id = m.chat_id \
                AND t.state IN ('asking', 'reconciling', 'waiting')) \
             ORDER BY m.id LIMIT $2)";
        self.execute(sql, vec![before.into(), batch.into()]).await
    }

    /// Deletes one batch of closed turns older than this. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_turns(&self, age: Duration, batch: u64) -> Result<u64> {
        let before = first_id_at::<TurnId>(self.now().await? - millis(age) - millis(CLOCK_SKEW));
        let sql = "DELETE FROM turns WHERE id IN (SELECT t.id FROM turns t WHERE t.id < $1 \
             AND t.state NOT IN ('asking', 'reconciling', 'waiting') ORDER BY t.id LIMIT $2)";
        self.execute(sql, vec![before.into(), batch.into()]).await
    }

    /// Erases one batch of conversations whose last message is older than this and in which nothing is due. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_chats(&self, age: Duration, batch: u64) -> Result<u64> {
        use chat::Column;
        let old: Vec<(ChatId, ConnectionId)> = chat::Entity::find()
            .select_only()
            .columns([Column::Id, Column::ConnectionId])
            .filter(self.is_past(age))
            .limit(batch)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let mut erased = 0;
        for (id, connection) in old {
            let Some(connection) = self.connection_by_id(connection).await? else { continue };
            // Whoever has written meanwhile keeps their conversation.
            erased +=
                u64::from(self.forget_chat(&connection, id, Some(self.is_past(age)), Duration::ZERO).await?);
        }
        Ok(erased)
    }

    /// Whether the last message of a chat is older than this, and nothing waits in it.
    fn is_past(&self, age: Duration) -> Condition {
        use chat::Column;
        let is_open = turn::Column::State.is_in(["asking", "reconciling", "waiting"]);
        let open = turn::Entity::find()
            .select_only()
            .column(turn::Column::Id)
            .filter(turn::Column::ChatId.into_expr().eq(Column::Id.into_expr()))
            .filter(is_open);
        Condition::all()
            .add(Column::LastMessageAt.into_expr().lt(self.clock().sub(millis(age))))
            .add(Column::CreatedAt.into_expr().lt(self.clock().sub(millis(age))))
            .add(Column::TurnDueAt.is_null())
            .add(Column::OutboxDueAt.is_null())
            .add(Expr::exists(open.into_query()).not())
    }

    /// Deletes dead letters older than this, open ones too. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_letters(&self, age: Duration, batch: u64) -> Result<u64> {
        let old: Vec<DeadLetterId> = dead_letter::Entity::find()
            .select_only()
            .column(dead_letter::Column::Id)
            .filter(dead_letter::Column::Id.lt(first_id_at::<DeadLetterId>(self.now().await? - millis(age))))
            .order_by_asc(dead_letter::Column::Id)
            .limit(batch)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let delete = dead_letter::Entity::delete_many().filter(dead_letter::Column::Id.is_in(old));
        Ok(delete.exec(&self.writer()).await?.rows_affected)
    }

    /// Deletes entries of the log older than this, of all subaccounts. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_old_activities(&self, age: Duration) -> Result<u64> {
        let before = first_id_at::<ActivityId>(self.now().await? - millis(age));
        // One probe of the index for each subaccount.
        let sql = "WITH RECURSIVE tenants AS (\
            SELECT subaccount_id FROM (SELECT subaccount_id FROM activities ORDER BY subaccount_id LIMIT 1) f \
            UNION ALL SELECT (SELECT a.subaccount_id FROM activities a WHERE a.subaccount_id > t.subaccount_id \
                ORDER BY a.subaccount_id LIMIT 1) FROM tenants t WHERE t.subaccount_id IS NOT NULL) \
            SELECT subaccount_id FROM tenants WHERE subaccount_id IS NOT NULL";
        let mut forgotten = 0;
        for tenant in self.write::<Tenant>(sql, Vec::new()).await? {
            forgotten +=
                self.forget_activities(&tenant.subaccount_id, activity::Column::Id.lt(before)).await?;
        }
        Ok(forgotten)
    }

    /// Deletes the entries of a subaccount's log that meet the condition, batch by batch. Gives how many.
    pub(crate) async fn forget_activities(&self, subaccount: &str, wanted: Expr) -> Result<u64> {
        use activity::Column;
        let mut forgotten = 0;
        let mut after: Option<ActivityId> = None;
        loop {
            let page: Vec<ActivityId> = activity::Entity::find()
                .select_only()
                .column(Column::Id)
                .filter(Column::SubaccountId.eq(subaccount))
                .filter(wanted.clone())
                .apply_if(after, |select, after| select.filter(Column::Id.gt(after)))
                .order_by_asc(Column::Id)
                .limit(Kept::default().batch)
                .into_tuple()
                .all(&self.writer())
                .await?;
            let is_last = (page.len() as u64) < Kept::default().batch;
            after = page.last().copied();
            let delete = activity::Entity::delete_many()
                .filter(Column::SubaccountId.eq(subaccount))
                .filter(Column::Id.is_in(page));
            forgotten += delete.exec(&self.writer()).await?.rows_affected;
            if is_last {
                return Ok(forgotten);
            }
        }
    }
}

#[derive(FromQueryResult)]
struct Tenant {
    subaccount_id: String,
}
