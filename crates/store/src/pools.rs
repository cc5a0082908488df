//! The connections of a process, on which nothing waits without end.
//!
//! A server that is gone without a reset never ends the connections to it: whatever waits for them would wait for ever, and
//! a pool would hand them out for ever. So every statement and every commit has a limit on this side. Where it passes, all
//! pools are replaced; new connections are made when wanted.

use crate::connect::Options;
use crate::diagnosis::Diagnosis;
use crate::{Error, Result};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::future::join_all;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::log::LevelFilter;

type DbResult<T> = std::result::Result<T, DbErr>;

/// What a connection is for. For SQLite, everything but reading is the one connection that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Changes that must survive a crash.
    Write,
    /// Changes that need not wait for the disk: see [`crate::Store::mark`].
    Mark,
    /// Groups of conversations: see [`crate::Store::transact`].
    Group,
    /// Reads.
    Read,
}

/// The pools of one process.
#[derive(Debug)]
pub(crate) struct Pools {
    write: DatabaseConnection,
    mark: DatabaseConnection,
    group: DatabaseConnection,
    read: DatabaseConnection,
    made: Instant,
    /// When each pool's server last answered, in milliseconds since the pools were made: see [`Pools::note_answer`].
    answered: [AtomicU64; 3],
}

/// The pools in use.
#[derive(Debug)]
pub(crate) struct Link {
    current: ArcSwap<Pools>,
    /// How to make new ones. None for SQLite, which has no server that could fall silent.
    options: Option<Options>,
    diagnosis: Arc<Diagnosis>,
}

/// A connection, or a transaction on one, whose statements have a limit on this side.
#[derive(Debug)]
pub(crate) struct Guarded<C> {
    inner: C,
    role: Role,
    pools: Arc<Pools>,
    link: Arc<Link>,
    limit: Duration,
    /// Whether a failure may take longer, to be told its cause.
    patient: bool,
}

/// How long after its own limit the server's answer is waited for.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// How long connections of replaced pools have to end in order.
const CLOSE_TIMEOUT: Duration = Duration::from_mins(1);

impl Pools {
    /// Made when wanted; PostgreSQL need not be up.
    async fn postgres(options: &Options) -> Result<Self> {
        // Some connections are for groups of changes, and a third of the rest for marks, which are short.
        let groups = group_connections(options);
        let others = options.max_connections.saturating_sub(groups).max(2);
        let marks = (others / 3).max(1);
        let durable = [("synchronous_commit", "on")];
        let relaxed = [("synchronous_commit", "off")];
        let write = postgres(options, others - marks, durable.to_vec()).await?;
        // What only marks rows is as fixed as what groups conversations.
        let mark = postgres(options, marks, [&relaxed[..], &GROUP_PLANNING].concat()).await?;
        let group = postgres(options, groups, [&durable[..], &GROUP_PLANNING].concat()).await?;
        Ok(Self::of_each(write.clone(), mark, group, write))
    }

    async fn sqlite(options: &Options) -> Result<Self> {
        // Invariant: one connection writes, so SQLite's writers queue here and never fail as "locked".
        let mut writer = base(options);
        writer.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        writer.acquire_timeout(Duration::from_secs(30));
        sqlite(&mut writer);
        let mut reader = base(options);
        reader.max_connections(options.max_connections.clamp(1, 4));
        sqlite(&mut reader);
        let write = Database::connect(writer).await?;
        let read = Database::connect(reader).await?;
        Ok(Self::of_each(write.clone(), write.clone(), write, read))
    }

    fn of_each(
        write: DatabaseConnection,
        mark: DatabaseConnection,
        group: DatabaseConnection,
        read: DatabaseConnection,
    ) -> Self {
        Self { write, mark, group, read, made: Instant::now(), answered: Default::default() }
    }

    fn answered(&self, role: Role) -> &AtomicU64 {
        match role {
            Role::Write | Role::Read => &self.answered[0],
            Role::Mark => &self.answered[1],
            Role::Group => &self.answered[2],
        }
    }

    /// The server has answered on a connection of this pool, whatever it said.
    fn note_answer(&self, role: Role) {
        let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered(role).store(now, Ordering::Relaxed);
    }

    /// How long the server has not answered on any connection of this pool.
    fn silence(&self, role: Role) -> Duration {
        let answered = Duration::from_millis(self.answered(role).load(Ordering::Relaxed));
        self.made.elapsed().saturating_sub(answered)
    }

    pub(crate) fn of(&self, role: Role) -> &DatabaseConnection {
        match role {
            Role::Write => &self.write,
            Role::Mark => &self.mark,
            Role::Group => &self.group,
            Role::Read => &self.read,
        }
    }
}

impl Link {
    pub(crate) async fn postgres(options: &Options) -> Result<Self> {
        let current = ArcSwap::from_pointee(Pools::postgres(options).await?);
        Ok(Self { current, options: Some(options.clone()), diagnosis: Arc::default() })
    }

    pub(crate) async fn sqlite(options: &Options) -> Result<Self> {
        let current = ArcSwap::from_pointee(Pools::sqlite(options).await?);
        Ok(Self { current, options: None, diagnosis: Arc::default() })
    }

    pub(crate) fn pools(&self) -> Arc<Pools> {
        self.current.load_full()
    }

    /// How long a statement on a connection that is at hand may take.
    fn statement_limit(&self) -> Duration {
        self.options.as_ref().map_or(Duration::MAX, |options| options.statement_timeout + ANSWER_MARGIN)
    }

    /// How long a statement may take whose connection is waited for first.
    fn acquire_limit(&self) -> Duration {
        let acquire = self.options.as_ref().map_or(Duration::ZERO, |options| options.acquire_timeout);
        self.statement_limit().saturating_add(acquire)
    }

    /// Statements outside a transaction.
    pub(crate) fn on(self: &Arc<Self>, role: Role) -> Guarded<DatabaseConnection> {
        let pools = self.pools();
        let inner = pools.of(role).clone();
        Guarded { inner, role, limit: self.acquire_limit(), pools, link: self.clone(), patient: false }
    }

    /// Replaces the pools, unless somebody has done so before.
    async fn replace(&self, silent: &Arc<Pools>) {
        let Some(options) = &self.options else { return };
        if !Arc::ptr_eq(&self.current.load(), silent) {
            return;
        }
        let fresh = match Pools::postgres(options).await {
            Ok(fresh) => Arc::new(fresh),
            Err(err) => {
                tracing::warn!(error = %err, "database connections were not replaced");
                return;
            }
        };
        let before = self.current.compare_and_swap(silent, fresh);
        if !Arc::ptr_eq(&before, silent) {
            return;
        }
        tracing::warn!("the database does not answer: its connections are replaced");
        let old = silent.clone();
        tokio::spawn(async move {
            // What still runs on them may end; what hangs ends with its socket.
            let pools = [Role::Write, Role::Mark, Role::Group].map(|role| old.of(role).close_by_ref());
            let _ = timeout(CLOSE_TIMEOUT, join_all(pools)).await;
        });
    }
}

impl<C> Guarded<C> {
    async fn within<T>(&self, answer: impl Future<Output = DbResult<T>>) -> DbResult<T> {
        match timeout(self.limit, answer).await {
            Ok(Err(err)) if self.is_stuck(&err) => {
                self.link.replace(&self.pools).await;
                Err(self.explained(err).await)
            }
            Ok(Err(err @ DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))) => {
                Err(self.explained(err).await)
            }
            Ok(outcome) => {
                if !matches!(outcome, Err(DbErr::ConnectionAcquire(_))) {
                    self.pools.note_answer(self.role);
                }
                outcome
            }
            Err(_) => {
                self.link.replace(&self.pools).await;
                Err(DbErr::Conn(RuntimeErr::Internal("the database did not answer in time".to_owned())))
            }
        }
    }

    /// Names the reason why no connection could be had.
    async fn explained(&self, err: DbErr) -> DbErr {
        let Some(options) = &self.link.options else { return err };
        let connections =
            self.pools.of(self.role).get_postgres_connection_pool().options().get_max_connections();
        let reason = self
            .link
            .diagnosis
            .reason(&options.url, connections, options.acquire_timeout, self.patient)
            .await;
        DbErr::Conn(RuntimeErr::Internal(reason))
    }

    /// Whether a connection could not be had because those there are do not answer: for longer than any statement may take,
    /// nothing has ended on them. A pool whose statements were all cancelled is found by this too.
    fn is_stuck(&self, err: &DbErr) -> bool {
        matches!(err, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
            && self.link.options.is_some()
            && self.pools.of(self.role).get_postgres_connection_pool().size() > 0
            && self.pools.silence(self.role) > self.link.statement_limit()
    }
}

impl Guarded<DatabaseConnection> {
    /// For checks: a failure is told with its cause, though that may take some seconds more.
    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(self) -> Result<Guarded<DatabaseTransaction>> {
        self.begin_as(SqliteTransactionMode::Immediate).await
    }

    /// Begins a transaction that only reads: SQLite's lock for writing stays free.
    pub(crate) async fn begin_reading(self) -> Result<Guarded<DatabaseTransaction>> {
        self.begin_as(SqliteTransactionMode::Deferred).await
    }

    async fn begin_as(self, mode: SqliteTransactionMode) -> Result<Guarded<DatabaseTransaction>> {
        let sqlite = self.inner.get_database_backend() == DbBackend::Sqlite;
        let options = TransactionOptions {
            sqlite_transaction_mode: sqlite.then_some(mode),
            ..TransactionOptions::default()
        };
        let inner = self.within(self.inner.begin_with_options(options)).await?;
        let limit = self.link.statement_limit();
        Ok(Guarded {
            inner,
            role: self.role,
            limit,
            pools: self.pools,
            link: self.link,
            patient: self.patient,
        })
    }
}

impl Guarded<DatabaseTransaction> {
    pub(crate) async fn commit(self) -> Result<()> {
        let (inner, rest) = self.apart();
        rest.within(inner.commit()).await.map_err(Error::from)
    }

    pub(crate) async fn rollback(self) -> Result<()> {
        let (inner, rest) = self.apart();
        rest.within(inner.rollback()).await.map_err(Error::from)
    }

    fn apart(self) -> (DatabaseTransaction, Guarded<()>) {
        let Self { inner, role, pools, link, limit, patient } = self;
        (inner, Guarded { inner: (), role, pools, link, limit, patient })
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Guarded<C>
where
    C: Send,
{
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> DbResult<ExecResult> {
        self.within(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> DbResult<ExecResult> {
        self.within(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> DbResult<Option<QueryResult>> {
        self.within(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> DbResult<Vec<QueryResult>> {
        self.within(self.inner.query_all_raw(statement)).await
    }
}

fn base(options: &Options) -> ConnectOptions {
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        .sqlx_slow_statements_logging_settings(LevelFilter::Off, Duration::from_secs(1));
    connect
}

/// Maximum number of connections for grouped transactions: enough for the lanes, and some to spare.
const GROUP_CONNECTIONS_MAX: u32 = 4;

/// How many of a process's connections are for groups of changes.
fn group_connections(options: &Options) -> u32 {
    (options.max_connections / 4).clamp(1, GROUP_CONNECTIONS_MAX)
}

/// How a transaction that groups conversations is planned: by index and once, for its statements' texts are fixed, and a
/// plan made on empty tables must serve full ones.
const GROUP_PLANNING: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    // Only a plain index scan tells the index which of its entries are dead, and those of work that is done are many.
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// What keeps a process that is stopped, or a host that is gone, from holding locks for long.
const SESSION_LIMITS: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// A connection for migrations and for looking at the database by hand. It is made when wanted, beside the others, and ends soon
/// after.
pub(crate) async fn maintenance(options: &Options) -> Result<DatabaseConnection> {
    let mut connect = base(options);
    // Whoever looks by hand looks now: a plan made for small tables is not kept.
    let settings = [("plan_cache_mode", "force_custom_plan")];
    connect
        .max_connections(4)
        .idle_timeout(Duration::from_secs(1))
        .statement_timeout(options.statement_timeout)
        .connect_lazy(true)
        .map_sqlx_postgres_opts(move |options| options.options(settings.into_iter().chain(SESSION_LIMITS)));
    Ok(Database::connect(connect).await?)
}

async fn postgres(
    options: &Options,
    connections: u32,
    mut settings: Vec<(&'static str, &'static str)>,
) -> Result<DatabaseConnection> {
    settings.extend(SESSION_LIMITS);
    let mut connect = base(options);
    connect
        .max_connections(connections)
        .statement_timeout(options.statement_timeout)
        .test_before_acquire_if_idle_for(Duration::from_secs(10))
        .connect_lazy(true)
        .map_sqlx_postgres_opts(move |options| options.options(settings.iter().copied()));
    Ok(Database::connect(connect).await?)
}

fn sqlite(connect: &mut ConnectOptions) {
    connect.map_sqlx_sqlite_opts(|options| {
        options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
    });
}
