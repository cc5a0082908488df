//! Small models of Meta and the agent's provider: what was really said, whatever callers were told.

use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{Record, RecordEntry, Role, Seen, Thread};
use std::collections::HashMap;

/// Meta's side of the conversation.
#[derive(Default)]
pub(crate) struct Meta {
    /// All messages, oldest first.
    pub(crate) thread: Vec<Said>,
    next_mid: u32,
}

/// A message as Meta stores it.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) mid: String,
    pub(crate) at: Millis,
    pub(crate) by: By,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Customer,
    /// Through the Send API.
    Api,
    /// In the Instagram app.
    App,
}

impl Meta {
    pub(crate) fn say(&mut self, at: Millis, by: By, text: &str) -> Said {
        self.next_mid += 1;
        let said = Said { mid: format!("mid{}", self.next_mid), at, by, text: text.to_owned() };
        self.thread.push(said.clone());
        said
    }

    pub(crate) fn count(&self, by: By, text: &str) -> usize {
        self.thread.iter().filter(|said| said.by == by && said.text == text).count()
    }

    /// The newest 20 messages, as the Conversations API shows them: times in whole seconds, typographic
    /// quotes.
    pub(crate) fn list(&self) -> Thread {
        let seen = |said: &Said| Seen {
            mid: said.mid.clone(),
            at: said.at / 1_000 * 1_000,
            by_customer: said.by == By::Customer,
            text: Some(said.text.replace('\'', "\u{2019}")),
        };
        let messages = self.thread.iter().rev().take(20).map(seen).collect();
        Thread { messages, complete: self.thread.len() < 20 }
    }
}

/// The agent's provider.
#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) chats: HashMap<String, AgentChat>,
    next_id: u32,
}

#[derive(Default)]
pub(crate) struct AgentChat {
    pub(crate) ended: bool,
    pub(crate) entries: Vec<RecordEntry>,
}

impl Agent {
    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("a{}", self.next_id)
    }

    pub(crate) fn open(&mut self) -> String {
        let id = self.id();
        self.chats.insert(id.clone(), AgentChat::default());
        id
    }

    /// Receives a question. The answer enters the record at once, or `later`.
    pub(crate) fn take(&mut self, chat: &str, text: &str) -> Vec<RecordEntry> {
        let question = RecordEntry { role: Role::User, text: text.to_owned(), id: Some(self.id()) };
        let replies = replies_to(text);
        let mut answer = Vec::new();
        for text in replies {
            answer.push(RecordEntry { role: Role::Agent, text, id: Some(self.id()) });
        }
        self.chats.get_mut(chat).unwrap().entries.push(question);
        answer
    }

    pub(crate) fn answer(&mut self, chat: &str, answer: Vec<RecordEntry>) {
        self.chats.get_mut(chat).unwrap().entries.extend(answer);
    }

    pub(crate) fn record(&self, chat: &str) -> Record {
        Record { entries: self.chats.get(chat).map(|chat| chat.entries.clone()) }
    }

    /// How often the agent was asked about a customer's message, in any question.
    pub(crate) fn asked(&self, text: &str) -> usize {
        let entries = self.chats.values().flat_map(|chat| &chat.entries);
        entries
            .filter(|entry| entry.role == Role::User)
            .filter(|entry| entry.text.lines().any(|line| line == text))
            .count()
    }
}

/// The agent's answer: one message, or two for a multi-line question.
fn replies_to(text: &str) -> Vec<String> {
    let last = text.lines().last().unwrap_or_default();
    let mut replies = vec![format!("it's {last}")];
    if text.lines().count() > 1 {
        replies.push(format!("and {last}"));
    }
    replies
}
