//! The connector to Meta's Graph API, for both of its logins: accounts, subscriptions, sending, profiles, and
//! Meta's copy of the conversation; and the links and QR codes that lead customers to an account.

mod account;
mod comment;
mod error;
mod graph;
mod history;
mod inbox_profile;
pub mod links;
mod oauth;
mod probe;
mod routing;
mod send;
mod thread;
mod token;
mod upload;

pub use account::{Account, Profile};
pub use comment::Accepted;
pub use error::GraphError;
pub use graph::{Access, Graph, GraphOptions};
pub use history::{Kept, ListPage, Listed};
pub use inbox_profile::{IceBreakers, InboxProfile, Menu, MenuItem};
pub use oauth::{Grant, Login, LoginHosts, MetaApp, Page, needed_permissions, used_permissions};
pub use probe::TokenFacts;
pub use routing::{INSTAGRAM_INBOX, PAGE_INBOX, ThreadControl, ThreadOwner};
pub use send::{SenderAction, Sending};
pub use token::Refreshed;
pub use upload::File;
