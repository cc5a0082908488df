//! What the operator of the whole installation looks at: lists that keep to no subaccount unless asked, by the
//! people at the command line and never by a caller of the API.

use crate::dead_letters::OPEN;
use crate::pages::Conditions;
use crate::{Backlog, Connection, Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::{ConnectionStatus, DeadLetterState};
use dmrelay_entity::{api_key, dead_letter, instagram_connection};
use sea_orm::FromQueryResult;
use std::collections::HashMap;
use uuid::Uuid;

/// Which dead letters to look for. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct LetterSearch {
    /// Of this subaccount.
    pub subaccount: Option<SubaccountId>,
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Of this chat.
    pub chat: Option<Uuid>,
    /// That failed for this.
    pub class: Option<String>,
    /// That speak of this: `event`, `turn` or `message`.
    pub kind: Option<String>,
    /// Of which this became.
    pub state: Option<DeadLetterState>,
    /// Not older than this.
    pub since: Option<Millis>,
    /// Older than this.
    pub created_before: Option<Millis>,
}

/// A gate that is closed.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct GateRow {
    /// What it stands before, as [`crate::GateKey`] shows itself.
    pub key: String,
    /// Until then.
    pub closed_until: Millis,
    /// Why.
    pub reason: Option<String>,
}

#[derive(FromQueryResult)]
struct BacklogRow {
    connection_id: Uuid,
    turns: i64,
    outboxes: i64,
}

impl LetterSearch {
    fn conditions(&self) -> Conditions {
        let mut wanted = Conditions::default();
        wanted.with("subaccount_id = {}", self.subaccount.as_ref().map(SubaccountId::as_str));
        wanted.with("connection_id = {}", self.connection.map(|id| id.0));
        wanted.with("chat_id = {}", self.chat);
        wanted.with("class = {}", self.class.as_deref());
        wanted.with("kind = {}", self.kind.as_deref());
        wanted.with("created_at >= {}", self.since);
        wanted.with("created_at < {}", self.created_before);
        match self.state {
            None => {}
            Some(DeadLetterState::Open) => wanted.must(OPEN),
            Some(DeadLetterState::Replayed) => wanted.must("replayed_at IS NOT NULL"),
            Some(DeadLetterState::Discarded) => wanted.must("discarded_at IS NOT NULL"),
        }
        wanted
    }
}

impl Store {
    /// The newest dead letters that fit.
    pub async fn newest_letters(&self, search: &LetterSearch, most: u64) -> Result<Vec<dead_letter::Model>> {
        self.some("dead_letters", search.conditions(), "id DESC", most).await
    }

    /// The oldest dead letters that fit, after one of them.
    pub async fn oldest_letters(
        &self,
        search: &LetterSearch,
        after: Option<Uuid>,
        most: u64,
    ) -> Result<Vec<dead_letter::Model>> {
        let mut wanted = search.conditions();
        wanted.with("id > {}", after);
        self.some("dead_letters", wanted, "id", most).await
    }

    /// The dead letters with these ids, in any order.
    pub async fn letters_with_ids(&self, ids: &[Uuid]) -> Result<Vec<dead_letter::Model>> {
        let mut wanted = Conditions::default();
        wanted.any("id", ids.iter().copied());
        self.some("dead_letters", wanted, "id", ids.len() as u64).await
    }

    /// The newest connections, of a subaccount if it is named; disconnected ones only where they are asked for.
    /// Rows that this version cannot read are left out.
    pub async fn connections_of_all(
        &self,
        subaccount: Option<&SubaccountId>,
        status: Option<ConnectionStatus>,
        most: u64,
    ) -> Result<Vec<Connection>> {
        let mut wanted = Conditions::default();
        wanted.with("subaccount_id = {}", subaccount.map(SubaccountId::as_str));
        wanted.with("status = {}", status.map(ConnectionStatus::as_str));
        if status.is_none() {
            wanted.must("status <> 'disconnected'");
        }
        let rows: Vec<instagram_connection::Model> =
            self.some("instagram_connections", wanted, "id DESC", most).await?;
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// What waits in each connection; nothing does in one that is not named.
    pub async fn backlogs(&self) -> Result<HashMap<ConnectionId, Backlog>> {
        let sql = "SELECT connection_id, COUNT(turn_due_at) AS turns, COUNT(outbox_due_at) AS outboxes FROM chats \
             WHERE turn_due_at IS NOT NULL OR outbox_due_at IS NOT NULL GROUP BY connection_id";
        let rows: Vec<BacklogRow> = self.list(sql, Vec::new()).await?;
        let backlog = |row: &BacklogRow| Backlog { turns: row.turns, outboxes: row.outboxes };
        Ok(rows.iter().map(|row| (row.connection_id.into(), backlog(row))).collect())
    }

    /// The gates that are closed now.
    pub async fn closed_gate_rows(&self) -> Result<Vec<GateRow>> {
        let sql = "SELECT key, closed_until, reason FROM gates WHERE closed_until > {now} ORDER BY key";
        self.read(sql, Vec::new()).await
    }

    /// The newest API keys, of a subaccount if it is named; those that expired or were revoked too.
    pub async fn api_keys_of_all(
        &self,
        subaccount: Option<&SubaccountId>,
        most: u64,
    ) -> Result<Vec<api_key::Model>> {
        let mut wanted = Conditions::default();
        wanted.with("subaccount_id = {}", subaccount.map(SubaccountId::as_str));
        self.some("api_keys", wanted, "id DESC", most).await
    }

    /// An API key by its id, whosever it is.
    pub async fn api_key_with_id(&self, id: Uuid) -> Result<Option<api_key::Model>> {
        let mut wanted = Conditions::default();
        wanted.with("id = {}", Some(id));
        Ok(self.some("api_keys", wanted, "id", 1).await?.into_iter().next())
    }

    async fn some<T: FromQueryResult>(
        &self,
        table: &str,
        mut wanted: Conditions,
        order: &str,
        most: u64,
    ) -> Result<Vec<T>> {
        let condition = wanted.sql();
        let most = wanted.place(most);
        let sql =
            format!("SELECT {{{table}.*}} FROM {table} WHERE {condition} ORDER BY {order} LIMIT {most}");
        self.list(&sql, wanted.values()).await
    }
}
