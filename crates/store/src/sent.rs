//! That a message was sent: Graph said so, its echo came, or the conversation shows it. Each of them may come
//! first, and only the first is news.

use crate::chats::LockedChat;
use crate::ingest::{NewMessage, STUB};
use crate::outbox::Claimed;
use crate::{Result, Tx};
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_entity::message;
use uuid::Uuid;

/// What Graph's acceptance of a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// That it was sent.
    News,
    /// What its echo had told already.
    Known,
    /// Something about an attempt that counts no more: the message may be said twice.
    Late,
}

impl Tx {
    /// Graph accepted the message under `mid`.
    pub async fn record_sent(
        &self,
        chat: &mut LockedChat,
        claimed: &Claimed,
        mid: &str,
    ) -> Result<Acceptance> {
        self.absorb(chat, claimed.message.id, mid).await?;
        let id = claimed.message.id;
        let sql = "UPDATE messages SET status = 'sent', mid = $3, sent_at = {now}, deadline = NULL, \
                error_class = NULL, error_code = NULL, error_message = NULL \
             WHERE id = $1 AND attempt = $2 AND status IN ('sending', 'unknown')";
        let values = vec![id.into(), claimed.message.attempt.into(), mid.into()];
        if self.execute(sql, values).await? == 1 {
            return Ok(Acceptance::News);
        }
        let row: Option<message::Model> =
            self.first("SELECT {messages.*} FROM messages WHERE id = $1", vec![id.into()]).await?;
        match row {
            Some(row) if row.status == "sent" && row.mid.as_deref() == Some(mid) => Ok(Acceptance::Known),
            // An echo with the same words was taken for ours; it was a person's.
            Some(row) if row.status == "sent" && row.attempt == claimed.message.attempt => {
                self.exchange_mid(chat, &row, mid).await?;
                Ok(Acceptance::Known)
            }
            _ => Ok(Acceptance::Late),
        }
    }

    async fn exchange_mid(&self, chat: &mut LockedChat, row: &message::Model, mid: &str) -> Result<()> {
        let other = row.mid.clone();
        self.execute("UPDATE messages SET mid = $2 WHERE id = $1", vec![row.id.into(), mid.into()]).await?;
        let mut native = NewMessage::new(Direction::Outbound, Author::Native, MessageStatus::Sent);
        native.mid = other;
        native.text.clone_from(&row.text);
        native.at = chat.now;
        native.received_at = chat.now;
        self.add_message(chat, native).await?;
        Ok(())
    }

    /// What another row holds of this mid goes into our message: a stub that a reaction left before the mid
    /// was known, or an echo that was stored as a person's, whose pause is undone.
    async fn absorb(&self, chat: &mut LockedChat, message: Uuid, mid: &str) -> Result<()> {
        let other = self.message_by_mid(chat.row.connection_id, mid).await?;
        let Some(other) = other.filter(|other| other.id != message) else { return Ok(()) };
        if other.kind != STUB && other.author != Author::Native.as_str() {
            return Ok(());
        }
        self.execute("DELETE FROM messages WHERE id = $1", vec![other.id.into()]).await?;
        let sql = "UPDATE messages SET metadata = COALESCE($2, metadata) WHERE id = $1";
        self.execute(sql, vec![message.into(), other.metadata.into()]).await?;
        self.undo_takeover(chat, &crate::takeover::echo_reason(mid), other.seq).await
    }

    /// Takes an echo with an unknown mid for that of the message in flight, or of unknown outcome, which it fits;
    /// gives that message.
    pub async fn adopt_echo(
        &self,
        chat: &mut LockedChat,
        mid: &str,
        fits: impl Fn(&message::Model) -> bool,
    ) -> Result<Option<message::Model>> {
        let sql = "SELECT {messages.*} FROM messages WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') \
             AND status <> 'queued' ORDER BY seq";
        let open: Vec<message::Model> = self.query(sql, vec![chat.row.id.into()]).await?;
        let Some(ours) = open.into_iter().find(|message| fits(message)) else {
            return Ok(None);
        };
        let adopted = self.adopt(chat, (ours.id, ours.attempt), mid, true).await?;
        Ok(adopted.then_some(ours))
    }

    /// Records that a send of unknown outcome happened, under `mid`. False when it has moved on.
    pub async fn adopt(
        &self,
        chat: &mut LockedChat,
        (message, attempt): (Uuid, i32),
        mid: &str,
        echoed: bool,
    ) -> Result<bool> {
        self.absorb(chat, message, mid).await?;
        let sql = "UPDATE messages SET status = 'sent', mid = $3, sent_at = COALESCE(sent_at, {now}), deadline = NULL, \
                confirmed_at = CASE WHEN $4 THEN {now} ELSE confirmed_at END, \
                error_class = NULL, error_code = NULL, error_message = NULL \
             WHERE id = $1 AND attempt = $2 AND status IN ('sending', 'unknown')";
        Ok(self.execute(sql, vec![message.into(), attempt.into(), mid.into(), echoed.into()]).await? == 1)
    }

    /// The echo of a message we know.
    pub async fn confirm(&self, message: &message::Model) -> Result<()> {
        let sql = "UPDATE messages SET confirmed_at = COALESCE(confirmed_at, {now}) WHERE id = $1";
        self.execute(sql, vec![message.id.into()]).await?;
        Ok(())
    }
}
