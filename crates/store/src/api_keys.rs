//! API keys, of which only the hash is stored.

use crate::activities::id_at;
use crate::pages::{Conditions, Page};
use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_entity::api_key::Model;
use sea_orm::FromQueryResult;
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
    pub created_by: String,
}

#[derive(FromQueryResult)]
struct Found {
    id: Uuid,
}

impl Store {
    /// Stores a key; a key of the same hash stays as it is. Gives its id.
    pub async fn create_api_key(&self, new: &NewApiKey) -> Result<Uuid> {
        let tx = self.begin().await?;
        let now = tx.now().await?;
        let id = id_at(now);
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

    /// The keys of a subaccount, newest first; those that expired or were revoked too.
    pub async fn api_keys(
        &self,
        subaccount: &SubaccountId,
        before: Option<Uuid>,
        limit: u64,
        skip: u64,
    ) -> Result<Page<Model>> {
        let mut wanted = Conditions::default();
        wanted.with("subaccount_id = {}", Some(subaccount.as_str()));
        self.newest("api_keys", wanted, (before, limit, skip), |row: &Model| row.id).await
    }

    /// Revokes a key of the subaccount, unless it was revoked before. False when there is none.
    pub async fn revoke_api_key(&self, subaccount: &SubaccountId, id: Uuid, actor: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let sql = "UPDATE api_keys SET revoked_at = {now} \
             WHERE id = $1 AND subaccount_id = $2 AND revoked_at IS NULL RETURNING {api_keys.*}";
        let values = vec![id.into(), subaccount.as_str().into()];
        let Some(revoked) = tx.first::<Model>(sql, values.clone()).await? else {
            let sql = "SELECT {api_keys.*} FROM api_keys WHERE id = $1 AND subaccount_id = $2";
            return Ok(tx.first::<Model>(sql, values).await?.is_some());
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
        let sql = "SELECT {api_keys.*} FROM api_keys WHERE hash = $1 AND revoked_at IS NULL \
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
        Ok(Some(ApiKey { id: row.id, subaccount, role, name: row.name, expires_at: row.expires_at }))
    }

    /// The key was used; written at most once a minute.
    pub async fn touch_api_key(&self, id: Uuid) -> Result<()> {
        let sql = "UPDATE api_keys SET last_used_at = {now} \
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < {now} - 60000)";
        self.execute(sql, vec![id.into()]).await?;
        Ok(())
    }
}

impl Tx {
    /// Writes a key; gives the id of the one that has its hash already, if there is one.
    async fn insert_key(&self, id: Uuid, new: &NewApiKey, now: Millis) -> Result<Option<Uuid>> {
        let sql = "INSERT INTO api_keys (id, subaccount_id, role, name, hash, created_at, expires_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (hash) DO NOTHING";
        let values = vec![
            id.into(),
            new.subaccount.as_str().into(),
            new.role.as_str().into(),
            new.name.as_str().into(),
            new.hash.to_vec().into(),
            now.into(),
            new.expires_at.into(),
            new.created_by.as_str().into(),
        ];
        if self.execute(sql, values).await? == 1 {
            return Ok(None);
        }
        let sql = "SELECT id FROM api_keys WHERE hash = $1";
        let known: Option<Found> = self.first(sql, vec![new.hash.to_vec().into()]).await?;
        Ok(known.map(|row| row.id))
    }
}
