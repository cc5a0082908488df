//! One conversation, its workers, Meta and the agent, and their invariants.

use crate::database::{Applied, Database, USER};
use crate::services::{Agent, By, Meta, Said};
use crate::step::{End, Step};
use crate::task::{Task, Tasks, brief};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{
    Body, Claim, Command, Fact, Orphan, Pause, Policy, Received, Release, SendByHuman, StartTurn, TakeOver,
    Tracked,
};
use dmrelay_domain::event::{self, Container};
use dmrelay_domain::ids::{EventId, MessageId, TurnId, WorkerId};
use dmrelay_domain::states::{Author, MessageStatus, TurnState};
use serde_json::json;
use std::collections::{HashMap, HashSet};

const ACCOUNT: &str = "17";
pub(crate) const START: Millis = 1_700_000_000_000;

/// An event in transit: a webhook that Meta delivers until it is acknowledged.
#[derive(Clone)]
pub(crate) struct Webhook {
    id: EventId,
    at: Millis,
    raw: serde_json::Value,
}

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) db: Database,
    pub(crate) meta: Meta,
    pub(crate) agent: Agent,
    pub(crate) tasks: Tasks,
    workers: [WorkerId; 2],
    pub(crate) waiting: Vec<Webhook>,
    delivered: Vec<Webhook>,
    /// Delayed effects of calls that timed out: when, and what.
    pub(crate) late: Vec<(Millis, Late)>,
    /// Whether the response to the next commit is lost.
    pub(crate) lose_commit: bool,
    pub(crate) written: u32,
    pub(crate) last_written: Millis,
    taken_back: HashSet<String>,
    events: u128,
    human_texts: HashMap<String, usize>,
    /// Position in the history, for messages.
    pub(crate) log: Vec<String>,
}

/// A delayed effect.
pub(crate) enum Late {
    Question { chat: String, text: String },
    Message(String),
}

impl World {
    pub(crate) fn new() -> Self {
        // Short timeouts, so that a worker is often slower than its deadline.
        let policy = Policy {
            debounce: 0,
            agent_timeout: 15_000,
            graph_timeout: 10_000,
            reconcile_grace: 5_000,
            turns_per_hour_max: 1_000,
            ..Policy::default()
        };
        Self {
            now: START,
            db: Database::new(policy),
            meta: Meta::default(),
            agent: Agent::default(),
            tasks: Tasks::default(),
            workers: [WorkerId::new(), WorkerId::new()],
            waiting: Vec::new(),
            delivered: Vec::new(),
            late: Vec::new(),
            lose_commit: false,
            written: 0,
            last_written: 0,
            taken_back: HashSet::new(),
            events: 0,
            human_texts: HashMap::new(),
            log: Vec::new(),
        }
    }

    pub(crate) fn play(&mut self, step: Step) {
        self.log.push(format!("{} {step:?}", self.now - START));
        match step {
            Step::Write => self.write(),
            Step::TakeBack(which) => self.take_back(which),
            Step::App { same_words } => self.write_in_app(same_words),
            Step::Send => self.send_by_human(),
            Step::TakeOver { until_released } => {
                let pause = if until_released { Pause::UntilReleased } else { Pause::Usual };
                let take_over = TakeOver { actor: "ada".into(), pause };
                self.rest(Command::TakeOver(take_over));
            }
            Step::Release => self.rest(Command::Release(Release::By("ada".into()))),
            Step::Pause(paused) => self.db.connection.bot_paused = paused,
            Step::Deliver(which) => self.deliver(which),
            Step::Redeliver(which) => {
                if let Some(event) = pick(&self.delivered, which).cloned() {
                    // As if its deduplication key had expired: only the mid identifies it.
                    let id = self.event_id();
                    self.delivered.push(Webhook { id, ..event });
                    self.wake();
                }
            }
            Step::Work { task, end } => self.work(task, end),
            Step::Crash(which) => {
                let worker = usize::from(which) % 2;
                self.tasks.crash(self.workers[worker]);
                self.workers[worker] = WorkerId::new();
            }
            Step::LoseCommit => self.lose_commit = true,
            Step::Poll => self.poll(),
            Step::Wait(millis) => self.wait(millis.into()),
        }
        self.check();
    }

    pub(crate) fn wait(&mut self, millis: Millis) {
        let until = self.now + millis;
        self.late.sort_by_key(|(at, _)| *at);
        while self.late.first().is_some_and(|(at, _)| *at <= until) {
            let (at, late) = self.late.remove(0);
            self.now = self.now.max(at);
            self.come_late(late);
        }
        self.now = until;
    }

    fn come_late(&mut self, late: Late) {
        match late {
            Late::Question { chat, text } => {
                let answer = self.agent.take(&chat, &text);
                self.agent.answer(&chat, answer);
            }
            Late::Message(text) => {
                self.sent(&text);
            }
        }
    }

    /// The customer writes a unique text.
    fn write(&mut self) {
        self.written += 1;
        let text = format!("m{}", self.written);
        let said = self.meta.say(self.now, By::Customer, &text);
        self.last_written = self.now;
        self.announce(&said, &json!({ "mid": said.mid, "text": text }));
    }

    fn take_back(&mut self, which: u8) {
        let mine: Vec<Said> =
            self.meta.thread.iter().filter(|said| said.by == By::Customer).cloned().collect();
        let Some(said) = pick(&mine, which) else { return };
        if self.taken_back.insert(said.text.clone()) {
            self.announce(said, &json!({ "mid": said.mid, "is_deleted": true }));
        }
    }

    fn write_in_app(&mut self, same_words: bool) {
        let waiting = self.db.messages.iter().find(|message| {
            message.author == Author::Agent
                && matches!(message.status, MessageStatus::Sending | MessageStatus::Unknown)
        });
        let text = match waiting.filter(|_| same_words) {
            Some(message) => message.body.text.clone().unwrap_or_default(),
            None => format!("app{}", self.meta.thread.len()),
        };
        let said = self.meta.say(self.now, By::App, &text);
        self.announce_echo(&said);
    }

    fn send_by_human(&mut self) {
        let text = format!("human{}", self.human_texts.len());
        let send = SendByHuman {
            message: MessageId::new(),
            body: Body { kind: "text".to_owned(), text: Some(text.clone()), ..Body::default() },
            idempotency_key: None,
            actor: "ada".into(),
            sent_by: None,
            trace: None,
        };
        self.human_texts.insert(text, 1);
        self.rest(Command::SendByHuman(send));
    }

    /// The API changes the chat; a worker carries out the effects.
    fn rest(&mut self, command: Command) {
        let applied = self.db.transact(self.now, 0.5, command);
        self.follow(applied, self.workers[0]);
    }

    pub(crate) fn announce_echo(&mut self, said: &Said) {
        let raw = json!({
            "sender": { "id": ACCOUNT }, "recipient": { "id": USER }, "timestamp": said.at,
            "message": { "mid": said.mid, "text": said.text, "is_echo": true },
        });
        let id = self.event_id();
        self.waiting.push(Webhook { id, at: said.at, raw });
    }

    fn announce(&mut self, said: &Said, message: &serde_json::Value) {
        let raw = json!({
            "sender": { "id": USER }, "recipient": { "id": ACCOUNT }, "timestamp": said.at, "message": message,
        });
        let id = self.event_id();
        self.waiting.push(Webhook { id, at: self.now, raw });
    }

    /// Ids do not reveal the order of events within one millisecond.
    fn event_id(&mut self) -> EventId {
        self.events += 1;
        EventId(uuid::Uuid::from_u128(self.events.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
    }

    /// A message is sent: Meta has it, and an echo is on its way.
    pub(crate) fn sent(&mut self, text: &str) -> String {
        let said = self.meta.say(self.now, By::Api, text);
        self.announce_echo(&said);
        said.mid
    }

    pub(crate) fn deliver(&mut self, which: u8) {
        if self.waiting.is_empty() {
            return;
        }
        // Mostly in order; the order is not guaranteed.
        let place = if which < 180 { 0 } else { usize::from(which) % self.waiting.len() };
        let event = self.waiting.remove(place);
        self.delivered.push(event);
        self.wake();
    }

    /// A job notifies a worker of waiting events.
    fn wake(&mut self) {
        let worker = self.workers[self.delivered.len() % 2];
        self.tasks.push(worker, Task::Receive);
    }

    /// The inbox events not ingested yet, in Meta's order.
    pub(crate) fn inbox(&self) -> Vec<Received> {
        let mut waiting: Vec<&Webhook> =
            self.delivered.iter().filter(|event| !self.db.done.contains(&event.id)).collect();
        waiting.sort_by_key(|event| (event.at, event.id));
        let received = |event: &Webhook| Received {
            id: event.id,
            container: Container::Messaging,
            item: event::read(Container::Messaging, ACCOUNT, event.raw.to_string().as_bytes()).unwrap(),
            at: event.at,
            arrived_at: self.now,
            ready_at: self.now,
            trace: None,
        };
        waiting.into_iter().map(received).collect()
    }

    fn work(&mut self, which: u8, end: End) {
        if let Some((worker, task)) = self.tasks.take(which) {
            self.run(worker, task, end);
        }
    }

    /// Gives due work that no one holds to a worker; calls of dead workers are reconciled.
    pub(crate) fn poll(&mut self) {
        let worker = self.workers[self.log.len() % 2];
        let alive = |id: Option<WorkerId>| id.is_some_and(|id| self.workers.contains(&id));
        let mut commands = Vec::new();
        for turn in &self.db.turns {
            if turn.state == TurnState::Asking && (!alive(turn.worker) || turn.deadline <= self.now) {
                commands.push(Command::Orphan(Orphan::Turn(turn.id, turn.attempt)));
            }
        }
        for message in &self.db.messages {
            let over = message.deadline.is_some_and(|deadline| deadline <= self.now);
            if message.status == MessageStatus::Sending && (!alive(message.worker) || over) {
                commands.push(Command::Orphan(Orphan::Send(message.id, message.attempt)));
            }
        }
        let chat = &self.db.chat;
        if chat.resume_at.is_some_and(|at| at <= self.now) {
            commands.push(Command::Release(Release::Expired));
        }
        let due = |work: dmrelay_domain::conversation::Work| {
            work.due_at.is_some_and(|at| at <= self.now) && work.reserved_until <= self.now
        };
        if due(chat.turn) {
            let start = StartTurn { worker, turn: TurnId::new(), agent_chat: None, not_before: None };
            commands.push(Command::StartTurn(start));
        }
        if due(chat.outbox) {
            commands.push(Command::ClaimSend(Claim::By(worker)));
        }
        for command in commands {
            self.tasks.push(worker, Task::Apply(command));
        }
        if !self.inbox().is_empty() {
            self.wake();
        }
    }

    /// The effects of a commit become the worker's tasks.
    pub(crate) fn follow(&mut self, applied: Applied, worker: WorkerId) {
        for fact in &applied.facts {
            if let Fact::Sent(sent) = fact {
                self.log.push(format!("  sent {:?}", sent.author));
            }
        }
        self.log.push(format!("  {:?}", applied.reply));
        for effect in applied.effects {
            self.log.push(format!("    {}", brief(&effect)));
            self.check_effect(&effect);
            if let Some(task) = Task::of(effect, self.now) {
                self.tasks.push(worker, task);
            }
        }
    }
}

fn pick<T>(items: &[T], which: u8) -> Option<&T> {
    if items.is_empty() { None } else { items.get(usize::from(which) % items.len()) }
}

/// The text of a message as sent.
pub(crate) fn text_of(body: &Tracked<Body>) -> String {
    body.text.clone().unwrap_or_default()
}
