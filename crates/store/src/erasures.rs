//! Requests to erase everything of an account or of a subaccount. A worker does it, conversation by conversation.

use crate::{Activity, ActivityKind, Connection, Result, Store, Tx, connections};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{ConnectionId, ErasureId, SubaccountId, id_at};
use dmrelay_domain::states::{ConnectionStatus, ErasureState};
use dmrelay_entity::erasure::{self, Column, Entity};
use dmrelay_entity::{api_key, instagram_connection};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// A request to erase.
#[derive(Debug, Clone)]
pub struct NewErasure {
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The connection; none for the whole subaccount.
    pub connection: Option<ConnectionId>,
    /// Who asked for it.
    pub actor: Actor,
    /// The confirmation code that Meta was given.
    pub code: Option<String>,
    /// How long until it begins.
    pub grace: Duration,
}

impl Tx {
    /// Asks to erase; accounts that are connected are disconnected first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn request_erasure(&self, new: &NewErasure) -> Result<ErasureId> {
        let now = self.now().await?;
        let id = id_at::<ErasureId>(now);
        let row = erasure::ActiveModel {
            id: Set(id),
            code: Set(new.code.clone()),
            subaccount_id: Set(new.subaccount.to_string()),
            connection_id: Set(new.connection),
            actor: Set(new.actor.name.clone()),
            actor_id: Set(new.actor.id.clone()),
            state: Set(ErasureState::Waiting.into()),
            due_at: Set(now + millis(new.grace)),
            trace_id: Set(None),
            users: Set(0),
            created_at: Set(now),
            finished_at: Set(None),
        };
        Entity::insert(row).exec_without_returning(self.connection()).await?;
        if new.connection.is_none() {
            // Nobody connects an account while it is erased.
            let revoke = api_key::Entity::update_many()
                .col_expr(api_key::Column::RevokedAt, self.clock())
                .filter(api_key::Column::SubaccountId.eq(new.subaccount.as_str()))
                .filter(api_key::Column::RevokedAt.is_null());
            revoke.exec(self.connection()).await?;
        }
        let activity = Activity::of_subaccount(&new.subaccount, ActivityKind::ErasureRequested, &new.actor)
            .in_connection(new.connection)
            .about(&id)
            .with("dueAt", now + millis(new.grace));
        self.record_at(&activity, now).await?;
        Ok(id)
    }

    /// Meta asked to delete what is stored of somebody who is not known here.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_unmatched_erasure(&self, code: &str, actor: &Actor) -> Result<()> {
        let now = self.now().await?;
        let row = erasure::ActiveModel {
            id: Set(id_at::<ErasureId>(now)),
            code: Set(Some(code.to_owned())),
            subaccount_id: Set(String::new()),
            connection_id: Set(None),
            actor: Set(actor.name.clone()),
            actor_id: Set(actor.id.clone()),
            state: Set(ErasureState::Unmatched.into()),
            due_at: Set(now),
            trace_id: Set(None),
            users: Set(0),
            created_at: Set(now),
            finished_at: Set(Some(now)),
        };
        Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(())
    }
}

impl Tx {
    /// Whether a subaccount as a whole is being erased.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_erasing(&self, subaccount: &SubaccountId) -> Result<bool> {
        let open = Entity::find()
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .filter(Column::ConnectionId.is_null())
            .filter(Column::FinishedAt.is_null());
        Ok(open.one(self.connection()).await?.is_some())
    }

    /// Disconnects an account whose owner has taken the app's permission away: its token is worth nothing any more. The secret of
    /// its own Meta app stays, for Meta's next callback.
    ///
    /// # Errors
    /// What the database says.
    pub async fn deauthorize(&self, connection: &Connection, reason: &str) -> Result<bool> {
        if connection.status == ConnectionStatus::Disconnected
            || !self.mark_disconnected(connection, reason).await?
        {
            return Ok(false);
        }
        let activity = Activity::of_connection(connection, ActivityKind::Disconnected, "meta")
            .with("reason", reason)
            .with("instagramAccountId", connection.account.as_str());
        self.record(&activity).await?;
        Ok(true)
    }
}

impl Store {
    /// The erasures that Meta was given this code for.
    ///
    /// # Errors
    /// What the database says.
    pub async fn erasures_of_code(&self, code: &str) -> Result<Vec<erasure::Model>> {
        Ok(Entity::find().filter(Column::Code.eq(code)).all(&self.reader()).await?)
    }

    /// The newest erasures.
    ///
    /// # Errors
    /// What the database says.
    pub async fn erasures(&self, most: u64) -> Result<Vec<erasure::Model>> {
        self.list_all(Entity::find().order_by_desc(Column::Id).limit(most)).await
    }

    /// The connections that Meta may mean by a user id of a signed request: of the account, of its Page, or app-scoped.
    ///
    /// # Errors
    /// What the database says.
    pub async fn connections_of_meta_user(&self, user: &str) -> Result<Vec<Connection>> {
        use instagram_connection::Column;
        let named = Condition::any()
            .add(Column::AppUserId.eq(user))
            .add(Column::InstagramAccountId.eq(user))
            .add(Column::PageId.eq(user));
        let rows = instagram_connection::Entity::find().filter(named).all(&self.reader()).await?;
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// Erasures that are due and not finished, the oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_erasures(&self, most: u64) -> Result<Vec<erasure::Model>> {
        let due = Entity::find()
            .filter(Column::FinishedAt.is_null())
            .filter(Column::DueAt.into_expr().lte(self.clock()))
            .order_by_asc(Column::DueAt)
            .limit(most);
        Ok(due.all(&self.writer()).await?)
    }

    /// An erasure is looked at again after `delay`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn put_off_erasure(&self, erasure: ErasureId, delay: Duration) -> Result<()> {
        let put_off = Entity::update_many()
            .col_expr(Column::DueAt, self.clock().add(millis(delay)))
            .filter(Column::Id.eq(erasure))
            .filter(Column::FinishedAt.is_null());
        put_off.exec(&self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn note_erasing(&self, erasure: &erasure::Model, users: u64) -> Result<()> {
        let users = i64::try_from(users).unwrap_or(i64::MAX);
        let note = Entity::update_many()
            .col_expr(Column::State, ErasureState::Running.as_str().into())
            .col_expr(Column::Users, Column::Users.into_expr().add(users))
            .filter(Column::Id.eq(erasure.id));
        note.exec(&self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn finish_erasure(&self, erasure: &erasure::Model) -> Result<bool> {
        let finish = Entity::update_many()
            .col_expr(Column::State, ErasureState::Done.as_str().into())
            .col_expr(Column::FinishedAt, self.clock())
            .filter(Column::Id.eq(erasure.id));
        finish.exec(&self.writer()).await?;
        Ok(true)
    }

    /// The accounts of a subaccount that are connected begin to be disconnected.
    ///
    /// # Errors
    /// What the database says.
    pub async fn disconnect_all(&self, subaccount: &SubaccountId, actor: &Actor) -> Result<u64> {
        let live = instagram_connection::Entity::find()
            .filter(instagram_connection::Column::SubaccountId.eq(subaccount.as_str()))
            .filter(connections::is_live())
            .all(&self.writer())
            .await?;
        let mut ended = 0;
        for row in live {
            let Ok(connection) = Connection::from_row(row) else { continue };
            let tx = self.begin().await?;
            tx.mark_disconnecting(connection.id, "its data is to be erased").await?;
            let activity = Activity::of_connection(&connection, ActivityKind::Disconnected, actor)
                .with("instagramAccountId", connection.account.as_str());
            tx.record(&activity).await?;
            tx.commit().await?;
            ended += 1;
        }
        Ok(ended)
    }
}
