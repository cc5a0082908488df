//! `admin events`: what Meta's webhooks brought and no conversation has: not understood, of accounts that nobody has
//! connected, stored only, or failed.

use super::common::{EXIT_CODES, Listing, now, operator, record_reading};
use super::output::{self, Table, harmless, or_nothing, print};
use super::times::{self, Moment};
use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use dmrelay_domain::ids::{EventId, InstagramAccountId};
use dmrelay_domain::states::EventState;
use dmrelay_store::entity::event;
use dmrelay_store::{EventSearch, Store};
use serde::Serialize;

/// Look at events of the inbox.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// List events, newest first: by default those that were not understood, and those that failed.
    List(List),
    /// Show one event in full, with its bytes while they are kept. That is recorded in the activity log.
    #[command(after_help = EXIT_CODES)]
    Show {
        /// Its id.
        id: EventId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which events to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct List {
    /// Only events in this state.
    #[arg(long,
        value_parser = PossibleValuesParser::new(EventState::ALL.iter().map(|word| word.as_str())))]
    state: Option<String>,
    /// Only events of this Instagram account.
    #[arg(long)]
    account: Option<String>,
    /// Received at or after this time (RFC 3339), or within this duration, e.g. 36h.
    #[arg(long, value_parser = times::moment)]
    since: Option<Moment>,
    #[command(flatten)]
    listing: Listing,
}

/// An event as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    event_id: EventId,
    state: String,
    kind: String,
    instagram_account_id: String,
    instagram_user_id: Option<String>,
    container: String,
    received_at: String,
    attempts: i32,
    error: Option<String>,
    /// Its bytes, as text; only of one event.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

impl View {
    fn of(row: &event::Model) -> Self {
        Self {
            event_id: row.id,
            state: row.state.to_string(),
            kind: row.kind.to_string(),
            instagram_account_id: row.account.clone(),
            instagram_user_id: Some(row.thread.clone()).filter(|user| !user.is_empty()),
            container: row.container.to_string(),
            received_at: times::shown(row.received_at),
            attempts: row.attempts,
            error: row.error.clone(),
            raw: None,
        }
    }

    fn with_bytes(row: &event::Model) -> Self {
        let raw = row.raw.as_deref().map(|raw| String::from_utf8_lossy(raw).into_owned());
        Self { raw, ..Self::of(row) }
    }
}

impl Events {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Show { id, json } => show(store, *id, *json).await,
        }
    }
}

impl List {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let now = now(store).await?;
        let search = EventSearch {
            states: match self.state.as_deref().and_then(EventState::parse) {
                Some(state) => vec![state],
                None => vec![EventState::Unknown, EventState::Dead],
            },
            account: self.account.clone(),
            since: self.since.map(|since| since.before(now)),
        };
        let rows = store.newest_events(&search, self.listing.limit).await?;
        if self.listing.json {
            let views: Vec<_> = rows.iter().map(View::of).collect();
            return output::print_json(&views);
        }
        let mut table = Table::new(&["ID", "RECEIVED", "STATE", "ACCOUNT", "USER", "KIND", "TRIES", "ERROR"]);
        for view in rows.iter().map(View::of) {
            table.row([
                view.event_id.to_string(),
                view.received_at,
                view.state,
                view.instagram_account_id,
                or_nothing(view.instagram_user_id),
                view.kind,
                view.attempts.to_string(),
                or_nothing(view.error),
            ]);
        }
        table.print("no events")?;
        Ok(output::print_if_cut(rows.len(), self.listing.limit)?)
    }
}

/// Records the reading in the log of whoever has the account; if nobody has, there is no log, and a line says so.
async fn note_reading(store: &Store, row: &event::Model) -> anyhow::Result<()> {
    let command = format!("events show {}", row.id);
    let account = InstagramAccountId::parse(&row.account).ok();
    let connection = match &account {
        Some(account) => store.connection_at(account, row.received_at).await?,
        None => None,
    };
    if let Some(connection) = connection {
        return record_reading(store, &connection, &command, &row.thread).await;
    }
    tracing::warn!(operator = ?operator().id, event_id = %row.id, "an operator reads an event of an account that nobody has");
    Ok(())
}

async fn show(store: &Store, id: EventId, json: bool) -> anyhow::Result<()> {
    let row = store.event(id).await?.with_context(|| format!("no event has the id {id}"))?;
    let view = View::with_bytes(&row);
    if view.raw.is_some() {
        note_reading(store, &row).await?;
    }
    if json {
        return output::print_json(&view);
    }
    let erased = "erased: its content is in the conversation, or no longer kept";
    let rows = [
        ("id", view.event_id.to_string()),
        ("received", view.received_at),
        ("state", view.state),
        ("kind", view.kind),
        ("account", view.instagram_account_id),
        ("user", or_nothing(view.instagram_user_id)),
        ("container", view.container),
        ("attempts", view.attempts.to_string()),
        ("error", or_nothing(view.error)),
        ("bytes", view.raw.unwrap_or_else(|| erased.to_owned())),
    ];
    for (name, value) in rows {
        print(format!("{name:<10}  {}", harmless(&value)))?;
    }
    Ok(())
}
