//! The activity log: what happened, for people. Written in the transaction of the fact; never holds the
//! customer's words.

use crate::{Connection, Result, Tx};
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_entity::activity;
use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// An account was connected.
    Connected,
    /// An account was disconnected.
    Disconnected,
    /// A message was accepted by Graph.
    MessageSent,
    /// A message came in.
    MessageReceived,
    /// A connection changed its state by itself.
    ConnectionStateChanged,
    /// The agent fell silent in a chat, or speaks again.
    BotPaused,
    /// A message will not be sent.
    MessageFailed,
}

impl ActivityKind {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "INSTAGRAM_CONNECTED",
            Self::Disconnected => "INSTAGRAM_DISCONNECTED",
            Self::MessageSent => "INSTAGRAM_MESSAGE_SENT",
            Self::MessageReceived => "INSTAGRAM_MESSAGE_RECEIVED",
            Self::ConnectionStateChanged => "INSTAGRAM_CONNECTION_STATE_CHANGED",
            Self::BotPaused => "INSTAGRAM_BOT_PAUSED",
            Self::MessageFailed => "INSTAGRAM_MESSAGE_FAILED",
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct Activity {
    subaccount: SubaccountId,
    connection: Option<ConnectionId>,
    kind: ActivityKind,
    actor: String,
    subject: Option<String>,
    details: Map<String, Value>,
}

impl Activity {
    /// Something about a connection, done by `actor`: a key's name, `agent`, `user` or `system`.
    pub fn of_connection(connection: &Connection, kind: ActivityKind, actor: &str) -> Self {
        Self {
            subaccount: connection.subaccount.clone(),
            connection: Some(connection.id),
            kind,
            actor: actor.to_owned(),
            subject: None,
            details: Map::new(),
        }
    }

    /// What it was done to: the id of a chat or a message.
    #[must_use]
    pub fn about(mut self, subject: &impl ToString) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// One more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

#[derive(FromQueryResult)]
struct Now {
    now: i64,
}

impl Tx {
    /// Writes an entry of the log.
    pub async fn record(&self, activity: &Activity) -> Result<()> {
        let now = self.first::<Now>("SELECT {now} AS now", Vec::new()).await?.map_or(0, |row| row.now);
        self.record_at(activity, now).await
    }

    /// Writes an entry of the log, with the time the caller has already read from the database.
    pub async fn record_at(&self, activity: &Activity, now: i64) -> Result<()> {
        let row = activity::ActiveModel {
            id: Set(Uuid::now_v7()),
            subaccount_id: Set(activity.subaccount.to_string()),
            connection_id: Set(activity.connection.map(|id| id.0)),
            kind: Set(activity.kind.as_str().to_owned()),
            actor: Set(activity.actor.clone()),
            subject: Set(activity.subject.clone()),
            details: Set(Value::Object(activity.details.clone()).to_string()),
            at: Set(now),
        };
        activity::Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(())
    }
}
