//! What the database is and how it is set up, for those who check an installation.

use crate::dialect::Dialect;
use crate::query::first;
use crate::{Result, Store};
use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Func, Query};

/// The database's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    Postgres(Postgres),
    /// SQLite, which is no server: its version.
    Sqlite(String),
}

/// PostgreSQL, as one of our own connections that write finds it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Postgres {
    /// Its version, for people.
    pub version: String,
    /// The same as a number: 170005 is 17.5.
    pub version_number: i32,
    /// Whether a commit reaches the disk: `on` or `off`.
    pub fsync: String,
    /// What a commit waits for.
    pub synchronous_commit: String,
    /// Whether a page that was half written in a crash is whole again after it: `on` or `off`.
    pub full_page_writes: String,
    /// Whether it is a standby, which takes no writes.
    pub is_standby: bool,
    /// The most connections it takes.
    pub max_connections: i32,
    /// Those of them that are kept for superusers.
    pub reserved: i32,
    /// How many there are.
    pub in_use: i64,
}

#[derive(FromQueryResult)]
struct Version {
    version: String,
}

#[derive(FromQueryResult)]
struct Size {
    bytes: i64,
}

impl Store {
    /// The size of the database, in bytes.
    ///
    /// # Errors
    /// What the database says.
    pub async fn size(&self) -> Result<i64> {
        let sql = match self.dialect {
            Dialect::Postgres => "SELECT pg_database_size(current_database()) AS bytes",
            Dialect::Sqlite => {
                "SELECT c.page_count * s.page_size AS bytes FROM pragma_page_count c, pragma_page_size s"
            }
        };
        let rows: Vec<Size> = self.read(sql, Vec::new()).await?;
        Ok(rows.first().map_or(0, |row| row.bytes))
    }

    /// What the database is and how it is set up.
    pub async fn server(&self) -> Result<Server> {
        match self.dialect {
            Dialect::Postgres => {
                // Settings are PostgreSQL's alone, so the query builder would add nothing.
                let sql = "SELECT current_setting('server_version') AS version, \
                        current_setting('server_version_num')::int AS version_number, \
                        current_setting('fsync') AS fsync, \
                        current_setting('synchronous_commit') AS synchronous_commit, \
                        current_setting('full_page_writes') AS full_page_writes, \
                        pg_is_in_recovery() AS is_standby, \
                        current_setting('max_connections')::int AS max_connections, \
                        current_setting('superuser_reserved_connections')::int AS reserved, \
                        (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS in_use";
                let rows: Vec<Postgres> = self.write(sql, Vec::new()).await?;
                let odd =
                    || crate::Error::Row { table: "pg_settings", what: "there is no answer".to_owned() };
                rows.into_iter().next().map(Server::Postgres).ok_or_else(odd)
            }
            Dialect::Sqlite => {
                let version = Query::select().expr_as(Func::cust("sqlite_version"), "version").take();
                let row: Option<Version> = first(&self.reader(), &version).await?;
                Ok(Server::Sqlite(row.map(|row| row.version).unwrap_or_default()))
            }
        }
    }
}
