//! Statements of the REST API that must behave the same on PostgreSQL and SQLite.

mod lists;
mod replay;
mod writes;

use crate::base::Base;
use anyhow::{Context, Result};
use dmrelay_domain::ids::{ConnectionId, InstagramUserId, MessageId};
use dmrelay_domain::states::{Author, ChatMode, DeadLetterKind, MessageStatus};
use dmrelay_store::entity::{activity, chat, dead_letter, message};
use dmrelay_store::{
    ActivityFilter, ActivityKind, Connection, DeadLetterFilter, DeadLetterState, MessageFilter,
};
use dmrelay_tests::database::connect;
use dmrelay_tests::seed::{self, NewMessage};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::time::Duration;

const HOUR: i64 = 3_600_000;

/// A message with this text.
fn text(author: Author, status: MessageStatus, text: &str) -> NewMessage {
    NewMessage::text(author, status, text)
}

/// A chat to change, and the database's clock.
struct Adjusted {
    row: chat::Model,
    now: i64,
}

impl Adjusted {
    /// Lets a message wait for its answer, with the turn due.
    fn await_answer(&mut self) {
        self.row.first_unanswered_at = Some(self.now);
        if self.row.mode == ChatMode::Bot {
            self.row.turn_due_at = Some(self.now);
        }
    }
}

/// A message from the user.
fn said(words: &str) -> NewMessage {
    text(Author::User, MessageStatus::Received, words)
}

/// A message queued by the agent.
fn queued(words: &str) -> NewMessage {
    text(Author::Agent, MessageStatus::Queued, words)
}

impl Base {
    fn all(&self) -> Vec<ConnectionId> {
        vec![self.connection.id]
    }

    /// Adds a message to the chat of a user, whose window is open for an hour.
    async fn add(&self, connection: &Connection, user: &str, new: NewMessage) -> Result<MessageId> {
        let mut chat = seed::chat(&self.store, connection.id, user).await?;
        let now = self.store.now().await?;
        chat.window_expires_at.get_or_insert(now + HOUR);
        seed::add_message(&self.store, &mut chat, new).await
    }

    async fn chat(&self, user: &str) -> Result<chat::Model> {
        let user = InstagramUserId::parse(user)?;
        self.store.chat_of_user(self.connection.row.id, &user).await?.context("the chat")
    }

    /// Changes a chat.
    async fn adjust(&self, user: &str, change: impl FnOnce(&mut Adjusted) + Send) -> Result<()> {
        let mut chat = Adjusted { row: self.chat(user).await?, now: self.store.now().await? };
        change(&mut chat);
        seed::change_chat(&self.store, chat.row).await
    }

    async fn message(&self, id: MessageId) -> Result<message::Model> {
        self.store.message(id).await?.context("the message")
    }

    async fn sql(&self, sql: &str) -> Result<u64> {
        Ok(self.store.connection().execute_unprepared(sql).await?.rows_affected())
    }

    /// Marks a message as one that will not be sent, along with the later parts of its answer.
    async fn give_up(&self, id: MessageId, status: MessageStatus) -> Result<dead_letter::Model> {
        let message = self.message(id).await?;
        let mut rows = vec![(id, status)];
        if let (Some(turn), Some(part)) = (message.turn_id, message.part) {
            let later = message::Entity::find()
                .filter(message::Column::TurnId.eq(turn))
                .filter(message::Column::Part.gt(part))
                .all(self.store.connection())
                .await?;
            rows.extend(later.into_iter().map(|row| (row.id, MessageStatus::Cancelled)));
        }
        for (id, status) in rows {
            message::Entity::update_many()
                .col_expr(message::Column::Status, Expr::value(status.as_str()))
                .filter(message::Column::Id.eq(id))
                .exec(self.store.connection())
                .await?;
        }
        let place = (self.connection.subaccount.as_str(), self.connection.id);
        let subject = (DeadLetterKind::Message, id);
        seed::add_letter(&self.store, place, Some(message.chat_id), subject, "invalid").await
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
        MessageFilter {
            connections: self.all(),
            limit: 50,
            search_most: 1_000,
            search_time: Duration::from_secs(5),
            ..MessageFilter::default()
        }
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

    /// The activities of one kind, oldest first.
    async fn logged(&self, kind: ActivityKind) -> Result<Vec<activity::Model>> {
        let filter = ActivityFilter { kinds: vec![kind], ..self.log() };
        let mut items = self.store.activities(&filter).await?.items;
        items.reverse();
        Ok(items)
    }
}

/// The details of an activity.
fn details(activity: &activity::Model) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(&activity.details)?)
}
