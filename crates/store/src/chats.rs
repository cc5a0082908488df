//! Chats: the row that everything of a conversation is done under.

use crate::{Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ChatId, InstagramUserId};
use dmrelay_domain::states::ChatMode;
use dmrelay_entity::{chat, instagram_connection};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};
use std::time::Duration;
use uuid::Uuid;

/// A chat's row, locked until the transaction ends, and the database's clock then. What is changed in
/// `row` becomes true with [`Tx::save_chat`].
#[derive(Debug, Clone)]
pub struct LockedChat {
    /// The row.
    pub row: chat::Model,
    /// The database's clock, in milliseconds.
    pub now: Millis,
    /// A job for the due turn is pushed right after the commit; the sweep waits a little before it does.
    pub turn_pushed: bool,
    /// The same for the outbox.
    pub outbox_pushed: bool,
}

/// What Graph says of an Instagram user; any of it may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The handle.
    pub username: Option<String>,
    /// The name shown.
    pub name: Option<String>,
    /// A link to the picture, which expires within days.
    pub picture: Option<String>,
}

/// How long the direct job has before the sweep dispatches the chat.
const DIRECT: Duration = Duration::from_secs(2);

#[derive(FromQueryResult)]
struct Now {
    now: i64,
}

impl LockedChat {
    pub(crate) fn from_row(row: &QueryResult) -> Result<Self> {
        Ok(Self {
            row: chat::Model::from_query_result(row, "")?,
            now: Now::from_query_result(row, "")?.now,
            turn_pushed: false,
            outbox_pushed: false,
        })
    }

    /// Our id of it.
    pub fn id(&self) -> ChatId {
        self.row.id.into()
    }

    /// Who answers in it. A word of a later version counts as paused: nobody talks.
    pub fn mode(&self) -> ChatMode {
        ChatMode::parse(&self.row.mode).unwrap_or(ChatMode::Paused)
    }

    /// A message came that the agent is to answer: the turn is due once the user has been quiet for
    /// `debounce`, and at the latest four times that after the first unanswered message.
    pub fn await_answer(&mut self, debounce: Duration) {
        let debounce = millis(debounce);
        let first = *self.row.first_unanswered_at.get_or_insert(self.now);
        if self.mode() != ChatMode::Bot {
            return;
        }
        let due = (self.now + debounce).min(first + 4 * debounce);
        // After a failure the turn waits out its backoff, whatever comes meanwhile.
        self.row.turn_due_at = match self.row.turn_due_at {
            Some(backoff) if self.row.turn_attempts > 0 => Some(backoff.max(due)),
            _ => Some(due),
        };
        self.turn_pushed = debounce == 0 && self.row.turn_attempts == 0;
    }

    /// There is something to send now, and a job for it is pushed after the commit.
    pub fn await_delivery(&mut self) {
        self.row.outbox_due_at = Some(self.row.outbox_due_at.map_or(self.now, |due| due.min(self.now)));
        self.outbox_pushed = true;
    }
}

impl Store {
    /// The chat of an Instagram user, if they have written.
    pub async fn chat_of_user(
        &self,
        connection: Uuid,
        user: &InstagramUserId,
    ) -> Result<Option<chat::Model>> {
        let sql = "SELECT {chats.*} FROM chats WHERE connection_id = $1 AND instagram_user_id = $2";
        Ok(self.read(sql, vec![connection.into(), user.as_str().into()]).await?.into_iter().next())
    }

    /// A chat by its id.
    pub async fn chat(&self, id: ChatId) -> Result<Option<chat::Model>> {
        Ok(self
            .read("SELECT {chats.*} FROM chats WHERE id = $1", vec![id.0.into()])
            .await?
            .into_iter()
            .next())
    }

    /// Stores what Graph says of the user, and when it was asked.
    pub async fn save_profile(&self, chat: ChatId, profile: &Profile) -> Result<()> {
        let sql = "UPDATE chats SET username = COALESCE($2, username), name = COALESCE($3, name), \
                picture = COALESCE($4, picture), profile_at = {now} WHERE id = $1";
        let clean =
            |text: &Option<String>| text.as_deref().map(|t| dmrelay_domain::text::clean(t).into_owned());
        let values = vec![
            chat.0.into(),
            clean(&profile.username).into(),
            clean(&profile.name).into(),
            clean(&profile.picture).into(),
        ];
        self.execute(sql, values).await?;
        Ok(())
    }
}

impl Tx {
    /// Locks a chat's row until the transaction ends.
    pub async fn lock_chat(&self, id: ChatId) -> Result<Option<LockedChat>> {
        let sql = "SELECT {chats.*}, {now} AS now FROM chats WHERE id = $1 {lock}";
        self.one_chat(sql, vec![id.0.into()]).await
    }

    /// The chat of an Instagram user, made if it is not there, and locked.
    pub async fn upsert_chat(
        &self,
        connection: &instagram_connection::Model,
        user: &InstagramUserId,
    ) -> Result<Option<LockedChat>> {
        let metadata = serde_json::json!({ "instagram_user_id": user.as_str(), "channel": "instagram" });
        let sql = "INSERT INTO chats (id, connection_id, agent_id, instagram_user_id, chat_status, metadata, \
                mode, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, 'ongoing', $5, 'bot', {now}, {now}) \
             ON CONFLICT (connection_id, instagram_user_id) DO UPDATE SET updated_at = {now} \
             RETURNING {chats.*}, {now} AS now";
        let values = vec![
            ChatId::new().0.into(),
            connection.id.into(),
            connection.agent_id.as_str().into(),
            user.as_str().into(),
            metadata.to_string().into(),
        ];
        self.one_chat(sql, values).await
    }

    /// Writes back what was changed in a locked chat. Leases have statements of their own.
    pub async fn save_chat(&self, chat: &LockedChat) -> Result<()> {
        let sql = "UPDATE chats SET last_seq = $2, last_message_at = $3, window_expires_at = $4, \
                first_unanswered_at = $5, turn_due_at = $6, turn_attempts = $7, outbox_due_at = $8, \
                outbox_attempts = $9, mode = $10, mode_reason = $11, resume_at = $12, flag = $13, \
                agent_chat_id = $14, agent_watermark = $15, trace_id = $19, updated_at = {now}, \
                dispatch_no = dispatch_no + CASE WHEN $16 OR $17 THEN 1 ELSE 0 END, \
                turn_dispatched_until = CASE WHEN $16 THEN {now} + $18 ELSE turn_dispatched_until END, \
                outbox_dispatched_until = CASE WHEN $17 THEN {now} + $18 ELSE outbox_dispatched_until END \
             WHERE id = $1";
        let row = &chat.row;
        let values = vec![
            row.id.into(),
            row.last_seq.into(),
            row.last_message_at.into(),
            row.window_expires_at.into(),
            row.first_unanswered_at.into(),
            row.turn_due_at.into(),
            row.turn_attempts.into(),
            row.outbox_due_at.into(),
            row.outbox_attempts.into(),
            row.mode.as_str().into(),
            row.mode_reason.clone().into(),
            row.resume_at.into(),
            row.flag.clone().into(),
            row.agent_chat_id.clone().into(),
            row.agent_watermark.clone().into(),
            chat.turn_pushed.into(),
            chat.outbox_pushed.into(),
            millis(DIRECT).into(),
            row.trace_id.into(),
        ];
        self.execute(sql, values).await?;
        Ok(())
    }

    async fn one_chat(&self, sql: &str, values: Vec<Value>) -> Result<Option<LockedChat>> {
        let row = self.connection().query_one_raw(self.dialect.statement(sql, values)).await?;
        row.as_ref().map(LockedChat::from_row).transpose()
    }
}
