//! The differences between PostgreSQL and SQLite, in one place.
//!
//! Statements are written once, with `$1` for values (SQLite takes that form too) and these words:
//! `{now}` is the database's clock in milliseconds, `{lock}` what locks a selected row, `{free}` the same,
//! passing over what others have locked, `{like}` matches a pattern whatever the case of its letters.

use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, Statement, Value};

/// Which database a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    pub(crate) fn backend(self) -> DbBackend {
        match self {
            Self::Postgres => DbBackend::Postgres,
            Self::Sqlite => DbBackend::Sqlite,
        }
    }

    /// A statement of this database.
    pub(crate) fn statement(self, sql: &str, values: Vec<Value>) -> Statement {
        let (now, lock, free, like) = match self {
            Self::Postgres => (
                "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
                "FOR UPDATE",
                "FOR UPDATE SKIP LOCKED",
                "ILIKE",
            ),
            // A write transaction is the only one (immediate, one connection), so its rows are locked.
            Self::Sqlite => ("CAST(unixepoch('subsec') * 1000 AS INTEGER)", "", "", "LIKE"),
        };
        let words = [("{now}", now), ("{lock}", lock), ("{free}", free), ("{like}", like)];
        let sql = words.iter().fold(sql.to_owned(), |sql, (word, meaning)| sql.replace(word, meaning));
        Statement::from_sql_and_values(self.backend(), sql, values)
    }

    /// The first rows of each connection that are due, at most `$1` of each and `$2` in all: `column` is
    /// the due column without its suffix, `wanted` what else must hold of chat `c` and connection `k`.
    pub(crate) fn due_chats(self, column: &str, wanted: &str) -> String {
        let due = format!(
            "c.{column}_due_at <= {{now}} AND c.{column}_lease_until <= {{now}} \
             AND c.{column}_dispatched_until <= {{now}}"
        );
        match self {
            // One short index scan per connection, however long its backlog is.
            Self::Postgres => format!(
                "SELECT d.id FROM instagram_connections k CROSS JOIN LATERAL (\
                    SELECT c.id, c.{column}_due_at AS due FROM chats c WHERE c.connection_id = k.id AND {due} \
                    ORDER BY c.{column}_due_at LIMIT $1) d \
                 WHERE k.status = 'connected' AND {wanted} ORDER BY d.due LIMIT $2"
            ),
            Self::Sqlite => format!(
                "SELECT id FROM (SELECT c.id, c.{column}_due_at AS due, \
                    ROW_NUMBER() OVER (PARTITION BY c.connection_id ORDER BY c.{column}_due_at) AS n \
                    FROM chats c JOIN instagram_connections k ON k.id = c.connection_id \
                    WHERE k.status = 'connected' AND {due} AND {wanted}) d \
                 WHERE n <= $1 ORDER BY due LIMIT $2"
            ),
        }
    }
}

/// An array for PostgreSQL's `UNNEST`.
pub(crate) fn array<T: Into<Value>>(kind: ArrayType, items: impl Iterator<Item = T>) -> Value {
    Value::Array(kind, Some(Box::new(items.map(Into::into).collect())))
}
