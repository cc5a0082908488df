//! Saturation: so many connections, each with its next webhook as soon as the last one is answered.

use crate::http::Connection;
use crate::webhook::Volley;
use anyhow::{Context, Result};
use hyper::header::HeaderValue;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

/// What is not counted at the start of each run: connections are opened, pools fill.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// Signatures made beforehand for each second. A faster server has the rest signed while it is measured.
const PREPARED_A_SECOND: u64 = 40_000;

/// One thread of the generator for so many processors, so that it leaves the others to the server.
const PROCESSORS_A_THREAD: usize = 4;

/// How long a connection that failed waits before the next one.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// How long the last answers may take after the end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Whom to saturate, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: usize,
    /// Counted time, after the warm-up.
    pub(crate) counted: Duration,
}

/// What came back in the counted time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acks {
    /// Time to each 200, in microseconds, sorted.
    latencies: Vec<u32>,
    /// Other statuses.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Connections that failed.
    pub(crate) broken: u64,
    counted: Duration,
}

impl Acks {
    pub(crate) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds fits a float")]
        let count = self.latencies.len() as f64;
        count / self.counted.as_secs_f64()
    }

    /// The time under which `percent` of the acknowledgements stay.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = (self.latencies.len() * percent).div_ceil(100).saturating_sub(1);
        Duration::from_micros(self.latencies.get(at).copied().unwrap_or_default().into())
    }

    pub(crate) fn errors(&self) -> u64 {
        self.broken + self.refused.values().sum::<u64>()
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.broken += other.broken;
    }
}

/// How many messages to sign for a run of so many seconds.
pub(crate) fn to_prepare(counted: Duration) -> u64 {
    (counted + WARM_UP).as_secs() * PREPARED_A_SECOND
}

/// Posts the volley from its first message on, for the warm-up and the counted time.
pub(crate) async fn saturate(load: Load, volley: &Arc<Volley>) -> Result<Acks> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (processors / PROCESSORS_A_THREAD).clamp(1, load.connections);
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut parts = Vec::with_capacity(threads);
    for thread in 0..threads {
        let share = load.connections / threads + usize::from(thread < load.connections % threads);
        let gun = Gun { load, volley: volley.clone(), next: next.clone(), start };
        let (done, part) = oneshot::channel();
        // A runtime of its own: one thread, nothing to share, nothing to steal.
        std::thread::spawn(move || {
            let _ = done.send(fire(&gun, share));
        });
        parts.push(part);
    }
    let mut all = Acks { counted: load.counted, ..Acks::default() };
    let limit = start + WARM_UP + load.counted + ANSWER_TIMEOUT;
    for part in parts {
        let part = timeout_at(limit.into(), part).await.context("the server does not answer any more")?;
        all.add(part.context("a thread of the load generator died")??);
    }
    all.latencies.sort_unstable();
    Ok(all)
}

#[derive(Clone)]
struct Gun {
    load: Load,
    volley: Arc<Volley>,
    next: Arc<AtomicU64>,
    start: Instant,
}

fn fire(gun: &Gun, connections: usize) -> Result<Acks> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..connections {
            running.spawn(gun.clone().connection());
        }
        let mut all = Acks::default();
        while let Some(part) = running.join_next().await {
            all.add(part??);
        }
        Ok(all)
    })
}

impl Gun {
    async fn connection(self) -> Result<Acks> {
        let counted_from = self.start + WARM_UP;
        let end = counted_from + self.load.counted;
        let mut acks = Acks::default();
        let host = HeaderValue::try_from(self.load.addr.to_string())?;
        while Instant::now() < end {
            let Ok(mut connection) = Connection::open(self.load.addr).await else {
                acks.broken += 1;
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            };
            loop {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let request = self.volley.request(&host, number)?;
                let sent = Instant::now();
                let answer = connection.exchange(request).await.map(|(status, _)| status);
                let now = Instant::now();
                if now >= end {
                    return Ok(acks);
                }
                match answer {
                    _ if now < counted_from => {}
                    Ok(200) => {
                        let took = u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX);
                        acks.latencies.push(took);
                    }
                    Ok(status) => *acks.refused.entry(status).or_default() += 1,
                    Err(_) => acks.broken += 1,
                }
                if answer.is_err() {
                    tokio::time::sleep(AFTER_FAILURE).await;
                    break;
                }
            }
        }
        Ok(acks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rates() {
        let acks =
            Acks { latencies: (1..=200).collect(), counted: Duration::from_secs(2), ..Acks::default() };
        assert!((acks.per_second() - 100.0).abs() < f64::EPSILON);
        assert_eq!(acks.percentile(50), Duration::from_micros(100));
        assert_eq!(acks.percentile(99), Duration::from_micros(198));
        assert_eq!(Acks::default().percentile(99), Duration::ZERO);
    }
}
