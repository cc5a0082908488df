//! The keys that subaccounts have of their own at the agent's provider. Sealed; nothing is opened here.

use crate::query::insert;
use crate::{Activity, ActivityKind, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_entity::provider_key::{self, Column, Entity};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

impl Store {
    /// The key of a subaccount, if it has one of its own.
    ///
    /// # Errors
    /// What the database says.
    pub async fn provider_key(&self, subaccount: &SubaccountId) -> Result<Option<provider_key::Model>> {
        let of = Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str()));
        // The connection that writes: what was just stored must be seen.
        Ok(of.one(&self.writer()).await?)
    }

    /// The ids of the subaccounts that have a key of their own.
    ///
    /// # Errors
    /// What the database says.
    pub async fn subaccounts_with_key(&self) -> Result<Vec<String>> {
        let ids = Entity::find().select_only().column(Column::SubaccountId);
        Ok(ids.into_tuple().all(&self.relaxed()).await?)
    }

    /// The keys that subaccounts have of their own, in the order of the subaccounts.
    ///
    /// # Errors
    /// What the database says.
    pub async fn provider_keys(&self, most: u64) -> Result<Vec<provider_key::Model>> {
        self.list_all(Entity::find().order_by_asc(Column::SubaccountId).limit(most)).await
    }

    /// Stores the key of a subaccount, sealed for the row `id`, in place of the one it has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn put_provider_key(
        &self,
        subaccount: &SubaccountId,
        (id, sealed): (Uuid, Vec<u8>),
        actor: &Actor,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let put = insert::<Entity>([
            (Column::Id, id.into()),
            (Column::SubaccountId, subaccount.as_str().into()),
            (Column::Key, sealed.into()),
            (Column::CreatedAt, tx.clock()),
            (Column::UpdatedAt, tx.clock()),
        ])
        .on_conflict(
            OnConflict::column(Column::SubaccountId)
                .update_columns([Column::Id, Column::Key, Column::UpdatedAt])
                .to_owned(),
        )
        .take();
        tx.connection().execute(&put).await?;
        // What was refused with the former key may be asked with this one.
        let breaker = crate::BreakerKey::AgentKey(subaccount.clone()).to_string();
        dmrelay_entity::breaker::Entity::delete_by_id(breaker).exec(tx.connection()).await?;
        tx.record(&Activity::of_subaccount(subaccount, ActivityKind::ProviderKeySet, actor)).await?;
        tx.commit().await
    }

    /// Deletes the key of a subaccount. False if it has none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_provider_key(&self, subaccount: &SubaccountId, actor: &Actor) -> Result<bool> {
        let tx = self.begin().await?;
        let delete = Entity::delete_many().filter(Column::SubaccountId.eq(subaccount.as_str()));
        if delete.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(false);
        }
        tx.record(&Activity::of_subaccount(subaccount, ActivityKind::ProviderKeyRemoved, actor)).await?;
        tx.commit().await?;
        Ok(true)
    }
}
