//! Shared parts of the commands.

use anyhow::Context as _;
use clap::Args;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::Store;

/// The actor in the activity log.
pub(crate) const ACTOR: &str = "command line";

/// Default and maximum number of listed rows.
pub(crate) const LIMIT: u64 = 50;
pub(crate) const LIMIT_MAX: u64 = 100_000;

/// How much a list shows, and in which form.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Maximum number to list.
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u64).range(1..=LIMIT_MAX))]
    pub(crate) limit: u64,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The exit codes, as part of the help.
pub const EXIT_CODES: &str = "Exit codes:
  0  done
  1  not done, or not all of it; what and why is printed
  2  the command line is invalid";

/// Parses a subaccount id.
pub(crate) fn subaccount(text: &str) -> Result<SubaccountId, String> {
    SubaccountId::parse(text).map_err(|err| err.to_string())
}

/// The database's clock, which stored times refer to.
pub(crate) async fn now(store: &Store) -> anyhow::Result<i64> {
    store.now().await.context("cannot read the database's clock")
}
