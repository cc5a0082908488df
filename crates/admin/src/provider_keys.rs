//! `admin provider-keys`: the keys that subaccounts have of their own at the agent's provider.

use super::common::{EXIT_CODES, Listing, operator, subaccount};
use super::output::{self, Table, print};
use super::{Settings, times};
use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use dmrelay_agent::{AgentCheck, check_agent};
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_store::Store;
use dmrelay_vault::{Place, Vault};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// Manage the keys that subaccounts have of their own at Retell.
#[derive(Debug, Subcommand)]
pub enum ProviderKeys {
    /// List the subaccounts that have one. Keys are never shown.
    List(List),
    /// Store the key of a subaccount, after Retell has shown each of its agents for it.
    #[command(after_help = EXIT_CODES)]
    Set {
        /// The subaccount.
        #[arg(value_parser = subaccount)]
        subaccount: SubaccountId,
        /// The file with the key.
        #[arg(long)]
        file: PathBuf,
    },
    /// Remove the key of a subaccount: its agents are asked with RETELL_API_KEY then.
    #[command(after_help = EXIT_CODES)]
    Remove {
        /// The subaccount.
        #[arg(value_parser = subaccount)]
        subaccount: SubaccountId,
    },
}

/// Which to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct List {
    #[command(flatten)]
    listing: Listing,
}

/// A key as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    subaccount_id: String,
    updated_at: String,
}

impl ProviderKeys {
    pub(super) async fn run(&self, store: &Store, settings: &Settings<'_>) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Set { subaccount, file } => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("--file: cannot read {}", file.display()))?;
                let key = Secret::new(text.trim().to_owned());
                ensure!(!key.expose().is_empty(), "--file: {} is empty", file.display());
                set(store, settings, subaccount, &key).await
            }
            Self::Remove { subaccount } => {
                ensure!(
                    store.delete_provider_key(subaccount, &operator()).await?,
                    "{subaccount} has no key of its own"
                );
                Ok(print(format!("{subaccount} has no key of its own any more"))?)
            }
        }
    }
}

impl List {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let rows = store.provider_keys(self.listing.limit).await?;
        let views = rows.iter().map(|row| View {
            subaccount_id: row.subaccount_id.clone(),
            updated_at: times::shown(row.updated_at),
        });
        if self.listing.json {
            return output::print_json(&views.collect::<Vec<_>>());
        }
        let mut table = Table::new(&["SUBACCOUNT", "SINCE"]);
        for view in views {
            table.row([view.subaccount_id, view.updated_at]);
        }
        table.print("no subaccount has a key of its own")?;
        Ok(output::print_if_cut(rows.len(), self.listing.limit)?)
    }
}

async fn set(
    store: &Store,
    settings: &Settings<'_>,
    subaccount: &SubaccountId,
    key: &Secret<String>,
) -> anyhow::Result<()> {
    let vault = Vault::parse(&settings.vault.keys.require()?)?;
    let metrics = Metrics::new(Process::Command)?;
    let client = Client::new(dmrelay_app::CONNECT_TIMEOUT, Arc::new(metrics)).map_err(|err| anyhow!(err))?;
    let connections = store.connections(subaccount, None).await?;
    let live = connections.into_iter().filter(|one| one.status != ConnectionStatus::Disconnected);
    let agents: BTreeSet<AgentId> = live.map(|one| one.agent).collect();
    for agent in &agents {
        match check_agent(&client, &settings.provider.retell_url, key, agent).await {
            AgentCheck::Own => {}
            AgentCheck::Unknown => bail!("the agent {agent} is not of the key's workspace"),
            AgentCheck::KeyRefused => bail!("Retell does not accept the key"),
            AgentCheck::Unavailable(why) => bail!("Retell cannot tell now: {why}"),
        }
    }
    let id = Uuid::now_v7();
    let place = Place { table: "provider_keys", column: "key", row: id };
    store.put_provider_key(subaccount, (id, vault.seal(place, key.expose().as_bytes())), &operator()).await?;
    Ok(print(format!("{subaccount} asks its {} agents with its own key", agents.len()))?)
}
