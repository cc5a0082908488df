//! Shared state of all parts of the simulator: the world, its clock, its watchers, and its tasks.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::Response;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::faults;
use crate::settings::Settings;
use crate::webhook::Courier;
use crate::world::World;

/// The core of a running simulator.
#[derive(Debug)]
pub(crate) struct Core {
    world: Mutex<World>,
    /// Counts changes of the world.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) clock: Clock,
    pub(crate) courier: Courier,
    tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// `http://ADDR`.
    pub(crate) base_url: String,
}

impl Core {
    pub(crate) fn new(settings: Settings, base_url: String) -> reqwest::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            courier: Courier::new(settings.webhooks.concurrency)?,
            world: Mutex::new(World::new(settings)),
            changes: watch::Sender::new(0),
            clock: Clock::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            base_url,
        }))
    }

    /// The address of a medium, as Meta's look.
    pub(crate) fn medium_url(&self, name: &str) -> String {
        format!("{}/cdn/ig_messaging_cdn/?asset_id={name}&signature=simulated", self.base_url)
    }

    /// Reads the world.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&World) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the world, and wakes whatever waits for a condition.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let result = change(&mut self.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Runs a task until it ends or the simulator stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Runs a call to its end even if the caller hangs up, like a real server. Stopping the simulator during
    /// the call drops the connection.
    pub(crate) async fn see_through(
        &self,
        call: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            // The caller may be gone.
            let _ = answer.send(call.await);
        });
        answered.await.unwrap_or_else(|_| faults::dropped_connection())
    }

    /// Ends all tasks.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.is_err() {
            tracing::warn!("simulator tasks did not end in time");
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
