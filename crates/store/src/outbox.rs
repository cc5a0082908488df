//! The outbox: replies wait in a chat's order, one is sent at a time, and its outcome is recorded against
//! the attempt that brought it.

use crate::chats::LockedChat;
use crate::gates::GateKey;
use crate::ingest::{NewMessage, STUB};
use crate::turns::in_list;
use crate::{Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, MessageId};
use dmrelay_domain::states::{Author, ChatMode, ConnectionStatus, Direction, MessageStatus};
use dmrelay_domain::window::{self, Window};
use dmrelay_entity::{instagram_connection, message, turn};
use sea_orm::FromQueryResult;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// One message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// At most 1,000 bytes.
    pub text: String,
}

impl Reply {
    pub(crate) fn into_message(self, turn: &turn::Model, part: i32, speaks: bool) -> NewMessage {
        let status = if speaks { MessageStatus::Queued } else { MessageStatus::Suppressed };
        let mut message = NewMessage::new(Direction::Outbound, Author::Agent, status);
        message.text = Some(self.text);
        message.part = Some((turn.id, part));
        message.received_at = turn.received_at;
        message
    }
}

/// A message whose send this worker may start now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The row, with the attempt that guards its outcome.
    pub message: message::Model,
}

/// What stands at the head of a chat's outbox.
#[derive(Debug, Clone)]
pub enum OutboxState {
    /// Nothing waits.
    Empty,
    /// This one is next.
    Next(Box<message::Model>),
}

/// Why a queued message may not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no longer queued, or the lease is another's.
    Changed,
    /// The connection cannot be used; it waits for that to change.
    Parked(ConnectionStatus),
    /// A person has taken over; the agent's words are not sent.
    Suppressed,
    /// Meta's window has closed.
    WindowClosed,
    /// A gate is closed until then.
    Gate(Millis),
}

#[derive(FromQueryResult)]
struct MidRow {
    mid: Option<String>,
}

#[derive(FromQueryResult)]
struct GateRow {
    closed_until: i64,
}

impl Store {
    /// The first message of a chat that is to be sent, or whose outcome is being found out.
    pub async fn outbox_head(&self, chat: ChatId) -> Result<OutboxState> {
        // The writer's connection: what this worker just wrote must be seen.
        let sql = "SELECT * FROM messages WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') \
             AND (status <> 'unknown' OR deadline IS NOT NULL) ORDER BY seq LIMIT 1";
        let head: Vec<message::Model> = self.write(sql, vec![chat.0.into()]).await?;
        Ok(head.into_iter().next().map_or(OutboxState::Empty, |message| OutboxState::Next(Box::new(message))))
    }

    /// Claims a queued message for sending, in one statement that also asks whether it may be sent: the
    /// lease is held, the connection is in use, the gates are open, the window is open, and the chat's mode
    /// allows its author. Nothing where one of them does not hold.
    pub async fn claim_send(
        &self,
        message: &message::Model,
        token: Uuid,
        deadline: Duration,
        gates: &[GateKey],
        human_agent: bool,
    ) -> Result<Option<Claimed>> {
        let keys: Vec<String> = gates.iter().map(|gate| format!("'{}'", gate.as_sql())).collect();
        let keys = keys.join(", ");
        let longer = if human_agent { window::HUMAN_AGENT - window::STANDARD } else { 0 };
        let sql = format!(
            "UPDATE messages SET status = 'sending', attempt = attempt + 1, started_at = {{now}}, \
                deadline = {{now}} + $2 \
             WHERE id = $1 AND status = 'queued' AND EXISTS (SELECT 1 FROM chats c \
                JOIN instagram_connections k ON k.id = c.connection_id \
                WHERE c.id = messages.chat_id AND c.outbox_lease = $3 AND k.status = 'connected' \
                AND (messages.author <> 'agent' OR c.mode = 'bot') \
                AND c.window_expires_at + CASE WHEN messages.author = 'human' THEN $4 ELSE 0 END > {{now}}) \
             AND NOT EXISTS (SELECT 1 FROM gates g WHERE g.key IN ({keys}) AND g.closed_until > {{now}}) \
             RETURNING *"
        );
        let values = vec![message.id.into(), millis(deadline).into(), token.into(), longer.into()];
        let claimed: Vec<message::Model> = self.write(&sql, values).await?;
        Ok(claimed.into_iter().next().map(|message| Claimed { message }))
    }

    /// Puts a message back whose send surely had no effect.
    pub async fn requeue(
        &self,
        claimed: &Claimed,
        class: FailureClass,
        code: &str,
        error: &str,
    ) -> Result<()> {
        let sql = "UPDATE messages SET status = 'queued', deadline = NULL, error_class = $3, error_code = $4, \
                error_message = $5 \
             WHERE id = $1 AND attempt = $2 AND status IN ('sending', 'unknown')";
        self.execute(sql, outcome(&claimed.message, class, code, error)).await?;
        Ok(())
    }

    /// The outcome of a send is unknown; it is found out before anything is repeated. Its deadline stays.
    pub async fn doubt(
        &self,
        message: &message::Model,
        class: FailureClass,
        code: &str,
        error: &str,
    ) -> Result<()> {
        let sql = "UPDATE messages SET status = 'unknown', error_class = $3, error_code = $4, error_message = $5 \
             WHERE id = $1 AND attempt = $2 AND status IN ('sending', 'unknown')";
        self.execute(sql, outcome(message, class, code, error)).await?;
        Ok(())
    }

    /// Which of these mids belong to messages of ours or of the user. One that only a stub or an unmatched echo
    /// has may still be that of a send of unknown outcome.
    pub async fn known_mids(&self, connection: Uuid, mids: &[String]) -> Result<HashSet<String>> {
        let places: Vec<String> = (2..mids.len() + 2).map(|n| format!("${n}")).collect();
        if places.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!(
            "SELECT mid FROM messages WHERE connection_id = $1 AND mid IN ({}) AND kind <> 'stub' AND author <> 'native'",
            places.join(", ")
        );
        let mut values = vec![connection.into()];
        values.extend(mids.iter().map(|mid| mid.as_str().into()));
        Ok(self.write::<MidRow>(&sql, values).await?.into_iter().filter_map(|row| row.mid).collect())
    }
}

fn outcome(message: &message::Model, class: FailureClass, code: &str, error: &str) -> Vec<sea_orm::Value> {
    vec![message.id.into(), message.attempt.into(), class.as_str().into(), code.into(), error.into()]
}

impl Tx {
    pub(crate) async fn add_reply(&self, chat: &mut LockedChat, mut reply: NewMessage) -> Result<MessageId> {
        reply.at = chat.now;
        self.add_message(chat, reply).await
    }

    /// Why a queued message could not be claimed, seen under the chat's lock.
    pub async fn send_refusal(
        &self,
        chat: &LockedChat,
        message: &message::Model,
        gates: &[GateKey],
        human_agent: bool,
    ) -> Result<Refusal> {
        let fresh: Option<message::Model> =
            self.first("SELECT * FROM messages WHERE id = $1", vec![message.id.into()]).await?;
        if fresh.is_none_or(|fresh| fresh.status != MessageStatus::Queued.as_str()) {
            return Ok(Refusal::Changed);
        }
        let sql = "SELECT * FROM instagram_connections WHERE id = $1";
        let connection: Option<instagram_connection::Model> =
            self.first(sql, vec![chat.row.connection_id.into()]).await?;
        let status = connection
            .and_then(|connection| ConnectionStatus::parse(&connection.status))
            .unwrap_or(ConnectionStatus::Disconnected);
        if status != ConnectionStatus::Connected {
            return Ok(Refusal::Parked(status));
        }
        let agent = message.author == Author::Agent.as_str();
        if agent && chat.mode() != ChatMode::Bot {
            return Ok(Refusal::Suppressed);
        }
        match window::at(chat.row.window_expires_at, chat.now) {
            Window::Open => {}
            Window::HumanAgent if human_agent && message.author == Author::Human.as_str() => {}
            Window::HumanAgent | Window::Closed => return Ok(Refusal::WindowClosed),
        }
        let keys: Vec<String> = gates.iter().map(|gate| format!("'{}'", gate.as_sql())).collect();
        let sql = format!(
            "SELECT closed_until FROM gates WHERE key IN ({}) ORDER BY closed_until DESC LIMIT 1",
            keys.join(", ")
        );
        let gate = self.first::<GateRow>(&sql, Vec::new()).await?;
        Ok(gate
            .filter(|gate| gate.closed_until > chat.now)
            .map_or(Refusal::Changed, |gate| Refusal::Gate(gate.closed_until)))
    }

    /// Graph accepted the message under `mid`. True where this is the outcome of its attempt, or was known
    /// already from its echo.
    pub async fn record_sent(&self, chat: &mut LockedChat, claimed: &Claimed, mid: &str) -> Result<bool> {
        self.absorb(chat, claimed.message.id, mid).await?;
        let id = claimed.message.id;
        let sql = "UPDATE messages SET status = 'sent', mid = $3, sent_at = {now}, deadline = NULL, \
                error_class = NULL, error_code = NULL, error_message = NULL \
             WHERE id = $1 AND attempt = $2 AND status IN ('sending', 'unknown')";
        let values = vec![id.into(), claimed.message.attempt.into(), mid.into()];
        if self.execute(sql, values).await? == 1 {
            return Ok(true);
        }
        let row: Option<message::Model> =
            self.first("SELECT * FROM messages WHERE id = $1", vec![id.into()]).await?;
        match row {
            Some(row) if row.status == "sent" && row.mid.as_deref() == Some(mid) => Ok(true),
            // An echo with the same words was taken for ours; it was a person's.
            Some(row) if row.status == "sent" && row.attempt == claimed.message.attempt => {
                self.exchange_mid(chat, &row, mid).await?;
                Ok(true)
            }
            _ => Ok(false),
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
        self.undo_takeover(chat, &crate::takeover::echo_reason(mid)).await
    }

    /// The message of the chat in flight, or of unknown outcome, whose text fits an echo with an unknown mid.
    pub async fn adopt_echo(
        &self,
        chat: &mut LockedChat,
        mid: &str,
        fits: impl Fn(&message::Model) -> bool,
    ) -> Result<bool> {
        let sql = "SELECT * FROM messages WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') \
             AND status <> 'queued' ORDER BY seq";
        let open: Vec<message::Model> = self.query(sql, vec![chat.row.id.into()]).await?;
        let Some(ours) = open.iter().find(|message| fits(message)) else {
            return Ok(false);
        };
        self.adopt(chat, (ours.id, ours.attempt), mid, true).await
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

    /// A message will not be sent; the parts after it in the same answer are cancelled. False when it has
    /// moved on.
    pub async fn give_up(
        &self,
        message: &message::Model,
        status: MessageStatus,
        class: FailureClass,
        error: (&str, &str),
    ) -> Result<bool> {
        let sql = "UPDATE messages SET status = $3, error_class = $4, error_code = $5, error_message = $6, \
                deadline = NULL \
             WHERE id = $1 AND attempt = $2 AND status IN ('queued', 'sending', 'unknown')";
        let values = vec![
            message.id.into(),
            message.attempt.into(),
            status.as_str().into(),
            class.as_str().into(),
            error.0.into(),
            error.1.into(),
        ];
        if self.execute(sql, values).await? == 0 {
            return Ok(false);
        }
        if let (Some(turn), Some(part)) = (message.turn_id, message.part) {
            let sql = "UPDATE messages SET status = 'cancelled' \
                 WHERE turn_id = $1 AND part > $2 AND part IS NOT NULL AND status = 'queued'";
            self.execute(sql, vec![turn.into(), part.into()]).await?;
        }
        Ok(true)
    }

    /// A message the turn asked was taken back; where none is left, its replies are not sent any more.
    pub async fn suppress_replies_to_nothing(&self, turn: Uuid) -> Result<()> {
        let turn: Option<turn::Model> =
            self.first("SELECT * FROM turns WHERE id = $1", vec![turn.into()]).await?;
        let Some(turn) = turn else { return Ok(()) };
        if self.still_asked(&turn).await? {
            return Ok(());
        }
        let sql = "UPDATE messages SET status = 'suppressed', error_code = 'unsent' \
             WHERE turn_id = $1 AND part IS NOT NULL AND status = 'queued'";
        self.execute(sql, vec![turn.id.into()]).await?;
        Ok(())
    }

    /// Suppresses the agent's queued messages of a chat in which a person has taken over.
    pub async fn suppress(&self, ids: &[Uuid]) -> Result<()> {
        let (list, values) = in_list(ids, 1);
        let sql =
            format!("UPDATE messages SET status = 'suppressed' WHERE id IN ({list}) AND status = 'queued'");
        self.execute(&sql, values).await?;
        Ok(())
    }

    /// Gives the lease back with the transaction, after the outbox was found empty or put off by `delay`.
    pub async fn end_outbox_lease(&self, chat: &LockedChat, token: Uuid) -> Result<()> {
        self.end_lease("outbox", chat, token).await
    }

    /// Whether anything of the chat is to be sent or found out, seen under its lock.
    pub async fn outbox_waits(&self, chat: &LockedChat) -> Result<bool> {
        let sql = "SELECT mid FROM messages WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') \
             AND (status <> 'unknown' OR deadline IS NOT NULL) LIMIT 1";
        Ok(self.first::<MidRow>(sql, vec![chat.row.id.into()]).await?.is_some())
    }
}
