//! The calls that a conversation makes, and recording what they bring.

pub(crate) mod agent;
pub(crate) mod courtesy;
pub(crate) mod graph;
