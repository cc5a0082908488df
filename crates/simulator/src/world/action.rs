//! The things people do in the Instagram app that Meta tells an app about.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Something a person does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Writes a text.
    Text {
        /// What.
        text: String,
        /// The message it replies to.
        #[serde(default)]
        reply_to: Option<String>,
        /// `message.referral`, as for the first message after an ad or an ig.me link.
        #[serde(default)]
        referral: Option<Value>,
    },
    /// Taps a quick reply. The title may be missing from the webhook.
    QuickReply {
        /// What the button says.
        #[serde(default)]
        title: Option<String>,
        /// What the app hears.
        payload: String,
    },
    /// Taps an ice breaker, a menu item or a button.
    Postback {
        /// What the button says.
        title: String,
        /// What the app hears.
        payload: String,
        /// `postback.referral`.
        #[serde(default)]
        referral: Option<Value>,
        /// Leave the mid out, as Meta's ice breaker sample does.
        #[serde(default)]
        without_mid: bool,
    },
    /// Sends attachments, each `{type, payload}`.
    Attachments {
        /// As they stand in the webhook.
        attachments: Vec<Value>,
        /// A caption.
        #[serde(default)]
        text: Option<String>,
    },
    /// Replies to the account's story.
    StoryReply {
        /// What.
        text: String,
        /// The story's id.
        story_id: String,
        /// The story's address.
        url: String,
    },
    /// Mentions the account in a story.
    StoryMention {
        /// The story's address.
        url: String,
    },
    /// Reacts to a message, or takes the reaction back.
    Reaction {
        /// The message.
        mid: String,
        /// `love` and so on; may be missing.
        #[serde(default)]
        reaction: Option<String>,
        /// The emoji.
        #[serde(default)]
        emoji: Option<String>,
        /// Takes it back.
        #[serde(default)]
        unreact: bool,
    },
    /// Takes a message back.
    Unsend {
        /// The message.
        mid: String,
    },
    /// Edits a message.
    Edit {
        /// The message.
        mid: String,
        /// Its new text.
        text: String,
        /// How often it was edited by now.
        #[serde(default = "one")]
        num_edit: u32,
    },
    /// Reads up to a message.
    Read {
        /// The message.
        mid: String,
    },
    /// Opens an ig.me link in a thread that exists.
    Referral {
        /// The link's `ref`.
        reference: String,
    },
    /// Sends something the API does not show.
    Unsupported,
    /// Any item as it shall stand in `messaging[]` (or `standby[]`), for what has no kind here.
    Raw {
        /// The item.
        item: Value,
        /// The webhook field it belongs to.
        #[serde(default = "messages")]
        field: String,
        /// In `standby[]`.
        #[serde(default)]
        standby: bool,
    },
    /// A person writes for the account in the Instagram app: an echo with a mid nobody was told.
    Native {
        /// What.
        text: String,
    },
    /// Comments on a post, or during a broadcast.
    Comment {
        /// What.
        text: String,
        /// During a live broadcast: field `live_comments`.
        #[serde(default)]
        live: bool,
        /// As `field` and `value` on the entry, not in `changes[]`.
        #[serde(default)]
        flat: bool,
        /// Written by the account itself.
        #[serde(default)]
        own: bool,
        /// The comment it answers.
        #[serde(default)]
        parent_id: Option<String>,
    },
    /// Mentions the account in a caption, or in a comment.
    Mention {
        /// The comment, if it is in one.
        #[serde(default)]
        comment_id: Option<String>,
    },
}

impl Action {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), reply_to: None, referral: None }
    }

    /// Something a person wrote for the account in the Instagram app.
    pub fn native(text: impl Into<String>) -> Self {
        Self::Native { text: text.into() }
    }

    /// One attachment with an address.
    pub fn attachment(kind: &str, url: &str) -> Self {
        Self::Attachments { attachments: vec![json!({"type": kind, "payload": {"url": url}})], text: None }
    }

    /// Whether it opens the 24 h window (Send Messages: what starts it; chatwoot #12635 for story mentions).
    pub(crate) fn opens_window(&self) -> bool {
        match self {
            Self::Reaction { unreact, .. } => !unreact,
            Self::Text { .. }
            | Self::QuickReply { .. }
            | Self::Postback { .. }
            | Self::Attachments { .. }
            | Self::StoryReply { .. }
            | Self::StoryMention { .. }
            | Self::Referral { .. }
            | Self::Unsupported => true,
            Self::Raw { item, .. } => {
                item.get("message").is_some_and(|message| message.get("is_echo").is_none())
            }
            _ => false,
        }
    }

    /// Whether an answer is to be expected, for the reply latency.
    pub(crate) fn awaits_reply(&self) -> bool {
        matches!(
            self,
            Self::Text { .. } | Self::QuickReply { .. } | Self::Postback { .. } | Self::Attachments { .. }
        )
    }
}

fn one() -> u32 {
    1
}

fn messages() -> String {
    "messages".to_owned()
}
