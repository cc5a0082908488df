//! Between the tables' rows and the domain's. A state word of a later version makes its row invisible, so that it is left
//! alone.

use dmrelay_domain::actor::Actor;
use dmrelay_domain::conversation::{
    Body, Chat, ConnectionFacts, Letter, Message, MessageError, Tracked, Turn, Work,
};
use dmrelay_domain::ids::{AgentId, ConnectionId, InstagramAccountId, InstagramUserId, SubaccountId};
use dmrelay_domain::settings::ConnectionSettings;
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_entity::{Word, chat, dead_letter, message, turn};
use sea_orm::FromQueryResult;

/// The columns of a connection that decisions need, as they are called beside those of a chat.
#[derive(Debug, FromQueryResult)]
pub(super) struct ConnectionRow {
    pub(super) k_id: ConnectionId,
    pub(super) k_subaccount_id: String,
    pub(super) k_has_own_key: bool,
    pub(super) k_agent_id: String,
    pub(super) k_instagram_account_id: String,
    pub(super) k_login_kind: Word<LoginKind>,
    pub(super) k_status: Word<ConnectionStatus>,
    pub(super) k_bot_paused: bool,
    pub(super) k_settings: String,
    pub(super) now: i64,
}

impl ConnectionRow {
    /// None if a later version, or somebody by hand, wrote what this version cannot read.
    pub(super) fn facts(self) -> Option<ConnectionFacts> {
        Some(ConnectionFacts {
            id: self.k_id,
            subaccount: SubaccountId::parse(&self.k_subaccount_id).ok()?,
            has_own_key: self.k_has_own_key,
            agent: AgentId::parse(&self.k_agent_id).ok()?,
            account: InstagramAccountId::parse(&self.k_instagram_account_id).ok()?,
            login: self.k_login_kind.known()?,
            status: self.k_status.known(),
            bot_paused: self.k_bot_paused,
            settings: serde_json::from_str::<ConnectionSettings>(&self.k_settings).ok()?,
        })
    }
}

pub(super) fn chat_of(row: chat::Model) -> Option<Chat> {
    Some(Chat {
        id: row.id,
        user: InstagramUserId::parse(&row.instagram_user_id).ok()?,
        username: row.username,
        name: row.name,
        mode: row.mode.known()?,
        mode_reason: row.mode_reason,
        resume_at: row.resume_at,
        flag: row.flag,
        window_expires_at: row.window_expires_at,
        agent: AgentId::parse(&row.agent_id).ok(),
        agent_chat_id: row.agent_chat_id,
        agent_watermark: row.agent_watermark,
        agent_chat_status: row.chat_status.known()?,
        recall: row.recall,
        renew: row.renew,
        opening_until: row.opening_until,
        agent_seq: row.agent_seq,
        human_seq: row.human_seq,
        verify: row.verify,
        first_unanswered_at: row.first_unanswered_at,
        turn: Work {
            due_at: row.turn_due_at,
            attempts: row.turn_attempts,
            reserved_until: row.turn_reserved_until,
        },
        outbox: Work {
            due_at: row.outbox_due_at,
            attempts: row.outbox_attempts,
            reserved_until: row.outbox_reserved_until,
        },
        note_seq: row.note_seq,
        notice_at: row.notice_at,
        opted_out_at: row.opted_out_at,
        erased_at: row.erased_at,
        hour_started_at: row.hour_started_at,
        hour_turns: row.hour_turns,
        last_seq: row.last_seq,
        last_message_at: row.last_message_at,
        trace: row.trace_id,
    })
}

pub(super) fn turn_of(row: turn::Model) -> Option<Turn> {
    Some(Turn {
        id: row.id,
        message_ids: serde_json::from_str(&row.message_ids).ok()?,
        asked_seq: row.asked_seq,
        asked_hash: row.asked_hash,
        watermark: row.watermark,
        agent_chat_id: row.agent_chat_id,
        rollovers: row.rollovers,
        state: row.state.known()?,
        attempt: row.attempt,
        worker: row.worker,
        deadline: row.deadline,
        lookups: row.lookups,
        seen: row.seen,
        withdrawn: row.withdrawn,
        written_at: row.written_at,
        received_at: row.received_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        latency_ms: row.latency_ms,
        error_class: row.error_class.and_then(|class| class.known()),
        error: row.error,
        trace: row.trace_id,
    })
}

pub(super) fn message_of(row: message::Model) -> Option<Message> {
    Some(Message {
        id: row.id,
        seq: row.seq,
        direction: row.direction.known()?,
        author: row.author.known()?,
        mid: row.mid,
        body: Tracked::loaded(Body {
            kind: row.kind,
            text: row.text,
            attachments: row.attachments,
            reply_to: row.reply_to,
            payload: row.payload,
            metadata: row.metadata,
        }),
        needs_answer: row.needs_answer,
        turn_id: row.turn_id,
        part: row.part,
        status: row.status.known()?,
        error: MessageError {
            class: row.error_class.and_then(|class| class.known()),
            code: row.error_code,
            message: row.error_message,
        },
        attempt: row.attempt,
        worker: row.worker,
        deadline: row.deadline,
        lookups: row.lookups,
        at: row.at,
        received_at: row.received_at,
        started_at: row.started_at,
        sent_at: row.sent_at,
        confirmed_at: row.confirmed_at,
        idempotency_key: row.idempotency_key,
        actor: row.actor.map(|name| Actor { name, id: row.actor_id }),
        sent_by: row.sent_by,
        created_at: row.created_at,
        trace: row.trace_id,
    })
}

pub(super) fn letter_of(row: &dead_letter::Model) -> Option<Letter> {
    Some(Letter {
        id: row.id,
        kind: row.kind.known()?,
        reference: row.reference,
        class: row.class.to_string(),
        created_at: row.created_at,
        open: row.replayed_at.is_none() && row.discarded_at.is_none(),
    })
}
