//! Writes that a client may repeat: one of those with the same key runs, the others are told what it was
//! answered.

use crate::query::{first, insert, returning};
use crate::{Error, Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_entity::idempotency_key::{Column, Entity, Model};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, LockBehavior, LockType, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
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
        let finish = Entity::update_many()
            .col_expr(Column::Status, i32::from(status).into())
            .col_expr(Column::Response, response.to_vec().into())
            .col_expr(Column::LockedUntil, 0_i64.into())
            .filter(Column::Id.eq(id))
            .filter(Column::Status.is_null());
        finish.exec(&self.writer()).await?;
        Ok(())
    }

    /// The write had no effect: the next one with the key runs.
    pub async fn forget_write(&self, id: Uuid) -> Result<()> {
        let forget = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::Status.is_null());
        forget.exec(&self.writer()).await?;
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
        let is_old = || Column::CreatedAt.into_expr().lt(self.clock().sub(millis(kept)));
        let new_if_old = |column: Column| {
            CaseStatement::new().case(is_old(), excluded(column)).finally(column.into_expr())
        };
        let same_again =
            Column::Status.is_null().and(Column::Fingerprint.into_expr().eq(excluded(Column::Fingerprint)));
        let take_over = OnConflict::columns([Column::SubaccountId, Column::Principal, Column::Key])
            .value(Column::Id, new_if_old(Column::Id))
            .value(Column::CreatedAt, new_if_old(Column::CreatedAt))
            .update_columns([Column::Fingerprint, Column::LockedUntil])
            .value(Column::Status, Expr::val(None::<i32>))
            .value(Column::Response, Expr::val(None::<Vec<u8>>))
            .action_and_where(Column::LockedUntil.into_expr().lte(self.clock()))
            .action_and_where(is_old().or(same_again))
            .to_owned();
        let claim = insert::<Entity>([
            (Column::Id, Uuid::now_v7().into()),
            (Column::SubaccountId, key.subaccount.as_str().into()),
            (Column::Principal, key.principal.as_str().into()),
            (Column::Key, key.key.as_str().into()),
            (Column::Fingerprint, fingerprint.to_vec().into()),
            (Column::LockedUntil, self.clock().add(millis(lock))),
            (Column::CreatedAt, self.clock()),
        ])
        .on_conflict(take_over)
        .returning(returning::<Entity>())
        .take();
        first(&self.writer(), &claim).await
    }

    async fn written(&self, key: &WriteKey) -> Result<Option<Model>> {
        // The writer's connection: what another process just wrote must be seen.
        let written = Entity::find()
            .filter(Column::SubaccountId.eq(key.subaccount.as_str()))
            .filter(Column::Principal.eq(key.principal.as_str()))
            .filter(Column::Key.eq(key.key.as_str()));
        Ok(written.one(&self.writer()).await?)
    }

    async fn forget_expired_writes(&self, kept: Duration) -> Result<()> {
        let expired = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::CreatedAt.into_expr().lt(self.clock().sub(millis(kept))))
            .filter(Column::LockedUntil.into_expr().lte(self.clock()))
            .order_by_asc(Column::CreatedAt)
            .limit(EXPIRED)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        let forget = Entity::delete_many().filter(Column::Id.in_subquery(expired.into_query()));
        forget.exec(&self.writer()).await?;
        Ok(())
    }
}

/// A column of the row that was to be inserted.
fn excluded(column: Column) -> Expr {
    Expr::col(("excluded", column))
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
