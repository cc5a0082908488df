//! Opens the database: one pool for PostgreSQL; for SQLite one connection that writes and a few that read.

use crate::dialect::Dialect;
use crate::{Error, Result};
use arc_swap::ArcSwap;
use dmrelay_domain::clock::Millis;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbErr, FromQueryResult, QueryResult, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait, Value,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::log::LevelFilter;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://…` or `sqlite://path?mode=rwc`.
    pub url: String,
    /// The most connections of the pool.
    pub max_connections: u32,
    /// How long a statement waits for a connection of the pool.
    pub acquire_timeout: Duration,
    /// How long a statement may run (PostgreSQL).
    pub statement_timeout: Duration,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    writer: DatabaseConnection,
    /// Writes without waiting for the disk: see [`Store::mark`].
    relaxed: DatabaseConnection,
    /// Writes groups of conversations: see [`Store::transact`].
    grouped: Arc<Grouped>,
    reader: DatabaseConnection,
    /// The part of the reader's connections that lists may have at a time.
    lists: Arc<Semaphore>,
    acquire_timeout: Duration,
    pub(crate) dialect: Dialect,
}

/// The connections on which groups are written. They are replaced as a whole when the server falls silent: a connection to
/// a host that is gone without a reset never ends by itself.
#[derive(Debug)]
struct Grouped {
    current: ArcSwap<DatabaseConnection>,
    /// How to make them anew; none for SQLite, which has no server.
    options: Option<Options>,
}

/// A transaction. Dropped without [`Tx::commit`], it changes nothing.
#[derive(Debug)]
pub struct Tx {
    inner: DatabaseTransaction,
    pub(crate) dialect: Dialect,
}

/// Connections of one process to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pool {
    /// In use.
    pub used: u32,
    /// Open and not in use.
    pub idle: u32,
    /// The most there may be.
    pub max: u32,
}

#[derive(FromQueryResult)]
struct Now {
    now: Millis,
}

impl Store {
    /// The database's clock, in milliseconds.
    pub async fn now(&self) -> Result<Millis> {
        Ok(self.read::<Now>("SELECT {now} AS now", Vec::new()).await?.first().map_or(0, |row| row.now))
    }

    /// Opens the pool. The database need not be up for PostgreSQL: connections are made when wanted.
    ///
    /// # Errors
    /// [`Error::Url`] for an address of another kind, [`Error::Db`] when a SQLite file cannot be opened.
    pub async fn open(options: &Options) -> Result<Self> {
        if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
            // Some connections are for groups of changes, and a third of the rest for marks, which are short.
            let others = options.max_connections.saturating_sub(group_connections(options)).max(2);
            let marks = (others / 3).max(1);
            let pool = postgres(options, others - marks, "on").await?;
            let relaxed = postgres(options, marks, "off").await?;
            let grouped = Grouped {
                current: ArcSwap::from_pointee(for_groups(options).await?),
                options: Some(options.clone()),
            };
            return Ok(Self::of((pool.clone(), relaxed, pool), grouped, options));
        }
        if !options.url.starts_with("sqlite:") {
            let scheme = options.url.split(':').next().unwrap_or_default();
            return Err(Error::Url(scheme.to_owned()));
        }
        // Invariant: one connection writes, so SQLite's writers queue here and never fail as "locked".
        let mut writer = base(options);
        writer.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        writer.acquire_timeout(Duration::from_secs(30));
        sqlite(&mut writer);
        let mut reader = base(options);
        reader.max_connections(options.max_connections.clamp(1, 4));
        sqlite(&mut reader);
        let writer = Database::connect(writer).await?;
        let reader = Database::connect(reader).await?;
        let grouped = Grouped { current: ArcSwap::from_pointee(writer.clone()), options: None };
        Ok(Self::of((writer.clone(), writer, reader), grouped, options))
    }

    fn of(
        (writer, relaxed, reader): (DatabaseConnection, DatabaseConnection, DatabaseConnection),
        grouped: Grouped,
        options: &Options,
    ) -> Self {
        let share = usize::try_from(options.max_connections / 4).unwrap_or(1).max(1);
        let (lists, acquire_timeout) = (Arc::new(Semaphore::new(share)), options.acquire_timeout);
        let dialect = if grouped.options.is_some() { Dialect::Postgres } else { Dialect::Sqlite };
        Self { writer, relaxed, grouped: Arc::new(grouped), reader, lists, acquire_timeout, dialect }
    }

    /// The connection that writes: for migrations.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<()> {
        self.reader.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// [`Error::Db`] when no connection could be had.
    pub async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: (self.dialect == Dialect::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.writer.begin_with_options(options).await?;
        Ok(Tx { inner, dialect: self.dialect })
    }

    /// How the connections are used; of the pools of PostgreSQL, that of which more is in use.
    pub fn pool(&self) -> Pool {
        let of = |size: u32, idle: usize, max: u32| {
            let idle = u32::try_from(idle).unwrap_or(u32::MAX);
            Pool { used: size.saturating_sub(idle), idle, max }
        };
        match self.dialect {
            Dialect::Postgres => {
                let grouped = self.grouped.current.load();
                let pools = [&self.writer, &self.relaxed, &grouped].map(|connection| {
                    let pool = connection.get_postgres_connection_pool();
                    of(pool.size(), pool.num_idle(), pool.options().get_max_connections())
                });
                let busier = |a: Pool, b: Pool| if b.used * a.max > a.used * b.max { b } else { a };
                pools.into_iter().reduce(busier).unwrap_or_default()
            }
            Dialect::Sqlite => {
                let pool = self.reader.get_sqlite_connection_pool();
                of(pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
        }
    }

    /// Begins a transaction of a group of conversations.
    pub(crate) async fn begin_grouped(&self) -> Result<Tx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: (self.dialect == Dialect::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.grouped.current.load_full().begin_with_options(options).await?;
        Ok(Tx { inner, dialect: self.dialect })
    }

    /// Gives up the connections on which groups are written: new ones are made when wanted.
    pub(crate) async fn reconnect(&self) {
        let Some(options) = &self.grouped.options else { return };
        match for_groups(options).await {
            Ok(fresh) => self.grouped.current.store(Arc::new(fresh)),
            Err(err) => tracing::warn!(error = %err, "connections for groups were not made anew"),
        }
    }

    /// Runs a statement that writes, outside a transaction; gives the number of rows it changed.
    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64> {
        Ok(self.writer.execute_raw(self.dialect.statement(sql, values)).await?.rows_affected())
    }

    /// Runs a statement that only marks who works on what: a lease, a claim, a dispatch. It is committed
    /// without waiting for PostgreSQL's disk, for a crash of the database may forget it: then the work is
    /// found again, and what must not happen twice is guarded by a row that was committed for good.
    pub(crate) async fn mark(&self, sql: &str, values: Vec<Value>) -> Result<u64> {
        Ok(self.relaxed.execute_raw(self.dialect.statement(sql, values)).await?.rows_affected())
    }

    /// The same, for a statement that returns rows.
    pub(crate) async fn mark_rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<sea_orm::QueryResult>> {
        Ok(self.relaxed.query_all_raw(self.dialect.statement(sql, values)).await?)
    }

    /// Runs a statement that writes and returns rows.
    pub(crate) async fn write<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>> {
        rows(&self.writer, self.dialect.statement(sql, values)).await
    }

    /// Runs a statement that reads a list, which may take long: only so many run at a time, so that they never
    /// have all the connections that webhooks and jobs need.
    pub(crate) async fn list<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>> {
        let permit = tokio::time::timeout(self.acquire_timeout, self.lists.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into());
        };
        self.read(sql, values).await
    }

    /// Runs a statement that only reads.
    pub(crate) async fn read<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>> {
        rows(&self.reader, self.dialect.statement(sql, values)).await
    }
}

impl Tx {
    /// Makes everything done in it true.
    ///
    /// # Errors
    /// [`Error::Db`]; then nothing of it is, or the connection was lost and nobody knows.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// The database's clock, in milliseconds.
    pub(crate) async fn now(&self) -> Result<Millis> {
        Ok(self.first::<Now>("SELECT {now} AS now", Vec::new()).await?.map_or(0, |row| row.now))
    }

    pub(crate) fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64> {
        Ok(self.inner.execute_raw(self.dialect.statement(sql, values)).await?.rows_affected())
    }

    pub(crate) async fn query<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>> {
        rows(&self.inner, self.dialect.statement(sql, values)).await
    }

    /// The rows of a statement, of which each is read in several parts.
    pub(crate) async fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>> {
        Ok(self.inner.query_all_raw(self.dialect.statement(sql, values)).await?)
    }

    pub(crate) async fn first<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Option<T>> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }
}

async fn rows<T: FromQueryResult>(db: &impl ConnectionTrait, statement: Statement) -> Result<Vec<T>> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| T::from_query_result(row, "").map_err(Error::from)).collect()
}

fn base(options: &Options) -> ConnectOptions {
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        .sqlx_slow_statements_logging_settings(LevelFilter::Off, Duration::from_secs(1));
    connect
}

/// The most connections reserved for grouped transactions: enough for the lanes, and some to spare.
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

async fn for_groups(options: &Options) -> Result<DatabaseConnection> {
    let mut settings = GROUP_PLANNING.to_vec();
    settings.push(("synchronous_commit", "on"));
    connect_postgres(options, group_connections(options), settings).await
}

async fn postgres(
    options: &Options,
    connections: u32,
    synchronous_commit: &'static str,
) -> Result<DatabaseConnection> {
    let mut settings = vec![("synchronous_commit", synchronous_commit)];
    if synchronous_commit == "off" {
        // What only marks rows is as fixed as what groups conversations.
        settings.extend(GROUP_PLANNING);
    }
    connect_postgres(options, connections, settings).await
}

async fn connect_postgres(
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
