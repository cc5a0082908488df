//! What there is to do for a chat whose turn is due, seen under its lock.

use crate::Context;
use crate::handler::Outcome;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::{ChatMode, ConnectionStatus, TurnState};
use dmrelay_domain::window::{self, Window};
use dmrelay_store::entity::{message, turn};
use dmrelay_store::{
    Activity, ActivityKind, Connection, DeadLetter, Error, Leased, LockedChat, Subject, Tx, Verdict,
};

/// The most messages one question asks.
pub(super) const MOST: u64 = 50;

const HOUR_MS: i64 = 3_600_000;

/// What to do.
pub(super) enum Plan {
    /// Nothing; the lease is given back already.
    Nothing(Outcome),
    /// Ask the agent.
    Ask { connection: Box<Connection>, chat: Box<LockedChat> },
    /// Find out what became of a question.
    Reconcile { connection: Box<Connection>, turn: Box<turn::Model> },
}

pub(super) async fn plan(ctx: &Context, leased: &Leased) -> Result<Plan, Error> {
    let tx = ctx.store.begin().await?;
    let Some(mut chat) = tx.lock_chat(leased.chat.id()).await? else {
        return Ok(Plan::Nothing(Outcome::Idle));
    };
    if chat.row.turn_lease != Some(leased.token) {
        return Ok(Plan::Nothing(Outcome::Idle));
    }
    let connection = tx.connection_of(chat.row.connection_id).await?;
    let Some(connection) = connection.filter(|connection| connection.status == ConnectionStatus::Connected)
    else {
        // It stays due: the sweep takes it when the connection is in use again.
        return end(tx, &chat, leased, Outcome::Idle).await;
    };
    let open = match tx.open_turn(&chat).await? {
        Some(turn) if turn.state != TurnState::Waiting.as_str() => {
            return found_out_first(ctx, tx, connection, turn).await;
        }
        open => open,
    };
    if connection.row.bot_paused {
        // It stays due: the sweep takes it when the agent may speak again.
        return end(tx, &chat, leased, Outcome::Idle).await;
    }
    let messages = question(&tx, &chat, open.as_ref()).await?;
    if chat.mode() != ChatMode::Bot || messages.is_empty() {
        cancel_waiting(&tx, open.as_ref()).await?;
        chat.row.turn_due_at = None;
        chat.row.turn_attempts = 0;
        if messages.is_empty() {
            chat.row.first_unanswered_at = None;
        }
        return end(tx, &chat, leased, Outcome::Idle).await;
    }
    if window::at(chat.row.window_expires_at, chat.now) != Window::Open {
        return too_late(tx, chat, leased, &connection, (open, &messages)).await;
    }
    let most = i64::from(ctx.options.worker.max_turns_per_hour);
    if open.is_none() && tx.recent_turns(&chat, chat.now - HOUR_MS, most).await? >= most {
        return runaway(tx, chat, leased, &connection).await;
    }
    Ok(Plan::Ask { connection: Box::new(connection), chat: Box::new(chat) })
}

/// The messages the next question asks: those of the turn that waits to be asked again, and the new ones.
pub(super) async fn question(
    tx: &Tx,
    chat: &LockedChat,
    waiting: Option<&turn::Model>,
) -> Result<Vec<message::Model>, Error> {
    let mut messages = match waiting {
        Some(turn) => tx.asked_messages(turn).await?,
        None => Vec::new(),
    };
    messages.retain(|message| message.needs_answer);
    messages.extend(tx.unanswered(chat, MOST).await?);
    messages.sort_by_key(|message| (message.at, message.seq));
    Ok(messages)
}

/// A question without an outcome, left by a worker that died or by a call that failed.
async fn found_out_first(
    ctx: &Context,
    tx: Tx,
    connection: Connection,
    mut turn: turn::Model,
) -> Result<Plan, Error> {
    if turn.state == TurnState::Asking.as_str() {
        ctx.metrics.leases_rescued.inc();
        let verdict = Verdict {
            state: TurnState::Reconciling,
            class: FailureClass::Ambiguous,
            error: "the worker that asked is gone".to_owned(),
        };
        tx.judge_turn((turn.id.into(), turn.attempt), &verdict).await?;
        TurnState::Reconciling.as_str().clone_into(&mut turn.state);
        tracing::warn!(turn = %turn.id, chat = %turn.chat_id, "turn taken over from a worker that is gone");
    }
    tx.commit().await?;
    Ok(Plan::Reconcile { connection: Box::new(connection), turn: Box::new(turn) })
}

/// A person took over before the question could be asked.
async fn cancel_waiting(tx: &Tx, waiting: Option<&turn::Model>) -> Result<(), Error> {
    let Some(turn) = waiting else { return Ok(()) };
    let verdict = Verdict {
        state: TurnState::Suppressed,
        class: FailureClass::Transient,
        error: "not asked: a person took over, or the messages were taken back".to_owned(),
    };
    tx.judge_turn((turn.id.into(), turn.attempt), &verdict).await?;
    Ok(())
}

/// Meta's window closed before the question could be asked: a reply could not be sent.
async fn too_late(
    tx: Tx,
    mut chat: LockedChat,
    leased: &Leased,
    connection: &Connection,
    (waiting, messages): (Option<turn::Model>, &[message::Model]),
) -> Result<Plan, Error> {
    let class = FailureClass::WindowClosed;
    let error = "the 24-hour window closed before the agent could be asked";
    let subject = match waiting {
        Some(turn) => {
            let verdict = Verdict { state: TurnState::Failed, class, error: error.to_owned() };
            tx.judge_turn((turn.id.into(), turn.attempt), &verdict).await?;
            Subject::Turn(turn.id)
        }
        None => Subject::Message(messages.first().map_or(chat.row.id, |message| message.id)),
    };
    let letter =
        DeadLetter::of(connection, subject, class, error).in_chat(chat.row.id, chat.row.turn_attempts);
    tx.bury(&letter, chat.now).await?;
    tx.drop_unanswered(&mut chat, class).await?;
    chat.row.flag = Some(class.to_string());
    chat.row.turn_due_at = None;
    chat.row.turn_attempts = 0;
    end(tx, &chat, leased, Outcome::Dead(class)).await
}

/// Two bots are talking: the chat is paused for an hour, and flagged for a person.
async fn runaway(
    tx: Tx,
    mut chat: LockedChat,
    leased: &Leased,
    connection: &Connection,
) -> Result<Plan, Error> {
    chat.row.mode = ChatMode::Paused.to_string();
    chat.row.mode_reason = Some("too many turns in an hour".to_owned());
    chat.row.resume_at = Some(chat.now + HOUR_MS);
    chat.row.flag = Some("runaway".to_owned());
    chat.row.turn_due_at = None;
    let activity = Activity::of_connection(connection, ActivityKind::BotPaused, "system")
        .about(&chat.id())
        .with("chatId", chat.id().to_string())
        .with("reason", "too many turns in an hour");
    tx.record_at(&activity, chat.now).await?;
    tracing::warn!(chat = %chat.id(), "paused: too many turns in an hour");
    end(tx, &chat, leased, Outcome::Idle).await
}

async fn end(tx: Tx, chat: &LockedChat, leased: &Leased, outcome: Outcome) -> Result<Plan, Error> {
    tx.save_chat(chat).await?;
    tx.end_turn_lease(chat, leased.token).await?;
    tx.commit().await?;
    Ok(Plan::Nothing(outcome))
}
