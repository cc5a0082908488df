//! Dead letters: what failed for good, with its reason, so that a person can see it and replay it.

use crate::activities::id_at;
use crate::pages::{Conditions, Page};
use crate::{Connection, Result, Store, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::DeadLetterState;
use dmrelay_entity::dead_letter;
use sea_orm::{ActiveValue::Set, EntityTrait};
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

/// Which dead letters to list. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct DeadLetterFilter {
    /// Of this subaccount.
    pub subaccount: SubaccountId,
    /// Of these connections; none means no dead letter at all.
    pub connections: Vec<ConnectionId>,
    /// That failed for this.
    pub class: Option<String>,
    /// That speak of this: `event`, `turn` or `message`.
    pub kind: Option<String>,
    /// Of this chat.
    pub chat: Option<Uuid>,
    /// Of which this became.
    pub state: DeadLetterState,
    /// Older than this.
    pub created_before: Option<Millis>,
    /// Older than this dead letter.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

/// What holds of a letter nobody has looked at.
pub(crate) const OPEN: &str = "replayed_at IS NULL AND discarded_at IS NULL";

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
            id: Set(id_at(now)),
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
            discarded_at: Set(None),
            closed_by: Set(None),
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
    /// A page of dead letters, newest first.
    pub async fn dead_letter_page(&self, filter: &DeadLetterFilter) -> Result<Page<dead_letter::Model>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let mut wanted = Conditions::default();
        wanted.with("subaccount_id = {}", Some(filter.subaccount.as_str()));
        wanted.any("connection_id", filter.connections.iter().map(|id| id.0));
        wanted.must(match filter.state {
            DeadLetterState::Open => OPEN,
            DeadLetterState::Replayed => "replayed_at IS NOT NULL",
            DeadLetterState::Discarded => "discarded_at IS NOT NULL",
        });
        wanted.with("class = {}", filter.class.as_deref());
        wanted.with("kind = {}", filter.kind.as_deref());
        wanted.with("chat_id = {}", filter.chat);
        wanted.with("created_at < {}", filter.created_before);
        let place = (filter.before, filter.limit, filter.skip);
        self.newest("dead_letters", wanted, place, |row: &dead_letter::Model| row.id).await
    }

    /// A dead letter by its id, if it is of one of these connections.
    pub async fn dead_letter(
        &self,
        connections: &[ConnectionId],
        id: Uuid,
    ) -> Result<Option<dead_letter::Model>> {
        Ok(self.dead_letters_named(connections, &[id]).await?.into_iter().next())
    }

    /// The dead letters with these ids that are of one of these connections, in any order.
    pub async fn dead_letters_named(
        &self,
        connections: &[ConnectionId],
        ids: &[Uuid],
    ) -> Result<Vec<dead_letter::Model>> {
        let mut wanted = Conditions::default();
        wanted.any("id", ids.iter().copied());
        wanted.any("connection_id", connections.iter().map(|id| id.0));
        let sql = format!("SELECT {{dead_letters.*}} FROM dead_letters WHERE {}", wanted.sql());
        self.read(&sql, wanted.values()).await
    }
}
