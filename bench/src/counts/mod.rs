//! What a stretch of time came to, as counts: read before and after, the difference is what happened between.

pub(crate) mod redis;
pub(crate) mod statements;

use crate::servers::Servers;
use crate::usage::{Cost, Meter, Watched};
use anyhow::Result;
use redis::Info;
use sea_orm::sqlx::{Connection, PgConnection, query_as};
use statements::Statements;
use std::time::Instant;

/// Named numbers, in the order they are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(pub(crate) Vec<(String, f64)>);

/// Where everything is read.
pub(crate) struct Watch {
    redis_url: String,
    /// A connection to another database of the server, which is not counted.
    pub(crate) aside: PgConnection,
    /// The database that is looked at.
    database: String,
    /// Whether PostgreSQL counts statements.
    lists_statements: bool,
    /// Whose processor time and memory are counted.
    watched: Vec<Watched>,
}

/// What was read at one time.
pub(crate) struct Reading {
    at: Instant,
    redis: Info,
    /// The place in the write-ahead log, in bytes.
    lsn: i64,
    /// How often the log was flushed to the disk; nothing where PostgreSQL does not tell (before 14, and from 18 on).
    flushes: Option<i64>,
    meter: Meter,
}

/// What happened in a window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) statements: Statements,
    /// What Redis had to do as a whole.
    pub(crate) redis: Counts,
    /// Runs of its commands, by name.
    pub(crate) commands: Counts,
    /// Processor seconds.
    pub(crate) cpu: Counts,
    /// Kilobytes of memory, at their peak.
    pub(crate) memory_kb: Counts,
    /// Where it began and ended in the write-ahead log.
    pub(crate) log: (i64, i64),
}

/// Names of counts that are looked up.
pub(crate) const STATEMENTS: &str = "statements";
pub(crate) const WAL_BYTES: &str = "WAL, bytes";
pub(crate) const FLUSHES: &str = "flushes of the WAL";
pub(crate) const SENT_BY_CLIENTS: &str = "commands of clients";
/// Looks for a job that found none.
pub(crate) const EMPTY: &str = "fetches without a job";

impl Counts {
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.find(name).unwrap_or_default()
    }

    pub(crate) fn find(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    pub(crate) fn push(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value));
    }

    /// Adds to the count of this name, e.g. of several workers.
    fn add(&mut self, name: &str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += value,
            None => self.push(name, value),
        }
    }

    /// These without so much of others; what only the others have stays away.
    pub(crate) fn without(&self, others: &Self, share: f64) -> Self {
        let rest = self.0.iter().map(|(name, value)| (name.clone(), value - share * others.get(name)));
        Self(rest.collect())
    }
}

impl Watch {
    /// Looks at one database and at these processes; Redis and the write-ahead log are looked at as a whole.
    pub(crate) async fn new(servers: &Servers, database: &str, watched: Vec<Watched>) -> Result<Self> {
        Ok(Self {
            redis_url: servers.redis.url(),
            aside: PgConnection::connect(&servers.postgres.url("postgres")).await?,
            database: database.to_owned(),
            lists_statements: servers.postgres.lists_statements(),
            watched,
        })
    }

    /// Begins a window.
    pub(crate) async fn begin(&mut self) -> Result<Reading> {
        let meter = Meter::start(self.watched.clone());
        let reading = self.read(meter).await?;
        if self.lists_statements {
            Statements::forget(&mut self.aside).await?;
        }
        Ok(reading)
    }

    /// Ends a window.
    pub(crate) async fn end(&mut self, before: Reading) -> Result<Window> {
        let statements = if self.lists_statements {
            Statements::of(&mut self.aside, &self.database).await?
        } else {
            Statements::default()
        };
        let after = self.read(Meter::start(Vec::new())).await?;
        let spent = before.meter.stop();
        let (mut cpu, mut memory_kb) = (Counts::default(), Counts::default());
        for Cost { name, cpu: time, memory_kb: peak } in &spent.costs {
            cpu.add(name, time.as_secs_f64());
            memory_kb.add(name, float(*peak));
        }
        let mut commands = Counts::default();
        for (name, calls) in &after.redis.commands {
            let earlier = before.redis.commands.get(name).copied().unwrap_or_default();
            commands.push(name, float(calls - earlier));
        }
        let mut counts = Counts::default();
        if self.lists_statements {
            let sum = statements.sum();
            counts.push(STATEMENTS, statements.calls());
            counts.push("pages of 8 KiB looked at", sum.pages);
            counts.push("plans made", sum.plans);
            counts.push("milliseconds of execution", sum.ms);
        }
        counts.push(WAL_BYTES, difference(after.lsn, before.lsn));
        if let (Some(after), Some(before)) = (after.flushes, before.flushes) {
            counts.push(FLUSHES, difference(after, before));
        }
        Ok(Window {
            seconds: (after.at - before.at).as_secs_f64(),
            counts,
            statements,
            redis: redis(&before.redis, &after.redis),
            commands,
            cpu,
            memory_kb,
            log: (before.lsn, after.lsn),
        })
    }

    /// Transactions that were committed since the database was made. Connections tell with up to ten seconds' delay.
    pub(crate) async fn commits(&mut self) -> Result<i64> {
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = $1";
        let (commits,): (i64,) = query_as(sql).bind(&self.database).fetch_one(&mut self.aside).await?;
        Ok(commits)
    }

    async fn read(&mut self, meter: Meter) -> Result<Reading> {
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
        let (lsn,): (i64,) = query_as(sql).fetch_one(&mut self.aside).await?;
        let flushes = query_as("SELECT wal_sync FROM pg_stat_wal").fetch_one(&mut self.aside).await.ok();
        Ok(Reading {
            at: Instant::now(),
            redis: Info::of(&self.redis_url).await?,
            lsn,
            flushes: flushes.map(|(flushes,): (i64,)| flushes),
            meter,
        })
    }
}

impl Window {
    /// This window without what would have happened in it all the same, by an idle one.
    pub(crate) fn without(&self, idle: &Self) -> Self {
        let share = self.seconds / idle.seconds.max(f64::EPSILON);
        // Redis is idle where it is looked for a job that is not there: less often while there are jobs.
        let fetches = self.redis.get(EMPTY) / idle.redis.get(EMPTY).max(f64::EPSILON);
        Self {
            seconds: self.seconds,
            counts: self.counts.without(&idle.counts, share),
            statements: self.statements.without(&idle.statements, share),
            redis: self.redis.without(&idle.redis, fetches),
            commands: self.commands.without(&idle.commands, fetches),
            cpu: self.cpu.without(&idle.cpu, share),
            memory_kb: self.memory_kb.clone(),
            log: self.log,
        }
    }
}

fn redis(before: &Info, after: &Info) -> Counts {
    let mut counts = Counts::default();
    let mut count =
        |name: &str, of: fn(&Info) -> u64| counts.push(name, float(of(after).saturating_sub(of(before))));
    count(SENT_BY_CLIENTS, Info::sent_by_clients);
    count("commands in all", Info::in_all);
    count("jobs pushed", Info::pushed);
    count(EMPTY, Info::fetched_nothing);
    count("bytes to Redis", |info| info.sent);
    count("bytes from Redis", |info| info.received);
    counts
}

fn difference(after: i64, before: i64) -> f64 {
    float(u64::try_from(after - before).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run fit a float")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
