//! Turns: one question to the agent each. A lease says who works on a chat's turn; the turn's state and
//! attempt decide whether an outcome still counts.

use crate::chats::LockedChat;
use crate::outbox::Reply;
use crate::{Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, MessageId, TurnId};
use dmrelay_domain::states::{ChatMode, TurnState};
use dmrelay_domain::trace::TraceId;
use dmrelay_entity::{message, turn};
use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult, Value};
use std::time::Duration;
use uuid::Uuid;

/// A chat whose turn, or whose outbox, this worker may work on until the lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The chat as it was when leased.
    pub chat: LockedChat,
    /// The lease.
    pub token: Uuid,
}

/// A question about to be asked.
#[derive(Debug, Clone)]
pub struct NewTurn {
    /// The messages it asks.
    pub messages: Vec<MessageId>,
    /// SHA-256 of the text, by which the agent's copy is recognised.
    pub asked_hash: [u8; 32],
    /// The agent's chat it is asked in.
    pub agent_chat_id: String,
    /// The last message of that chat before it.
    pub watermark: Option<String>,
    /// When the first of its messages was received.
    pub received_at: Millis,
    /// How long after the start it is certain that the call has ended.
    pub deadline: Duration,
    /// The trace of the first of its messages.
    pub trace: Option<TraceId>,
}

/// How a turn that was not answered goes on.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its next state.
    pub state: TurnState,
    /// Why.
    pub class: FailureClass,
    /// The last error, without the customer's words.
    pub error: String,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

impl Store {
    /// Leases the turn of a chat where one is due and nobody works on it.
    pub async fn lease_turn(&self, chat: ChatId, lease: Duration) -> Result<Option<Leased>> {
        self.lease("turn", chat, lease).await
    }

    /// Leases the outbox of a chat where something is due and nobody works on it.
    pub async fn lease_outbox(&self, chat: ChatId, lease: Duration) -> Result<Option<Leased>> {
        self.lease("outbox", chat, lease).await
    }

    async fn lease(&self, what: &str, chat: ChatId, lease: Duration) -> Result<Option<Leased>> {
        let token = Uuid::new_v4();
        let sql = format!(
            "UPDATE chats SET {what}_lease = $2, {what}_lease_until = {{now}} + $3, {what}_dispatched_until = 0 \
             WHERE id = $1 AND {what}_due_at <= {{now}} AND {what}_lease_until <= {{now}} \
             RETURNING {{chats.*}}, {{now}} AS now"
        );
        let values = vec![chat.0.into(), token.into(), millis(lease).into()];
        let rows = self.mark_rows(&sql, values).await?;
        let chat = rows.first().map(LockedChat::from_row).transpose()?;
        Ok(chat.map(|chat| Leased { chat, token }))
    }

    /// Keeps the lease of a chat's turn. False when another worker has it.
    pub async fn renew_turn(&self, chat: ChatId, token: Uuid, lease: Duration) -> Result<bool> {
        self.renew("turn", chat, token, lease).await
    }

    /// Keeps the lease of a chat's outbox. False when another worker has it.
    pub async fn renew_outbox(&self, chat: ChatId, token: Uuid, lease: Duration) -> Result<bool> {
        self.renew("outbox", chat, token, lease).await
    }

    async fn renew(&self, what: &str, chat: ChatId, token: Uuid, lease: Duration) -> Result<bool> {
        let sql =
            format!("UPDATE chats SET {what}_lease_until = {{now}} + $3 WHERE id = $1 AND {what}_lease = $2");
        Ok(self.mark(&sql, vec![chat.0.into(), token.into(), millis(lease).into()]).await? == 1)
    }

    /// Gives the turn back, to be looked at again after `delay`.
    pub async fn release_turn(&self, chat: ChatId, token: Uuid, delay: Duration) -> Result<()> {
        self.release("turn", chat, token, delay).await
    }

    /// Gives the outbox back, to be looked at again after `delay`.
    pub async fn release_outbox(&self, chat: ChatId, token: Uuid, delay: Duration) -> Result<()> {
        self.release("outbox", chat, token, delay).await
    }

    async fn release(&self, what: &str, chat: ChatId, token: Uuid, delay: Duration) -> Result<()> {
        let sql = format!(
            "UPDATE chats SET {what}_lease = NULL, {what}_lease_until = 0, {what}_dispatched_until = 0, \
                {what}_due_at = CASE WHEN {what}_due_at IS NOT NULL THEN {{now}} + $3 END \
             WHERE id = $1 AND {what}_lease = $2"
        );
        self.mark(&sql, vec![chat.0.into(), token.into(), millis(delay).into()]).await?;
        Ok(())
    }
}

impl Tx {
    /// The turn of a chat that is not finished.
    pub async fn open_turn(&self, chat: &LockedChat) -> Result<Option<turn::Model>> {
        // Invariant: the database lets a chat have one of them at most.
        let sql = "SELECT {turns.*} FROM turns WHERE chat_id = $1 AND state IN ('asking', 'reconciling', 'waiting')";
        self.first(sql, vec![chat.row.id.into()]).await
    }

    /// How many turns the chat has begun since `since`, counted up to `most`.
    pub async fn recent_turns(&self, chat: &LockedChat, since: Millis, most: i64) -> Result<i64> {
        let sql = "SELECT COUNT(*) AS n FROM (SELECT started_at FROM turns WHERE chat_id = $1 \
             ORDER BY id DESC LIMIT $3) t WHERE t.started_at > $2";
        let values = vec![chat.row.id.into(), since.into(), most.into()];
        Ok(self.first::<Count>(sql, values).await?.map_or(0, |count| count.n))
    }

    /// The messages nobody has asked the agent about yet, by Meta's time; at most `most`.
    pub async fn unanswered(&self, chat: &LockedChat, most: u64) -> Result<Vec<message::Model>> {
        let sql = "SELECT {messages.*} FROM messages WHERE chat_id = $1 AND needs_answer AND turn_id IS NULL \
             ORDER BY at, seq LIMIT $2";
        self.query(sql, vec![chat.row.id.into(), most.into()]).await
    }

    /// The messages a turn asks, in the order they are asked.
    pub async fn asked_messages(&self, turn: &turn::Model) -> Result<Vec<message::Model>> {
        let ids: Vec<Uuid> = serde_json::from_str(&turn.message_ids)
            .map_err(|err| crate::Error::Row { table: "turns", what: err.to_string() })?;
        let (list, values) = in_list(&ids, 1);
        self.query(
            &format!("SELECT {{messages.*}} FROM messages WHERE id IN ({list}) ORDER BY at, seq"),
            values,
        )
        .await
    }

    /// Writes the turn that is asked next, before it is asked. The chat's unanswered messages are now its.
    pub async fn start_turn(&self, chat: &mut LockedChat, new: &NewTurn) -> Result<TurnId> {
        let id = TurnId::new();
        let row = turn::ActiveModel {
            id: Set(id.0),
            connection_id: Set(chat.row.connection_id),
            chat_id: Set(chat.row.id),
            message_ids: Set(json_ids(&new.messages)),
            asked_hash: Set(new.asked_hash.to_vec()),
            watermark: Set(new.watermark.clone()),
            agent_chat_id: Set(Some(new.agent_chat_id.clone())),
            rollovers: Set(0),
            state: Set(TurnState::Asking.to_string()),
            attempt: Set(1),
            deadline: Set(chat.now + millis(new.deadline)),
            received_at: Set(new.received_at),
            started_at: Set(chat.now),
            trace_id: Set(new.trace.map(TraceId::to_uuid)),
            ..Default::default()
        };
        turn::Entity::insert(row).exec_without_returning(self.connection()).await?;
        self.assign(chat, id, &new.messages).await?;
        Ok(id)
    }

    /// Asks an unfinished turn again: what surely had no effect before. Gives the new attempt; nothing if
    /// the turn has moved on.
    pub async fn ask_again(
        &self,
        chat: &mut LockedChat,
        turn: &turn::Model,
        new: &NewTurn,
        rollovers: i32,
    ) -> Result<Option<i32>> {
        let sql = "UPDATE turns SET state = 'asking', attempt = attempt + 1, message_ids = $3, asked_hash = $4, \
                watermark = $5, agent_chat_id = $6, deadline = {now} + $7, rollovers = $8 \
             WHERE id = $1 AND attempt = $2 AND state IN ('asking', 'reconciling', 'waiting')";
        let values = vec![
            turn.id.into(),
            turn.attempt.into(),
            json_ids(&new.messages).into(),
            new.asked_hash.to_vec().into(),
            new.watermark.clone().into(),
            new.agent_chat_id.as_str().into(),
            millis(new.deadline).into(),
            rollovers.into(),
        ];
        if self.execute(sql, values).await? == 0 {
            return Ok(None);
        }
        self.assign(chat, turn.id.into(), &new.messages).await?;
        Ok(Some(turn.attempt + 1))
    }

    async fn assign(&self, chat: &mut LockedChat, turn: TurnId, messages: &[MessageId]) -> Result<()> {
        let ids: Vec<Uuid> = messages.iter().map(|id| id.0).collect();
        let (list, mut values) = in_list(&ids, 2);
        values.insert(0, turn.0.into());
        self.execute(&format!("UPDATE messages SET turn_id = $1 WHERE id IN ({list})"), values).await?;
        // One question asks only so many; what is left is the next one's.
        let more = !self.unanswered(chat, 1).await?.is_empty();
        chat.row.first_unanswered_at = more.then_some(chat.now);
        Ok(())
    }

    /// Records an answer: the turn is answered and the replies are in the outbox, or suppressed where the
    /// agent may no longer speak. Nothing when the turn's attempt is not this one any more.
    pub async fn answer_turn(
        &self,
        chat: &mut LockedChat,
        turn: (TurnId, i32),
        replies: Vec<Reply>,
        watermark: Option<String>,
    ) -> Result<Option<turn::Model>> {
        let sql = "UPDATE turns SET state = 'answered', finished_at = $3, latency_ms = $3 - started_at, \
                error_class = NULL, error = NULL \
             WHERE id = $1 AND attempt = $2 AND state IN ('asking', 'reconciling') RETURNING {turns.*}";
        let values = vec![turn.0.0.into(), turn.1.into(), chat.now.into()];
        let answered: Option<turn::Model> = self.first(sql, values).await?;
        let Some(answered) = answered else {
            return Ok(None);
        };
        let speaks = chat.mode() == ChatMode::Bot && self.still_asked(&answered).await?;
        let count = replies.len();
        for (part, reply) in replies.into_iter().enumerate() {
            let part = i32::try_from(part).unwrap_or(i32::MAX);
            self.add_reply(chat, reply.into_message(&answered, part, speaks)).await?;
        }
        if speaks && count > 0 {
            chat.await_delivery();
        }
        chat.row.agent_watermark = watermark.or(chat.row.agent_watermark.take());
        chat.row.turn_attempts = 0;
        chat.finish_turn();
        Ok(Some(answered))
    }

    /// Whether any message the turn asked still waits for its answer: it was not taken back, and no person took it
    /// over.
    pub(crate) async fn still_asked(&self, turn: &turn::Model) -> Result<bool> {
        Ok(self
            .asked_messages(turn)
            .await?
            .iter()
            .any(|message| message.needs_answer && message.kind != "unsent"))
    }

    /// The chat's unanswered messages will not be answered; `class` says why.
    pub async fn drop_unanswered(&self, chat: &mut LockedChat, class: FailureClass) -> Result<()> {
        let sql = "UPDATE messages SET needs_answer = FALSE, error_class = $2 \
             WHERE chat_id = $1 AND needs_answer AND turn_id IS NULL";
        self.execute(sql, vec![chat.row.id.into(), class.as_str().into()]).await?;
        chat.row.first_unanswered_at = None;
        Ok(())
    }

    /// Records why a turn is not answered. False when the turn's attempt is not this one any more.
    pub async fn judge_turn(&self, turn: (TurnId, i32), verdict: &Verdict) -> Result<bool> {
        let over = matches!(verdict.state, TurnState::Failed | TurnState::Unknown | TurnState::Suppressed);
        let sql = "UPDATE turns SET state = $3, error_class = $4, error = $5, \
                finished_at = CASE WHEN $6 THEN {now} END \
             WHERE id = $1 AND attempt = $2 AND state IN ('asking', 'reconciling', 'waiting')";
        let values = vec![
            turn.0.0.into(),
            turn.1.into(),
            verdict.state.as_str().into(),
            verdict.class.as_str().into(),
            verdict.error.as_str().into(),
            over.into(),
        ];
        Ok(self.execute(sql, values).await? == 1)
    }

    /// Gives the lease back with the transaction.
    pub async fn end_turn_lease(&self, chat: &LockedChat, token: Uuid) -> Result<()> {
        self.end_lease("turn", chat, token).await
    }

    pub(crate) async fn end_lease(&self, what: &str, chat: &LockedChat, token: Uuid) -> Result<()> {
        let sql = format!(
            "UPDATE chats SET {what}_lease = NULL, {what}_lease_until = 0, {what}_dispatched_until = 0 \
             WHERE id = $1 AND {what}_lease = $2"
        );
        self.execute(&sql, vec![chat.row.id.into(), token.into()]).await?;
        Ok(())
    }
}

impl LockedChat {
    /// The turn is over: another is due only if messages came meanwhile.
    pub fn finish_turn(&mut self) {
        let more = self.row.first_unanswered_at.is_some() && self.mode() == ChatMode::Bot;
        self.row.turn_due_at = if more { self.row.turn_due_at.or(Some(self.now)) } else { None };
        self.turn_pushed = self.row.turn_due_at.is_some_and(|due| due <= self.now);
    }
}

fn json_ids(ids: &[MessageId]) -> String {
    serde_json::to_string(ids).unwrap_or_else(|_| "[]".to_owned())
}

/// `$n, $n+1, …` for a list of ids, and their values.
pub(crate) fn in_list(ids: &[Uuid], first: usize) -> (String, Vec<Value>) {
    let places: Vec<String> = (first..first + ids.len()).map(|n| format!("${n}")).collect();
    let list = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
    (list, ids.iter().map(|id| (*id).into()).collect())
}
