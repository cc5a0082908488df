//! `admin dead-letters replay` and `discard`: replays or discards dead letters, by the same rules as the API.

use super::super::common::{EXIT_CODES, now, operator};
use super::super::output::{self, print};
use super::super::times::{self, Moment};
use super::filter::Filter;
use anyhow::{bail, ensure};
use clap::Args;
use dmrelay_domain::ids::{ConnectionId, DeadLetterId};
use dmrelay_domain::states::DeadLetterState;
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{Connection, LetterSearch, Replay, Store};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;

/// Which dead letters: by id, by filter, or all.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Selection {
    /// These dead letters.
    #[arg(conflicts_with_all = ["subaccount", "connection", "class", "kind", "created_before", "limit", "all"])]
    ids: Vec<DeadLetterId>,
    #[command(flatten)]
    filter: Filter,
    /// Created before this time (RFC 3339), or longer ago than this, e.g. 36h.
    #[arg(long, value_parser = times::moment)]
    created_before: Option<Moment>,
    /// All open dead letters.
    #[arg(long, conflicts_with_all = ["subaccount", "connection", "class", "kind", "created_before"])]
    all: bool,
    /// Maximum number, oldest first.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only print what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reasons for a refusal.
const UNKNOWN: &str = "no such dead letter";
const CLOSED: &str = "it was already replayed or discarded";
const ORPHAN: &str = "its connection is gone";

/// Number of letters read at a time.
const PAGE: u64 = 200;

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A worker tries again what failed.
    Replay,
    /// Nothing more: they are closed.
    Discard,
}

impl Action {
    /// What has become of a letter.
    fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Discard => "discarded",
        }
    }
}

/// The results.
#[derive(Default)]
struct Outcome {
    done: Vec<DeadLetterId>,
    refused: Vec<Refusal>,
}

#[derive(Serialize)]
struct Refusal {
    id: DeadLetterId,
    reason: &'static str,
}

/// A run over a set of letters.
struct Closing<'a> {
    store: &'a Store,
    action: Action,
    dry_run: bool,
    json: bool,
    /// The connections read so far.
    connections: HashMap<ConnectionId, Option<Connection>>,
    outcome: Outcome,
}

impl Selection {
    pub(super) async fn run(&self, store: &Store, action: Action) -> anyhow::Result<()> {
        if self.ids.is_empty() && self.filter.is_empty() && self.created_before.is_none() && !self.all {
            bail!("no selection: pass ids, a filter (--class …), or --all");
        }
        let (dry_run, json) = (self.dry_run, self.json);
        let (connections, outcome) = (HashMap::new(), Outcome::default());
        let mut run = Closing { store, action, dry_run, json, connections, outcome };
        if self.ids.is_empty() {
            run.fitting(&self.search(store).await?, self.limit).await?;
        } else {
            run.named(&self.ids).await?;
        }
        run.conclude()
    }

    async fn search(&self, store: &Store) -> anyhow::Result<LetterSearch> {
        let now = now(store).await?;
        // A new failure during this run creates a new letter, which this run must not replay.
        let created_before = self.created_before.map_or(now, |before| before.before(now)).min(now);
        Ok(LetterSearch { created_before: Some(created_before), ..self.filter.search(DeadLetterState::Open) })
    }
}

impl Closing<'_> {
    async fn named(&mut self, ids: &[DeadLetterId]) -> anyhow::Result<()> {
        let letters = self.store.letters_with_ids(ids).await?;
        for id in ids {
            match letters.iter().find(|letter| letter.id == *id) {
                Some(letter) => self.one(letter).await?,
                None => self.refuse(*id, UNKNOWN)?,
            }
        }
        Ok(())
    }

    async fn fitting(&mut self, search: &LetterSearch, limit: Option<u64>) -> anyhow::Result<()> {
        let (mut after, mut left) = (None, limit.unwrap_or(u64::MAX));
        while left > 0 {
            let page = self.store.oldest_letters(search, after, PAGE.min(left)).await?;
            for letter in &page {
                self.one(letter).await?;
            }
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            left -= page.len() as u64;
        }
        Ok(())
    }

    async fn one(&mut self, letter: &dead_letter::Model) -> anyhow::Result<()> {
        if self.action == Action::Discard {
            return self.discard(letter).await;
        }
        self.meet(letter).await?;
        let connection = letter.connection_id.and_then(|id| self.connections.get(&id)?.as_ref());
        let Some(connection) = connection else { return self.refuse(letter.id, ORPHAN) };
        let outcome = if self.dry_run {
            self.store.foresee_replay(letter, connection).await?
        } else {
            self.store.replay(letter, connection, &operator()).await?
        };
        match outcome {
            Replay::Replayed => self.done(letter),
            Replay::NotOpen => self.refuse(letter.id, CLOSED),
            Replay::Refused(why) => self.refuse(letter.id, why),
        }
    }

    async fn discard(&mut self, letter: &dead_letter::Model) -> anyhow::Result<()> {
        let is_open = letter.replayed_at.is_none() && letter.discarded_at.is_none();
        let done = if self.dry_run { is_open } else { self.store.discard(letter, &operator()).await? };
        if done { self.done(letter) } else { self.refuse(letter.id, CLOSED) }
    }

    /// Reads the connection of a letter, cached for all of its letters.
    async fn meet(&mut self, letter: &dead_letter::Model) -> anyhow::Result<()> {
        let Some(id) = letter.connection_id else { return Ok(()) };
        if !self.connections.contains_key(&id) {
            let connection = self.store.connection_by_id(id).await?;
            self.connections.insert(id, connection);
        }
        Ok(())
    }

    fn done(&mut self, letter: &dead_letter::Model) -> anyhow::Result<()> {
        self.outcome.done.push(letter.id);
        let word = if self.dry_run { "would do" } else { self.action.done() };
        self.say(&format!("{word:<9}  {}  {} {}", letter.id, letter.kind, letter.class))
    }

    fn refuse(&mut self, id: DeadLetterId, reason: &'static str) -> anyhow::Result<()> {
        self.outcome.refused.push(Refusal { id, reason });
        self.say(&format!("refused    {id}  {reason}"))
    }

    fn say(&self, line: &str) -> anyhow::Result<()> {
        if !self.json {
            print(line)?;
        }
        Ok(())
    }

    fn conclude(&self) -> anyhow::Result<()> {
        let (word, done, refused) = (self.action.done(), self.outcome.done.len(), self.outcome.refused.len());
        if self.json {
            output::print_json(&json!({ word: self.outcome.done, "refused": self.outcome.refused }))?;
        } else if self.dry_run {
            print(format!("{done} would be {word}, {refused} would be refused"))?;
        } else {
            print(format!("{done} {word}, {refused} refused"))?;
        }
        ensure!(refused == 0, "{refused} of {} dead letters were refused", done + refused);
        Ok(())
    }
}
