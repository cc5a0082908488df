//! Opens the database: one pool for PostgreSQL; for SQLite one connection that writes and a few that read.

use crate::dialect::Dialect;
use crate::pools::{self, Guarded, Link, Role};
use crate::{Error, Result};
use dmrelay_domain::clock::Millis;
use sea_orm::sea_query::Query;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult,
    QueryResult, Statement, Value,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

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
    link: Arc<Link>,
    maintenance: DatabaseConnection,
    /// The part of the reader's connections that lists may have at a time.
    lists: Arc<Semaphore>,
    lists_max: usize,
    statement_timeout: Duration,
    acquire_timeout: Duration,
    /// Whether failures may take longer, to be told their cause.
    patient: bool,
    pub(crate) dialect: Dialect,
}

/// A transaction. Dropped without [`Tx::commit`], it changes nothing.
#[derive(Debug)]
pub struct Tx {
    inner: Guarded<DatabaseTransaction>,
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

impl Store {
    /// The database's clock, in milliseconds.
    pub async fn now(&self) -> Result<Millis> {
        read_clock(self.dialect, &self.reader()).await
    }

    /// Opens the pool. The database need not be up for PostgreSQL: connections are made when wanted.
    ///
    /// # Errors
    /// [`Error::Url`] for an address of another kind, [`Error::Db`] when a SQLite file cannot be opened.
    pub async fn open(options: &Options) -> Result<Self> {
        let is_postgres = options.url.starts_with("postgres://") || options.url.starts_with("postgresql://");
        let (link, maintenance, dialect) = if is_postgres {
            (Link::postgres(options).await?, pools::maintenance(options).await?, Dialect::Postgres)
        } else if options.url.starts_with("sqlite:") {
            let link = Link::sqlite(options).await?;
            let writer = link.pools().of(Role::Write).clone();
            (link, writer, Dialect::Sqlite)
        } else {
            let scheme = options.url.split(':').next().unwrap_or_default();
            return Err(Error::Url(scheme.to_owned()));
        };
        let share = usize::try_from(options.max_connections / 4).unwrap_or(1).max(1);
        Ok(Self {
            link: Arc::new(link),
            maintenance,
            lists: Arc::new(Semaphore::new(share)),
            lists_max: share,
            statement_timeout: options.statement_timeout,
            acquire_timeout: options.acquire_timeout,
            patient: false,
            dialect,
        })
    }

    /// A connection for migrations, and for looking at the database by hand. Its statements have no limit on this side.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.maintenance
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<()> {
        self.on(Role::Read).patient().execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Whether what is written gets through: writes a page, and takes it back. A database that only reads refuses it; on a full
    /// disk there is no room for it, since the table is empty but for other probes.
    ///
    /// # Errors
    /// What the database says instead.
    pub async fn probe_write(&self) -> Result<()> {
        if self.dialect == Dialect::Sqlite {
            // What is not committed would never reach the file.
            let sql = "INSERT OR REPLACE INTO write_probes (rowid, filler) VALUES (1, $1)";
            self.execute(sql, vec!["x".repeat(1_900).into()]).await?;
            return Ok(());
        }
        let inner = self.on(Role::Write).patient().begin().await?;
        let tx = Tx { inner, dialect: self.dialect };
        // Rows of less than 2 KB are not compressed (PostgreSQL, "TOAST").
        let sql = "INSERT INTO write_probes (filler) SELECT $1 FROM \
            (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) AS rows";
        tx.execute(sql, vec!["x".repeat(1_900).into()]).await?;
        Ok(())
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// [`Error::Db`] when no connection could be had.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx { inner: self.on(Role::Write).begin().await?, dialect: self.dialect })
    }

    /// How many lists may be read at a time in this process: a quarter of the connections, for a list may be slow.
    pub fn lists_max(&self) -> usize {
        self.lists_max
    }

    /// A transaction that reads, each of whose statements may take so long, and no longer than any other (PostgreSQL).
    pub(crate) async fn begin_search(&self, time: Duration) -> Result<Tx> {
        let time = if time.is_zero() { self.statement_timeout } else { time.min(self.statement_timeout) };
        let tx = Tx { inner: self.on(Role::Read).begin_reading().await?, dialect: self.dialect };
        if self.dialect == Dialect::Postgres {
            tx.execute(&format!("SET LOCAL statement_timeout = {}", time.as_millis()), Vec::new()).await?;
        }
        Ok(tx)
    }

    /// How the connections are used; of the pools of PostgreSQL, that of which more is in use.
    pub fn pool(&self) -> Pool {
        let of = |size: u32, idle: usize, max: u32| {
            let idle = u32::try_from(idle).unwrap_or(u32::MAX);
            Pool { used: size.saturating_sub(idle), idle, max }
        };
        match self.dialect {
            Dialect::Postgres => {
                let in_use = self.link.pools();
                let pools = [Role::Write, Role::Mark, Role::Group].map(|role| {
                    let pool = in_use.of(role).get_postgres_connection_pool();
                    of(pool.size(), pool.num_idle(), pool.options().get_max_connections())
                });
                let busier = |a: Pool, b: Pool| if b.used * a.max > a.used * b.max { b } else { a };
                pools.into_iter().reduce(busier).unwrap_or_default()
            }
            Dialect::Sqlite => {
                let pools = self.link.pools();
                let pool = pools.of(Role::Read).get_sqlite_connection_pool();
                of(pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
        }
    }

    /// Begins a transaction of a group of conversations.
    pub(crate) async fn begin_grouped(&self) -> Result<Tx> {
        Ok(Tx { inner: self.on(Role::Group).begin().await?, dialect: self.dialect })
    }

    /// Statements outside a transaction.
    pub(crate) fn on(&self, role: Role) -> Guarded<DatabaseConnection> {
        let guarded = self.link.on(role);
        if self.patient { guarded.patient() } else { guarded }
    }

    /// For commands and checks: where no connection can be had, the cause is looked for, which may take some seconds more.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Runs a statement that writes, outside a transaction; gives the number of rows it changed.
    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64> {
        Ok(self.on(Role::Write).execute_raw(self.dialect.statement(sql, values)).await?.rows_affected())
    }

    /// Runs a statement that only marks who works on what: a lease, a claim, a dispatch. It is committed
    /// without waiting for PostgreSQL's disk, for a crash of the database may forget it: then the work is
    /// found again, and what must not happen twice is guarded by a row that was committed for good.
    pub(crate) async fn mark(&self, sql: &str, values: Vec<Value>) -> Result<u64> {
        Ok(self.on(Role::Mark).execute_raw(self.dialect.statement(sql, values)).await?.rows_affected())
    }

    /// The same, for a statement that returns rows.
    pub(crate) async fn mark_rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<sea_orm::QueryResult>> {
        Ok(self.on(Role::Mark).query_all_raw(self.dialect.statement(sql, values)).await?)
    }

    /// Runs a statement that only reads.
    pub(crate) async fn read<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>> {
        rows(&self.reader(), self.dialect.statement(sql, values)).await
    }

    /// Runs a statement that writes and returns rows.
    pub(crate) async fn write<T: FromQueryResult>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>> {
        rows(&self.on(Role::Write), self.dialect.statement(sql, values)).await
    }
}

impl Tx {
    /// Makes everything done in it true.
    ///
    /// # Errors
    /// [`Error::Db`]; then nothing of it is, or the connection was lost and nobody knows.
    pub async fn commit(self) -> Result<()> {
        self.inner.commit().await
    }

    /// Undoes it, and gives back what it has locked.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn rollback(self) -> Result<()> {
        self.inner.rollback().await
    }

    /// The database's clock, in milliseconds.
    pub(crate) async fn now(&self) -> Result<Millis> {
        read_clock(self.dialect, &self.inner).await
    }

    pub(crate) fn connection(&self) -> &impl ConnectionTrait {
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

async fn read_clock(dialect: Dialect, db: &impl ConnectionTrait) -> Result<Millis> {
    let row = db.query_one(&Query::select().expr_as(dialect.now(), "now").take()).await?;
    Ok(row.map(|row| row.try_get("", "now")).transpose()?.unwrap_or(0))
}

async fn rows<T: FromQueryResult>(db: &impl ConnectionTrait, statement: Statement) -> Result<Vec<T>> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| T::from_query_result(row, "").map_err(Error::from)).collect()
}

/// What the query builder's statements are run on.
impl Store {
    /// Where changes are written.
    pub(crate) fn writer(&self) -> Guarded<DatabaseConnection> {
        self.on(Role::Write)
    }

    /// Where changes are written that need not wait for the disk: see [`Store::mark`].
    pub(crate) fn relaxed(&self) -> Guarded<DatabaseConnection> {
        self.on(Role::Mark)
    }

    /// Where is only read.
    pub(crate) fn reader(&self) -> Guarded<DatabaseConnection> {
        self.on(Role::Read)
    }

    /// To be held while a list is read, which may take long: only so many are read at a time, so that they never have
    /// all the connections that webhooks and jobs need.
    pub(crate) async fn list_permit(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(self.acquire_timeout, self.lists.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into()),
        }
    }
}
