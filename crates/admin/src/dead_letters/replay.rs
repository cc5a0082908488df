//! `admin dead-letters replay`: replays dead letters, by the same rules as the API.

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
use std::collections::HashMap;

/// Which dead letters to replay: by id, by filter, or all.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ReplaySome {
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
    /// Maximum number to replay, oldest first.
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
pub(super) const UNKNOWN: &str = "no such dead letter";
pub(super) const CLOSED: &str = "it was already replayed or discarded";
const ORPHAN: &str = "its connection is gone";

/// Number of letters read at a time.
const PAGE: u64 = 200;

/// The results.
#[derive(Default, Serialize)]
struct Outcome {
    replayed: Vec<DeadLetterId>,
    refused: Vec<Refusal>,
}

#[derive(Serialize)]
struct Refusal {
    id: DeadLetterId,
    reason: &'static str,
}

/// A run over a set of letters.
struct Replaying<'a> {
    store: &'a Store,
    dry_run: bool,
    json: bool,
    /// The connections read so far.
    connections: HashMap<ConnectionId, Option<Connection>>,
    outcome: Outcome,
}

impl ReplaySome {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        if self.ids.is_empty() && self.filter.is_empty() && self.created_before.is_none() && !self.all {
            bail!("no selection: pass ids, a filter (--class …), or --all");
        }
        let (dry_run, json) = (self.dry_run, self.json);
        let mut run =
            Replaying { store, dry_run, json, connections: HashMap::new(), outcome: Outcome::default() };
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

impl Replaying<'_> {
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
        self.meet(letter).await?;
        let connection = letter.connection_id.and_then(|id| self.connections.get(&id)?.as_ref());
        let Some(connection) = connection else { return self.refuse(letter.id, ORPHAN) };
        let outcome = if self.dry_run {
            self.store.foresee_replay(letter, connection).await?
        } else {
            self.store.replay(letter, connection, &operator()).await?
        };
        match outcome {
            Replay::Replayed => self.replayed(letter),
            Replay::NotOpen => self.refuse(letter.id, CLOSED),
            Replay::Refused(why) => self.refuse(letter.id, why),
        }
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

    fn replayed(&mut self, letter: &dead_letter::Model) -> anyhow::Result<()> {
        self.outcome.replayed.push(letter.id);
        let word = if self.dry_run { "would do" } else { "replayed" };
        self.say(&format!("{word}  {}  {} {}", letter.id, letter.kind, letter.class))
    }

    fn refuse(&mut self, id: DeadLetterId, reason: &'static str) -> anyhow::Result<()> {
        self.outcome.refused.push(Refusal { id, reason });
        self.say(&format!("refused   {id}  {reason}"))
    }

    fn say(&self, line: &str) -> anyhow::Result<()> {
        if !self.json {
            print(line)?;
        }
        Ok(())
    }

    fn conclude(&self) -> anyhow::Result<()> {
        let (replayed, refused) = (self.outcome.replayed.len(), self.outcome.refused.len());
        if self.json {
            output::print_json(&self.outcome)?;
        } else if self.dry_run {
            print(format!("{replayed} would be replayed, {refused} would be refused"))?;
        } else {
            print(format!("{replayed} replayed, {refused} refused"))?;
        }
        ensure!(refused == 0, "{refused} of {} dead letters were refused", replayed + refused);
        Ok(())
    }
}
