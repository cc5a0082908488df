//! What operators watch: how old the oldest due work is, and how much there is.

use crate::{Result, Store};
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

impl Store {
    /// The oldest due event, turn and outbox, of connections in use whose agent is not paused.
    pub async fn oldest_due(&self) -> Result<[(&'static str, Due); 3]> {
        let chats = |what: &str| {
            format!(
                "SELECT CASE WHEN MIN(c.{what}_due_at) < {{now}} THEN {{now}} - MIN(c.{what}_due_at) ELSE 0 END AS oldest_ms \
                 FROM instagram_connections k JOIN chats c ON c.connection_id = k.id \
                 WHERE k.status = 'connected' AND NOT k.bot_paused AND c.{what}_due_at IS NOT NULL"
            )
        };
        // An event is due for real when it came; `due_at` moves with every dispatch.
        let events = "SELECT CASE WHEN MIN(received_at) < {now} THEN {now} - MIN(received_at) ELSE 0 END AS oldest_ms \
             FROM events WHERE due_at IS NOT NULL";
        let first = |rows: Vec<Due>| rows.into_iter().next().unwrap_or_default();
        Ok([
            ("ingest", first(self.read(events, Vec::new()).await?)),
            ("turn", first(self.read(&chats("turn"), Vec::new()).await?)),
            ("deliver", first(self.read(&chats("outbox"), Vec::new()).await?)),
        ])
    }

    /// Whether any event, turn or outbox of a connection in use waits for anything.
    pub async fn anything_due(&self) -> Result<bool> {
        let sql = "SELECT CAST(1 AS bigint) AS oldest_ms FROM events WHERE due_at IS NOT NULL \
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

    /// When the first token of a connection in use expires, in milliseconds from now.
    pub async fn first_token_expiry(&self) -> Result<Option<i64>> {
        #[derive(FromQueryResult)]
        struct Expiry {
            left: Option<i64>,
        }
        let sql = "SELECT MIN(token_expires_at) - {now} AS left FROM instagram_connections WHERE status = 'connected'";
        Ok(self.read::<Expiry>(sql, Vec::new()).await?.first().and_then(|row| row.left))
    }

    /// What waits in a connection.
    pub async fn backlog(&self, connection: ConnectionId) -> Result<Backlog> {
        let sql = "SELECT (SELECT COUNT(*) FROM chats WHERE connection_id = $1 AND turn_due_at IS NOT NULL) AS turns, \
             (SELECT COUNT(*) FROM chats WHERE connection_id = $1 AND outbox_due_at IS NOT NULL) AS outboxes";
        let rows = self.read(sql, vec![connection.0.into()]).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }
}
