//! Erasing customers: what they wrote, what was written to them, and whatever names them. A digest of their id and the time
//! are kept, so that what is delivered late does not bring anything back.

use crate::agent_chats::Left;
use crate::query::literal;
use crate::traces::Trace;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx, connections};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, EventId, InstagramUserId};
use dmrelay_domain::states::EventState;
use dmrelay_entity::{
    chat, chat_read, dead_letter, erased_user, event, instagram_connection, message, prompt_echo, turn,
};
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::{Builder, Uuid};

/// What was erased of a customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// The conversation, if there was one.
    pub chat: Option<ChatId>,
    /// Messages, received and sent.
    pub messages: u64,
    /// Questions to the agent.
    pub turns: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Events that waited; others are erased by a worker.
    pub events: u64,
    /// Chats that are to be deleted at the agent's provider.
    pub agent_chats: u64,
}

/// How long after an erasure no call for its conversation can be under way, for whoever does not know the workers' timeouts.
pub const AGENT_CALLS_SETTLED: Duration = Duration::from_mins(5);

/// A digest of a user's id, by which they are recognized once they are erased.
pub(crate) fn user_key(user: &InstagramUserId) -> Uuid {
    let hash = Sha256::new().chain_update("dmrelay erased user").chain_update(user.as_str()).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    Builder::from_custom_bytes(key).into_uuid()
}

impl Store {
    /// Erases a customer of a connection. What is under way for them has no effect any more; chats at the agent's provider are
    /// deleted once `settled` has passed, after which no call can be under way there.
    ///
    /// # Errors
    /// What the database says; then it is to be repeated.
    pub async fn erase_user(
        &self,
        connection: &Connection,
        user: &InstagramUserId,
        actor: &Actor,
        settled: Duration,
    ) -> Result<Erased> {
        let tx = self.begin().await?;
        let chat = chat::Entity::find()
            .filter(chat::Column::ConnectionId.eq(connection.id))
            .filter(chat::Column::InstagramUserId.eq(user.as_str()))
            .lock_exclusive()
            .one(tx.connection())
            .await?;
        let now = tx.now().await?;
        let mut erased = match &chat {
            Some(chat) => tx.erase_chat(connection, chat, settled).await?,
            None => Erased::default(),
        };
        tx.forget_comments_by(connection.id, user.as_str()).await?;
        let gone = erased_user::ActiveModel {
            connection_id: Set(connection.id),
            user_key: Set(user_key(user)),
            at: Set(now),
        };
        let known = OnConflict::columns([erased_user::Column::UserKey, erased_user::Column::ConnectionId])
            .update_column(erased_user::Column::At)
            .to_owned();
        erased_user::Entity::insert(gone).on_conflict(known).exec_without_returning(tx.connection()).await?;
        let mut activity = Activity::of_connection(connection, ActivityKind::UserErased, actor)
            .with("messages", erased.messages)
            .with("turns", erased.turns);
        if let Some(id) = erased.chat {
            activity = activity.about(&id).with("chatId", id.to_string());
        }
        tx.record_at(&activity, now).await?;
        let waiting = tx.erase_waiting(connection, user).await?;
        erased.events = waiting.0;
        erased.dead_letters += waiting.1;
        let until = tx.owned_until(connection, now).await?;
        let chat = chat.map(|chat| (chat.id, chat.created_at));
        tx.leave_traces(&Trace { connection, user: user.as_str(), chat, until: Some(until) }, now).await?;
        tx.commit().await?;
        Ok(erased)
    }

    /// These events are of users who were erased: nothing of them is stored but their keys.
    ///
    /// # Errors
    /// What the database says.
    pub async fn erase_late_events(&self, events: &[EventId]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let tx = self.begin().await?;
        tx.erase_these(events).await?;
        tx.commit().await
    }
}

impl Tx {
    /// Erases a conversation whose row is locked.
    pub(crate) async fn erase_chat(
        &self,
        connection: &Connection,
        chat: &chat::Model,
        settled: Duration,
    ) -> Result<Erased> {
        let db = self.connection();
        let mut erased = Erased { chat: Some(chat.id), ..Erased::default() };
        erased.agent_chats = self.leave_agent_chats(&Left::OfChat(chat.id), settled).await?;
        let messages = message::Entity::delete_many().filter(message::Column::ChatId.eq(chat.id));
        erased.messages = messages.exec(db).await?.rows_affected;
        self.discard_media_of(chat.id).await?;
        let turns = turn::Entity::delete_many().filter(turn::Column::ChatId.eq(chat.id));
        erased.turns = turns.exec(db).await?.rows_affected;
        let echoes = prompt_echo::Entity::delete_many()
            .filter(prompt_echo::Column::ConnectionId.eq(connection.id))
            .filter(prompt_echo::Column::ChatId.eq(chat.id));
        echoes.exec(db).await?;
        let letters = dead_letter::Entity::delete_many()
            .filter(dead_letter::Column::SubaccountId.eq(connection.subaccount.as_str()))
            .filter(dead_letter::Column::ChatId.eq(chat.id));
        erased.dead_letters = letters.exec(db).await?.rows_affected;
        self.erase_triage(chat.id).await?;
        self.forget_recipient(chat.id).await?;
        self.forget_comments_by(connection.id, &chat.instagram_user_id).await?;
        chat_read::Entity::delete_many().filter(chat_read::Column::ChatId.eq(chat.id)).exec(db).await?;
        chat::Entity::delete_by_id(chat.id).exec(db).await?;
        Ok(erased)
    }

    /// Erases what waits of a user, and what was not understood, if the connection is the one that has the account: so many that
    /// a page of them is found by an index. Gives the numbers of events and of dead letters.
    async fn erase_waiting(&self, connection: &Connection, user: &InstagramUserId) -> Result<(u64, u64)> {
        use event::Column;
        let is_elsewhere = self.live_elsewhere(connection).await?.is_some();
        if is_elsewhere {
            return Ok((0, 0));
        }
        let waiting: Vec<EventId> = event::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Thread.eq(user.as_str()))
            .filter(Column::Account.eq(connection.account.as_str()))
            .filter(Column::State.into_expr().eq(literal(EventState::New.as_str())))
            .into_tuple()
            .all(self.connection())
            .await?;
        let (mut events, mut letters) = (0, 0);
        for ids in waiting.chunks(1_000) {
            events += self.erase_these(ids).await?;
            let subaccounts = [connection.subaccount.as_str(), ""].into_iter();
            letters += self.drop_letters_of_events(ids, subaccounts).await?;
        }
        Ok((events, letters))
    }

    /// Until when what was received for the account was this connection's: until now, or until another one took it over, whatever
    /// became of that since.
    pub(crate) async fn owned_until(&self, connection: &Connection, now: Millis) -> Result<Millis> {
        use instagram_connection::Column;
        let since = connection.row.connected_since();
        let later = instagram_connection::Entity::find()
            .filter(Column::InstagramAccountId.eq(connection.account.as_str()))
            .filter(Column::Id.ne(connection.id))
            .filter(Column::CreatedAt.gt(since))
            .order_by_asc(Column::CreatedAt)
            .one(self.connection())
            .await?;
        let live = self.live_elsewhere(connection).await?;
        let taken = live.map(|row| row.connected_since());
        Ok(later.map(|row| row.created_at).into_iter().chain(taken).fold(now, Ord::min))
    }

    /// The connection that has the account, if it is another one.
    async fn live_elsewhere(&self, connection: &Connection) -> Result<Option<instagram_connection::Model>> {
        let other = connections::live(connection.account.as_str())
            .filter(instagram_connection::Column::Id.ne(connection.id));
        Ok(other.one(self.connection()).await?)
    }
}
