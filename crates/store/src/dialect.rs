//! The differences between PostgreSQL and SQLite, in one place.
//!
//! Statements that the query builder cannot express are written once as texts, with `$1` for values (SQLite takes that
//! form too) and these words: `{now}` is the database's clock in milliseconds, `{lock}` what locks a selected row,
//! `{free}` the same, passing over what others have locked.
//! `{messages.*}` are the columns of a table that this version knows, `{m:messages.*}` the same of the table
//! called `m`. A bare `*` is never read: a statement that PostgreSQL has prepared fails once a later version
//! adds a column, and so would the processes that still run during a rolling deploy.

use dmrelay_entity::{chat, dead_letter, event, message, turn};
use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, EntityTrait, IdenStatic, Iterable, Statement, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The columns of each table of which statements that are texts read whole rows.
static COLUMNS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    HashMap::from([
        ("chats", columns::<chat::Entity>()),
        ("dead_letters", columns::<dead_letter::Entity>()),
        ("events", columns::<event::Entity>()),
        ("messages", columns::<message::Entity>()),
        ("turns", columns::<turn::Entity>()),
    ])
});

fn columns<E: EntityTrait>() -> Vec<&'static str> {
    E::Column::iter().map(|column| column.as_str()).collect()
}

/// The columns that `table.*` or `alias:table.*` stands for.
fn all_of(word: &str) -> Option<String> {
    let table = word.strip_suffix(".*")?;
    let (alias, table) = table.split_once(':').unwrap_or(("", table));
    let columns = COLUMNS.get(table)?;
    if alias.is_empty() {
        return Some(columns.join(", "));
    }
    Some(columns.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", "))
}

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

    /// The database's clock, in milliseconds.
    pub(crate) fn clock(self) -> &'static str {
        match self {
            Self::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        }
    }

    /// A statement of this database.
    pub(crate) fn statement(self, sql: &str, values: Vec<Value>) -> Statement {
        let now = self.clock();
        let (lock, free) = match self {
            Self::Postgres => ("FOR UPDATE", "FOR UPDATE SKIP LOCKED"),
            // A write transaction is the only one (immediate, one connection), so its rows are locked.
            Self::Sqlite => ("", ""),
        };
        let mut whole = String::with_capacity(sql.len() * 2);
        let mut rest = sql;
        while let Some((before, (word, after))) =
            rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            whole.push_str(before);
            match word {
                "now" => whole.push_str(now),
                "lock" => whole.push_str(lock),
                "free" => whole.push_str(free),
                other => match all_of(other) {
                    Some(columns) => whole.push_str(&columns),
                    None => whole.extend(["{", other, "}"]),
                },
            }
            rest = after;
        }
        whole.push_str(rest);
        Statement::from_sql_and_values(self.backend(), whole, values)
    }

    /// The id of the key that has sealed a column's value, as bytes; null where it is no sealed value. Reads the
    /// first bytes only: `1 ‖ length of the id ‖ id ‖ …`.
    pub(crate) fn key_id(self, column: &str) -> String {
        match self {
            Self::Postgres => format!(
                "CASE WHEN octet_length({column}) > 2 AND substr({column}, 1, 1) = '\\x01'::bytea \
                 THEN substr({column}, 3, get_byte(substr({column}, 2, 1), 0)) END"
            ),
            Self::Sqlite => format!(
                "CASE WHEN length({column}) > 2 AND substr({column}, 1, 1) = x'01' \
                 THEN substr({column}, 3, unicode(CAST(substr({column}, 2, 1) AS TEXT))) END"
            ),
        }
    }
}

/// An array for PostgreSQL's `UNNEST`.
pub(crate) fn array<T: Into<Value>>(kind: ArrayType, items: impl Iterator<Item = T>) -> Value {
    Value::Array(kind, Some(Box::new(items.map(Into::into).collect())))
}
