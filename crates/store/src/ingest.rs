//! From an event of the inbox to rows of the conversation: claiming events in order, and storing messages.

use crate::chats::LockedChat;
use crate::connections::Connection;
use crate::{Error, Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::event::Container;
use dmrelay_domain::ids::{EventId, MessageId};
use dmrelay_domain::states::{Author, Direction, EventState, MessageStatus};
use dmrelay_domain::trace::TraceId;
use dmrelay_entity::{event, message};
use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult};
use std::time::Duration;
use uuid::Uuid;

/// An event this worker may apply now.
#[derive(Debug, Clone)]
pub struct ClaimedEvent {
    /// Its row.
    pub id: EventId,
    /// The Instagram account it was sent for.
    pub account: String,
    /// The Instagram user.
    pub thread: String,
    /// Where in the entry it stood.
    pub container: Container,
    /// Its JSON.
    pub raw: Vec<u8>,
    /// Meta's timestamp.
    pub at: Millis,
    /// When the webhook was received.
    pub received_at: Millis,
    /// When the event was written.
    pub stored_at: Millis,
    /// The trace of its webhook.
    pub trace: Option<TraceId>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The database's clock.
    pub now: Millis,
}

/// What claiming the next event of a conversation gave.
#[derive(Debug)]
pub enum Claim {
    /// This one; boxed, for it carries the event's bytes.
    Event(Box<ClaimedEvent>),
    /// Nothing waits, or another worker has it, or it waits for its next attempt.
    Nothing,
}

/// A message to be stored.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Which way it went.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// Where it stands.
    pub status: MessageStatus,
    /// Meta's id, where it has one.
    pub mid: Option<String>,
    /// The first attachment's word, or what carries the text.
    pub kind: String,
    /// The text.
    pub text: Option<String>,
    /// The attachments, as JSON.
    pub attachments: Option<String>,
    /// What it replies to, as JSON.
    pub reply_to: Option<String>,
    /// A richer message to be sent, as the `message` object of Graph's Send API.
    pub payload: Option<String>,
    /// Whatever else is known of it, as JSON.
    pub metadata: Option<String>,
    /// Whether the agent is to answer it.
    pub needs_answer: bool,
    /// The turn it is a reply of, and its place among them.
    pub part: Option<(Uuid, i32)>,
    /// Meta's time of it.
    pub at: Millis,
    /// When the webhook was received that it comes from or answers.
    pub received_at: Millis,
    /// The client's key for sending it once.
    pub idempotency_key: Option<String>,
    /// Who sends it through the API.
    pub actor: Option<String>,
    /// The trace of the webhook or call that brought it about.
    pub trace: Option<TraceId>,
}

impl NewMessage {
    /// A message with nothing in it yet.
    pub fn new(direction: Direction, author: Author, status: MessageStatus) -> Self {
        Self {
            direction,
            author,
            status,
            mid: None,
            kind: "text".to_owned(),
            text: None,
            attachments: None,
            reply_to: None,
            payload: None,
            metadata: None,
            needs_answer: false,
            part: None,
            at: 0,
            received_at: 0,
            idempotency_key: None,
            actor: None,
            trace: None,
        }
    }
}

/// The kind of a row that waits for its message: something spoke of its mid before it came.
pub(crate) const STUB: &str = "stub";

#[derive(FromQueryResult)]
struct Conversation {
    account: String,
    thread: String,
}

#[derive(FromQueryResult)]
struct Now {
    now: i64,
}

impl Store {
    /// The conversation (account, thread) of an event, if it still waits.
    pub async fn event_conversation(&self, id: EventId) -> Result<Option<(String, String)>> {
        let sql = "SELECT account, thread FROM events WHERE id = $1 AND due_at IS NOT NULL";
        let rows = self.read::<Conversation>(sql, vec![id.0.into()]).await?;
        Ok(rows.into_iter().next().map(|row| (row.account, row.thread)))
    }

    /// Claims the earliest waiting event of a conversation, by Meta's time; the attempt is committed with
    /// the claim. While one worker has it (`lease`), the conversation's later events wait.
    pub async fn claim_event(&self, account: &str, thread: &str, lease: Duration) -> Result<Claim> {
        // Invariant: only the earliest is ever claimed, so a conversation is applied in order even when
        // several workers look at it.
        let sql = "UPDATE events SET attempts = attempts + 1, claimed_until = {now} + $3, due_at = {now} + $3 \
             WHERE id = (SELECT id FROM events WHERE account = $1 AND thread = $2 AND due_at IS NOT NULL \
                ORDER BY at, id LIMIT 1) \
             AND due_at IS NOT NULL AND claimed_until <= {now} RETURNING {events.*}, {now} AS now";
        let values = vec![account.into(), thread.into(), millis(lease).into()];
        let rows = self.mark_rows(sql, values).await?;
        let Some(row) = rows.first() else {
            return Ok(Claim::Nothing);
        };
        let model = event::Model::from_query_result(row, "")?;
        let container = Container::parse(&model.container).ok_or_else(|| Error::Row {
            table: "events",
            what: format!("container {:?}", model.container),
        })?;
        Ok(Claim::Event(Box::new(ClaimedEvent {
            id: model.id.into(),
            account: model.account,
            thread: model.thread,
            container,
            raw: model.raw.unwrap_or_default(),
            at: model.at,
            received_at: model.received_at,
            stored_at: model.stored_at.unwrap_or(model.received_at),
            trace: TraceId::of(model.trace_id),
            attempt: u32::try_from(model.attempts).unwrap_or(0),
            now: Now::from_query_result(row, "")?.now,
        })))
    }

    /// Puts a claimed event back for a later attempt. This one counts only where the event itself is at
    /// fault, not the database.
    pub async fn postpone_event(&self, event: &ClaimedEvent, delay: Duration, error: &Error) -> Result<()> {
        let at_fault = error.is_refusal() || matches!(error, Error::Row { .. });
        let sql = "UPDATE events SET due_at = {now} + $3, claimed_until = {now} + $3, error = $4, \
                attempts = attempts - $5 \
             WHERE id = $1 AND attempts = $2 AND due_at IS NOT NULL";
        let values = vec![
            event.id.0.into(),
            event.attempt.into(),
            millis(delay).into(),
            error.to_string().into(),
            i32::from(!at_fault).into(),
        ];
        self.execute(sql, values).await?;
        Ok(())
    }

    /// Events that waited for their account to be connected, and whose account is by now, go to ingest. Gives
    /// how many.
    pub async fn route_events(&self) -> Result<u64> {
        let sql = "UPDATE events SET state = 'new', due_at = {now}, claimed_until = 0, attempts = 0 \
             WHERE state = 'unrouted' AND account IN (SELECT instagram_account_id FROM instagram_connections \
                WHERE status NOT IN ('pending', 'disconnected'))";
        self.execute(sql, Vec::new()).await
    }
}

impl Tx {
    /// Marks the event as done in `state`, whose effect is in this transaction. False when another worker
    /// was faster: then the transaction must be dropped.
    pub async fn finish_event(&self, id: EventId, state: EventState, error: Option<&str>) -> Result<bool> {
        // The bytes are erased once their meaning is in the other tables.
        let sql = "UPDATE events SET due_at = NULL, state = $2, error = $3, \
                raw = CASE WHEN $2 = 'processed' THEN NULL ELSE raw END \
             WHERE id = $1 AND due_at IS NOT NULL";
        let values = vec![id.0.into(), state.as_str().into(), error.into()];
        Ok(self.execute(sql, values).await? == 1)
    }

    /// The connection an event's account belongs to now.
    pub async fn route(&self, account: &str) -> Result<Option<Connection>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE instagram_account_id = $1 AND status <> 'disconnected'";
        self.first(sql, vec![account.into()]).await?.map(Connection::from_row).transpose()
    }

    /// The message of a connection with this mid.
    pub async fn message_by_mid(&self, connection: Uuid, mid: &str) -> Result<Option<message::Model>> {
        let sql = "SELECT {messages.*} FROM messages WHERE connection_id = $1 AND mid = $2";
        self.first(sql, vec![connection.into(), mid.into()]).await
    }

    /// Adds a message at the end of the chat. The caller saves the chat afterwards, which now counts one more.
    pub async fn add_message(&self, chat: &mut LockedChat, new: NewMessage) -> Result<MessageId> {
        let id = MessageId::new();
        chat.row.last_seq += 1;
        chat.row.last_message_at = chat.row.last_message_at.max(chat.now);
        let (turn_id, part) = new.part.unzip();
        let row = message::ActiveModel {
            id: Set(id.0),
            connection_id: Set(chat.row.connection_id),
            chat_id: Set(chat.row.id),
            seq: Set(chat.row.last_seq),
            direction: Set(new.direction.to_string()),
            author: Set(new.author.to_string()),
            mid: Set(new.mid),
            kind: Set(new.kind),
            text: Set(new.text),
            attachments: Set(new.attachments),
            reply_to: Set(new.reply_to),
            payload: Set(new.payload),
            metadata: Set(new.metadata),
            needs_answer: Set(new.needs_answer),
            turn_id: Set(turn_id),
            part: Set(part),
            status: Set(new.status.to_string()),
            at: Set(new.at),
            received_at: Set(new.received_at),
            sent_at: Set((new.status == MessageStatus::Sent).then_some(new.at)),
            idempotency_key: Set(new.idempotency_key),
            actor: Set(new.actor),
            trace_id: Set(new.trace.map(TraceId::to_uuid)),
            created_at: Set(chat.now),
            ..Default::default()
        };
        message::Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(id)
    }

    /// Adds a received message, or fills the stub that waits for it. Nothing when it is there already, or was
    /// taken back before it came.
    pub async fn add_received(&self, chat: &mut LockedChat, new: NewMessage) -> Result<Option<MessageId>> {
        let known = match &new.mid {
            Some(mid) => self.message_by_mid(chat.row.connection_id, mid).await?,
            None => None,
        };
        match known {
            None => self.add_message(chat, new).await.map(Some),
            Some(stub) if stub.kind == STUB => self.fill_stub(&stub, new).await,
            Some(_) => Ok(None),
        }
    }

    async fn fill_stub(&self, stub: &message::Model, new: NewMessage) -> Result<Option<MessageId>> {
        // What was said of it before it came stays: a newer text, or that it was taken back.
        let unsent = stub.status == MessageStatus::Suppressed.as_str();
        let edited = stub.text.is_some();
        let sql = "UPDATE messages SET kind = $2, text = CASE WHEN $3 THEN text ELSE $4 END, attachments = $5, \
                reply_to = $6, needs_answer = $7, direction = $8, author = $9, status = $10, at = $11, \
                received_at = $12, trace_id = $13 WHERE id = $1";
        let values = vec![
            stub.id.into(),
            if unsent { "unsent" } else { new.kind.as_str() }.into(),
            (edited || unsent).into(),
            new.text.into(),
            new.attachments.filter(|_| !unsent).into(),
            new.reply_to.filter(|_| !unsent).into(),
            (new.needs_answer && !unsent).into(),
            new.direction.as_str().into(),
            new.author.as_str().into(),
            new.status.as_str().into(),
            new.at.into(),
            new.received_at.into(),
            new.trace.map(TraceId::to_uuid).into(),
        ];
        self.execute(sql, values).await?;
        Ok((!unsent).then(|| stub.id.into()))
    }

    /// A row for a mid that something speaks of before its message came.
    pub async fn add_stub(&self, chat: &mut LockedChat, mid: &str, at: Millis) -> Result<message::Model> {
        let mut stub = NewMessage::new(Direction::Inbound, Author::User, MessageStatus::Received);
        stub.mid = Some(mid.to_owned());
        STUB.clone_into(&mut stub.kind);
        stub.at = at;
        stub.received_at = chat.now;
        self.add_message(chat, stub).await?;
        self.message_by_mid(chat.row.connection_id, mid)
            .await?
            .ok_or_else(|| Error::Row { table: "messages", what: "a stub just made is missing".to_owned() })
    }

    /// The message was taken back: what it said is erased everywhere, and nobody answers it.
    pub async fn unsend(&self, message: &message::Model) -> Result<()> {
        // A stub keeps its kind, so that the message is recognised when it comes, and its state says why it
        // stays empty.
        let sql = "UPDATE messages SET text = NULL, attachments = NULL, reply_to = NULL, payload = NULL, \
                metadata = NULL, needs_answer = FALSE, kind = CASE WHEN kind = 'stub' THEN kind ELSE 'unsent' END, \
                status = CASE WHEN direction = 'inbound' AND kind = 'stub' THEN 'suppressed' ELSE status END \
             WHERE id = $1";
        self.execute(sql, vec![message.id.into()]).await?;
        Ok(())
    }

    /// The message's text changed. An unanswered one is answered as it reads now.
    pub async fn edit(&self, message: &message::Model, text: Option<&str>) -> Result<()> {
        let sql = "UPDATE messages SET text = $2 WHERE id = $1 AND kind <> 'unsent'";
        self.execute(sql, vec![message.id.into(), text.into()]).await?;
        Ok(())
    }

    /// Replaces what else is known of a message.
    pub async fn set_metadata(&self, message: Uuid, metadata: &str) -> Result<()> {
        let sql = "UPDATE messages SET metadata = $2 WHERE id = $1";
        self.execute(sql, vec![message.into(), metadata.into()]).await?;
        Ok(())
    }

    /// The user has read everything we sent up to this message.
    pub async fn mark_read(&self, chat: &LockedChat, up_to: &message::Model, at: Millis) -> Result<()> {
        let sql = "UPDATE messages SET read_at = $3 WHERE chat_id = $1 AND seq <= $2 \
             AND direction = 'outbound' AND status = 'sent' AND read_at IS NULL";
        self.execute(sql, vec![chat.row.id.into(), up_to.seq.into(), at.into()]).await?;
        Ok(())
    }
}
