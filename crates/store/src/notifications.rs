//! Notifications: what each target is told. A unique index holds that a target is told once that an incident began, and once that it is
//! over. How they are delivered is in `deliveries.rs`.

use crate::deliveries::is_pending;
use crate::incidents::{has_lasted, is_open};
use crate::notification_targets::Owner;
use crate::pages::Page;
use crate::query::{literal, rows};
use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{IncidentId, NotificationId, NotificationTargetId, id_at};
use dmrelay_domain::notification::{NotificationState, NotificationType};
use dmrelay_entity::notification::{ActiveModel, Column, Entity, Model};
use dmrelay_entity::{incident, notification_target};
use sea_orm::sea_query::{
    Alias, BinOper, Condition, Expr, ExprTrait, Func, OnConflict, Order, Query, SelectStatement,
    WindowStatement,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait,
    QueryFilter, QuerySelect, QueryTrait,
};
use std::collections::HashMap;
use std::time::Duration;

/// Notifications to the targets of one owner that one statement writes: whoever has many to come delays nobody else's.
const OWNER_BATCH: i64 = 50;

/// Statements of one tick; the rest follows with the next.
const PASSES_MAX: usize = 20;

/// How long the end of an incident is still announced to those who learn of its beginning late.
const ENDED_WITHIN: Duration = Duration::from_hours(7 * 24);

/// The period in which tests are counted.
const DAY: Duration = Duration::from_hours(24);

/// Which notifications to list. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct NotificationFilter {
    /// Whose targets'.
    pub owner: Owner,
    /// To this target.
    pub target: Option<NotificationTargetId>,
    /// In this state.
    pub state: Option<NotificationState>,
    /// Older than this notification.
    pub before: Option<NotificationId>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

#[derive(FromQueryResult)]
struct ToTell {
    incident_id: IncidentId,
    target_id: NotificationTargetId,
    owner: String,
}

impl Store {
    /// Writes a notification for each target that is to be told of an incident and was not: of one that has lasted for `after`, and
    /// of one that is over and of which it was told. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn announce_incidents(&self, after: Duration) -> Result<u64> {
        let begun =
            to_tell(NotificationType::Opened).and_where(is_open()).and_where(has_lasted(after)).take();
        let told = told(NotificationType::Opened)
            .and_where(Expr::col(("n", Column::State)).eq(NotificationState::Delivered.as_str()))
            .take();
        let over = to_tell(NotificationType::Resolved)
            .and_where(of_incident(incident::Column::EndedAt).gt(self.instant().sub(millis(ENDED_WITHIN))))
            .and_where(of_target(notification_target::Column::Resolved))
            .and_where(Expr::exists(told))
            .take();
        let mut announced = 0;
        for (kind, query) in [(NotificationType::Opened, begun), (NotificationType::Resolved, over)] {
            let query = some_of_each(query);
            for _ in 0..PASSES_MAX {
                let to_tell: Vec<ToTell> = rows(&self.writer(), &query).await?;
                if to_tell.is_empty() {
                    break;
                }
                let now = self.now().await?;
                announced += to_tell.len() as u64;
                let new = to_tell
                    .into_iter()
                    .map(|one| write(&one.owner, one.target_id, (kind, Some(one.incident_id)), now));
                let once = OnConflict::new().do_nothing().to_owned();
                Entity::insert_many(new).on_conflict(once).exec_without_returning(&self.writer()).await?;
            }
        }
        Ok(announced)
    }

    /// Writes a notification that only tests a target. It is tried once. `None` if one is under way, there was one within `interval`, or
    /// the owner's targets were tested `most` times within a day.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_test_notification(
        &self,
        target: &notification_target::Model,
        (interval, most): (Duration, u64),
    ) -> Result<Option<Model>> {
        let tx = self.begin().await?;
        // Whoever tests it at the same time waits here.
        let locked = notification_target::Entity::find_by_id(target.id).lock_exclusive();
        if locked.one(tx.connection()).await?.is_none() {
            return Ok(None);
        }
        let tests = || Entity::find().filter(Column::IncidentId.is_null());
        let is_recent = Column::CreatedAt.into_expr().gt(self.instant().sub(millis(interval)));
        let lately = tests()
            .filter(Column::TargetId.eq(target.id))
            .filter(is_recent.or(Column::State.eq(NotificationState::Pending.as_str())));
        let today = tests()
            .filter(Column::SubaccountId.eq(target.subaccount_id.as_str()))
            .filter(Column::CreatedAt.into_expr().gt(self.instant().sub(millis(DAY))));
        if lately.one(tx.connection()).await?.is_some() || today.count(tx.connection()).await? >= most {
            return Ok(None);
        }
        let now = tx.now().await?;
        let row = write(&target.subaccount_id, target.id, (NotificationType::Test, None), now);
        let row = row.insert(tx.connection()).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// A page of notifications, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn notifications(&self, filter: &NotificationFilter) -> Result<Page<Model, NotificationId>> {
        let select = Entity::find()
            .filter(Column::SubaccountId.eq(filter.owner.as_str()))
            .apply_if(filter.target, |select, target| select.filter(Column::TargetId.eq(target)))
            .apply_if(filter.state, |select, state| select.filter(Column::State.eq(state.as_str())));
        let place = (filter.before, filter.limit, filter.skip);
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// A notification to a target of an owner.
    ///
    /// # Errors
    /// What the database says.
    pub async fn notification(&self, owner: &Owner, id: NotificationId) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id).filter(Column::SubaccountId.eq(owner.as_str()));
        Ok(one.one(&self.writer()).await?)
    }

    /// The incidents of these notifications.
    ///
    /// # Errors
    /// What the database says.
    pub async fn incidents_of(
        &self,
        notifications: &[Model],
    ) -> Result<HashMap<IncidentId, incident::Model>> {
        let ids = notifications.iter().filter_map(|row| row.incident_id);
        let found = incident::Entity::find().filter(incident::Column::Id.is_in(ids));
        Ok(found.all(&self.reader()).await?.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Has a notification that was given up delivered again, with all its attempts. False if it was not given up, or its target is
    /// disabled.
    ///
    /// # Errors
    /// What the database says.
    pub async fn retry_notification(&self, owner: &Owner, id: NotificationId) -> Result<bool> {
        let enabled = notification_target::Entity::find()
            .select_only()
            .column(notification_target::Column::Id)
            .filter(notification_target::Column::Enabled.into_expr());
        let retry = Entity::update_many()
            .col_expr(Column::State, NotificationState::Pending.as_str().into())
            .col_expr(Column::Attempts, 0.into())
            .col_expr(Column::DueAt, self.clock())
            .col_expr(Column::FinishedAt, Expr::val(None::<Millis>))
            .filter(Column::Id.eq(id))
            .filter(Column::SubaccountId.eq(owner.as_str()))
            .filter(Column::State.eq(NotificationState::Failed.as_str()))
            .filter(Column::TargetId.in_subquery(enabled.into_query()));
        Ok(retry.exec(&self.writer()).await?.rows_affected == 1)
    }

    /// Deletes tests older than this, and what was to be told to targets that are gone, so many at a time. Gives how many. What was told of
    /// an incident is deleted with it, so that nobody is told again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_tests(&self, age: Duration, batch: u64) -> Result<u64> {
        let targets =
            notification_target::Entity::find().select_only().column(notification_target::Column::Id);
        let is_old = Column::CreatedAt.into_expr().lt(self.instant().sub(millis(age)));
        let old: Vec<NotificationId> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(
                Column::IncidentId
                    .is_null()
                    .and(is_old)
                    .or(is_pending().and(Column::TargetId.in_subquery(targets.into_query()).not())),
            )
            .limit(batch)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let delete = Entity::delete_many().filter(Column::Id.is_in(old));
        Ok(delete.exec(&self.writer()).await?.rows_affected)
    }
}

/// Incidents with the enabled targets that are told of them and have no notification of this type.
fn to_tell(kind: NotificationType) -> SelectStatement {
    let text = |text: &str| literal(text);
    let joined = |left: Expr, right: Expr| left.binary(BinOper::Custom("||"), right);
    let pattern = joined(joined(text("%,"), of_incident(incident::Column::Kind)), text(",%"));
    let kinds = || of_target(notification_target::Column::Kinds);
    let wants = kinds().eq(text("")).or(kinds().binary(BinOper::Like, pattern));
    let owner = || of_target(notification_target::Column::SubaccountId);
    let concerned = owner().eq(of_incident(incident::Column::SubaccountId)).or(owner().eq(text("")));
    Query::select()
        .expr_as(of_incident(incident::Column::Id), "incident_id")
        .expr_as(of_target(notification_target::Column::Id), "target_id")
        .expr_as(owner(), "owner")
        .from(incident::Entity)
        .inner_join(notification_target::Entity, Condition::all().add(concerned))
        .and_where(of_target(notification_target::Column::Enabled))
        .and_where(wants)
        .and_where(Expr::exists(told(kind).take()).not())
        .take()
}

/// The first of them for each owner.
fn some_of_each(mut to_tell: SelectStatement) -> SelectStatement {
    let of_owner = WindowStatement::partition_by((
        notification_target::Entity,
        notification_target::Column::SubaccountId,
    ))
    .order_by((incident::Entity, incident::Column::Id), Order::Asc)
    .take();
    to_tell.expr_window_as(Func::cust("ROW_NUMBER"), of_owner, "place");
    Query::select()
        .columns(["incident_id", "target_id", "owner"])
        .from_subquery(to_tell, "t")
        .and_where(Expr::col("place").lte(OWNER_BATCH))
        .take()
}

/// The notification of this type to a target about an incident, both of the outer statement.
fn told(kind: NotificationType) -> SelectStatement {
    let of = |column: Column| Expr::col((Alias::new("n"), column));
    Query::select()
        .expr(literal(1))
        .from_as(Entity, "n")
        .and_where(of(Column::IncidentId).eq(of_incident(incident::Column::Id)))
        .and_where(of(Column::TargetId).eq(of_target(notification_target::Column::Id)))
        .and_where(of(Column::Kind).eq(kind.as_str()))
        .take()
}

fn of_incident(column: incident::Column) -> Expr {
    Expr::col((incident::Entity, column))
}

fn of_target(column: notification_target::Column) -> Expr {
    Expr::col((notification_target::Entity, column))
}

fn write(
    owner: &str,
    target: NotificationTargetId,
    (kind, incident): (NotificationType, Option<IncidentId>),
    now: Millis,
) -> ActiveModel {
    ActiveModel {
        id: Set(id_at(now)),
        target_id: Set(target),
        subaccount_id: Set(owner.to_owned()),
        incident_id: Set(incident),
        kind: Set(kind.into()),
        state: Set(NotificationState::Pending.into()),
        attempts: Set(0),
        log: Set("[]".to_owned()),
        due_at: Set(now),
        claimed_until: Set(0),
        created_at: Set(now),
        finished_at: Set(None),
    }
}
