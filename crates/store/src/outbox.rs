//! The outbox: replies wait in a chat's order, one is sent at a time, and its outcome is recorded against
//! the attempt that brought it.

use crate::chats::LockedChat;
use crate::gates::GateKey;
use crate::ingest::NewMessage;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, MessageId, TurnId};
use dmrelay_domain::split::MAX_BYTES;
use dmrelay_domain::states::{Author, ChatMode, ConnectionStatus, Direction, MessageStatus};
use dmrelay_domain::trace::TraceId;
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
        message.trace = TraceId::of(turn.trace_id);
        message
    }
}

/// A message whose send this worker may start now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The row, with the attempt that guards its outcome.
    pub message: message::Model,
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
    /// The business has the agent paused; its words wait.
    Paused,
    /// Meta's window has closed.
    WindowClosed,
    /// A gate is closed until then.
    Gate(Millis),
}

/// The part of a turn that is said in place of an answer.
const FALLBACK: i32 = -1;

#[derive(FromQueryResult)]
struct MidRow {
    mid: Option<String>,
}

#[derive(FromQueryResult)]
struct GateRow {
    closed_until: i64,
}

impl Store {
    /// The first message of a chat whose outcome is being found out, or, where there is none, that is to be sent:
    /// nothing is sent over a doubt, also when an older message is queued again. While the agent is
    /// `paused` its messages are passed over.
    pub async fn outbox_head(&self, chat: ChatId, paused: bool) -> Result<Option<message::Model>> {
        // The writer's connection: what this worker just wrote must be seen.
        let sql = "SELECT {messages.*} FROM messages WHERE chat_id = $1 AND status IN ('queued', 'sending', 'unknown') \
             AND (status <> 'unknown' OR deadline IS NOT NULL) \
             AND NOT ($2 AND status = 'queued' AND author = 'agent') \
             ORDER BY CASE WHEN status = 'queued' THEN 1 ELSE 0 END, seq LIMIT 1";
        Ok(self.write(sql, vec![chat.0.into(), paused.into()]).await?.into_iter().next())
    }

    /// Claims a queued message for sending, in one statement that also asks whether it may be sent: the
    /// lease is held, the connection is in use, the gates are open, the window is open, the account and the
    /// chat's mode allow its author, and no person has written after what the agent was about to say. Nothing
    /// where one of them does not hold.
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
                AND (messages.author <> 'agent' OR (c.mode = 'bot' AND NOT k.bot_paused \
                    AND NOT EXISTS (SELECT 1 FROM messages h WHERE h.chat_id = messages.chat_id \
                        AND h.seq > messages.seq AND h.author IN ('human', 'native')))) \
                AND c.window_expires_at + CASE WHEN messages.author = 'human' THEN $4 ELSE 0 END > {{now}}) \
             AND NOT EXISTS (SELECT 1 FROM gates g WHERE g.key IN ({keys}) AND g.closed_until > {{now}}) \
             RETURNING {{messages.*}}"
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
    /// Queues a message that a person sends; the agent falls silent for `pause`. `new.actor` names who.
    pub async fn send_by_human(
        &self,
        chat: &mut LockedChat,
        connection: &Connection,
        new: NewMessage,
        pause: Duration,
    ) -> Result<MessageId> {
        if chat.mode() != ChatMode::Human {
            let actor = new.actor.as_deref().unwrap_or(Author::Human.as_str());
            let activity = Activity::of_connection(connection, ActivityKind::BotPaused, actor)
                .about(&chat.id())
                .with("chatId", chat.id().to_string())
                .with("reason", "send");
            self.record_at(&activity, chat.now).await?;
        }
        self.take_over(chat, "send", pause).await?;
        chat.row.trace_id = new.trace.map(TraceId::to_uuid);
        let id = self.add_message(chat, new).await?;
        chat.await_delivery();
        self.save_chat(chat).await?;
        Ok(id)
    }

    pub(crate) async fn add_reply(&self, chat: &mut LockedChat, mut reply: NewMessage) -> Result<MessageId> {
        reply.at = chat.now;
        self.add_message(chat, reply).await
    }

    /// The agent failed for good: the customer is told what the business wants them to be told then, once in a
    /// turn, if the agent may speak. False where there is nothing to say.
    pub async fn fall_back(
        &self,
        chat: &mut LockedChat,
        connection: &Connection,
        turn: Option<TurnId>,
    ) -> Result<bool> {
        let text = connection.settings.fallback_text.as_deref().map_or("", str::trim);
        let open = window::at(chat.row.window_expires_at, chat.now) == Window::Open;
        if text.is_empty() || !open || chat.mode() != ChatMode::Bot {
            return Ok(false);
        }
        let mut message = NewMessage::new(Direction::Outbound, Author::Agent, MessageStatus::Queued);
        message.text = Some(dmrelay_domain::text::truncate(text, MAX_BYTES).to_owned());
        message.received_at = chat.now;
        if let Some(id) = turn {
            let sql = "SELECT {turns.*} FROM turns WHERE id = $1 \
                 AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.turn_id = $1 AND m.part = $2)";
            let turn: Option<turn::Model> = self.first(sql, vec![id.0.into(), FALLBACK.into()]).await?;
            let Some(turn) = turn else { return Ok(false) };
            if !self.still_asked(&turn).await? {
                return Ok(false);
            }
            message.part = Some((turn.id, FALLBACK));
            message.received_at = turn.received_at;
            message.trace = TraceId::of(turn.trace_id);
        }
        self.add_reply(chat, message).await?;
        chat.await_delivery();
        Ok(true)
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
            self.first("SELECT {messages.*} FROM messages WHERE id = $1", vec![message.id.into()]).await?;
        if fresh.is_none_or(|fresh| fresh.status != MessageStatus::Queued.as_str()) {
            return Ok(Refusal::Changed);
        }
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE id = $1";
        let connection: Option<instagram_connection::Model> =
            self.first(sql, vec![chat.row.connection_id.into()]).await?;
        let paused = connection.as_ref().is_some_and(|connection| connection.bot_paused);
        let status = connection
            .and_then(|connection| ConnectionStatus::parse(&connection.status))
            .unwrap_or(ConnectionStatus::Disconnected);
        if status != ConnectionStatus::Connected {
            return Ok(Refusal::Parked(status));
        }
        let agent = message.author == Author::Agent.as_str();
        if agent && (chat.mode() != ChatMode::Bot || self.person_wrote_after(chat, message.seq).await?) {
            return Ok(Refusal::Suppressed);
        }
        if agent && paused {
            return Ok(Refusal::Paused);
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
                 WHERE turn_id = $1 AND part > $2 AND part IS NOT NULL \
                 AND (status = 'queued' OR (status = 'unknown' AND error_code = 'restored' AND attempt = 0))";
            self.execute(sql, vec![turn.into(), part.into()]).await?;
        }
        Ok(true)
    }

    /// A message the turn asked was taken back; where none is left, its replies are not sent any more.
    pub async fn suppress_replies_to_nothing(&self, turn: Uuid) -> Result<()> {
        let turn: Option<turn::Model> =
            self.first("SELECT {turns.*} FROM turns WHERE id = $1", vec![turn.into()]).await?;
        let Some(turn) = turn else { return Ok(()) };
        if self.still_asked(&turn).await? {
            return Ok(());
        }
        let sql = "UPDATE messages SET status = 'suppressed', error_code = 'unsent' \
             WHERE turn_id = $1 AND part IS NOT NULL AND status = 'queued'";
        self.execute(sql, vec![turn.id.into()]).await?;
        Ok(())
    }

    /// A queued message of the agent is not sent any more: a person has taken the chat over.
    pub async fn suppress(&self, message: MessageId) -> Result<()> {
        let sql = "UPDATE messages SET status = 'suppressed' WHERE id = $1 AND status = 'queued'";
        self.execute(sql, vec![message.0.into()]).await?;
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
