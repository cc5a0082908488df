//! Chats as the frontend lists them, and what is shown of one.

use crate::pages::{Conditions, Page, Rows, in_list};
use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_entity::{activity, chat, turn};
use sea_orm::FromQueryResult;
use uuid::Uuid;

/// Which chats to list. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct ChatFilter {
    /// Of these connections; none means no chat at all.
    pub connections: Vec<ConnectionId>,
    /// Of this Instagram user.
    pub user: Option<String>,
    /// Whose user's handle, name or id contains this, whatever the case of its letters.
    pub q: Option<String>,
    /// In which this one answers.
    pub mode: Option<String>,
    /// With this flag.
    pub flag: Option<String>,
    /// After this one in the list: its last message's time, and its id.
    pub before: Option<(Millis, Uuid)>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

/// How many messages and turns a chat has, of its newest 10,000 each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatCounts {
    /// From the user.
    pub received: u64,
    /// To the user, by whomever.
    pub sent: u64,
    /// That were not sent for good, or of which nobody can know whether they were.
    pub failed: u64,
    /// That are to be sent, or whose outcome is being found out.
    pub waiting: u64,
    /// Questions to the agent.
    pub turns: u64,
}

/// Of a chat's messages no more are counted.
const COUNTED: u64 = 10_000;

#[derive(FromQueryResult)]
struct CountsRow {
    received: i64,
    sent: i64,
    failed: i64,
    waiting: i64,
    turns: i64,
}

impl Store {
    /// A page of chats, newest activity first.
    pub async fn chats(&self, filter: &ChatFilter) -> Result<Page<chat::Model, (Millis, Uuid)>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let mut wanted = Conditions::default();
        wanted.with("c.instagram_user_id = {}", filter.user.as_deref());
        wanted.with("c.mode = {}", filter.mode.as_deref());
        wanted.with("c.flag = {}", filter.flag.as_deref());
        wanted.contains(&["c.username", "c.name", "c.instagram_user_id"], filter.q.as_deref());
        let mut counted = wanted.clone();
        counted.any("c.connection_id", filter.connections.iter().map(|id| id.0));
        let total = self.count("chats c", &counted).await?;
        if let Some((at, id)) = filter.before {
            let (at, id) = (wanted.place(at), wanted.place(id));
            // The first half alone is what the index can begin at.
            wanted.must(format!("c.last_message_at <= {at} AND (c.last_message_at < {at} OR c.id < {id})"));
        }
        let rows = Rows {
            columns: "{c:chats.*}",
            from: "chats c",
            connection: "c.connection_id",
            table: "c",
            order: &["last_message_at", "id"],
        };
        let size = (filter.limit.saturating_add(1), filter.skip);
        let (sql, values) = rows.statement(&filter.connections, &wanted, size);
        let items = self.list(&sql, values).await?;
        Ok(Page::of(items, filter.limit, total, |chat: &chat::Model| (chat.last_message_at, chat.id)))
    }

    /// A chat by its id, if it is of one of these connections.
    pub async fn chat_of(&self, connections: &[ConnectionId], id: Uuid) -> Result<Option<chat::Model>> {
        let mut wanted = Conditions::default();
        wanted.with("id = {}", Some(id));
        wanted.any("connection_id", connections.iter().map(|id| id.0));
        let sql = format!("SELECT {{chats.*}} FROM chats WHERE {}", wanted.sql());
        Ok(self.read(&sql, wanted.values()).await?.into_iter().next())
    }

    /// How many messages and turns a chat has.
    pub async fn chat_counts(&self, chat: Uuid) -> Result<ChatCounts> {
        let sql = format!(
            "SELECT COUNT(*) FILTER (WHERE author = 'user' AND kind <> 'stub') AS received, \
                COUNT(*) FILTER (WHERE status = 'sent') AS sent, \
                COUNT(*) FILTER (WHERE status = 'failed' OR (status = 'unknown' AND deadline IS NULL)) AS failed, \
                COUNT(*) FILTER (WHERE status IN ('queued', 'sending') \
                    OR (status = 'unknown' AND deadline IS NOT NULL)) AS waiting, \
                (SELECT COUNT(*) FROM (SELECT 1 AS one FROM turns WHERE chat_id = $1 LIMIT {COUNTED}) t) AS turns \
             FROM (SELECT author, kind, status, deadline FROM messages WHERE chat_id = $1 \
                ORDER BY seq DESC LIMIT {COUNTED}) m"
        );
        let rows: Vec<CountsRow> = self.list(&sql, vec![chat.into()]).await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(rows.first().map_or_else(ChatCounts::default, |row| ChatCounts {
            received: count(row.received),
            sent: count(row.sent),
            failed: count(row.failed),
            waiting: count(row.waiting),
            turns: count(row.turns),
        }))
    }

    /// These turns of a chat, oldest first.
    pub async fn turns_of_messages(&self, chat: Uuid, turn_ids: &[Uuid]) -> Result<Vec<turn::Model>> {
        if turn_ids.is_empty() {
            return Ok(Vec::new());
        }
        let (list, mut values) = in_list(turn_ids, 2);
        values.insert(0, chat.into());
        let sql = format!("SELECT {{turns.*}} FROM turns WHERE chat_id = $1 AND id IN ({list}) ORDER BY id");
        self.read(&sql, values).await
    }

    /// When the agent fell silent in a chat and when it answered again, newest first.
    pub async fn mode_changes(
        &self,
        chat: Uuid,
        since: Millis,
        until: Millis,
        most: u64,
    ) -> Result<Vec<activity::Model>> {
        let sql = "SELECT {activities.*} FROM activities WHERE subject = $1 \
             AND kind IN ('INSTAGRAM_BOT_PAUSED', 'INSTAGRAM_BOT_RESUMED') AND at >= $2 AND at < $3 \
             ORDER BY id DESC LIMIT $4";
        let values = vec![chat.to_string().into(), since.into(), until.into(), most.into()];
        self.read(sql, values).await
    }
}
