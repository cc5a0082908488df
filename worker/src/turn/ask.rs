//! Asking: the agent's chat is opened where there is none, the turn is written, the agent is asked, and
//! what it says, or fails to say, decides how the turn goes on.

use super::{Delay, Turn, prepare, wording};
use crate::Context;
use crate::handler::Outcome;
use dmrelay_agent::{AgentError, Opening, fingerprint};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{InstagramUserId, TurnId};
use dmrelay_domain::retry;
use dmrelay_domain::states::{ChatMode, TurnState};
use dmrelay_domain::trace::TraceId;
use dmrelay_instagram::SenderAction;
use dmrelay_runtime::metrics::Stage;
use dmrelay_store::entity::turn;
use dmrelay_store::{
    Connection, DeadLetter, Error, GateKey, Leased, LockedChat, NewTurn, Profile, Subject, Verdict,
    again_on_contention,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the agent's gate closes when its provider refuses our key.
const REFUSED: Duration = Duration::from_mins(1);
/// How long it closes when throttled without being told.
const THROTTLED: Duration = Duration::from_secs(10);

/// A question as it was written down.
struct Asked {
    id: TurnId,
    attempt: i32,
    text: String,
    agent_chat: String,
}

pub(super) async fn run(
    ctx: &Arc<Context>,
    leased: &Leased,
    connection: &Connection,
    chat: LockedChat,
) -> Result<Outcome, Error> {
    let mut agent_chat = chat.row.agent_chat_id.clone();
    // A chat with the agent that has ended is replaced by a new one, once.
    for rollover in [false, true] {
        let opened = match agent_chat.take() {
            Some(known) => known,
            None => match open(ctx, connection, &chat).await {
                Ok(opened) => opened,
                Err(err) => return not_opened(ctx, leased, connection, &err).await,
            },
        };
        let Some(asked) = again_on_contention!(write_down(ctx, leased, &opened, rollover).await)? else {
            ctx.store.release_turn(leased.chat.id(), leased.token, Duration::ZERO).await?;
            return Ok(Outcome::Idle);
        };
        let turn = Turn { ctx, leased, connection, id: asked.id, attempt: asked.attempt };
        let thinking = CancellationToken::new();
        let customer = (chat.row.instagram_user_id.clone(), thinking.clone());
        tokio::spawn(show_typing(ctx.clone(), connection.clone(), customer));
        let answer = ctx.agent.ask(&asked.agent_chat, &asked.text).await;
        thinking.cancel();
        match answer {
            Ok(answer) => {
                // The answer first: nothing may keep it from being recorded.
                let outcome = turn.answered(&answer).await;
                ctx.gates.passed(&[GateKey::Agent]).await;
                return outcome;
            }
            Err(err) if err.class == FailureClass::Gone && !rollover => {
                tracing::info!(turn = %asked.id, error = %err, "the agent's chat has ended, a new one is opened");
                turn.refused_by_ended_chat(&err.message).await?;
            }
            Err(err) => return failed(&turn, &err).await,
        }
    }
    Ok(Outcome::Idle)
}

/// Writes the question down before it is asked. Nothing where there is nothing to ask any more.
async fn write_down(
    ctx: &Context,
    leased: &Leased,
    agent_chat: &str,
    rollover: bool,
) -> Result<Option<Asked>, Error> {
    let tx = ctx.store.begin().await?;
    let Some(mut chat) = tx.lock_chat(leased.chat.id()).await? else { return Ok(None) };
    if chat.row.turn_lease != Some(leased.token) || chat.mode() != ChatMode::Bot {
        return Ok(None);
    }
    if tx.connection_of(chat.row.connection_id).await?.is_none_or(|connection| connection.row.bot_paused) {
        return Ok(None);
    }
    let open = tx.open_turn(&chat).await?;
    let messages = prepare::question(&tx, &chat, open.as_ref()).await?;
    if messages.is_empty() {
        return Ok(None);
    }
    let text = wording::question(&tx.unseen(&chat, wording::MOST).await?, &messages);
    let fresh = chat.row.agent_chat_id.as_deref() != Some(agent_chat);
    if fresh {
        chat.row.agent_chat_id = Some(agent_chat.to_owned());
        chat.row.agent_watermark = None;
    }
    let new = NewTurn {
        messages: messages.iter().map(|message| message.id.into()).collect(),
        asked_hash: fingerprint(&text),
        agent_chat_id: agent_chat.to_owned(),
        watermark: chat.row.agent_watermark.clone(),
        received_at: messages.iter().map(|message| message.received_at).min().unwrap_or(chat.now),
        deadline: ctx.options.turn_deadline(),
        trace: TraceId::of(chat.row.trace_id),
    };
    let waited = open.is_none().then(|| Waited::of(ctx, leased, &chat));
    let written = match open {
        None => Some((tx.start_turn(&mut chat, &new).await?, 1)),
        Some(open) => again(&tx, &mut chat, &open, (&new, rollover)).await?,
    };
    let Some((id, attempt)) = written else { return Ok(None) };
    tx.save_chat(&chat).await?;
    tx.commit().await?;
    if let Some(waited) = waited {
        ctx.metrics.stage(Stage::Debounce, waited.debounce);
        ctx.metrics.stage(Stage::Wait, waited.wait);
    }
    Ok(Some(Asked { id, attempt, text, agent_chat: agent_chat.to_owned() }))
}

/// How long the first unanswered message has waited to be asked, in milliseconds.
struct Waited {
    debounce: Millis,
    wait: Millis,
}

impl Waited {
    fn of(ctx: &Context, leased: &Leased, chat: &LockedChat) -> Self {
        let first = chat.row.first_unanswered_at.unwrap_or(chat.now);
        // When the turn is due moves with pauses and shares, too: only so much of it is deliberate.
        let longest = 4 * Millis::from(ctx.options.worker.debounce_ms);
        let debounce = (leased.chat.row.turn_due_at.unwrap_or(first) - first).clamp(0, longest);
        Self { debounce, wait: chat.now - first - debounce }
    }
}

async fn again(
    tx: &dmrelay_store::Tx,
    chat: &mut LockedChat,
    open: &turn::Model,
    (new, rollover): (&NewTurn, bool),
) -> Result<Option<(TurnId, i32)>, Error> {
    let rollovers = open.rollovers + i32::from(rollover);
    let attempt = tx.ask_again(chat, open, new, rollovers).await?;
    Ok(attempt.map(|attempt| (open.id.into(), attempt)))
}

/// Opens a chat with the agent, telling it whom it talks to.
async fn open(ctx: &Context, connection: &Connection, chat: &LockedChat) -> Result<String, AgentError> {
    let profile = profile(ctx, connection, chat).await;
    let mut variables: BTreeMap<String, String> = connection.settings.agent_variables.clone();
    variables.insert("channel".to_owned(), "instagram".to_owned());
    variables.insert("instagram_user_id".to_owned(), chat.row.instagram_user_id.clone());
    variables.extend(profile.username.map(|username| ("instagram_username".to_owned(), username)));
    variables.extend(profile.name.map(|name| ("instagram_name".to_owned(), name)));
    let metadata = BTreeMap::from([
        ("dmrelay_chat_id".to_owned(), chat.id().to_string()),
        ("instagram_user_id".to_owned(), chat.row.instagram_user_id.clone()),
        ("channel".to_owned(), "instagram".to_owned()),
    ]);
    let opened = ctx.agent.open(&connection.agent, &Opening { metadata, variables }).await?;
    tracing::info!(chat = %chat.id(), agent_chat = %opened, "chat with the agent opened");
    Ok(opened)
}

/// What Graph says of the user; asked once, and never worth failing for.
async fn profile(ctx: &Context, connection: &Connection, chat: &LockedChat) -> Profile {
    let known = Profile {
        username: chat.row.username.clone(),
        name: chat.row.name.clone(),
        picture: chat.row.picture.clone(),
    };
    if chat.row.profile_at.is_some() {
        return known;
    }
    let (Ok(access), Ok(user)) =
        (ctx.access(connection), InstagramUserId::parse(&chat.row.instagram_user_id))
    else {
        return known;
    };
    match ctx.graph.profile(&access, &user).await {
        Ok(found) => {
            let found = Profile { username: found.username, name: found.name, picture: found.picture };
            if let Err(err) = ctx.store.save_profile(chat.id(), &found).await {
                tracing::debug!(chat = %chat.id(), error = %err, "profile not stored");
            }
            found
        }
        Err(err) => {
            tracing::debug!(chat = %chat.id(), error = %err, "no profile");
            known
        }
    }
}

/// Shows the user that their message was seen and an answer is on its way, unless it is there already.
async fn show_typing(
    ctx: Arc<Context>,
    connection: Connection,
    (user, thinking): (String, CancellationToken),
) {
    if connection.settings.typing == Some(false) {
        return;
    }
    let (Ok(access), Ok(user)) = (ctx.access(&connection), InstagramUserId::parse(&user)) else { return };
    for action in [SenderAction::MarkSeen, SenderAction::TypingOn] {
        if thinking.is_cancelled() {
            return;
        }
        if let Err(err) = ctx.graph.act(&access, &user, action).await {
            tracing::debug!(?action, error = %err, "sender action failed");
        }
    }
}

/// Nothing was asked: what the user wrote stays unanswered until a chat with the agent can be opened.
async fn not_opened(
    ctx: &Context,
    leased: &Leased,
    connection: &Connection,
    err: &AgentError,
) -> Result<Outcome, Error> {
    let delay = to_gate(ctx, err).await?;
    let tx = ctx.store.begin().await?;
    let Some(mut chat) = tx.lock_chat(leased.chat.id()).await? else { return Ok(Outcome::Idle) };
    let open = tx.open_turn(&chat).await?;
    let question = prepare::question(&tx, &chat, open.as_ref()).await?;
    // Another worker went on, or there is nothing to answer any more: both are seen to when it is due.
    if chat.row.turn_lease != Some(leased.token) || question.is_empty() {
        drop(tx);
        ctx.store.release_turn(leased.chat.id(), leased.token, Duration::ZERO).await?;
        return Ok(Outcome::Idle);
    }
    let outcome = if err.class == FailureClass::Invalid {
        let turn = open.as_ref().map(|turn| turn.id.into());
        let subject = if let Some(turn) = open {
            let verdict = Verdict { state: TurnState::Failed, class: err.class, error: err.message.clone() };
            tx.judge_turn((turn.id.into(), turn.attempt), &verdict).await?;
            Subject::Turn(turn.id)
        } else {
            Subject::Message(question.first().map_or(chat.row.id, |message| message.id))
        };
        let letter = DeadLetter::of(connection, subject, err.class, &err.message);
        tx.bury(&letter.in_chat(chat.row.id, chat.row.turn_attempts + 1), chat.now).await?;
        tx.drop_unanswered(&mut chat, err.class).await?;
        tx.fall_back(&mut chat, connection, turn).await?;
        chat.row.turn_due_at = None;
        chat.row.turn_attempts = 0;
        Outcome::Dead(err.class)
    } else {
        chat.row.turn_attempts = chat.row.turn_attempts.saturating_add(1);
        chat.row.turn_due_at = Some(chat.now + millis(delay.after(chat.row.turn_attempts)));
        Outcome::Retry(err.class)
    };
    tx.save_chat(&chat).await?;
    tx.end_turn_lease(&chat, leased.token).await?;
    tx.commit().await?;
    crate::ingest::wake(ctx, &chat).await;
    tracing::warn!(chat = %chat.id(), class = err.class.as_str(), error = %err, "no chat with the agent");
    Ok(outcome)
}

async fn failed(turn: &Turn<'_>, err: &AgentError) -> Result<Outcome, Error> {
    let delay = to_gate(turn.ctx, err).await?;
    match err.class {
        FailureClass::Transient | FailureClass::Throttled | FailureClass::AgentRefused => {
            turn.put_off(TurnState::Waiting, err.class, &err.message, delay).await
        }
        FailureClass::Ambiguous => {
            let soon = Delay::Backoff(retry::RECONCILE);
            turn.put_off(TurnState::Reconciling, err.class, &err.message, soon).await
        }
        class => {
            // A verdict is an answer too: the service is there.
            turn.ctx.gates.passed(&[GateKey::Agent]).await;
            turn.buried(TurnState::Failed, class, &err.message).await
        }
    }
}

/// Tells the agent's gate of a failure, and gives how long to wait.
pub(super) async fn to_gate(ctx: &Context, err: &AgentError) -> Result<Delay, Error> {
    let gate = GateKey::Agent;
    match err.class {
        FailureClass::Throttled => {
            let pause = err.retry_after.unwrap_or(THROTTLED);
            ctx.gates.close(&gate, pause, "throttled").await?;
            Ok(Delay::Exactly(pause))
        }
        FailureClass::AgentRefused => {
            tracing::error!(error = %err, "the agent's provider refuses our key or plan: nothing is answered");
            ctx.gates.close(&gate, REFUSED, "refused").await?;
            Ok(Delay::Exactly(REFUSED))
        }
        FailureClass::Transient | FailureClass::Ambiguous => {
            ctx.gates.failed(&gate, err.class.as_str()).await?;
            Ok(Delay::Backoff(retry::CALLS))
        }
        _ => Ok(Delay::Backoff(retry::CALLS)),
    }
}
