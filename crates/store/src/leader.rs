//! Services of which one may run among all workers: whoever holds the row's lease leads.

use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use std::time::Duration;
use uuid::Uuid;

/// A candidate for one service.
#[derive(Debug, Clone)]
pub struct Leadership {
    name: &'static str,
    holder: Uuid,
}

impl Leadership {
    /// A candidate for the service `name`.
    pub fn new(name: &'static str) -> Self {
        Self { name, holder: Uuid::new_v4() }
    }

    /// Becomes or stays the leader for `lease`, unless another one leads.
    pub async fn hold(&self, store: &Store, lease: Duration) -> Result<bool> {
        let sql = "INSERT INTO leaders (name, holder, until) VALUES ($1, $2, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = $2, until = {now} + $3 \
                WHERE leaders.holder = $2 OR leaders.until <= {now}";
        let values = vec![self.name.into(), self.holder.into(), millis(lease).into()];
        Ok(store.mark(sql, values).await? == 1)
    }

    /// Lets another one lead at once.
    pub async fn resign(&self, store: &Store) -> Result<()> {
        let sql = "UPDATE leaders SET until = 0 WHERE name = $1 AND holder = $2";
        store.mark(sql, vec![self.name.into(), self.holder.into()]).await?;
        Ok(())
    }
}
