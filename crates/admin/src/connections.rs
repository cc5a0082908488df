//! `admin connections`: connected accounts, their state, and their pending work.

use super::agents::agent;
use super::common::{EXIT_CODES, LIMIT_MAX, now, operator, subaccount};
use super::output::{self, OfSubaccount, Table, or_nothing};
use super::times;
use anyhow::bail;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::Provider;
use dmrelay_domain::ids::{AgentId, ConnectionId, SubaccountId};
use dmrelay_domain::states::{CheckState, ConnectionStatus};
use dmrelay_store::entity::connection_check;
use dmrelay_store::{Backlog, BreakerKey, BreakerRow, Connection, Moved, Store};
use dmrelay_views::{ConnectionView, HealthView, worst};
use serde::Serialize;

/// Which accounts to show, or what to do with one.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Connections {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListOptions,
}

/// What to do with an account.
#[derive(Debug, Subcommand)]
enum Action {
    /// Move an account to another subaccount, with its conversations, dead letters, usage and log. It stays connected: with a token of the
    /// operator's Meta app nothing changes at Meta. With an app secret of its own, change its callback URL in Meta's dashboard.
    #[command(after_help = EXIT_CODES)]
    Move {
        /// The id of the connection.
        #[arg(value_parser = connection_id)]
        connection: ConnectionId,
        /// The subaccount to move it to.
        #[arg(long, value_parser = subaccount)]
        to: SubaccountId,
        /// The agent that answers there, as Retell names it. It becomes that subaccount's, if it is nobody's.
        #[arg(long, value_parser = agent)]
        agent: AgentId,
    },
}

/// Which accounts to show.
#[derive(Debug, Args)]
struct ListOptions {
    /// Only accounts in this state; by default all except disconnected ones.
    #[arg(long, value_parser = PossibleValuesParser::new(ConnectionStatus::ALL.iter().map(|word| word.as_str())))]
    status: Option<String>,
    /// Only accounts of this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    /// Maximum number of accounts, newest first.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=LIMIT_MAX))]
    limit: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const DAY_MS: Millis = 86_400_000;

/// An account and its current state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    #[serde(flatten)]
    connection: OfSubaccount<'a, ConnectionView>,
    token_days_left: Option<i64>,
    last_event_age_seconds: Option<i64>,
    open_breakers: Vec<OpenBreaker<'a>>,
    queue: Queue,
    health: HealthView,
}

/// An open circuit breaker that holds the account back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenBreaker<'a> {
    breaker: &'a str,
    open_until: String,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Queue {
    turns_due: i64,
    chats_sending: i64,
}

fn connection_id(text: &str) -> Result<ConnectionId, String> {
    text.parse().map(ConnectionId).map_err(|_| "must be a UUID, as admin connections prints it".to_owned())
}

impl Connections {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match &self.action {
            None => self.list.run(store).await,
            Some(Action::Move { connection, to, agent }) => move_to(store, *connection, (to, agent)).await,
        }
    }
}

async fn move_to(
    store: &Store,
    id: ConnectionId,
    (to, agent): (&SubaccountId, &AgentId),
) -> anyhow::Result<()> {
    match store.move_connection(id, (to, agent), &operator()).await? {
        Moved::Now(connection) => {
            let name = connection.row.username.as_ref().map(|name| format!("@{name} ")).unwrap_or_default();
            output::print(format!("moved {name}{} to {to}, where {agent} answers", connection.account))?;
            Ok(())
        }
        Moved::AgentOfAnother(owner) => bail!("{agent} belongs to the subaccount {owner}: see admin agents"),
        Moved::NotInUse => bail!("the connection {id} is not in use: only a connected account can be moved"),
        Moved::Erasing => {
            bail!("the data of the account or of a subaccount is being erased: see admin erase list")
        }
        Moved::Gone => bail!("there is no connection {id}: see admin connections"),
    }
}

impl ListOptions {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let status = self.status.as_deref().and_then(ConnectionStatus::parse);
        let connections = store.connections_of_all(self.subaccount.as_ref(), status, self.limit).await?;
        let (breakers, backlogs) = (store.open_breaker_rows().await?, store.backlogs().await?);
        let ids: Vec<ConnectionId> = connections.iter().map(|connection| connection.id).collect();
        let checks = store.checks_among(&ids).await?;
        let (now, own_keys) = (now(store).await?, store.subaccounts_with_key().await?);
        let all: Vec<Account<'_>> = connections
            .iter()
            .map(|connection| Account {
                connection,
                checks: checks.iter().filter(|row| row.connection_id == connection.id).cloned().collect(),
                breakers: before(connection, &own_keys, &breakers),
                backlog: backlogs.get(&connection.id).copied().unwrap_or_default(),
                now,
            })
            .collect();
        if self.json {
            let views: Vec<View<'_>> = all.iter().map(Account::view).collect();
            return output::print_json(&views);
        }
        let mut table = Table::new(&[
            "ID",
            "SUBACCOUNT",
            "AGENT",
            "ACCOUNT",
            "STATUS",
            "HEALTH",
            "TOKEN",
            "LAST EVENT",
            "BREAKER",
            "TURNS",
            "OUTBOXES",
        ]);
        for account in &all {
            table.row(account.cells());
        }
        table.print("no connections")?;
        Ok(output::print_if_cut(all.len(), self.limit)?)
    }
}

/// The open circuit breakers that affect a connection's calls.
fn before<'a>(
    connection: &Connection,
    own_keys: &[String],
    breakers: &'a [BreakerRow],
) -> Vec<&'a BreakerRow> {
    let subaccount = &connection.subaccount;
    let has_own = own_keys.iter().any(|own| own == subaccount.as_str());
    let provider = Provider::of(subaccount, has_own);
    let graph =
        [BreakerKey::GraphAccount(connection.account.clone()), BreakerKey::GraphApp(connection.login)];
    let keys = graph.into_iter().chain(BreakerKey::of_agent(&provider, &connection.agent));
    let keys: Vec<String> = keys.map(|key| key.to_string()).collect();
    breakers.iter().filter(|breaker| keys.contains(&breaker.key)).collect()
}

struct Account<'a> {
    connection: &'a Connection,
    checks: Vec<connection_check::Model>,
    breakers: Vec<&'a BreakerRow>,
    backlog: Backlog,
    now: Millis,
}

impl<'a> Account<'a> {
    fn token_days_left(&self) -> Option<i64> {
        self.connection.row.token_expires_at.map(|at| (at - self.now).div_euclid(DAY_MS))
    }

    fn event_age(&self) -> Option<Millis> {
        self.connection.row.last_event_at.map(|at| self.now - at)
    }

    /// What its last checks have found: all of it that is bad.
    fn health(&self) -> String {
        let bad = self.checks.iter().filter(|row| row.state.known().is_some_and(CheckState::is_bad));
        let bad: Vec<String> = bad.map(|row| format!("{} {}", row.name, row.state)).collect();
        if bad.is_empty() { worst(&self.checks).to_string() } else { bad.join(", ") }
    }

    fn view(&self) -> View<'a> {
        let open = |breaker: &&'a BreakerRow| OpenBreaker {
            breaker: &breaker.key,
            open_until: times::shown(breaker.closed_until),
            reason: breaker.reason.as_deref(),
        };
        View {
            connection: OfSubaccount::new(
                &self.connection.row.subaccount_id,
                ConnectionView::of(self.connection, None),
            ),
            token_days_left: self.token_days_left(),
            last_event_age_seconds: self.event_age().map(|age| age / 1_000),
            open_breakers: self.breakers.iter().map(open).collect(),
            queue: Queue { turns_due: self.backlog.turns, chats_sending: self.backlog.outboxes },
            health: HealthView::of(&self.checks),
        }
    }

    fn cells(&self) -> [String; 11] {
        let row = &self.connection.row;
        let username = row.username.as_ref().map(|name| format!("@{name} ")).unwrap_or_default();
        let paused = if row.bot_paused { ", agent paused" } else { "" };
        let reason = row.status_reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let open = |breaker: &&BreakerRow| {
            let left = breaker.closed_until - self.now;
            let next =
                if left > 0 { format!("for {}", times::span(left)) } else { "next call probes".to_owned() };
            format!("{} {next}: {}", breaker.key, or_nothing(breaker.reason.as_ref()))
        };
        [
            row.id.to_string(),
            row.subaccount_id.clone(),
            row.agent_id.clone(),
            format!("{username}{}", row.instagram_account_id),
            format!("{}{reason}{paused}", row.status),
            self.health(),
            or_nothing(self.token_days_left().map(|days| format!("{days} days"))),
            or_nothing(self.event_age().map(times::span)),
            self.breakers.iter().map(open).collect::<Vec<_>>().join("; "),
            self.backlog.turns.to_string(),
            self.backlog.outboxes.to_string(),
        ]
    }
}
