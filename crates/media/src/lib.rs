//! What customers send besides text: fetched from Meta once, since the links expire, checked, and kept in a store.

mod fetch;
mod kind;
mod store;
mod thumbnail;
mod understand;

pub use fetch::{Fetched, Fetcher, NotFetched};
pub use kind::{ContentType, kind_of};
pub use store::{Content, Storage, StoreError};
pub use thumbnail::thumbnail_in_turn;
pub use understand::{Interpreter, NotUnderstood, Words};
