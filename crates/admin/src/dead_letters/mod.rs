//! `admin dead-letters`: permanent failures of all subaccounts.

mod close;
mod filter;

use super::common::{EXIT_CODES, Listing, now};
use super::output::{self, OfSubaccount, Table, or_nothing, print};
use super::times::{self, Moment};
use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use close::{Action, Selection};
use dmrelay_domain::ids::DeadLetterId;
use dmrelay_domain::states::DeadLetterState;
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{LetterSearch, Store};
use dmrelay_views::DeadLetterView;
use filter::Filter;

/// Manage dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List dead letters, newest first.
    List(List),
    /// Show one dead letter in full.
    #[command(after_help = EXIT_CODES)]
    Show {
        /// Its id.
        id: DeadLetterId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Replay dead letters. A worker picks them up at once; those that would fail again are refused and stay
    /// open.
    Replay(Selection),
    /// Discard dead letters: they are closed without a retry and no longer counted.
    Discard(Selection),
}

/// Which dead letters to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only dead letters in this state.
    #[arg(long, default_value = "open",
        value_parser = PossibleValuesParser::new(DeadLetterState::ALL.iter().map(|word| word.as_str())))]
    state: String,
    /// Created at or after this time (RFC 3339), or within this duration, e.g. 36h.
    #[arg(long, value_parser = times::moment)]
    since: Option<Moment>,
    #[command(flatten)]
    listing: Listing,
}

impl DeadLetters {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Show { id, json } => show(store, *id, *json).await,
            Self::Replay(which) => which.run(store, Action::Replay).await,
            Self::Discard(which) => which.run(store, Action::Discard).await,
        }
    }
}

impl List {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let state = DeadLetterState::parse(&self.state).unwrap_or(DeadLetterState::Open);
        let now = now(store).await?;
        let since = self.since.map(|since| since.before(now));
        let search = LetterSearch { since, ..self.filter.search(state) };
        let letters = store.newest_letters(&search, self.listing.limit).await?;
        if self.listing.json {
            let views: Vec<_> = letters.iter().map(view).collect();
            return output::print_json(&views);
        }
        let mut table = Table::new(&["ID", "AT", "SUBACCOUNT", "KIND", "CLASS", "ATTEMPTS", "ERROR"]);
        let shown = letters.len();
        for letter in letters {
            table.row([
                letter.id.to_string(),
                times::shown(letter.created_at),
                letter.subaccount_id,
                letter.kind.to_string(),
                letter.class.to_string(),
                letter.attempts.to_string(),
                letter.error,
            ]);
        }
        table.print("no dead letters")?;
        Ok(output::print_if_cut(shown, self.listing.limit)?)
    }
}

fn view(letter: &dead_letter::Model) -> OfSubaccount<'_, DeadLetterView> {
    OfSubaccount::new(&letter.subaccount_id, DeadLetterView::of(letter))
}

async fn show(store: &Store, id: DeadLetterId, json: bool) -> anyhow::Result<()> {
    let letter = store.letters_with_ids(&[id]).await?.pop();
    let letter = letter.with_context(|| format!("no dead letter has the id {id}"))?;
    if json {
        return output::print_json(&view(&letter));
    }
    let closed = |at: Option<i64>| {
        at.map(|at| format!("{} by {}", times::shown(at), or_nothing(letter.closed_by.as_ref())))
    };
    let rows = [
        ("id", letter.id.to_string()),
        ("at", times::shown(letter.created_at)),
        ("subaccount", letter.subaccount_id.clone()),
        ("connection", or_nothing(letter.connection_id)),
        ("chat", or_nothing(letter.chat_id)),
        ("speaks of", format!("{} {}", letter.kind, letter.reference)),
        ("class", letter.class.to_string()),
        ("attempts", letter.attempts.to_string()),
        ("error", letter.error.clone()),
        ("replayed", or_nothing(closed(letter.replayed_at))),
        ("discarded", or_nothing(closed(letter.discarded_at))),
    ];
    for (name, value) in rows {
        print(format!("{name:<10}  {}", output::harmless(&value)))?;
    }
    Ok(())
}
