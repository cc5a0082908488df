//! Meta's callbacks when an account's owner removes the app, or wants their data deleted (Meta, "Data deletion request
//! callback"), and the page that shows what became of it. Both are form posts whose signature is inside.

use crate::bodies;
use crate::html::page;
use crate::problem::Problem;
use crate::snapshot::open_app_secret;
use crate::state::ApiState;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::signed_request::SignedRequest;
use dmrelay_domain::states::ErasureState;
use dmrelay_store::entity::erasure;
use dmrelay_store::{Connection, NewErasure, Tx};
use maud::html;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use url::form_urlencoded;

/// Whose callbacks these are.
const ACTOR: &str = "meta";

/// Maximum size of a callback, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// How old a signed request may be: an old one could be replayed by whoever has seen it.
const AGE_MAX: Duration = Duration::from_hours(24);

/// How far Meta's clock may be from the database's.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// A signed request that is believed, and the accounts it is about.
struct Callback {
    connections: Vec<Connection>,
    /// When Meta signed it, in milliseconds.
    issued_at: i64,
}

/// `POST /webhooks/instagram/deauthorize`.
pub(super) async fn deauthorize(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    deauthorized(&state, request, None).await
}

/// `POST …/instagram/deauthorize`, for an account with a Meta app of its own.
pub(super) async fn own_deauthorize(
    State(state): State<ApiState>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    deauthorized(&state, request, Some(path)).await
}

/// `POST /webhooks/instagram/data-deletion`.
pub(super) async fn data_deletion(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    deletion(&state, request, None).await
}

/// `POST …/instagram/data-deletion`, for an account with a Meta app of its own.
pub(super) async fn own_data_deletion(
    State(state): State<ApiState>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    deletion(&state, request, Some(path)).await
}

async fn deauthorized(
    state: &ApiState,
    request: Request,
    path: Option<(String, String)>,
) -> Result<Response, Problem> {
    let callback = read(state, request, path).await?;
    let tx = state.store.begin().await?;
    end_all(&tx, &callback, "its owner has removed the app at Meta").await?;
    tx.commit().await?;
    state.snapshots.refresh().await?;
    let Callback { connections, .. } = callback;
    if connections.is_empty() {
        tracing::warn!("Meta says that somebody removed the app whose account is not known here");
    }
    Ok(StatusCode::OK.into_response())
}

async fn deletion(
    state: &ApiState,
    request: Request,
    path: Option<(String, String)>,
) -> Result<Response, Problem> {
    let callback = read(state, request, path).await?;
    let code = hex::encode(rand::random::<[u8; 12]>());
    // One transaction: an account whose secret has signed this is not found by it once it is erased.
    let tx = state.store.begin().await?;
    end_all(&tx, &callback, "its owner wants the data deleted").await?;
    let Callback { connections, .. } = callback;
    for connection in &connections {
        let new = NewErasure {
            subaccount: connection.subaccount.clone(),
            connection: Some(connection.id),
            actor: ACTOR.into(),
            code: Some(code.clone()),
            grace: state.options.api.data_deletion_grace,
        };
        tx.request_erasure(&new).await?;
    }
    if connections.is_empty() {
        tracing::warn!(
            code,
            "Meta asks to delete the data of somebody whose account is not known here: see admin erase list"
        );
        tx.record_unmatched_erasure(&code, &ACTOR.into()).await?;
    }
    tx.commit().await?;
    state.snapshots.refresh().await?;
    let base = state.base();
    let url = format!("{base}/data-deletion/{code}");
    Ok(Json(json!({ "url": url, "confirmation_code": code })).into_response())
}

/// Disconnects the accounts, except those that were connected since Meta said so. The token of a removed app is worth nothing:
/// there is nobody to unsubscribe at.
async fn end_all(tx: &Tx, callback: &Callback, reason: &str) -> Result<(), Problem> {
    for connection in &callback.connections {
        let is_newer =
            connection.row.connected_at.is_some_and(|at| at > callback.issued_at + millis(CLOCK_SKEW));
        if !is_newer && tx.deauthorize(connection, reason).await? {
            tracing::info!(connection = %connection.id, reason, "disconnected");
        }
    }
    Ok(())
}

async fn read(
    state: &ApiState,
    request: Request,
    path: Option<(String, String)>,
) -> Result<Callback, Problem> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map(|peer| state.limits.network(peer, &parts.headers).to_string());
    let mut share = state.webhook_bodies.share(address.unwrap_or_default());
    let time = state.options.api.webhook_timeout;
    let body = bodies::read((&parts.headers, body), BODY_BYTES_MAX, time, &mut share).await;
    let body = body.map_err(bodies::Unread::problem)?;
    let field = form_urlencoded::parse(&body).find(|(name, _)| name == "signed_request");
    let signed = field.and_then(|(_, text)| SignedRequest::read(&text)).ok_or_else(refused)?;
    let secrets = state.secrets.get();
    let is_platform = secrets.app_secrets.iter().any(|secret| signed.is_signed_by(secret.expose()));
    let by_own = |connection: &Connection| {
        open_app_secret(&state.vault, connection).is_some_and(|own| signed.is_signed_by(own.expose()))
    };
    // Of disconnected accounts too: Meta asks for the deletion after the app is removed.
    let own = match path.as_ref().and_then(of_path) {
        Some(subaccount) => state.store.connections(&subaccount, None).await?,
        None => Vec::new(),
    };
    if !is_platform && !own.iter().any(by_own) {
        return Err(refused());
    }
    let issued_at = signed.issued_at.map(|at| at.saturating_mul(1_000)).ok_or_else(refused)?;
    if (state.clock.now() - issued_at).abs() > millis(AGE_MAX) {
        return Err(refused());
    }
    let mut connections = state.store.connections_of_meta_user(&signed.user_id).await?;
    // A secret speaks for the accounts that have it, and the platform's for those without one of their own.
    connections.retain(|connection| match &connection.row.app_secret {
        Some(_) => by_own(connection),
        None => is_platform,
    });
    Ok(Callback { connections, issued_at })
}

/// Any agent of the subaccount will do: an account that was given to another keeps the address that Meta knows.
fn of_path((subaccount, _): &(String, String)) -> Option<SubaccountId> {
    SubaccountId::parse(subaccount).ok()
}

fn refused() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "signature-refused", "The signature is refused")
}

/// `GET /data-deletion/{code}`: what became of a request, for people, without a login. Only who has the code sees it.
pub(super) async fn deletion_status(
    State(state): State<ApiState>,
    Path(code): Path<String>,
) -> Result<Response, Problem> {
    let is_code = code.len() == 24 && code.bytes().all(|byte| byte.is_ascii_hexdigit());
    let erasures = if is_code { state.store.erasures_of_code(&code).await? } else { Vec::new() };
    let (status, text) = if erasures.is_empty() {
        (StatusCode::NOT_FOUND, "No deletion request has this confirmation code.".to_owned())
    } else {
        (StatusCode::OK, told(&erasures))
    };
    Ok(page(status, "Data deletion", &html! { p { (text) } }, &[]))
}

fn told(erasures: &[erasure::Model]) -> String {
    let is = |state: ErasureState| move |row: &&erasure::Model| row.state.known() == Some(state);
    if erasures.iter().any(|row| is(ErasureState::Unmatched)(&row)) {
        return "The request was received. No data was found under the identifier that Meta named; the operator of this service \
                checks whether there is any under another."
            .to_owned();
    }
    if erasures.iter().all(|row| is(ErasureState::Done)(&row)) {
        let at = erasures.iter().filter_map(|row| row.finished_at).max();
        let at = at.and_then(dmrelay_views::time).unwrap_or_default();
        return format!("All data of the account was deleted on {at}.");
    }
    if erasures.iter().any(|row| is(ErasureState::Running)(&row)) {
        return "The data of the account is being deleted now.".to_owned();
    }
    let at = erasures.iter().map(|row| row.due_at).max().and_then(dmrelay_views::time).unwrap_or_default();
    format!("The request was received. The data of the account will be deleted after {at}.")
}
