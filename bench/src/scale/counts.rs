//! What a stretch of time came to, as counts: read before and after, the difference is what happened between.

use super::redis::Info;
use super::statements::Statements;
use super::tap::{Both, Tap};
use crate::usage::{Meter, Watched};
use anyhow::Result;
use sea_orm::sqlx::{PgConnection, query_as};
use std::net::SocketAddr;
use std::time::Instant;

/// Named numbers, in the order they are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(pub(super) Vec<(String, f64)>);

/// Where everything is read.
pub(super) struct Watch<'a> {
    /// Connections that are counted: of the api, and of the workers.
    pub(super) taps: [&'a Tap; 2],
    pub(super) redis: SocketAddr,
    /// A connection to another database of the server, which is not counted.
    pub(super) aside: PgConnection,
    /// The database that is looked at.
    pub(super) database: String,
    /// Whose processor time is counted.
    pub(super) watched: Vec<Watched>,
}

/// What was read at one time.
pub(super) struct Reading {
    at: Instant,
    taps: [Both; 2],
    redis: Info,
    /// The place in the write-ahead log, in bytes.
    lsn: i64,
    /// How often it was written to the disk for good.
    flushes: i64,
    meter: Meter,
}

/// What happened in a window.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    pub(super) seconds: f64,
    pub(super) counts: Counts,
    pub(super) statements: Statements,
    /// What Redis had to do as a whole.
    pub(super) redis: Counts,
    /// Runs of its commands, by name.
    pub(super) commands: Counts,
    /// Processor seconds.
    pub(super) cpu: Counts,
    /// Where it began and ended in the write-ahead log.
    pub(super) log: (i64, i64),
}

impl Counts {
    pub(super) fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|(known, _)| known == name).map_or(0.0, |(_, value)| *value)
    }

    pub(super) fn push(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value));
    }

    /// These without so much of others; what only the others have stays away.
    pub(super) fn without(&self, others: &Self, share: f64) -> Self {
        let rest = self.0.iter().map(|(name, value)| (name.clone(), value - share * others.get(name)));
        Self(rest.collect())
    }
}

impl Watch<'_> {
    /// Begins a window.
    pub(super) async fn begin(&mut self) -> Result<Reading> {
        let meter = Meter::start(self.watched.clone());
        let reading = self.read(meter).await?;
        Statements::forget(&mut self.aside).await?;
        Ok(reading)
    }

    /// Ends a window.
    pub(super) async fn end(&mut self, before: Reading) -> Result<Window> {
        let statements = Statements::of(&mut self.aside, &self.database).await?;
        let after = self.read(Meter::start(Vec::new())).await?;
        let spent = before.meter.stop();
        let mut cpu = Counts::default();
        for cost in &spent.costs {
            match cpu.0.iter_mut().find(|(name, _)| name == cost.name) {
                // Several workers.
                Some((_, seconds)) => *seconds += cost.cpu.as_secs_f64(),
                None => cpu.push(cost.name, cost.cpu.as_secs_f64()),
            }
        }
        let mut commands = Counts::default();
        for (name, calls) in &after.redis.commands {
            let earlier = before.redis.commands.get(name).copied().unwrap_or_default();
            commands.push(name, float(calls - earlier));
        }
        let mut counts = wire(&before.taps, &after.taps);
        let sum = statements.sum();
        counts.push("pages of 8 KiB looked at", sum.pages);
        counts.push("plans made", sum.plans);
        counts.push("milliseconds of execution", sum.ms);
        counts.push("WAL, bytes", float(u64::try_from(after.lsn - before.lsn).unwrap_or_default()));
        counts.push(
            "flushes of the WAL",
            float(u64::try_from(after.flushes - before.flushes).unwrap_or_default()),
        );
        Ok(Window {
            seconds: (after.at - before.at).as_secs_f64(),
            counts,
            statements,
            redis: redis(&before.redis, &after.redis),
            commands,
            cpu,
            log: (before.lsn, after.lsn),
        })
    }

    async fn read(&mut self, meter: Meter) -> Result<Reading> {
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint, wal_sync FROM pg_stat_wal";
        let (lsn, flushes): (i64, i64) = query_as(sql).fetch_one(&mut self.aside).await?;
        Ok(Reading {
            at: Instant::now(),
            taps: self.taps.map(Tap::counted),
            redis: Info::of(self.redis).await?,
            lsn,
            flushes,
            meter,
        })
    }
}

impl Window {
    /// This window without what would have happened in it all the same, by an idle one.
    pub(super) fn without(&self, idle: &Self) -> Self {
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
            log: self.log,
        }
    }
}

/// What went over the connections to PostgreSQL.
fn wire(before: &[Both; 2], after: &[Both; 2]) -> Counts {
    let since = |place: usize| {
        let (a, b) = (&after[place], &before[place]);
        (a.waiting - b.waiting, a.relaxed - b.relaxed)
    };
    let (api, worker) = (since(0), since(1));
    let relaxed = api.1 + worker.1;
    let waiting = api.0 + worker.0;
    let all = waiting + relaxed;
    let mut counts = Counts::default();
    let mut count = |name: &str, of: u64| counts.push(name, float(of));
    count("statements", all.statements);
    count("BEGIN", all.begins);
    count("COMMIT", all.commits);
    count("ROLLBACK", all.rollbacks);
    count("pings of returned connections", all.pings);
    count("preparations", all.prepares);
    count("round trips", all.round_trips);
    count("of them by the api", (api.0 + api.1).round_trips);
    count("writing transactions that wait for the disk", waiting.writes);
    count("writing transactions that do not", relaxed.writes);
    count("bytes to PostgreSQL", all.sent);
    count("bytes from PostgreSQL", all.received);
    count("connections opened", all.connections);
    counts
}

/// Looks for a job that found none.
pub(super) const EMPTY: &str = "fetches without a job";

fn redis(before: &Info, after: &Info) -> Counts {
    let mut counts = Counts::default();
    let mut count = |name: &str, of: fn(&Info) -> u64| counts.push(name, float(of(after) - of(before)));
    count("commands of clients", Info::sent_by_clients);
    count("commands in all", Info::in_all);
    count("jobs pushed", Info::pushed);
    count(EMPTY, Info::fetched_nothing);
    count("bytes to Redis", |info| info.sent);
    count("bytes from Redis", |info| info.received);
    counts
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run fit a float")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
