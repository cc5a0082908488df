//! Chats at the agent's provider: the conversation and the key each was opened for, and the queue of those to delete there.

use crate::bulk::{Column, Kind, Rows};
use crate::{Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::{AgentChat, Conversation};
use dmrelay_domain::ids::ChatId;
use dmrelay_domain::text::truncate;
use dmrelay_entity::{agent_chat, agent_chat_deletion};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use std::time::Duration;

/// The length of the error of a deletion, in bytes.
const ERROR_BYTES_MAX: usize = 500;

const OPENED: &[Column] = &[
    Column("agent_chat_id", Kind::Text),
    Column("chat_id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("key_id", Kind::Uuid),
    Column("created_at", Kind::BigInt),
];

const CHATS: &[Column] = &[Column("chat_id", Kind::Uuid)];

const UNUSED: &[Column] =
    &[Column("agent_chat_id", Kind::Text), Column("subaccount_id", Kind::Text), Column("key_id", Kind::Uuid)];

const IDS: &[Column] = &[Column("agent_chat_id", Kind::Text)];

/// How many chats of one key are deleted at once.
const OF_KEY_MAX: u32 = 5;

/// Which agent chats are left.
pub(crate) enum Left {
    /// These.
    These(Vec<String>),
    /// Those of a conversation.
    OfChat(ChatId),
    /// Those that were replaced so long ago.
    Replaced(Duration),
}

/// How many agent chats replaced long ago are left at once.
const REPLACED_MAX: u64 = 1_000;

impl Store {
    /// An agent chat that nobody uses is to be deleted at its provider once `settled` has passed, unless a conversation has it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_unused_agent_chat(
        &self,
        subaccount: &str,
        unused: &AgentChat,
        settled: Duration,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let known = agent_chat::Entity::find_by_id(unused.id.as_str()).one(tx.connection()).await?;
        if known.is_none() {
            tx.delete_agent_chats(&[(subaccount, unused)], settled).await?;
        }
        tx.commit().await
    }

    /// Deletes at their provider, soon, the agent chats that were replaced so long ago. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_agent_chats(&self, age: Duration) -> Result<u64> {
        let tx = self.begin().await?;
        let left = tx.leave_agent_chats(&Left::Replaced(age), Duration::ZERO).await?;
        tx.commit().await?;
        Ok(left)
    }

    /// Agent chats that are due to be deleted, the longest due first. Each is reserved for `retry`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_agent_chats(
        &self,
        most: u64,
        retry: Duration,
    ) -> Result<Vec<agent_chat_deletion::Model>> {
        // A few of each key in turn: one whose key is refused delays nobody else's.
        let sql = format!(
            "UPDATE agent_chat_deletions SET due_at = (SELECT {{now}}) + $2, attempts = attempts + 1 WHERE agent_chat_id IN (\
                SELECT agent_chat_id FROM (SELECT agent_chat_id, due_at, \
                    ROW_NUMBER() OVER (PARTITION BY subaccount_id, key_id ORDER BY due_at) AS n FROM agent_chat_deletions \
                    WHERE due_at IS NOT NULL AND due_at <= (SELECT {{now}})) d WHERE n <= {OF_KEY_MAX} ORDER BY n, due_at LIMIT $1) \
             AND due_at <= (SELECT {{now}}) \
             RETURNING agent_chat_id, subaccount_id, key_id, due_at, attempts, error, created_at"
        );
        self.write(&sql, vec![most.into(), millis(retry).into()]).await
    }

    /// The agent chat is deleted at its provider, or was not there any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_chat_deleted(&self, agent_chat: &str) -> Result<()> {
        agent_chat_deletion::Entity::delete_by_id(agent_chat).exec(&self.writer()).await?;
        Ok(())
    }

    /// The agent chat could not be deleted: it is tried again after `delay`, unless it has been tried for `most`. True if it is
    /// given up.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_chat_not_deleted(
        &self,
        agent_chat: &str,
        error: &str,
        delay: Duration,
        most: Duration,
    ) -> Result<bool> {
        use agent_chat_deletion::Column;
        let is_old = Column::CreatedAt.into_expr().lt(self.clock().sub(millis(most)));
        let of = |is_old: Expr| Column::AgentChatId.eq(agent_chat).and(is_old);
        let failed = || {
            agent_chat_deletion::Entity::update_many()
                .col_expr(Column::Error, Expr::val(Some(truncate(error, ERROR_BYTES_MAX))))
        };
        let give_up = failed().col_expr(Column::DueAt, Expr::val(None::<i64>)).filter(of(is_old.clone()));
        if give_up.exec(&self.writer()).await?.rows_affected > 0 {
            return Ok(true);
        }
        let put_off =
            failed().col_expr(Column::DueAt, self.clock().add(millis(delay))).filter(of(is_old.not()));
        put_off.exec(&self.writer()).await?;
        Ok(false)
    }

    /// How many agent chats are to be deleted at their provider, and how many of them were given up.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_chats_to_delete(&self) -> Result<(u64, u64)> {
        use agent_chat_deletion::Column;
        let all = agent_chat_deletion::Entity::find();
        let given_up = all.clone().filter(Column::DueAt.is_null()).count(&self.reader()).await?;
        Ok((all.count(&self.reader()).await? - given_up, given_up))
    }

    /// Whether agent chats of a subaccount are still to be deleted with a key of its own.
    pub(crate) async fn needs_own_key(&self, subaccount: &str) -> Result<bool> {
        use agent_chat_deletion::Column;
        let waiting = agent_chat_deletion::Entity::find()
            .filter(Column::SubaccountId.eq(subaccount))
            .filter(Column::KeyId.is_not_null())
            .filter(Column::DueAt.is_not_null());
        Ok(waiting.count(&self.writer()).await? > 0)
    }
}

impl Tx {
    /// Writes down which agent chats were opened, are left, and are not used.
    pub(crate) async fn save_agent_chats(&self, conversations: &[&Conversation]) -> Result<()> {
        let (mut opened, mut chats, mut unused) = (Rows::new(OPENED), Rows::new(CHATS), Vec::new());
        let mut former = Vec::new();
        for one in conversations {
            let subaccount = one.connection.subaccount.as_str();
            for agent_chat in &one.changes.opened_agent_chats {
                chats.push(vec![one.chat.id.into()]);
                opened.push(vec![
                    agent_chat.id.as_str().into(),
                    one.chat.id.into(),
                    subaccount.into(),
                    agent_chat.key.into(),
                    one.now.into(),
                ]);
            }
            unused.extend(one.changes.unused_agent_chats.iter().map(|unused| (subaccount, unused)));
            former.extend(one.changes.former_agent_chats.iter().cloned());
        }
        if !opened.is_empty() {
            let mut values = Vec::new();
            let table = chats.as_table(self.dialect, "u", &mut values);
            let sql = format!(
                "UPDATE agent_chats SET replaced_at = (SELECT {{now}}) FROM {table} \
                 WHERE agent_chats.chat_id = u.chat_id AND agent_chats.replaced_at IS NULL"
            );
            self.execute(&sql, values).await?;
            let mut values = Vec::new();
            let table = opened.as_table(self.dialect, "u", &mut values);
            let sql = format!(
                "INSERT INTO agent_chats (agent_chat_id, chat_id, subaccount_id, key_id, created_at) \
                 SELECT u.agent_chat_id, u.chat_id, u.subaccount_id, u.key_id, u.created_at FROM {table} \
                 WHERE TRUE ON CONFLICT (agent_chat_id) DO NOTHING"
            );
            self.execute(&sql, values).await?;
        }
        if !former.is_empty() {
            self.leave_agent_chats(&Left::These(former), Duration::ZERO).await?;
        }
        self.delete_agent_chats(&unused, Duration::ZERO).await
    }

    /// These agent chats are left, and to be deleted at their provider once `settled` has passed. Gives how many.
    pub(crate) async fn leave_agent_chats(&self, left: &Left, settled: Duration) -> Result<u64> {
        let mut values = Vec::new();
        let which = match left {
            Left::These(ids) => {
                let table = Rows::of_each(IDS, ids.iter().map(String::as_str)).as_table(
                    self.dialect,
                    "u",
                    &mut values,
                );
                format!("agent_chat_id IN (SELECT u.agent_chat_id FROM {table})")
            }
            Left::OfChat(chat) => {
                values.push((*chat).into());
                "chat_id = $1".to_owned()
            }
            Left::Replaced(age) => {
                values.push(millis(*age).into());
                format!(
                    "agent_chat_id IN (SELECT agent_chat_id FROM agent_chats WHERE replaced_at IS NOT NULL \
                     AND replaced_at < (SELECT {{now}}) - $1 ORDER BY replaced_at LIMIT {REPLACED_MAX})"
                )
            }
        };
        let sql = format!(
            "DELETE FROM agent_chats WHERE {which} RETURNING agent_chat_id, chat_id, subaccount_id, key_id, \
             replaced_at, created_at"
        );
        let rows: Vec<agent_chat::Model> = self.query(&sql, values).await?;
        let unused: Vec<_> = rows
            .into_iter()
            .map(|row| (row.subaccount_id, AgentChat { id: row.agent_chat_id, key: row.key_id, agent: None }))
            .collect();
        let unused: Vec<_> = unused.iter().map(|(subaccount, chat)| (subaccount.as_str(), chat)).collect();
        self.delete_agent_chats(&unused, settled).await?;
        Ok(unused.len() as u64)
    }

    /// These chats at the agent's provider, each of a subaccount, are to be deleted once `settled` has passed.
    pub(crate) async fn delete_agent_chats(
        &self,
        unused: &[(&str, &AgentChat)],
        settled: Duration,
    ) -> Result<()> {
        if unused.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::new(UNUSED);
        for (subaccount, chat) in unused {
            rows.push(vec![chat.id.as_str().into(), (*subaccount).into(), chat.key.into()]);
        }
        let mut values = vec![millis(settled).into()];
        let table = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "INSERT INTO agent_chat_deletions (agent_chat_id, subaccount_id, key_id, due_at, attempts, created_at) \
             SELECT u.agent_chat_id, u.subaccount_id, u.key_id, (SELECT {{now}}) + $1, 0, (SELECT {{now}}) FROM {table} \
             WHERE TRUE ON CONFLICT (agent_chat_id) DO NOTHING"
        );
        self.execute(&sql, values).await?;
        Ok(())
    }
}
