//! The rules of dmrelay, without I/O: what an event is, what a failure means, when a reply may be sent.
//!
//! Everything here is a pure function or a plain type, so that every decision can be read and tested in one
//! place. The only exception is [`clock::SystemClock`], the single place that reads the time.

pub mod actor;
pub mod api_key;
pub mod clock;
#[cfg(feature = "sea-orm")]
mod column;
pub mod conversation;
pub mod current;
pub mod directive;
pub mod event;
pub mod failure;
pub mod ids;
pub mod json;
pub mod markdown;
pub mod media;
pub mod message;
pub mod notification;
pub mod outgoing;
pub mod permission;
pub mod retry;
pub mod secret;
pub mod settings;
pub mod signature;
pub mod signed_request;
pub mod silence;
pub mod split;
pub mod states;
pub mod text;
pub mod trace;
pub mod window;
