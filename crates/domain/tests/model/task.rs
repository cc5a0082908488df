//! The tasks of workers: commands to apply, calls to make, and outcomes to record. A crash loses them all.

use crate::database::Applied;
use crate::step::End;
use crate::world::{Late, World, text_of};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::AgentChat;
use dmrelay_domain::conversation::{
    AgentFailure, Ask, Claim, Command, Effect, Receive, RecordAgentFailure, RecordAnswer, RecordSendFailure,
    RecordSent, ResolveSend, ResolveTurn, Role, Send, SendFailure, SendLookup, StartTurn, TurnLookup,
};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{TurnId, WorkerId};

/// One thing a worker does next.
#[derive(Clone)]
pub(crate) enum Task {
    Apply(Command),
    Receive,
    OpenAgentChat,
    Ask(Ask, Millis),
    LookUpTurn(TurnLookup),
    Send(Box<Send>, Millis),
    LookUpSend(SendLookup),
    WakeTurn(Millis),
    WakeOutbox(Millis),
}

impl Task {
    /// The task for an effect committed at `now`.
    pub(crate) fn of(effect: Effect, now: Millis) -> Option<Self> {
        let at = |after: std::time::Duration| now + dmrelay_domain::clock::millis(after);
        Some(match effect {
            Effect::OpenAgentChat => Self::OpenAgentChat,
            Effect::Ask(ask) => Self::Ask(ask, now),
            Effect::LookUpTurn(lookup) => Self::LookUpTurn(lookup),
            Effect::Send(send) => Self::Send(send, now),
            Effect::LookUpSend(lookup) => Self::LookUpSend(lookup),
            Effect::WakeTurn(after) => Self::WakeTurn(at(after)),
            Effect::WriteFor(after) | Effect::WakeOutbox(after) => Self::WakeOutbox(at(after)),
            // Other chats, and media, are none of this model's.
            Effect::RecognizeAutomation(_) | Effect::FetchMedia => return None,
        })
    }
}

/// The tasks of all workers.
#[derive(Default)]
pub(crate) struct Tasks(Vec<(WorkerId, Task)>);

impl Tasks {
    pub(crate) fn push(&mut self, worker: WorkerId, task: Task) {
        self.0.push((worker, task));
    }

    pub(crate) fn take(&mut self, which: u8) -> Option<(WorkerId, Task)> {
        if self.0.is_empty() { None } else { Some(self.0.remove(usize::from(which) % self.0.len())) }
    }

    pub(crate) fn crash(&mut self, worker: WorkerId) {
        self.0.retain(|(owner, _)| *owner != worker);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The result of a call to the agent or to Graph: whether it took effect, and what the caller learned.
struct Outcome {
    effect: When,
    failure: Option<(FailureClass, bool)>,
}

enum When {
    Now,
    Later,
    Never,
}

fn outcome(end: End) -> Outcome {
    let of = |effect, failure| Outcome { effect, failure };
    match end {
        End::Good => of(When::Now, None),
        End::NoConnection => of(When::Never, Some((FailureClass::Transient, false))),
        End::Throttled => of(When::Never, Some((FailureClass::Throttled, true))),
        End::ErrorBefore => of(When::Never, Some((FailureClass::Ambiguous, true))),
        End::ErrorAfter => of(When::Now, Some((FailureClass::Ambiguous, true))),
        End::LostBefore => of(When::Never, Some((FailureClass::Ambiguous, false))),
        End::LostAfter => of(When::Now, Some((FailureClass::Ambiguous, false))),
        End::LateEffect => of(When::Later, Some((FailureClass::Ambiguous, false))),
        End::Refused => of(When::Never, Some((FailureClass::Invalid, true))),
        End::Ended => of(When::Never, Some((FailureClass::Gone, true))),
    }
}

impl World {
    pub(crate) fn run(&mut self, worker: WorkerId, task: Task, end: End) {
        match task {
            Task::Apply(command) => self.apply(worker, command),
            Task::Receive => {
                let start =
                    Some(StartTurn { worker, turn: TurnId::new(), agent_chat: None, not_before: None });
                let receive = Receive { events: self.inbox(), start, only: None, timer: true };
                self.apply(worker, Command::Receive(receive));
            }
            Task::OpenAgentChat => {
                let agent_chat = Some(self.agent.open());
                let start = StartTurn {
                    worker,
                    turn: TurnId::new(),
                    agent_chat: agent_chat.map(|id| AgentChat { id, key: None, agent: None }),
                    not_before: None,
                };
                self.tasks.push(worker, Task::Apply(Command::StartTurn(start)));
            }
            Task::Ask(ask, claimed) => self.ask(worker, &ask, claimed, end),
            Task::Send(send, claimed) => self.send(worker, &send, claimed, end),
            Task::LookUpTurn(lookup) => self.look_up_turn(worker, &lookup, end),
            Task::LookUpSend(lookup) => self.look_up_send(worker, &lookup, end),
            Task::WakeTurn(at) if at <= self.now => {
                let start = StartTurn { worker, turn: TurnId::new(), agent_chat: None, not_before: None };
                self.tasks.push(worker, Task::Apply(Command::StartTurn(start)));
            }
            Task::WakeOutbox(at) if at <= self.now => {
                self.tasks.push(worker, Task::Apply(Command::ClaimSend(Claim::By(worker))));
            }
            // Too far away for a timer: the poller finds it.
            Task::WakeTurn(_) | Task::WakeOutbox(_) => {}
        }
    }

    fn apply(&mut self, worker: WorkerId, command: Command) {
        self.log.push(format!("  {}", brief(&command)));
        let again = command.clone();
        let applied: Applied = self.db.transact(self.now, 0.5, command);
        if std::mem::take(&mut self.lose_commit) {
            // The worker does not know whether it was committed, and applies it again.
            self.log.push("  commit lost".to_owned());
            self.tasks.push(worker, Task::Apply(again));
            return;
        }
        self.follow(applied, worker);
    }

    /// Whether a call claimed then may still be made.
    fn fenced(&self, claimed: Millis, timeout: Millis) -> bool {
        self.now - claimed >= timeout / 2
    }

    fn ask(&mut self, worker: WorkerId, ask: &Ask, claimed: Millis, end: End) {
        let timeout = self.db.policy.agent_timeout;
        let end = if self.fenced(claimed, timeout) { End::NoConnection } else { end };
        let ended = self.agent.chats[&ask.agent_chat].ended;
        let Outcome { effect, failure } = outcome(if ended { End::Ended } else { end });
        if end == End::Ended {
            self.agent.chats.get_mut(&ask.agent_chat).unwrap().ended = true;
        }
        let mut answer = Vec::new();
        match effect {
            When::Now => {
                answer = self.agent.take(&ask.agent_chat, &ask.text);
                self.agent.answer(&ask.agent_chat, answer.clone());
            }
            When::Later => {
                let at = claimed + timeout + self.db.policy.reconcile_grace - 1;
                let question = Late::Question { chat: ask.agent_chat.clone(), text: ask.text.clone() };
                self.late.push((at, question));
            }
            When::Never => {}
        }
        let command = match failure {
            None => Command::RecordAnswer(RecordAnswer {
                turn: ask.turn,
                attempt: ask.attempt,
                replies: answer
                    .iter()
                    .filter(|entry| entry.role == Role::Agent)
                    .map(|e| e.text.clone())
                    .collect(),
                watermark: answer.last().and_then(|entry| entry.id.clone()),
                claim: Claim::By(worker),
            }),
            Some((class, answered)) => Command::RecordAgentFailure(RecordAgentFailure {
                turn: ask.turn,
                attempt: ask.attempt,
                failure: agent_failure(class, answered),
                retry: Some(StartTurn { worker, turn: TurnId::new(), agent_chat: None, not_before: None }),
            }),
        };
        self.tasks.push(worker, Task::Apply(command));
    }

    fn look_up_turn(&mut self, worker: WorkerId, lookup: &TurnLookup, end: End) {
        let record = match end {
            End::Good => Ok(self.agent.record(lookup.agent_chat.as_deref().unwrap_or_default())),
            _ => Err(agent_failure(FailureClass::Transient, false)),
        };
        let (turn, attempt, claim) = (lookup.turn, lookup.attempt, Claim::By(worker));
        let settled = lookup.settled;
        let resolve = ResolveTurn { turn, attempt, settled, record, claim };
        self.tasks.push(worker, Task::Apply(Command::ResolveTurn(resolve)));
    }

    fn send(&mut self, worker: WorkerId, send: &Send, claimed: Millis, end: End) {
        let timeout = self.db.policy.graph_timeout;
        let end = if self.fenced(claimed, timeout) { End::NoConnection } else { end };
        let Outcome { effect, failure } = outcome(end);
        let text = text_of(&send.message.body);
        let mut mid = None;
        match effect {
            When::Now => mid = Some(self.sent(&text)),
            When::Later => {
                let at = claimed + timeout + self.db.policy.reconcile_grace - 1;
                self.late.push((at, Late::Message(text)));
            }
            When::Never => {}
        }
        let (message, attempt, claim) = (send.message.id, send.message.attempt, Claim::By(worker));
        let command = match (failure, mid) {
            (None, Some(mid)) => Command::RecordSent(RecordSent { message, attempt, mid, claim }),
            (failure, _) => {
                let (class, answered) = failure.unwrap_or((FailureClass::Ambiguous, false));
                let failure = send_failure(class, answered);
                let host_succeeded_at = None;
                Command::RecordSendFailure(RecordSendFailure {
                    message,
                    attempt,
                    failure,
                    host_succeeded_at,
                    claim,
                })
            }
        };
        self.tasks.push(worker, Task::Apply(command));
    }

    fn look_up_send(&mut self, worker: WorkerId, lookup: &SendLookup, end: End) {
        let thread = match end {
            End::Good => Ok(self.meta.list()),
            _ => Err(send_failure(FailureClass::Transient, false)),
        };
        let (message, attempt, claim) = (lookup.message, lookup.attempt, Claim::By(worker));
        let (settled, host_succeeded_at) = (lookup.settled, None);
        let resolve = ResolveSend { message, attempt, settled, thread, host_succeeded_at, claim };
        self.tasks.push(worker, Task::Apply(Command::ResolveSend(resolve)));
    }
}

/// A short description, for the log.
pub(crate) fn brief(what: &impl std::fmt::Debug) -> String {
    format!("{what:?}").chars().take(100).collect()
}

fn agent_failure(class: FailureClass, answered: bool) -> AgentFailure {
    AgentFailure { class, answered, retry_after: None, error: "failed".to_owned() }
}

fn send_failure(class: FailureClass, answered: bool) -> SendFailure {
    SendFailure {
        class,
        answered,
        code: "code".to_owned(),
        bare_100: false,
        retry_after: None,
        error: "failed".to_owned(),
    }
}
