//! Which workers live. What a worker has in hand names the worker; one row for each, renewed by one statement, says whether
//! that still means anything.

use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::WorkerId;
use std::time::Duration;

/// How long the row of a worker that is gone is kept.
const KEPT: Duration = Duration::from_hours(24);

impl Store {
    /// The worker lives for as long as `lease` from now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<()> {
        let sql = "INSERT INTO workers (id, alive_until, started_at) VALUES ($1, {now} + $2, {now}) \
             ON CONFLICT (id) DO UPDATE SET alive_until = {now} + $2";
        self.mark(sql, vec![worker.0.into(), millis(lease).into()]).await?;
        Ok(())
    }

    /// The worker has ended: what it still has in hand is looked up by the others at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn retire_worker(&self, worker: WorkerId) -> Result<()> {
        self.mark("UPDATE workers SET alive_until = 0 WHERE id = $1", vec![worker.0.into()]).await?;
        Ok(())
    }

    /// Forgets workers that have been gone for a day.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_workers(&self) -> Result<u64> {
        self.execute("DELETE FROM workers WHERE alive_until < {now} - $1", vec![millis(KEPT).into()]).await
    }
}
