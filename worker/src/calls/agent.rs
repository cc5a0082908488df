//! Asks the agent, and reads its record of a question whose outcome is unknown.

use crate::Context;
use crate::breakers::{of_agent, pause};
use crate::calls::{courtesy, graph};
use crate::follow::{About, Hands, follow};
use crate::keys::key_of;
use crate::liveness::time_left;
use crate::slots::AskSlot;
use dmrelay_agent::{AgentError, Opening};
use dmrelay_domain::conversation::{
    AgentChat, AgentFailure, Ask, Command, Effect, RecordAgentFailure, RecordAnswer, ResolveTurn, Route,
    StartTurn, TurnLookup,
};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::TurnId;
use dmrelay_domain::text::{plain_name, truncate};
use dmrelay_runtime::span_of;
use dmrelay_store::{Call, Connection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Pause for an agent whose provider rejects our key.
const REFUSED_DELAY: Duration = Duration::from_mins(1);
/// Pause after throttling without a given delay.
const THROTTLED_DELAY: Duration = Duration::from_secs(10);

/// Carries out a turn's next call.
pub(crate) async fn carry_out(ctx: &Arc<Context>, about: About, effect: Effect, slot: AskSlot) {
    let running = ctx.metrics.jobs_running.with_label_values(&["turn"]);
    running.inc();
    let began = Instant::now();
    let reply = match effect {
        Effect::OpenAgentChat => open(ctx, about, slot).await,
        Effect::Ask(question) => {
            let span = span_of!(question.trace, "ask", chat = %about.chat);
            ask(ctx, about, question, slot).instrument(span).await
        }
        Effect::LookUpTurn(lookup) => {
            let span = span_of!(lookup.trace, "reconcile", turn = %lookup.turn);
            look_up(ctx, about, lookup, slot).instrument(span).await
        }
        _ => None,
    };
    running.dec();
    if let Some(reply) = reply {
        ctx.count_job("turn", &reply, began);
    }
}

/// The result of a step, for the metrics.
type Done = Option<dmrelay_domain::conversation::Reply>;

/// Opens an agent chat with the customer's profile as dynamic variables, and begins the turn in it.
async fn open(ctx: &Arc<Context>, about: About, slot: AskSlot) -> Done {
    let began = Instant::now();
    let opened = match ctx.accounts.by_id(about.connection).await {
        Ok(Some(connection)) => {
            let opening = opening(ctx, &connection, &about).await;
            let opened = match ctx.agent_key(&about.route.provider).await {
                Ok(own) => {
                    // As it was when the chat was wanted: what is cached of the connection may be older.
                    let agent = &about.route.agent;
                    let opened = ctx.agent.open(key_of(own.as_ref()), agent, &opening).await;
                    let (key, agent) = (own.map(|own| own.id), Some(agent.clone()));
                    opened.map(|id| AgentChat { id, key, agent })
                }
                Err(err) => Err(err),
            };
            if let Err(err) = &opened {
                report(ctx, &about.route, err, began).await;
            }
            opened
        }
        other => {
            ctx.breakers.unused(&of_agent(&about.route)).await;
            let why = other.err().map_or_else(|| "the connection is gone".to_owned(), |err| err.to_string());
            Err(not_opened(&why))
        }
    };
    let is_open = opened.is_ok();
    let command = match opened {
        Ok(agent_chat) => {
            tracing::info!(chat = %about.chat, agent_chat = agent_chat.id, "agent chat opened");
            let agent_chat = Some(agent_chat);
            Command::StartTurn(StartTurn {
                worker: ctx.worker,
                turn: TurnId::new(),
                agent_chat,
                not_before: None,
            })
        }
        Err(err) => {
            tracing::warn!(chat = %about.chat, class = err.class.as_str(), error = %err, "cannot open an agent chat");
            Command::RecordNoAgentChat(failure_of(&err))
        }
    };
    let until = began + ctx.options.agent_timeout;
    let opened = match &command {
        Command::StartTurn(start) => start.agent_chat.clone(),
        _ => None,
    };
    let applied = ctx.record(about.chat, command, until).await;
    if let (None, Some(agent_chat)) = (&applied, opened) {
        discard(ctx, &about, &agent_chat).await;
    }
    let asks = |effect: &Effect| matches!(effect, Effect::Ask(_));
    if is_open && !applied.as_ref().is_some_and(|applied| applied.effects.iter().any(asks)) {
        ctx.breakers.unused(&of_agent(&about.route)).await;
    }
    let applied = applied?;
    let reply = applied.reply.clone();
    follow(ctx, applied, Hands { ask: Some(slot), ..Hands::default() }).await;
    Some(reply)
}

/// Nobody else may know of an agent chat whose opening could not be recorded: its conversation was erased meanwhile.
async fn discard(ctx: &Context, about: &About, agent_chat: &AgentChat) {
    let subaccount = about.route.subaccount.as_str();
    let settled = ctx.options.agent_timeout + ctx.options.worker.reconcile_grace;
    if let Err(err) = ctx.store.delete_unused_agent_chat(subaccount, agent_chat, settled).await {
        let (chat, agent_chat) = (about.chat, &agent_chat.id);
        tracing::warn!(%chat, agent_chat, error = %err, "an agent chat that nobody uses may be left");
    }
}

async fn opening(ctx: &Context, connection: &Connection, about: &About) -> Opening {
    let profile = courtesy::profile(ctx, connection, about).await;
    let user = about.user.to_string();
    let mut variables: BTreeMap<String, String> = connection.settings.agent_variables.clone();
    variables.insert("channel".to_owned(), "instagram".to_owned());
    variables.insert("instagram_user_id".to_owned(), user.clone());
    // People choose them: they stand in the agent's prompt.
    let names = [("instagram_username", profile.username), ("instagram_name", profile.name)];
    variables.extend(names.into_iter().filter_map(|(key, name)| Some((key.to_owned(), plain_name(&name?)))));
    let metadata = BTreeMap::from([
        ("dmrelay_chat_id".to_owned(), about.chat.to_string()),
        ("instagram_user_id".to_owned(), user),
        ("channel".to_owned(), "instagram".to_owned()),
    ]);
    Opening { metadata, variables }
}

async fn ask(ctx: &Arc<Context>, about: About, question: Ask, slot: AskSlot) -> Done {
    let timeout = ctx.options.agent_timeout;
    let until = about.began + timeout + ctx.options.worker.reconcile_grace;
    let Ask { turn, attempt, .. } = question;
    let left = time_left(about.began, timeout).filter(|_| ctx.liveness.is_alive());
    let outcome = match left {
        None => Err(too_late()),
        Some(left) => {
            let thinking = CancellationToken::new();
            courtesy::show_typing(ctx, &about, thinking.clone());
            let outcome = match ctx.agent_key(&about.route.provider).await {
                Ok(own) => {
                    ctx.agent.ask(key_of(own.as_ref()), &question.agent_chat, &question.text, left).await
                }
                Err(err) => Err(err),
            };
            thinking.cancel();
            outcome
        }
    };
    let mut send = None;
    let command = match &outcome {
        Ok(answer) => {
            let (claim, slot) = graph::may_send(ctx, &about.route, None).await;
            send = slot;
            Command::RecordAnswer(RecordAnswer {
                turn,
                attempt,
                replies: answer.replies.clone(),
                watermark: answer.last_message_id.clone(),
                claim,
            })
        }
        Err(err) => {
            tracing::warn!(%turn, attempt, class = err.class.as_str(), error = %err, "question not answered");
            // In a new chat at once, if this one takes no more questions and they have not been paused meanwhile.
            let retry = (!ctx.breakers.is_paused(Call::Ask, &about.route, ctx.database_now())).then(|| {
                StartTurn { worker: ctx.worker, turn: TurnId::new(), agent_chat: None, not_before: None }
            });
            Command::RecordAgentFailure(RecordAgentFailure { turn, attempt, failure: failure_of(err), retry })
        }
    };
    // Record the outcome first: nothing may delay it.
    let applied = ctx.record(about.chat, command, until).await;
    match &outcome {
        Ok(_) => ctx.breakers.passed(&of_agent(&about.route), about.began).await,
        Err(err) if left.is_some() => report(ctx, &about.route, err, about.began).await,
        // The agent was not called, which says nothing about its health.
        Err(_) => ctx.breakers.unused(&of_agent(&about.route)).await,
    }
    let applied = applied?;
    let reply = applied.reply.clone();
    follow(ctx, applied, Hands { ask: Some(slot), send, timer: false }).await;
    Some(reply)
}

async fn look_up(ctx: &Arc<Context>, about: About, lookup: TurnLookup, slot: AskSlot) -> Done {
    let began = Instant::now();
    let record = match &lookup.agent_chat {
        Some(chat) => match ctx.agent_key(&about.route.provider).await {
            Ok(own) => ctx.agent.record(key_of(own.as_ref()), chat).await,
            Err(err) => Err(err),
        },
        None => Ok(dmrelay_domain::conversation::Record::default()),
    };
    // Reads do not show whether questions are answered, so they do not count for the circuit breakers, except
    // for rejections.
    if let Err(err) = &record {
        tracing::warn!(turn = %lookup.turn, class = err.class.as_str(), error = %err, "cannot read the agent's record");
        if matches!(err.class, FailureClass::Throttled | FailureClass::AgentRefused) {
            report(ctx, &about.route, err, began).await;
        }
    }
    let (claim, send) = graph::may_send(ctx, &about.route, None).await;
    let resolve = ResolveTurn {
        turn: lookup.turn,
        attempt: lookup.attempt,
        settled: lookup.settled,
        record: record.map_err(|err| failure_of(&err)),
        claim,
    };
    let until = began + ctx.options.agent_timeout;
    let applied = ctx.record(about.chat, Command::ResolveTurn(resolve), until).await?;
    let reply = applied.reply.clone();
    follow(ctx, applied, Hands { ask: Some(slot), send, timer: false }).await;
    Some(reply)
}

fn failure_of(err: &AgentError) -> AgentFailure {
    AgentFailure {
        class: err.class,
        answered: err.answered,
        retry_after: pause(err.retry_after),
        error: err.message.clone(),
    }
}

/// The connection of a chat cannot be read, so no agent chat is opened.
fn not_opened(why: &str) -> AgentError {
    let message = format!("agent chat not opened: {why}");
    AgentError { class: FailureClass::Transient, answered: true, status: None, retry_after: None, message }
}

/// Committing the intent took too long: the question is not asked.
fn too_late() -> AgentError {
    AgentError {
        class: FailureClass::Transient,
        answered: false,
        status: None,
        retry_after: None,
        message: "not asked: committing the intent took too long".to_owned(),
    }
}

/// Why a circuit breaker opens, for operators.
fn why(err: &AgentError) -> String {
    truncate(&format!("{}: {err}", err.class), 200).to_owned()
}

/// Reports a failure to the circuit breakers.
pub(crate) async fn report(ctx: &Context, route: &Route, err: &AgentError, began: Instant) {
    let keys = of_agent(route);
    let [_, shared] = &keys;
    let told = match err.class {
        FailureClass::Throttled => {
            ctx.breakers.close(shared, err.retry_after.unwrap_or(THROTTLED_DELAY), "throttled").await
        }
        FailureClass::AgentRefused => {
            tracing::error!(error = %err, breaker = %shared, "the agent's provider rejects the key or plan: nothing is answered");
            ctx.keys.forget(&route.provider);
            ctx.breakers.close(shared, REFUSED_DELAY, dmrelay_store::REFUSED).await
        }
        FailureClass::Transient | FailureClass::Ambiguous => {
            ctx.breakers.failed(&keys, began, &why(err)).await
        }
        // Rejecting a question is a response too: the service is up.
        _ => {
            ctx.breakers.passed(&keys, began).await;
            Ok(())
        }
    };
    if let Err(err) = told {
        tracing::warn!(error = %err, "cannot report a failure to its circuit breakers");
    }
}
