//! What the REST API asks of the database must mean the same on PostgreSQL and SQLite.

mod lists;
mod replay;
mod writes;

use anyhow::{Context, Result};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ConnectionId, InstagramUserId};
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_store::entity::{activity, chat, dead_letter, message};
use dmrelay_store::{
    ActivityFilter, ActivityKind, Connection, DeadLetter, DeadLetterFilter, DeadLetterState, LockedChat,
    MessageFilter, NewMessage, Store, Subject,
};
use dmrelay_tests::database::{Database, connect};
use dmrelay_tests::relay::Footing;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

const HOUR: i64 = 3_600_000;

/// A database of one test, as two processes see it; its server and files live as long.
struct Base {
    store: Store,
    other: Store,
    connection: Connection,
    _database: Database,
}

async fn base(footing: Footing) -> Result<Base> {
    let database = Database::start(footing)?;
    let (store, other) = (database.open().await?, database.open().await?);
    let connection = connect(&store, "acme", "1").await?;
    Ok(Base { store, other, connection, _database: database })
}

/// A message with this text.
fn text(author: Author, status: MessageStatus, text: &str) -> NewMessage {
    let direction = if author == Author::User { Direction::Inbound } else { Direction::Outbound };
    let mut new = NewMessage::new(direction, author, status);
    new.text = Some(text.to_owned());
    new
}

/// What the user says.
fn said(words: &str) -> NewMessage {
    text(Author::User, MessageStatus::Received, words)
}

/// What the agent has queued.
fn queued(words: &str) -> NewMessage {
    text(Author::Agent, MessageStatus::Queued, words)
}

impl Base {
    fn all(&self) -> Vec<ConnectionId> {
        vec![self.connection.id]
    }

    /// Adds a message to the chat of a user, whose window is open for an hour.
    async fn add(&self, connection: &Connection, user: &str, new: NewMessage) -> Result<Uuid> {
        let tx = self.store.begin().await?;
        let user = InstagramUserId::parse(user)?;
        let mut chat = tx.upsert_chat(&connection.row, &user).await?.context("the chat")?;
        let id = tx.add_message(&mut chat, new).await?;
        chat.row.window_expires_at.get_or_insert(chat.now + HOUR);
        tx.save_chat(&chat).await?;
        tx.commit().await?;
        Ok(id.0)
    }

    async fn chat(&self, user: &str) -> Result<chat::Model> {
        let user = InstagramUserId::parse(user)?;
        self.store.chat_of_user(self.connection.row.id, &user).await?.context("the chat")
    }

    /// Changes a chat under its lock.
    async fn adjust(&self, user: &str, change: impl FnOnce(&mut LockedChat) + Send) -> Result<()> {
        let id = self.chat(user).await?.id;
        let tx = self.store.begin().await?;
        let mut chat = tx.lock_chat(id.into()).await?.context("the chat")?;
        change(&mut chat);
        // No job is pushed here.
        (chat.turn_pushed, chat.outbox_pushed) = (false, false);
        tx.save_chat(&chat).await?;
        Ok(tx.commit().await?)
    }

    async fn message(&self, id: Uuid) -> Result<message::Model> {
        self.store.message(id.into()).await?.context("the message")
    }

    async fn sql(&self, sql: &str) -> Result<u64> {
        Ok(self.store.connection().execute_unprepared(sql).await?.rows_affected())
    }

    /// A message will not be sent: the worker's way of saying so.
    async fn give_up(&self, id: Uuid, status: MessageStatus) -> Result<dead_letter::Model> {
        let message = self.message(id).await?;
        let class = FailureClass::Invalid;
        let tx = self.store.begin().await?;
        let chat = tx.lock_chat(message.chat_id.into()).await?.context("the chat")?;
        assert!(tx.give_up(&message, status, class, ("100", "bad")).await?);
        let letter = DeadLetter::of(&self.connection, Subject::Message(id), class, "bad")
            .in_chat(chat.row.id, message.attempt);
        tx.bury(&letter, chat.now).await?;
        tx.commit().await?;
        self.newest_letter().await
    }

    async fn newest_letter(&self) -> Result<dead_letter::Model> {
        let page = self.store.dead_letter_page(&self.letters(DeadLetterState::Open)).await?;
        page.items.into_iter().next().context("no dead letter")
    }

    fn letters(&self, state: DeadLetterState) -> DeadLetterFilter {
        DeadLetterFilter {
            subaccount: self.connection.subaccount.clone(),
            connections: self.all(),
            class: None,
            kind: None,
            chat: None,
            state,
            created_before: None,
            before: None,
            limit: 50,
            skip: 0,
        }
    }

    fn messages(&self) -> MessageFilter {
        MessageFilter { connections: self.all(), limit: 50, search_most: 1_000, ..MessageFilter::default() }
    }

    fn log(&self) -> ActivityFilter {
        ActivityFilter {
            subaccount: self.connection.subaccount.clone(),
            connections: None,
            kinds: Vec::new(),
            actor: None,
            subject: None,
            since: None,
            until: None,
            before: None,
            limit: 200,
            skip: 0,
        }
    }

    /// The entries of the log of one kind, oldest first.
    async fn logged(&self, kind: ActivityKind) -> Result<Vec<activity::Model>> {
        let filter = ActivityFilter { kinds: vec![kind], ..self.log() };
        let mut items = self.store.activities(&filter).await?.items;
        items.reverse();
        Ok(items)
    }
}

/// The details of an entry of the log.
fn details(activity: &activity::Model) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(&activity.details)?)
}
