//! Dead letters: what failed for good, with its reason, so that a person can see it and replay it.

use crate::{Connection, Result, Store, Tx};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_entity::dead_letter;
use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult};
use uuid::Uuid;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An event of the inbox.
    Event(Uuid),
    /// A question to the agent.
    Turn(Uuid),
    /// A message to be sent.
    Message(Uuid),
}

/// A failure for good.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The tenant; empty for an event of an account nobody connected.
    pub subaccount: String,
    /// The connection.
    pub connection: Option<ConnectionId>,
    /// The chat.
    pub chat: Option<Uuid>,
    /// What failed.
    pub subject: Subject,
    /// Why.
    pub class: FailureClass,
    /// The last error, without the customer's words.
    pub error: String,
    /// How often it was tried.
    pub attempts: i32,
}

#[derive(FromQueryResult)]
struct Count {
    class: String,
    n: i64,
}

impl DeadLetter {
    /// A dead letter of a connection.
    pub fn of(connection: &Connection, subject: Subject, class: FailureClass, error: &str) -> Self {
        Self {
            subaccount: connection.subaccount.to_string(),
            connection: Some(connection.id),
            chat: None,
            subject,
            class,
            error: error.to_owned(),
            attempts: 1,
        }
    }

    /// The same, in a chat, after so many attempts.
    #[must_use]
    pub fn in_chat(mut self, chat: Uuid, attempts: i32) -> Self {
        self.chat = Some(chat);
        self.attempts = attempts;
        self
    }
}

impl Tx {
    /// Writes a dead letter, in the transaction that ends what failed.
    pub async fn bury(&self, letter: &DeadLetter, now: i64) -> Result<()> {
        let (kind, reference) = match letter.subject {
            Subject::Event(id) => ("event", id),
            Subject::Turn(id) => ("turn", id),
            Subject::Message(id) => ("message", id),
        };
        let row = dead_letter::ActiveModel {
            id: Set(Uuid::now_v7()),
            subaccount_id: Set(letter.subaccount.clone()),
            connection_id: Set(letter.connection.map(|id| id.0)),
            chat_id: Set(letter.chat),
            kind: Set(kind.to_owned()),
            reference: Set(reference),
            class: Set(letter.class.as_str().to_owned()),
            error: Set(dmrelay_domain::text::truncate(&letter.error, 500).to_owned()),
            attempts: Set(letter.attempts),
            created_at: Set(now),
            replayed_at: Set(None),
        };
        dead_letter::Entity::insert(row).exec_without_returning(self.connection()).await?;
        tracing::warn!(
            kind, %reference, class = letter.class.as_str(), attempts = letter.attempts, error = %letter.error,
            "dead letter"
        );
        Ok(())
    }
}

impl Store {
    /// How many dead letters of each class wait to be looked at.
    pub async fn dead_letter_counts(&self) -> Result<Vec<(String, i64)>> {
        let sql = "SELECT class, COUNT(*) AS n FROM dead_letters WHERE replayed_at IS NULL GROUP BY class";
        let rows: Vec<Count> = self.read(sql, Vec::new()).await?;
        Ok(rows.into_iter().map(|row| (row.class, row.n)).collect())
    }

    /// The dead letters of a subaccount that wait to be looked at, newest first.
    pub async fn dead_letters(
        &self,
        subaccount: &SubaccountId,
        most: u64,
    ) -> Result<Vec<dead_letter::Model>> {
        let sql = "SELECT * FROM dead_letters WHERE subaccount_id = $1 AND replayed_at IS NULL ORDER BY id DESC LIMIT $2";
        self.read(sql, vec![subaccount.as_str().into(), most.into()]).await
    }
}
