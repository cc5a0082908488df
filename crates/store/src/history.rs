//! Messages as the frontend lists them, and the messages people send.

use crate::pages::{Conditions, Page, Rows, Total};
use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ConnectionId, MessageId};
use dmrelay_entity::message;
use sea_orm::FromQueryResult;
use uuid::Uuid;

/// Which messages to list. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of these connections; none means no message at all.
    pub connections: Vec<ConnectionId>,
    /// Of this Instagram user.
    pub user: Option<String>,
    /// Of this chat.
    pub chat: Option<Uuid>,
    /// That went this way.
    pub direction: Option<String>,
    /// In this state.
    pub status: Option<String>,
    /// Written by one of these.
    pub author: Option<String>,
    /// Whose text contains this, whatever the case of its letters.
    pub q: Option<String>,
    /// Not older than this, by Meta's time.
    pub since: Option<Millis>,
    /// Older than this, by Meta's time.
    pub until: Option<Millis>,
    /// Older than this message.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
    /// A search for `q` looks at no more than so many messages.
    pub search_most: u64,
}

/// A message with the Instagram user of its chat.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Listed {
    /// The message.
    #[sea_orm(nested)]
    pub message: message::Model,
    /// The user.
    pub instagram_user_id: String,
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

impl MessageFilter {
    /// Whether many messages may have to be read to find a few.
    fn has_no_index(&self) -> bool {
        self.q.is_some()
            || self.status.is_some()
            || self.author.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }
}

const TABLES: &str = "messages m JOIN chats c ON c.id = m.chat_id";

impl Store {
    /// A page of messages, newest first.
    ///
    /// A search, by text or by what no index orders, looks at the newest messages only; where that ends a page early, the next page goes on with
    /// the last message looked at, and the total is that of what was looked at.
    pub async fn messages(&self, filter: &MessageFilter) -> Result<Page<Listed>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let mut wanted = wanted(filter);
        if filter.has_no_index() {
            return self.search(filter, wanted).await;
        }
        let total = self.count(TABLES, &of_all(filter, &wanted)).await?;
        wanted.with("m.id < {}", filter.before);
        self.listed(filter, &wanted, total).await
    }

    async fn search(&self, filter: &MessageFilter, mut wanted: Conditions) -> Result<Page<Listed>> {
        let edge = self.search_edge(filter).await?;
        wanted.with("m.id < {}", filter.before);
        wanted.with("m.id >= {}", edge);
        let mut total = self.count(TABLES, &of_all(filter, &wanted)).await?;
        total.is_exact &= edge.is_none() && filter.before.is_none();
        let mut page = self.listed(filter, &wanted, total).await?;
        page.next = page.next.or(edge);
        Ok(page)
    }

    async fn listed(
        &self,
        filter: &MessageFilter,
        wanted: &Conditions,
        total: Total,
    ) -> Result<Page<Listed>> {
        let size = (filter.limit.saturating_add(1), filter.skip);
        let (sql, values) =
            rows(filter, "{m:messages.*}, c.instagram_user_id").statement(&filter.connections, wanted, size);
        let items = self.list(&sql, values).await?;
        Ok(Page::of(items, filter.limit, total, |listed: &Listed| listed.message.id))
    }

    /// The last of the newest messages that a search may look at; none where it may look at all of them.
    async fn search_edge(&self, filter: &MessageFilter) -> Result<Option<Uuid>> {
        let mut looked_at = scope(filter);
        looked_at.with("m.id < {}", filter.before);
        // Without a table more than is needed, so that the index alone is read.
        let from = if of_chats(filter) { TABLES } else { "messages m" };
        let rows = Rows { from, ..rows(filter, "m.id") };
        let last = (1, filter.search_most.saturating_sub(1));
        let (sql, values) = rows.statement(&filter.connections, &looked_at, last);
        Ok(self.list::<Id>(&sql, values).await?.first().map(|row| row.id))
    }

    /// The message a client sent before under the same key.
    pub async fn message_by_key(
        &self,
        connection: ConnectionId,
        key: &str,
    ) -> Result<Option<message::Model>> {
        let sql = "SELECT {messages.*} FROM messages WHERE connection_id = $1 AND idempotency_key = $2";
        Ok(self.read(sql, vec![connection.0.into(), key.into()]).await?.into_iter().next())
    }

    /// A message by its id.
    pub async fn message(&self, id: MessageId) -> Result<Option<message::Model>> {
        Ok(self
            .read("SELECT {messages.*} FROM messages WHERE id = $1", vec![id.0.into()])
            .await?
            .into_iter()
            .next())
    }
}

/// Whether only messages of certain chats are wanted.
fn of_chats(filter: &MessageFilter) -> bool {
    filter.chat.is_some() || filter.user.is_some()
}

/// The column by which a connection's messages are found: those of certain chats through their chat.
fn connection_column(filter: &MessageFilter) -> &'static str {
    if of_chats(filter) { "c.connection_id" } else { "m.connection_id" }
}

fn rows<'a>(filter: &MessageFilter, columns: &'a str) -> Rows<'a> {
    Rows { columns, from: TABLES, connection: connection_column(filter), table: "m", order: &["id"] }
}

/// Where a search may look.
fn scope(filter: &MessageFilter) -> Conditions {
    let mut scope = Conditions::default();
    scope.with("c.id = {}", filter.chat);
    scope.with("c.instagram_user_id = {}", filter.user.as_deref());
    scope
}

/// What a message must be, wherever the page begins.
fn wanted(filter: &MessageFilter) -> Conditions {
    let mut wanted = scope(filter);
    wanted.must("m.kind <> 'stub'");
    wanted.with("m.direction = {}", filter.direction.as_deref());
    wanted.with("m.status = {}", filter.status.as_deref());
    wanted.with("m.author = {}", filter.author.as_deref());
    wanted.with("m.at >= {}", filter.since);
    wanted.with("m.at < {}", filter.until);
    wanted.contains(&["m.text"], filter.q.as_deref());
    wanted
}

/// The same, of all connections at once.
fn of_all(filter: &MessageFilter, wanted: &Conditions) -> Conditions {
    let mut counted = wanted.clone();
    counted.any(connection_column(filter), filter.connections.iter().map(|id| id.0));
    counted
}
