//! Carrying out an erasure, conversation by conversation and account by account, until nothing is found any more.

use crate::traces::Trace;
use crate::{Activity, ActivityKind, Connection, Result, Store, connections};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, SubaccountId};
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_entity::{
    account_sign, activity, agent, api_key, backfill, breaker, chat, connect_session, connection_check,
    dead_letter, erased_trace, erased_user, erasure, idempotency_key, incident, instagram_connection, media,
    meta_app, notification, notification_target, prompt_echo, provider_key, session, usage_day,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use std::time::Duration;

/// How many conversations of an account are erased by one step.
const CHATS_PER_STEP: u64 = 200;

/// Who asked for an erasure.
fn actor_of(erasure: &erasure::Model) -> Actor {
    Actor { name: erasure.actor.clone(), id: erasure.actor_id.clone() }
}

impl Store {
    /// Goes on with an erasure that is due. True once it is finished; false if there is more, or if an account is still being
    /// disconnected. An account that was connected anew since the request loses the conversations of before, and stays connected.
    ///
    /// # Errors
    /// What the database says.
    pub async fn go_on_erasing(&self, erasure: &erasure::Model, settled: Duration) -> Result<bool> {
        let Ok(subaccount) = SubaccountId::parse(&erasure.subaccount_id) else {
            return self.finish_erasure(erasure).await;
        };
        self.note_erasing(erasure, 0).await?;
        let is_done = match erasure.connection_id {
            Some(id) => self.go_on_with_account(erasure, id, settled).await?,
            None => self.go_on_with_subaccount(erasure, &subaccount, settled).await?,
        };
        if is_done { self.finish_erasure(erasure).await } else { Ok(false) }
    }

    async fn go_on_with_account(
        &self,
        erasure: &erasure::Model,
        id: ConnectionId,
        settled: Duration,
    ) -> Result<bool> {
        let Some(connection) = self.connection_by_id(id).await? else {
            if self.has_traces(erased_trace::Column::ConnectionId.eq(id)).await? {
                return Ok(false);
            }
            let of_connection = activity::Column::ConnectionId.eq(id);
            self.forget_activities(&erasure.subaccount_id, of_connection).await?;
            return Ok(true);
        };
        let is_live = connections::is_in_use(connection.status);
        if !is_live && connection.status != ConnectionStatus::Disconnected {
            return Ok(false);
        }
        // Of one that was connected anew, what began since is another matter.
        let begun_by = if is_live { erasure.created_at } else { Millis::MAX };
        if !self.erase_conversations(erasure, &connection, begun_by, settled).await? {
            return Ok(false);
        }
        if !is_live {
            self.erase_connection(&connection, &actor_of(erasure)).await?;
            return Ok(false);
        }
        if let Some(left) = erasure.trace_id {
            return Ok(!self.has_traces(erased_trace::Column::Id.eq(left)).await?);
        }
        let tx = self.begin().await?;
        let trace = Trace { connection: &connection, user: "", chat: None, until: Some(erasure.created_at) };
        let left = tx.leave_traces(&trace, tx.now().await?).await?;
        let note = erasure::Entity::update_many()
            .col_expr(erasure::Column::TraceId, Expr::val(Some(left)))
            .filter(erasure::Column::Id.eq(erasure.id));
        note.exec(tx.connection()).await?;
        tx.commit().await?;
        Ok(false)
    }

    async fn go_on_with_subaccount(
        &self,
        erasure: &erasure::Model,
        subaccount: &SubaccountId,
        settled: Duration,
    ) -> Result<bool> {
        let connections = self.connections(subaccount, None).await?;
        if connections.iter().any(|connection| connections::is_in_use(connection.status)) {
            // It was connected while this was asked for.
            self.disconnect_all(subaccount, &actor_of(erasure)).await?;
        }
        let is_ended = |connection: &&Connection| connection.status == ConnectionStatus::Disconnected;
        for connection in connections.iter().filter(is_ended) {
            if !self.erase_conversations(erasure, connection, Millis::MAX, settled).await? {
                return Ok(false);
            }
            self.erase_connection(connection, &actor_of(erasure)).await?;
        }
        let of = erased_trace::Column::SubaccountId.eq(subaccount.as_str());
        if !connections.is_empty() || self.has_traces(of).await? {
            return Ok(false);
        }
        // Its chats at the provider are deleted with its key.
        if self.needs_own_key(subaccount.as_str()).await? {
            return Ok(false);
        }
        self.erase_subaccount(subaccount).await
    }

    /// Erases conversations of an account that began by then, so many as one step may. True if there are no more.
    async fn erase_conversations(
        &self,
        erasure: &erasure::Model,
        connection: &Connection,
        begun_by: Millis,
        settled: Duration,
    ) -> Result<bool> {
        let ids: Vec<ChatId> = chat::Entity::find()
            .select_only()
            .column(chat::Column::Id)
            .filter(chat::Column::ConnectionId.eq(connection.id))
            .filter(chat::Column::CreatedAt.lte(begun_by))
            .limit(CHATS_PER_STEP)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let (is_done, mut erased) = (ids.is_empty(), 0);
        for id in ids {
            erased += u64::from(self.forget_chat(connection, id, None, settled).await?);
        }
        self.note_erasing(erasure, erased).await?;
        Ok(is_done)
    }

    /// Erases one conversation, if it still meets the condition. False if it is gone, or does not.
    pub(crate) async fn forget_chat(
        &self,
        connection: &Connection,
        id: ChatId,
        only: Option<Condition>,
        settled: Duration,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let only_past = only.is_some();
        let chat = chat::Entity::find_by_id(id)
            .apply_if(only, QueryFilter::filter)
            .lock_exclusive()
            .one(tx.connection())
            .await?;
        let Some(chat) = chat else { return Ok(false) };
        tx.erase_chat(connection, &chat, settled).await?;
        // The log of an account that is erased as a whole goes as a whole.
        if connections::is_in_use(connection.status) || only_past {
            let chat_of_log = Some((chat.id, chat.created_at));
            let trace = Trace { connection, user: &chat.instagram_user_id, chat: chat_of_log, until: None };
            tx.leave_traces(&trace, tx.now().await?).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Erases what is left of a disconnected account without conversations.
    async fn erase_connection(&self, connection: &Connection, actor: &Actor) -> Result<()> {
        let tx = self.begin().await?;
        let (db, id) = (tx.connection(), connection.id);
        let still = instagram_connection::Entity::find_by_id(id).lock_exclusive().one(db).await?;
        // It was connected again in this moment.
        if still.is_none_or(|row| row.status.known() != Some(ConnectionStatus::Disconnected)) {
            return Ok(());
        }
        // Somebody wrote in this moment.
        if chat::Entity::find().filter(chat::Column::ConnectionId.eq(id)).one(db).await?.is_some() {
            return Ok(());
        }
        let now = tx.now().await?;
        let until = tx.owned_until(connection, now).await?;
        tx.leave_traces(&Trace { connection, user: "", chat: None, until: Some(until) }, now).await?;
        prompt_echo::Entity::delete_many().filter(prompt_echo::Column::ConnectionId.eq(id)).exec(db).await?;
        erased_user::Entity::delete_many().filter(erased_user::Column::ConnectionId.eq(id)).exec(db).await?;
        let letters = dead_letter::Entity::delete_many()
            .filter(dead_letter::Column::SubaccountId.eq(connection.subaccount.as_str()))
            .filter(dead_letter::Column::ConnectionId.eq(id));
        letters.exec(db).await?;
        if until == now {
            let account = connection.account.as_str();
            account_sign::Entity::delete_many()
                .filter(account_sign::Column::Account.eq(account))
                .exec(db)
                .await?;
            let key = crate::BreakerKey::GraphAccount(connection.account.clone()).to_string();
            breaker::Entity::delete_many().filter(breaker::Column::Key.eq(key)).exec(db).await?;
        }
        // Uploads belong to the connection, not to a chat.
        tx.discard_media(media::Column::ConnectionId.eq(id)).await?;
        backfill::Entity::delete_by_id(id).exec(db).await?;
        connection_check::Entity::delete_many()
            .filter(connection_check::Column::ConnectionId.eq(id))
            .exec(db)
            .await?;
        connect_session::Entity::delete_many()
            .filter(connect_session::Column::SubaccountId.eq(connection.subaccount.as_str()))
            .filter(connect_session::Column::ConnectionId.eq(id))
            .exec(db)
            .await?;
        tx.forget_incidents_of(incident::Column::ConnectionId.eq(id)).await?;
        tx.forget_pauses_of(&connection.subaccount, Some(&connection.account)).await?;
        tx.forget_broadcasts_of(id).await?;
        tx.forget_comments_of(id).await?;
        instagram_connection::Entity::delete_by_id(id).exec(db).await?;
        tx.record(&Activity::of_subaccount(&connection.subaccount, ActivityKind::AccountErased, actor))
            .await?;
        tx.commit().await
    }

    /// Erases what a subaccount has besides its accounts: keys, agents, its log. False if it has an account.
    async fn erase_subaccount(&self, subaccount: &SubaccountId) -> Result<bool> {
        self.forget_activities(subaccount.as_str(), activity::Column::Id.is_not_null()).await?;
        let tx = self.begin().await?;
        let (db, of) = (tx.connection(), subaccount.as_str());
        let connected =
            instagram_connection::Entity::find().filter(instagram_connection::Column::SubaccountId.eq(of));
        if connected.one(db).await?.is_some() {
            return Ok(false);
        }
        api_key::Entity::delete_many().filter(api_key::Column::SubaccountId.eq(of)).exec(db).await?;
        idempotency_key::Entity::delete_many()
            .filter(idempotency_key::Column::SubaccountId.eq(of))
            .exec(db)
            .await?;
        agent::Entity::delete_many().filter(agent::Column::SubaccountId.eq(of)).exec(db).await?;
        provider_key::Entity::delete_many()
            .filter(provider_key::Column::SubaccountId.eq(of))
            .exec(db)
            .await?;
        meta_app::Entity::delete_many().filter(meta_app::Column::SubaccountId.eq(of)).exec(db).await?;
        connect_session::Entity::delete_many()
            .filter(connect_session::Column::SubaccountId.eq(of))
            .exec(db)
            .await?;
        dead_letter::Entity::delete_many().filter(dead_letter::Column::SubaccountId.eq(of)).exec(db).await?;
        tx.execute("DELETE FROM turn_counts WHERE subaccount_id = $1", vec![of.into()]).await?;
        usage_day::Entity::delete_many().filter(usage_day::Column::SubaccountId.eq(of)).exec(db).await?;
        session::Entity::delete_many().filter(session::Column::SubaccountId.eq(of)).exec(db).await?;
        tx.forget_incidents_of(incident::Column::SubaccountId.eq(of)).await?;
        notification::Entity::delete_many()
            .filter(notification::Column::SubaccountId.eq(of))
            .exec(db)
            .await?;
        notification_target::Entity::delete_many()
            .filter(notification_target::Column::SubaccountId.eq(of))
            .exec(db)
            .await?;
        tx.forget_templates_of(subaccount).await?;
        tx.forget_pauses_of(subaccount, None).await?;
        tx.commit().await?;
        Ok(true)
    }
}
