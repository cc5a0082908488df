//! Runs statements written once for both databases.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sea_orm_migration::prelude::SchemaManager;

/// Runs each statement, with `{uuid}` and `{bytes}` replaced by the database's own type names, and `{room}` by what leaves
/// room in a page for the next versions of its rows, so that an update that changes no index stays in the page. `{more_room}`
/// is for rows that are updated soon after they are inserted, and become small afterwards.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[impl AsRef<str>]) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let (uuid, bytes, room, more_room) = match db.get_database_backend() {
        DbBackend::Postgres => {
            // Whoever waits for a table that somebody reads for long makes all others wait behind it.
            db.execute_unprepared("SET LOCAL lock_timeout = '2s'").await?;
            ("uuid", "bytea", " WITH (fillfactor = 70)", " WITH (fillfactor = 45)")
        }
        _ => ("blob", "blob", "", ""),
    };
    for statement in statements {
        let sql = statement.as_ref().replace("{uuid}", uuid).replace("{bytes}", bytes);
        let sql = sql.replace("{room}", room).replace("{more_room}", more_room);
        db.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// The names of the changes already applied; none where the table of them is missing.
pub(crate) async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => {
            "SELECT 1 AS one FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'seaql_migrations'"
        }
        _ => "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'",
    };
    if db.query_one_raw(Statement::from_string(backend, exists)).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows =
        db.query_all_raw(Statement::from_string(backend, "SELECT version FROM seaql_migrations")).await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}

/// Whether a change was given up because somebody else used a table, or waited for this one: SQLSTATE 55P03 and 40P01.
pub(crate) fn was_kept_waiting(err: &DbErr) -> bool {
    let text = err.to_string();
    ["lock timeout", "deadlock detected"].iter().any(|reason| text.contains(reason))
}
