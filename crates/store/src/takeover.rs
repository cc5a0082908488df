//! A person steps in: from then on the agent is silent, and nothing of its is sent that was not sent yet.

use crate::chats::LockedChat;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::ChatId;
use dmrelay_domain::states::ChatMode;
use dmrelay_entity::{chat, message};
use std::time::Duration;

/// The reason of a takeover through the API.
const API: &str = "api";

/// The reason of a takeover whose first message turned out to be ours, when more followed.
const OTHER: &str = "person";

/// With this begins the reason of a takeover by a message written in the Instagram app.
const ECHO: &str = "echo:";

/// The reason of a takeover by a message written in the Instagram app.
pub fn echo_reason(mid: &str) -> String {
    format!("{ECHO}{mid}")
}

impl Store {
    /// A person takes a chat of the connection over until `pause` has passed.
    pub async fn take_over_chat(
        &self,
        connection: &Connection,
        chat: ChatId,
        actor: &str,
        pause: Duration,
    ) -> Result<Option<chat::Model>> {
        let tx = self.begin().await?;
        let Some(mut chat) = tx.chat_of_connection(connection, chat).await? else { return Ok(None) };
        tx.take_over(&mut chat, API, pause).await?;
        let activity = Activity::of_connection(connection, ActivityKind::BotPaused, actor)
            .about(&chat.id())
            .with("chatId", chat.id().to_string())
            .with("reason", API);
        tx.record_at(&activity, chat.now).await?;
        tx.save_chat(&chat).await?;
        tx.commit().await?;
        Ok(Some(chat.row))
    }

    /// A person gives a chat of the connection back to the agent, which answers what is unanswered since.
    pub async fn release_chat(
        &self,
        connection: &Connection,
        chat: ChatId,
        actor: &str,
    ) -> Result<Option<chat::Model>> {
        let tx = self.begin().await?;
        let Some(mut chat) = tx.chat_of_connection(connection, chat).await? else { return Ok(None) };
        if chat.mode() == ChatMode::Bot {
            return Ok(Some(chat.row));
        }
        chat.row.mode = ChatMode::Bot.to_string();
        chat.row.mode_reason = None;
        chat.row.resume_at = None;
        if chat.row.first_unanswered_at.is_some() {
            chat.row.turn_due_at.get_or_insert(chat.now);
        }
        let activity = Activity::of_connection(connection, ActivityKind::BotResumed, actor)
            .about(&chat.id())
            .with("chatId", chat.id().to_string());
        tx.record_at(&activity, chat.now).await?;
        tx.save_chat(&chat).await?;
        tx.commit().await?;
        Ok(Some(chat.row))
    }
}

impl Tx {
    async fn chat_of_connection(&self, connection: &Connection, id: ChatId) -> Result<Option<LockedChat>> {
        let chat = self.lock_chat(id).await?;
        Ok(chat.filter(|chat| chat.row.connection_id == connection.row.id))
    }

    /// Whether a person has written in the chat after this message.
    pub(crate) async fn person_wrote_after(&self, chat: &LockedChat, seq: i64) -> Result<bool> {
        let sql = "SELECT {messages.*} FROM messages WHERE chat_id = $1 AND seq > $2 AND author IN ('human', 'native') LIMIT 1";
        let later: Option<message::Model> = self.first(sql, vec![chat.row.id.into(), seq.into()]).await?;
        Ok(later.is_some())
    }

    /// A person takes the chat over until `pause` has passed. `reason` names what they did, so that it can
    /// be undone if it was not a person after all.
    pub async fn take_over(&self, chat: &mut LockedChat, reason: &str, pause: Duration) -> Result<()> {
        // The list of states is in the words of the partial index: SQLite does not see it from one of them.
        let sql = "UPDATE messages SET status = 'suppressed', error_code = $2 \
             WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') AND status = 'queued' \
             AND author = 'agent'";
        self.execute(sql, vec![chat.row.id.into(), reason.into()]).await?;
        let sql = "UPDATE messages SET needs_answer = FALSE, error_code = $2 \
             WHERE chat_id = $1 AND needs_answer AND turn_id IS NULL";
        self.execute(sql, vec![chat.row.id.into(), reason.into()]).await?;
        // An earlier takeover keeps its reason: undoing this one must not undo that. One that cannot be undone
        // has its own, for undoing an earlier one must not undo it.
        if chat.mode() == ChatMode::Bot || !reason.starts_with(ECHO) {
            chat.row.mode_reason = Some(reason.to_owned());
        }
        chat.row.mode = ChatMode::Human.to_string();
        chat.row.resume_at = Some(chat.now + millis(pause));
        chat.row.first_unanswered_at = None;
        // An unfinished turn is still found out about. What it asks is the person's now, so that its answer is
        // suppressed whenever it comes, and a turn that waits is not asked: also after the chat is given back.
        match self.open_turn(chat).await? {
            None => chat.row.turn_due_at = None,
            Some(turn) => {
                let sql = "UPDATE messages SET needs_answer = FALSE, error_code = $2 \
                     WHERE turn_id = $1 AND part IS NULL AND needs_answer";
                self.execute(sql, vec![turn.id.into(), reason.into()]).await?;
            }
        }
        Ok(())
    }

    /// Undoes the takeover of this very reason: the message at `seq` was not a person's.
    pub(crate) async fn undo_takeover(&self, chat: &mut LockedChat, reason: &str, seq: i64) -> Result<()> {
        if chat.row.mode_reason.as_deref() != Some(reason) {
            return Ok(());
        }
        if self.person_wrote_after(chat, seq).await? {
            // The chat is a person's all the same, for another reason.
            chat.row.mode_reason = Some(OTHER.to_owned());
            return Ok(());
        }
        let sql = "UPDATE messages SET status = 'queued', error_code = NULL \
             WHERE chat_id = $1 AND status = 'suppressed' AND error_code = $2 AND direction = 'outbound'";
        let queued = self.execute(sql, vec![chat.row.id.into(), reason.into()]).await?;
        let sql = "UPDATE messages SET needs_answer = TRUE, error_code = NULL \
             WHERE chat_id = $1 AND error_code = $2 AND direction = 'inbound'";
        let unanswered = self.execute(sql, vec![chat.row.id.into(), reason.into()]).await?;
        chat.row.mode = ChatMode::Bot.to_string();
        chat.row.mode_reason = None;
        chat.row.resume_at = None;
        if unanswered > 0 {
            chat.row.first_unanswered_at = Some(chat.now);
            chat.row.turn_due_at.get_or_insert(chat.now);
        }
        if queued > 0 {
            chat.row.outbox_due_at.get_or_insert(chat.now);
        }
        Ok(())
    }
}
