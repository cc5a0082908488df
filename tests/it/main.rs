//! The integration tests: one binary.

mod queue;
