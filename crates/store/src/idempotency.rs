//! Writes that a client may repeat: one of those with the same key runs, the others are told what it was
//! answered.

use crate::{Error, Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_entity::idempotency_key::Model;
use sea_orm::Value;
use std::time::Duration;
use uuid::Uuid;

/// Which write it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteKey {
    /// The tenant.
    pub subaccount: SubaccountId,
    /// Who writes.
    pub principal: String,
    /// The client's key.
    pub key: String,
}

/// What to do with a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is to be run, and its answer kept under this id.
    Run(Uuid),
    /// It was answered before.
    Answered {
        /// Under which id the answer is kept.
        id: Uuid,
        /// The HTTP status.
        status: u16,
        /// The answer, as it was kept.
        response: Vec<u8>,
    },
    /// Another one with the key is running.
    UnderWay,
    /// The key was used for something else.
    Different,
}

/// How many expired rows one call deletes.
const EXPIRED: u64 = 20;

/// How often a row may vanish between two statements before that is odd.
const TRIES: usize = 3;

impl Store {
    /// Begins a write, of which `fingerprint` is what was asked. Whoever is told to run it has `lock` to
    /// answer; later it counts as dead, and the next one runs. A key counts for `kept`.
    pub async fn begin_write(
        &self,
        key: &WriteKey,
        fingerprint: &[u8; 32],
        lock: Duration,
        kept: Duration,
    ) -> Result<Begun> {
        self.forget_expired_writes(kept).await?;
        for _ in 0..TRIES {
            if let Some(row) = self.claim_write(key, fingerprint, (lock, kept)).await? {
                return Ok(Begun::Run(row.id));
            }
            if let Some(row) = self.written(key).await? {
                return Ok(begun(row, fingerprint));
            }
        }
        Err(Error::Row { table: "idempotency_keys", what: "a row comes and goes".to_owned() })
    }

    /// Keeps the answer of a write; the first one counts.
    pub async fn finish_write(&self, id: Uuid, status: u16, response: &[u8]) -> Result<()> {
        let sql = "UPDATE idempotency_keys SET status = $2, response = $3, locked_until = 0 \
             WHERE id = $1 AND status IS NULL";
        self.execute(sql, vec![id.into(), i32::from(status).into(), response.to_vec().into()]).await?;
        Ok(())
    }

    /// The write had no effect: the next one with the key runs.
    pub async fn forget_write(&self, id: Uuid) -> Result<()> {
        let sql = "DELETE FROM idempotency_keys WHERE id = $1 AND status IS NULL";
        self.execute(sql, vec![id.into()]).await?;
        Ok(())
    }

    /// Writes the row, or takes over one that is too old, or that nobody answered in time. One statement, so
    /// that of two at once only one gets it.
    async fn claim_write(
        &self,
        key: &WriteKey,
        fingerprint: &[u8; 32],
        (lock, kept): (Duration, Duration),
    ) -> Result<Option<Model>> {
        let old = "k.created_at < {now} - $7";
        let sql = format!(
            "INSERT INTO idempotency_keys AS k (id, subaccount_id, principal, key, fingerprint, locked_until, created_at) \
             VALUES ($1, $2, $3, $4, $5, {{now}} + $6, {{now}}) \
             ON CONFLICT (subaccount_id, principal, key) DO UPDATE SET \
                id = CASE WHEN {old} THEN excluded.id ELSE k.id END, \
                created_at = CASE WHEN {old} THEN excluded.created_at ELSE k.created_at END, \
                fingerprint = excluded.fingerprint, status = NULL, response = NULL, \
                locked_until = excluded.locked_until \
             WHERE k.locked_until <= {{now}} \
                AND ({old} OR (k.status IS NULL AND k.fingerprint = excluded.fingerprint)) \
             RETURNING {{idempotency_keys.*}}"
        );
        let values = vec![
            Uuid::now_v7().into(),
            key.subaccount.as_str().into(),
            key.principal.as_str().into(),
            key.key.as_str().into(),
            fingerprint.to_vec().into(),
            millis(lock).into(),
            millis(kept).into(),
        ];
        Ok(self.write(&sql, values).await?.into_iter().next())
    }

    async fn written(&self, key: &WriteKey) -> Result<Option<Model>> {
        // The writer's connection: what another process just wrote must be seen.
        let sql = "SELECT {idempotency_keys.*} FROM idempotency_keys WHERE subaccount_id = $1 AND principal = $2 AND key = $3";
        let values: Vec<Value> =
            vec![key.subaccount.as_str().into(), key.principal.as_str().into(), key.key.as_str().into()];
        Ok(self.write(sql, values).await?.into_iter().next())
    }

    async fn forget_expired_writes(&self, kept: Duration) -> Result<()> {
        let sql = "DELETE FROM idempotency_keys WHERE id IN (SELECT id FROM idempotency_keys \
             WHERE created_at < {now} - $1 AND locked_until <= {now} ORDER BY created_at LIMIT $2 {free})";
        self.execute(sql, vec![millis(kept).into(), EXPIRED.into()]).await?;
        Ok(())
    }
}

/// What a row of another write says about this one.
fn begun(row: Model, fingerprint: &[u8; 32]) -> Begun {
    if row.fingerprint != fingerprint {
        return Begun::Different;
    }
    match row.status.and_then(|status| u16::try_from(status).ok()) {
        Some(status) => Begun::Answered { id: row.id, status, response: row.response.unwrap_or_default() },
        None => Begun::UnderWay,
    }
}
