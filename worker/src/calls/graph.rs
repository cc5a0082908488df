//! Sends messages, and reads Meta's list of a conversation when the outcome of a send is unknown.

use crate::Context;
use crate::breakers::{Admission, PROBE_WAIT, of_graph, pause};
use crate::follow::{About, Hands, follow};
use crate::liveness::time_left;
use crate::slots::SendSlot;
use dmrelay_domain::conversation::{
    Claim, Command, Message, RecordSendFailure, RecordSent, Reply, ResolveSend, Route, Send, SendFailure,
    SendLookup,
};
use dmrelay_domain::failure::{self, FailureClass};
use dmrelay_domain::outgoing::Outgoing;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_instagram::{Access, GraphError, Sending};
use dmrelay_runtime::span_of;
use dmrelay_store::{BreakerKey, Call, Connection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Pause of an account after throttling without a given delay.
const THROTTLED_DELAY: Duration = Duration::from_mins(1);
/// Pause after its conversation was read too often.
const READ_THROTTLED_DELAY: Duration = Duration::from_secs(10);
/// Pause when the account or the app lacks a permission.
const RESTRICTED_DELAY: Duration = Duration::from_mins(5);
/// Pause after a bare code 100, which may concern the whole app.
const BARE_100_DELAY: Duration = Duration::from_secs(30);

/// Delay of a message whose connection's token cannot be decrypted.
const UNUSABLE_DELAY: Duration = Duration::from_mins(1);
/// Delay of a message whose circuit breakers cannot be read, in milliseconds.
const UNAVAILABLE_DELAY_MS: i64 = 1_000;

/// Graph's error codes for limits of the app, not of the account.
const APP_LIMITS: [&str; 2] = ["4", "341"];

/// Whether this worker may send on this route now, with the slot for it.
pub(crate) async fn may_send(
    ctx: &Context,
    route: &Route,
    slot: Option<SendSlot>,
) -> (Claim, Option<SendSlot>) {
    let Some(slot) = slot.or_else(|| ctx.slots.send(route)) else { return (Claim::NotBefore(None), None) };
    let now = ctx.database_now();
    match ctx.breakers.admit(Call::Send, route, now).await {
        Ok(Admission::Admitted) if ctx.liveness.is_alive() => (Claim::By(ctx.worker), Some(slot)),
        Ok(Admission::Wait(wait)) => {
            // The poller passes by what is behind an open breaker, and takes it as soon as the breaker closes.
            (Claim::NotBefore(Some(now + dmrelay_domain::clock::millis(wait.min(PROBE_WAIT)))), None)
        }
        Ok(Admission::Admitted) => (Claim::NotBefore(None), None),
        Err(_) => (Claim::NotBefore(Some(now + UNAVAILABLE_DELAY_MS)), None),
    }
}

/// Who sends the next message of a conversation: this worker, which has sent the last one, unless sends have been paused since.
fn next_claim(ctx: &Context, route: &Route, slot: Option<SendSlot>) -> (Claim, Option<SendSlot>) {
    let Some(slot) = slot else { return (Claim::NotBefore(None), None) };
    let now = ctx.database_now();
    if ctx.breakers.is_paused(Call::Send, route, now) {
        let later = now + dmrelay_domain::clock::millis(PROBE_WAIT);
        return (Claim::NotBefore(Some(later)), None);
    }
    (Claim::By(ctx.worker), Some(slot))
}

/// Sends a claimed message and continues with the next one.
pub(crate) async fn send(ctx: &Arc<Context>, about: About, send: Send, slot: Option<SendSlot>) {
    let running = ctx.metrics.jobs_running.with_label_values(&["deliver"]);
    running.inc();
    let began = Instant::now();
    let span = span_of!(send.message.trace, "deliver", message_id = %send.message.id);
    let reply = one_send(ctx, &about, send, slot).instrument(span).await;
    running.dec();
    if let Some(reply) = reply {
        ctx.count_job("deliver", &reply, began);
    }
}

async fn one_send(ctx: &Arc<Context>, about: &About, send: Send, slot: Option<SendSlot>) -> Option<Reply> {
    let timeout = ctx.options.graph_timeout;
    let until = about.began + timeout + ctx.options.worker.reconcile_grace;
    let (message, attempt) = (send.message.id, send.message.attempt);
    let outcome = attempt_send(ctx, about, &send, timeout).await;
    let (claim, slot) = next_claim(ctx, &about.route, slot);
    let command = match &outcome {
        Ok(mid) => Command::RecordSent(RecordSent { message, attempt, mid: mid.clone(), claim }),
        Err(failure) => {
            tracing::warn!(
                message_id = %message, attempt, class = failure.class.as_str(), code = failure.code,
                error = failure.error, "send failed"
            );
            let host_succeeded_at = ctx.breakers.succeeded_at(&BreakerKey::GraphApp(about.route.login));
            let failure = failure.clone();
            Command::RecordSendFailure(RecordSendFailure {
                message,
                attempt,
                failure,
                host_succeeded_at,
                claim,
            })
        }
    };
    // Record the outcome first: nothing may delay it.
    let applied = ctx.record(about.chat, command, until).await;
    if outcome.is_ok() {
        ctx.breakers.passed(&of_graph(&about.route), about.began).await;
    }
    let applied = applied?;
    let reply = applied.reply.clone();
    follow(ctx, applied, Hands { send: slot, ..Hands::default() }).await;
    Some(reply)
}

async fn attempt_send(
    ctx: &Context,
    about: &About,
    send: &Send,
    timeout: Duration,
) -> Result<String, SendFailure> {
    let ready = prepare(ctx, about, send, timeout).await;
    let (connection, access, outgoing, left) = match ready {
        Ok(ready) => ready,
        Err(failure) => {
            ctx.breakers.unused(&of_graph(&about.route)).await;
            return Err(failure);
        }
    };
    let reply_to = send.message.quoted_mid();
    let sending = Sending {
        to: &about.user,
        message: &outgoing,
        reply_to: reply_to.as_deref(),
        human_agent: send.tagged,
        timeout: left,
    };
    match ctx.graph.send(&access, &sending).await {
        Ok(mid) => Ok(mid),
        Err(err) => {
            report(ctx, (&about.route, about.began), &connection, &err).await;
            Err(failure_of(&err))
        }
    }
}

/// What a send needs, and the time that is left for it.
async fn prepare(
    ctx: &Context,
    about: &About,
    send: &Send,
    timeout: Duration,
) -> Result<(Arc<Connection>, Access, Outgoing, Duration), SendFailure> {
    let connection = connection(ctx, about).await?;
    let access = ctx.access(&connection).map_err(|err| unusable(&err.to_string()))?;
    let outgoing = outgoing(&send.message).map_err(|what| invalid(&what))?;
    let left = time_left(about.began, timeout).filter(|_| ctx.liveness.is_alive()).ok_or_else(too_late)?;
    Ok((connection, access, outgoing, left))
}

async fn connection(ctx: &Context, about: &About) -> Result<Arc<Connection>, SendFailure> {
    match ctx.accounts.by_id(about.connection).await {
        Ok(Some(connection)) => Ok(connection),
        Ok(None) => Err(unusable("the connection is gone")),
        Err(err) => Err(SendFailure { retry_after: Some(1_000), ..unusable(&err.to_string()) }),
    }
}

/// Reconciles a send whose outcome is unknown.
pub(crate) async fn look_up(ctx: &Arc<Context>, about: About, lookup: SendLookup, slot: Option<SendSlot>) {
    let began = Instant::now();
    let span = span_of!(lookup.trace, "deliver", message_id = %lookup.message);
    let thread = read_thread(ctx, &about).instrument(span).await;
    let (claim, slot) = next_claim(ctx, &about.route, slot);
    let resolve = ResolveSend {
        message: lookup.message,
        attempt: lookup.attempt,
        settled: lookup.settled,
        thread,
        host_succeeded_at: ctx.breakers.succeeded_at(&BreakerKey::GraphApp(about.route.login)),
        claim,
    };
    let until = began + ctx.options.graph_timeout;
    let Some(applied) = ctx.record(about.chat, Command::ResolveSend(resolve), until).await else { return };
    ctx.count_job("deliver", &applied.reply, began);
    follow(ctx, applied, Hands { send: slot, ..Hands::default() }).await;
}

async fn read_thread(
    ctx: &Context,
    about: &About,
) -> Result<dmrelay_domain::conversation::Thread, SendFailure> {
    let connection = connection(ctx, about).await?;
    let access = ctx.access(&connection).map_err(|err| unusable(&err.to_string()))?;
    match ctx.graph.thread(&access, &about.user).await {
        Ok(thread) => Ok(thread),
        Err(err) => {
            tracing::warn!(chat = %about.chat, class = err.class.as_str(), error = %err, "cannot read the conversation");
            // Reads do not show whether messages are accepted, so they do not count for the circuit breakers,
            // except for limits.
            match err.class {
                FailureClass::Throttled => {
                    let account = BreakerKey::GraphAccount(about.route.account.clone());
                    let pause = err.retry_after.unwrap_or(READ_THROTTLED_DELAY);
                    tell(ctx.breakers.close(&account, pause, &err.code).await);
                }
                FailureClass::Reauth => park(ctx, &connection, &err).await,
                _ => {}
            }
            Err(failure_of(&err))
        }
    }
}

/// The content of a message: its payload if it is more than text.
fn outgoing(message: &Message) -> Result<Outgoing, String> {
    let checked = match (&message.body.payload, &message.body.text) {
        (Some(payload), _) => {
            let json = serde_json::from_str(payload).map_err(|err| err.to_string())?;
            Outgoing::from_json(&json)
        }
        (None, Some(text)) => Outgoing::text(text),
        (None, None) => return Err("the message is empty".to_owned()),
    };
    checked.map_err(|err| err.to_string())
}

/// Reports a failed send to the circuit breakers and the connection.
pub(crate) async fn report(
    ctx: &Context,
    (route, began): (&Route, Instant),
    connection: &Connection,
    err: &GraphError,
) {
    let keys = of_graph(route);
    let [account, app] = &keys;
    match err.class {
        FailureClass::Transient | FailureClass::Ambiguous => {
            tell(ctx.breakers.failed(&keys, began, &err.code).await);
        }
        FailureClass::Throttled => {
            let is_app = APP_LIMITS.contains(&err.code.split('/').next().unwrap_or_default());
            let pause = err.retry_after.unwrap_or(THROTTLED_DELAY);
            tell(ctx.breakers.close(if is_app { app } else { account }, pause, &err.code).await);
        }
        FailureClass::Reauth => park(ctx, connection, err).await,
        FailureClass::Restricted if failure::is_bare_100(err.wire) => {
            tell(ctx.breakers.failed(&keys, began, &err.code).await);
            tell(ctx.breakers.close(account, BARE_100_DELAY, &err.code).await);
        }
        FailureClass::Restricted => tell(ctx.breakers.close(account, RESTRICTED_DELAY, &err.code).await),
        // Rejecting a message is a response too: the service is up.
        _ => ctx.breakers.passed(&keys, began).await,
    }
}

/// The token was rejected: the connection waits for a new one, unless it already has one.
async fn park(ctx: &Context, connection: &Connection, err: &GraphError) {
    ctx.accounts.forget(connection.id);
    let parking = ctx.store.park_connection(connection, ConnectionStatus::ReauthRequired, &err.code);
    match Box::pin(parking).await {
        Ok(true) => tracing::error!(connection = %connection.id, error = %err, "Meta rejected the token"),
        Ok(false) => {}
        Err(err) => tracing::warn!(connection = %connection.id, error = %err, "cannot park the connection"),
    }
}

fn tell(outcome: dmrelay_store::Result<()>) {
    if let Err(err) = outcome {
        tracing::warn!(error = %err, "cannot report a failure to its circuit breakers");
    }
}

fn failure_of(err: &GraphError) -> SendFailure {
    SendFailure {
        class: err.class,
        answered: err.is_answered(),
        code: err.code.clone(),
        bare_100: failure::is_bare_100(err.wire),
        retry_after: pause(err.retry_after),
        error: err.message.clone(),
    }
}

fn not_made(class: FailureClass, code: &str, error: &str) -> SendFailure {
    SendFailure {
        class,
        answered: false,
        code: code.to_owned(),
        bare_100: false,
        retry_after: None,
        error: error.to_owned(),
    }
}

/// The connection cannot be used now.
fn unusable(error: &str) -> SendFailure {
    tracing::error!(error, "the connection's token cannot be used");
    let retry_after = Some(dmrelay_domain::clock::millis(UNUSABLE_DELAY));
    SendFailure { retry_after, ..not_made(FailureClass::Throttled, "token", error) }
}

fn invalid(error: &str) -> SendFailure {
    not_made(FailureClass::Invalid, "message", error)
}

/// Committing the intent took too long: the message is not sent.
fn too_late() -> SendFailure {
    not_made(FailureClass::Transient, "late", "not sent: committing the intent took too long")
}
