//! `admin after-restore`: what waits in a database that was set back may have happened since.

use super::output;
use anyhow::bail;
use clap::Args;
use dmrelay_store::Store;

/// What is done after a restore.
#[derive(Debug, Args)]
#[command(after_help = crate::common::EXIT_CODES)]
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
        let chats = distrusted.chats;
        Ok(output::print(format!(
            "chats in which something waited: {chats}; each question and each send is looked up before it is made"
        ))?)
    }
}
