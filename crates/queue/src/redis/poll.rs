//! The polling clock of an idle lane.

use apalis::prelude::{PollSnapshot, PollStrategy};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Interval, MissedTickBehavior};

/// Wakes the worker at a fixed interval.
///
/// The interval of apalis 1.0.0 creates a new timer when it has fired, but does not poll it: nothing wakes
/// the worker then, and if that fetch finds nothing, the lane sleeps until the next heartbeat. Without any
/// strategy it polls only at heartbeats. This strategy polls the rearmed timer, so that a waiting worker
/// always has an armed timer.
#[derive(Debug)]
pub(super) struct SteadyBeat(Interval);

impl SteadyBeat {
    pub(super) fn new(every: Duration) -> Self {
        let mut interval = tokio::time::interval(every.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(interval)
    }
}

impl PollStrategy for SteadyBeat {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut beat = Poll::Pending;
        // Invariant: the last poll of the timer was pending, so it holds our waker.
        while self.0.poll_tick(cx).is_ready() {
            beat = Poll::Ready(Some(()));
        }
        beat
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::{ArcWake, waker};
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    struct Wakes(AtomicUsize);

    impl ArcWake for Wakes {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_tick_arms_the_next() {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = waker(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        let mut strategy = SteadyBeat::new(Duration::from_millis(10));
        for beat in 0..100 {
            assert!(strategy.poll_drive(&mut cx, &PollSnapshot::new()).is_ready());
            assert_eq!(wakes.0.load(Ordering::SeqCst), beat);
            tokio::time::sleep(Duration::from_millis(11)).await;
        }
    }
}
