//! Which workers live. What a worker has in hand names the worker; one row for each, renewed by one statement, says whether
//! that still means anything.

use crate::query::insert;
use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::WorkerId;
use dmrelay_entity::worker::{Column, Entity};
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::time::Duration;

/// How long the row of a worker that is gone is kept.
const KEPT: Duration = Duration::from_hours(24);

impl Store {
    /// The worker lives for as long as `lease` from now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<()> {
        let alive_until = || self.clock().add(millis(lease));
        let renew = OnConflict::column(Column::Id).value(Column::AliveUntil, alive_until()).to_owned();
        let heartbeat = insert::<Entity>([
            (Column::Id, worker.into()),
            (Column::AliveUntil, alive_until()),
            (Column::StartedAt, self.clock()),
        ])
        .on_conflict(renew)
        .take();
        self.relaxed().execute(&heartbeat).await?;
        Ok(())
    }

    /// The worker has ended: what it still has in hand is looked up by the others at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn retire_worker(&self, worker: WorkerId) -> Result<()> {
        let retire =
            Entity::update_many().col_expr(Column::AliveUntil, 0_i64.into()).filter(Column::Id.eq(worker));
        retire.exec(&self.relaxed()).await?;
        Ok(())
    }

    /// Forgets workers that have been gone for a day.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_workers(&self) -> Result<u64> {
        let gone = Column::AliveUntil.into_expr().lt(self.clock().sub(millis(KEPT)));
        Ok(Entity::delete_many().filter(gone).exec(&self.writer()).await?.rows_affected)
    }
}
