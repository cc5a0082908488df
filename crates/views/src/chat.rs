//! Chats.

use super::MessageView;
use super::enums;
use super::format::{always, parsed, time, word_of};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::states::{ChatMode, ConnectionStatus, Direction};
use dmrelay_domain::window::{self, HUMAN_AGENT, STANDARD, Window};
use dmrelay_store::entity::{chat, chat_note};
use dmrelay_store::{ChatSummary, Connection};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A conversation of one Instagram user with one connected account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Chat)]
pub struct ChatView {
    /// The id of the chat.
    pub chat_id: Uuid,
    /// The id of the connection.
    pub connection_id: Uuid,
    /// The handle of the connected account.
    #[schema(example = "acme")]
    pub account_username: Option<String>,
    /// The agent of the account.
    pub agent_id: String,
    /// The customer, as the account sees them (IGSID).
    #[schema(example = "200000000000001")]
    pub instagram_user_id: String,
    /// The customer's handle.
    pub username: Option<String>,
    /// The customer's name.
    pub name: Option<String>,
    /// A link to the user's picture at Meta, which expires within days.
    pub picture: Option<String>,
    /// The id of our copy of the picture, for `GET …/media/{mediaId}`; null if there is none.
    pub picture_media_id: Option<Uuid>,
    /// The state of the agent's chat at its provider.
    #[schema(schema_with = enums::agent_chat_status)]
    pub chat_status: String,
    /// Dynamic variables of the chat: `instagram_user_id` and `channel`.
    #[schema(value_type = BTreeMap<String, String>)]
    pub metadata: Value,
    /// Who answers: the agent or a human agent.
    #[schema(schema_with = enums::chat_mode)]
    pub mode: String,
    /// Why it is in this mode: `api`, a takeover; `send`, a message through the API; `echo`, one in the Instagram app; `person`, several of
    /// those; `handover`, the agent or a rule wanted it; `runaway`, there were too many turns in an hour. Null in mode `bot`.
    #[schema(schema_with = enums::mode_reason_or_null)]
    pub mode_reason: Option<String>,
    /// When the agent resumes on its own; null in mode `bot`, and if the chat was taken over until it is released.
    #[schema(format = DateTime)]
    pub resume_at: Option<String>,
    /// Why the chat needs a human's attention: `handover`, the agent or a rule wants it; `runaway`, there were too many turns in an hour;
    /// otherwise the class of what failed.
    #[schema(schema_with = enums::flag_or_null)]
    pub flag: Option<String>,
    /// Who may still write: everyone, only human agents (with Meta's Human Agent feature), or no one.
    #[schema(schema_with = enums::window)]
    pub window: &'static str,
    /// When Meta's 24 hours end; null if the customer has not written.
    #[schema(format = DateTime)]
    pub window_expires_at: Option<String>,
    /// Whether a human agent can write to the customer now.
    pub can_send: CanSend,
    /// Whether the chat waits for a human agent, and why.
    pub needs_human: NeedsHuman,
    /// The last message of either side; notes, and replies that were held back or failed, do not count. Null if there is none.
    pub last_message: Option<MessageView>,
    /// Messages of the customer that the caller has not read, among the last 100 of the chat. Set by `POST …/read`.
    #[schema(minimum = 0, maximum = 100)]
    pub unread_count: u64,
    /// Who looks after the chat, as your frontend names people; null for nobody.
    #[schema(example = "ada@example.com")]
    pub assignee: Option<String>,
    /// Words that people have tagged it with.
    pub tags: Vec<String>,
    /// The customer's language, as a tag of BCP 47, if somebody has set it.
    #[schema(example = "de")]
    pub language: Option<String>,
    /// Since when the customer wants no broadcasts; null if they may have them.
    #[schema(format = DateTime)]
    pub opted_out_at: Option<String>,
    /// Until when the chat is hidden from all folders but `snoozed`; null if it is not snoozed, or a message has ended that.
    #[schema(format = DateTime)]
    pub snoozed_until: Option<String>,
    /// Open dead letters of the chat.
    #[schema(minimum = 0)]
    pub open_failures: u64,
    /// When the last message came or went, in whole seconds.
    #[schema(format = DateTime)]
    pub last_message_at: Option<String>,
    /// When dmrelay stored it first.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// Whether a human agent can write to the customer.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanSend {
    /// Whether `POST /send` accepts a message now.
    pub allowed: bool,
    /// Why not: `window_closed`, the customer must write first; `not_connected`, the account must be connected again. Null if
    /// it is allowed.
    #[schema(schema_with = enums::send_refusal_or_null)]
    pub reason: Option<&'static str>,
    /// Until when it is allowed, unless the customer writes again; null if it is not.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// Whether a chat waits for a human agent.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeedsHuman {
    /// Whether somebody is needed.
    pub needed: bool,
    /// Why, the most urgent reason first: `failed`, a message failed and nobody has replayed or discarded it; `window_closed`,
    /// `runaway` or `handover`, as in `flag`; `waiting`, the customer has written and the agent does not answer in this chat. Null if nobody is
    /// needed.
    #[schema(schema_with = enums::human_reason_or_null)]
    pub reason: Option<String>,
}

/// A note that people have written about a chat.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatNote)]
pub struct NoteView {
    /// The id of the note.
    pub note_id: Uuid,
    /// What it says.
    pub text: String,
    /// The name of who wrote it.
    pub author: String,
    /// The id of the key, or the subject of the token, of who wrote it.
    pub author_id: Option<String>,
    /// When dmrelay stored it first.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl NoteView {
    /// The view of a row.
    pub fn of(row: &chat_note::Model) -> Self {
        Self {
            note_id: row.id.0,
            text: row.text.clone(),
            author: row.author.clone(),
            author_id: row.author_id.clone(),
            created_at: always(row.created_at),
        }
    }
}

/// Counts for one chat; counting stops at 10,000.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatCounts {
    /// Messages from the user.
    received: u64,
    /// Messages accepted by Graph.
    sent: u64,
    /// Messages that will not be sent.
    failed: u64,
    /// Messages waiting to be sent.
    waiting: u64,
    /// Questions to the agent.
    turns: u64,
}

impl ChatView {
    /// The view of a chat of this connection at `now`. Without its connection nothing can be sent in it.
    pub fn of(
        row: &chat::Model,
        summary: &ChatSummary,
        connection: Option<&Connection>,
        now: Millis,
    ) -> Self {
        let window = match window::at(row.window_expires_at, now) {
            Window::Open => "open",
            Window::HumanAgent => "human_agent",
            Window::Closed => "closed",
        };
        Self {
            chat_id: row.id.0,
            connection_id: row.connection_id.0,
            account_username: connection.and_then(|connection| connection.row.username.clone()),
            agent_id: row.agent_id.clone(),
            instagram_user_id: row.instagram_user_id.clone(),
            username: row.username.clone(),
            name: row.name.clone(),
            picture: row.picture.clone(),
            picture_media_id: None,
            chat_status: row.chat_status.to_string(),
            metadata: parsed(Some(&row.metadata)),
            mode: row.mode.to_string(),
            mode_reason: mode_reason(row),
            resume_at: row.resume_at.and_then(time),
            flag: row.flag.clone(),
            window,
            window_expires_at: row.window_expires_at.and_then(time),
            can_send: CanSend::of(row, connection, now),
            needs_human: NeedsHuman::of(row, summary, connection),
            last_message: summary
                .last_message
                .as_ref()
                .map(|message| MessageView::of_user(message, &row.instagram_user_id)),
            assignee: summary.triage.assignee.clone(),
            tags: summary.triage.tags.iter().cloned().collect(),
            language: summary.triage.language.clone(),
            opted_out_at: row.opted_out_at.and_then(time),
            snoozed_until: summary
                .triage
                .snoozed_until
                .filter(|_| summary.triage.is_snoozed(row, now))
                .and_then(time),
            unread_count: summary.unread,
            open_failures: summary.open_failures,
            last_message_at: Some(row.last_message_at).filter(|at| *at > 0).and_then(time),
            created_at: always(row.created_at),
        }
    }
}

impl CanSend {
    fn of(row: &chat::Model, connection: Option<&Connection>, now: Millis) -> Self {
        let refused = |reason| Self { allowed: false, reason: Some(reason), until: None };
        let connected = connection.filter(|connection| connection.status == ConnectionStatus::Connected);
        let Some(connection) = connected else { return refused("not_connected") };
        let tags = connection.settings.human_agent.unwrap_or(false);
        let end = row.window_expires_at.map(|end| if tags { end - STANDARD + HUMAN_AGENT } else { end });
        match end {
            Some(end) if now < end => Self { allowed: true, reason: None, until: time(end) },
            _ => refused("window_closed"),
        }
    }
}

impl NeedsHuman {
    fn of(row: &chat::Model, summary: &ChatSummary, connection: Option<&Connection>) -> Self {
        let last = summary.last_message.as_ref();
        let is_paused = connection.is_some_and(|connection| connection.row.bot_paused);
        let is_waiting = (is_paused || row.mode.known() != Some(ChatMode::Bot))
            && last.is_some_and(|message| message.direction == Direction::Inbound);
        let reason = (summary.open_failures > 0)
            .then(|| "failed".to_owned())
            .or_else(|| row.flag.clone())
            .or_else(|| is_waiting.then(|| "waiting".to_owned()));
        Self { needed: reason.is_some(), reason }
    }
}

impl From<dmrelay_store::ChatCounts> for ChatCounts {
    fn from(counts: dmrelay_store::ChatCounts) -> Self {
        let dmrelay_store::ChatCounts { received, sent, failed, waiting, turns } = counts;
        Self { received, sent, failed, waiting, turns }
    }
}

/// Why a chat is in its mode, in one word.
pub fn mode_reason(chat: &chat::Model) -> Option<String> {
    chat.mode_reason.as_deref().map(|reason| word_of(reason).to_owned())
}
