//! Dead letters are tried again, or left at that, because a person says so. What a letter speaks of is put
//! back to where it was before it failed, in one transaction under the chat's lock; the sweep does the rest.

use crate::chats::LockedChat;
use crate::turns::in_list;
use crate::{Activity, ActivityKind, Connection, Error, Result, Store, Tx, again_on_contention};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::states::{
    Author, ChatMode, ConnectionStatus, DeadLetterState, Direction, MessageStatus, TurnState,
};
use dmrelay_domain::window::{self, Window};
use dmrelay_entity::{dead_letter, message, turn};
use std::time::Duration;
use uuid::Uuid;

/// What became of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// What had failed is tried again.
    Replayed,
    /// Somebody has replayed or discarded the letter before.
    NotOpen,
    /// It would fail again: why, for people. The letter stays open.
    Refused(&'static str),
}

/// Nothing, or why a letter cannot be replayed.
type Hindrance = Option<&'static str>;

const GONE: &str = "what failed is no longer stored";
const NOT_FAILED: &str = "it is not in a failed state any more";
const UNSENT: &str = "the customer took the message back";
const NOBODY_WAITS: &str = "the customer took it back, or it was asked again already";
const PERSON: &str = "a person has taken over the chat";
const ANSWERED: &str = "a person has written in the chat since";
const PAUSED: &str = "the agent is paused in this chat";
const DISCONNECTED: &str = "the account is not connected";
const WINDOW: &str = "Meta's window for replies is closed until the customer writes again";

impl Store {
    /// Tries again what a dead letter of the connection speaks of. Two replays at once do it once.
    pub async fn replay(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
        actor: &str,
    ) -> Result<Replay> {
        again_on_contention!(self.replay_once(letter, connection, actor).await)
    }

    async fn replay_once(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
        actor: &str,
    ) -> Result<Replay> {
        let (tx, outcome) = self.try_replay(letter, connection, actor).await?;
        if outcome == Replay::Replayed {
            tx.commit().await?;
        }
        Ok(outcome)
    }

    /// What a replay would come to now. Nothing is changed.
    pub async fn foresee_replay(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
    ) -> Result<Replay> {
        // Without a commit nothing of it has happened.
        Ok(self.try_replay(letter, connection, "").await?.1)
    }

    async fn try_replay(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
        actor: &str,
    ) -> Result<(Tx, Replay)> {
        let tx = self.begin().await?;
        if letter.connection_id != Some(connection.row.id) {
            return Ok((tx, Replay::NotOpen));
        }
        let mut chat = match letter.chat_id {
            Some(id) => tx.lock_chat(id.into()).await?,
            None => None,
        };
        if !tx.close_letter(letter.id, DeadLetterState::Replayed, actor).await? {
            return Ok((tx, Replay::NotOpen));
        }
        if let Some(why) = tx.revive(letter, chat.as_mut()).await? {
            return Ok((tx, Replay::Refused(why)));
        }
        if let Some(chat) = &chat {
            tx.save_chat(chat).await?;
        }
        tx.record_closed(letter, ActivityKind::DeadLetterReplayed, actor).await?;
        Ok((tx, Replay::Replayed))
    }

    /// Leaves a dead letter at that. False when somebody has replayed or discarded it before.
    pub async fn discard(&self, letter: &dead_letter::Model, actor: &str) -> Result<bool> {
        let tx = self.begin().await?;
        if !tx.close_letter(letter.id, DeadLetterState::Discarded, actor).await? {
            return Ok(false);
        }
        tx.record_closed(letter, ActivityKind::DeadLetterDiscarded, actor).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    /// Closes an open letter; only one of two at once does.
    async fn close_letter(&self, id: Uuid, state: DeadLetterState, actor: &str) -> Result<bool> {
        let column = if state == DeadLetterState::Replayed { "replayed_at" } else { "discarded_at" };
        let sql = format!(
            "UPDATE dead_letters SET {column} = {{now}}, closed_by = $2 \
             WHERE id = $1 AND replayed_at IS NULL AND discarded_at IS NULL"
        );
        Ok(self.execute(&sql, vec![id.into(), actor.into()]).await? == 1)
    }

    async fn record_closed(
        &self,
        letter: &dead_letter::Model,
        kind: ActivityKind,
        actor: &str,
    ) -> Result<()> {
        // What came for an account that nobody has is in nobody's log.
        if letter.subaccount_id.is_empty() {
            return Ok(());
        }
        let subaccount = SubaccountId::parse(&letter.subaccount_id)
            .map_err(|err| Error::Row { table: "dead_letters", what: err.to_string() })?;
        let activity = Activity::of_subaccount(&subaccount, kind, actor)
            .in_connection(letter.connection_id)
            .about(&letter.id)
            .with("class", letter.class.as_str())
            .with("kind", letter.kind.as_str())
            .with("chatId", letter.chat_id.map(|id| id.to_string()))
            .with("reference", letter.reference.to_string());
        self.record(&activity).await
    }

    /// Puts back what the letter speaks of. The caller saves the chat.
    async fn revive(&self, letter: &dead_letter::Model, chat: Option<&mut LockedChat>) -> Result<Hindrance> {
        let connection = match letter.connection_id {
            Some(id) => self.connection_of(id).await?,
            None => None,
        };
        let unusable = [ConnectionStatus::Disconnecting, ConnectionStatus::Disconnected];
        let Some(connection) = connection.filter(|connection| !unusable.contains(&connection.status)) else {
            return Ok(Some(DISCONNECTED));
        };
        match (letter.kind.as_str(), chat) {
            ("event", _) => self.revive_event(letter.reference).await,
            ("turn", Some(chat)) => self.revive_turn(letter, chat).await,
            ("message", Some(chat)) => {
                let sql = "SELECT {messages.*} FROM messages WHERE id = $1 AND chat_id = $2";
                let values = vec![letter.reference.into(), chat.row.id.into()];
                match self.first::<message::Model>(sql, values).await? {
                    None => Ok(Some(GONE)),
                    Some(message) if message.direction == Direction::Inbound.as_str() => {
                        if self.person_wrote_after(chat, message.seq).await? {
                            return Ok(Some(ANSWERED));
                        }
                        self.ask_about(letter, chat, message.at, 0).await
                    }
                    Some(message) => {
                        let human_agent = connection.settings.human_agent.unwrap_or(false);
                        self.revive_send(&message, chat, human_agent).await
                    }
                }
            }
            _ => Ok(Some(GONE)),
        }
    }

    async fn revive_event(&self, id: Uuid) -> Result<Hindrance> {
        let sql = "UPDATE events SET state = 'new', due_at = {now}, claimed_until = 0, attempts = 0, error = NULL \
             WHERE id = $1 AND state = 'dead'";
        let revived = self.execute(sql, vec![id.into()]).await?;
        Ok((revived == 0).then_some(GONE))
    }

    /// The turn stays as it ended; what it asked is asked by a new one.
    async fn revive_turn(&self, letter: &dead_letter::Model, chat: &mut LockedChat) -> Result<Hindrance> {
        let sql = "SELECT {turns.*} FROM turns WHERE id = $1 AND chat_id = $2";
        let values = vec![letter.reference.into(), chat.row.id.into()];
        let Some(turn) = self.first::<turn::Model>(sql, values).await? else { return Ok(Some(GONE)) };
        let over = [TurnState::Failed, TurnState::Unknown];
        if !TurnState::parse(&turn.state).is_some_and(|state| over.contains(&state)) {
            return Ok(Some(NOT_FAILED));
        }
        let asked = self.asked_messages(&turn).await?;
        let Some(first) = asked.iter().map(|message| message.at).min() else { return Ok(Some(GONE)) };
        let last = asked.iter().map(|message| message.seq).max().unwrap_or_default();
        if self.person_wrote_after(chat, last).await? {
            return Ok(Some(ANSWERED));
        }
        let ids: Vec<Uuid> = asked.iter().map(|message| message.id).collect();
        let (list, mut values) = in_list(&ids, 2);
        values.insert(0, turn.id.into());
        let sql = format!(
            "UPDATE messages SET needs_answer = TRUE, turn_id = NULL, error_class = NULL, error_code = NULL \
             WHERE turn_id = $1 AND id IN ({list}) AND kind <> 'unsent'"
        );
        let revived = self.execute(&sql, values).await?;
        self.ask_about(letter, chat, first, revived).await
    }

    /// The chat's turn is due, for the messages already `revived` and for those from `first` on that were
    /// dropped together with what the letter speaks of: it names only one of them.
    async fn ask_about(
        &self,
        letter: &dead_letter::Model,
        chat: &mut LockedChat,
        first: i64,
        revived: u64,
    ) -> Result<Hindrance> {
        if let Some(why) = agent_silent(chat) {
            return Ok(Some(why));
        }
        if window::at(chat.row.window_expires_at, chat.now) != Window::Open {
            return Ok(Some(WINDOW));
        }
        let sql = "UPDATE messages SET needs_answer = TRUE, error_class = NULL, error_code = NULL \
             WHERE chat_id = $1 AND direction = 'inbound' AND turn_id IS NULL AND NOT needs_answer \
             AND error_class = $2 AND at >= $3 AND created_at <= $4 AND kind NOT IN ('unsent', 'stub')";
        let values =
            vec![chat.row.id.into(), letter.class.as_str().into(), first.into(), letter.created_at.into()];
        if revived + self.execute(sql, values).await? == 0 {
            return Ok(Some(NOBODY_WAITS));
        }
        chat.await_answer(Duration::ZERO);
        // No job is pushed for it: the sweep is to take it at once.
        chat.turn_pushed = false;
        Ok(None)
    }

    async fn revive_send(
        &self,
        message: &message::Model,
        chat: &mut LockedChat,
        human_agent: bool,
    ) -> Result<Hindrance> {
        let agent = message.author == Author::Agent.as_str();
        if message.kind == "unsent" || (agent && self.answers_nothing(message).await?) {
            return Ok(Some(UNSENT));
        }
        if let Some(why) = agent_silent(chat).filter(|_| agent) {
            return Ok(Some(why));
        }
        if agent && self.person_wrote_after(chat, message.seq).await? {
            return Ok(Some(ANSWERED));
        }
        match window::at(chat.row.window_expires_at, chat.now) {
            Window::Open => {}
            Window::HumanAgent if human_agent && message.author == Author::Human.as_str() => {}
            Window::HumanAgent | Window::Closed => return Ok(Some(WINDOW)),
        }
        // Invariant: the attempt only grows, so an outcome of the time before does not count any more.
        let sql = "UPDATE messages SET status = $2, attempt = attempt + 1, deadline = NULL, started_at = NULL, \
                error_class = NULL, error_code = NULL, error_message = NULL \
             WHERE id = $1 AND (status = 'failed' OR (status = 'unknown' AND deadline IS NULL))";
        let queued = MessageStatus::Queued.as_str();
        if self.execute(sql, vec![message.id.into(), queued.into()]).await? == 0 {
            return Ok(Some(NOT_FAILED));
        }
        if let (Some(turn), Some(part)) = (message.turn_id, message.part) {
            let sql = "UPDATE messages SET status = $3, attempt = attempt + 1 \
                 WHERE turn_id = $1 AND part > $2 AND part IS NOT NULL AND status = 'cancelled'";
            self.execute(sql, vec![turn.into(), part.into(), queued.into()]).await?;
        }
        chat.row.outbox_due_at = Some(chat.now);
        chat.row.outbox_attempts = 0;
        Ok(None)
    }

    /// Whether everything that an agent's message answers was taken back.
    async fn answers_nothing(&self, message: &message::Model) -> Result<bool> {
        let Some(turn) = message.turn_id else { return Ok(false) };
        let turn: Option<turn::Model> =
            self.first("SELECT {turns.*} FROM turns WHERE id = $1", vec![turn.into()]).await?;
        match turn {
            Some(turn) => Ok(!self.still_asked(&turn).await?),
            None => Ok(false),
        }
    }
}

/// Why the agent may not speak in the chat now.
fn agent_silent(chat: &LockedChat) -> Hindrance {
    match chat.mode() {
        ChatMode::Bot => None,
        ChatMode::Human => Some(PERSON),
        ChatMode::Paused => Some(PAUSED),
    }
}
