//! Meta's webhook events: from the raw body to events with deduplication keys, and from a stored event to its
//! content. Every item is parsed on its own, so that a malformed item never spoils its batch; an unparsable
//! one is stored as [`Kind::Unknown`] (Meta, "Webhooks: unknown fields may appear without notice").

mod content;
mod envelope;
mod item;
mod key;
mod parts;
#[cfg(test)]
mod tests;

pub use content::{
    Attachment, Comment, Content, Edit, Inbound, Mention, Postback, Reaction, Referral, ReplyTo,
};
pub use envelope::{Envelope, Event, parse, read_back};
pub use item::{Container, Item, read};
pub use key::EventKey;

use crate::states::words;

words!(
    /// The kind of an event, in our words: a metric label and a column of the inbox. Never part of the key,
    /// so that a finer distinction made later does not separate a redelivery from the original.
    Kind {
        /// A message from the user: text, attachments, a quick reply, a reply to a story.
        Message = "message",
        /// A message sent by the account, through any channel.
        Echo = "echo",
        /// A message unsent by its author.
        Unsend = "unsend",
        /// A message of a type Meta does not expose.
        Unsupported = "unsupported",
        /// An ice breaker, a button or a menu entry.
        Postback = "postback",
        /// A click on an ig.me link or an ad, without a message.
        Referral = "referral",
        /// A reaction added or removed.
        Reaction = "reaction",
        /// The text of a message was edited.
        Edit = "edit",
        /// The user rated an answer.
        Feedback = "feedback",
        /// Meta warned or restricted the account.
        PolicyEnforcement = "policy_enforcement",
        /// The user has read up to a message.
        Read = "read",
        /// Control of the thread passed to another app.
        Handover = "handover",
        /// Another app owns the thread; for information only.
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
