//! Group commit: whatever waits while one group is being written is the next group.
//!
//! Commands go into lanes by their chat. A lane writes one group at a time and keeps the order of a chat's commands, so
//! two groups under way never share a chat. Alone, a command pays one transaction; under load the cost is shared.

use super::{Applied, Outcome};
use crate::{Error, Store};
use dmrelay_domain::conversation::{Command, Policy};
use dmrelay_domain::ids::ChatId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Limits of a batcher.
#[derive(Debug, Clone, Copy)]
pub struct BatcherOptions {
    /// Groups under way at a time.
    pub lanes: usize,
    /// Commands in one group.
    pub group_max: usize,
    /// Commands that wait in one lane; more wait at their callers.
    pub waiting_max: usize,
    /// How long a group is waited for to grow, once commands come faster than groups return.
    pub linger: Duration,
}

impl Default for BatcherOptions {
    fn default() -> Self {
        Self { lanes: 2, group_max: 256, waiting_max: 4_096, linger: Duration::from_millis(3) }
    }
}

/// Why a command was not applied.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplyError {
    /// The database is not there, or lost the connection: nobody knows whether the command was committed. Commands are
    /// idempotent, so it may be applied again.
    #[error("the database cannot be written now: {0}")]
    Unavailable(String),
    /// The database refuses what the command carries; it would be refused again.
    #[error("the database refuses it: {0}")]
    Refused(String),
    /// Another row has the same unique value.
    #[error("another row has the same key")]
    Conflict,
    /// There is no such chat.
    #[error("there is no such chat")]
    Missing,
    /// Another transaction keeps the chat.
    #[error("another transaction keeps the chat")]
    Busy,
}

/// Applies commands to conversations, in groups; cheap to clone.
#[derive(Clone)]
pub struct Batcher {
    lanes: Arc<Vec<mpsc::Sender<Request>>>,
    health: Arc<Health>,
}

/// What the groups have come to lately.
#[derive(Debug, Default)]
struct Health {
    groups: AtomicU64,
    commands: AtomicU64,
    /// Groups that failed since the last one that was committed.
    failures: AtomicU64,
}

struct Request {
    chat: ChatId,
    command: Command,
    done: oneshot::Sender<Result<Applied, ApplyError>>,
    /// How often another transaction had the chat.
    busy: u32,
}

/// How often a command is tried whose chat another transaction has, and how long until then.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

impl Batcher {
    /// Starts the lanes. They end when the last clone is dropped and nothing waits any more.
    pub fn start(store: &Store, policy: Policy, options: BatcherOptions) -> Self {
        let health = Arc::new(Health::default());
        let lane = |_| {
            let (requests, queue) = mpsc::channel(options.waiting_max.max(1));
            let lane = Lane {
                queue,
                again: VecDeque::new(),
                store: store.clone(),
                policy,
                options,
                health: health.clone(),
                busy_until: None,
            };
            tokio::spawn(lane.run());
            requests
        };
        Self { lanes: Arc::new((0..options.lanes.max(1)).map(lane).collect()), health }
    }

    /// Applies a command; when this returns, it is committed.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn apply(&self, chat: ChatId, command: Command) -> Result<Applied, ApplyError> {
        let (done, outcome) = oneshot::channel();
        let request = Request { chat, command, done, busy: 0 };
        let ended = || ApplyError::Unavailable("the writer has ended".to_owned());
        // Random bits of a UUIDv7.
        let [.., last] = chat.0.into_bytes();
        let lane = usize::from(last) % self.lanes.len();
        self.lanes[lane].send(request).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }

    /// Whether the last group was committed.
    pub fn is_healthy(&self) -> bool {
        self.health.failures.load(Ordering::Relaxed) == 0
    }

    /// How many groups were written, and how many commands were in them.
    pub fn counts(&self) -> (u64, u64) {
        (self.health.groups.load(Ordering::Relaxed), self.health.commands.load(Ordering::Relaxed))
    }
}

struct Lane {
    queue: mpsc::Receiver<Request>,
    /// Commands whose chats another transaction had.
    again: VecDeque<Request>,
    store: Store,
    policy: Policy,
    options: BatcherOptions,
    health: Arc<Health>,
    /// Commands come faster than groups return.
    busy_until: Option<Instant>,
}

impl Lane {
    async fn run(mut self) {
        loop {
            let group = self.collect().await;
            if group.is_empty() {
                return;
            }
            self.write(group).await;
        }
    }

    /// Waits for a command, then takes what else is there.
    async fn collect(&mut self) -> Vec<Request> {
        let mut group: Vec<Request> = Vec::new();
        if self.again.is_empty() {
            match self.queue.recv().await {
                Some(first) => group.push(first),
                None => return group,
            }
        } else {
            // Their turn comes first, so that the order of a chat's commands is kept.
            tokio::time::sleep(BUSY_PAUSE).await;
            group.extend(self.again.drain(..));
        }
        if self.busy_until.is_some_and(|until| Instant::now() < until) {
            tokio::time::sleep(self.options.linger).await;
        }
        while group.len() < self.options.group_max {
            match self.queue.try_recv() {
                Ok(next) => group.push(next),
                Err(_) => break,
            }
        }
        // More came while the last group was written: they will again.
        let lively = group.len() > 1;
        self.busy_until = lively.then(|| Instant::now() + Duration::from_millis(50));
        group
    }

    async fn write(&mut self, group: Vec<Request>) {
        let mut parts = vec![group];
        while let Some(part) = parts.pop() {
            let commands: Vec<_> =
                part.iter().map(|request| (request.chat, request.command.clone())).collect();
            self.health.groups.fetch_add(1, Ordering::Relaxed);
            self.health.commands.fetch_add(part.len() as u64, Ordering::Relaxed);
            match self.store.transact(self.policy, commands).await {
                Ok(outcomes) => {
                    self.health.failures.store(0, Ordering::Relaxed);
                    for (request, outcome) in part.into_iter().zip(outcomes) {
                        self.answer(request, outcome);
                    }
                }
                // One culprit fails its whole group: it is found by halving, and only its callers see the error.
                Err(err) if err.is_refusal() && part.len() > 1 => {
                    let mut first = part;
                    let second = first.split_off(first.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
                Err(err) => self.fail(part, &err),
            }
        }
    }

    fn answer(&mut self, request: Request, outcome: Outcome) {
        let Request { chat, command: _, done, busy } = request;
        let answer = match outcome {
            Outcome::Applied(applied) => Ok(*applied),
            Outcome::Missing => Err(ApplyError::Missing),
            Outcome::Busy(command) if busy < BUSY_TRIES => {
                self.again.push_back(Request { chat, command: *command, done, busy: busy + 1 });
                return;
            }
            Outcome::Busy(_) => Err(ApplyError::Busy),
        };
        // The caller may have been cancelled.
        let _ = done.send(answer);
    }

    fn fail(&self, part: Vec<Request>, err: &Error) {
        let error = if err.is_conflict() {
            ApplyError::Conflict
        } else if err.is_refusal() {
            ApplyError::Refused(err.to_string())
        } else {
            self.health.failures.fetch_add(1, Ordering::Relaxed);
            ApplyError::Unavailable(err.to_string())
        };
        tracing::warn!(error = %err, commands = part.len(), "commands of conversations were not applied");
        for request in part {
            let _ = request.done.send(Err(error.clone()));
        }
    }
}
