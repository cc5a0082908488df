//! Cases observed on running systems, as sequences of commands.

mod automation;
mod broadcasts;
mod lookups;
mod rules;
mod takeovers;
mod turns;
mod understanding;
mod writing;

use crate::database::{Applied, Database};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::AgentChat;
use dmrelay_domain::conversation::{
    AgentFailure, Ask, Claim, CloseLetter, Command, Effect, Orphan, Policy, Receive, Received, Record,
    RecordAgentFailure, RecordAnswer, RecordEntry, RecordSendFailure, RecordSent, Release, Reply,
    ResolveSend, ResolveTurn, Role, Seen, SendFailure, SendLookup, StartTurn, Thread,
};
use dmrelay_domain::event::{self, Container};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{EventId, MessageId, TurnId, WorkerId};
use dmrelay_domain::states::{Author, ChatMode, ConnectionStatus, MessageStatus, TurnState};
use serde_json::{Value, json};

const NOW: Millis = 1_700_000_000_000;
const WEEK: Millis = 7 * 24 * 3_600_000;

/// A conversation driven by single commands.
struct Case {
    db: Database,
    now: Millis,
    worker: WorkerId,
    mids: u32,
    /// The agent chat that a turn which begins is given.
    agent_chat: Option<&'static str>,
    /// Whether the worker may keep a timer for a turn that is due later.
    timer: bool,
}

impl Case {
    fn new() -> Self {
        let policy = Policy { debounce: 0, ..Policy::default() };
        let (db, worker) = (Database::new(policy), WorkerId::new());
        Self { db, now: NOW, worker, mids: 0, agent_chat: Some("agent"), timer: false }
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.db.transact(self.now, 1.0, command)
    }

    fn claim(&self) -> Claim {
        Claim::By(self.worker)
    }

    /// One of Meta's events about this message.
    fn event(&mut self, from_customer: bool, message: &Value) -> Applied {
        let (sender, recipient) = if from_customer { ("200", "17") } else { ("17", "200") };
        let raw = json!({
            "sender": { "id": sender }, "recipient": { "id": recipient }, "timestamp": self.now, "message": message,
        });
        self.raw(&raw)
    }

    fn raw(&mut self, raw: &Value) -> Applied {
        let event = Received {
            id: EventId::new(),
            container: Container::Messaging,
            item: event::read(Container::Messaging, "17", raw.to_string().as_bytes()).unwrap(),
            at: self.now,
            arrived_at: self.now,
            ready_at: self.now,
            trace: None,
        };
        let start = Some(self.start(self.agent_chat));
        self.apply(Command::Receive(Receive { events: vec![event], start, only: None, timer: self.timer }))
    }

    fn start(&self, agent_chat: Option<&str>) -> StartTurn {
        StartTurn {
            worker: self.worker,
            turn: TurnId::new(),
            agent_chat: agent_chat.map(|id| AgentChat { id: id.to_owned(), key: None, agent: None }),
            not_before: None,
        }
    }

    fn writes(&mut self, text: &str) -> Applied {
        self.mids += 1;
        let mid = format!("in-{}", self.mids);
        self.event(true, &json!({ "mid": mid, "text": text }))
    }

    fn echo(&mut self, mid: &str, text: &str) -> Applied {
        self.event(false, &json!({ "mid": mid, "text": text, "is_echo": true }))
    }

    /// The customer writes, and the agent is asked.
    fn asked(&mut self, text: &str) -> Ask {
        let asked = self.writes(text);
        let [Effect::Ask(ask)] = &asked.effects[..] else { panic!("not asked: {:?}", asked.effects) };
        ask.clone()
    }

    /// The outcome of the question is unknown: it got an error or no response.
    fn ask_fails(&mut self, ask: &Ask, answered: bool) {
        let (turn, attempt) = (ask.turn, ask.attempt);
        let class = FailureClass::Ambiguous;
        let failure = AgentFailure { class, answered, retry_after: None, error: String::new() };
        self.apply(Command::RecordAgentFailure(RecordAgentFailure { turn, attempt, failure, retry: None }));
    }

    /// The customer writes and the agent answers; returns the first reply, which is being sent.
    fn answered(&mut self, text: &str, replies: &[&str]) -> MessageId {
        let ask = self.asked(text);
        sending(&self.answers(&ask, replies)).unwrap_or_else(|| panic!("nothing is sent"))
    }

    fn answers(&mut self, ask: &Ask, replies: &[&str]) -> Applied {
        self.apply(Command::RecordAnswer(RecordAnswer {
            turn: ask.turn,
            attempt: ask.attempt,
            replies: replies.iter().map(|reply| (*reply).to_owned()).collect(),
            watermark: None,
            claim: self.claim(),
        }))
    }

    fn sent(&mut self, message: MessageId, mid: &str) -> Applied {
        let (mid, claim) = (mid.to_owned(), self.claim());
        self.apply(Command::RecordSent(RecordSent { message, attempt: 1, mid, claim }))
    }

    /// The connection was lost during the send.
    fn lost(&mut self, message: MessageId) -> Applied {
        let failure = SendFailure {
            class: FailureClass::Ambiguous,
            answered: false,
            code: "no answer".to_owned(),
            bare_100: false,
            retry_after: None,
            error: String::new(),
        };
        let (host_succeeded_at, claim) = (None, self.claim());
        let failed = RecordSendFailure { message, attempt: 1, failure, host_succeeded_at, claim };
        self.apply(Command::RecordSendFailure(failed))
    }

    fn looks_up(&mut self, message: MessageId, thread: Thread) -> Applied {
        let settled = self.message(message).deadline.is_some_and(|deadline| deadline <= self.now);
        self.looked_up(message, thread, settled)
    }

    fn looked_up(&mut self, message: MessageId, thread: Thread, settled: bool) -> Applied {
        let attempt = self.message(message).attempt;
        let (thread, host_succeeded_at, claim) = (Ok(thread), None, self.claim());
        let resolve = ResolveSend { message, attempt, settled, thread, host_succeeded_at, claim };
        self.apply(Command::ResolveSend(resolve))
    }

    fn message(&self, id: MessageId) -> &dmrelay_domain::conversation::Message {
        self.db.messages.iter().find(|message| message.id == id).unwrap()
    }

    fn by(&self, author: Author) -> Vec<&str> {
        let messages = self.db.messages.iter().filter(|message| message.author == author);
        messages.filter_map(|message| message.body.text.as_deref()).collect()
    }
}

fn sending(applied: &Applied) -> Option<MessageId> {
    applied.effects.iter().find_map(|effect| match effect {
        Effect::Send(send) => Some(send.message.id),
        _ => None,
    })
}

fn seen(mid: &str, at: Millis, by_customer: bool, text: &str) -> Seen {
    Seen { mid: mid.to_owned(), at, by_customer, text: Some(text.to_owned()) }
}
