//! How often the agent was asked for each account, this hour and today (UTC): for budgets. Counted by the workers in memory and
//! added up here every second.

use crate::bulk::{Column, Kind, Rows};
use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::ConnectionId;
use sea_orm::FromQueryResult;

const COUNTS: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("turns", Kind::BigInt),
];

const HOLDS: &[Column] = &[Column("key", Kind::Text), Column("until", Kind::BigInt)];

/// Milliseconds of an hour, and of a day.
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 86_400_000;

/// How often the agent was asked for an account.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct TurnCount {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The tenant.
    pub subaccount_id: String,
    /// Its Instagram account.
    pub instagram_account_id: String,
    /// Whether the operator's key asks, and not one of the tenant's own.
    pub is_shared: bool,
    /// In this hour.
    pub hour_turns: i64,
    /// Today.
    pub day_turns: i64,
}

/// Turns that a used-up budget holds back: the poller passes them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnHold {
    /// Whose.
    pub key: String,
    /// Until then, in milliseconds.
    pub until: Millis,
}

impl TurnHold {
    /// The key of an account.
    pub fn of_account(account: &str) -> String {
        format!("account:{account}")
    }

    /// The key of a subaccount.
    pub fn of_subaccount(subaccount: &str) -> String {
        format!("subaccount:{subaccount}")
    }

    /// The key of all that the operator's key asks.
    pub fn of_all() -> String {
        "all".to_owned()
    }
}

/// Whether a hold applies to the turns of connection `k`, in SQL.
pub(crate) const IS_HELD: &str = "EXISTS (SELECT 1 FROM turn_holds h WHERE h.until > (SELECT {now}) AND (\
    h.key IN ('account:' || k.instagram_account_id, 'subaccount:' || k.subaccount_id) \
    OR (h.key = 'all' AND NOT EXISTS (SELECT 1 FROM provider_keys p WHERE p.subaccount_id = k.subaccount_id))))";

impl Store {
    /// Writes down what is held back; forgets what is over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn hold_turns(&self, mut holds: Vec<TurnHold>) -> Result<()> {
        self.mark("DELETE FROM turn_holds WHERE until <= (SELECT {now})", Vec::new()).await?;
        if holds.is_empty() {
            return Ok(());
        }
        holds.sort_by(|a, b| a.key.cmp(&b.key));
        let mut rows = Rows::new(HOLDS);
        for hold in holds {
            rows.push(vec![hold.key.into(), hold.until.into()]);
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "INSERT INTO turn_holds (key, until) SELECT u.key, u.until FROM {source} WHERE TRUE \
             ON CONFLICT (key) DO UPDATE SET until = excluded.until"
        );
        self.mark(&sql, values).await?;
        Ok(())
    }

    /// Whether anything is held back now.
    pub(crate) async fn holds_turns(&self) -> Result<bool> {
        let sql = "SELECT 1 FROM turn_holds WHERE until > (SELECT {now}) LIMIT 1";
        Ok(!self.mark_rows(sql, Vec::new()).await?.is_empty())
    }

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

    /// Forgets the counts of former days.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_turn_counts(&self) -> Result<()> {
        self.mark(&format!("DELETE FROM turn_counts WHERE day < {{now}} / {DAY}"), Vec::new()).await?;
        Ok(())
    }

    /// The counts of accounts whose agent was asked today.
    ///
    /// # Errors
    /// What the database says.
    pub async fn turn_counts(&self) -> Result<Vec<TurnCount>> {
        let sql = format!(
            "SELECT t.connection_id, t.subaccount_id, k.instagram_account_id, t.day_turns, \
                NOT EXISTS (SELECT 1 FROM provider_keys p WHERE p.subaccount_id = t.subaccount_id) AS is_shared, \
                CASE WHEN t.hour = {{now}} / {HOUR} THEN t.hour_turns ELSE 0 END AS hour_turns \
             FROM turn_counts t JOIN instagram_connections k ON k.id = t.connection_id WHERE t.day = {{now}} / {DAY}"
        );
        let rows = self.mark_rows(&sql, Vec::new()).await?;
        rows.iter().map(|row| Ok(TurnCount::from_query_result(row, "")?)).collect()
    }
}
