//! The schema, one file per change. Statements are written once for PostgreSQL and SQLite; the few type
//! names that differ are filled in by [`schema::run`].

mod m20261125_000001_initial;
mod m20261127_000002_media;
mod m20261127_000003_templates;
mod m20261127_000004_outreach;
mod m20261127_000005_understanding;
mod m20261127_000006_uploads;
mod records;
mod schema;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr};
use sea_orm_migration::prelude::*;
use std::time::Duration;

/// All changes, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261125_000001_initial::Migration),
            Box::new(m20261127_000002_media::Migration),
            Box::new(m20261127_000003_templates::Migration),
            Box::new(m20261127_000004_outreach::Migration),
            Box::new(m20261127_000005_understanding::Migration),
            Box::new(m20261127_000006_uploads::Migration),
        ]
    }
}

/// The key of the PostgreSQL advisory lock that lets one process migrate at a time.
const LOCK: i64 = 0x0064_6d72_656c_6179;

/// Applies every pending change. Processes that start together wait for one another. Gives the number of
/// changes applied.
///
/// # Errors
/// What the database says.
pub async fn migrate(db: &DatabaseConnection) -> Result<usize, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return apply(db).await;
    }
    // The lock belongs to the transaction, so that it is released whatever happens to this process.
    let lock = sea_orm::TransactionTrait::begin(db).await?;
    lock.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let applied = apply(db).await;
    lock.rollback().await?;
    applied
}

/// How often a change is tried that had to wait for a table, and how long until the next time.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(3);

async fn apply(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let before = pending(db).await?.len();
    for _ in 1..TRIES {
        match Migrator::up(db, None).await {
            Err(err) if schema::was_kept_waiting(&err) => tokio::time::sleep(PAUSE).await,
            outcome => return outcome.map(|()| before),
        }
    }
    Migrator::up(db, None).await?;
    Ok(before)
}

/// The names of the changes the database has, in the order of their names; those of a later version too.
///
/// # Errors
/// What the database says.
pub async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let mut applied = schema::applied(db).await?;
    applied.sort();
    Ok(applied)
}

/// The names of the changes the database lacks. A database newer than this program lacks none: processes
/// of the version before go on during a rolling deploy.
///
/// # Errors
/// What the database says.
pub async fn pending(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let applied = schema::applied(db).await?;
    Ok(Migrator::migrations()
        .iter()
        .map(|change| change.name().to_owned())
        .filter(|name| !applied.contains(name))
        .collect())
}
