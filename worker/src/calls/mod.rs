//! The outgoing calls of a conversation, and recording of their outcomes.

pub(crate) mod agent;
pub(crate) mod courtesy;
pub(crate) mod graph;
