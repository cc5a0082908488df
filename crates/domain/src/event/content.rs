//! What an event says, apart from how Meta writes it.

use serde::{Deserialize, Serialize};

/// The meaning of one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A message of the user.
    Message(Inbound),
    /// A message the account sent: through us, another app, or a person in the Instagram app.
    Echo(Inbound),
    /// A message taken back; only its mid is left.
    Unsend {
        /// Meta's id of the message.
        mid: String,
    },
    /// A message Meta does not hand out.
    Unsupported {
        /// Meta's id of the message.
        mid: String,
    },
    /// A tapped button.
    Postback(Postback),
    /// A click that brought the user to an existing thread.
    Referral(Referral),
    /// A reaction.
    Reaction(Reaction),
    /// A changed text.
    Edit(Edit),
    /// The user has read up to this message.
    Read {
        /// Meta's id of the message.
        mid: Option<String>,
    },
    /// Thread control changed hands.
    Handover,
    /// A comment.
    Comment(Comment),
    /// A mention.
    Mention,
    /// Acknowledged and nothing else.
    Ignored,
    /// Not understood.
    Unknown,
}

/// A message as Meta sends it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inbound {
    /// Meta's id of the message.
    pub mid: String,
    /// The text; a caption, where there are attachments.
    pub text: Option<String>,
    /// What is attached, each thing once.
    pub attachments: Vec<Attachment>,
    /// The payload of a tapped quick reply.
    pub quick_reply: Option<String>,
    /// What it replies to.
    pub reply_to: Option<ReplyTo>,
    /// The link or ad it came through.
    pub referral: Option<Referral>,
}

/// One attachment. The kind is Meta's own word, an open set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `image`, `video`, `audio`, `file`, `share`, `ig_post`, `ig_reel`, `story_mention`, `ephemeral`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where Meta serves it; such links expire.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// The title of a shared thing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
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
        /// Where Meta serves it for as long as it lasts.
        url: Option<String>,
    },
}

/// How the user came: an ig.me link, an ad, a product.
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
}

/// A tapped ice breaker, button or menu entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postback {
    /// Meta's id, missing for some ice breakers.
    pub mid: Option<String>,
    /// What the user saw.
    pub title: Option<String>,
    /// What the developer meant by it.
    pub payload: Option<String>,
    /// The link it came through.
    pub referral: Option<Referral>,
}

/// A reaction set or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The message it speaks of.
    pub mid: String,
    /// The emoji or Meta's word for it; nothing when it was taken back.
    pub emoji: Option<String>,
}

/// A changed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The message it speaks of.
    pub mid: String,
    /// The new text.
    pub text: Option<String>,
    /// How often it has been edited.
    pub edits: i64,
}

/// A comment on a post or a live video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Meta's id of the comment.
    pub id: String,
    /// What it says.
    pub text: Option<String>,
}

impl Content {
    /// Whether the user did something that opens the 24-hour window (Meta, "Send messages": messages,
    /// button clicks, ig.me and ad clicks, reactions).
    pub fn opens_window(&self) -> bool {
        match self {
            Self::Message(_) | Self::Unsupported { .. } | Self::Postback(_) | Self::Referral(_) => true,
            Self::Reaction(reaction) => reaction.emoji.is_some(),
            _ => false,
        }
    }
}
