//! What the quick start lends the console: a link that signs in, and a customer's phone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A customer whom the person at the console plays.
pub trait DemoCustomer: Send + Sync {
    /// The handle of the account that the customer writes to.
    fn account(&self) -> &str;
    /// The customer writes.
    fn say(&self, text: &str);
    /// What the customer sees, oldest first: whether the customer wrote it, and its text.
    fn conversation(&self) -> Vec<(bool, String)>;
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
