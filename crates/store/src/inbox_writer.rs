//! Groups the events of concurrent webhooks into one commit: whatever waits while a batch is being written
//! is the next batch. A request is answered when its own batch is committed.

use crate::{Health, NewEvent, Store, Stored};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Limits of the writer.
#[derive(Debug, Clone, Copy)]
pub struct InboxOptions {
    /// The most events in one statement.
    pub batch: usize,
    /// The most requests that wait for theirs; more are refused at once.
    pub waiting: usize,
    /// How many batches may be under way at a time.
    pub writers: usize,
    /// How long after a failed batch requests are refused without trying the database again.
    pub pause: Duration,
}

impl Default for InboxOptions {
    fn default() -> Self {
        Self { batch: 500, waiting: 4_096, writers: 2, pause: Duration::from_millis(500) }
    }
}

/// The events could not be stored now. Meta will deliver them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inbox cannot be written now")]
pub struct Unavailable;

/// What one commit brought.
#[derive(Debug)]
pub struct Batch {
    /// The events that were new.
    pub stored: Vec<Stored>,
    /// How many events it held, those delivered before included.
    pub events: usize,
    /// How long it took.
    pub took: Duration,
}

/// Called with what was stored, after its commit.
pub type OnStored = Arc<dyn Fn(Batch) + Send + Sync>;

/// Hands events to the inbox; cheap to clone.
#[derive(Clone)]
pub struct InboxWriter {
    requests: mpsc::Sender<Request>,
    down: Arc<Down>,
    health: Arc<Health>,
}

/// A batch that waits for longer is no longer an acknowledgement that Meta waits for.
const BATCH_WAIT_MAX: Duration = Duration::from_secs(3);

/// How often the writer looks whether it would get through, while no webhook comes.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

struct Request {
    events: Vec<NewEvent>,
    done: oneshot::Sender<Result<usize, Unavailable>>,
}

/// Whether the last batch failed, and when.
#[derive(Default)]
struct Down {
    flag: AtomicBool,
    since: std::sync::Mutex<Option<Instant>>,
    pause: Duration,
}

impl InboxWriter {
    /// Starts the writer's tasks; they end when `shutdown` is cancelled and nothing waits any more.
    /// `on_stored` must not block.
    pub fn start(
        store: Store,
        options: InboxOptions,
        on_stored: OnStored,
        shutdown: &CancellationToken,
    ) -> Self {
        let (requests, queue) = mpsc::channel(options.waiting.max(1));
        let down = Arc::new(Down { pause: options.pause, ..Down::default() });
        let health = Arc::new(Health::new(BATCH_WAIT_MAX));
        let batches = Arc::new(Batches {
            queue: Mutex::new(queue),
            store,
            on_stored,
            down: down.clone(),
            health: health.clone(),
            options,
        });
        for _ in 0..options.writers.max(1) {
            tokio::spawn(batches.clone().run(shutdown.clone()));
        }
        tokio::spawn(batches.probe(shutdown.clone()));
        Self { requests, down, health }
    }

    /// Stores the events of one request; when this returns `Ok`, they are committed. Gives how many were new.
    ///
    /// # Errors
    /// [`Unavailable`] when the database is down or too much waits.
    pub async fn store(&self, events: Vec<NewEvent>) -> Result<usize, Unavailable> {
        if events.is_empty() {
            return Ok(0);
        }
        if self.down.refuses() {
            return Err(Unavailable);
        }
        let (done, outcome) = oneshot::channel();
        self.requests.try_send(Request { events, done }).map_err(|_| Unavailable)?;
        outcome.await.map_err(|_| Unavailable)?
    }

    /// Whether what comes is stored.
    ///
    /// # Errors
    /// What keeps it from being stored.
    pub fn check(&self) -> Result<(), String> {
        self.health.check()
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }
}

struct Batches {
    queue: Mutex<mpsc::Receiver<Request>>,
    store: Store,
    on_stored: OnStored,
    down: Arc<Down>,
    health: Arc<Health>,
    options: InboxOptions,
}

impl Batches {
    /// Looks whether a batch would get through, while there is none.
    async fn probe(self: Arc<Self>, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if !self.health.succeeded_within(PROBE_INTERVAL) {
                // The health remembers what came of it.
                let _ = self.health.watch(self.store.probe_write()).await;
            }
        }
    }

    async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            let requests = tokio::select! {
                biased;
                requests = self.collect() => requests,
                () = shutdown.cancelled() => Vec::new(),
            };
            if requests.is_empty() {
                return;
            }
            self.write(requests).await;
        }
    }

    /// Waits for a request, then takes what else is there already, up to a full batch.
    async fn collect(&self) -> Vec<Request> {
        let mut queue = self.queue.lock().await;
        let Some(first) = queue.recv().await else {
            return Vec::new();
        };
        let mut size = first.events.len();
        let mut requests = vec![first];
        while size < self.options.batch {
            let Ok(next) = queue.try_recv() else { break };
            size += next.events.len();
            requests.push(next);
        }
        requests
    }

    async fn write(&self, requests: Vec<Request>) {
        let mut keys: HashSet<_> = HashSet::new();
        let mut events = Vec::new();
        let mut waiting = Vec::with_capacity(requests.len());
        let mut count = 0;
        for request in requests {
            count += request.events.len();
            waiting.push((request.done, request.events.len()));
            events.extend(request.events.into_iter().filter(|event| keys.insert(event.key())));
        }
        let started = Instant::now();
        match self.health.watch(self.insert(events)).await {
            Ok(stored) => {
                self.down.clear();
                for (done, count) in waiting {
                    let _ = done.send(Ok(count));
                }
                (self.on_stored)(Batch { stored, events: count, took: started.elapsed() });
            }
            Err(err) => {
                self.down.set();
                tracing::error!(error = %err, requests = waiting.len(), "inbox batch failed, webhooks refused");
                for (done, _) in waiting {
                    let _ = done.send(Err(Unavailable));
                }
            }
        }
    }

    /// A request alone may hold more events than one statement should.
    async fn insert(&self, mut events: Vec<NewEvent>) -> crate::Result<Vec<Stored>> {
        let mut stored = Vec::with_capacity(events.len());
        while events.len() > self.options.batch {
            let rest = events.split_off(self.options.batch);
            stored.extend(self.store.insert_events(std::mem::replace(&mut events, rest)).await?);
        }
        stored.extend(self.store.insert_events(events).await?);
        Ok(stored)
    }
}

impl Down {
    fn refuses(&self) -> bool {
        if !self.flag.load(Ordering::Relaxed) {
            return false;
        }
        let mut since = self.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match *since {
            Some(at) if at.elapsed() < self.pause => true,
            // One request goes through to see whether the database is back.
            _ => {
                *since = Some(Instant::now());
                false
            }
        }
    }

    fn set(&self) {
        *self.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        self.flag.store(true, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.flag.store(false, Ordering::Relaxed);
    }
}
