//! The content of an event, independent of Meta's format.

use crate::ids::{InstagramUserId, MediaId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The content of one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A message of the user.
    Message(Inbound),
    /// A message sent by the account: through us, another app, or a human in the Instagram app.
    Echo(Inbound),
    /// An unsent message; only its mid is left.
    Unsend {
        /// Meta's message id.
        mid: String,
    },
    /// A message of a type Meta does not expose.
    Unsupported(Inbound),
    /// The user mentioned the account in a story, told as a referral.
    StoryMention {
        /// Meta's message id, if it has one.
        mid: Option<String>,
        /// What Meta tells of the story.
        referral: Referral,
    },
    /// A tapped button.
    Postback(Postback),
    /// A click that brought the user to an existing thread.
    Referral(Referral),
    /// A reaction.
    Reaction(Reaction),
    /// An edited text.
    Edit(Edit),
    /// The user has read up to this message.
    Read {
        /// Meta's message id.
        mid: Option<String>,
    },
    /// The user rated an answer.
    Feedback {
        /// The message concerned.
        mid: String,
        /// The rating, in Meta's words.
        feedback: String,
    },
    /// Meta warned or restricted the account; concerns no user.
    PolicyEnforcement {
        /// `warning`, `block`, `unblock`.
        action: Option<String>,
        /// Meta's reason.
        reason: Option<String>,
    },
    /// Thread control passed to another app.
    Handover,
    /// A comment.
    Comment(Comment),
    /// A mention.
    Mention(Mention),
    /// Acknowledged but otherwise ignored.
    Ignored,
    /// Not understood.
    Unknown,
}

/// A message as Meta sends it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inbound {
    /// Meta's message id.
    pub mid: String,
    /// The text; with attachments, a caption.
    pub text: Option<String>,
    /// The attachments, without duplicates.
    pub attachments: Vec<Attachment>,
    /// The payload of a tapped quick reply.
    pub quick_reply: Option<String>,
    /// What it replies to.
    pub reply_to: Option<ReplyTo>,
    /// The link or ad the user came through.
    pub referral: Option<Referral>,
    /// Fields that are not understood, as Meta sent them.
    pub more: Map<String, Value>,
}

/// An attachment. The kind is Meta's own word, from an open set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `image`, `video`, `audio`, `file`, `share`, `ig_post`, `ig_reel`, `story_mention`, `sticker`, `template`,
    /// `ephemeral`, `unsupported_type`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its URL at Meta; such links expire.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// The title of a shared post.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// Our copy of it, if one is kept.
    #[serde(rename = "mediaId", skip_serializing_if = "Option::is_none", default)]
    pub media: Option<MediaId>,
    /// What a voice message says, or a picture shows, in words; empty if that was looked for in vain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub words: Option<String>,
    /// The rest of its payload as Meta sent it: `ig_post_media_id`, `reel_video_id`, `story_media_id`, `sticker_id`,
    /// `product`, …
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What a message replies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyTo {
    /// An earlier message, by its mid.
    Mid(String),
    /// A story of the account; a link only, never a copy.
    Story {
        /// Meta's id of the story.
        id: Option<String>,
        /// Its URL at Meta while the story lasts.
        url: Option<String>,
    },
}

/// How the user arrived: an ig.me link, an ad, a product.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Referral {
    /// The `ref` of the link.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
    /// `SHORTLINKS`, `ADS`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// The ad.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ad_id: Option<String>,
    /// The product.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub product_id: Option<String>,
    /// The rest as Meta sent it: `type`, `ads_context_data`, …
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A tapped ice breaker, button or menu entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postback {
    /// Meta's id, missing for some ice breakers.
    pub mid: Option<String>,
    /// The title the user saw.
    pub title: Option<String>,
    /// The developer-defined payload.
    pub payload: Option<String>,
    /// The link the user came through.
    pub referral: Option<Referral>,
}

/// A reaction added or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The message concerned.
    pub mid: String,
    /// The emoji or Meta's word for it; `None` if the reaction was removed.
    pub emoji: Option<String>,
}

/// An edited text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The message concerned.
    pub mid: String,
    /// The new text.
    pub text: Option<String>,
    /// Number of edits so far.
    pub edits: i64,
}

/// A comment on a post or a live video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Meta's id of the comment.
    pub id: String,
    /// Its text.
    pub text: Option<String>,
    /// Who wrote it; older payloads do not tell.
    pub user: Option<InstagramUserId>,
    /// Their username.
    pub username: Option<String>,
    /// The post; of one that is advertised, the original.
    pub media: Option<String>,
    /// The comment that it answers.
    pub parent: Option<String>,
    /// Whether it was written during a live broadcast.
    pub is_live: bool,
}

/// The account was mentioned in a caption or a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The post.
    pub media: Option<String>,
    /// The comment, if it is in one.
    pub comment: Option<String>,
}

impl Content {
    /// Whether the user did something that opens the 24-hour window (Meta, "Send messages": messages, button
    /// clicks, ig.me and ad clicks, reactions).
    pub fn opens_window(&self) -> bool {
        match self {
            Self::Message(_)
            | Self::Unsupported(_)
            | Self::StoryMention { .. }
            | Self::Postback(_)
            | Self::Referral(_) => true,
            Self::Reaction(reaction) => reaction.emoji.is_some(),
            _ => false,
        }
    }
}
