//! The poller: what it costs while work waits for later, how fast it hands out what is due, and what it costs with many
//! accounts.

use super::fleet;
use super::seed;
use super::stage::Bench;
use crate::counts::Window;
use crate::progress::say;
use crate::stack::Stack;
use anyhow::{Result, bail};
use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_as, raw_sql};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The measurements of the poller.
#[derive(Debug, Clone)]
pub(super) struct Backlog {
    /// Turns that wait, or are due.
    pub(super) turns: u32,
    /// An idle system with as many turns that are due in an hour.
    pub(super) waiting: Window,
    /// The same turns due at once.
    pub(super) drains: Vec<Drain>,
    /// An idle system with so many accounts.
    pub(super) quiet: (u64, Window),
}

/// How turns that were all due were handed out and done: each finds nothing to ask.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    pub(super) workers: u16,
    pub(super) took: Duration,
    /// Turns the poller handed out, by its own count.
    pub(super) claimed: f64,
    /// The most in a tenth of a second, by the second.
    pub(super) best: f64,
    /// Maximum number of workers that led the poller at the same time: more than one if a tick takes longer than the lease.
    pub(super) leaders: f64,
    pub(super) window: Window,
}

/// How long turns may take that have nothing to do.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);

/// How often it is looked how much was handed out, and after how many looks whether anything is left.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;

const CLAIMED: &str = "dmrelay_sweep_claimed_total{kind=\"turn\"}";
const LEADS: &str = "dmrelay_leader{service=\"sweep\"}";

/// Measures on the database of this stage, and leaves it so.
pub(super) async fn measure(
    bench: &Bench<'_>,
    stack: &mut Stack,
    inside: &mut PgConnection,
) -> Result<Backlog> {
    let turns = wait_for_later(inside, bench.args.backlog).await?;
    say(&format!("{turns} turns that wait"));
    let waiting = idle(bench, stack).await?;
    let mut drains = vec![drain(bench, stack, 1, inside).await?];
    if bench.args.workers > 1 {
        stack.hire(bench.args.workers - 1).await?;
        wait_for_later(inside, turns).await?;
        drains.push(drain(bench, stack, bench.args.workers, inside).await?);
        stack.dismiss(1);
    }
    say("many accounts");
    seed::accounts(inside, bench.args.quiet_accounts).await?;
    run(inside, "VACUUM ANALYZE chats").await?;
    // The workers that are gone have let another lead; the api has read the accounts.
    sleep(Duration::from_secs(12)).await;
    let quiet = idle(bench, stack).await?;
    let accounts = bench.args.quiet_accounts + stack.seats().len() as u64;
    Ok(Backlog { turns, waiting, drains, quiet: (accounts, quiet) })
}

/// Chats of all accounts have a turn in an hour; gives how many, for there may be fewer chats than wanted.
async fn wait_for_later(inside: &mut PgConnection, turns: u32) -> Result<u32> {
    // Those that lie together in the table, as those of one outage would.
    let sql = format!(
        "UPDATE chats SET turn_due_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 3600000 \
         WHERE id IN (SELECT id FROM chats ORDER BY id DESC LIMIT {turns})"
    );
    run(inside, &sql).await?;
    run(inside, "VACUUM ANALYZE chats").await?;
    Ok(u32::try_from(left(inside).await?).unwrap_or(turns))
}

/// Turns that are not done.
async fn left(inside: &mut PgConnection) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM chats WHERE turn_due_at IS NOT NULL";
    let (left,): (i64,) = query_as(sql).fetch_one(inside).await?;
    Ok(left)
}

async fn idle(bench: &Bench<'_>, stack: &Stack) -> Result<Window> {
    let mut watch = bench.watch(stack).await?;
    let before = watch.begin().await?;
    sleep(Duration::from_secs(bench.args.idle_seconds)).await;
    watch.end(before).await
}

async fn drain(bench: &Bench<'_>, stack: &Stack, workers: u16, inside: &mut PgConnection) -> Result<Drain> {
    say(&format!("the same turns due at once, {workers} workers"));
    let mut watch = bench.watch(stack).await?;
    let claimed = fleet::counter(stack, CLAIMED).await?;
    let before = watch.begin().await?;
    let due = "UPDATE chats SET turn_due_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
         WHERE turn_due_at IS NOT NULL";
    run(inside, due).await?;
    let began = Instant::now();
    let (mut last, mut best, mut leaders) = ((began, claimed), 0.0_f64, 0.0_f64);
    for look in 1.. {
        sleep(LOOK).await;
        let now = (Instant::now(), fleet::counter(stack, CLAIMED).await?);
        best = best.max((now.1 - last.1) / (now.0 - last.0).as_secs_f64());
        last = now;
        leaders = leaders.max(fleet::counter(stack, LEADS).await?);
        if look % LOOKS != 0 {
            continue;
        }
        match left(inside).await? {
            0 => break,
            left if began.elapsed() > ANSWER_TIMEOUT => {
                bail!("{left} turns are still due after {ANSWER_TIMEOUT:?}");
            }
            _ => {}
        }
    }
    let took = began.elapsed();
    let window = watch.end(before).await?;
    Ok(Drain { workers, took, claimed: last.1 - claimed, best, leaders, window })
}

async fn run(inside: &mut PgConnection, sql: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *inside).await?;
    Ok(())
}
