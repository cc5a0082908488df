//! Comments on an account's posts, and mentions of it.

use super::enums;
use super::format::{always, parsed, time};
use dmrelay_store::entity::comment;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A comment on a post of the account, or a mention of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Comment)]
pub struct CommentView {
    /// Our id of it.
    pub comment_id: Uuid,
    /// The connection it came by.
    pub connection_id: Uuid,
    /// A `comment`, or a `mention` in a caption or a comment of somebody else's.
    #[schema(schema_with = enums::comment_kind)]
    pub kind: String,
    /// Meta's id of the comment; of a mention in a caption, that of the post.
    #[schema(example = "17870913679156914")]
    pub instagram_comment_id: String,
    /// Meta's id of the post.
    pub instagram_media_id: Option<String>,
    /// Meta's id of the comment that it answers.
    pub instagram_parent_id: Option<String>,
    /// Whether it was written during a live broadcast.
    pub is_live: bool,
    /// Who wrote it; null if Meta does not tell.
    pub instagram_user_id: Option<String>,
    /// Their handle; null if Meta does not tell.
    pub username: Option<String>,
    /// What it says.
    pub text: Option<String>,
    /// What became of the private reply.
    #[schema(schema_with = enums::comment_state)]
    pub state: String,
    /// Why it has no private reply: `too_old`, it may not be answered any more; `twin`, the same comment was told twice; `human_answers`,
    /// a human has the chat with whoever wrote it; `disconnected`; `no_answer`, the agent says nothing.
    #[schema(schema_with = enums::comment_reason_or_null)]
    pub reason: Option<String>,
    /// What went wrong with the private reply, in the words of Meta, of the agent or of dmrelay.
    pub error: Option<String>,
    /// The private reply: Graph's `message` object.
    #[schema(schema_with = enums::graph_message_or_null)]
    pub reply: Value,
    /// The chat that the private reply opened.
    pub chat_id: Option<Uuid>,
    /// What became of the public reply; null if the rule wants none.
    #[schema(schema_with = enums::deed_state_or_null)]
    pub public_reply: Option<String>,
    /// What became of hiding it; null if the rule does not want it hidden.
    #[schema(schema_with = enums::deed_state_or_null)]
    pub hidden: Option<String>,
    /// When it was written; null until Meta was asked, which is done for comments that a rule is for.
    #[schema(format = DateTime)]
    pub commented_at: Option<String>,
    /// When its webhook came.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// When the private reply was begun.
    #[schema(format = DateTime)]
    pub replied_at: Option<String>,
}

impl CommentView {
    /// The view of a row.
    pub fn of(row: &comment::Model) -> Self {
        let is_word = |text: &String| enums::COMMENT_REASONS.contains(&text.as_str());
        let (reason, error) = match &row.reason {
            Some(text) if is_word(text) => (Some(text.clone()), None),
            other => (None, other.clone()),
        };
        Self {
            comment_id: row.id.0,
            connection_id: row.connection_id.0,
            kind: row.kind.to_string(),
            instagram_comment_id: row.comment_id.clone(),
            instagram_media_id: row.media_id.clone(),
            instagram_parent_id: row.parent_id.clone(),
            is_live: row.is_live,
            instagram_user_id: row.instagram_user_id.clone(),
            username: row.username.clone(),
            text: row.text.clone(),
            state: row.state.to_string(),
            reason,
            error,
            reply: parsed(row.reply.as_ref()),
            chat_id: row.chat_id.map(|id| id.0),
            public_reply: row.public_reply.as_ref().map(ToString::to_string),
            hidden: row.hidden.as_ref().map(ToString::to_string),
            commented_at: row.commented_at.and_then(time),
            received_at: always(row.received_at),
            replied_at: row.replied_at.and_then(time),
        }
    }
}
