//! The customer's phone of the demo.

use crate::DemoTrouble;

pub(crate) const LABEL: &str = "The customer's phone (demo)";
pub(crate) const CAPTION: &str = "You as a customer";
pub(crate) const SIMULATED: &str = "Simulated: none of this reaches Instagram.";
pub(crate) const EMPTY: &str = "Write to the business and watch it answer.";
pub(crate) const WRITE: &str = "Message…";
pub(crate) const WRITE_LABEL: &str = "Message as the customer";
pub(crate) const SEND: &str = "Send";
pub(crate) const WHAT_IF: &str = "What if…";

pub(crate) const LET_PASS: &str = "Time goes by…";

pub(crate) fn hours(hours: u32) -> String {
    if hours == 1 { "1 hour".to_owned() } else { format!("{hours} hours") }
}

/// What a customer of the demo can do: a word, a sign, and what it says.
pub(crate) const DEEDS: [(&str, &str, &str); 6] = [
    ("photo", "Photo", "Send a photo"),
    ("voice", "Voice", "Send a voice message"),
    ("story", "Story", "Reply to a story"),
    ("heart", "❤", "Put a heart on the last message of the account"),
    ("comment", "Comment", "Comment on a post"),
    ("unsend", "Unsend", "Unsend your last message"),
];

/// What goes wrong in the demo.
pub(crate) fn trouble(trouble: DemoTrouble) -> &'static str {
    match trouble {
        DemoTrouble::TokenExpired => "the login expires",
        DemoTrouble::AgentSlow => "the agent is slow",
        DemoTrouble::GraphRefuses => "Instagram refuses messages",
        DemoTrouble::WebhookTwice => "webhooks come twice",
    }
}

/// What the customer of the demo writes below a post.
pub const DEMO_COMMENT: &str = "How much is the large vase?";
