//! `admin doctor`: whether an installation is ready for production. Every check has a timeout, and the checks
//! continue after a failure; none prints a secret.

mod address;
mod answering;
mod database;
mod queue;
mod report;
mod running;
mod secrets;
mod services;

use crate::settings::Settings;
use anyhow::ensure;
use dmrelay_app::CONNECT_TIMEOUT;
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_runtime::settings::AgentSettings;
use report::Report;
use std::sync::Arc;

/// Options of the checks.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::common::EXIT_CODES)]
pub struct Doctor {
    /// Perform Meta's verification handshake with PUBLIC_URL from here. The API must be running.
    #[arg(long)]
    callback: bool,
    /// Ask Graph whether the token of each connected account is valid, for at most N accounts (20).
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "20",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    accounts: Option<u16>,
    /// Ask the agents of connected accounts a question each, for at most N agents (3). Each question is billed.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3",
        value_parser = clap::value_parser!(u16).range(1..=100))]
    ask: Option<u16>,
    /// The question.
    #[arg(long, default_value = "ping", requires = "ask")]
    question: String,
    /// Use the settings of the dmrelay-api and dmrelay-worker that run on this machine, or of one process, instead of this shell's.
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true, default_missing_value = "own")]
    from_running: Option<running::Which>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Retell.
    #[command(flatten)]
    agent: AgentSettings,
}

impl Doctor {
    pub(super) async fn run(
        &self,
        settings: &Settings<'_>,
        logging: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if let Some(which) = self.from_running {
            return running::examine(which);
        }
        let mut report = Report::new(!self.json);
        report.judge("logs", logging.map(|()| format!("as RUST_LOG says: {}", settings.logs.rust_log)));
        let client = client();
        let vault = secrets::check(settings, client.as_ref().ok(), &mut report);
        address::check_form(&settings.api.public_url, &mut report);
        let store = database::check(settings.database, vault.as_ref(), &mut report).await;
        if let Some(store) = &store {
            Box::pin(answering::check(store, &mut report)).await;
        }
        queue::check(settings.queue, &mut report).await;
        match client {
            Err(err) => report.fail("http", err),
            Ok(client) => {
                let services = services::Services { settings, client: &client, store: store.as_ref() };
                services.check_graph(&mut report).await;
                services.check_jwks(&mut report).await;
                services.check_retell(&self.agent, &mut report).await;
                if let Some(most) = self.ask {
                    let ask = services::Asking { most, text: self.question.clone() };
                    services.ask_agents(&self.agent, &ask, &mut report).await;
                }
                if let Some(most) = self.accounts {
                    services.check_accounts(vault.as_ref(), most, &mut report).await;
                }
                if self.callback {
                    address::check_callback(settings, &client, &mut report).await;
                }
            }
        }
        self.conclude(&report)
    }

    fn conclude(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            super::output::print_json(&report.findings())?;
        } else {
            super::output::print(report.summary())?;
        }
        let failed = report.failed();
        ensure!(failed == 0, "{failed} checks failed");
        Ok(())
    }
}

fn client() -> Result<Client, String> {
    let metrics = Metrics::new(Process::Command).map_err(|err| err.to_string())?;
    Client::new(CONNECT_TIMEOUT, Arc::new(metrics))
}
