//! Meta's webhooks (Meta, "Webhooks: getting started"): the verification handshake and events. An event is
//! acknowledged only after it is committed to the inbox.

use crate::bodies::{self, Share, Unread};
use crate::problem::Problem;
use crate::signs::SeenSigns;
use crate::snapshot::{Accounts, Known};
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dmrelay_domain::event::{self, Event, Kind};
use dmrelay_domain::signature;
use dmrelay_runtime::trace::{self, TraceId};
use dmrelay_store::NewEvent;
use serde::Deserialize;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Meta's verification handshake.
#[derive(Debug, Deserialize)]
pub(super) struct Handshake {
    #[serde(rename = "hub.mode")]
    mode: Option<String>,
    #[serde(rename = "hub.verify_token")]
    token: Option<String>,
    #[serde(rename = "hub.challenge")]
    challenge: Option<String>,
}

/// Maximum length of a challenge that is echoed.
const CHALLENGE_BYTES_MAX: usize = 256;

/// Who may have signed a webhook: everyone whose secret verifies its signature, for one secret may stand in several
/// places.
struct Signer<'a> {
    /// One of the platform's secrets does: it speaks for all accounts without a secret of their own.
    is_platform: bool,
    bytes: &'a [u8],
    digest: [u8; 32],
}

/// A webhook in progress.
#[derive(Clone, Copy)]
struct Webhook {
    arrived: Instant,
    trace: TraceId,
}

/// Why a webhook is not acknowledged.
enum Refusal {
    TooLarge,
    Busy,
    Unread,
    Unsigned,
    Unavailable,
    OverBudget,
}

/// `GET /webhooks/instagram`.
pub(super) async fn shared_handshake(
    State(state): State<ApiState>,
    Query(query): Query<Handshake>,
) -> Response {
    let secrets = state.secrets.get();
    handshake(&state, &query, secrets.verify_token.iter().map(|token| token.expose().as_str()))
}

/// `GET …/instagram/webhook`.
pub(super) async fn own_handshake(
    State(state): State<ApiState>,
    Path((subaccount, _)): Path<(String, String)>,
    Query(query): Query<Handshake>,
) -> Response {
    let accounts = state.snapshots.current();
    let own = accounts.values().filter(|known| known.subaccount.as_str() == subaccount);
    let tokens = own.filter_map(|known| known.verify_token.as_ref()).map(|token| token.expose().as_str());
    handshake(&state, &query, tokens)
}

fn handshake<'a>(state: &ApiState, query: &Handshake, tokens: impl Iterator<Item = &'a str>) -> Response {
    let given = query.token.as_deref().unwrap_or_default();
    // Every token is compared, to avoid a timing side channel.
    let known =
        tokens.fold(false, |known, token| known | signature::same(token.as_bytes(), given.as_bytes()));
    let challenge = query.challenge.as_deref().unwrap_or_default();
    let plain = !challenge.is_empty()
        && challenge.len() <= CHALLENGE_BYTES_MAX
        && challenge.chars().all(|c| c.is_ascii_alphanumeric());
    if !known || given.is_empty() || query.mode.as_deref() != Some("subscribe") || !plain {
        state.metrics.webhook_requests.with_label_values(&["refused"]).inc();
        return Problem::new(StatusCode::FORBIDDEN, "handshake-refused", "The handshake is refused")
            .into_response();
    }
    state.metrics.webhook_requests.with_label_values(&["handshake"]).inc();
    let headers = [(header::CONTENT_TYPE, "text/plain"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, challenge.to_owned()).into_response()
}

/// `POST /webhooks/instagram`.
pub(super) async fn shared(State(state): State<ApiState>, request: Request) -> Response {
    receive(state, request, None).await
}

/// `POST …/instagram/webhook`.
pub(super) async fn own(
    State(state): State<ApiState>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Response {
    receive(state, request, Some(path)).await
}

async fn receive(state: ApiState, request: Request, path: Option<(String, String)>) -> Response {
    let webhook = Webhook { arrived: Instant::now(), trace: TraceId::random() };
    let span = trace::begin(webhook.trace, || tracing::error_span!("webhook", trace_id = %webhook.trace));
    answer(&state, request, path.as_ref(), webhook).instrument(span).await
}

async fn answer(
    state: &ApiState,
    request: Request,
    path: Option<&(String, String)>,
    webhook: Webhook,
) -> Response {
    let timeout = state.options.api.webhook_timeout;
    let mut is_signed = false;
    let accepted = accept(state, request, path, (webhook, &mut is_signed));
    let outcome = tokio::time::timeout(timeout, accepted).await;
    let (result, response) = match outcome {
        Ok(Ok(())) => ("ok", (StatusCode::OK, "EVENT_RECEIVED").into_response()),
        Ok(Err(refusal)) => refusal.answer(),
        Err(_) => ("timeout", unavailable().into_response()),
    };
    state.metrics.webhook_requests.with_label_values(&[result]).inc();
    if result == "ok" {
        state.metrics.webhook_ack_seconds.observe(webhook.arrived.elapsed().as_secs_f64());
    } else {
        // What nobody has signed is a stranger's: nothing of Meta's was missed.
        if is_signed && matches!(result, "unavailable" | "timeout") {
            state.gaps.note(state.clock.now());
        }
        // The metric counts refusals; a log line each would flood the log when it is needed most.
        tracing::debug!(result, "webhook not acknowledged");
    }
    response
}

async fn accept(
    state: &ApiState,
    request: Request,
    path: Option<&(String, String)>,
    (webhook, is_signed): (Webhook, &mut bool),
) -> Result<(), Refusal> {
    let (parts, body) = request.into_parts();
    // Nothing is read of what cannot be signed.
    let digest = claimed(&parts.headers).ok_or(Refusal::Unsigned)?;
    // Held until the events are stored.
    let (bytes, _share) = read(state, &parts, body).await?;
    let accounts = state.snapshots.current();
    let signer = verify(state, &accounts, digest, (&bytes, path)).ok_or(Refusal::Unsigned)?;
    *is_signed = true;
    let envelope = event::parse(&bytes, state.clock.now());
    let mut events = Vec::with_capacity(envelope.events.len());
    let mut seen = SeenSigns::default();
    let mut charge = state.budgets.charge();
    // Its own callback, which Meta calls again: only if there is nothing in it but what may wait of accounts that are far ahead.
    let is_refused = |event: &Event| may_wait(event.kind) && state.budgets.is_used_up(&event.account);
    let refused =
        envelope.events.first().filter(|_| !signer.is_platform && envelope.events.iter().all(is_refused));
    let refused = refused.map(|event| event.account.clone());
    // Once for each account: a webhook has up to a thousand events, and a signature is over all its bytes.
    let mut speaks_for: HashMap<String, bool> = HashMap::new();
    for event in envelope.events {
        let known = speaks_for.get(&event.account).copied();
        let may_speak = known.unwrap_or_else(|| signer.may_speak_for(&accounts, &event.account));
        if known.is_none() {
            speaks_for.insert(event.account.clone(), may_speak);
        }
        if signer.may_be_meant_for(&accounts, &event.account, path) {
            seen.note(&event, may_speak);
        }
        let outcome = match &event {
            event if event.kind == Kind::Ignored => "ignored",
            _ if !may_speak => "not_spoken_for",
            _ => "accepted",
        };
        if outcome == "not_spoken_for" {
            let account = event.account.as_str();
            tracing::warn!(
                account,
                "event ignored: its webhook is signed with another secret than the account's"
            );
        }
        state.metrics.events.with_label_values(&[event.kind.as_str(), outcome]).inc();
        if outcome == "accepted" {
            let subaccount = accounts.get(&event.account).map(|known| known.subaccount.as_str());
            let mut wait = charge.take(&event.account, subaccount);
            if !may_wait(event.kind) {
                wait = Duration::ZERO;
            }
            if !wait.is_zero() {
                seen.note_deferred(&event.account);
            }
            events.push(NewEvent::new(event).of_webhook(webhook.trace, webhook.arrived).deferred(wait));
        }
    }
    if let Some(account) = &refused {
        seen.note_deferred(account);
    }
    state.signs.add(seen);
    if refused.is_some() {
        return Err(Refusal::OverBudget);
    }
    state.inbox.store(events).await.map_err(|_| Refusal::Unavailable)?;
    charge.keep();
    Ok(())
}

/// Whether an event may be taken in later: not what tells that a human speaks, that words are taken back or changed, or that
/// the account may not send. What the conversation has before it is taken in with it.
fn may_wait(kind: Kind) -> bool {
    match kind {
        Kind::Echo | Kind::Unsend | Kind::Edit | Kind::Handover | Kind::Standby | Kind::PolicyEnforcement => {
            false
        }
        Kind::Message
        | Kind::Unsupported
        | Kind::Postback
        | Kind::Referral
        | Kind::Reaction
        | Kind::Feedback
        | Kind::Read
        | Kind::Comment
        | Kind::Mention
        | Kind::Ignored
        | Kind::Unknown => true,
    }
}

/// Reads the body within the limits per webhook, per address and per process. Until its signature is verified it is a
/// stranger's.
async fn read(state: &ApiState, parts: &Parts, body: Body) -> Result<(Bytes, Share), Refusal> {
    let api = &state.options.api;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map(|peer| state.limits.network(peer, &parts.headers).to_string());
    let mut share = state.webhook_bodies.share(address.unwrap_or_default());
    let whole = bodies::read((&parts.headers, body), api.webhook_max_bytes, api.webhook_timeout, &mut share);
    match whole.await {
        Ok(bytes) => Ok((bytes, share)),
        Err(Unread::TooLarge) => Err(Refusal::TooLarge),
        Err(Unread::Exhausted | Unread::TooSlow) => Err(Refusal::Busy),
        Err(Unread::Broken) => Err(Refusal::Unread),
    }
}

/// The digest that the signature header claims, if there is one and only one, in Meta's form.
fn claimed(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut given = headers.get_all("x-hub-signature-256").into_iter();
    let only = given.next().filter(|_| given.next().is_none())?;
    signature::claimed(only.to_str().ok()?)
}

/// Verifies the signature of the raw bytes and returns the signer, if it is known here.
fn verify<'a>(
    state: &ApiState,
    accounts: &Accounts,
    digest: [u8; 32],
    (bytes, path): (&'a [u8], Option<&(String, String)>),
) -> Option<Signer<'a>> {
    let mut signer = Signer { is_platform: false, bytes, digest };
    signer.is_platform = state.secrets.get().app_secrets.iter().any(|secret| signer.knows(secret.expose()));
    if signer.is_platform {
        return Some(signer);
    }
    // Of any of the subaccount's agents: an account that was given to another keeps the address that Meta knows.
    let (subaccount, _) = path?;
    let mut own = accounts.values().filter(|known| known.subaccount.as_str() == subaccount);
    own.any(|known| known.app_secret.as_ref().is_some_and(|secret| signer.knows(secret.expose())))
        .then_some(signer)
}

impl Signer<'_> {
    /// Whether this secret verifies the signature.
    fn knows(&self, secret: &str) -> bool {
        signature::verify_digest(secret.as_bytes(), self.bytes, &self.digest)
    }

    /// Whether an event that is not spoken for tells something about its account: not if another tenant has signed it.
    fn may_be_meant_for(&self, accounts: &Accounts, account: &str, path: Option<&(String, String)>) -> bool {
        let is_tenants =
            |known: &Known| path.is_some_and(|(subaccount, _)| known.subaccount.as_str() == subaccount);
        accounts.get(account).is_some_and(|known| self.is_platform || is_tenants(known))
    }

    /// Whether the signer may speak for this account.
    fn may_speak_for(&self, accounts: &Accounts, account: &str) -> bool {
        match accounts.get(account).map(|known| known.app_secret.as_ref()) {
            Some(Some(own)) => self.knows(own.expose()),
            Some(None) | None => self.is_platform,
        }
    }
}

impl Refusal {
    fn answer(self) -> (&'static str, Response) {
        match self {
            Self::TooLarge => {
                let problem =
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large");
                ("too_large", problem.into_response())
            }
            Self::Unread => ("refused", Problem::malformed("cannot read the body").into_response()),
            // The expected signature is not revealed.
            Self::Unsigned => {
                let problem =
                    Problem::new(StatusCode::FORBIDDEN, "signature-refused", "The signature is refused");
                ("unsigned", problem.into_response())
            }
            Self::Busy | Self::Unavailable => ("unavailable", unavailable().into_response()),
            Self::OverBudget => ("over_budget", unavailable().into_response()),
        }
    }
}

fn unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "Webhooks cannot be stored now; deliver them again later",
    )
    .retry_after(1)
}
