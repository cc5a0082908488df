//! Customers who wait for an answer, from when they wrote, whatever is retried meanwhile.

use crate::breakers::FAILURES;
use crate::pauses::is_paused;
use crate::turn_counts::IS_HELD;
use crate::{Call, Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use sea_orm::FromQueryResult;
use std::time::Duration;

/// Maximum number of rows read of each kind, so that the cost of the statement does not grow with the length of an outage.
const ROWS_MAX: u32 = 20_000;

/// The same of open turns and unsent messages, which are found by an index that does not know their account.
const SCAN_MAX: u32 = 100_000;

/// Conversations that wait at one stage. One that waits for an unsent answer, and for an answer to newer messages, counts at
/// both.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Waiting {
    /// `inbox`: a webhook's events are not taken in yet; `ask`: the agent has not been asked; `agent`: it is being asked, or
    /// the outcome of a question is looked up; `send`: its answer has not been sent; `held`: an account that needs its
    /// business, or that Meta throttles, a paused agent, a used-up budget, a pause of the operator's.
    pub stage: String,
    /// How many, of the first 20,000.
    pub conversations: i64,
    /// How many of them have waited for too long.
    pub late: i64,
    /// How long the one has waited that has waited longest, in milliseconds.
    pub oldest_ms: Millis,
}

/// Accounts whose conversations wait for nothing but dmrelay, and those whose conversations wait for something else; of
/// connection `k`, in SQL. Each is counted up to its own bound, so that many of the latter hide none of the former.
const LIVE: &str = "k.status = 'connected' AND NOT k.bot_paused";
const STOPPED: &str =
    "(k.status IN ('reauth_required', 'restricted') OR (k.status = 'connected' AND k.bot_paused))";

impl Store {
    /// The conversations whose customer waits for an answer of the agent, of accounts that are not disconnected. `late` is
    /// how long is too long.
    ///
    /// # Errors
    /// What the database says.
    pub async fn waiting(&self, late: Duration) -> Result<Vec<Waiting>> {
        let row = |held: &str, stage: &str, since: &str| {
            format!("SELECT CASE WHEN {held} THEN 'held' ELSE '{stage}' END AS stage, {since} AS since")
        };
        let inbox = format!(
            "{} FROM (SELECT account, thread, MIN(at) AS at, MIN(ready_at) AS ready_at FROM (\
                SELECT account, thread, at, ready_at FROM events \
                WHERE due_at IS NOT NULL AND kind IN ('message', 'postback') LIMIT {ROWS_MAX}) e GROUP BY account, thread) w",
            row("w.ready_at > (SELECT {now})", "inbox", "w.at"),
        );
        let mut parts = vec![inbox];
        let account = "JOIN instagram_connections k ON k.id = w.connection_id";
        for accounts in [LIVE, STOPPED] {
            let stopped = if accounts == LIVE { "FALSE" } else { "TRUE" };
            // The words of two partial indexes.
            for attempts in ["= 0", "> 0"] {
                parts.push(format!(
                    "{} FROM (SELECT w.id, w.connection_id FROM chats w {account} AND {accounts} \
                        WHERE w.turn_due_at IS NOT NULL AND w.turn_attempts {attempts} AND w.mode = 'bot' AND NOT EXISTS (\
                            SELECT 1 FROM turns t WHERE t.chat_id = w.id AND t.state IN ('asking', 'reconciling', 'waiting')) \
                        LIMIT {ROWS_MAX}) w {account}",
                    row(
                        &format!("{stopped} OR {IS_HELD} OR {}", is_paused(Call::Ask)),
                        "ask",
                        "(SELECT MIN(m.at) FROM messages m WHERE m.chat_id = w.id AND m.needs_answer AND m.turn_id IS NULL)"
                    ),
                ));
            }
        }
        // While its agent is paused, what was asked is looked up all the same.
        let is_held = format!(
            "k.status <> 'connected' OR (k.bot_paused AND w.state = 'waiting') OR {}",
            is_paused(Call::Ask)
        );
        parts.push(format!(
            "{} FROM (SELECT connection_id, state, written_at FROM turns \
                WHERE state IN ('asking', 'reconciling', 'waiting') AND withdrawn IS NULL LIMIT {SCAN_MAX}) w \
                {account} AND ({LIVE} OR {STOPPED})",
            row(&is_held, "agent", "w.written_at")
        ));
        let is_held = format!(
            "{STOPPED} OR EXISTS (SELECT 1 FROM gates g WHERE g.key = 'graph:account:' || k.instagram_account_id \
                AND g.failures < {FAILURES} AND g.closed_until > (SELECT {{now}})) OR {}",
            is_paused(Call::Send)
        );
        parts.push(format!(
            "{} FROM (SELECT o.connection_id, MIN(t.written_at) AS since FROM (\
                    SELECT connection_id, chat_id, turn_id FROM messages \
                    WHERE status IN ('queued', 'sending', 'unknown') AND author = 'agent' \
                        AND NOT (status = 'unknown' AND deadline IS NULL) LIMIT {SCAN_MAX}) o \
                JOIN turns t ON t.id = o.turn_id GROUP BY o.chat_id, o.connection_id) w \
                {account} AND ({LIVE} OR {STOPPED})",
            row(&is_held, "send", "w.since")
        ));
        let all = parts.join(" UNION ALL ");
        let sql = format!(
            "SELECT stage, COUNT(*) AS conversations, \
                COALESCE(SUM(CASE WHEN since < (SELECT {{now}}) - $1 THEN 1 ELSE 0 END), 0) AS late, \
                CASE WHEN MIN(since) < (SELECT {{now}}) THEN (SELECT {{now}}) - MIN(since) ELSE 0 END AS oldest_ms \
             FROM ({all}) w WHERE since IS NOT NULL GROUP BY stage"
        );
        // Planned like the poller's statements: by index, also before the database knows how large its tables are.
        let rows = self.mark_rows(&sql, vec![millis(late).into()]).await?;
        rows.iter().map(|row| Ok(Waiting::from_query_result(row, "")?)).collect()
    }
}
