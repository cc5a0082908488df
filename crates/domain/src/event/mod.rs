//! Meta's webhook events: from the raw body to events with a key each, and from a stored event to what it
//! means. Every item is parsed on its own, so one odd item never spoils its batch; what does not parse is
//! kept as [`Kind::Unknown`] (Meta, "Webhooks: unknown fields may appear without notice").

mod content;
mod envelope;
mod item;
mod key;
#[cfg(test)]
mod tests;

pub use content::{Attachment, Comment, Content, Edit, Inbound, Postback, Reaction, Referral, ReplyTo};
pub use envelope::{Envelope, Event, parse};
pub use item::{Container, Item, read};
pub use key::EventKey;

use crate::states::words;

words!(
    /// What an event is, in our words: a label of metrics and a column of the inbox. Never part of the
    /// key, so that a finer distinction made later does not tell a redelivery apart from its first.
    Kind {
        /// A message of the user: text, attachments, a quick reply, an answer to a story.
        Message = "message",
        /// What the account itself sent, through whatever means.
        Echo = "echo",
        /// A message taken back by its writer.
        Unsend = "unsend",
        /// A message of a kind Meta does not hand out.
        Unsupported = "unsupported",
        /// An ice breaker, a button or a menu entry.
        Postback = "postback",
        /// A click on an ig.me link or an ad, without a message.
        Referral = "referral",
        /// A reaction set or taken back.
        Reaction = "reaction",
        /// The text of a message changed.
        Edit = "edit",
        /// The user has read up to a message.
        Read = "read",
        /// Control of the thread changed hands.
        Handover = "handover",
        /// Another app owns the thread; for our eyes only.
        Standby = "standby",
        /// A comment on a post or a live video.
        Comment = "comment",
        /// The account was mentioned in a caption or a comment.
        Mention = "mention",
        /// Dashboard tests and the account's messages to itself.
        Ignored = "ignored",
        /// Not understood.
        Unknown = "unknown",
    }
);
