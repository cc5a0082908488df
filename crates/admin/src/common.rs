//! What the commands have in common.

use anyhow::Context as _;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::Store;

/// Who has done it, in the activity log.
pub(crate) const ACTOR: &str = "command line";

/// The most rows that are listed, unless asked; and at all.
pub(crate) const LIMIT: u64 = 50;
pub(crate) const LIMIT_MAX: u64 = 100_000;

/// How the commands end; a part of their help.
pub const EXIT_CODES: &str = "Exit codes:
  0  done
  1  not done, or not all of it; what and why is printed
  2  the command line cannot be read";

/// Reads a subaccount's id.
pub(crate) fn subaccount(text: &str) -> Result<SubaccountId, String> {
    SubaccountId::parse(text).map_err(|err| err.to_string())
}

/// The database's clock: what is stored with a time has its time.
pub(crate) async fn now(store: &Store) -> anyhow::Result<i64> {
    store.now().await.context("the database's clock cannot be read")
}
