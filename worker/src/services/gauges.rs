//! Gauges read from the database and the queue, by the leader only.

use crate::Context;
use dmrelay_domain::clock::millis;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::{CheckName, CheckState, ConnectionStatus};
use dmrelay_queue::QueueName;
use dmrelay_runtime::metrics::{BREAKER_CAUSES, BREAKERS, WAITING, seconds};
use dmrelay_store::{Call, PauseKey, PauseScope, Result};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

const DAY_MS: f64 = 86_400_000.0;

/// How long what was counted counts as true: several ticks.
const TRUE_FOR: Duration = Duration::from_secs(20);

/// Interval of counts that rarely change.
const SLOW_INTERVAL: Duration = Duration::from_mins(1);

/// Another process leads now: this one's last values are removed.
pub(super) fn forget(ctx: &Context) {
    ctx.metrics.lost_count();
    *ctx.counted_slowly.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let metrics = &ctx.metrics;
    waiting(&ctx).await?;
    for (job, due) in ctx.store.oldest_due().await? {
        metrics.oldest_due_seconds.with_label_values(&[job]).set(seconds(due.oldest_ms));
    }
    let counts = ctx.store.connection_counts().await?;
    for status in ConnectionStatus::ALL {
        metrics.connections.with_label_values(&[status.as_str()]).set(count_of(&counts, status.as_str()));
    }
    let counts = ctx.store.check_counts().await?;
    for (check, state) in CheckName::ALL
        .iter()
        .flat_map(|check| CheckState::ALL.iter().map(move |state| (check.as_str(), state.as_str())))
    {
        let count = counts.iter().find(|count| count.name == check && count.state == state);
        metrics.connection_checks.with_label_values(&[check, state]).set(count.map_or(0, |count| count.n));
    }
    let open = ctx.store.open_breakers().await?;
    for (breaker, cause) in
        BREAKERS.iter().flat_map(|breaker| BREAKER_CAUSES.map(move |cause| (breaker, cause)))
    {
        let found = open.iter().find(|open| open.breaker == *breaker && open.cause == cause);
        let count = found.map_or(0, |open| open.n);
        metrics.circuit_breakers_open.with_label_values(&[breaker, cause]).set(count);
    }
    let pauses = ctx.store.pauses().await?;
    for (call, scope) in Call::ALL.into_iter().flat_map(|call| PauseScope::WORDS.map(|scope| (call, scope))) {
        for by in ["operator", "subaccount"] {
            let is_it =
                |key: &PauseKey| key.call == call && key.scope.as_str() == scope && key.scope.by() == by;
            let count = pauses.iter().filter(|pause| is_it(&pause.key)).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.pauses.with_label_values(&[call.as_str(), scope, by]).set(count);
        }
    }
    accounts(&ctx).await?;
    // Whoever waits is counted: what fails from here on hides nothing of that.
    metrics.counted(TRUE_FOR);
    let counts = ctx.store.dead_letter_counts().await?;
    for class in FailureClass::ALL {
        let count = count_of(&counts, class.as_str());
        metrics.dead_letters.with_label_values(&[class.as_str()]).set(count);
    }
    for queue in QueueName::ALL {
        if let Ok(depth) = ctx.dispatcher.depth(queue).await {
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            metrics.queue_depth.with_label_values(&[queue.as_str()]).set(depth);
        }
    }
    metrics.oldest_erasure_seconds.set(seconds(ctx.store.oldest_erasure().await?));
    slow(&ctx).await
}

/// Customers who wait for an answer.
async fn waiting(ctx: &Context) -> Result<()> {
    let found = ctx.store.waiting(ctx.options.worker.unanswered_after).await?;
    for stage in WAITING {
        let waiting = found.iter().find(|waiting| waiting.stage == stage);
        let labels = &[stage];
        ctx.metrics
            .conversations_waiting
            .with_label_values(labels)
            .set(waiting.map_or(0, |of| of.conversations));
        ctx.metrics.conversations_late.with_label_values(labels).set(waiting.map_or(0, |of| of.late));
        let oldest = waiting.map_or(0.0, |of| seconds(of.oldest_ms));
        ctx.metrics.oldest_unanswered_seconds.with_label_values(labels).set(oldest);
    }
    Ok(())
}

fn count_of(counts: &[(String, i64)], word: &str) -> i64 {
    counts.iter().find(|(known, _)| known == word).map_or(0, |(_, n)| *n)
}

/// What rarely changes: the size of the database, and which keys encrypt the stored secrets.
async fn slow(ctx: &Context) -> Result<()> {
    let counted = *ctx.counted_slowly.lock().unwrap_or_else(PoisonError::into_inner);
    if counted.is_some_and(|at| at.elapsed() < SLOW_INTERVAL) {
        return Ok(());
    }
    let current = ctx.vault.current_key();
    let (mut with_current, mut with_another) = (0, 0);
    for (key, count) in ctx.store.sealed_counts().await? {
        *(if key == current { &mut with_current } else { &mut with_another }) += count;
    }
    for (key, count) in [("current", with_current), ("other", with_another)] {
        ctx.metrics.sealed_secrets.with_label_values(&[key]).set(count);
    }
    ctx.metrics.database_bytes.set(ctx.store.size().await?);
    let capacity = i64::try_from(ctx.options.worker.database_capacity_bytes).unwrap_or(i64::MAX);
    ctx.metrics.database_capacity_bytes.set(capacity);
    *ctx.counted_slowly.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    Ok(())
}

async fn accounts(ctx: &Context) -> Result<()> {
    let accounts = ctx.store.account_counts(millis(ctx.options.worker.account_silent_after)).await?;
    let metrics = &ctx.metrics;
    metrics.accounts_paused.set(accounts.paused);
    metrics.accounts_silent.set(accounts.silent);
    let tokens = [
        ("expired", accounts.expired),
        ("1d", accounts.one_day),
        ("7d", accounts.seven_days),
        ("30d", accounts.thirty_days),
        ("more", accounts.more),
        ("endless", accounts.endless),
    ];
    for (left, count) in tokens {
        metrics.tokens.with_label_values(&[left]).set(count);
    }
    let silent = millis(ctx.options.worker.account_silent_after);
    let needs = ctx.store.accounts_in_need(silent, ctx.options.worker.account_needs_max).await?;
    metrics.account_needs.reset();
    for account in needs {
        let username = account.username.as_deref().unwrap_or_default();
        let labels = [account.subaccount_id.as_str(), &account.instagram_account_id, username, &account.need];
        metrics.account_needs.with_label_values(&labels).set(1);
    }
    // No expiring token means infinitely many days.
    #[expect(clippy::cast_precision_loss, reason = "days are shown, not compared")]
    let left = accounts.first_expiry.map_or(f64::INFINITY, |left| left as f64 / DAY_MS);
    metrics.token_days_left_min.set(left);
    Ok(())
}
