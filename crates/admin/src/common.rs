//! Shared parts of the commands.

use anyhow::Context as _;
use clap::Args;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{InstagramUserId, SubaccountId};
use dmrelay_domain::states::ActivityKind;
use dmrelay_store::{Activity, Connection, Store};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Who runs the command, for the activity log: the user who logged in to this machine, also behind `sudo`
/// (proc_pid_loginuid(5)); else the user of the process.
pub(crate) fn operator() -> Actor {
    let id = login_uid().or_else(|| fs::metadata("/proc/self").map(|of| of.uid()).ok());
    let user = match id {
        Some(id) => name_of(id).unwrap_or_else(|| id.to_string()),
        None => "unknown".to_owned(),
    };
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Actor::new("command line", format!("os:{user}@{}", host.trim()))
}

fn login_uid() -> Option<u32> {
    let id: u32 = fs::read_to_string("/proc/self/loginuid").ok()?.trim().parse().ok()?;
    (id != u32::MAX).then_some(id)
}

/// The name in `/etc/passwd`, whose lines are `name:password:uid:…` (passwd(5)).
fn name_of(id: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut users = users.lines().map(|line| line.split(':'));
    users.find_map(|mut user| {
        let name = user.next()?;
        (user.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

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

/// Records that the operator reads what a customer wrote, before it is shown.
pub(crate) async fn record_reading(
    store: &Store,
    connection: &Connection,
    command: &str,
    subject: &impl ToString,
) -> anyhow::Result<()> {
    let activity = Activity::of_connection(connection, ActivityKind::CustomerTextRead, operator())
        .about(subject)
        .with("command", command);
    let tx = store.begin().await?;
    tx.record(&activity).await?;
    Ok(tx.commit().await?)
}

/// Parses a subaccount id.
pub(crate) fn subaccount(text: &str) -> Result<SubaccountId, String> {
    SubaccountId::parse(text).map_err(|err| err.to_string())
}

/// Parses a customer's id.
pub(crate) fn user(text: &str) -> Result<InstagramUserId, String> {
    InstagramUserId::parse(text).map_err(|err| err.to_string())
}

/// The database's clock, which stored times refer to.
pub(crate) async fn now(store: &Store) -> anyhow::Result<i64> {
    store.now().await.context("cannot read the database's clock")
}
