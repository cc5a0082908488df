//! Actions of customers in the Instagram app that Meta reports to an app.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An action.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Writes a text.
    Text {
        /// The text.
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
        /// The button's title.
        #[serde(default)]
        title: Option<String>,
        /// The payload.
        payload: String,
    },
    /// Taps an ice breaker, a menu item or a button.
    Postback {
        /// The button's title.
        title: String,
        /// The payload.
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
        /// As in the webhook.
        attachments: Vec<Value>,
        /// A caption.
        #[serde(default)]
        text: Option<String>,
    },
    /// Replies to the account's story.
    StoryReply {
        /// The text.
        text: String,
        /// The story's id.
        story_id: String,
        /// The story's URL.
        url: String,
    },
    /// Mentions the account in a story.
    StoryMention {
        /// The story's URL.
        url: String,
    },
    /// Reacts to a message, or removes the reaction.
    Reaction {
        /// The message.
        mid: String,
        /// `love` and so on; may be missing.
        #[serde(default)]
        reaction: Option<String>,
        /// The emoji.
        #[serde(default)]
        emoji: Option<String>,
        /// Removes it.
        #[serde(default)]
        unreact: bool,
    },
    /// Unsends a message.
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
        /// Number of edits so far.
        #[serde(default = "one")]
        num_edit: u32,
    },
    /// Reads up to a message.
    Read {
        /// The message.
        mid: String,
    },
    /// Opens an ig.me link in an existing thread.
    Referral {
        /// The link's `ref`.
        reference: String,
    },
    /// Sends something the API does not expose.
    Unsupported,
    /// An arbitrary item for `messaging[]` (or `standby[]`), for anything without its own kind.
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
    /// A human writes for the account in the Instagram app: an echo with an unknown mid.
    Native {
        /// The text.
        text: String,
    },
    /// Comments on a post, or during a broadcast.
    Comment {
        /// The text.
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
        /// The comment it replies to.
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

    /// A message a human wrote for the account in the Instagram app.
    pub fn native(text: impl Into<String>) -> Self {
        Self::Native { text: text.into() }
    }

    /// One attachment with a URL.
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

    /// Whether it expects an answer, for the reply latency.
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
