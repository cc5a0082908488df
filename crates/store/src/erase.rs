//! Erasing customers: what they wrote, what was written to them, and whatever names them. A digest of their id and the time
//! are kept, so that what is delivered late does not bring anything back.

use crate::activities::first_id_at;
use crate::retention::CLOCK_SKEW;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ActivityId, ChatId, EventId, InstagramUserId};
use dmrelay_domain::states::{DeadLetterKind, EventState};
use dmrelay_entity::{
    activity, agent_chat_deletion, chat, dead_letter, erased_user, event, message, prompt_echo, turn,
};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
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
    /// Events of the inbox.
    pub events: u64,
    /// Chats that are to be deleted at the agent's provider.
    pub agent_chats: u64,
}

/// How long after an erasure no call for its conversation can be under way, for whoever does not know the workers' timeouts.
pub const AGENT_CALLS_SETTLED: Duration = Duration::from_mins(5);

/// How many events one statement looks at.
const EVENTS_PER_PAGE: u64 = 20_000;

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
        let gone = erased_user::ActiveModel {
            account: Set(connection.account.to_string()),
            user_key: Set(user_key(user)),
            at: Set(now),
        };
        let known = OnConflict::columns([erased_user::Column::UserKey, erased_user::Column::Account])
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
        tx.commit().await?;
        let since = chat.map_or(0, |chat| chat.created_at);
        let of_user = Condition::all()
            .add(event::Column::Account.eq(connection.account.as_str()))
            .add(event::Column::Thread.eq(user.as_str()))
            .add(event::Column::At.lte(now));
        let (events, letters) = self.erase_events(connection, of_user, since).await?;
        erased.events = events;
        erased.dead_letters += letters;
        Ok(erased)
    }

    /// Erases the events that meet the condition and came since a time, and the dead letters that speak of them. Their keys stay.
    pub(crate) async fn erase_events(
        &self,
        connection: &Connection,
        wanted: Condition,
        since: Millis,
    ) -> Result<(u64, u64)> {
        use event::Column;
        let mut after = first_id_at::<EventId>(since - millis(CLOCK_SKEW));
        let (mut events, mut letters) = (0, 0);
        loop {
            let end: Option<EventId> = event::Entity::find()
                .select_only()
                .column(Column::Id)
                .filter(Column::Id.gt(after))
                .order_by_asc(Column::Id)
                .offset(EVENTS_PER_PAGE)
                .limit(1)
                .into_tuple()
                .one(&self.writer())
                .await?;
            let page: Vec<EventId> = event::Entity::find()
                .select_only()
                .column(Column::Id)
                .filter(Column::Id.gt(after))
                .apply_if(end, |select, end| select.filter(Column::Id.lte(end)))
                .filter(wanted.clone())
                .into_tuple()
                .all(&self.writer())
                .await?;
            let tx = self.begin().await?;
            for ids in page.chunks(1_000) {
                events += tx.erase_these(ids).await?;
                let of_events = dead_letter::Entity::delete_many()
                    .filter(dead_letter::Column::SubaccountId.eq(connection.subaccount.as_str()))
                    .filter(dead_letter::Column::Kind.eq(DeadLetterKind::Event.as_str()))
                    .filter(dead_letter::Column::Reference.is_in(ids.iter().map(|id| id.0)));
                letters += of_events.exec(tx.connection()).await?.rows_affected;
            }
            tx.commit().await?;
            match end {
                Some(end) => after = end,
                None => return Ok((events, letters)),
            }
        }
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

    /// An agent chat is to be deleted at its provider: its conversation was erased while it was opened.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_agent_chat_later(&self, connection: &Connection, agent_chat: &str) -> Result<()> {
        let tx = self.begin().await?;
        tx.delete_agent_chats(connection.subaccount.as_str(), vec![agent_chat.to_owned()], Duration::ZERO)
            .await?;
        tx.commit().await
    }

    /// Agent chats that are due to be deleted, the longest due first. Each is reserved for `retry`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_agent_chats(
        &self,
        most: u64,
        retry: Duration,
    ) -> Result<Vec<agent_chat_deletion::Model>> {
        use agent_chat_deletion::Column;
        let due = agent_chat_deletion::Entity::find()
            .select_only()
            .column(Column::AgentChatId)
            .filter(Column::DueAt.into_expr().lte(self.clock()))
            .order_by_asc(Column::DueAt)
            .limit(most);
        let reserve = agent_chat_deletion::Entity::update_many()
            .col_expr(Column::DueAt, self.clock().add(millis(retry)))
            .col_expr(Column::Attempts, Column::Attempts.into_expr().add(1))
            .filter(Column::AgentChatId.in_subquery(due.into_query()))
            .filter(Column::DueAt.into_expr().lte(self.clock()));
        Ok(reserve.exec_with_returning(&self.writer()).await?)
    }

    /// The agent chat is deleted at its provider, or was not there any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_chat_deleted(&self, agent_chat: &str) -> Result<()> {
        agent_chat_deletion::Entity::delete_by_id(agent_chat).exec(&self.writer()).await?;
        Ok(())
    }

    /// The agent chat could not be deleted: it is tried again after `delay`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_chat_not_deleted(&self, agent_chat: &str, error: &str, delay: Duration) -> Result<()> {
        use agent_chat_deletion::Column;
        let put_off = agent_chat_deletion::Entity::update_many()
            .col_expr(Column::DueAt, self.clock().add(millis(delay)))
            .col_expr(Column::Error, Expr::val(Some(dmrelay_domain::text::truncate(error, 500))))
            .filter(Column::AgentChatId.eq(agent_chat));
        put_off.exec(&self.writer()).await?;
        Ok(())
    }

    /// How many agent chats are to be deleted at their provider.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_chats_to_delete(&self) -> Result<u64> {
        use sea_orm::PaginatorTrait;
        Ok(agent_chat_deletion::Entity::find().count(&self.reader()).await?)
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
        let of_turns: Vec<Option<String>> = turn::Entity::find()
            .select_only()
            .column(turn::Column::AgentChatId)
            .filter(turn::Column::ChatId.eq(chat.id))
            .distinct()
            .into_tuple()
            .all(db)
            .await?;
        let mut agent_chats: Vec<String> =
            of_turns.into_iter().chain([chat.agent_chat_id.clone()]).flatten().collect();
        agent_chats.sort();
        agent_chats.dedup();
        let mut erased = Erased { chat: Some(chat.id), ..Erased::default() };
        erased.agent_chats = agent_chats.len() as u64;
        self.delete_agent_chats(connection.subaccount.as_str(), agent_chats, settled).await?;
        let messages = message::Entity::delete_many().filter(message::Column::ChatId.eq(chat.id));
        erased.messages = messages.exec(db).await?.rows_affected;
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
        // That something happened stays in the log; to whom does not.
        let names_chat = activity::Column::Details
            .contains(chat.id.to_string())
            .or(activity::Column::Subject.eq(chat.id.to_string()));
        let nameless = activity::Entity::update_many()
            .col_expr(activity::Column::Subject, Expr::val(None::<String>))
            .col_expr(activity::Column::Details, "{}".into())
            .filter(activity::Column::SubaccountId.eq(connection.subaccount.as_str()))
            .filter(activity::Column::Id.gte(first_id_at::<ActivityId>(chat.created_at - millis(CLOCK_SKEW))))
            .filter(names_chat);
        nameless.exec(db).await?;
        chat::Entity::delete_by_id(chat.id).exec(db).await?;
        Ok(erased)
    }

    /// These chats at the agent's provider are to be deleted once `settled` has passed.
    pub(crate) async fn delete_agent_chats(
        &self,
        subaccount: &str,
        agent_chats: Vec<String>,
        settled: Duration,
    ) -> Result<()> {
        if agent_chats.is_empty() {
            return Ok(());
        }
        let now = self.now().await?;
        let rows = agent_chats.into_iter().map(|agent_chat_id| agent_chat_deletion::ActiveModel {
            agent_chat_id: Set(agent_chat_id),
            subaccount_id: Set(subaccount.to_owned()),
            due_at: Set(now + millis(settled)),
            attempts: Set(0),
            error: Set(None),
            created_at: Set(now),
        });
        let known = OnConflict::column(agent_chat_deletion::Column::AgentChatId).do_nothing().to_owned();
        let insert = agent_chat_deletion::Entity::insert_many(rows).on_conflict(known);
        insert.exec_without_returning(self.connection()).await?;
        Ok(())
    }

    async fn erase_these(&self, events: &[EventId]) -> Result<u64> {
        use event::Column;
        let erase = event::Entity::update_many()
            .col_expr(Column::State, EventState::Erased.as_str().into())
            .col_expr(Column::DueAt, Expr::val(None::<i64>))
            .col_expr(Column::Raw, Expr::val(None::<Vec<u8>>))
            .col_expr(Column::Error, Expr::val(None::<String>))
            .col_expr(Column::Thread, "".into())
            .filter(Column::Id.is_in(events.iter().copied()));
        Ok(erase.exec(self.connection()).await?.rows_affected)
    }
}
