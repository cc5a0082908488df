//! What people ask of a conversation, through the API or at the command line: the same commands as everything else, one at
//! a time.

use crate::conversations::Outcome;
use crate::{Applied, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::conversation::{
    CloseLetter, Command, Pause, Policy, React, Refusal, Release, Reply, SendByHuman, TakeOver,
};
use dmrelay_domain::ids::{ChatId, EventId};
use dmrelay_domain::states::{ActivityKind, DeadLetterState, EventState};
use dmrelay_entity::{chat, dead_letter, event};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::time::Duration;

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

const GONE: &str = "what failed is no longer stored";
const DISCONNECTED: &str = "the account is not connected";

/// How often a chat is tried that another transaction has, and how long until then.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Applies one command; a chat that another transaction has is waited for.
    ///
    /// # Errors
    /// What the database says; [`Error::Row`] if there is no such chat.
    pub async fn command(&self, policy: Policy, chat: ChatId, command: Command) -> Result<Applied> {
        self.unless_busy(policy, (chat, command), true).await?.applied()
    }

    /// What becomes of a command, or would become of it: another transaction that has the chat is waited for.
    async fn unless_busy(
        &self,
        policy: Policy,
        (chat, command): (ChatId, Command),
        keep: bool,
    ) -> Result<Outcome> {
        let mut tries = 0;
        loop {
            let commands = vec![(chat, command.clone())];
            let outcomes = if keep {
                self.transact(policy, commands).await
            } else {
                self.preview(policy, commands).await
            };
            let outcome = outcomes?.into_iter().next().unwrap_or(Outcome::Missing);
            if tries == BUSY_TRIES || !matches!(outcome, Outcome::Busy(_)) {
                return Ok(outcome);
            }
            tries += 1;
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    /// A human agent takes a chat of the connection over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn take_over_chat(
        &self,
        connection: &Connection,
        chat: ChatId,
        actor: &Actor,
        (pause, policy): (Pause, Policy),
    ) -> Result<Option<chat::Model>> {
        let take_over = TakeOver { actor: actor.clone(), pause };
        self.change_chat((connection, policy), chat, Command::TakeOver(take_over)).await
    }

    /// A chat of the connection goes back to the agent, which answers what is unanswered since.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_chat(
        &self,
        connection: &Connection,
        chat: ChatId,
        actor: &Actor,
    ) -> Result<Option<chat::Model>> {
        let command = Command::Release(Release::By(actor.clone()));
        self.change_chat((connection, Policy::default()), chat, command).await
    }

    async fn change_chat(
        &self,
        (connection, policy): (&Connection, Policy),
        chat: ChatId,
        command: Command,
    ) -> Result<Option<chat::Model>> {
        let known = self.chat(chat).await?.filter(|row| row.connection_id == connection.row.id);
        if known.is_none() {
            return Ok(None);
        }
        self.command(policy, chat, command).await?;
        Ok(chat::Entity::find_by_id(chat).one(&self.writer()).await?)
    }

    /// A human agent writes to a customer. `policy` says for how long that silences the agent.
    ///
    /// # Errors
    /// What the database says; [`Error::is_conflict`] if the client's key was used before.
    pub async fn send_by_human(&self, policy: Policy, chat: ChatId, send: SendByHuman) -> Result<Applied> {
        self.command(policy, chat, Command::SendByHuman(send)).await
    }

    /// The account has reacted to a message of a chat.
    ///
    /// # Errors
    /// What the database says.
    pub async fn react(&self, chat: ChatId, react: React) -> Result<Applied> {
        self.command(Policy::default(), chat, Command::React(react)).await
    }

    /// Tries again what a dead letter of the connection speaks of. Two replays at once do it once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn replay(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
        actor: &Actor,
    ) -> Result<Replay> {
        if letter.connection_id != Some(connection.row.id) {
            return Ok(Replay::NotOpen);
        }
        let Some(chat) = letter.chat_id else {
            return self.replay_event(letter, connection, Some(actor)).await;
        };
        let close = CloseLetter { letter: letter.id, actor: actor.clone() };
        let applied = self.command(Policy::default(), chat, Command::Replay(close)).await?;
        Ok(outcome_of(&applied.reply))
    }

    /// What a replay would come to now. Nothing is changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn foresee_replay(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
    ) -> Result<Replay> {
        if letter.connection_id != Some(connection.row.id) {
            return Ok(Replay::NotOpen);
        }
        let Some(chat) = letter.chat_id else { return self.replay_event(letter, connection, None).await };
        let close = CloseLetter { letter: letter.id, actor: Actor::default() };
        match self.unless_busy(Policy::default(), (chat, Command::Replay(close)), false).await? {
            Outcome::Missing => Ok(Replay::Refused(GONE)),
            outcome => Ok(outcome_of(&outcome.applied()?.reply)),
        }
    }

    /// Closes a dead letter and leaves what it speaks of as it is. False if somebody has closed it before.
    ///
    /// # Errors
    /// What the database says.
    pub async fn discard(&self, letter: &dead_letter::Model, actor: &Actor) -> Result<bool> {
        if let Some(chat) = letter.chat_id {
            let close = CloseLetter { letter: letter.id, actor: actor.clone() };
            let applied = self.command(Policy::default(), chat, Command::Discard(close)).await?;
            return Ok(applied.reply == Reply::Done);
        }
        let tx = self.begin().await?;
        if !tx.close_letter(letter.id, DeadLetterState::Discarded, actor).await? {
            return Ok(false);
        }
        tx.record_closed(letter, ActivityKind::DeadLetterDiscarded, actor).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// An event is of no conversation until it is taken in. Without an actor nothing is changed.
    async fn replay_event(
        &self,
        letter: &dead_letter::Model,
        connection: &Connection,
        actor: Option<&Actor>,
    ) -> Result<Replay> {
        use dmrelay_domain::states::ConnectionStatus::{Disconnected, Disconnecting};
        let tx = self.begin().await?;
        let by = actor.cloned().unwrap_or_default();
        if !tx.close_letter(letter.id, DeadLetterState::Replayed, &by).await? {
            return Ok(Replay::NotOpen);
        }
        if matches!(connection.status, Disconnected | Disconnecting) {
            return Ok(Replay::Refused(DISCONNECTED));
        }
        if !tx.revive_event(EventId(letter.reference)).await? {
            return Ok(Replay::Refused(GONE));
        }
        if let Some(actor) = actor {
            tx.record_closed(letter, ActivityKind::DeadLetterReplayed, actor).await?;
            tx.commit().await?;
        }
        Ok(Replay::Replayed)
    }
}

fn outcome_of(reply: &Reply) -> Replay {
    match reply {
        Reply::Refused(Refusal::WouldFail(why)) => Replay::Refused(why),
        Reply::Refused(_) => Replay::NotOpen,
        _ => Replay::Replayed,
    }
}

impl Tx {
    async fn revive_event(&self, id: EventId) -> Result<bool> {
        use event::Column;
        let revive = event::Entity::update_many()
            .col_expr(Column::State, EventState::New.as_str().into())
            .col_expr(Column::DueAt, self.clock())
            .col_expr(Column::ClaimedUntil, 0_i64.into())
            .col_expr(Column::Attempts, 0.into())
            .col_expr(Column::Error, Expr::val(None::<String>))
            .filter(Column::Id.eq(id))
            // Failed, or not understood by an earlier version.
            .filter(Column::State.is_in([EventState::Dead.as_str(), EventState::Unknown.as_str()]));
        Ok(revive.exec(self.connection()).await?.rows_affected == 1)
    }
}
