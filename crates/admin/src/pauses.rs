//! `admin pause` and `admin resume`: the operator stops questions to agents, sends, or both.

use super::common::{EXIT_CODES, operator, subaccount};
use super::output::{self, NOTHING, Table, or_nothing, print};
use super::times;
use anyhow::{Context as _, bail, ensure};
use clap::{ArgGroup, Args, ValueEnum};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{InstagramAccountId, SubaccountId};
use dmrelay_runtime::settings;
use dmrelay_store::{Call, Connection, NewPause, Pause, PauseKey, PauseScope, Store};
use serde::Serialize;
use std::time::Duration;

/// Whose calls.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("scope").required(true)))]
pub(crate) struct Whose {
    /// Of all accounts.
    #[arg(long, group = "scope")]
    all: bool,
    /// Of this subaccount.
    #[arg(long, group = "scope", value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    /// Of the Instagram account with this id.
    #[arg(long, group = "scope", value_parser = account)]
    account: Option<InstagramAccountId>,
    /// Only these calls; by default questions to the agent and sends.
    #[arg(long, value_name = "CALL")]
    only: Option<Only>,
}

/// Which calls.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Only {
    /// The agent is asked.
    Ask,
    /// Messages are sent, those of people too.
    Send,
    /// Accounts are connected, or their credentials replaced. Tokens are still renewed.
    Connect,
}

/// Which calls to pause, and for how long.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PauseCalls {
    #[command(flatten)]
    whose: Whose,
    /// For how long; without it until `admin resume`.
    #[arg(long = "for", value_parser = settings::positive, value_name = "TIME")]
    time: Option<Duration>,
    /// Reason, shown by `admin pauses`, `status` and `doctor`.
    #[arg(long)]
    reason: Option<String>,
}

/// Which calls to resume.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ResumeCalls {
    #[command(flatten)]
    whose: Whose,
}

/// How to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Pauses {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A pause as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    /// `ask` or `send`.
    call: &'static str,
    /// `all`, `subaccount` or `account`.
    scope: &'static str,
    /// Which of these.
    id: Option<String>,
    /// `operator`, or the `subaccount` itself.
    by: &'static str,
    since: String,
    ends_at: Option<String>,
    actor: String,
    reason: Option<String>,
}

impl Whose {
    fn scope(&self) -> PauseScope {
        match (&self.subaccount, &self.account) {
            (Some(subaccount), _) => PauseScope::Subaccount(subaccount.clone()),
            (_, Some(account)) => PauseScope::Account(account.clone()),
            (None, None) => PauseScope::All,
        }
    }

    fn keys(&self) -> Vec<PauseKey> {
        let calls = match self.only {
            Some(Only::Ask) => vec![Call::Ask],
            Some(Only::Send) => vec![Call::Send],
            Some(Only::Connect) => vec![Call::Connect],
            None => Call::OF_CHATS.to_vec(),
        };
        calls.into_iter().map(|call| PauseKey { call, scope: self.scope() }).collect()
    }

    /// Refuses a name that nobody has: a pause of it would stop nothing. Gives the account, where it is one.
    async fn require(&self, store: &Store) -> anyhow::Result<Option<Connection>> {
        if let Some(subaccount) = &self.subaccount {
            let connections = store.connections_of_all(Some(subaccount), None, 1).await?;
            ensure!(!connections.is_empty(), "subaccount {subaccount} has no connected account");
        }
        if let Some(account) = &self.account {
            let connection = store.live_connection(account).await?;
            return Ok(Some(connection.with_context(|| format!("account {account} is not connected"))?));
        }
        Ok(None)
    }
}

impl PauseCalls {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let connection = self.whose.require(store).await?;
        let (keys, before) = (self.whose.keys(), store.pauses().await?);
        let new = NewPause {
            keys: &keys,
            of: connection.as_ref(),
            time: self.time,
            reason: self.reason.as_deref(),
            actor: &operator(),
        };
        store.pause(&new).await?;
        for key in keys {
            if let Some(replaced) = before.iter().find(|pause| pause.key == key) {
                print(format!("replaced: {}", line(replaced)))?;
            }
            let until = self.time.map_or_else(
                || "until admin resume".to_owned(),
                |time| format!("for {}", times::span(millis(time))),
            );
            print(format!("{} {until}", stopped(&key)))?;
        }
        Ok(print("calls under way are finished; workers stop within two seconds; waiting messages are kept")?)
    }
}

impl ResumeCalls {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let of = match &self.whose.account {
            Some(account) => store.live_connection(account).await?,
            None => None,
        };
        let resumed = store.resume(&self.whose.keys(), of.as_ref(), &operator()).await?;
        for key in &resumed {
            print(format!("resumed: {}", subject(key)))?;
        }
        let left = store.pauses().await?;
        if !left.is_empty() {
            print("still paused:")?;
            print(table(&left))?;
        }
        if resumed.is_empty() {
            bail!("these calls were not paused");
        }
        Ok(())
    }
}

impl Pauses {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let pauses = store.pauses().await?;
        if self.json {
            return output::print_json(&pauses.iter().map(View::of).collect::<Vec<_>>());
        }
        Ok(table(&pauses).print("nothing is paused")?)
    }
}

impl View {
    pub(super) fn of(pause: &Pause) -> Self {
        let scope = &pause.key.scope;
        let account = scope.account().map(ToString::to_string);
        let id = account.or_else(|| scope.subaccount().map(ToString::to_string));
        Self {
            call: pause.key.call.as_str(),
            scope: pause.key.scope.as_str(),
            id,
            by: scope.by(),
            since: times::shown(pause.since),
            ends_at: pause.ends_at.map(times::shown),
            actor: pause.actor.clone(),
            reason: pause.reason.clone(),
        }
    }
}

fn table(pauses: &[Pause]) -> Table {
    let mut table = Table::new(&["CALL", "SCOPE", "ID", "BY", "SINCE", "UNTIL", "ACTOR", "REASON"]);
    for View { call, scope, id, by, since, ends_at, actor, reason } in pauses.iter().map(View::of) {
        let until = ends_at.unwrap_or_else(|| "until resumed".to_owned());
        let reason = reason.unwrap_or_else(|| NOTHING.to_owned());
        table.row([
            call.to_owned(),
            scope.to_owned(),
            or_nothing(id),
            by.to_owned(),
            since,
            until,
            actor,
            reason,
        ]);
    }
    table
}

/// Which calls, for people.
fn subject(key: &PauseKey) -> String {
    let calls = match key.call {
        Call::Ask => "questions to the agent",
        Call::Send => "sends",
        Call::Connect => "connects",
    };
    match &key.scope {
        PauseScope::All => format!("{calls} of all accounts"),
        PauseScope::Subaccount(id) | PauseScope::Own(id) => format!("{calls} of subaccount {id}"),
        PauseScope::Account(id) | PauseScope::OwnAccount(_, id) => format!("{calls} of account {id}"),
    }
}

/// What is paused and why, in a line: for `status` and `doctor`.
pub(super) fn line(pause: &Pause) -> String {
    let until = pause.ends_at.map_or_else(String::new, |at| format!(" until {}", times::shown(at)));
    let reason = pause.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let since = times::shown(pause.since);
    let by = if pause.key.scope.is_own() { "the subaccount, " } else { "" };
    format!("{}{until}, since {since} by {by}{}{reason}", stopped(&pause.key), pause.actor)
}

fn stopped(key: &PauseKey) -> String {
    format!("{} are paused", subject(key))
}

fn account(text: &str) -> Result<InstagramAccountId, String> {
    InstagramAccountId::parse(text).map_err(|err| err.to_string())
}
