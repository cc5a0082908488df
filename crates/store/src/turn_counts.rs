//! How often the agent was asked for each account, this hour and today (UTC): for budgets. Counted by the workers in memory and
//! added up here every second.

use crate::bulk::{Column, Kind, Rows};
use crate::{Result, Store};
use dmrelay_domain::ids::ConnectionId;
use sea_orm::FromQueryResult;

const COUNTS: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("turns", Kind::BigInt),
];

/// Milliseconds of an hour, and of a day.
const HOUR: i64 = 3_600_000;
const DAY: i64 = 86_400_000;

/// How often the agent was asked for an account.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct TurnCount {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The tenant.
    pub subaccount_id: String,
    /// In this hour.
    pub hour_turns: i64,
    /// Today.
    pub day_turns: i64,
}

impl Store {
    /// Adds turns to the counts: each connection at most once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn add_turn_counts(&self, mut counts: Vec<(ConnectionId, String, i64)>) -> Result<()> {
        if counts.is_empty() {
            return Ok(());
        }
        // In one order, so that two workers wait for each other and do not deadlock.
        counts.sort();
        let mut rows = Rows::new(COUNTS);
        for (connection, subaccount, turns) in counts {
            rows.push(vec![connection.into(), subaccount.into(), turns.into()]);
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let added = |what: &str| {
            format!(
                "{what}_turns = CASE WHEN turn_counts.{what} = excluded.{what} THEN turn_counts.{what}_turns ELSE 0 END \
                 + excluded.{what}_turns, {what} = excluded.{what}"
            )
        };
        let sql = format!(
            "INSERT INTO turn_counts (connection_id, subaccount_id, hour, hour_turns, day, day_turns) \
             SELECT u.connection_id, u.subaccount_id, {{now}} / {HOUR}, u.turns, {{now}} / {DAY}, u.turns \
             FROM {source} WHERE TRUE ON CONFLICT (connection_id) DO UPDATE SET subaccount_id = excluded.subaccount_id, {}, {}",
            added("hour"),
            added("day")
        );
        self.mark(&sql, values).await?;
        Ok(())
    }

    /// The counts of accounts whose agent was asked today.
    ///
    /// # Errors
    /// What the database says.
    pub async fn turn_counts(&self) -> Result<Vec<TurnCount>> {
        let sql = format!(
            "SELECT connection_id, subaccount_id, day_turns, \
                CASE WHEN hour = {{now}} / {HOUR} THEN hour_turns ELSE 0 END AS hour_turns \
             FROM turn_counts WHERE day = {{now}} / {DAY}"
        );
        let rows = self.mark_rows(&sql, Vec::new()).await?;
        rows.iter().map(|row| Ok(TurnCount::from_query_result(row, "")?)).collect()
    }
}
