//! Counts what was used for each account on each day, and shows today's.

use crate::Context;
use dmrelay_store::{BudgetLimits, Result, UsageFilter, day_of};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days that are counted at most once no worker has counted for long.
const DAYS_MAX: i64 = 7;

/// Accounts whose usage is summed up for the metric.
const ACCOUNTS_MAX: u64 = 100_000;

/// Counts the days since the last count, and the day before: messages of its last minutes may have been sent since.
pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let limits = &ctx.options.worker.budgets;
    let number = |turns: u64| i64::try_from(turns).unwrap_or(i64::MAX);
    ctx.store
        .put_budgets(BudgetLimits {
            account_hour: number(limits.turns_per_account_hour),
            subaccount_hour: number(limits.turns_per_subaccount_hour),
            subaccount_day: number(limits.turns_per_subaccount_day),
            day: number(limits.turns_per_day),
        })
        .await?;
    let today = day_of(ctx.store.now().await?);
    let last = ctx.store.last_usage_day().await?.unwrap_or(today);
    let mut outcome = Ok(());
    for day in (last.min(today - 1).max(today - DAYS_MAX)..=today).rev() {
        // Counting again does no harm, so a worker that stops does not wait for it.
        match ctx.stopping.run_until_cancelled(ctx.store.count_usage(day)).await {
            Some(Ok(())) => {}
            Some(Err(err)) => outcome = Err(err),
            None => return Ok(()),
        }
    }
    show(&ctx, today).await?;
    outcome
}

/// Today's counts of the subaccounts that use most.
async fn show(ctx: &Context, today: i64) -> Result<()> {
    let of_today = UsageFilter { from: today, to: today, ..UsageFilter::default() };
    let days = ctx.store.usage(&of_today, ACCOUNTS_MAX).await?;
    let mut subaccounts: BTreeMap<String, [(&str, i64); 6]> = BTreeMap::new();
    for day in days {
        let counts = [
            ("received", day.received),
            ("sent_by_agent", day.sent_by_agent),
            ("sent_by_people", day.sent_by_people),
            ("failed", day.failed),
            ("turns", day.turns),
            ("questions", day.questions),
        ];
        let sums = subaccounts.entry(day.subaccount_id).or_insert(counts.map(|(what, _)| (what, 0)));
        for (sum, (_, count)) in sums.iter_mut().zip(counts) {
            sum.1 += count;
        }
    }
    let mut subaccounts: Vec<_> = subaccounts.into_iter().collect();
    subaccounts.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().map(|(_, n)| n).sum::<i64>()));
    // Removes the series of subaccounts that are no longer in the list.
    ctx.metrics.usage_today.reset();
    for (subaccount, counts) in subaccounts.iter().take(ctx.options.worker.usage_metric_subaccounts) {
        for (what, count) in counts {
            ctx.metrics.usage_today.with_label_values(&[subaccount.as_str(), what]).set(*count);
        }
    }
    Ok(())
}
