//! The payload apalis carries for us.

use crate::{Job, QueueName};
use apalis::prelude::Codec;
use std::convert::Infallible;

/// The bytes of a job, decoded by the lane instead of apalis: apalis-redis 1.0.0 ends the worker on an
/// undecodable payload, which the lane can simply drop because SQL is the source of truth.
#[derive(Clone, Debug)]
pub(super) struct Payload(Vec<u8>);

impl Payload {
    pub(super) fn encode(job: &Job) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(job)
    }

    /// The job, if the payload is one. Its queue is the one it came from, whatever the payload says.
    pub(super) fn decode(&self, queue: QueueName) -> Option<Job> {
        let job: Job = serde_json::from_slice(&self.0).ok()?;
        Some(Job { queue, ..job })
    }
}

/// The bytes unchanged; cannot fail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsItIs;

impl Codec<Payload> for AsItIs {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, payload: &Payload) -> Result<Vec<u8>, Infallible> {
        Ok(payload.0.clone())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Payload, Infallible> {
        Ok(Payload(bytes.clone()))
    }
}
