//! Shared state of a worker, created once per process.

use crate::accounts::Accounts;
use crate::backfill::Threads;
use crate::breakers::Breakers;
use crate::budgets::Budgets;
use crate::dispatch::Dispatcher;
use crate::inbox::Inbox;
use crate::keys::Keys;
use crate::liveness::Liveness;
use crate::media::Media;
use crate::slots::Slots;
use crate::timers::Timers;
use crate::understanding::Desk;
use anyhow::anyhow;
use dmrelay_agent::{ChatAgent, Key};
use dmrelay_app::App;
use dmrelay_domain::clock::{Clock, Millis, millis};
use dmrelay_domain::conversation::Policy;
use dmrelay_domain::current::Current;
use dmrelay_domain::ids::WorkerId;
use dmrelay_domain::media::Understands;
use dmrelay_domain::secret::Secret;
use dmrelay_instagram::{Access, Graph};
use dmrelay_media::{Fetcher, Interpreter};
use dmrelay_notify::Notifier;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::{AgentSettings, GraphSettings, ProviderSettings, WorkerSettings};
use dmrelay_store::{Batcher, BatcherOptions, ChatIds, Connection, Health, Store};
use dmrelay_vault::{SealError, Vault};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Limits of the pipeline.
#[derive(Debug, Clone)]
pub struct Options {
    /// The worker's settings.
    pub worker: WorkerSettings,
    /// Timeout of a question to the agent.
    pub agent_timeout: Duration,
    /// Timeout of a send.
    pub graph_timeout: Duration,
    /// Whether media are kept.
    pub keep_media: bool,
    /// Which of them are put into words.
    pub understands: Understands,
}

impl Options {
    /// The limits from these settings.
    pub fn new(worker: WorkerSettings, agent: &AgentSettings, graph: &GraphSettings) -> Self {
        let (agent_timeout, graph_timeout) = (agent.agent_timeout, graph.graph_timeout);
        Self { worker, agent_timeout, graph_timeout, keep_media: false, understands: Understands::default() }
    }

    /// The limits that decisions depend on.
    pub(crate) fn policy(&self) -> Policy {
        let worker = &self.worker;
        let bounded = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        Policy {
            debounce: worker.debounce_ms.into(),
            takeover: millis(Duration::from_hours(worker.takeover_hours.into())),
            agent_timeout: millis(self.agent_timeout),
            graph_timeout: millis(self.graph_timeout),
            reconcile_grace: millis(worker.reconcile_grace),
            reconcile_settle: millis(worker.reconcile_settle),
            reconcile_attempts_max: bounded(worker.reconcile_attempts),
            reservation: millis(worker.lease),
            turns_per_hour_max: bounded(worker.max_turns_per_hour),
            notice_interval: millis(Duration::from_hours(worker.notice_interval_hours.into())),
            automation_chats: worker.automation_chats,
            automation_within: millis(worker.automation_within),
            plain_text: worker.plain_text,
            renew_after_unsend: worker.unsend_renews_agent_chat,
            history_max: usize::from(worker.agent_history),
            writing_max: millis(worker.reply_delay_max),
            reply_parts_max: usize::from(worker.reply_parts),
            code_2_attempts_max: worker.graph_code_2_attempts,
            ingest_attempts_max: bounded(worker.ingest_attempts),
            keep_media: self.keep_media,
            understands: self.understands,
            understanding_wait: millis(worker.understanding.understanding_wait),
        }
    }
}

/// A poller tick that takes longer counts as stuck.
const TICK_MAX: Duration = Duration::from_secs(15);

/// The dependencies of a [`Context`].
pub struct Parts {
    /// What every process has.
    pub(crate) app: App,
    /// The agent.
    pub(crate) agent: Arc<dyn ChatAgent>,
    /// The operator's key at its provider.
    pub(crate) agent_key: Current<Key>,
    /// Keeps media.
    pub(crate) media: Option<Arc<Media>>,
    /// Limits.
    pub(crate) options: Options,
}

impl Parts {
    /// The dependencies of a worker with these settings.
    ///
    /// # Errors
    /// An invalid `RETELL_API_KEY`, or TLS roots that cannot be read.
    pub fn new(
        app: App,
        worker: WorkerSettings,
        (agent, provider): (&AgentSettings, &ProviderSettings),
        graph: &GraphSettings,
    ) -> anyhow::Result<Self> {
        let media = match app.media.clone() {
            Some(storage) => {
                let fetcher = Fetcher::new(&worker.media, app.metrics.clone()).map_err(|err| anyhow!(err))?;
                let interpreter = Interpreter::new(&worker.understanding, app.metrics.clone())?;
                Some(Arc::new(Media {
                    fetcher,
                    storage,
                    interpreter,
                    desk: Desk::new(worker.understanding.understanding_concurrency.into()),
                }))
            }
            None => None,
        };
        let interpreter = media.as_ref().and_then(|media| media.interpreter.as_ref());
        let understands = Understands {
            audio: interpreter.is_some_and(Interpreter::hears),
            images: interpreter.is_some_and(Interpreter::sees),
        };
        let options =
            Options { keep_media: media.is_some(), understands, ..Options::new(worker, agent, graph) };
        let key = Current::new(agent.api_key.require()?);
        Ok(Self { agent: app.chat_agent(agent, provider, key.clone()), app, media, options, agent_key: key })
    }
}

/// Shared state of a worker; passed by reference.
pub struct Context {
    /// The identity of this process.
    pub(crate) worker: WorkerId,
    pub(crate) store: Store,
    /// Applies commands to conversations.
    pub(crate) conversations: Batcher,
    pub(crate) chat_ids: ChatIds,
    pub(crate) accounts: Accounts,
    pub(crate) vault: Vault,
    pub(crate) graph: Graph,
    pub(crate) agent: Arc<dyn ChatAgent>,
    pub(crate) notifier: Notifier,
    /// Keeps media.
    pub(crate) media: Option<Arc<Media>>,
    /// Told when media have come.
    pub(crate) media_came: Notify,
    /// Told when comments have come with which something is to be done.
    pub(crate) comments_came: Notify,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) breakers: Breakers,
    pub(crate) budgets: Budgets,
    pub(crate) slots: Slots,
    pub(crate) timers: Timers,
    /// Whose conversations at Meta are which.
    pub(crate) threads: Threads,
    pub(crate) inbox: Inbox,
    pub(crate) keys: Keys,
    pub(crate) liveness: Liveness,
    /// Health of the poller's ticks.
    pub(crate) polling: Health,
    /// Whether what is written gets through.
    pub(crate) writing: Health,
    /// Background tasks.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when no new work may begin.
    pub(crate) stopping: CancellationToken,
    /// Offset of the database's clock from this machine's, in milliseconds.
    clock_offset: AtomicI64,
    /// When the encrypted secrets were last counted.
    pub(crate) counted_slowly: Mutex<Option<Instant>>,
}

impl Context {
    /// Creates a context.
    pub fn new(parts: Parts) -> Self {
        let Parts { app, agent, media, options, agent_key: _ } = parts;
        let worker = &options.worker;
        let batching =
            BatcherOptions { lanes: usize::from(worker.commit_lanes), ..BatcherOptions::default() };
        Self {
            worker: WorkerId::new(),
            conversations: Batcher::start(&app.store, options.policy(), batching),
            chat_ids: ChatIds::default(),
            accounts: Accounts::new(app.store.clone()),
            breakers: Breakers::new(app.store.clone()),
            budgets: Budgets::new(worker.budgets.clone()),
            slots: Slots::new(usize::from(worker.worker_concurrency)),
            timers: Timers::default(),
            threads: Threads::default(),
            inbox: Inbox::default(),
            keys: Keys::default(),
            liveness: Liveness::new(worker.lease),
            polling: Health::new(TICK_MAX),
            writing: Health::new(TICK_MAX),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            clock_offset: AtomicI64::new(0),
            counted_slowly: Mutex::default(),
            store: app.store,
            vault: app.vault,
            graph: app.graph,
            agent,
            notifier: app.notifier,
            media,
            media_came: Notify::new(),
            comments_came: Notify::new(),
            dispatcher: Dispatcher::new(app.queue, app.local_queue),
            metrics: app.metrics,
            clock: app.clock,
            options,
        }
    }

    /// The database's clock, as known from the last commit.
    pub(crate) fn database_now(&self) -> Millis {
        self.clock.now() + self.clock_offset.load(Ordering::Relaxed)
    }

    /// Updates the clock offset from a commit.
    pub(crate) fn note_clock(&self, database_now: Millis) {
        self.clock_offset.store(database_now - self.clock.now(), Ordering::Relaxed);
    }

    /// The access with which Graph is called for a connection.
    pub(crate) fn access(&self, connection: &Connection) -> Result<Access, SealError> {
        dmrelay_app::access(&self.vault, connection)
    }

    /// Encrypts a connection's token, or its proof, for storage.
    pub(crate) fn seal(
        &self,
        connection: &Connection,
        column: &'static str,
        secret: &Secret<String>,
    ) -> Vec<u8> {
        self.vault.seal(dmrelay_app::place(connection, column), secret.expose().as_bytes())
    }
}
