//! `admin migrate`: database migrations.

use super::output::{self, Table};
use anyhow::Context as _;
use clap::Args;
use dmrelay_runtime::settings::DatabaseSettings;
use dmrelay_store::Store;
use std::time::Duration;

/// Options of the command.
#[derive(Debug, Args)]
#[command(after_help = crate::common::EXIT_CODES)]
pub struct Migrate {
    /// Only list applied and pending migrations.
    #[arg(long)]
    status: bool,
}

/// Statement timeout of a migration: changing a large table takes long.
const STATEMENT: Duration = Duration::from_hours(6);

impl Migrate {
    pub(super) async fn run(&self, settings: &DatabaseSettings) -> anyhow::Result<()> {
        if self.status {
            return status(&dmrelay_app::open_store(settings).await?).await;
        }
        migrate(settings).await
    }
}

/// Applies pending migrations.
///
/// # Errors
/// A database error.
pub async fn migrate(settings: &DatabaseSettings) -> anyhow::Result<()> {
    let settings = DatabaseSettings { database_statement_timeout: STATEMENT, ..settings.clone() };
    let store = dmrelay_app::open_store(&settings).await?;
    let applied = dmrelay_app::migrate(&store).await?;
    Ok(output::print(format!("migrations applied: {applied}; the schema is up to date"))?)
}

async fn status(store: &Store) -> anyhow::Result<()> {
    let db = store.connection();
    let silent = "DATABASE_URL: the database does not respond";
    let applied = dmrelay_migration::applied(db).await.context(silent)?;
    let pending = dmrelay_migration::pending(db).await.context(silent)?;
    let mut table = Table::new(&["CHANGE", "STATE"]);
    for (names, state) in [(&applied, "applied"), (&pending, "pending")] {
        for name in names {
            table.row([name.clone(), state.to_owned()]);
        }
    }
    table.print("no migrations")?;
    Ok(output::print(format!("{} applied, {} pending", applied.len(), pending.len()))?)
}
