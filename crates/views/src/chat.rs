//! Chats.

use super::enums;
use super::format::{always, parsed, time};
use dmrelay_domain::window::{self, Window};
use dmrelay_store::entity::chat;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A conversation of one Instagram user with one connected account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Chat)]
pub struct ChatView {
    chat_id: Uuid,
    connection_id: Uuid,
    agent_id: String,
    #[schema(example = "200000000000001")]
    instagram_user_id: String,
    username: Option<String>,
    name: Option<String>,
    /// A link to the user's picture, which expires within days.
    picture: Option<String>,
    chat_status: String,
    /// Dynamic variables of the chat: `instagram_user_id` and `channel`.
    #[schema(value_type = Option<Value>)]
    metadata: Value,
    /// Who answers: the agent or a human agent.
    #[schema(schema_with = enums::chat_mode)]
    mode: String,
    mode_reason: Option<String>,
    /// When the agent resumes on its own.
    #[schema(format = DateTime)]
    resume_at: Option<String>,
    /// Why the chat needs a human's attention: `window_closed`, `runaway`.
    flag: Option<String>,
    /// Who may still write: everyone, only human agents (with Meta's Human Agent feature), or no one.
    #[schema(schema_with = enums::window)]
    window: &'static str,
    #[schema(format = DateTime)]
    window_expires_at: Option<String>,
    #[schema(format = DateTime)]
    last_message_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
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
    /// The view of a chat at `now`.
    pub fn of(row: &chat::Model, now: i64) -> Self {
        let window = match window::at(row.window_expires_at, now) {
            Window::Open => "open",
            Window::HumanAgent => "human_agent",
            Window::Closed => "closed",
        };
        Self {
            chat_id: row.id.0,
            connection_id: row.connection_id.0,
            agent_id: row.agent_id.clone(),
            instagram_user_id: row.instagram_user_id.clone(),
            username: row.username.clone(),
            name: row.name.clone(),
            picture: row.picture.clone(),
            chat_status: row.chat_status.to_string(),
            metadata: parsed(Some(&row.metadata)),
            mode: row.mode.to_string(),
            mode_reason: row.mode_reason.clone(),
            resume_at: row.resume_at.and_then(time),
            flag: row.flag.clone(),
            window,
            window_expires_at: row.window_expires_at.and_then(time),
            last_message_at: Some(row.last_message_at).filter(|at| *at > 0).and_then(time),
            created_at: always(row.created_at),
        }
    }
}

impl From<dmrelay_store::ChatCounts> for ChatCounts {
    fn from(counts: dmrelay_store::ChatCounts) -> Self {
        let dmrelay_store::ChatCounts { received, sent, failed, waiting, turns } = counts;
        Self { received, sent, failed, waiting, turns }
    }
}
