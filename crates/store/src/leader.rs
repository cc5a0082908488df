//! Services of which one may run among all workers: whoever holds the row's lease leads.

use crate::query::insert;
use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_entity::leader::{Column, Entity};
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
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
        let until = || store.clock().add(millis(lease));
        let is_free = Column::Holder.eq(self.holder).or(Column::Until.into_expr().lte(store.clock()));
        let take = OnConflict::column(Column::Name)
            .value(Column::Holder, self.holder)
            .value(Column::Until, until())
            .action_and_where(is_free)
            .to_owned();
        let hold = insert::<Entity>([
            (Column::Name, self.name.into()),
            (Column::Holder, self.holder.into()),
            (Column::Until, until()),
        ])
        .on_conflict(take)
        .take();
        Ok(store.relaxed().execute(&hold).await?.rows_affected() == 1)
    }

    /// Lets another one lead at once.
    pub async fn resign(&self, store: &Store) -> Result<()> {
        let resign = Entity::update_many()
            .col_expr(Column::Until, 0_i64.into())
            .filter(Column::Name.eq(self.name))
            .filter(Column::Holder.eq(self.holder));
        resign.exec(&store.relaxed()).await?;
        Ok(())
    }
}
