//! `admin reseal`: re-encrypts values encrypted with older `ENCRYPTION_KEYS` with the first key. Runs value
//! by value while everything keeps running: values written concurrently are left as written. An interrupted
//! run is continued by the next.

use super::output::{self, Table};
use anyhow::ensure;
use clap::Args;
use dmrelay_runtime::settings::VaultSettings;
use dmrelay_store::entity::process::Model as Process;
use dmrelay_store::{NO_KEY, SEALED, Sealed, SealedColumn, Store};
use dmrelay_vault::{Place, Vault};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Options of the command.
#[derive(Debug, Args)]
#[command(after_help = crate::common::EXIT_CODES)]
pub struct Reseal {
    /// Only decrypt the values to check them, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Number of values read at a time.
const PAGE: u64 = 100;

/// Maximum number of passes, to catch values written meanwhile with an older key.
const PASSES: usize = 3;

/// The results of a run.
#[derive(Default)]
struct Outcome {
    resealed: usize,
    /// Written concurrently by another process in the last pass.
    overtaken: usize,
    /// Values that cannot be decrypted: location and reason.
    unopened: BTreeMap<String, String>,
}

impl Reseal {
    pub(super) async fn run(&self, store: &Store, settings: &VaultSettings) -> anyhow::Result<()> {
        let vault = Vault::parse(&settings.keys.require()?)?;
        let current = &*vault.current_key();
        self.check_processes(store, current).await?;
        let before = store.sealed_counts().await?;
        let work = Work { store, vault: &vault, current, dry_run: self.dry_run };
        let mut outcome = Outcome::default();
        for _ in 0..PASSES {
            outcome.overtaken = 0;
            for column in SEALED {
                work.reseal(column, &mut outcome).await?;
            }
            if outcome.overtaken == 0 {
                break;
            }
        }
        let after = store.sealed_counts().await?;
        counted(current, &vault, &before, &after).print("no encrypted values")?;
        for (place, why) in &outcome.unopened {
            output::print(format!("not decrypted: {place}: {why}"))?;
        }
        self.conclude(&vault, &after, &outcome)
    }

    /// A process that lacks the new key could not decrypt what is encrypted with it.
    async fn check_processes(&self, store: &Store, current: &str) -> anyhow::Result<()> {
        let processes = store.processes().await?;
        let lacks = |process: &&Process| !process.keys.split(' ').any(|key| key == current);
        let lacking: Vec<String> = processes
            .iter()
            .filter(lacks)
            .map(|process| format!("{} {} (keys: {})", process.kind, process.id, process.keys))
            .collect();
        if self.dry_run {
            for process in &lacking {
                output::print(format!("lacks {current}: {process}"))?;
            }
            return Ok(());
        }
        ensure!(
            lacking.is_empty(),
            "running processes lack {current} and could not decrypt what is encrypted with it: {}; add it to their \
             ENCRYPTION_KEYS and reload them (one that was killed counts as running for half a minute)",
            lacking.join(", ")
        );
        Ok(())
    }

    /// Reports the results, and which keys must stay.
    fn conclude(&self, vault: &Vault, after: &[(String, i64)], outcome: &Outcome) -> anyhow::Result<()> {
        let current = vault.current_key();
        let would = if self.dry_run { "would be " } else { "" };
        output::print(format!("{} values {would}re-encrypted with {current}", outcome.resealed))?;
        for old in vault.key_ids().iter().skip(1) {
            let left = after.iter().find(|(id, _)| id == old).map_or(0, |(_, n)| *n);
            output::print(match left {
                0 => {
                    format!(
                        "{old} encrypts nothing: once every process has {current} first, it can be removed"
                    )
                }
                left => format!("{old} encrypts {left} values: it must stay"),
            })?;
        }
        ensure!(outcome.unopened.is_empty(), "{} values could not be decrypted", outcome.unopened.len());
        let others: i64 = after.iter().filter(|(id, _)| *id != current).map(|(_, n)| n).sum();
        ensure!(
            self.dry_run || others == 0,
            "{others} values were encrypted with another key meanwhile: give every process {current} first, and run this again"
        );
        Ok(())
    }
}

/// A run, with its dependencies.
struct Work<'a> {
    store: &'a Store,
    vault: &'a Vault,
    current: &'a str,
    dry_run: bool,
}

impl Work<'_> {
    /// Processes a column once.
    async fn reseal(&self, column: SealedColumn, outcome: &mut Outcome) -> anyhow::Result<()> {
        let mut after = Uuid::nil();
        loop {
            let page = self.store.sealed_with_another(column, self.current, after, PAGE).await?;
            for sealed in &page {
                self.one(column, sealed, outcome).await?;
            }
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
        }
    }

    async fn one(&self, column: SealedColumn, sealed: &Sealed, outcome: &mut Outcome) -> anyhow::Result<()> {
        let SealedColumn { table, column: name } = column;
        let place = Place { table, column: name, row: sealed.id };
        let plain = match self.vault.open(place, &sealed.value) {
            Ok(plain) => plain,
            Err(err) => {
                outcome.unopened.insert(format!("{table}.{name} of row {}", sealed.id), err.to_string());
                return Ok(());
            }
        };
        let value = self.vault.seal(place, plain.expose());
        if self.dry_run || self.store.reseal(column, sealed, value).await? {
            outcome.resealed += 1;
        } else {
            outcome.overtaken += 1;
        }
        Ok(())
    }
}

/// The number of values per key, before and after.
fn counted(current: &str, vault: &Vault, before: &[(String, i64)], after: &[(String, i64)]) -> Table {
    let known = vault.key_ids();
    let mut ids: Vec<&str> = known.iter().map(String::as_str).collect();
    let stored = before.iter().chain(after).map(|(id, _)| id.as_str());
    for id in stored {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let count = |counts: &[(String, i64)], id: &str| {
        counts.iter().find(|(other, _)| other == id).map_or(0, |(_, n)| *n).to_string()
    };
    let mut table = Table::new(&["KEY", "BEFORE", "AFTER", ""]);
    for id in ids {
        let what = if id == current {
            "encrypts"
        } else if id == NO_KEY {
            "not an encrypted value"
        } else if known.iter().any(|known| known == id) {
            "decrypts"
        } else {
            "missing in ENCRYPTION_KEYS"
        };
        table.row([id.to_owned(), count(before, id), count(after, id), what.to_owned()]);
    }
    table
}
