//! The simulator's state, in memory, under one lock with short critical sections.

pub(crate) mod account;
pub(crate) mod action;
pub(crate) mod customer;
pub(crate) mod thread;

use std::collections::HashMap;

use crate::cdn::Cdn;
use crate::faults::Faults;
use crate::graph::uploads::Uploaded;
use crate::login::Logins;
use crate::record::Record;
use crate::retell::{AgentRule, Chat};
use crate::settings::Settings;
use crate::words::Words;

use account::{Account, Token};
use thread::{Thread, ThreadKey};

/// Messages stored per thread if records are disabled.
const KEPT_WITHOUT_RECORDS: usize = 25;

/// The state of both services.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) accounts: HashMap<String, Account>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) logins: Logins,
    pub(crate) threads: HashMap<ThreadKey, Thread>,
    pub(crate) conversations: HashMap<String, ThreadKey>,
    pub(crate) mids: HashMap<String, ThreadKey>,
    pub(crate) comments: HashMap<String, Comment>,
    pub(crate) chats: HashMap<String, Chat>,
    pub(crate) agents: HashMap<String, AgentRule>,
    pub(crate) faults: Faults,
    pub(crate) cdn: Cdn,
    pub(crate) words: Words,
    pub(crate) uploads: HashMap<String, Uploaded>,
    pub(crate) record: Record,
}

/// A comment on one of the account's posts.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) account: String,
    pub(crate) user: String,
    pub(crate) at: i64,
    pub(crate) replied: bool,
    /// Replies that everybody sees.
    pub(crate) replies: Vec<String>,
    pub(crate) hidden: bool,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Resets everything but the settings.
    pub(crate) fn reset(&mut self) {
        let settings = std::mem::take(&mut self.settings);
        *self = Self::new(settings);
    }

    pub(crate) fn thread(&self, account: &str, user: &str) -> Option<&Thread> {
        self.threads.get(&ThreadKey::new(account, user))
    }

    /// The thread of an account with a customer, created if there is none.
    pub(crate) fn open_thread(&mut self, key: &ThreadKey) -> &mut Thread {
        let conversations = &mut self.conversations;
        self.threads.entry(key.clone()).or_insert_with(|| {
            let thread = Thread::new(&key.user);
            conversations.insert(thread.conversation_id.clone(), key.clone());
            thread
        })
    }

    /// Adds a message to its thread, and drops the oldest if memory must stay bounded.
    pub(crate) fn add_message(&mut self, key: &ThreadKey, message: thread::Message) {
        self.mids.insert(message.mid.clone(), key.clone());
        let keep = if self.settings.keep_records { usize::MAX } else { KEPT_WITHOUT_RECORDS };
        let thread = self.open_thread(key);
        thread.updated_ms = thread.updated_ms.max(message.created_ms);
        thread.messages.push_back(message);
        let excess = thread.messages.len().saturating_sub(keep);
        let forgotten: Vec<String> = thread.messages.drain(..excess).map(|message| message.mid).collect();
        for mid in forgotten {
            self.mids.remove(&mid);
        }
    }
}
