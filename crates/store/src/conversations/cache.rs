//! Which chat is that of a user: asked of the database once, then remembered, for it never changes.

use crate::bulk::{Column, Kind, Rows};
use crate::erase::user_key;
use crate::{Result, Store};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId};
use sea_orm::FromQueryResult;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many chats are remembered; then it begins anew.
const CHATS_MAX: usize = 100_000;

const USERS: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("connection_id", Kind::Uuid),
    Column("instagram_user_id", Kind::Text),
    Column("metadata", Kind::Text),
    Column("user_key", Kind::Uuid),
];

/// The chats of users, as far as this process has seen them.
#[derive(Debug)]
pub struct ChatIds {
    known: Mutex<HashMap<(ConnectionId, InstagramUserId), ChatId>>,
    most: usize,
}

impl Default for ChatIds {
    fn default() -> Self {
        Self::with_room_for(CHATS_MAX)
    }
}

/// The chat of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatOfUser {
    /// This one.
    Is(ChatId),
    /// None: the user was erased, and nothing has come since.
    Erased,
    /// None now: it was deleted in this moment, or its connection is disconnected or gone.
    Gone,
}

#[derive(FromQueryResult)]
struct Row {
    id: Option<ChatId>,
    connection_id: ConnectionId,
    instagram_user_id: String,
    erased_at: Option<i64>,
}

impl Row {
    fn chat(&self) -> ChatOfUser {
        match (self.id, self.erased_at) {
            (Some(id), _) => ChatOfUser::Is(id),
            (None, Some(_)) => ChatOfUser::Erased,
            (None, None) => ChatOfUser::Gone,
        }
    }
}

impl ChatIds {
    /// Remembers so many chats; then it begins anew.
    pub fn with_room_for(most: usize) -> Self {
        Self { known: Mutex::default(), most }
    }

    /// The chats of these users, in their order, created where missing, except for a user who was erased and has not written
    /// since.
    ///
    /// # Errors
    /// What the database says.
    pub async fn of(
        &self,
        store: &Store,
        users: &[(ConnectionId, InstagramUserId)],
    ) -> Result<Vec<ChatOfUser>> {
        let mut chats: Vec<Option<ChatOfUser>> = {
            let known = self.lock();
            users.iter().map(|user| known.get(user).copied().map(ChatOfUser::Is)).collect()
        };
        let unknown: Vec<_> = users
            .iter()
            .zip(&chats)
            .filter(|(_, chat)| chat.is_none())
            .map(|(user, _)| user.clone())
            .collect();
        if !unknown.is_empty() {
            let found = ensure(store, &unknown).await?;
            let mut places = found.iter().copied();
            for chat in chats.iter_mut().filter(|chat| chat.is_none()) {
                *chat = places.next();
            }
            let mut known = self.lock();
            if known.len() + unknown.len() > self.most {
                known.clear();
            }
            let is = |(user, chat)| match chat {
                ChatOfUser::Is(id) => Some((user, id)),
                ChatOfUser::Erased | ChatOfUser::Gone => None,
            };
            known.extend(unknown.into_iter().zip(found).filter_map(is));
        }
        Ok(chats.into_iter().map(|chat| chat.unwrap_or(ChatOfUser::Gone)).collect())
    }

    /// The chat is gone: erased.
    pub fn forget(&self, connection: ConnectionId, user: &InstagramUserId) {
        self.lock().remove(&(connection, user.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(ConnectionId, InstagramUserId), ChatId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an erased user has done since that begins a conversation anew. What only changes or takes back a message is about
/// one that is erased.
const BEGINS: &str = "e.kind NOT IN ('edit', 'unsend', 'read', 'reaction', 'feedback') \
     AND (e.kind <> 'echo' OR e.at > t.at + 60000)";

/// The chats of these users, in their order; made, in the order of the users, if they are not there, unless the user was
/// erased and nothing has come since.
pub(super) async fn ensure(
    store: &Store,
    users: &[(ConnectionId, InstagramUserId)],
) -> Result<Vec<ChatOfUser>> {
    let mut sorted: Vec<_> = users.to_vec();
    sorted.sort();
    sorted.dedup();
    let mut rows = Rows::new(USERS);
    for (connection, user) in &sorted {
        let metadata = serde_json::json!({ "instagram_user_id": user.as_str(), "channel": "instagram" });
        rows.push(vec![
            ChatId::new().into(),
            (*connection).into(),
            user.as_str().into(),
            metadata.to_string().into(),
            user_key(user).into(),
        ]);
    }
    let mut values = Vec::new();
    let table = rows.as_table(store.dialect, "u", &mut values);
    let sql = format!(
        "INSERT INTO chats (id, connection_id, agent_id, instagram_user_id, chat_status, metadata, mode, \
            erased_at, created_at, updated_at) \
         SELECT u.id, k.id, k.agent_id, u.instagram_user_id, 'ongoing', u.metadata, 'bot', COALESCE(t.at, 0), \
            {{now}}, {{now}} \
         FROM {table} JOIN instagram_connections k ON k.id = u.connection_id AND k.status <> 'disconnected' \
         LEFT JOIN erased_users t ON t.user_key = u.user_key AND t.connection_id = k.id \
         WHERE t.at IS NULL OR EXISTS (SELECT 1 FROM events e WHERE e.thread = u.instagram_user_id \
            AND e.account = k.instagram_account_id AND e.state = 'new' AND e.at > t.at AND {BEGINS}) \
         ORDER BY u.instagram_user_id, u.connection_id \
         ON CONFLICT (instagram_user_id, connection_id) DO NOTHING"
    );
    let tx = store.begin_grouped().await?;
    tx.execute(&sql, values).await?;
    // Somebody who was erased while their conversation was made: their erasure is seen only now.
    let mut values = Vec::new();
    let table = rows.as_table(store.dialect, "u", &mut values);
    let sql = format!(
        "UPDATE chats SET erased_at = t.at FROM {table}, erased_users t \
         WHERE chats.instagram_user_id = u.instagram_user_id AND chats.connection_id = u.connection_id \
            AND t.user_key = u.user_key AND t.connection_id = u.connection_id AND chats.erased_at < t.at"
    );
    tx.execute(&sql, values).await?;
    let mut values = Vec::new();
    let table = rows.as_table(store.dialect, "u", &mut values);
    let sql = format!(
        "SELECT c.id, u.connection_id, u.instagram_user_id, t.at AS erased_at FROM {table} \
         JOIN instagram_connections k ON k.id = u.connection_id AND k.status <> 'disconnected' \
         LEFT JOIN chats c ON c.instagram_user_id = u.instagram_user_id AND c.connection_id = u.connection_id \
         LEFT JOIN erased_users t ON t.user_key = u.user_key AND t.connection_id = u.connection_id"
    );
    let found: Vec<Row> = tx.query(&sql, values).await?;
    tx.commit().await?;
    let chats: HashMap<(ConnectionId, &str), ChatOfUser> =
        found.iter().map(|row| ((row.connection_id, row.instagram_user_id.as_str()), row.chat())).collect();
    let chat = |(connection, user): &(ConnectionId, InstagramUserId)| {
        chats.get(&(*connection, user.as_str())).copied().unwrap_or(ChatOfUser::Gone)
    };
    Ok(users.iter().map(chat).collect())
}
