//! Who is notified of incidents: targets of a subaccount, and those of the operator, who is told of everything. Their secrets are
//! sealed; nothing is opened here.

use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{NotificationTargetId, SubaccountId};
use dmrelay_domain::notification::{Channel, IncidentKind};
use dmrelay_entity::notification;
use dmrelay_entity::notification_target::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::fmt;
use std::time::Duration;

/// Whose a target or an incident is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The operator of the installation.
    Operator,
    /// A subaccount.
    Subaccount(SubaccountId),
}

impl Owner {
    /// As it is stored: a subaccount's id, or nothing.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Operator => "",
            Self::Subaccount(id) => id.as_str(),
        }
    }

    /// The subaccount, if it is one's.
    pub fn subaccount(&self) -> Option<&SubaccountId> {
        match self {
            Self::Operator => None,
            Self::Subaccount(id) => Some(id),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("the operator"),
            Self::Subaccount(id) => write!(f, "subaccount {id}"),
        }
    }
}

/// A target to store.
#[derive(Debug, Clone)]
pub struct NewTarget {
    /// Our id, for which the secret is sealed.
    pub id: NotificationTargetId,
    /// Whose it is.
    pub owner: Owner,
    /// How it is notified.
    pub channel: Channel,
    /// The URL or the e-mail address.
    pub address: String,
    /// What people call it.
    pub name: Option<String>,
    /// The secret that signs webhooks, sealed.
    pub secret: Option<Vec<u8>>,
    /// What it is told of; `None` for everything.
    pub kinds: Option<Vec<IncidentKind>>,
    /// Whether it is told when an incident is over.
    pub resolved: bool,
}

/// What is to be changed of a target. What is missing stays.
#[derive(Debug, Clone, Default)]
pub struct TargetChange {
    /// The URL or the e-mail address.
    pub address: Option<String>,
    /// What people call it; an empty one removes the name.
    pub name: Option<String>,
    /// What it is told of; none for everything.
    pub kinds: Option<Vec<IncidentKind>>,
    /// Whether it is told when an incident is over.
    pub resolved: Option<bool>,
    /// Whether it is notified at all.
    pub enabled: Option<bool>,
}

impl Store {
    /// The targets of an owner, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn notification_targets(&self, owner: &Owner) -> Result<Vec<Model>> {
        let all = Entity::find().filter(Column::SubaccountId.eq(owner.as_str())).order_by_asc(Column::Id);
        // The connection that writes: what was just stored must be seen.
        Ok(all.all(&self.writer()).await?)
    }

    /// A target of an owner.
    ///
    /// # Errors
    /// What the database says.
    pub async fn notification_target(
        &self,
        owner: &Owner,
        id: NotificationTargetId,
    ) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id).filter(Column::SubaccountId.eq(owner.as_str()));
        Ok(one.one(&self.writer()).await?)
    }

    /// Stores a target. `None` if the owner has so many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_notification_target(
        &self,
        new: NewTarget,
        most: u64,
        actor: &Actor,
    ) -> Result<Option<Model>> {
        let tx = self.begin().await?;
        let of = Entity::find().filter(Column::SubaccountId.eq(new.owner.as_str()));
        if of.count(tx.connection()).await? >= most {
            return Ok(None);
        }
        let now = tx.now().await?;
        let row = ActiveModel {
            id: Set(new.id),
            subaccount_id: Set(new.owner.as_str().to_owned()),
            channel: Set(new.channel.into()),
            address: Set(new.address),
            name: Set(new.name),
            secret: Set(new.secret),
            former_secret: Set(None),
            former_until: Set(None),
            kinds: Set(Model::kinds_text(new.kinds.as_deref())),
            resolved: Set(new.resolved),
            enabled: Set(true),
            disabled_reason: Set(None),
            created_by: Set(actor.name.clone()),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let row = row.insert(tx.connection()).await?;
        tx.record_target(&row, ActivityKind::NotificationTargetAdded, actor).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// Changes a target. What waits for a disabled one is kept; once it is enabled again it is told what is wrong then. `None` if
    /// there is no such target.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_notification_target(
        &self,
        (owner, id): (&Owner, NotificationTargetId),
        change: TargetChange,
        actor: &Actor,
    ) -> Result<Option<Model>> {
        let tx = self.begin().await?;
        let one = Entity::find_by_id(id).filter(Column::SubaccountId.eq(owner.as_str())).lock_exclusive();
        let Some(before) = one.one(tx.connection()).await? else { return Ok(None) };
        let mut update = Entity::update_many()
            .col_expr(Column::UpdatedAt, tx.clock())
            .filter(Column::Id.eq(id))
            .filter(Column::SubaccountId.eq(owner.as_str()));
        if let Some(address) = change.address {
            update = update.col_expr(Column::Address, address.into());
        }
        if let Some(name) = change.name {
            update = update.col_expr(Column::Name, Expr::val(Some(name).filter(|name| !name.is_empty())));
        }
        if let Some(kinds) = change.kinds {
            update = update.col_expr(Column::Kinds, Model::kinds_text(Some(&kinds)).into());
        }
        if let Some(resolved) = change.resolved {
            update = update.col_expr(Column::Resolved, resolved.into());
        }
        if let Some(enabled) = change.enabled {
            update = update
                .col_expr(Column::Enabled, enabled.into())
                .col_expr(Column::DisabledReason, Expr::val(None::<String>));
        }
        let Some(row) = update.exec_with_returning(tx.connection()).await?.pop() else { return Ok(None) };
        if row.enabled && !before.enabled {
            tx.resume_target(id).await?;
        }
        tx.record_target(&row, ActivityKind::NotificationTargetChanged, actor).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// Stores another secret, sealed. The one before it, sealed for its new place, signs as well for `overlap`. False if there is
    /// no such target, or its secret was changed meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rotate_notification_secret(
        &self,
        target: &Model,
        (secret, former): (Vec<u8>, Vec<u8>),
        overlap: Duration,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let rotate = Entity::update_many()
            .col_expr(Column::Secret, secret.into())
            .col_expr(Column::FormerSecret, former.into())
            .col_expr(Column::FormerUntil, tx.clock().add(millis(overlap)))
            .col_expr(Column::UpdatedAt, tx.clock())
            .filter(Column::Id.eq(target.id))
            .filter(Column::Secret.eq(target.secret.clone()));
        if rotate.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(false);
        }
        tx.record_target(target, ActivityKind::NotificationTargetChanged, actor).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes a target, and what it was told. False if there is no such target.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_notification_target(
        &self,
        owner: &Owner,
        id: NotificationTargetId,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let one = Entity::find_by_id(id).filter(Column::SubaccountId.eq(owner.as_str()));
        let Some(row) = one.one(tx.connection()).await? else { return Ok(false) };
        Entity::delete_by_id(id).exec(tx.connection()).await?;
        let of_it = notification::Column::TargetId.eq(id);
        notification::Entity::delete_many().filter(of_it).exec(tx.connection()).await?;
        tx.record_target(&row, ActivityKind::NotificationTargetRemoved, actor).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    /// Logs what was done to a target. The operator's targets are in nobody's log.
    async fn record_target(&self, target: &Model, kind: ActivityKind, actor: &Actor) -> Result<()> {
        let Ok(subaccount) = SubaccountId::parse(&target.subaccount_id) else { return Ok(()) };
        let activity = Activity::of_subaccount(&subaccount, kind, actor)
            .about(&target.id)
            .with("channel", target.channel.as_str())
            .with("name", target.name.as_deref())
            .with("enabled", target.enabled);
        self.record(&activity).await
    }
}
