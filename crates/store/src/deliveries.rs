//! Notifications being delivered: claimed for one attempt at a time, as other due work is, and its outcome.
//!
//! Receivers are the tenants', and any of them may hang. Of each target one attempt is under way at a time, of each owner a few, and while a
//! target fails all that waits for it is put off: it stands in nobody's way.

use crate::incidents::is_open;
use crate::query::{literal, literals, rows};
use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{IncidentId, NotificationTargetId, SubaccountId};
use dmrelay_domain::notification::{Attempt, Channel, NotificationState, NotificationType};
use dmrelay_entity::notification::{Column, Entity, Model};
use dmrelay_entity::{incident, notification_target};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Order, Query, SelectStatement, WindowStatement};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use std::collections::HashMap;
use std::time::Duration;

/// Targets with something due that are looked at in one round.
const TARGETS_MAX: u64 = 200;

/// Attempts to the targets of one owner at a time.
const OWNER_SHARE: usize = 2;

/// How long all that waits for a target is put off at most when one attempt has failed.
const PUT_OFF_MAX: Duration = Duration::from_mins(5);

/// The last attempts of a notification that are kept.
const ATTEMPTS_KEPT: usize = 30;

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
struct DueTarget {
    target_id: NotificationTargetId,
    subaccount_id: String,
}

/// It is still to be delivered; in the words of partial indexes.
pub(crate) fn is_pending() -> Expr {
    Column::State.into_expr().eq(literal(NotificationState::Pending.as_str()))
}

impl Store {
    /// Claims notifications that are due, for this process alone and for one attempt that ends within `lease`: one of each target,
    /// and of each owner a few. Those of a later version are left alone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_notifications(
        &self,
        lease: Duration,
        most: usize,
    ) -> Result<Vec<ClaimedNotification>> {
        let busy: Vec<(NotificationTargetId, String)> = Entity::find()
            .select_only()
            .columns([Column::TargetId, Column::SubaccountId])
            .filter(is_pending())
            .filter(Column::ClaimedUntil.into_expr().gt(self.instant()))
            .into_tuple()
            .all(&self.writer())
            .await?;
        let mut shares: HashMap<String, usize> = HashMap::new();
        for (_, owner) in &busy {
            *shares.entry(owner.clone()).or_default() += 1;
        }
        let mut claimed = Vec::new();
        for target in rows::<DueTarget>(&self.writer(), &self.due_targets(&busy, &shares)).await? {
            if claimed.len() >= most {
                break;
            }
            let share = shares.entry(target.subaccount_id).or_default();
            if *share >= OWNER_SHARE {
                continue;
            }
            match self.claim_next(target.target_id, lease).await {
                Ok(Some(one)) => {
                    *share += 1;
                    claimed.push(one);
                }
                Ok(None) => {}
                Err(err) if claimed.is_empty() => return Err(err),
                // What is claimed is delivered; the next round tells of the error, if it lasts.
                Err(_) => break,
            }
        }
        Ok(claimed)
    }

    /// Targets with something due, the first few of each owner, those that have waited longest first.
    fn due_targets(
        &self,
        busy: &[(NotificationTargetId, String)],
        shares: &HashMap<String, usize>,
    ) -> SelectStatement {
        let full = shares.iter().filter(|(_, share)| **share >= OWNER_SHARE).map(|(owner, _)| owner.as_str());
        let kinds = NotificationType::ALL.iter().map(|kind| kind.as_str());
        let channels = Channel::ALL.iter().map(|channel| channel.as_str());
        let due = Entity::find()
            .select_only()
            .columns([Column::TargetId, Column::SubaccountId])
            .column_as(Column::DueAt.min(), "due")
            .inner_join(notification_target::Entity)
            .filter(notification_target::Column::Enabled.into_expr())
            .filter(notification_target::Column::Channel.into_expr().is_in(literals(channels)))
            .filter(is_pending())
            .filter(Column::Kind.into_expr().is_in(literals(kinds)))
            .filter(Column::DueAt.into_expr().lte(self.instant()))
            .filter(Column::TargetId.is_not_in(busy.iter().map(|(target, _)| *target)))
            .filter(Column::SubaccountId.is_not_in(full))
            .group_by(Column::TargetId)
            .group_by(Column::SubaccountId)
            .into_query();
        let of_owner = WindowStatement::partition_by("subaccount_id").order_by("due", Order::Asc).take();
        let ranked = Query::select()
            .columns(["target_id", "subaccount_id", "due"])
            .expr_window_as(Func::cust("ROW_NUMBER"), of_owner, "place")
            .from_subquery(due, "d")
            .take();
        let share = i64::try_from(OWNER_SHARE).unwrap_or(i64::MAX);
        Query::select()
            .columns(["target_id", "subaccount_id"])
            .from_subquery(ranked, "r")
            .and_where(Expr::col("place").lte(share))
            .order_by("due", Order::Asc)
            .limit(TARGETS_MAX)
            .take()
    }

    /// Claims the first notification to a target that is due, unless another is being delivered to it.
    async fn claim_next(
        &self,
        target: NotificationTargetId,
        lease: Duration,
    ) -> Result<Option<ClaimedNotification>> {
        let tx = self.begin().await?;
        let db = tx.connection();
        // Workers that look at the same time wait here for one another.
        let target = notification_target::Entity::find_by_id(target).lock_exclusive().one(db).await?;
        let Some(target) = target.filter(|target| target.enabled) else { return Ok(None) };
        let of_target = || Entity::find().filter(Column::TargetId.eq(target.id)).filter(is_pending());
        let under_way = of_target().filter(Column::ClaimedUntil.into_expr().gt(self.instant()));
        if under_way.one(db).await?.is_some() {
            return Ok(None);
        }
        let first = of_target()
            .filter(Column::DueAt.into_expr().lte(self.instant()))
            .order_by_asc(Column::DueAt)
            // Of what was put off together, what has not been tried comes first.
            .order_by_asc(Column::Attempts)
            .order_by_asc(Column::Id);
        let Some(first) = first.one(db).await? else { return Ok(None) };
        let claim = Entity::update_many()
            .col_expr(Column::ClaimedUntil, tx.clock().add(millis(lease)))
            .col_expr(Column::Attempts, Column::Attempts.into_expr().add(1))
            .filter(Column::Id.eq(first.id));
        let Some(row) = claim.exec_with_returning(db).await?.pop() else { return Ok(None) };
        let incident = match row.incident_id {
            Some(id) => incident::Entity::find_by_id(id).one(db).await?,
            None => None,
        };
        tx.commit().await?;
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
        let record = Entity::update_many()
            .col_expr(Column::Log, Attempt::write_all(&attempts).into())
            .col_expr(Column::ClaimedUntil, 0_i64.into())
            .filter(Column::Id.eq(row.id))
            .filter(is_pending())
            .filter(Column::ClaimedUntil.eq(row.claimed_until));
        let end = |state: NotificationState| (state.as_str(), tx.clock());
        let record = match outcome {
            AttemptOutcome::Retry(wait) => record.col_expr(Column::DueAt, tx.clock().add(millis(*wait))),
            AttemptOutcome::Delivered | AttemptOutcome::GiveUp | AttemptOutcome::Disable(_) => {
                let is_delivered = *outcome == AttemptOutcome::Delivered;
                let (state, at) =
                    end(if is_delivered { NotificationState::Delivered } else { NotificationState::Failed });
                record.col_expr(Column::State, state.into()).col_expr(Column::FinishedAt, at)
            }
        };
        if record.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(());
        }
        match outcome {
            AttemptOutcome::Delivered => {}
            AttemptOutcome::Retry(wait) => tx.put_off(target.id, *wait).await?,
            AttemptOutcome::GiveUp => tx.record_given_up(claimed, attempts.last()).await?,
            AttemptOutcome::Disable(reason) => {
                tx.record_given_up(claimed, attempts.last()).await?;
                tx.disable(target, reason).await?;
            }
        }
        tx.commit().await
    }
}

impl Tx {
    /// A target does not accept notifications now: what waits for it waits longer.
    async fn put_off(&self, target: NotificationTargetId, wait: Duration) -> Result<()> {
        let until = || self.clock().add(millis(wait.min(PUT_OFF_MAX)));
        let put_off = Entity::update_many()
            .col_expr(Column::DueAt, until())
            .filter(Column::TargetId.eq(target))
            .filter(is_pending())
            .filter(Column::DueAt.into_expr().lt(until()));
        put_off.exec(self.connection()).await?;
        Ok(())
    }

    /// A receiver wants no more. Not a target that has another address by now.
    async fn disable(&self, target: &notification_target::Model, reason: &str) -> Result<()> {
        use notification_target::Column as Target;
        let disable = notification_target::Entity::update_many()
            .col_expr(Target::Enabled, false.into())
            .col_expr(Target::DisabledReason, Expr::val(Some(reason)))
            .col_expr(Target::UpdatedAt, self.clock())
            .filter(Target::Id.eq(target.id))
            .filter(Target::Address.eq(target.address.as_str()));
        disable.exec(self.connection()).await?;
        Ok(())
    }

    /// A target that was disabled is told again what is wrong: what waits, and what it refused, under the same ids. What is over by
    /// now, and of which it never heard, it is not told.
    pub(crate) async fn resume_target(&self, target: NotificationTargetId) -> Result<()> {
        let open = incident::Entity::find().select_only().column(incident::Column::Id).filter(is_open());
        let of_open = || Column::IncidentId.in_subquery(open.as_query().clone());
        let over = Entity::delete_many()
            .filter(Column::TargetId.eq(target))
            .filter(is_pending())
            .filter(Column::Kind.eq(NotificationType::Opened.as_str()))
            .filter(of_open().not());
        over.exec(self.connection()).await?;
        let resume = Entity::update_many()
            .col_expr(Column::State, NotificationState::Pending.as_str().into())
            .col_expr(Column::Attempts, 0.into())
            .col_expr(Column::DueAt, self.clock())
            .col_expr(Column::FinishedAt, Expr::val(None::<i64>))
            .filter(Column::TargetId.eq(target))
            .filter(is_pending().or(Column::State.eq(NotificationState::Failed.as_str()).and(of_open())));
        resume.exec(self.connection()).await?;
        Ok(())
    }

    /// Logs that a notification was given up.
    async fn record_given_up(&self, claimed: &ClaimedNotification, last: Option<&Attempt>) -> Result<()> {
        let ClaimedNotification { row, target, incident } = claimed;
        let Ok(subaccount) = SubaccountId::parse(&target.subaccount_id) else { return Ok(()) };
        let incident_id: Option<IncidentId> = row.incident_id;
        let activity = Activity::of_subaccount(&subaccount, ActivityKind::NotificationFailed, "system")
            .about(&row.id)
            .with("targetId", target.id.to_string())
            .with("type", row.kind.as_str())
            .with("incidentId", incident_id.map(|id| id.to_string()))
            .with("incident", incident.as_ref().map(|incident| incident.kind.as_str()))
            .with("attempts", row.attempts)
            .with("error", last.and_then(|attempt| attempt.error.as_deref()));
        self.record(&activity).await
    }
}
