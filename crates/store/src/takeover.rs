//! A person steps in: from then on the agent is silent, and nothing of its is sent that was not sent yet.

use crate::chats::LockedChat;
use crate::{Result, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::states::ChatMode;
use std::time::Duration;

/// The reason of a takeover by a message written in the Instagram app.
pub fn echo_reason(mid: &str) -> String {
    format!("echo:{mid}")
}

impl Tx {
    /// A person takes the chat over until `pause` has passed. `reason` names what they did, so that it can
    /// be undone if it was not a person after all.
    pub async fn take_over(&self, chat: &mut LockedChat, reason: &str, pause: Duration) -> Result<()> {
        let sql = "UPDATE messages SET status = 'suppressed', error_code = $2 \
             WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') AND status = 'queued' \
             AND author = 'agent'";
        self.execute(sql, vec![chat.row.id.into(), reason.into()]).await?;
        let sql = "UPDATE messages SET needs_answer = FALSE, error_code = $2 \
             WHERE chat_id = $1 AND needs_answer AND turn_id IS NULL";
        self.execute(sql, vec![chat.row.id.into(), reason.into()]).await?;
        // An earlier takeover keeps its reason: undoing this one must not undo that.
        if chat.mode() == ChatMode::Bot {
            chat.row.mode_reason = Some(reason.to_owned());
        }
        chat.row.mode = ChatMode::Human.to_string();
        chat.row.resume_at = Some(chat.now + millis(pause));
        chat.row.first_unanswered_at = None;
        // An unfinished turn is still found out about; its answer will be suppressed.
        if self.open_turn(chat).await?.is_none() {
            chat.row.turn_due_at = None;
        }
        Ok(())
    }

    /// Undoes the takeover of this very reason: it was not a person.
    pub(crate) async fn undo_takeover(&self, chat: &mut LockedChat, reason: &str) -> Result<()> {
        if chat.row.mode_reason.as_deref() != Some(reason) {
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
