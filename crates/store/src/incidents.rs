//! Incidents: what is wrong, from its beginning to its end. Written by the worker that leads the service; at most one open incident of
//! a kind and subject, by a unique index.

use crate::notification_targets::Owner;
use crate::pages::Page;
use crate::query::{literal, rows};
use crate::{Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{IncidentId, id_at};
use dmrelay_domain::notification::{Condition, IncidentKind, OpenIncident, compare};
use dmrelay_entity::incident::{ActiveModel, Column, Entity, Model};
use dmrelay_entity::notification;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait,
};
use std::time::Duration;

/// Rows written by one statement.
const BATCH: usize = 500;

/// Which incidents to list. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct IncidentFilter {
    /// Whose: the operator's are those of the installation.
    pub owner: Option<Owner>,
    /// Of this kind.
    pub kind: Option<IncidentKind>,
    /// Whether it is over.
    pub is_over: Option<bool>,
    /// Older than this incident.
    pub before: Option<IncidentId>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

#[derive(FromQueryResult)]
struct KindCount {
    kind: String,
    n: i64,
}

impl Store {
    /// Compares the open incidents with what is wrong now, and writes down what changed. What lasted for less than `after` was no
    /// incident: it is forgotten. Gives how many began.
    ///
    /// # Errors
    /// What the database says.
    pub async fn sync_incidents(
        &self,
        conditions: Vec<Condition>,
        (after, clear_after): (Duration, Duration),
    ) -> Result<usize> {
        let rows = Entity::find().filter(is_open()).all(&self.writer()).await?;
        let known = |row: Model| {
            Some(OpenIncident {
                id: row.id,
                kind: row.kind.known()?,
                subject: row.subject,
                detail: row.detail,
                seen_at: row.seen_at,
            })
        };
        let open: Vec<OpenIncident> = rows.into_iter().filter_map(known).collect();
        let now = self.now().await?;
        let changes = compare(&open, conditions, now, millis(clear_after));
        let begun = changes.begun.len();
        let mut begun_rows = changes.begun.into_iter().map(|condition| begin(condition, now));
        loop {
            let batch: Vec<ActiveModel> = begun_rows.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            // Whoever led before may have written it in this moment.
            let once = OnConflict::new().do_nothing().to_owned();
            Entity::insert_many(batch).on_conflict(once).exec_without_returning(&self.writer()).await?;
        }
        for ids in changes.seen.chunks(BATCH) {
            let seen = Entity::update_many()
                .col_expr(Column::SeenAt, now.into())
                .filter(Column::Id.is_in(ids.iter().copied()));
            seen.exec(&self.writer()).await?;
        }
        for (id, detail) in changes.changed {
            let found =
                Entity::update_many().col_expr(Column::Detail, detail.into()).filter(Column::Id.eq(id));
            found.exec(&self.writer()).await?;
        }
        for ids in changes.over.chunks(BATCH) {
            let ids = || Column::Id.is_in(ids.iter().copied());
            let brief = Entity::delete_many().filter(ids()).filter(has_lasted(after).not());
            brief.exec(&self.writer()).await?;
            let over = Entity::update_many().col_expr(Column::EndedAt, self.clock()).filter(ids());
            over.exec(&self.writer()).await?;
        }
        Ok(begun)
    }

    /// A page of incidents, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn incident_page(&self, filter: &IncidentFilter) -> Result<Page<Model, IncidentId>> {
        let select = Entity::find()
            .apply_if(filter.owner.as_ref(), |select, owner| {
                select.filter(Column::SubaccountId.eq(owner.as_str()))
            })
            .apply_if(filter.kind, |select, kind| select.filter(Column::Kind.eq(kind.as_str())))
            .apply_if(filter.is_over, |select, is_over| {
                select.filter(if is_over { is_open().not() } else { is_open() })
            });
        let place = (filter.before, filter.limit, filter.skip);
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// How many incidents of each kind are open.
    ///
    /// # Errors
    /// What the database says.
    pub async fn incident_counts(&self) -> Result<Vec<(IncidentKind, i64)>> {
        let counts = Entity::find()
            .select_only()
            .column(Column::Kind)
            .column_as(Column::Id.count(), "n")
            .filter(is_open())
            .group_by(Column::Kind)
            .into_query();
        let counts: Vec<KindCount> = rows(&self.reader(), &counts).await?;
        Ok(counts.into_iter().filter_map(|one| Some((IncidentKind::parse(&one.kind)?, one.n))).collect())
    }

    /// Deletes incidents that ended longer ago than this, with their notifications, so many at a time. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_incidents(&self, age: Duration, batch: u64) -> Result<u64> {
        let old: Vec<IncidentId> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::EndedAt.into_expr().lt(self.instant().sub(millis(age))))
            .limit(batch)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let of_them = notification::Column::IncidentId.is_in(old.iter().copied());
        notification::Entity::delete_many().filter(of_them).exec(&self.writer()).await?;
        let delete = Entity::delete_many().filter(Column::Id.is_in(old));
        Ok(delete.exec(&self.writer()).await?.rows_affected)
    }
}

impl Tx {
    /// Deletes these incidents, and what anybody was told of them.
    pub(crate) async fn forget_incidents_of(&self, which: Expr) -> Result<()> {
        let ids = Entity::find().select_only().column(Column::Id).filter(which.clone()).into_query();
        notification::Entity::delete_many()
            .filter(notification::Column::IncidentId.in_subquery(ids))
            .exec(self.connection())
            .await?;
        Entity::delete_many().filter(which).exec(self.connection()).await?;
        Ok(())
    }
}

/// The incident is not over.
pub(crate) fn is_open() -> Expr {
    Column::EndedAt.is_null()
}

/// The condition was there for so long.
pub(crate) fn has_lasted(after: Duration) -> Expr {
    Column::SeenAt.into_expr().sub(Column::BeganAt.into_expr()).gte(literal(millis(after)))
}

fn begin(condition: Condition, now: i64) -> ActiveModel {
    let account = condition.account;
    ActiveModel {
        id: Set(id_at(now)),
        kind: Set(condition.kind.into()),
        subject: Set(condition.subject),
        subaccount_id: Set(condition.subaccount.map(|id| id.to_string()).unwrap_or_default()),
        connection_id: Set(account.as_ref().map(|account| account.connection)),
        instagram_account_id: Set(account.as_ref().map(|account| account.instagram_account_id.clone())),
        username: Set(account.and_then(|account| account.username)),
        detail: Set(condition.detail),
        since: Set(condition.since.unwrap_or(now)),
        began_at: Set(now),
        seen_at: Set(now),
        ended_at: Set(None),
    }
}
