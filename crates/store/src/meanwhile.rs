//! What was said in a chat while a person had it.

use crate::chats::LockedChat;
use crate::{Result, Tx};
use dmrelay_entity::message;

impl Tx {
    /// What was said since the agent was last asked, and what it was not told of: what people wrote, and
    /// what the customer wrote before they did. The last `most`, oldest first.
    pub async fn unseen(&self, chat: &LockedChat, most: u64) -> Result<Vec<message::Model>> {
        // The customer's are those a takeover left unanswered, and those of a turn it ended before it was asked.
        let sql = "SELECT {m:messages.*} FROM messages m WHERE m.chat_id = $1 AND m.kind NOT IN ('stub', 'unsent') \
             AND m.seq > COALESCE((SELECT a.seq FROM messages a JOIN turns t ON t.id = a.turn_id \
                WHERE a.chat_id = $1 AND a.part IS NULL AND t.state IN ('answered', 'unknown') \
                ORDER BY a.seq DESC LIMIT 1), 0) \
             AND ((m.author IN ('human', 'native') AND m.status = 'sent') \
                OR (m.author = 'user' AND m.turn_id IS NULL AND NOT m.needs_answer \
                    AND m.error_code IS NOT NULL AND m.error_class IS NULL) \
                OR (m.author = 'user' AND EXISTS (SELECT 1 FROM turns t WHERE t.id = m.turn_id \
                    AND t.state = 'suppressed'))) \
             ORDER BY m.seq DESC LIMIT $2";
        let mut messages: Vec<message::Model> =
            self.query(sql, vec![chat.row.id.into(), most.into()]).await?;
        messages.reverse();
        Ok(messages)
    }
}
