//! `admin agents`: which subaccount may use which agent.

use super::common::{EXIT_CODES, Listing, operator, subaccount};
use super::output::{self, Table, print};
use super::times;
use anyhow::bail;
use clap::{Args, Subcommand};
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_store::{Bound, Released, Store};
use serde::Serialize;

/// Assign agents to subaccounts.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// List agents and the subaccounts they belong to.
    List(List),
    /// Assign an agent to a subaccount, whose callers may then connect accounts to it.
    #[command(after_help = EXIT_CODES)]
    Assign {
        /// The agent, as Retell names it.
        #[arg(value_parser = agent)]
        agent: AgentId,
        /// The subaccount.
        #[arg(value_parser = subaccount)]
        subaccount: SubaccountId,
    },
    /// Release an agent: it belongs to nobody then. Its accounts must be disconnected first.
    #[command(after_help = EXIT_CODES)]
    Release {
        /// The agent, as Retell names it.
        #[arg(value_parser = agent)]
        agent: AgentId,
    },
}

/// Which agents to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct List {
    /// Only agents of this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    #[command(flatten)]
    listing: Listing,
}

/// An agent as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    agent_id: String,
    subaccount_id: String,
    assigned_at: String,
}

pub(crate) fn agent(text: &str) -> Result<AgentId, String> {
    AgentId::parse(text).map_err(|err| err.to_string())
}

impl Agents {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Assign { agent, subaccount } => assign(store, agent, subaccount).await,
            Self::Release { agent } => release(store, agent).await,
        }
    }
}

impl List {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let rows = store.agents(self.subaccount.as_ref(), self.listing.limit).await?;
        let views = rows.iter().map(|row| View {
            agent_id: row.id.clone(),
            subaccount_id: row.subaccount_id.clone(),
            assigned_at: times::shown(row.created_at),
        });
        if self.listing.json {
            return output::print_json(&views.collect::<Vec<_>>());
        }
        let mut table = Table::new(&["AGENT", "SUBACCOUNT", "SINCE"]);
        for view in views {
            table.row([view.agent_id, view.subaccount_id, view.assigned_at]);
        }
        table.print("no agents")?;
        Ok(output::print_if_cut(rows.len(), self.listing.limit)?)
    }
}

async fn assign(store: &Store, agent: &AgentId, subaccount: &SubaccountId) -> anyhow::Result<()> {
    let tx = store.begin().await?;
    let bound = tx.bind_agent(agent, subaccount, &operator()).await?;
    if let Bound::Elsewhere(owner) = bound {
        bail!("the agent {agent} belongs to the subaccount {owner}; release it there first");
    }
    tx.commit().await?;
    let already = if bound == Bound::Before { " already" } else { "" };
    Ok(print(format!("the agent {agent} is{already} assigned to {subaccount}"))?)
}

async fn release(store: &Store, agent: &AgentId) -> anyhow::Result<()> {
    let tx = store.begin().await?;
    match tx.release_agent(agent, None, &operator()).await? {
        Released::From(subaccount) => {
            tx.commit().await?;
            Ok(print(format!("the agent {agent} no longer belongs to {subaccount}"))?)
        }
        Released::Nobodys => bail!("the agent {agent} belongs to no subaccount"),
        Released::InUse(accounts) => {
            bail!("the agent {agent} answers for {accounts} connected accounts; disconnect them first")
        }
    }
}
