//! Webhooks as Meta sends them: updates, their exact bytes and signatures, and persistent delivery.

mod delivery;
mod encode;
mod extra;
mod sha1;
mod update;

pub use delivery::ReleaseOrder;
pub(crate) use delivery::{Courier, dispatch, release, target_of};
pub(crate) use encode::proof;
pub use extra::{Handshake, RawWebhook, SentRaw, Signing};
pub(crate) use extra::{dashboard_test, handshake, send_raw};
pub(crate) use update::{Item, Place, Update};
