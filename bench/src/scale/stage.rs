//! One stage: first messages, a look at the idle system, then the messages that are counted.

use super::backlog::{self, Backlog};
use super::fleet::{self, Scrape};
use super::seed;
use super::tables::{Tables, connections, log_content};
use crate::args::Scale;
use crate::counts::redis::Info;
use crate::counts::statements::{Runs, Statements};
use crate::counts::{Counts, Watch, Window, float};
use crate::pipeline::{self, Talk};
use crate::progress::say;
use crate::servers::Servers;
use crate::stack::{Plan, Stack};
use anyhow::Result;
use dmrelay_simulator::Simulator;
use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use std::time::Duration;
use tokio::time::sleep;

/// What is special about a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) workers: u16,
    pub(super) accounts: u16,
    /// Chats that are there already.
    pub(super) chats: u64,
    pub(super) debounce_ms: u32,
}

/// What every stage needs.
pub(super) struct Bench<'a> {
    pub(super) args: &'a Scale,
    pub(super) servers: &'a Servers,
    pub(super) simulator: &'a Simulator,
}

/// What a stage came to.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) number: usize,
    pub(super) stage: Stage,
    /// The first message of each user, the idle share taken off.
    pub(super) first: (Talk, Window),
    /// The messages that count, the idle share taken off.
    pub(super) counted: (Talk, Window),
    /// Calls the services had in that time.
    pub(super) calls: Counts,
    /// An idle system.
    pub(super) idle: Window,
    /// Rows by message; transactions with those of the idle system.
    pub(super) tables: Tables,
    /// Records of the write-ahead log, their bytes, and those of whole pages.
    pub(super) log: Option<(f64, f64, f64)>,
    /// The retention's look for what is kept no longer, when there is nothing.
    pub(super) retention: Option<Runs>,
    pub(super) scrape: Option<Scrape>,
    pub(super) redis_peak: u64,
    /// Connections to PostgreSQL and to Redis after that.
    pub(super) connections: (u64, u64),
    pub(super) backlog: Option<Backlog>,
    pub(super) complaints: Vec<String>,
}

/// After the last work, until processes have told PostgreSQL what they did (ten seconds), and echoes are through.
const REST: Duration = Duration::from_secs(12);

/// Where people write only when the last is answered, so many more at a time for each second that answers are held back.
const HELD_BACK: usize = 4;

impl Stage {
    /// Its name, in a few words.
    pub(super) fn title(&self) -> String {
        let plural = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let mut title =
            format!("{}, {}", plural(self.workers.into(), "worker"), plural(self.accounts.into(), "account"));
        if self.chats > 0 {
            title = format!("{title}, {} chats", thousands(self.chats));
        }
        if self.debounce_ms > 0 {
            title = format!("{title}, {} ms debounce", self.debounce_ms);
        }
        title
    }
}

/// A worker that begins to lead looks for what is kept no longer; waits until it has.
async fn retention(aside: &mut PgConnection, database: &str) -> Result<Option<Runs>> {
    for _ in 0..60 {
        sleep(Duration::from_millis(500)).await;
        let statements = Statements::of(aside, database).await?;
        // It is listed when it is planned, and counted when it is through.
        let looked =
            |(text, runs): &(&String, &Runs)| text.starts_with("DELETE FROM events") && runs.calls > 0.0;
        if let Some((_, runs)) = statements.0.iter().find(looked) {
            return Ok(Some(runs.each()));
        }
    }
    Ok(None)
}

async fn vacuum(inside: &mut PgConnection) -> Result<()> {
    raw_sql(AssertSqlSafe("VACUUM ANALYZE".to_owned())).execute(inside).await?;
    Ok(())
}

/// 1000000 is `1,000,000`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let places = digits.char_indices().map(|(at, digit)| (digits.len() - at, digit));
    let mut text: String =
        places.flat_map(|(left, digit)| [Some(digit), (left % 3 == 1).then_some(',')]).flatten().collect();
    text.truncate(text.len() - 1);
    text
}

impl Bench<'_> {
    /// Runs a stage; after the `last`, the poller is measured in what it leaves.
    pub(super) async fn run(&self, stage: Stage, number: usize, last: bool) -> Result<Staged> {
        let plan = Plan {
            accounts: stage.accounts,
            url_parameters: self.args.url_parameters.clone(),
            ..Plan::new(format!("scale_{number}"), self.args.worker_concurrency)
        };
        let plan = plan.with("DEBOUNCE_MS", stage.debounce_ms.to_string());
        let mut stack = Stack::start(self.servers, self.simulator, plan).await?;
        let mut inside = PgConnection::connect(&self.servers.postgres.url(stack.database())).await?;
        if stage.chats > 0 {
            say(&format!("filling the tables with {} chats", thousands(stage.chats)));
            seed::chats(&mut inside, stage.chats).await?;
        }
        let mut aside = PgConnection::connect(&self.servers.postgres.url("postgres")).await?;
        Statements::forget(&mut aside).await?;
        stack.hire(stage.workers).await?;
        let retention = retention(&mut aside, stack.database()).await?;
        let mut staged = self.count(stage, number, &stack, &mut inside).await?;
        if last && self.args.backlog > 0 {
            staged.backlog = Some(backlog::measure(self, &mut stack, &mut inside).await?);
        }
        staged.retention = retention;
        staged.complaints = stack.end();
        Ok(staged)
    }

    pub(super) async fn watch(&self, stack: &Stack) -> Result<Watch> {
        Watch::new(self.servers, stack.database(), stack.watched()).await
    }

    async fn count(
        &self,
        stage: Stage,
        number: usize,
        stack: &Stack,
        inside: &mut PgConnection,
    ) -> Result<Staged> {
        let people = fleet::people(stack.seats(), self.args.users, stage.chats);
        let mut watch = self.watch(stack).await?;
        let at_once = usize::from(self.args.at_once)
            + HELD_BACK * usize::try_from(stage.debounce_ms / 100).unwrap_or_default();
        let first = watch.begin().await?;
        let first_talk = pipeline::in_turn(self.simulator, people.len(), &people, at_once).await?;
        let first = watch.end(first).await?;
        // As autovacuum would have, by the time there is a history.
        vacuum(inside).await?;
        sleep(REST).await;
        say("the idle system");
        let idle = watch.begin().await?;
        sleep(Duration::from_secs(self.args.idle_seconds)).await;
        let idle = watch.end(idle).await?;
        say("the messages that count");
        let tables = Tables::of(inside).await?;
        self.servers.postgres.checkpoint().await?;
        let counted = watch.begin().await?;
        let messages = usize::try_from(self.args.messages)?;
        let talk = pipeline::in_turn(self.simulator, messages, &people, at_once).await?;
        let counted = watch.end(counted).await?;
        let calls = self.simulator.record(|record| record.calls.clone());
        let calls = Counts(calls.into_iter().map(|(name, calls)| (name.to_owned(), float(calls))).collect());
        let log = log_content(&mut watch.aside, counted.log).await;
        sleep(REST).await;
        let tables = Tables::of(inside).await?.since(&tables, f64::from(self.args.messages));
        let redis = Info::of(&self.servers.redis.url()).await?;
        Ok(Staged {
            number,
            stage,
            first: (first_talk, first.without(&idle)),
            counted: (talk, counted.without(&idle)),
            calls,
            idle,
            tables,
            log,
            retention: None,
            scrape: fleet::scrape(stack).await?,
            redis_peak: redis.memory_peak,
            connections: (connections(inside).await?, redis.clients),
            backlog: None,
            complaints: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_thousands() {
        assert_eq!(
            ["7", "123", "1,234", "1,000,000"].map(String::from),
            [7, 123, 1_234, 1_000_000].map(thousands)
        );
    }
}
