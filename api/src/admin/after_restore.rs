//! `admin after-restore`: what waits in a database that was set back may have happened since.

use super::output;
use anyhow::bail;
use clap::Args;
use dmrelay_store::Store;

/// What is done after a restore.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct AfterRestore {
    /// Also while a worker runs.
    #[arg(long)]
    force: bool,
}

impl AfterRestore {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        if !self.force && store.is_worked_on().await? {
            bail!("a worker runs, or did until five seconds ago: stop all workers first (or --force)");
        }
        let distrusted = store.distrust().await?;
        let (messages, turns) = (distrusted.messages, distrusted.turns);
        Ok(output::print(format!(
            "{messages} messages and {turns} questions are looked for before they are sent or asked"
        ))?)
    }
}
