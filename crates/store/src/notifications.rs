//! Notifications: what each target is told. A unique index holds that a target is told once that an incident began, and once that it is
//! over. They are claimed for one attempt at a time, as other due work is.

use crate::activities::id_at;
use crate::incidents::{has_lasted, is_open};
use crate::notification_targets::Owner;
use crate::pages::Page;
use crate::query::{literal, rows};
use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{IncidentId, NotificationId, NotificationTargetId, SubaccountId};
use dmrelay_domain::notification::{Attempt, NotificationState, NotificationType};
use dmrelay_entity::notification::{ActiveModel, Column, Entity, Model};
use dmrelay_entity::{incident, notification_target};
use sea_orm::sea_query::{
    Alias, BinOper, Condition, Expr, ExprTrait, Func, OnConflict, Query, SelectStatement,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};
use std::collections::HashMap;
use std::time::Duration;

/// Notifications written by one tick; the rest follows with the next.
const ANNOUNCED_MAX: u64 = 500;

/// Targets with something due that are looked at in one round.
const TARGETS_MAX: u64 = 200;

/// Deliveries to the targets of one owner at a time: a slow receiver delays its own notifications and nobody else's.
const OWNER_SHARE: usize = 2;

/// The last attempts of a notification that are kept.
const ATTEMPTS_KEPT: usize = 30;

/// How long the end of an incident is still announced.
const ENDED_WITHIN: Duration = Duration::from_hours(24);

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

/// A notification that this process has to deliver.
#[derive(Debug, Clone)]
pub struct ClaimedNotification {
    /// The notification.
    pub row: Model,
    /// Who is told.
    pub target: notification_target::Model,
    /// The incident; `None` for a test.
    pub incident: Option<incident::Model>,
}

/// What becomes of a notification after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The target accepted it.
    Delivered,
    /// It is tried again after this.
    Retry(Duration),
    /// It is given up.
    GiveUp,
    /// It is given up, and so is the target, for this reason.
    Disable(String),
}

#[derive(FromQueryResult)]
struct ToTell {
    incident_id: IncidentId,
    target_id: NotificationTargetId,
    owner: String,
}

#[derive(FromQueryResult)]
struct DueTarget {
    target_id: NotificationTargetId,
    subaccount_id: String,
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
            .and_where(Expr::col(("n", Column::State)).ne(NotificationState::Pending.as_str()))
            .take();
        let over = to_tell(NotificationType::Resolved)
            .and_where(of_incident(incident::Column::EndedAt).gt(self.clock().sub(millis(ENDED_WITHIN))))
            .and_where(of_target(notification_target::Column::Resolved))
            .and_where(Expr::exists(told))
            .take();
        let mut announced = 0;
        for (kind, query) in [(NotificationType::Opened, begun), (NotificationType::Resolved, over)] {
            let to_tell: Vec<ToTell> = rows(&self.reader(), &query).await?;
            if to_tell.is_empty() {
                continue;
            }
            let now = self.now().await?;
            announced += to_tell.len() as u64;
            let new = to_tell
                .into_iter()
                .map(|one| write(&one.owner, one.target_id, (kind, Some(one.incident_id)), now));
            let once = OnConflict::new().do_nothing().to_owned();
            Entity::insert_many(new).on_conflict(once).exec_without_returning(&self.writer()).await?;
        }
        Ok(announced)
    }

    /// Writes a notification that only tests a target. It is tried once. `None` if there was one within `interval`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_test_notification(
        &self,
        target: &notification_target::Model,
        interval: Duration,
    ) -> Result<Option<Model>> {
        let lately = Entity::find()
            .filter(Column::TargetId.eq(target.id))
            .filter(Column::Kind.eq(NotificationType::Test.as_str()))
            .filter(Column::CreatedAt.into_expr().gt(self.clock().sub(millis(interval))));
        if lately.one(&self.writer()).await?.is_some() {
            return Ok(None);
        }
        let now = self.now().await?;
        let row = write(&target.subaccount_id, target.id, (NotificationType::Test, None), now);
        Ok(Some(row.insert(&self.writer()).await?))
    }

    /// Claims notifications that are due, for this process alone and for one attempt that ends within `lease`: one of each target,
    /// and of each owner a few.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_notifications(
        &self,
        lease: Duration,
        most: usize,
    ) -> Result<Vec<ClaimedNotification>> {
        let pending = || Column::State.into_expr().eq(literal(NotificationState::Pending.as_str()));
        let busy: Vec<(NotificationTargetId, String)> = Entity::find()
            .select_only()
            .columns([Column::TargetId, Column::SubaccountId])
            .filter(pending())
            .filter(Column::ClaimedUntil.into_expr().gt(self.clock()))
            .into_tuple()
            .all(&self.writer())
            .await?;
        let mut shares: HashMap<String, usize> = HashMap::new();
        for (_, owner) in &busy {
            *shares.entry(owner.clone()).or_default() += 1;
        }
        let due_at = || Column::DueAt.into_expr();
        let due = Entity::find()
            .select_only()
            .columns([Column::TargetId, Column::SubaccountId])
            .filter(pending())
            .filter(due_at().lte(self.clock()))
            .filter(Column::TargetId.is_not_in(busy.iter().map(|(target, _)| *target)))
            .group_by(Column::TargetId)
            .group_by(Column::SubaccountId)
            .into_query()
            .order_by_expr(Func::min(due_at()).into(), sea_orm::Order::Asc)
            .limit(TARGETS_MAX)
            .take();
        let mut claimed = Vec::new();
        for target in rows::<DueTarget>(&self.writer(), &due).await? {
            if claimed.len() >= most {
                break;
            }
            let share = shares.entry(target.subaccount_id).or_default();
            if *share >= OWNER_SHARE {
                continue;
            }
            if let Some(one) = self.claim_next(target.target_id, lease).await? {
                *share += 1;
                claimed.push(one);
            }
        }
        Ok(claimed)
    }

    /// Claims the first notification to a target that is due.
    async fn claim_next(
        &self,
        target: NotificationTargetId,
        lease: Duration,
    ) -> Result<Option<ClaimedNotification>> {
        let is_free = |select: sea_orm::Select<Entity>| {
            select
                .filter(Column::State.eq(NotificationState::Pending.as_str()))
                .filter(Column::DueAt.into_expr().lte(self.clock()))
                .filter(Column::ClaimedUntil.into_expr().lte(self.clock()))
        };
        let first = is_free(Entity::find().filter(Column::TargetId.eq(target)))
            .order_by_asc(Column::DueAt)
            .order_by_asc(Column::Id);
        let Some(first) = first.one(&self.writer()).await? else { return Ok(None) };
        let claim = Entity::update_many()
            .col_expr(Column::ClaimedUntil, self.clock().add(millis(lease)))
            .col_expr(Column::Attempts, Column::Attempts.into_expr().add(1))
            .filter(Column::Id.eq(first.id))
            .filter(Column::State.eq(NotificationState::Pending.as_str()))
            .filter(Column::ClaimedUntil.eq(first.claimed_until));
        let Some(row) = claim.exec_with_returning(&self.writer()).await?.pop() else { return Ok(None) };
        let target = notification_target::Entity::find_by_id(target).one(&self.writer()).await?;
        let Some(target) = target else { return Ok(None) };
        let incident = match row.incident_id {
            Some(id) => incident::Entity::find_by_id(id).one(&self.writer()).await?,
            None => None,
        };
        Ok(Some(ClaimedNotification { row, target, incident }))
    }

    /// Records an attempt of a claimed notification. Nothing is written if the claim is over, or the target is gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_attempt(
        &self,
        claimed: &ClaimedNotification,
        attempt: Attempt,
        outcome: &AttemptOutcome,
    ) -> Result<()> {
        let ClaimedNotification { row, target, .. } = claimed;
        let mut attempts = row.attempts_made();
        attempts.push(attempt);
        attempts.drain(..attempts.len().saturating_sub(ATTEMPTS_KEPT));
        let tx = self.begin().await?;
        let update = Entity::update_many()
            .col_expr(Column::Log, Attempt::write_all(&attempts).into())
            .col_expr(Column::ClaimedUntil, 0_i64.into())
            .filter(Column::Id.eq(row.id))
            .filter(Column::State.eq(NotificationState::Pending.as_str()))
            .filter(Column::ClaimedUntil.eq(row.claimed_until));
        let ended = match outcome {
            AttemptOutcome::Delivered => Some(NotificationState::Delivered),
            AttemptOutcome::Retry(_) => None,
            AttemptOutcome::GiveUp | AttemptOutcome::Disable(_) => Some(NotificationState::Failed),
        };
        let update = match (ended, outcome) {
            (Some(state), _) => {
                update.col_expr(Column::State, state.as_str().into()).col_expr(Column::FinishedAt, tx.clock())
            }
            (None, AttemptOutcome::Retry(wait)) => {
                update.col_expr(Column::DueAt, tx.clock().add(millis(*wait)))
            }
            (None, _) => update,
        };
        if update.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(());
        }
        if ended == Some(NotificationState::Failed) {
            tx.record_given_up(claimed, attempts.last()).await?;
        }
        if let AttemptOutcome::Disable(reason) = outcome {
            let disable = notification_target::Entity::update_many()
                .col_expr(notification_target::Column::Enabled, false.into())
                .col_expr(notification_target::Column::DisabledReason, Expr::val(Some(reason.as_str())))
                .col_expr(notification_target::Column::UpdatedAt, tx.clock())
                .filter(notification_target::Column::Id.eq(target.id));
            disable.exec(tx.connection()).await?;
            tx.drop_waiting(target.id).await?;
        }
        tx.commit().await
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

    /// Deletes finished notifications older than this; those of open incidents stay, so that nobody is told again. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_notifications(&self, age: Duration) -> Result<u64> {
        let open = incident::Entity::find()
            .select_only()
            .column(incident::Column::Id)
            .filter(is_open())
            .into_query();
        let of_open = Column::IncidentId.in_subquery(open);
        let delete = Entity::delete_many()
            .filter(Column::FinishedAt.into_expr().lt(self.clock().sub(millis(age))))
            .filter(Column::IncidentId.is_null().or(of_open.not()));
        Ok(delete.exec(&self.writer()).await?.rows_affected)
    }
}

impl Tx {
    /// Logs that a notification was given up.
    async fn record_given_up(&self, claimed: &ClaimedNotification, last: Option<&Attempt>) -> Result<()> {
        let ClaimedNotification { row, target, incident } = claimed;
        let Ok(subaccount) = SubaccountId::parse(&target.subaccount_id) else { return Ok(()) };
        let activity = Activity::of_subaccount(&subaccount, ActivityKind::NotificationFailed, "system")
            .about(&row.id)
            .with("targetId", target.id.to_string())
            .with("type", row.kind.as_str())
            .with("incident", incident.as_ref().map(|incident| incident.kind.as_str()))
            .with("attempts", row.attempts)
            .with("error", last.and_then(|attempt| attempt.error.as_deref()));
        self.record(&activity).await
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
        .order_by_expr(of_incident(incident::Column::Id), sea_orm::Order::Asc)
        .limit(ANNOUNCED_MAX)
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
