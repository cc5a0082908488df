//! What operators watch: how old the oldest due work is, and how much there is.

use crate::dead_letters::OPEN;
use crate::gates::FAILURES;
use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::ConnectionId;
use sea_orm::FromQueryResult;

/// Due work of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Due {
    /// Since when the oldest is due, in milliseconds before now; 0 if nothing is.
    pub oldest_ms: i64,
}

/// What waits in a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Backlog {
    /// Chats whose turn is due or under way.
    pub turns: i64,
    /// Chats with something to send.
    pub outboxes: i64,
}

#[derive(FromQueryResult)]
struct StatusCount {
    status: String,
    n: i64,
}

/// Gates that are closed now.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct ClosedGates {
    /// `agent`, `graph_app` or `graph_account`.
    pub gate: String,
    /// `failing` where calls kept failing, `told` where the service said so.
    pub cause: String,
    /// How many.
    pub n: i64,
}

/// Connected accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct AccountCounts {
    /// Whose agent is paused.
    pub paused: i64,
    /// That have had no event for long.
    pub silent: i64,
    /// Whose token has expired.
    pub expired: i64,
    /// Whose token has less than a day left.
    pub one_day: i64,
    /// Less than seven days.
    pub seven_days: i64,
    /// Less than thirty.
    pub thirty_days: i64,
    /// More than that.
    pub more: i64,
    /// Whose token does not expire.
    pub endless: i64,
    /// When the first token expires, in milliseconds from now.
    pub first_expiry: Option<i64>,
}

/// The most dead letters that are counted.
const DEAD_LETTERS: u32 = 20_000;

/// The most due events that are looked at for the oldest.
const EVENTS: u32 = 1_000;

impl Store {
    /// The oldest due event, turn and outbox, of connections in use whose agent is not paused; of outboxes, those of
    /// accounts whose own gate is open. Of events, the oldest among a thousand of those that wait.
    pub async fn oldest_due(&self) -> Result<[(&'static str, Due); 3]> {
        // One look into the index for each connection, however much of it is due.
        let chats = |what: &str, gate: &str| {
            format!(
                "SELECT CASE WHEN MIN(due) < {{now}} THEN {{now}} - MIN(due) ELSE 0 END AS oldest_ms FROM (\
                    SELECT (SELECT MIN(c.due) FROM (\
                        SELECT MIN({what}_due_at) AS due FROM chats WHERE connection_id = k.id \
                            AND {what}_due_at IS NOT NULL AND {what}_attempts = 0 \
                        UNION ALL SELECT MIN({what}_due_at) AS due FROM chats WHERE connection_id = k.id \
                            AND {what}_due_at IS NOT NULL AND {what}_attempts > 0) c) AS due \
                    FROM instagram_connections k WHERE k.status = 'connected' AND NOT k.bot_paused{gate}) d"
            )
        };
        // What Meta lets an account not send now is not late by our doing.
        let held_back = " AND NOT EXISTS (SELECT 1 FROM gates g WHERE g.closed_until > {now} \
             AND g.key = 'graph:account:' || k.instagram_account_id)";
        // An event is due for real when it came; `due_at` moves with every dispatch.
        let events = format!(
            "SELECT CASE WHEN MIN(received_at) < {{now}} THEN {{now}} - MIN(received_at) ELSE 0 END AS oldest_ms \
             FROM (SELECT received_at FROM events WHERE due_at IS NOT NULL LIMIT {EVENTS}) e"
        );
        let first = |rows: Vec<Due>| rows.into_iter().next().unwrap_or_default();
        Ok([
            ("ingest", first(self.read(&events, Vec::new()).await?)),
            ("turn", first(self.read(&chats("turn", ""), Vec::new()).await?)),
            ("deliver", first(self.read(&chats("outbox", held_back), Vec::new()).await?)),
        ])
    }

    /// The gates that are closed now, by what they stand before and why.
    pub async fn closed_gates(&self) -> Result<Vec<ClosedGates>> {
        let sql = "SELECT CASE WHEN key = 'agent' OR key LIKE 'agent:%' THEN 'agent' WHEN key LIKE 'graph:app:%' THEN 'graph_app' \
                ELSE 'graph_account' END AS gate, \
             CASE WHEN failures >= $1 THEN 'failing' ELSE 'told' END AS cause, COUNT(*) AS n \
             FROM gates WHERE closed_until > {now} GROUP BY 1, 2";
        self.read(sql, vec![FAILURES.into()]).await
    }

    /// How many open dead letters there are of each class, counted up to a bound in all.
    pub async fn dead_letter_counts(&self) -> Result<Vec<(String, i64)>> {
        let sql = format!(
            "SELECT class AS status, COUNT(*) AS n FROM (SELECT class FROM dead_letters \
             WHERE {OPEN} LIMIT {DEAD_LETTERS}) d GROUP BY class"
        );
        let rows: Vec<StatusCount> = self.read(&sql, Vec::new()).await?;
        Ok(rows.into_iter().map(|row| (row.status, row.n)).collect())
    }

    /// How the connected accounts are. One without an event for `silent` milliseconds is silent.
    pub async fn account_counts(&self, silent: Millis) -> Result<AccountCounts> {
        let count = |what: &str| format!("COALESCE(SUM(CASE WHEN {what} THEN 1 ELSE 0 END), 0)");
        let left = |from: i64, to: i64| {
            let day = 86_400_000;
            count(&format!(
                "token_expires_at - {{now}} > {} AND token_expires_at - {{now}} <= {}",
                from * day,
                to * day
            ))
        };
        let sql = format!(
            "SELECT {paused} AS paused, {silent} AS silent, {expired} AS expired, {one} AS one_day, \
                {seven} AS seven_days, {thirty} AS thirty_days, {more} AS more, {endless} AS endless, \
                MIN(token_expires_at) - {{now}} AS first_expiry \
             FROM instagram_connections WHERE status = 'connected'",
            paused = count("bot_paused"),
            silent = count("COALESCE(last_event_at, connected_at, created_at) < {now} - $1"),
            expired = count("token_expires_at <= {now}"),
            one = left(0, 1),
            seven = left(1, 7),
            thirty = left(7, 30),
            more = count("token_expires_at - {now} > 2592000000"),
            endless = count("token_expires_at IS NULL"),
        );
        Ok(self.read(&sql, vec![silent.into()]).await?.into_iter().next().unwrap_or_default())
    }

    /// Whether any event, turn or outbox of a connection in use waits for anything.
    pub async fn anything_due(&self) -> Result<bool> {
        let sql = "SELECT CAST(1 AS bigint) AS oldest_ms FROM events WHERE due_at IS NOT NULL \
             UNION ALL SELECT CAST(1 AS bigint) AS oldest_ms FROM turns t JOIN instagram_connections k ON k.id = t.connection_id \
             WHERE k.status = 'connected' AND t.state = 'asking' \
             UNION ALL SELECT CAST(1 AS bigint) AS oldest_ms FROM messages m JOIN instagram_connections k ON k.id = m.connection_id \
             WHERE k.status = 'connected' AND m.status = 'sending' \
             UNION ALL SELECT CAST(1 AS bigint) AS oldest_ms FROM chats c JOIN instagram_connections k ON k.id = c.connection_id \
             WHERE k.status = 'connected' AND (c.turn_due_at IS NOT NULL OR c.outbox_due_at IS NOT NULL) LIMIT 1";
        Ok(!self.read::<Due>(sql, Vec::new()).await?.is_empty())
    }

    /// How many events of the inbox are in a state. Reads the whole inbox: for tests and for people.
    pub async fn count_events(&self, state: &str) -> Result<i64> {
        let sql = "SELECT state AS status, COUNT(*) AS n FROM events WHERE state = $1 GROUP BY state";
        let rows: Vec<StatusCount> = self.read(sql, vec![state.into()]).await?;
        Ok(rows.first().map_or(0, |row| row.n))
    }

    /// How many connections are in each state.
    pub async fn connection_counts(&self) -> Result<Vec<(String, i64)>> {
        let sql = "SELECT status, COUNT(*) AS n FROM instagram_connections GROUP BY status";
        let rows: Vec<StatusCount> = self.read(sql, Vec::new()).await?;
        Ok(rows.into_iter().map(|row| (row.status, row.n)).collect())
    }

    /// What waits in a connection.
    pub async fn backlog(&self, connection: ConnectionId) -> Result<Backlog> {
        let sql = "SELECT (SELECT COUNT(*) FROM chats WHERE connection_id = $1 AND turn_due_at IS NOT NULL) AS turns, \
             (SELECT COUNT(*) FROM chats WHERE connection_id = $1 AND outbox_due_at IS NOT NULL) AS outboxes";
        let rows = self.read(sql, vec![connection.0.into()]).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }
}
