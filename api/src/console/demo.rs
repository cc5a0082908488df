//! What the quick start lends the console: a link that signs in, and a customer's phone.

pub use dmrelay_console::{DemoButton, DemoCard, DemoMessage, DemoTrouble};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The customer of the demo. Whoever looks at the console can act as them.
pub trait DemoCustomer: Send + Sync {
    /// The handle of the account that the customer writes to.
    fn account(&self) -> &str;
    /// The customer's id.
    fn user(&self) -> &str;
    /// So much time goes by for Meta, in this conversation.
    fn let_pass(&self, time: Duration);
    /// The customer does something.
    fn act(&self, deed: DemoDeed);
    /// What the customer sees, oldest first.
    fn conversation(&self) -> Vec<DemoMessage>;
    /// Something goes wrong from now on, or no longer.
    fn trouble(&self, trouble: DemoTrouble, is_on: bool);
    /// What goes wrong now.
    fn troubles(&self) -> Vec<DemoTrouble>;
}

/// What the customer of the demo can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemoDeed {
    /// Writes a text.
    Text(String),
    /// Sends a photo.
    Photo,
    /// Sends a voice message.
    Voice,
    /// Replies to a story of the account.
    StoryReply(String),
    /// Comments on a post of the account.
    Comment(String),
    /// Taps a button of a card.
    Tap {
        /// What stands on it.
        title: String,
        /// What the business is told.
        payload: String,
    },
    /// Taps a quick reply.
    QuickReply {
        /// What stands on it.
        title: String,
        /// What the business is told.
        payload: String,
    },
    /// Takes back their last message.
    Unsend,
    /// Puts a heart on the last message of the account.
    Heart,
}

/// What the quick start lends the console and the page of the API.
#[derive(Clone)]
pub struct Demo {
    /// The subaccount.
    pub subaccount: String,
    /// The agent.
    pub agent: String,
    /// The code of the link that signs in, once.
    code: String,
    is_used: Arc<AtomicBool>,
    /// The customer.
    pub customer: Arc<dyn DemoCustomer>,
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("subaccount", &self.subaccount).finish_non_exhaustive()
    }
}

impl Demo {
    /// A demo in which whoever has the code may sign in, once.
    pub fn new(subaccount: &str, agent: &str, code: String, customer: Arc<dyn DemoCustomer>) -> Self {
        let (subaccount, agent) = (subaccount.to_owned(), agent.to_owned());
        Self { subaccount, agent, code, is_used: Arc::default(), customer }
    }

    /// Whether the code is right, and was not used before. From then on it was.
    pub(super) fn redeem(&self, code: &str) -> bool {
        let is_right = dmrelay_domain::signature::same(self.code.as_bytes(), code.as_bytes());
        is_right && !self.is_used.swap(true, Ordering::SeqCst)
    }
}
