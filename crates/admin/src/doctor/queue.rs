//! Checks whether Redis is reachable and does not drop data.

use super::report::{Report, Verdict};
use dmrelay_queue::{JobQueue, QueueMetrics, RedisOptions, RedisQueue, RedisServer};
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_runtime::settings::QueueSettings;
use std::time::Duration;

const CHECK: &str = "redis";

/// Timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The oldest supported version.
const VERSION_MIN: (u32, u32) = (6, 2);

pub(super) async fn check(settings: &QueueSettings, report: &mut Report) {
    let queue = match connect(settings) {
        Ok(queue) => queue,
        Err(err) => return report.fail(CHECK, format!("{err:#}")),
    };
    if let Err(err) = queue.ping().await {
        return report.fail(CHECK, format!("REDIS_URL: {err}; messages are answered without it, but slowly"));
    }
    match queue.server().await {
        Err(err) => report.warn(CHECK, format!("it answers, but not what it is (INFO): {err}")),
        Ok(server) => {
            if is_old(&server.version) {
                let (major, minor) = VERSION_MIN;
                report.warn(CHECK, format!("version {} is older than {major}.{minor}", server.version));
            } else {
                report.ok(CHECK, format!("it answers, version {}", server.version));
            }
            let (verdict, what) = memory(&server);
            report.note(verdict, "redis memory", &what);
        }
    }
}

fn connect(settings: &QueueSettings) -> anyhow::Result<RedisQueue> {
    let url = settings.url.require()?;
    let options = RedisOptions {
        namespace: settings.redis_namespace.clone(),
        push_timeout: CALL_TIMEOUT,
        ..RedisOptions::new(url.expose().clone())
    };
    let metrics = Metrics::new(Process::Command)?;
    Ok(RedisQueue::connect(options, QueueMetrics::register(&metrics.registry)?)?)
}

/// Whether a version is known and too old.
fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    let (major, minor): (Option<u32>, Option<u32>) = (numbers.next(), numbers.next());
    major.is_some_and(|major| (major, minor.unwrap_or(0)) < VERSION_MIN)
}

/// Whether Redis evicts keys to free memory: a dropped job waits until the poller finds its row, and a queue
/// whose keys are dropped one by one may stall.
fn memory(server: &RedisServer) -> (Verdict, String) {
    let policy = &server.max_memory_policy;
    let may_drop = !policy.is_empty() && policy != "noeviction";
    if !may_drop {
        return (Verdict::Ok, "never evicts keys (noeviction)".to_owned());
    }
    let cure = "set maxmemory-policy noeviction";
    match (server.max_memory, policy.starts_with("volatile-")) {
        (0, _) => {
            (Verdict::Warn, format!("maxmemory-policy is {policy}, though maxmemory is not set: {cure}"))
        }
        (_, true) => (
            Verdict::Warn,
            format!("maxmemory-policy is {policy}: jobs may be pushed twice when it is full; {cure}"),
        ),
        (_, false) => {
            (Verdict::Fail, format!("maxmemory-policy is {policy}: it drops jobs when it is full; {cure}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_drops_jobs_fails_the_check() {
        for (policy, max_memory, verdict) in [
            ("noeviction", 0, Verdict::Ok),
            ("noeviction", 1, Verdict::Ok),
            ("", 0, Verdict::Ok),
            ("allkeys-lru", 0, Verdict::Warn),
            ("volatile-lru", 1, Verdict::Warn),
            ("allkeys-lru", 1, Verdict::Fail),
        ] {
            let server =
                RedisServer { version: String::new(), max_memory, max_memory_policy: policy.to_owned() };
            assert_eq!(memory(&server).0, verdict, "{policy} {max_memory}");
        }
    }

    #[test]
    fn old_versions_are_recognized() {
        assert!(is_old("6.0.16") && is_old("5"));
        assert!(!is_old("6.2.0") && !is_old("7.2.4") && !is_old("10.0") && !is_old("") && !is_old("valkey"));
    }
}
