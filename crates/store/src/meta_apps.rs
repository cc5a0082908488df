//! The Meta apps that subaccounts have of their own. Their secrets are sealed; nothing is opened here.

use crate::query::insert;
use crate::{Activity, ActivityKind, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::states::LoginKind;
use dmrelay_entity::meta_app::{Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

/// A Meta app to store.
#[derive(Debug, Clone)]
pub struct NewMetaApp {
    /// The row's id, for which the secrets are sealed.
    pub id: Uuid,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The login it is for.
    pub login: LoginKind,
    /// The app's id at Meta.
    pub app_id: String,
    /// Its secret, sealed.
    pub app_secret: Vec<u8>,
    /// The verification token of its webhooks, sealed.
    pub verify_token: Vec<u8>,
    /// Its configuration of Facebook Login for Business.
    pub config_id: Option<String>,
}

fn of(subaccount: &SubaccountId, login: LoginKind) -> Condition {
    let subaccount = Column::SubaccountId.eq(subaccount.as_str());
    Condition::all().add(subaccount).add(Column::LoginKind.eq(login.as_str()))
}

impl Store {
    /// The apps of a subaccount: at most one for each login.
    ///
    /// # Errors
    /// What the database says.
    pub async fn meta_apps(&self, subaccount: &SubaccountId) -> Result<Vec<Model>> {
        let all = Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str()));
        // The connection that writes: what was just stored must be seen.
        Ok(all.order_by_asc(Column::LoginKind).all(&self.writer()).await?)
    }

    /// The app of a subaccount for a login.
    ///
    /// # Errors
    /// What the database says.
    pub async fn meta_app(&self, subaccount: &SubaccountId, login: LoginKind) -> Result<Option<Model>> {
        Ok(Entity::find().filter(of(subaccount, login)).one(&self.writer()).await?)
    }

    /// Stores an app in place of the one that the subaccount has for this login.
    ///
    /// # Errors
    /// What the database says.
    pub async fn put_meta_app(&self, new: &NewMetaApp, actor: &Actor) -> Result<()> {
        let tx = self.begin().await?;
        let put = insert::<Entity>([
            (Column::Id, new.id.into()),
            (Column::SubaccountId, new.subaccount.as_str().into()),
            (Column::LoginKind, new.login.as_str().into()),
            (Column::AppId, new.app_id.as_str().into()),
            (Column::AppSecret, new.app_secret.clone().into()),
            (Column::VerifyToken, new.verify_token.clone().into()),
            (Column::ConfigId, new.config_id.clone().into()),
            (Column::CreatedAt, tx.clock()),
            (Column::UpdatedAt, tx.clock()),
        ])
        .on_conflict(
            OnConflict::columns([Column::SubaccountId, Column::LoginKind])
                .update_columns([
                    Column::Id,
                    Column::AppId,
                    Column::AppSecret,
                    Column::VerifyToken,
                    Column::ConfigId,
                    Column::UpdatedAt,
                ])
                .to_owned(),
        )
        .take();
        tx.connection().execute(&put).await?;
        let activity = Activity::of_subaccount(&new.subaccount, ActivityKind::MetaAppSet, actor)
            .with("loginKind", new.login.as_str())
            .with("appId", new.app_id.as_str());
        tx.record(&activity).await?;
        tx.commit().await
    }

    /// Deletes the app of a subaccount for a login. False if it has none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_meta_app(
        &self,
        subaccount: &SubaccountId,
        login: LoginKind,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let delete = Entity::delete_many().filter(of(subaccount, login));
        if delete.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(false);
        }
        let activity = Activity::of_subaccount(subaccount, ActivityKind::MetaAppRemoved, actor)
            .with("loginKind", login.as_str());
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }
}
