//! `admin after-restore`: what waits in a database that was set back may have happened since.

use super::output;
use clap::Args;
use dmrelay_store::Store;

/// What is done after a restore.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES)]
pub struct AfterRestore {}

impl AfterRestore {
    pub(super) async fn run(store: &Store) -> anyhow::Result<()> {
        let distrusted = store.distrust().await?;
        let (messages, turns) = (distrusted.messages, distrusted.turns);
        Ok(output::print(format!(
            "{messages} messages and {turns} questions are looked for before they are sent or asked"
        ))?)
    }
}
