//! Which processes live. What a worker has in hand names the worker; one row for each process, renewed by one statement, says
//! whether that still means anything, and which encryption keys the process has.

use crate::query::insert;
use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::WorkerId;
use dmrelay_entity::process::{Column, Entity, Model};
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::time::Duration;

/// What a process says of itself.
#[derive(Debug, Clone)]
pub struct ProcessInfo {
    /// Its id.
    pub id: WorkerId,
    /// `api` or `worker`.
    pub kind: &'static str,
    /// Its version and commit.
    pub version: &'static str,
    /// The ids of its encryption keys; the first one encrypts.
    pub keys: Vec<String>,
}

/// How long the row of a process that is gone is kept.
const KEPT: Duration = Duration::from_hours(24);

impl Store {
    /// The process lives for as long as `lease` from now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn heartbeat(&self, process: &ProcessInfo, lease: Duration) -> Result<()> {
        let alive_until = || self.clock().add(millis(lease));
        // Its keys may have been replaced since it started.
        let renew = OnConflict::column(Column::Id)
            .update_column(Column::Keys)
            .value(Column::AliveUntil, alive_until())
            .to_owned();
        let heartbeat = insert::<Entity>([
            (Column::Id, process.id.into()),
            (Column::Kind, process.kind.into()),
            (Column::Version, process.version.into()),
            (Column::Keys, process.keys.join(" ").into()),
            (Column::AliveUntil, alive_until()),
            (Column::StartedAt, self.clock()),
        ])
        .on_conflict(renew)
        .take();
        self.relaxed().execute(&heartbeat).await?;
        Ok(())
    }

    /// The processes that live, the oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn processes(&self) -> Result<Vec<Model>> {
        let alive = Entity::find().filter(Column::AliveUntil.into_expr().gt(self.clock()));
        Ok(alive.order_by_asc(Column::StartedAt).all(&self.reader()).await?)
    }

    /// The process has ended: what a worker still has in hand is looked up by the others at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn retire_process(&self, id: WorkerId) -> Result<()> {
        let retire =
            Entity::update_many().col_expr(Column::AliveUntil, 0_i64.into()).filter(Column::Id.eq(id));
        retire.exec(&self.relaxed()).await?;
        Ok(())
    }

    /// Forgets processes that have been gone for a day.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_processes(&self) -> Result<u64> {
        let gone = Column::AliveUntil.into_expr().lt(self.clock().sub(millis(KEPT)));
        Ok(Entity::delete_many().filter(gone).exec(&self.writer()).await?.rows_affected)
    }
}
