//! What can be done and seen, for the REST API and the console alike: the layer below both. Whoever calls has checked the permission.

pub(crate) mod broadcasts;
pub(crate) mod chats;
pub(crate) mod comments;
pub(crate) mod connections;
pub(crate) mod failures;
pub(crate) mod inbox_profile;
pub(crate) mod keys;
pub(crate) mod media;
pub(crate) mod overview;
pub(crate) mod qr;
pub(crate) mod reactions;
pub(crate) mod read;
pub(crate) mod remote;
pub(crate) mod send;
pub(crate) mod takeover;
pub(crate) mod targets;
pub(crate) mod templates;
pub(crate) mod thread;
pub(crate) mod triage;
pub(crate) mod uploads;
