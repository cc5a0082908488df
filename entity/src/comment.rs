//! Comments on an account's posts, and mentions of it.

use crate::Word;
use dmrelay_domain::ids::{ChatId, CommentId, ConnectionId};
use dmrelay_domain::states::{CommentKind, CommentState, DeedState};
use sea_orm::entity::prelude::*;

/// One row of `comments`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "comments")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CommentId,
    /// The account.
    pub connection_id: ConnectionId,
    /// A comment, or a mention.
    pub kind: Word<CommentKind>,
    /// Meta's id of the comment; of a mention in a caption, that of the post.
    pub comment_id: String,
    /// Meta's id of the post.
    pub media_id: Option<String>,
    /// Meta's id of the comment that it answers.
    pub parent_id: Option<String>,
    /// Whether it was written during a live broadcast.
    pub is_live: bool,
    /// Who wrote it, as Meta names them to this app.
    pub instagram_user_id: Option<String>,
    /// Their username.
    pub username: Option<String>,
    /// What it says.
    pub text: Option<String>,
    /// What became of it.
    pub state: Word<CommentState>,
    /// Why, if there is more to say.
    pub reason: Option<String>,
    /// The rule that is for it, as JSON.
    pub rule: Option<String>,
    /// The private reply: Graph's `message` object, as JSON.
    pub reply: Option<String>,
    /// Meta's id of the private reply.
    pub mid: Option<String>,
    /// The user to whom Meta sent the private reply.
    pub recipient_id: Option<String>,
    /// The conversation that it is in.
    pub chat_id: Option<ChatId>,
    /// What became of the public reply.
    pub public_reply: Option<Word<DeedState>>,
    /// What became of hiding it.
    pub hidden: Option<Word<DeedState>>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next, in milliseconds; `None` if nothing is left to do.
    pub due_at: Option<i64>,
    /// Until then a worker is at it.
    pub claimed_until: i64,
    /// When it was written, by Meta's clock.
    pub commented_at: Option<i64>,
    /// When its webhook came.
    pub received_at: i64,
    /// When the private reply was begun.
    pub replied_at: Option<i64>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
