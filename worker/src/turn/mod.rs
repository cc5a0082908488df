//! `turn`: asks the agent what a user's messages ask, and puts its answer into the outbox. The question is
//! written down before it is asked; a question whose outcome is unknown is looked up before it is repeated.

mod ask;
mod prepare;
mod reconcile;
mod wording;

use crate::Context;
use crate::handler::Outcome;
use crate::lease::{Leasable, Renewal};
use dmrelay_agent::Answer;
use dmrelay_domain::clock::{Millis, duration, millis};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, TurnId};
use dmrelay_domain::retry::{self, Schedule};
use dmrelay_domain::split;
use dmrelay_domain::states::TurnState;
use dmrelay_domain::trace::TraceId;
use dmrelay_runtime::metrics::Stage;
use dmrelay_runtime::span_of;
use dmrelay_store::{
    Connection, DeadLetter, Error, Gate, GateKey, Leased, Reply, Subject, Verdict, again_on_contention,
};
use prepare::Plan;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// How long a chat waits when its agent has its share of the slots already.
const SHARE: Duration = Duration::from_millis(250);

/// A turn under way.
pub(super) struct Turn<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) leased: &'a Leased,
    pub(super) connection: &'a Connection,
    pub(super) id: TurnId,
    pub(super) attempt: i32,
}

/// Works on the turn of a chat, if one is due.
pub(crate) async fn run(ctx: &Arc<Context>, chat: ChatId) -> Result<Outcome, Error> {
    let Some(leased) = ctx.store.lease_turn(chat, ctx.options.worker.lease).await? else {
        return Ok(Outcome::Idle);
    };
    let _renewal = Renewal::start(ctx, Leasable::Turn, chat, leased.token);
    let outcome = work(ctx, &leased).await;
    if outcome.is_err() {
        // Best effort: without it the lease runs out by itself.
        let _ = ctx.store.release_turn(chat, leased.token, retry::CALLS.bound(1)).await;
    }
    outcome
}

async fn work(ctx: &Arc<Context>, leased: &Leased) -> Result<Outcome, Error> {
    let chat = leased.chat.id();
    let plan = prepare::plan(ctx, leased).await?;
    let connection = match &plan {
        Plan::Nothing(outcome) => return Ok(*outcome),
        Plan::Ask { connection, .. } | Plan::Reconcile { connection, .. } => connection.clone(),
    };
    let Some(_slot) = ctx.shares.take(&connection.agent) else {
        ctx.store.release_turn(chat, leased.token, SHARE).await?;
        return Ok(Outcome::Idle);
    };
    // Last before the call: whoever is let through as the probe must make it.
    if let Gate::Closed(until) = ctx.store.pass(&[GateKey::Agent]).await? {
        ctx.store.release_turn(chat, leased.token, wait(until, leased.chat.now)).await?;
        return Ok(Outcome::Idle);
    }
    match plan {
        Plan::Nothing(outcome) => Ok(outcome),
        Plan::Reconcile { connection, turn } => {
            let under_way =
                Turn { ctx, leased, connection: &connection, id: turn.id.into(), attempt: turn.attempt };
            let span = span_of!(TraceId::of(turn.trace_id), "reconcile", turn = %turn.id);
            reconcile::run(&under_way, &turn).instrument(span).await
        }
        Plan::Ask { connection, chat } => {
            let span = span_of!(TraceId::of(chat.row.trace_id), "ask", chat = %chat.id());
            ask::run(ctx, leased, &connection, *chat).instrument(span).await
        }
    }
}

/// From `now` until `until`, both by the database's clock.
pub(super) fn wait(until: Millis, now: Millis) -> Duration {
    duration(until - now)
}

impl Turn<'_> {
    /// Records an answer and gives the lease back.
    pub(super) async fn answered(&self, answer: &Answer) -> Result<Outcome, Error> {
        let parts = answer.replies.iter().flat_map(|reply| split::split(reply, split::MAX_BYTES));
        let replies: Vec<Reply> = parts.map(|text| Reply { text }).collect();
        again_on_contention!(self.record_answer(&replies, answer.last_message_id.as_ref()).await)
    }

    async fn record_answer(&self, replies: &[Reply], watermark: Option<&String>) -> Result<Outcome, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else {
            return Ok(Outcome::Idle);
        };
        let turn = (self.id, self.attempt);
        let answered = tx.answer_turn(&mut chat, turn, replies.to_vec(), watermark.cloned()).await?;
        let Some(answered) = answered else {
            // Somebody who took this worker for dead has found the answer out before.
            tracing::info!(turn = %self.id, attempt = self.attempt, "answer came late, the turn has moved on");
            tx.end_turn_lease(&chat, self.leased.token).await?;
            tx.commit().await?;
            return Ok(Outcome::Idle);
        };
        tx.save_chat(&chat).await?;
        tx.end_turn_lease(&chat, self.leased.token).await?;
        tx.commit().await?;
        self.ctx.metrics.stage(Stage::Agent, chat.now - answered.started_at);
        tracing::info!(
            turn = %self.id, chat = %chat.id(), replies = replies.len(), attempt = self.attempt, "turn answered"
        );
        crate::ingest::wake(self.ctx, &chat).await;
        Ok(Outcome::Done)
    }

    /// The agent's chat has ended, so the question was surely not taken: it waits for a new chat.
    pub(super) async fn refused_by_ended_chat(&self, error: &str) -> Result<(), Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else { return Ok(()) };
        let verdict =
            Verdict { state: TurnState::Waiting, class: FailureClass::Gone, error: error.to_owned() };
        if tx.judge_turn((self.id, self.attempt), &verdict).await? {
            chat.row.agent_chat_id = None;
            chat.row.agent_watermark = None;
            tx.save_chat(&chat).await?;
        }
        tx.commit().await
    }

    /// Puts the turn off: it is asked again, or found out about, after the schedule's next delay.
    pub(super) async fn put_off(
        &self,
        state: TurnState,
        class: FailureClass,
        error: &str,
        delay: Delay,
    ) -> Result<Outcome, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else {
            return Ok(Outcome::Idle);
        };
        let verdict = Verdict { state, class, error: error.to_owned() };
        if tx.judge_turn((self.id, self.attempt), &verdict).await? {
            chat.row.turn_attempts = chat.row.turn_attempts.saturating_add(1);
            let delay = delay.after(chat.row.turn_attempts);
            chat.row.turn_due_at = Some(chat.now + millis(delay));
            tx.save_chat(&chat).await?;
        }
        tx.end_turn_lease(&chat, self.leased.token).await?;
        tx.commit().await?;
        tracing::warn!(turn = %self.id, state = state.as_str(), class = class.as_str(), error, "turn put off");
        Ok(Outcome::Retry(class))
    }

    /// Ends the turn for good, with a dead letter.
    pub(super) async fn buried(
        &self,
        state: TurnState,
        class: FailureClass,
        error: &str,
    ) -> Result<Outcome, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else {
            return Ok(Outcome::Idle);
        };
        let verdict = Verdict { state, class, error: error.to_owned() };
        if tx.judge_turn((self.id, self.attempt), &verdict).await? {
            let letter = DeadLetter::of(self.connection, Subject::Turn(self.id.0), class, error)
                .in_chat(chat.row.id, self.attempt);
            tx.bury(&letter, chat.now).await?;
            tx.fall_back(&mut chat, self.connection, Some(self.id)).await?;
            chat.row.turn_attempts = 0;
            chat.finish_turn();
            tx.save_chat(&chat).await?;
        }
        tx.end_turn_lease(&chat, self.leased.token).await?;
        tx.commit().await?;
        if state == TurnState::Unknown {
            self.ctx.metrics.reconciliations.with_label_values(&["agent", "unknown"]).inc();
        }
        crate::ingest::wake(self.ctx, &chat).await;
        Ok(Outcome::Dead(class))
    }
}

/// How long to put a turn off.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delay {
    /// By a schedule, after so many failures in a row.
    Backoff(Schedule),
    /// So long.
    Exactly(Duration),
}

impl Delay {
    pub(super) fn after(self, failures: i32) -> Duration {
        match self {
            Self::Backoff(schedule) => schedule.delay(u32::try_from(failures).unwrap_or(1)),
            Self::Exactly(delay) => delay,
        }
    }
}
