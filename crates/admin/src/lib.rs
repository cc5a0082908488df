//! The operator's commands, run on the command line for the whole installation, with only its settings. Their
//! output goes to standard output, logs to standard error.

mod after_restore;
mod agents;
mod breakers;
mod chats;
mod common;
mod connections;
mod dead_letters;
mod doctor;
mod erase;
mod events;
mod keys;
mod migrate;
mod notifications;
mod output;
mod pauses;
mod provider_keys;
mod reseal;
mod settings;
mod status;
mod timeline;
mod times;
mod token;
mod usage;

use anyhow::anyhow;
use clap::Subcommand;
use dmrelay_runtime::logs;

pub use common::EXIT_CODES;
pub use migrate::migrate;
pub use settings::{ApiChecks, Settings};

use after_restore::AfterRestore;
use agents::Agents;
use breakers::Breakers;
use chats::Chats;
use connections::Connections;
use dead_letters::DeadLetters;
use doctor::Doctor;
use erase::{Erase, Erasures};
use events::Events;
use keys::Keys;
use migrate::Migrate;
use notifications::Notifications;
use pauses::{PauseCalls, Pauses, ResumeCalls};
use provider_keys::ProviderKeys;
use reseal::Reseal;
use status::Status;
use timeline::Timeline;
use token::Token;
use usage::Usage;

/// Administer an installation.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Apply pending database migrations, or list them.
    Migrate(Migrate),
    /// Manage API keys of all subaccounts.
    #[command(subcommand)]
    Keys(Keys),
    /// Create a short-lived token, to look at a subaccount as its people do. Prints only the token; it is shown only once.
    Token(Token),
    /// Assign agents to subaccounts, release and list them.
    #[command(subcommand)]
    Agents(Agents),
    /// Manage the keys that subaccounts have of their own at Retell.
    #[command(subcommand)]
    ProviderKeys(ProviderKeys),
    /// Re-encrypt all stored secrets with the first of ENCRYPTION_KEYS, while everything keeps running.
    ///
    /// To rotate the key: append the new key to ENCRYPTION_KEYS of every process and reload (SIGHUP, or a restart); put it
    /// first everywhere and reload again; run this command; remove the old key once the output says so.
    Reseal(Reseal),
    /// Mark pending sends and questions as unknown so that each is reconciled before a retry. Run once after
    /// a restore, before any worker starts.
    ///
    /// Work that was waiting when the backup was taken may have happened since: each message is looked up in
    /// the Instagram conversation, and each question in the agent chat, before it is sent or asked.
    AfterRestore(AfterRestore),
    /// Manage dead letters: show, replay or discard what failed permanently.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Look at what Meta's webhooks brought and was not understood, or failed.
    #[command(subcommand)]
    Events(Events),
    /// Erase a customer, an account or a whole subaccount.
    ///
    /// A customer is erased at once; an account and a subaccount by a worker, conversation by conversation, after they are
    /// disconnected. Chats at the agent's provider are deleted too.
    Erase(Erase),
    /// List requests to erase accounts and subaccounts, those of Meta's callbacks too.
    Erasures(Erasures),
    /// Show on one screen whether customers are answered, and what keeps them waiting.
    Status(Status),
    /// List, open and close circuit breakers.
    #[command(subcommand)]
    Breakers(Breakers),
    /// Pause questions to the agent, sends, or both: of all accounts, a subaccount, or an account.
    ///
    /// Webhooks are still received and messages stored. What waits is done when the calls are resumed, unless Meta's
    /// window for an answer (24 hours) is over by then.
    Pause(PauseCalls),
    /// Resume what `admin pause` has paused.
    Resume(ResumeCalls),
    /// List pauses with their start, end, author and reason.
    Pauses(Pauses),
    /// Manage who is notified of incidents, and see what they were told.
    #[command(subcommand)]
    Notifications(Notifications),
    /// List connected accounts, their state, and their pending work.
    Connections(Connections),
    /// Find conversations by the customer's handle, name or id, in all subaccounts.
    Chats(Chats),
    /// Show messages, turns and questions by account and day.
    Usage(Usage),
    /// Show the timeline of one conversation.
    ///
    /// Includes the newest messages and turns, the dead letters, and the events of the account in that time,
    /// of which the newest 100,000 entries of the subaccount's activity log are searched.
    Timeline(Timeline),
    /// Check the settings and all dependencies.
    ///
    /// Prints one line per check with `ok`, `warn` or `FAIL`, and what to do about it. Changes nothing. Run
    /// it with the API's settings and, to check Retell too, with those of the worker.
    Doctor(Doctor),
}

/// Runs a command.
///
/// # Errors
/// Why the command failed.
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
    let store = Box::pin(dmrelay_app::open_store(settings.database)).await?.patient();
    dmrelay_app::require_schema(&store).await?;
    match command {
        Admin::Keys(keys) => keys.run(&store).await,
        Admin::Token(token) => token.run(&store).await,
        Admin::Agents(agents) => agents.run(&store).await,
        Admin::ProviderKeys(keys) => keys.run(&store, settings).await,
        Admin::AfterRestore(after_restore) => after_restore.run(&store).await,
        Admin::Reseal(reseal) => reseal.run(&store, settings.vault).await,
        Admin::DeadLetters(letters) => letters.run(&store).await,
        Admin::Events(events) => events.run(&store).await,
        Admin::Erase(erase) => erase.run(&store).await,
        Admin::Erasures(erasures) => erasures.run(&store).await,
        Admin::Status(status) => status.run(&store).await,
        Admin::Breakers(breakers) => breakers.run(&store).await,
        Admin::Pause(pause) => pause.run(&store).await,
        Admin::Resume(resume) => resume.run(&store).await,
        Admin::Pauses(pauses) => pauses.run(&store).await,
        Admin::Notifications(notifications) => notifications.run(&store, settings).await,
        Admin::Connections(connections) => connections.run(&store).await,
        Admin::Chats(chats) => chats.run(&store).await,
        Admin::Usage(usage) => usage.run(&store).await,
        Admin::Timeline(timeline) => timeline.run(&store).await,
        Admin::Migrate(_) | Admin::Doctor(_) => Ok(()),
    }
}
