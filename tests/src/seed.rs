//! Rows written directly into the tables, for tests of reads and commands.

use anyhow::{Context, Result};
use dmrelay_domain::ids::{ChatId, ConnectionId, DeadLetterId, InstagramUserId, MessageId, TurnId, WorkerId};
use dmrelay_domain::states::{Author, DeadLetterKind, Direction, MessageStatus, TurnState};
use dmrelay_store::entity::{Word, chat, dead_letter, message, turn};
use dmrelay_store::{ProcessInfo, Store};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

/// A message to store.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its direction.
    pub direction: Direction,
    /// Its author.
    pub author: Author,
    /// Its status.
    pub status: MessageStatus,
    /// Its kind.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Meta's timestamp.
    pub at: i64,
    /// Whether the agent should answer it.
    pub needs_answer: bool,
    /// The turn that produced it, and its position in the answer.
    pub part: Option<(TurnId, i32)>,
}

impl NewMessage {
    /// A text.
    pub fn text(author: Author, status: MessageStatus, text: &str) -> Self {
        let direction = if author == Author::User { Direction::Inbound } else { Direction::Outbound };
        let (kind, text) = ("text".to_owned(), text.to_owned());
        Self { direction, author, status, kind, text, at: 0, needs_answer: false, part: None }
    }
}

/// The chat of a user, created if missing.
///
/// # Errors
/// A database error.
pub async fn chat(store: &Store, connection: ConnectionId, user: &str) -> Result<chat::Model> {
    let user = InstagramUserId::parse(user)?;
    let ids = store.ensure_chats(&[(connection, user)]).await?;
    let id = *ids.first().context("the chat")?;
    chat::Entity::find_by_id(id).one(store.connection()).await?.context("the chat")
}

/// What a worker says of itself.
pub fn process(id: WorkerId) -> ProcessInfo {
    ProcessInfo { id, kind: "worker", version: "0", keys: vec!["k1".to_owned()] }
}

/// Changes a chat.
///
/// # Errors
/// A database error.
pub async fn change_chat(store: &Store, chat: chat::Model) -> Result<()> {
    chat.into_active_model().reset_all().update(store.connection()).await?;
    Ok(())
}

/// Adds a message at the end of a chat.
///
/// # Errors
/// A database error.
pub async fn add_message(store: &Store, chat: &mut chat::Model, new: NewMessage) -> Result<MessageId> {
    let (now, id) = (store.now().await?, MessageId::new());
    chat.last_seq += 1;
    chat.last_message_at = chat.last_message_at.max(now);
    let (turn_id, part) = new.part.unzip();
    let row = message::ActiveModel {
        id: Set(id),
        connection_id: Set(chat.connection_id),
        chat_id: Set(chat.id),
        seq: Set(chat.last_seq),
        direction: Set(new.direction.into()),
        author: Set(new.author.into()),
        kind: Set(new.kind),
        text: Set(Some(new.text)),
        needs_answer: Set(new.needs_answer),
        turn_id: Set(turn_id),
        part: Set(part),
        status: Set(new.status.into()),
        at: Set(new.at),
        received_at: Set(now),
        created_at: Set(now),
        attempt: Set(0),
        lookups: Set(0),
        ..Default::default()
    };
    message::Entity::insert(row).exec_without_returning(store.connection()).await?;
    change_chat(store, chat.clone()).await?;
    Ok(id)
}

/// Adds a turn that asks about these messages.
///
/// # Errors
/// A database error.
pub async fn add_turn(
    store: &Store,
    chat: &chat::Model,
    asked: &[MessageId],
    state: TurnState,
) -> Result<TurnId> {
    let (now, id) = (store.now().await?, TurnId::new());
    let row = turn::ActiveModel {
        id: Set(id),
        connection_id: Set(chat.connection_id),
        chat_id: Set(chat.id),
        message_ids: Set(serde_json::to_string(asked)?),
        asked_seq: Set(chat.last_seq),
        asked_hash: Set(vec![7; 32]),
        agent_chat_id: Set(Some("agent chat".to_owned())),
        rollovers: Set(0),
        state: Set(state.into()),
        attempt: Set(1),
        lookups: Set(0),
        deadline: Set(now + 30_000),
        written_at: Set(now),
        received_at: Set(now),
        started_at: Set(now),
        ..Default::default()
    };
    turn::Entity::insert(row).exec_without_returning(store.connection()).await?;
    message::Entity::update_many()
        .col_expr(message::Column::TurnId, sea_orm::sea_query::Expr::value(id))
        .filter(message::Column::Id.is_in(asked.iter().copied()))
        .exec(store.connection())
        .await?;
    Ok(id)
}

/// Adds an open dead letter.
///
/// # Errors
/// A database error.
pub async fn add_letter(
    store: &Store,
    (subaccount, connection): (&str, ConnectionId),
    chat: Option<ChatId>,
    (kind, reference): (DeadLetterKind, impl Into<Uuid>),
    class: &str,
) -> Result<dead_letter::Model> {
    let row = dead_letter::ActiveModel {
        id: Set(DeadLetterId::new()),
        subaccount_id: Set(subaccount.to_owned()),
        connection_id: Set(Some(connection)),
        chat_id: Set(chat),
        kind: Set(kind.into()),
        reference: Set(reference.into()),
        class: Set(Word::read(class.to_owned())),
        error: Set("bad".to_owned()),
        attempts: Set(1),
        created_at: Set(store.now().await?),
        replayed_at: Set(None),
        discarded_at: Set(None),
        closed_by: Set(None),
    };
    Ok(row.insert(store.connection()).await?)
}
