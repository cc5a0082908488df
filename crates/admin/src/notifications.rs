//! `admin notifications`: who is notified of incidents, and what they were told. The operator's own targets are told of everything.

use super::common::{EXIT_CODES, Listing, operator, subaccount};
use super::output::{self, NOTHING, OfSubaccount, Table, or_nothing, print};
use super::{Settings, times};
use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use dmrelay_domain::ids::{NotificationTargetId, SubaccountId};
use dmrelay_domain::notification::{Channel, IncidentKind, NotificationState};
use dmrelay_notify::Notifier;
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_store::entity::notification_target;
use dmrelay_store::{IncidentFilter, NewTarget, NotificationFilter, Owner, Store, TargetChange};
use dmrelay_vault::{Place, Vault};
use dmrelay_views::{IncidentView, NotificationView, TargetView};
use std::sync::Arc;
use std::time::Duration;

/// Manage who is notified of incidents, and see what they were told.
#[derive(Debug, Subcommand)]
pub enum Notifications {
    /// List who is notified.
    Targets(Targets),
    /// Add somebody to notify: by webhook or by e-mail.
    #[command(after_help = EXIT_CODES)]
    Add(Add),
    /// Send a test, and show what became of it.
    #[command(after_help = EXIT_CODES)]
    Test(One),
    /// Notify a disabled target again.
    #[command(after_help = EXIT_CODES)]
    Enable(One),
    /// Stop notifying a target, but keep it.
    #[command(after_help = EXIT_CODES)]
    Disable(One),
    /// Remove a target.
    #[command(after_help = EXIT_CODES)]
    Remove(One),
    /// List notifications, with their last attempts.
    List(Told),
    /// List incidents of all subaccounts, or of one.
    Incidents(Incidents),
}

/// Whose targets.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// Of this subaccount; otherwise the operator's, who is told of everything.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
}

/// How to list targets.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Targets {
    #[command(flatten)]
    whose: Whose,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A target to add.
#[derive(Debug, Args)]
pub struct Add {
    #[command(flatten)]
    whose: Whose,
    /// Where signed webhooks go.
    #[arg(long, required_unless_present = "email", conflicts_with = "email")]
    url: Option<String>,
    /// Where e-mails go.
    #[arg(long)]
    email: Option<String>,
    /// A readable name.
    #[arg(long)]
    name: Option<String>,
    /// A kind of incident to be told of, may be repeated; all if omitted.
    #[arg(long = "kind", value_parser = kind)]
    kinds: Vec<IncidentKind>,
    /// Do not tell when an incident is over.
    #[arg(long)]
    only_opened: bool,
}

/// Which target.
#[derive(Debug, Args)]
pub struct One {
    /// The target's id.
    target: NotificationTargetId,
    #[command(flatten)]
    whose: Whose,
}

/// Which notifications to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Told {
    #[command(flatten)]
    whose: Whose,
    /// Only those in this state: pending, delivered or failed.
    #[arg(long, value_parser = state)]
    state: Option<NotificationState>,
    #[command(flatten)]
    listing: Listing,
}

/// Which incidents to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Incidents {
    /// Of this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    /// Also list those that are over.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    listing: Listing,
}

/// The most targets of the operator, or of a subaccount by this command.
const TARGETS_MAX: u64 = 100;

/// How long a test is waited for.
const TEST_TIME: Duration = Duration::from_secs(30);

/// How often it is looked at meanwhile.
const TEST_TICK: Duration = Duration::from_millis(250);

fn kind(text: &str) -> Result<IncidentKind, String> {
    let words: Vec<&str> = IncidentKind::ALL.iter().map(|kind| kind.as_str()).collect();
    IncidentKind::parse(text).ok_or_else(|| format!("must be one of {}", words.join(", ")))
}

fn state(text: &str) -> Result<NotificationState, String> {
    NotificationState::parse(text).ok_or_else(|| "must be pending, delivered or failed".to_owned())
}

impl Whose {
    fn owner(&self) -> Owner {
        self.subaccount.clone().map_or(Owner::Operator, Owner::Subaccount)
    }
}

impl One {
    async fn find(&self, store: &Store) -> anyhow::Result<notification_target::Model> {
        let owner = self.whose.owner();
        let found = store.notification_target(&owner, self.target).await?;
        found.with_context(|| format!("{owner} has no notification target {}", self.target))
    }

    async fn switch(&self, store: &Store, enabled: bool) -> anyhow::Result<()> {
        self.find(store).await?;
        let change = TargetChange { enabled: Some(enabled), ..TargetChange::default() };
        let target = (&self.whose.owner(), self.target);
        store
            .change_notification_target(target, change, &operator())
            .await?
            .context("it was removed meanwhile")?;
        Ok(print(if enabled { "enabled: it is told what is wrong now" } else { "disabled" })?)
    }

    async fn test(&self, store: &Store) -> anyhow::Result<()> {
        let target = self.find(store).await?;
        ensure!(target.enabled, "the target is disabled; enable it first");
        let told = store.create_test_notification(&target, (Duration::ZERO, u64::MAX)).await?;
        let id = told.context("a test of this target is under way")?.id;
        let done = async {
            loop {
                let row =
                    store.notification(&self.whose.owner(), id).await?.context("it was removed meanwhile")?;
                if row.finished_at.is_some() {
                    return anyhow::Ok(row);
                }
                tokio::time::sleep(TEST_TICK).await;
            }
        };
        let seconds = TEST_TIME.as_secs();
        let row = tokio::time::timeout(TEST_TIME, done).await.with_context(|| {
            format!("no worker has delivered it within {seconds} s; are workers running?")
        })??;
        let last = row.attempts_made().pop().context("no attempt was recorded")?;
        let answer = last.status.map(|status| format!(" with {status}")).unwrap_or_default();
        match last.error {
            None => Ok(print(format!(
                "delivered to {}: answered{answer} after {} ms",
                target.address, last.took_ms
            ))?),
            Some(error) => bail!("not delivered to {}: {error}", target.address),
        }
    }
}

impl Notifications {
    pub(super) async fn run(&self, store: &Store, settings: &Settings<'_>) -> anyhow::Result<()> {
        match self {
            Self::Targets(targets) => targets.run(store).await,
            Self::Add(add) => add.run(store, settings).await,
            Self::Test(one) => one.test(store).await,
            Self::Enable(one) => one.switch(store, true).await,
            Self::Disable(one) => one.switch(store, false).await,
            Self::Remove(one) => {
                one.find(store).await?;
                store.delete_notification_target(&one.whose.owner(), one.target, &operator()).await?;
                Ok(print("removed, together with its notifications")?)
            }
            Self::List(told) => told.run(store).await,
            Self::Incidents(incidents) => incidents.run(store).await,
        }
    }
}

impl Targets {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let rows = store.notification_targets(&self.whose.owner()).await?;
        if self.json {
            return output::print_json(&rows.iter().map(TargetView::of).collect::<Vec<_>>());
        }
        let mut table = Table::new(&["TARGET", "CHANNEL", "ADDRESS", "NAME", "KINDS", "STATE"]);
        for row in &rows {
            let kinds = row.kinds().map_or_else(
                || "all".to_owned(),
                |kinds| kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(","),
            );
            let state = match (&row.disabled_reason, row.enabled) {
                (_, true) => "enabled".to_owned(),
                (None, false) => "disabled".to_owned(),
                (Some(reason), false) => format!("disabled: {reason}"),
            };
            table.row([
                row.id.to_string(),
                row.channel.to_string(),
                row.address.clone(),
                or_nothing(row.name.clone()),
                kinds,
                state,
            ]);
        }
        Ok(table.print("nobody is notified")?)
    }
}

impl Add {
    async fn run(&self, store: &Store, settings: &Settings<'_>) -> anyhow::Result<()> {
        let metrics = Metrics::new(Process::Command)?;
        let notifier = Notifier::new(settings.notify, Arc::new(metrics)).map_err(|err| anyhow!(err))?;
        let (channel, address) = match (&self.url, &self.email) {
            (Some(url), _) => {
                let url = notifier.receiver(url).map_err(|err| anyhow!("--url {err}"))?;
                (Channel::Webhook, String::from(url))
            }
            (None, Some(email)) => {
                dmrelay_notify::parse_address(email).map_err(|err| anyhow!("--email {err}"))?;
                ensure!(notifier.has_mail(), "--email: SMTP_URL is not set");
                (Channel::Email, email.clone())
            }
            (None, None) => bail!("--url or --email is required"),
        };
        let id = NotificationTargetId::new();
        let secret = (channel == Channel::Webhook).then(dmrelay_notify::new_secret);
        let vault = Vault::parse(&settings.vault.keys.require()?)?;
        let place = Place { table: "notification_targets", column: "secret", row: id.0 };
        let new = NewTarget {
            id,
            owner: self.whose.owner(),
            channel,
            address,
            name: self.name.clone(),
            secret: secret.as_ref().map(|secret| vault.seal(place, secret.expose().as_bytes())),
            kinds: (!self.kinds.is_empty()).then(|| self.kinds.clone()),
            resolved: !self.only_opened,
        };
        let made = store.create_notification_target(new, TARGETS_MAX, &operator()).await?;
        ensure!(made.is_some(), "{} has {TARGETS_MAX} targets; remove one first", self.whose.owner());
        print(format!("target {id} of {}", self.whose.owner()))?;
        if let Some(secret) = secret {
            print(format!("its webhooks are signed with {}; this is not shown again", secret.expose()))?;
        }
        Ok(print(format!("try it: admin notifications test {id}"))?)
    }
}

impl Told {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let filter = NotificationFilter {
            owner: self.whose.owner(),
            target: None,
            state: self.state,
            before: None,
            limit: self.listing.limit,
            skip: 0,
        };
        let rows = store.notifications(&filter).await?.items;
        let incidents = store.incidents_of(&rows).await?;
        let views = rows.iter().map(|row| {
            let incident = row.incident_id.and_then(|id| incidents.get(&id));
            (row, incident)
        });
        if self.listing.json {
            let views = views.map(|(row, incident)| NotificationView::of(row, incident));
            return output::print_json(&views.collect::<Vec<_>>());
        }
        let mut table =
            Table::new(&["WRITTEN", "TARGET", "TYPE", "INCIDENT", "STATE", "ATTEMPTS", "LAST ERROR"]);
        for (row, incident) in views {
            let last = row.attempts_made().pop().and_then(|attempt| attempt.error);
            table.row([
                times::shown(row.created_at),
                row.target_id.to_string(),
                row.kind.to_string(),
                incident.map_or_else(|| NOTHING.to_owned(), |incident| incident.kind.to_string()),
                row.state.to_string(),
                row.attempts.to_string(),
                or_nothing(last),
            ]);
        }
        table.print("nobody was told anything")?;
        Ok(output::print_if_cut(rows.len(), self.listing.limit)?)
    }
}

impl Incidents {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let filter = IncidentFilter {
            owner: self.subaccount.clone().map(Owner::Subaccount),
            kind: None,
            is_over: (!self.all).then_some(false),
            before: None,
            limit: self.listing.limit,
            skip: 0,
        };
        let rows = store.incident_page(&filter).await?.items;
        if self.listing.json {
            let views = rows.iter().map(|row| OfSubaccount::new(&row.subaccount_id, IncidentView::of(row)));
            return output::print_json(&views.collect::<Vec<_>>());
        }
        let mut table = Table::new(&["SINCE", "UNTIL", "SUBACCOUNT", "KIND", "MESSAGE"]);
        for row in &rows {
            table.row([
                times::shown(row.since),
                row.ended_at.map_or_else(|| "now".to_owned(), times::shown),
                row.subaccount_id.clone(),
                row.kind.to_string(),
                row.detail.clone(),
            ]);
        }
        table.print("nothing is wrong")?;
        Ok(output::print_if_cut(rows.len(), self.listing.limit)?)
    }
}
