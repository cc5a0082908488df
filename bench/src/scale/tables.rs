//! What became of the tables: rows written, and how much larger they are.

use crate::counts::float;
use anyhow::Result;
use sea_orm::sqlx::{PgConnection, query_as};
use std::collections::BTreeMap;

/// What PostgreSQL has counted of a table since it was made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Table {
    pub(super) inserted: f64,
    /// Each leaves a dead row behind.
    pub(super) updated: f64,
    /// Of them, those that touched no index.
    pub(super) hot: f64,
    pub(super) deleted: f64,
    /// Size with its indexes.
    pub(super) bytes: f64,
}

/// Every table, and how many transactions PostgreSQL itself has counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) of_each: BTreeMap<String, Table>,
    pub(super) commits: f64,
    pub(super) rollbacks: f64,
}

type Row = (String, i64, i64, i64, i64, i64);

const READ: &str = "SELECT relname::text, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del, pg_total_relation_size(relid) \
     FROM pg_stat_user_tables";

const TRANSACTIONS: &str =
    "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()";

impl Tables {
    /// What is told of the database of this connection. Processes tell what they did when they come to rest, after up to
    /// ten seconds.
    pub(super) async fn of(connection: &mut PgConnection) -> Result<Self> {
        let rows: Vec<Row> = query_as(READ).fetch_all(&mut *connection).await?;
        let (commits, rollbacks): (i64, i64) = query_as(TRANSACTIONS).fetch_one(connection).await?;
        let number = |count: i64| float(u64::try_from(count).unwrap_or_default());
        let tables = rows.into_iter().map(|(name, inserted, updated, hot, deleted, bytes)| {
            let [inserted, updated, hot, deleted, bytes] =
                [inserted, updated, hot, deleted, bytes].map(number);
            (name, Table { inserted, updated, hot, deleted, bytes })
        });
        Ok(Self { of_each: tables.collect(), commits: number(commits), rollbacks: number(rollbacks) })
    }

    /// What has happened since, by `per`.
    pub(super) fn since(&self, before: &Self, per: f64) -> Self {
        let tables = self.of_each.iter().map(|(name, now)| {
            let then = before.of_each.get(name).copied().unwrap_or_default();
            let table = Table {
                inserted: (now.inserted - then.inserted) / per,
                updated: (now.updated - then.updated) / per,
                hot: (now.hot - then.hot) / per,
                deleted: (now.deleted - then.deleted) / per,
                bytes: (now.bytes - then.bytes) / per,
            };
            (name.clone(), table)
        });
        Self {
            of_each: tables.collect(),
            commits: (self.commits - before.commits) / per,
            rollbacks: (self.rollbacks - before.rollbacks) / per,
        }
    }

    /// Of all tables together.
    pub(super) fn sum(&self, of: impl Fn(&Table) -> f64) -> f64 {
        self.of_each.values().map(of).sum()
    }
}

/// How many other connections there are to the database of this one.
pub(super) async fn connections(connection: &mut PgConnection) -> Result<u64> {
    let sql = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let (count,): (i64,) = query_as(sql).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// What the write-ahead log holds between two places: records, and whole pages, which are written once after each checkpoint.
/// Nothing where PostgreSQL cannot tell (before version 15, or without its contrib modules).
pub(super) async fn log_content(
    connection: &mut PgConnection,
    (from, to): (i64, i64),
) -> Option<(f64, f64, f64)> {
    let sql = "SELECT SUM(count)::bigint, SUM(record_size)::bigint, SUM(fpi_size)::bigint \
         FROM pg_get_wal_stats('0/0'::pg_lsn + $1::numeric, LEAST('0/0'::pg_lsn + $2::numeric, pg_current_wal_flush_lsn()), false)";
    let row: (i64, i64, i64) = query_as(sql).bind(from).bind(to).fetch_one(connection).await.ok()?;
    let number = |count: i64| float(u64::try_from(count).unwrap_or_default());
    Some((number(row.0), number(row.1), number(row.2)))
}
