//! API keys, of which only the hash is stored.

use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_entity::api_key::{self, Model};
use sea_orm::{ActiveValue::Set, EntityTrait};
use uuid::Uuid;

/// Who a key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Our id of it.
    pub id: Uuid,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// What it may do there.
    pub role: Role,
    /// What people call it.
    pub name: String,
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
}

impl Store {
    /// Stores a key; a key of the same hash stays as it is. Gives its id.
    pub async fn create_api_key(&self, new: &NewApiKey) -> Result<Uuid> {
        let id = Uuid::now_v7();
        let row = api_key::ActiveModel {
            id: Set(id),
            subaccount_id: Set(new.subaccount.to_string()),
            role: Set(new.role.to_string()),
            name: Set(new.name.clone()),
            hash: Set(new.hash.to_vec()),
            created_at: Set(self.now().await?),
            last_used_at: Set(None),
            expires_at: Set(new.expires_at),
            revoked_at: Set(None),
        };
        match api_key::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await
            .map_err(crate::Error::from)
        {
            Err(err) if !err.is_conflict() => Err(err),
            _ => Ok(id),
        }
    }

    /// The key with this hash, unless it has expired or was revoked.
    pub async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        let sql = "SELECT * FROM api_keys WHERE hash = $1 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > {now})";
        let rows: Vec<Model> = self.read(sql, vec![hash.to_vec().into()]).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        // A role of a later version is no role here.
        let (Ok(subaccount), Some(role)) = (SubaccountId::parse(&row.subaccount_id), Role::parse(&row.role))
        else {
            return Ok(None);
        };
        Ok(Some(ApiKey { id: row.id, subaccount, role, name: row.name }))
    }

    /// The key was used; written at most once a minute.
    pub async fn touch_api_key(&self, id: Uuid) -> Result<()> {
        let sql = "UPDATE api_keys SET last_used_at = {now} \
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < {now} - 60000)";
        self.execute(sql, vec![id.into()]).await?;
        Ok(())
    }
}
