//! `admin after-restore`: work that was waiting in a restored backup may have happened since.

use super::output;
use anyhow::bail;
use clap::Args;
use dmrelay_store::Store;

/// Options of the command.
#[derive(Debug, Args)]
#[command(after_help = crate::common::EXIT_CODES)]
pub struct AfterRestore {
    /// Run even while a worker is running.
    #[arg(long)]
    force: bool,
}

impl AfterRestore {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        if !self.force && store.is_worked_on().await? {
            bail!("a worker is running, or was five seconds ago: stop all workers first, or pass --force");
        }
        let distrusted = store.distrust().await?;
        let chats = distrusted.chats;
        Ok(output::print(format!(
            "chats with waiting work: {chats}; each question and send is reconciled before it is made"
        ))?)
    }
}
