//! How many lists of one subaccount are read at a time: whoever reads much waits for themselves, and not others for them.

use crate::problem::Problem;
use axum::http::StatusCode;
use dmrelay_domain::ids::SubaccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a list waits for those before it.
const WAIT: Duration = Duration::from_secs(2);

/// The number of subaccounts from which those without readers are forgotten.
const KEPT: usize = 1_000;

/// The permits of each subaccount; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    most: usize,
    of: Arc<Mutex<HashMap<SubaccountId, Arc<Semaphore>>>>,
}

impl Readers {
    /// At most so many at a time of one subaccount.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, of: Arc::default() }
    }

    /// A permit to read a list of this subaccount.
    ///
    /// # Errors
    /// 429 if others of the subaccount read for too long.
    pub(crate) async fn permit(&self, subaccount: &SubaccountId) -> Result<OwnedSemaphorePermit, Problem> {
        let permits = self.of(subaccount);
        if let Ok(Ok(permit)) = tokio::time::timeout(WAIT, permits.acquire_owned()).await {
            return Ok(permit);
        }
        let title = "Too many lists of this subaccount are read at once";
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-readers", title).retry_after(1))
    }

    /// Reads something under a permit, however long it waits for it.
    pub(crate) async fn patient<T>(&self, subaccount: &SubaccountId, reading: impl Future<Output = T>) -> T {
        // The semaphore is never closed.
        let _permit = self.of(subaccount).acquire_owned().await;
        reading.await
    }

    fn of(&self, subaccount: &SubaccountId) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= KEPT {
            of.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        of.entry(subaccount.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone()
    }
}
