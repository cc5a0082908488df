//! What is no longer needed is deleted, in small batches.

use crate::activities::first_id_at;
use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::EventId;
use dmrelay_domain::states::EventState;
use dmrelay_entity::event::{Column, Entity};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
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
    /// Rows deleted in one statement.
    pub batch: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self { events: Duration::from_hours(168), unrouted: Duration::from_hours(72), batch: 5_000 }
    }
}

impl Store {
    /// Deletes one batch of what is kept no longer. Gives how many rows; fewer than a batch means done.
    pub async fn forget_events(&self, kept: &Kept) -> Result<u64> {
        // Ids are UUIDv7, made when the event arrived: only old ones are looked at, a range of the primary key.
        let youngest = self.now().await? - millis(kept.events.min(kept.unrouted)) + millis(CLOCK_SKEW);
        let received_before =
            |age: Duration| Column::ReceivedAt.into_expr().lt(self.clock().sub(millis(age)));
        let unrouted = Column::State.eq(EventState::Unrouted.as_str()).and(received_before(kept.unrouted));
        let old = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.lt(first_id_at::<EventId>(youngest)))
            .filter(Column::DueAt.is_null())
            .filter(received_before(kept.events).or(unrouted))
            .filter(Column::State.ne(EventState::Dead.as_str()))
            .order_by_asc(Column::Id)
            .limit(kept.batch);
        let forget = Entity::delete_many().filter(Column::Id.in_subquery(old.into_query()));
        Ok(forget.exec(&self.writer()).await?.rows_affected)
    }
}
