#![allow(missing_docs)]
extern crate self as dmrelay_tests;
#[path = "../../../tests/it/queue.rs"]
mod queue;
#[path = "../../../tests/src/redis.rs"]
pub mod redis;
