//! What is saved of each table: its columns, and the row of each kind of object in their order.

use crate::bulk::{Column, Kind};
use dmrelay_domain::conversation::{Conversation, Message, Tracked, Turn};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::trace::TraceId;
use sea_orm::Value;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

pub(super) const CHATS: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("mode", Kind::Text),
    Column("mode_reason", Kind::Text),
    Column("resume_at", Kind::BigInt),
    Column("flag", Kind::Text),
    Column("window_expires_at", Kind::BigInt),
    Column("agent_id", Kind::Text),
    Column("agent_chat_id", Kind::Text),
    Column("agent_watermark", Kind::Text),
    Column("chat_status", Kind::Text),
    Column("recall", Kind::Bool),
    Column("renew", Kind::Bool),
    Column("opening_until", Kind::BigInt),
    Column("agent_seq", Kind::BigInt),
    Column("human_seq", Kind::BigInt),
    Column("verify", Kind::Bool),
    Column("first_unanswered_at", Kind::BigInt),
    Column("turn_due_at", Kind::BigInt),
    Column("turn_attempts", Kind::Int),
    Column("turn_reserved_until", Kind::BigInt),
    Column("outbox_due_at", Kind::BigInt),
    Column("outbox_attempts", Kind::Int),
    Column("outbox_reserved_until", Kind::BigInt),
    Column("note_seq", Kind::BigInt),
    Column("notice_at", Kind::BigInt),
    Column("opted_out_at", Kind::BigInt),
    Column("hour_started_at", Kind::BigInt),
    Column("hour_turns", Kind::Int),
    Column("last_seq", Kind::BigInt),
    Column("last_message_at", Kind::BigInt),
    Column("trace_id", Kind::Uuid),
    Column("updated_at", Kind::BigInt),
];

/// What may change of a turn; the rest is written once.
pub(super) const TURN_CHANGES: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("message_ids", Kind::Text),
    Column("asked_seq", Kind::BigInt),
    Column("asked_hash", Kind::Bytes),
    Column("watermark", Kind::Text),
    Column("agent_chat_id", Kind::Text),
    Column("rollovers", Kind::Int),
    Column("state", Kind::Text),
    Column("attempt", Kind::Int),
    Column("worker", Kind::Uuid),
    Column("deadline", Kind::BigInt),
    Column("lookups", Kind::Int),
    Column("seen", Kind::Text),
    Column("withdrawn", Kind::Text),
    Column("finished_at", Kind::BigInt),
    Column("latency_ms", Kind::BigInt),
    Column("error_class", Kind::Text),
    Column("error", Kind::Text),
];

pub(super) const TURN_FIXED: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("chat_id", Kind::Uuid),
    Column("written_at", Kind::BigInt),
    Column("received_at", Kind::BigInt),
    Column("started_at", Kind::BigInt),
    Column("trace_id", Kind::Uuid),
];

/// What may change of a message, apart from what it says.
pub(super) const MESSAGE_CHANGES: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("mid", Kind::Text),
    Column("mid_key", Kind::Uuid),
    Column("needs_answer", Kind::Bool),
    Column("turn_id", Kind::Uuid),
    Column("status", Kind::Text),
    Column("error_class", Kind::Text),
    Column("error_code", Kind::Text),
    Column("error_message", Kind::Text),
    Column("attempt", Kind::Int),
    Column("worker", Kind::Uuid),
    Column("deadline", Kind::BigInt),
    Column("lookups", Kind::Int),
    Column("started_at", Kind::BigInt),
    Column("sent_at", Kind::BigInt),
    Column("confirmed_at", Kind::BigInt),
];

/// What a message says, and what a stub learns when its message comes.
pub(super) const MESSAGE_BODY: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("kind", Kind::Text),
    Column("text", Kind::Text),
    Column("attachments", Kind::Text),
    Column("reply_to", Kind::Text),
    Column("payload", Kind::Text),
    Column("metadata", Kind::Text),
    Column("direction", Kind::Text),
    Column("author", Kind::Text),
    Column("at", Kind::BigInt),
    Column("received_at", Kind::BigInt),
    Column("trace_id", Kind::Uuid),
];

pub(super) const MESSAGE_FIXED: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("chat_id", Kind::Uuid),
    Column("seq", Kind::BigInt),
    Column("part", Kind::Int),
    Column("idempotency_key", Kind::Text),
    Column("actor", Kind::Text),
    Column("actor_id", Kind::Text),
    Column("sent_by", Kind::Text),
    Column("created_at", Kind::BigInt),
];

pub(super) const EVENTS: &[Column] = &[Column("id", Kind::Uuid), Column("state", Kind::Text)];
pub(super) const READ: &[Column] =
    &[Column("chat_id", Kind::Uuid), Column("seq", Kind::BigInt), Column("at", Kind::BigInt)];
pub(super) const DROPPED: &[Column] = &[
    Column("chat_id", Kind::Uuid),
    Column("class", Kind::Text),
    Column("code", Kind::Text),
    Column("until", Kind::BigInt),
];
pub(super) const REVIVED: &[Column] = &[
    Column("chat_id", Kind::Uuid),
    Column("class", Kind::Text),
    Column("since", Kind::BigInt),
    Column("until", Kind::BigInt),
];
pub(super) const ACTIVITIES: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("connection_id", Kind::Uuid),
    Column("kind", Kind::Text),
    Column("actor", Kind::Text),
    Column("actor_id", Kind::Text),
    Column("subject", Kind::Text),
    Column("details", Kind::Text),
    Column("at", Kind::BigInt),
];
pub(super) const LETTERS: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("connection_id", Kind::Uuid),
    Column("chat_id", Kind::Uuid),
    Column("kind", Kind::Text),
    Column("reference", Kind::Uuid),
    Column("class", Kind::Text),
    Column("error", Kind::Text),
    Column("attempts", Kind::Int),
    Column("created_at", Kind::BigInt),
];
pub(super) const CLOSED: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("replayed_at", Kind::BigInt),
    Column("discarded_at", Kind::BigInt),
    Column("closed_by", Kind::Text),
];

/// The columns of these lists, one after another.
const fn joined<const N: usize>(lists: &[&[Column]]) -> [Column; N] {
    let mut all = [Column("", Kind::Text); N];
    let (mut list, mut place) = (0, 0);
    while list < lists.len() {
        let mut column = 0;
        while column < lists[list].len() {
            all[place] = lists[list][column];
            (place, column) = (place + 1, column + 1);
        }
        list += 1;
    }
    all
}

pub(super) const TURN_INSERT: &[Column] =
    &joined::<{ TURN_CHANGES.len() + TURN_FIXED.len() }>(&[TURN_CHANGES, TURN_FIXED]);

pub(super) const MESSAGE_INSERT: &[Column] = &joined::<
    { MESSAGE_CHANGES.len() + MESSAGE_BODY_ONLY.len() + MESSAGE_FIXED.len() },
>(&[MESSAGE_CHANGES, MESSAGE_BODY_ONLY, MESSAGE_FIXED]);

/// [`MESSAGE_BODY`] without the id.
pub(super) const MESSAGE_BODY_ONLY: &[Column] = {
    let (_, rest) = MESSAGE_BODY.split_at(1);
    rest
};

pub(super) fn chat_row(one: &Conversation) -> Vec<Value> {
    let chat = &one.chat;
    vec![
        chat.id.into(),
        chat.mode.as_str().into(),
        chat.mode_reason.clone().into(),
        chat.resume_at.into(),
        chat.flag.clone().into(),
        chat.window_expires_at.into(),
        chat.agent.as_ref().unwrap_or(&one.connection.agent).as_str().into(),
        chat.agent_chat_id.clone().into(),
        chat.agent_watermark.clone().into(),
        chat.agent_chat_status.as_str().into(),
        chat.recall.into(),
        chat.renew.into(),
        chat.opening_until.into(),
        chat.agent_seq.into(),
        chat.human_seq.into(),
        chat.verify.into(),
        chat.first_unanswered_at.into(),
        chat.turn.due_at.into(),
        chat.turn.attempts.into(),
        chat.turn.reserved_until.into(),
        chat.outbox.due_at.into(),
        chat.outbox.attempts.into(),
        chat.outbox.reserved_until.into(),
        chat.note_seq.into(),
        chat.notice_at.into(),
        chat.opted_out_at.into(),
        chat.hour_started_at.into(),
        chat.hour_turns.into(),
        chat.last_seq.into(),
        chat.last_message_at.into(),
        chat.trace.map(TraceId::to_uuid).into(),
        one.now.into(),
    ]
}

pub(super) fn turn_changes(turn: &Turn) -> Vec<Value> {
    vec![
        turn.id.into(),
        serde_json::to_string(&turn.message_ids).unwrap_or_else(|_| "[]".to_owned()).into(),
        turn.asked_seq.into(),
        turn.asked_hash.clone().into(),
        turn.watermark.clone().into(),
        turn.agent_chat_id.clone().into(),
        turn.rollovers.into(),
        turn.state.as_str().into(),
        turn.attempt.into(),
        turn.worker.into(),
        turn.deadline.into(),
        turn.lookups.into(),
        turn.seen.clone().into(),
        turn.withdrawn.clone().into(),
        turn.finished_at.into(),
        turn.latency_ms.into(),
        turn.error_class.map(|class| class.as_str().to_owned()).into(),
        turn.error.clone().into(),
    ]
}

pub(super) fn turn_row(one: &Conversation, turn: &Turn) -> Vec<Value> {
    let mut row = turn_changes(turn);
    row.extend([
        one.connection.id.into(),
        one.chat.id.into(),
        turn.written_at.into(),
        turn.received_at.into(),
        turn.started_at.into(),
        turn.trace.map(TraceId::to_uuid).into(),
    ]);
    row
}

/// What a message is found by: the connection and Meta's id of it, which is long, as 16 bytes of their SHA-256, so that
/// the index of it stays small.
pub(crate) fn mid_key(connection: ConnectionId, mid: &str) -> Uuid {
    let hash = Sha256::new().chain_update(connection.0.as_bytes()).chain_update(mid).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    Builder::from_custom_bytes(key).into_uuid()
}

pub(super) fn message_changes(one: &Conversation, message: &Message) -> Vec<Value> {
    vec![
        message.id.into(),
        message.mid.clone().into(),
        message.mid.as_deref().map(|mid| mid_key(one.connection.id, mid)).into(),
        message.needs_answer.into(),
        message.turn_id.into(),
        message.status.as_str().into(),
        message.error.class.map(|class| class.as_str().to_owned()).into(),
        message.error.code.clone().into(),
        message.error.message.clone().into(),
        message.attempt.into(),
        message.worker.into(),
        message.deadline.into(),
        message.lookups.into(),
        message.started_at.into(),
        message.sent_at.into(),
        message.confirmed_at.into(),
    ]
}

pub(super) fn message_body(message: &Message) -> Vec<Value> {
    let body = &message.body;
    vec![
        message.id.into(),
        body.kind.as_str().into(),
        body.text.clone().into(),
        body.attachments.clone().into(),
        body.reply_to.clone().into(),
        body.payload.clone().into(),
        body.metadata.clone().into(),
        message.direction.as_str().into(),
        message.author.as_str().into(),
        message.at.into(),
        message.received_at.into(),
        message.trace.map(TraceId::to_uuid).into(),
    ]
}

pub(super) fn message_row(one: &Conversation, message: &Tracked<Message>) -> Vec<Value> {
    let mut row = message_changes(one, message);
    row.extend(message_body(message).into_iter().skip(1));
    row.extend([
        one.connection.id.into(),
        one.chat.id.into(),
        message.seq.into(),
        message.part.into(),
        message.idempotency_key.clone().into(),
        message.actor.as_ref().map(|actor| actor.name.clone()).into(),
        message.actor.as_ref().and_then(|actor| actor.id.clone()).into(),
        message.sent_by.clone().into(),
        message.created_at.into(),
    ]);
    row
}
