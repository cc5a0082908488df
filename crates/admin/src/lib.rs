//! The operator's commands: done at the command line, on the whole installation, with nothing but its settings. What
//! they print goes to standard output, and logs to standard error.

mod after_restore;
mod common;
mod connections;
mod dead_letters;
mod doctor;
mod keys;
mod migrate;
mod output;
mod reseal;
mod settings;
mod timeline;
mod times;

use anyhow::anyhow;
use clap::Subcommand;
use dmrelay_runtime::logs;

pub use common::EXIT_CODES;
pub use migrate::migrate;
pub use settings::{ApiChecks, Settings};

use after_restore::AfterRestore;
use connections::Connections;
use dead_letters::DeadLetters;
use doctor::Doctor;
use keys::Keys;
use migrate::Migrate;
use reseal::Reseal;
use timeline::Timeline;

/// What an operator does to an installation.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Bring the database's schema up to date, or show how far it is.
    Migrate(Migrate),
    /// API keys, of all subaccounts.
    #[command(subcommand)]
    Keys(Keys),
    /// Seal every stored secret with the first of ENCRYPTION_KEYS, while everything runs.
    ///
    /// To change the key: add the new one at the end of ENCRYPTION_KEYS of every process, and restart them; put it
    /// first everywhere, and restart them again; then run this; and remove the old one once this says so.
    Reseal(Reseal),
    /// Take nothing that waits for not having happened. Once after a restore, before any worker runs.
    ///
    /// What waited when the backup was taken may have been sent or asked since: each message is looked for in the
    /// Instagram conversation, and each question in the agent's chat, before it is sent or asked.
    AfterRestore(AfterRestore),
    /// What failed for good: look at it, try it again, or leave it at that.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// The connected accounts, how they are, and what waits.
    Connections(Connections),
    /// What happened in one conversation, step by step.
    ///
    /// The newest messages and turns, the dead letters, and what befell the account meanwhile, of which the newest
    /// 100,000 entries of the subaccount's log in that time are looked at.
    Timeline(Timeline),
    /// Check the settings and everything dmrelay depends on.
    ///
    /// One line for each check says `ok`, `warn` or `FAIL`, and what to do about it. Nothing is changed. Run it with
    /// the settings of the API and, so that Retell is checked too, with those of the worker.
    Doctor(Doctor),
}

/// Runs a command.
///
/// # Errors
/// What could not be done.
pub async fn run(command: &Admin, settings: &Settings<'_>) -> anyhow::Result<()> {
    let outcome = begin(command, settings).await;
    logs::flush().await;
    outcome
}

async fn begin(command: &Admin, settings: &Settings<'_>) -> anyhow::Result<()> {
    let logging = logs::init(settings.logs, "dmrelay-api").map_err(|err| anyhow!(err));
    if let Admin::Doctor(doctor) = command {
        return doctor.run(settings, logging).await;
    }
    logging?;
    if let Admin::Migrate(command) = command {
        return command.run(settings.database).await;
    }
    let store = Box::pin(dmrelay_app::open_store(settings.database)).await?;
    dmrelay_app::require_schema(&store).await?;
    match command {
        Admin::Keys(keys) => keys.run(&store).await,
        Admin::AfterRestore(after_restore) => after_restore.run(&store).await,
        Admin::Reseal(reseal) => reseal.run(&store, settings.vault).await,
        Admin::DeadLetters(letters) => letters.run(&store).await,
        Admin::Connections(connections) => connections.run(&store).await,
        Admin::Timeline(timeline) => timeline.run(&store).await,
        Admin::Migrate(_) | Admin::Doctor(_) => Ok(()),
    }
}
