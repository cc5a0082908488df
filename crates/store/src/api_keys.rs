//! API keys, of which only the hash is stored.

use crate::pages::Page;
use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ApiKeyId, SubaccountId, id_at};
use dmrelay_domain::permission::Role;
use dmrelay_entity::api_key::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
};

/// Who a key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Our id of it.
    pub id: ApiKeyId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// What it may do there.
    pub role: Role,
    /// What people call it.
    pub name: String,
    /// When it expires.
    pub expires_at: Option<Millis>,
}

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The tenant.
    pub subaccount: SubaccountId,
    /// What it may do there.
    pub role: Role,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// When it expires.
    pub expires_at: Option<Millis>,
    /// Who makes it.
    pub created_by: Actor,
}

impl Store {
    /// Stores a key; a key of the same hash stays as it is. Gives its id.
    pub async fn create_api_key(&self, new: &NewApiKey) -> Result<ApiKeyId> {
        let tx = self.begin().await?;
        let now = tx.now().await?;
        let id = id_at::<ApiKeyId>(now);
        if let Some(known) = tx.insert_key(id, new, now).await? {
            return Ok(known);
        }
        let activity = Activity::of_subaccount(&new.subaccount, ActivityKind::ApiKeyCreated, &new.created_by)
            .about(&id)
            .with("name", new.name.as_str())
            .with("role", new.role.as_str())
            .with("expiresAt", new.expires_at);
        tx.record_at(&activity, now).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// How many keys of a subaccount are neither expired nor revoked.
    pub async fn live_api_keys(&self, subaccount: &SubaccountId) -> Result<u64> {
        let live = Entity::find()
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.is_null().or(Column::ExpiresAt.into_expr().gt(self.clock())));
        Ok(live.count(&self.reader()).await?)
    }

    /// The keys of a subaccount, newest first; those that expired or were revoked too.
    pub async fn api_keys(
        &self,
        subaccount: &SubaccountId,
        before: Option<ApiKeyId>,
        limit: u64,
        skip: u64,
    ) -> Result<Page<Model, ApiKeyId>> {
        let select = Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str()));
        self.newest(select, Column::Id, (before, limit, skip), |row| row.id).await
    }

    /// Revokes a key of the subaccount, unless it was revoked before. False when there is none.
    pub async fn revoke_api_key(
        &self,
        subaccount: &SubaccountId,
        id: ApiKeyId,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let key = Condition::all().add(Column::Id.eq(id)).add(Column::SubaccountId.eq(subaccount.as_str()));
        let revoke = Entity::update_many()
            .col_expr(Column::RevokedAt, tx.clock())
            .filter(key.clone())
            .filter(Column::RevokedAt.is_null());
        let Some(revoked) = revoke.exec_with_returning(tx.connection()).await?.pop() else {
            return Ok(Entity::find().filter(key).one(tx.connection()).await?.is_some());
        };
        let activity = Activity::of_subaccount(subaccount, ActivityKind::ApiKeyRevoked, actor)
            .about(&id)
            .with("name", revoked.name)
            .with("role", revoked.role);
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The key with this hash, unless it has expired or was revoked.
    pub async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        let expires_later = Column::ExpiresAt.into_expr().gt(self.clock());
        let key = Entity::find()
            .filter(Column::Hash.eq(hash.to_vec()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.is_null().or(expires_later));
        let Some(row) = key.one(&self.reader()).await? else {
            return Ok(None);
        };
        // A role of a later version is no role here.
        let (Ok(subaccount), Some(role)) = (SubaccountId::parse(&row.subaccount_id), Role::parse(&row.role))
        else {
            return Ok(None);
        };
        Ok(Some(ApiKey { id: row.id, subaccount, role, name: row.name, expires_at: row.expires_at }))
    }

    /// The key was used; written at most once a minute.
    pub async fn touch_api_key(&self, id: ApiKeyId) -> Result<()> {
        let used_long_ago = Column::LastUsedAt.into_expr().lt(self.clock().sub(60_000_i64));
        let touch = Entity::update_many()
            .col_expr(Column::LastUsedAt, self.clock())
            .filter(Column::Id.eq(id))
            .filter(Column::LastUsedAt.is_null().or(used_long_ago));
        touch.exec(&self.writer()).await?;
        Ok(())
    }
}

impl Tx {
    /// Writes a key; gives the id of the one that has its hash already, if there is one.
    async fn insert_key(&self, id: ApiKeyId, new: &NewApiKey, now: Millis) -> Result<Option<ApiKeyId>> {
        let key = ActiveModel {
            id: Set(id),
            subaccount_id: Set(new.subaccount.to_string()),
            role: Set(new.role.to_string()),
            name: Set(new.name.clone()),
            hash: Set(new.hash.to_vec()),
            created_at: Set(now),
            expires_at: Set(new.expires_at),
            created_by: Set(Some(new.created_by.name.clone())),
            ..Default::default()
        };
        let same_hash = OnConflict::column(Column::Hash).do_nothing().to_owned();
        let insert = Entity::insert(key).on_conflict(same_hash);
        if insert.exec_without_returning(self.connection()).await? == 1 {
            return Ok(None);
        }
        let known =
            Entity::find().select_only().column(Column::Id).filter(Column::Hash.eq(new.hash.to_vec()));
        Ok(known.into_tuple().one(self.connection()).await?)
    }
}
