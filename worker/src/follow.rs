//! Carries out the effects of a commit. The worker that holds a conversation continues with it: the question,
//! the sends and the next turn follow one another without a hop through the queue. Work it has no slot for
//! goes to the queue.

use crate::Context;
use crate::automation;
use crate::breakers::{Admission, PROBE_WAIT, of_agent, of_graph};
use crate::calls::{agent, courtesy, graph};
use crate::dispatch::Work;
use crate::slots::{AskSlot, SendSlot};
use dmrelay_domain::conversation::{Claim, Command, Effect, Reply, Route, StartTurn};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId, TurnId};
use dmrelay_queue::QueueName;
use dmrelay_store::{Applied, ApplyError, Call, DueWork};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Delay of a chat whose agent has used up its fair share of slots.
const FAIR_SHARE_DELAY: Duration = Duration::from_millis(250);

/// The conversation concerned.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) chat: ChatId,
    pub(crate) user: InstagramUserId,
    pub(crate) connection: ConnectionId,
    pub(crate) route: Route,
    /// When the transaction that requested it began.
    pub(crate) began: Instant,
}

/// The capacity of the current task.
#[derive(Default)]
pub(crate) struct Hands {
    pub(crate) ask: Option<AskSlot>,
    pub(crate) send: Option<SendSlot>,
    /// Whether it may set a timer for the turn.
    pub(crate) timer: bool,
}

impl About {
    fn of(applied: &Applied) -> Self {
        Self {
            chat: applied.chat,
            user: applied.user.clone(),
            connection: applied.connection,
            route: applied.route.clone(),
            began: applied.began,
        }
    }
}

/// Carries out the effects of a commit, and their follow-ups.
pub(crate) fn follow<'a>(
    ctx: &'a Arc<Context>,
    applied: Applied,
    mut hands: Hands,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        let about = About::of(&applied);
        let mut asks = false;
        let mut wake = (None, None);
        // Calls first: the wake-ups may then find more to do.
        for effect in applied.effects {
            match effect {
                Effect::WakeTurn(after) => wake.0 = Some(after),
                Effect::WakeOutbox(after) => wake.1 = Some(after),
                Effect::WriteFor(after) => write_for(ctx, about.clone(), after),
                Effect::OpenAgentChat | Effect::Ask(_) | Effect::LookUpTurn(_) => {
                    asks = true;
                    let Some(slot) = hands.ask.take() else {
                        hand_over(ctx, &about, DueWork::Turns).await;
                        continue;
                    };
                    let (ctx_of_task, about) = (ctx.clone(), about.clone());
                    ctx.tasks.spawn(async move { agent::carry_out(&ctx_of_task, about, effect, slot).await });
                }
                Effect::Send(send) => {
                    let slot = hands.send.take();
                    let (ctx_of_task, about) = (ctx.clone(), about.clone());
                    ctx.tasks.spawn(async move { graph::send(&ctx_of_task, about, *send, slot).await });
                }
                Effect::FetchMedia => ctx.media_came.notify_one(),
                Effect::RecognizeAutomation(digest) => {
                    let (ctx_of_task, connection) = (ctx.clone(), about.connection);
                    ctx.tasks
                        .spawn(async move { automation::recognize(&ctx_of_task, connection, digest).await });
                }
                Effect::LookUpSend(lookup) => {
                    let slot = hands.send.take();
                    let (ctx_of_task, about) = (ctx.clone(), about.clone());
                    ctx.tasks.spawn(async move { graph::look_up(&ctx_of_task, about, lookup, slot).await });
                }
            }
        }
        if let Some(after) = wake.1 {
            wake_outbox(ctx, &about, after, hands.send.take()).await;
        }
        if let Some(after) = wake.0.filter(|_| !asks) {
            if after.is_zero() {
                begin_turn(ctx, &about, hands.ask.take()).await;
            } else if hands.timer {
                keep_timer(ctx, about, after);
            }
        }
    })
}

/// The turn is due after this time, and no one else looks at it until then.
fn keep_timer(ctx: &Arc<Context>, about: About, after: Duration) {
    let number = ctx.timers.begin(about.chat);
    let ctx_of_task = ctx.clone();
    ctx.tasks.spawn(async move {
        let ctx = ctx_of_task;
        let over = ctx.stopping.run_until_cancelled(tokio::time::sleep(after)).await.is_some();
        if !ctx.timers.end(about.chat, number) {
            return;
        }
        if over {
            begin_turn(&ctx, &about, None).await;
        } else {
            reserve(&ctx, DueWork::Turns, about.chat, Duration::ZERO).await;
        }
    });
}

/// The customer sees that somebody is writing, and the reply is sent after this time. The poller does so if this worker does not.
fn write_for(ctx: &Arc<Context>, about: About, after: Duration) {
    let writing = CancellationToken::new();
    courtesy::show_writing(ctx, &about, writing.clone());
    let ctx_of_task = ctx.clone();
    ctx.tasks.spawn(async move {
        let ctx = ctx_of_task;
        let is_over = ctx.stopping.run_until_cancelled(tokio::time::sleep(after)).await.is_some();
        writing.cancel();
        if is_over {
            wake_outbox(&ctx, &about, Duration::ZERO, None).await;
        }
    });
}

/// Begins the turn of a chat, or hands it over if there is no slot for it.
pub(crate) async fn begin_turn(ctx: &Arc<Context>, about: &About, slot: Option<AskSlot>) {
    if ctx.stopping.is_cancelled() || !ctx.liveness.is_alive() {
        reserve(ctx, DueWork::Turns, about.chat, Duration::ZERO).await;
        return;
    }
    let Some(slot) = slot.or_else(|| ctx.slots.ask(&about.route)) else {
        hand_over(ctx, about, DueWork::Turns).await;
        return;
    };
    if let Err(err) = start_turn(ctx, about, slot).await {
        tracing::warn!(chat = %about.chat, error = %err, "turn not begun; the poller will pick it up");
    }
}

/// Begins the turn of a chat with this slot.
pub(crate) async fn start_turn(
    ctx: &Arc<Context>,
    about: &About,
    slot: AskSlot,
) -> Result<Reply, ApplyError> {
    let unavailable = |err: dmrelay_store::Error| ApplyError::Unavailable(err.to_string());
    let admission =
        ctx.breakers.admit(Call::Ask, &about.route, ctx.database_now()).await.map_err(unavailable)?;
    if let Admission::Wait(wait) = admission {
        // The poller passes by what is behind an open breaker, and takes it as soon as the breaker closes, however early.
        reserve(ctx, DueWork::Turns, about.chat, wait.min(PROBE_WAIT)).await;
        return Ok(Reply::Idle);
    }
    let now = ctx.database_now();
    let wait = ctx.budgets.wait(about.connection, &about.route, now);
    let not_before = wait.map(|wait| now + dmrelay_domain::clock::millis(wait));
    let start = StartTurn { worker: ctx.worker, turn: TurnId::new(), agent_chat: None, not_before };
    let applied = ctx.apply(about.chat, Command::StartTurn(start)).await;
    let asks = |effect: &Effect| matches!(effect, Effect::Ask(_) | Effect::OpenAgentChat);
    if !applied.as_ref().is_ok_and(|applied| applied.effects.iter().any(asks)) {
        ctx.breakers.unused(&of_agent(&about.route)).await;
    }
    let applied = applied?;
    let reply = applied.reply.clone();
    follow(ctx, applied, Hands { ask: Some(slot), ..Hands::default() }).await;
    Ok(reply)
}

async fn wake_outbox(ctx: &Arc<Context>, about: &About, after: Duration, slot: Option<SendSlot>) {
    if !after.is_zero() {
        // The poller picks it up.
        return;
    }
    if ctx.stopping.is_cancelled() || !ctx.liveness.is_alive() {
        return;
    }
    let Some(slot) = slot.or_else(|| ctx.slots.send(&about.route)) else {
        hand_over(ctx, about, DueWork::Outboxes).await;
        return;
    };
    if let Err(err) = claim_send(ctx, about, slot).await {
        tracing::warn!(chat = %about.chat, error = %err, "send not begun; the poller will pick it up");
    }
}

/// Begins the next send of a chat's outbox with this slot.
pub(crate) async fn claim_send(
    ctx: &Arc<Context>,
    about: &About,
    slot: SendSlot,
) -> Result<Reply, ApplyError> {
    let (claim, slot) = graph::may_send(ctx, &about.route, Some(slot)).await;
    if let (Claim::NotBefore(Some(at)), None) = (claim, &slot) {
        let wait = dmrelay_domain::clock::duration(at - ctx.database_now());
        reserve(ctx, DueWork::Outboxes, about.chat, wait).await;
        return Ok(Reply::Idle);
    }
    let admitted = slot.is_some();
    let applied = ctx.apply(about.chat, Command::ClaimSend(claim)).await;
    let sends = |effect: &Effect| matches!(effect, Effect::Send(_));
    if admitted && !applied.as_ref().is_ok_and(|applied| applied.effects.iter().any(sends)) {
        ctx.breakers.unused(&of_graph(&about.route)).await;
    }
    let applied = applied?;
    let reply = applied.reply.clone();
    follow(ctx, applied, Hands { send: slot, ..Hands::default() }).await;
    Ok(reply)
}

/// Hands the work to another worker, or to this one when it has a slot again.
pub(crate) async fn hand_over(ctx: &Arc<Context>, about: &About, work: DueWork) {
    let queue = match work {
        DueWork::Turns => QueueName::Turn,
        DueWork::Outboxes => QueueName::Deliver,
    };
    let key = format!("{}:{}:{}", about.chat, ctx.worker, ctx.database_now());
    let pushed = ctx.dispatcher.wake(Work { queue, id: about.chat.0, key, trace: None }).await;
    if !pushed {
        reserve(ctx, work, about.chat, FAIR_SHARE_DELAY).await;
    }
}

/// Defers this work by `delay`.
pub(crate) async fn reserve(ctx: &Context, work: DueWork, chat: ChatId, delay: Duration) {
    if let Err(err) = ctx.store.reserve_chat(work, chat, delay).await {
        tracing::warn!(%chat, error = %err, "cannot release work; the poller picks it up when its reservation expires");
    }
}
