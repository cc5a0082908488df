//! Whether customers are answered now: what is written gets through, processes run, no circuit breaker is open, and nobody
//! has waited for long.

use super::database::in_time;
use super::report::Report;
use crate::pauses;
use crate::status::{self, LATE};
use crate::times::span;
use dmrelay_domain::clock::millis;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_store::{Store, Waiting};

pub(super) async fn check(store: &Store, report: &mut Report) {
    let written = in_time(store.probe_write()).await;
    report.judge("writes", written.map(|()| "the database accepts writes"));
    processes(store, report).await;
    breakers(store, report).await;
    paused(store, report).await;
    accounts(store, report).await;
    match in_time(store.waiting(LATE)).await {
        Ok(waiting) => customers(&waiting, report),
        Err(err) => report.fail("customers", err),
    }
}

/// Which processes run. Before the first start there are none, which is no fault.
async fn processes(store: &Store, report: &mut Report) {
    const CHECK: &str = "processes";
    let processes = match in_time(store.processes()).await {
        Ok(processes) => processes,
        Err(err) => return report.fail(CHECK, err),
    };
    let count = |kind: &str| processes.iter().filter(|process| process.kind == kind).count();
    let (apis, workers) = (count("api"), count("worker"));
    let mut versions: Vec<&str> = processes.iter().map(|process| process.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let what = format!("{apis} api, {workers} worker: {}", versions.join(", "));
    match (apis, workers) {
        (0, 0) => report.ok(CHECK, "none runs"),
        (0, _) => report.warn(CHECK, format!("{what}: no API runs, so no webhook is received")),
        (_, 0) => report.warn(CHECK, format!("{what}: no worker runs, so nobody is answered")),
        _ if versions.len() > 1 => {
            report.warn(CHECK, format!("{what}: a deploy is under way, or was left halfway"));
        }
        _ => report.ok(CHECK, what),
    }
}

async fn breakers(store: &Store, report: &mut Report) {
    const CHECK: &str = "circuit breakers";
    let (open, now) = match in_time(async {
        Ok::<_, dmrelay_store::Error>((store.open_breaker_rows().await?, store.now().await?))
    })
    .await
    {
        Ok(found) => found,
        Err(err) => return report.fail(CHECK, err),
    };
    if open.is_empty() {
        return report.ok(CHECK, "none is open");
    }
    for breaker in open {
        let left = (breaker.closed_until - now).max(0) / 1_000;
        let why = breaker.reason.as_deref().unwrap_or("no reason is known");
        let what = format!("{} is open, the next call is in {left} s: {why}", breaker.key);
        if breaker.is_failing() {
            report.fail(CHECK, what);
        } else {
            report.warn(CHECK, what);
        }
    }
}

async fn paused(store: &Store, report: &mut Report) {
    const CHECK: &str = "pauses";
    match in_time(store.pauses()).await {
        Ok(pauses) => {
            let (own, ours): (Vec<_>, Vec<_>) = pauses.iter().partition(|pause| pause.key.scope.is_own());
            for pause in &ours {
                report.warn(CHECK, format!("{}: admin resume ends it", pauses::line(pause)));
            }
            match (ours.len(), own.len()) {
                (0, 0) => report.ok(CHECK, "nothing is paused"),
                (0, own) => {
                    report.ok(CHECK, format!("nothing but {own} pauses that subaccounts set themselves"));
                }
                _ => {}
            }
        }
        Err(err) => report.fail(CHECK, err),
    }
}

/// Accounts that must be reconnected, or that Meta has restricted.
async fn accounts(store: &Store, report: &mut Report) {
    const CHECK: &str = "accounts";
    let counts = match in_time(store.connection_counts()).await {
        Ok(counts) => counts,
        Err(err) => return report.fail(CHECK, err),
    };
    let count = |status: ConnectionStatus| {
        counts.iter().find(|(word, _)| word == status.as_str()).map_or(0, |(_, n)| *n)
    };
    let connected = count(ConnectionStatus::Connected);
    let (lost, restricted) = (count(ConnectionStatus::ReauthRequired), count(ConnectionStatus::Restricted));
    if lost + restricted == 0 {
        return report.ok(CHECK, format!("{connected} connected, none needs attention"));
    }
    report.fail(
        CHECK,
        format!(
            "{connected} connected, {lost} have to be connected again by their business, {restricted} are restricted by \
             Meta: admin connections names them"
        ),
    );
}

fn customers(waiting: &[Waiting], report: &mut Report) {
    const CHECK: &str = "customers";
    let late: i64 = waiting.iter().filter(|one| one.stage != "held").map(|one| one.late).sum();
    let what = status::customers(waiting);
    match late {
        0 => report.ok(CHECK, what),
        late => {
            report.fail(CHECK, format!("{late} have waited for longer than {}: {what}", span(millis(LATE))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn found(waiting: &[Waiting]) -> (Verdict, String) {
        let mut report = Report::new(false);
        customers(waiting, &mut report);
        let finding = report.findings().first().unwrap();
        (finding.verdict, finding.what.clone())
    }

    fn at(stage: &str, late: i64, oldest_ms: i64) -> Waiting {
        Waiting { stage: stage.to_owned(), conversations: 3, late, oldest_ms }
    }

    #[test]
    fn customers_who_wait_for_long_are_a_failure_and_those_of_held_accounts_are_not() {
        assert_eq!(found(&[]), (Verdict::Ok, "nobody waits for an answer".to_owned()));
        let (verdict, what) = found(&[at("ask", 0, 4_000), at("held", 3, 90_000_000)]);
        assert_eq!(verdict, Verdict::Ok);
        assert_eq!(
            what,
            "3 wait, the longest for 4.0s (3 ask); 3 held by their business, Meta, a budget or a pause"
        );
        let (verdict, what) = found(&[at("ask", 2, 1_200_000), at("agent", 0, 4_000)]);
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(what, "2 have waited for longer than 5m: 6 wait, the longest for 20m (3 ask, 3 agent)");
    }
}
