//! What PostgreSQL was asked, by the text of the statement (`pg_stat_statements`).

use anyhow::{Context, Result};
use sea_orm::sqlx::{PgConnection, query, query_as};
use std::collections::BTreeMap;

/// A statement, its values left out, with what its runs came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Runs {
    pub(crate) calls: f64,
    /// How often it was planned; the rest ran a plan that was kept.
    pub(crate) plans: f64,
    /// Time to execute it.
    pub(crate) ms: f64,
    pub(crate) rows: f64,
    /// Pages of 8 KiB that were looked at, in memory or not.
    pub(crate) pages: f64,
    pub(crate) wal_bytes: f64,
}

/// The runs of every statement of one database, by its text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statements(pub(crate) BTreeMap<String, Runs>);

type Row = (String, i64, i64, f64, i64, i64, i64);

const READ: &str = "SELECT s.query, SUM(s.calls)::bigint, SUM(s.plans)::bigint, SUM(s.total_exec_time), \
        SUM(s.rows)::bigint, SUM(s.shared_blks_hit + s.shared_blks_read)::bigint, SUM(s.wal_bytes)::bigint \
     FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1 GROUP BY s.query";

impl Statements {
    /// Those since [`Statements::forget`], read through a connection to another database than the one looked at.
    pub(crate) async fn of(connection: &mut PgConnection, database: &str) -> Result<Self> {
        let rows: Vec<Row> = query_as(READ)
            .bind(database)
            .fetch_all(connection)
            .await
            .context("pg_stat_statements cannot be read")?;
        let runs = rows.into_iter().map(|(text, calls, plans, ms, rows, pages, wal)| {
            let [calls, plans, rows, pages, wal_bytes] = [calls, plans, rows, pages, wal].map(float);
            (text, Runs { calls, plans, ms, rows, pages, wal_bytes })
        });
        Ok(Self(runs.collect()))
    }

    pub(crate) async fn forget(connection: &mut PgConnection) -> Result<()> {
        query("SELECT pg_stat_statements_reset()").execute(connection).await?;
        Ok(())
    }

    /// How many were run, without `BEGIN`, `COMMIT` and their like.
    pub(crate) fn calls(&self) -> f64 {
        let asked = self.0.iter().filter(|(text, _)| !controls_a_transaction(text));
        asked.map(|(_, runs)| runs.calls).sum()
    }

    /// All together.
    pub(crate) fn sum(&self) -> Runs {
        self.0.values().fold(Runs::default(), |sum, runs| sum.with(*runs, 1.0))
    }

    /// These without so much of others, e.g. what was asked all the same while nothing was to be done.
    pub(crate) fn without(&self, others: &Self, share: f64) -> Self {
        let rest = self.0.iter().map(|(text, runs)| {
            let other = others.0.get(text).copied().unwrap_or_default();
            (text.clone(), runs.with(other, -share))
        });
        Self(rest.collect())
    }

    /// The `most` that come first by this, the greatest first.
    pub(crate) fn top(&self, most: usize, by: impl Fn(&Runs) -> f64) -> Vec<(&String, &Runs)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by(|a, b| by(b.1).total_cmp(&by(a.1)));
        all.truncate(most);
        all
    }
}

impl Runs {
    fn with(self, other: Self, share: f64) -> Self {
        Self {
            calls: self.calls + share * other.calls,
            plans: self.plans + share * other.plans,
            ms: self.ms + share * other.ms,
            rows: self.rows + share * other.rows,
            pages: self.pages + share * other.pages,
            wal_bytes: self.wal_bytes + share * other.wal_bytes,
        }
    }

    /// The same of one run.
    pub(crate) fn each(self) -> Self {
        let calls = self.calls.max(f64::EPSILON);
        Self { calls: 1.0, ..Self::default().with(self, 1.0 / calls) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run fit a float")]
fn float(count: i64) -> f64 {
    count as f64
}

fn controls_a_transaction(text: &str) -> bool {
    let word = text.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    ["BEGIN", "START", "COMMIT", "ROLLBACK"].iter().any(|control| word.eq_ignore_ascii_case(control))
}

/// The longest text that is shown.
const SHOWN: usize = 150;

/// A statement in a line: lists of columns are left out, what is beyond [`SHOWN`] characters too.
pub(crate) fn shorten(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut list = 0;
    for word in text.split_whitespace() {
        // `a, b, c` is a list of columns; the first and the last stay.
        let listed = word.ends_with(',') && !word.contains(['(', ')', '\'']);
        list = if listed { list + 1 } else { 0 };
        if list <= 1 {
            words.push(word);
        } else if words.last() != Some(&"…") {
            words.push("…");
        }
    }
    let line = assignments(&clock(&words.join(" "))).replace('|', "¦");
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`, whatever of it is left out, is `now`.
fn clock(text: &str) -> String {
    let (begin, end) = ("(extract(", ")::bigint");
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begin) {
        let Some((_, after)) = after.split_once(end) else { break };
        whole.extend([before, "now"]);
        rest = after;
    }
    whole + rest
}

/// Of what an update sets, the first column says which it is.
fn assignments(text: &str) -> String {
    let parts =
        text.split_once(" SET ").and_then(|(before, rest)| Some((before, rest.split_once(" WHERE ")?)));
    match parts {
        Some((before, (set, after))) if before.starts_with("UPDATE") => {
            let (first, more) = set.split_once(", ").map_or((set, ""), |(first, _)| (first, ", …"));
            format!("{before} SET {first}{more} WHERE {after}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_columns_are_left_out() {
        let text = "SELECT id, connection_id, agent_id,\n name, at FROM chats WHERE id = $1 FOR UPDATE";
        assert_eq!(shorten(text), "SELECT id, … at FROM chats WHERE id = $1 FOR UPDATE");
        let text = "SELECT 1 WHERE due <= (extract($1 FROM clock_timestamp()) * $2)::bigint + $3";
        assert_eq!(shorten(text), "SELECT 1 WHERE due <= now + $3");
        let text = "UPDATE chats SET last_seq = $2, mode = $3 WHERE id = $1";
        assert_eq!(shorten(text), "UPDATE chats SET last_seq = $2, … WHERE id = $1");
        assert!(shorten(&"word ".repeat(100)).chars().count() <= SHOWN + 1);
    }

    #[test]
    fn what_runs_anyway_is_taken_off() {
        let runs = |calls| Runs { calls, ms: calls * 2.0, ..Runs::default() };
        let busy = Statements(BTreeMap::from([("a".to_owned(), runs(10.0)), ("b".to_owned(), runs(4.0))]));
        let idle = Statements(BTreeMap::from([("b".to_owned(), runs(1.0))]));
        let rest = busy.without(&idle, 2.0);
        assert!((rest.sum().calls - 12.0).abs() < 1e-9);
        assert_eq!(rest.top(1, |runs| runs.calls)[0].0, "a");
        assert!((rest.0["b"].each().ms - 2.0).abs() < 1e-9);
    }

    #[test]
    fn statements_that_begin_or_end_a_transaction_are_not_counted() {
        let runs = Runs { calls: 1.0, ..Runs::default() };
        let texts = ["BEGIN", "COMMIT", "rollback", "SELECT 1", "DELETE FROM events"];
        let all = Statements(texts.map(|text| (text.to_owned(), runs)).into());
        assert!((all.calls() - 2.0).abs() < 1e-9);
    }
}
