//! Sessions: short-lived tokens for one person each, of which only the hash is stored. A session ends with its time, by being revoked, or
//! with the API key that it was made with.

use crate::pages::Page;
use crate::query::literal;
use crate::{Activity, ActivityKind, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{SessionId, SubaccountId};
use dmrelay_domain::permission::Role;
use dmrelay_entity::api_key;
use dmrelay_entity::session::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter,
    QuerySelect, QueryTrait,
};
use std::time::Duration;

/// How long a session that has ended is still listed.
const ENDED_FOR: Duration = Duration::from_hours(24);

/// A session to store.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Our id.
    pub id: SessionId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The person, as whoever makes it knows them.
    pub subject: String,
    /// The person's name.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// SHA-256 of the API key it is made with.
    pub key_hash: Option<[u8; 32]>,
    /// How long it lasts.
    pub time: Duration,
}

/// Who a session speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The person.
    pub subject: String,
    /// The person's name.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// When it ends, in milliseconds.
    pub expires_at: Millis,
}

impl Store {
    /// Stores a session. `None` if the subaccount has so many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_session(&self, new: &NewSession, most: u64, actor: &Actor) -> Result<Option<Model>> {
        let tx = self.begin().await?;
        let of_subaccount = Column::SubaccountId.eq(new.subaccount.as_str());
        let live = Entity::find().filter(of_subaccount).filter(self.is_live()).limit(most);
        if live.count(tx.connection()).await? >= most {
            return Ok(None);
        }
        let now = tx.now().await?;
        let session = ActiveModel {
            id: Set(new.id),
            subaccount_id: Set(new.subaccount.to_string()),
            subject: Set(new.subject.clone()),
            name: Set(new.name.clone()),
            role: Set(new.role.to_string()),
            hash: Set(new.hash.to_vec()),
            key_hash: Set(new.key_hash.map(|hash| hash.to_vec())),
            created_by: Set(actor.name.clone()),
            created_at: Set(now),
            expires_at: Set(now + millis(new.time)),
            revoked_at: Set(None),
        };
        let session = session.insert(tx.connection()).await?;
        let activity = Activity::of_subaccount(&new.subaccount, ActivityKind::SessionCreated, actor)
            .about(&new.id)
            .with("subject", new.subject.as_str())
            .with("role", new.role.as_str())
            .with("expiresAt", session.expires_at);
        tx.record_at(&activity, now).await?;
        tx.commit().await?;
        Ok(Some(session))
    }

    /// The session whose token has this hash, unless it has ended.
    ///
    /// # Errors
    /// What the database says.
    pub async fn session(&self, hash: &[u8; 32]) -> Result<Option<Session>> {
        let session = Entity::find().filter(Column::Hash.eq(hash.to_vec())).filter(self.is_live());
        let Some(row) = session.one(&self.reader()).await? else { return Ok(None) };
        // A role of a later version is no role here.
        let (Ok(subaccount), Some(role)) = (SubaccountId::parse(&row.subaccount_id), Role::parse(&row.role))
        else {
            return Ok(None);
        };
        let Model { id, subject, name, expires_at, .. } = row;
        Ok(Some(Session { id, subaccount, subject, name, role, expires_at }))
    }

    /// The sessions of a subaccount that have not ended, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn sessions(
        &self,
        subaccount: &SubaccountId,
        place: (Option<SessionId>, u64, u64),
    ) -> Result<Page<Model, SessionId>> {
        let select =
            Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str())).filter(self.is_live());
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// Ends a session of a subaccount. False if there is none; true also if it has ended before.
    ///
    /// # Errors
    /// What the database says.
    pub async fn revoke_session(
        &self,
        subaccount: &SubaccountId,
        id: SessionId,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let one = Condition::all().add(Column::Id.eq(id)).add(Column::SubaccountId.eq(subaccount.as_str()));
        let revoke = Entity::update_many()
            .col_expr(Column::RevokedAt, tx.clock())
            .filter(one.clone())
            .filter(Column::RevokedAt.is_null());
        let Some(revoked) = revoke.exec_with_returning(tx.connection()).await?.pop() else {
            return Ok(Entity::find().filter(one).one(tx.connection()).await?.is_some());
        };
        let activity = Activity::of_subaccount(subaccount, ActivityKind::SessionRevoked, actor)
            .about(&id)
            .with("subject", revoked.subject)
            .with("role", revoked.role);
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes sessions that ended a day ago. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_sessions(&self) -> Result<u64> {
        let ended = Column::ExpiresAt.into_expr().lt(self.instant().sub(millis(ENDED_FOR)));
        Ok(Entity::delete_many().filter(ended).exec(&self.writer()).await?.rows_affected)
    }

    /// The session has not ended, nor has the key that it was made with.
    fn is_live(&self) -> Condition {
        let key = api_key::Entity::find()
            .select_only()
            .expr(literal(1))
            .filter(
                Expr::col((api_key::Entity, api_key::Column::Hash)).eq(Expr::col((Entity, Column::KeyHash))),
            )
            .filter(api_key::Column::RevokedAt.is_null())
            .filter(
                api_key::Column::ExpiresAt.is_null().or(Expr::col((
                    api_key::Entity,
                    api_key::Column::ExpiresAt,
                ))
                .gt(self.instant())),
            );
        Condition::all()
            .add(Column::RevokedAt.is_null())
            .add(Expr::col((Entity, Column::ExpiresAt)).gt(self.instant()))
            .add(Column::KeyHash.is_null().or(Expr::exists(key.into_query())))
    }
}
