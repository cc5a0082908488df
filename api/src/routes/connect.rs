//! `POST …/connect`: checks an Instagram account with Graph, subscribes its webhooks, and stores it with
//! encrypted secrets. A failure at any step leaves nothing half-done.

use super::graph::{graph_problem, identify};
use super::{is_live, pauses, provider_key};
use crate::access::Scope;
use crate::extract::Body;
use crate::problem::{Problem, ValidationErrors};
use crate::settings;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::{ConnectionId, InstagramAccountId, InstagramUserId, PageId};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_instagram::{Access, Account, links};
use dmrelay_runtime::settings::AgentBinding;
use dmrelay_store::{Activity, ActivityKind, Bound, Connection, Credentials, NewConnection};
use dmrelay_vault::Place;
use dmrelay_views::{ConnectionSettings, ConnectionView, EntryPoints, WebhookView};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// A request to connect an Instagram account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Connect {
    /// A long-lived access token of the account.
    #[schema(value_type = String, min_length = 1, max_length = 4_096, example = "IGAA…")]
    access_token: Secret<String>,
    #[schema(pattern = "^[0-9]{1,32}$", example = "17841400000000001")]
    instagram_account_id: String,
    /// The id of the Facebook Page; with Facebook Login.
    #[schema(pattern = "^[0-9]{1,32}$")]
    page_id: Option<String>,
    /// The token you choose for Meta's webhook verification handshake.
    #[schema(value_type = String, min_length = 8, max_length = 512)]
    webhook_verification_token: Secret<String>,
    /// The app secret, if the account uses its own Meta app.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 512)]
    app_secret: Option<Secret<String>>,
    /// The Meta login the token comes from; guessed if omitted.
    #[schema(pattern = "^(instagram|facebook)$")]
    login_kind: Option<String>,
    #[serde(default)]
    settings: ConnectionSettings,
    /// The id by which Meta's deauthorize and data deletion callbacks name whoever connected the account, where the client knows
    /// it: with Facebook Login the app-scoped id of the person. With Instagram Login it is read from Graph.
    #[schema(pattern = "^[0-9]{1,32}$")]
    meta_user_id: Option<String>,
    /// Seconds until the token expires, if the client knows it.
    token_expires_in: Option<u32>,
    /// The `ref` of the ig.me link: letters, digits, `_`, `-` and `=`.
    #[serde(rename = "ref")]
    #[schema(max_length = 2_083)]
    reference: Option<String>,
    /// Transfer the account from another subaccount.
    #[serde(default)]
    take_over: bool,
}

/// A connection with what the business needs to set it up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Connected {
    #[serde(flatten)]
    connection: ConnectionView,
    /// Links through which customers reach the account; null if Graph gave no username.
    links: Option<EntryPoints>,
    webhook: WebhookView,
}

/// The webhook field without which no message would be answered.
const NEEDED_FIELD: &str = "messages";

/// Maximum lengths of secrets, in bytes.
const TOKEN_MAX: usize = 4_096;
const SECRET_MAX: usize = 512;
/// Minimum length of the verification token, which keeps others from answering the handshake.
const VERIFY_MIN: usize = 8;

/// A validated request.
struct Checked {
    account: InstagramAccountId,
    page: Option<PageId>,
    login: LoginKind,
}

/// The account's current connection.
enum Before {
    /// Not connected.
    Nothing,
    /// Connected to this agent: its row is updated.
    Live(ConnectionId),
    /// Formerly connected to this agent: its row is reactivated.
    Former(ConnectionId),
    /// Connected to another subaccount: it is transferred from there.
    Elsewhere(Box<Connection>),
}

/// Connects an Instagram account
///
/// Checks the token and the account with Graph, subscribes the webhooks, and stores the secrets encrypted.
/// Connecting an account of the same agent again replaces its credentials and keeps its history.
#[utoipa::path(post, path = "/connect", tag = "Connection", operation_id = "connect", request_body = Connect,
    responses(
        (status = 201, description = "The account is connected", body = Connected),
        (status = 403, description = "The caller lacks the permission, or the agent is not assigned to the subaccount"),
        (status = 409, description = "The account is connected to another subaccount or agent"),
        (status = 502, description = "Meta did not subscribe the webhooks"),
        (status = 503, description = "Connecting is paused, or the database is unavailable"),
    ))]
pub(super) async fn connect(
    State(state): State<ApiState>,
    scope: Scope,
    Body(request): Body<Connect>,
) -> Result<(StatusCode, Json<Connected>), Problem> {
    let checked = check(&request)?;
    pauses::check_connect(&state, &scope.subaccount, &checked.account, false).await?;
    let right = check_agent(&state, &scope).await?;
    let token = request.access_token.clone();
    let access = Access::new(checked.login, &checked.account, checked.page.as_ref(), token);
    let (access, found) = identify(&state, access, request.app_secret.as_ref()).await?;
    if found.instagram_account_id != checked.account.as_str() {
        let name = found.username.as_deref().map(|name| format!(" (@{name})")).unwrap_or_default();
        let (is, should) = (&found.instagram_account_id, &checked.account);
        let what = format!(
            "the token belongs to the Instagram account {is}{name}, and instagramAccountId is {should}"
        );
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "wrong-account",
            "The token belongs to another account",
        )
        .detail(what)
        .with("instagramAccountId", checked.account.as_str())
        .with("tokenAccountId", found.instagram_account_id));
    }
    pauses::check_connect(&state, &scope.subaccount, &checked.account, true).await?;
    let before = before(&state, &scope, &checked.account, request.take_over).await?;
    let new = describe(&state, &scope, &request, (checked, found, &before, access.proof.as_ref()));
    reserve(&state, &new, &before).await?;
    let made = make(&state, (&scope, right), &access, (&new, &before)).await;
    if let Err(problem) = made {
        if !matches!(before, Before::Live(_)) {
            state.store.drop_pending(new.id).await?;
        }
        return Err(problem);
    }
    answer(&state, new.id, request.reference.as_deref()).await
}

/// By what a subaccount may use an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// It is the subaccount's.
    Assigned,
    /// It becomes the subaccount's: the subaccount's own key, the token, or the setting says so.
    Proven,
}

/// Whether the subaccount may use the agent, as far as this is known before it connects.
async fn check_agent(state: &ApiState, scope: &Scope) -> Result<Right, Problem> {
    let owner = state.store.agent_subaccount(&scope.agent).await?;
    let is_own = owner.as_deref() == Some(scope.subaccount.as_str());
    // Whether it is another's, or nobody's, is not told.
    if owner.is_some() && !is_own {
        return Err(not_assigned());
    }
    if provider_key::proves(state, &scope.subaccount, &scope.agent).await?.is_some() {
        return Ok(Right::Proven);
    }
    if is_own {
        return Ok(Right::Assigned);
    }
    if scope.may_bind || state.options.api.agent_binding == AgentBinding::FirstConnect {
        return Ok(Right::Proven);
    }
    Err(not_assigned())
}

fn not_assigned() -> Problem {
    let title = "The agent is not assigned to this subaccount";
    Problem::new(StatusCode::FORBIDDEN, "agent-not-assigned", title)
        .detail("the operator assigns it: dmrelay-api admin agents assign")
}

fn check(request: &Connect) -> Result<Checked, Problem> {
    let mut errors = ValidationErrors::default();
    printable("/accessToken", request.access_token.expose(), 1..=TOKEN_MAX, &mut errors);
    let secret = VERIFY_MIN..=SECRET_MAX;
    printable(
        "/webhookVerificationToken",
        request.webhook_verification_token.expose(),
        secret.clone(),
        &mut errors,
    );
    if let Some(own) = &request.app_secret {
        printable("/appSecret", own.expose(), secret, &mut errors);
    }
    let account = InstagramAccountId::parse(&request.instagram_account_id).map_err(|err| err.why);
    let account = errors.check("/instagramAccountId", account);
    let page = errors
        .check("/pageId", request.page_id.as_deref().map(PageId::parse).transpose().map_err(|err| err.why));
    let login = match request.login_kind.as_deref() {
        Some(word) => LoginKind::parse(word).ok_or("must be instagram or facebook"),
        // Page tokens begin with EAA; only Facebook Login has a Page.
        None if request.page_id.is_some() || request.access_token.expose().starts_with("EAA") => {
            Ok(LoginKind::Facebook)
        }
        None => Ok(LoginKind::Instagram),
    };
    let login = errors.check("/loginKind", login);
    let is_id = |id: &String| InstagramUserId::parse(id).is_ok();
    if !request.meta_user_id.as_ref().is_none_or(is_id) {
        errors.at("/metaUserId", "must be 1 to 32 digits");
    }
    if let Some(reference) = &request.reference {
        // Any username will do: only the ref is validated.
        errors.check("/ref", links::direct_message("a", Some(reference)));
    }
    settings::check(&request.settings, "/settings", &mut errors);
    errors.end()?;
    let checked = account.zip(page).zip(login);
    let ((account, page), login) = checked.ok_or_else(|| Problem::invalid("", "is not valid"))?;
    Ok(Checked { account, page, login })
}

fn printable(pointer: &str, text: &str, range: RangeInclusive<usize>, errors: &mut ValidationErrors) {
    if !range.contains(&text.len()) || !text.chars().all(|c| c.is_ascii_graphic()) {
        let (least, most) = (range.start(), range.end());
        errors.at(pointer, format!("must be {least} to {most} printable characters without spaces"));
    }
}

async fn before(
    state: &ApiState,
    scope: &Scope,
    account: &InstagramAccountId,
    take_over: bool,
) -> Result<Before, Problem> {
    let Some(live) = state.store.live_connection(account).await?.filter(is_live) else {
        let former = state.store.former_connection((&scope.subaccount, &scope.agent), account).await?;
        return Ok(former.map_or(Before::Nothing, Before::Former));
    };
    if live.subaccount == scope.subaccount && live.agent == scope.agent {
        return Ok(Before::Live(live.id));
    }
    if live.subaccount == scope.subaccount {
        let title = "The account is connected to another agent";
        return Err(Problem::new(StatusCode::CONFLICT, "connected-to-another-agent", title)
            .detail("disconnect it there first")
            .with("agentId", live.agent.as_str()));
    }
    if take_over {
        return Ok(Before::Elsewhere(Box::new(live)));
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "account-in-use",
        "The account is connected to another subaccount",
    )
    .detail("set takeOver to true to transfer it"))
}

fn describe(
    state: &ApiState,
    scope: &Scope,
    request: &Connect,
    (checked, found, before, proof): (Checked, Account, &Before, Option<&Secret<String>>),
) -> NewConnection {
    let id = match before {
        Before::Live(id) | Before::Former(id) => *id,
        Before::Nothing | Before::Elsewhere(_) => ConnectionId::new(),
    };
    let seal = |column: &'static str, secret: &Secret<String>| {
        let place = Place { table: "instagram_connections", column, row: id.0 };
        state.vault.seal(place, secret.expose().as_bytes())
    };
    let expires = request.token_expires_in.map(|seconds| state.clock.now() + i64::from(seconds) * 1_000);
    NewConnection {
        id,
        subaccount: scope.subaccount.clone(),
        agent: scope.agent.clone(),
        page: checked.page.or_else(|| found.page_id.as_deref().and_then(|page| PageId::parse(page).ok())),
        account: checked.account,
        login: checked.login,
        username: found.username,
        app_user_id: request.meta_user_id.clone().or(found.app_user_id),
        settings: request.settings.clone().into(),
        credentials: Credentials {
            access_token: seal("access_token", &request.access_token),
            token_proof: proof.map(|proof| seal("token_proof", proof)),
            token_expires_at: expires,
            verify_token: seal("verify_token", &request.webhook_verification_token),
            app_secret: request.app_secret.as_ref().map(|secret| seal("app_secret", secret)),
        },
    }
}

/// A row in state `pending` reserves the account while Graph is asked.
async fn reserve(state: &ApiState, new: &NewConnection, before: &Before) -> Result<(), Problem> {
    let reserved = match before {
        Before::Nothing => {
            let tx = state.store.begin().await?;
            tx.create_connection(new).await.map_err(in_use)?;
            tx.commit().await
        }
        Before::Former(id) => state.store.revive_connection(*id).await,
        // The account is transferred only after Graph has accepted it.
        Before::Live(_) | Before::Elsewhere(_) => Ok(()),
    };
    reserved.map_err(in_use)
}

/// A concurrent call connected the same account first.
fn in_use(err: dmrelay_store::Error) -> Problem {
    if err.is_conflict() {
        let title = "Another call is connecting this account";
        return Problem::new(StatusCode::CONFLICT, "account-in-use", title);
    }
    err.into()
}

async fn make(
    state: &ApiState,
    (scope, right): (&Scope, Right),
    access: &Access,
    (new, before): (&NewConnection, &Before),
) -> Result<(), Problem> {
    let wanted = match new.login {
        LoginKind::Instagram => &state.options.graph.subscribed_fields,
        LoginKind::Facebook => &state.options.graph.subscribed_page_fields,
    };
    state.graph.subscribe(access, wanted).await.map_err(|err| graph_problem(&err))?;
    let fields = state.graph.subscriptions(access).await.map_err(|err| graph_problem(&err))?;
    if !fields.iter().any(|field| field == NEEDED_FIELD) {
        let what = format!("Graph accepted the subscription to {NEEDED_FIELD:?} but does not list it");
        return Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            "not-subscribed",
            "The webhooks are not subscribed",
        )
        .detail(what));
    }
    let tx = state.store.begin().await?;
    if tx.is_erasing(&scope.subaccount).await? {
        let title = "The data of the subaccount is being erased";
        return Err(Problem::new(StatusCode::CONFLICT, "erasing", title));
    }
    match tx.bind_agent(&scope.agent, &scope.subaccount, &scope.actor).await? {
        Bound::Before => {}
        Bound::Now if right == Right::Proven => {}
        // Where the operator assigns agents, it was released meanwhile.
        Bound::Now | Bound::Elsewhere(_) => return Err(not_assigned()),
    }
    if let Before::Elsewhere(other) = before {
        tx.mark_disconnected(other, "transferred to another subaccount").await?;
        let activity = Activity::of_connection(other, ActivityKind::Disconnected, "system")
            .with("reason", "transferred to another subaccount");
        tx.record(&activity).await?;
        tx.create_connection(new).await.map_err(in_use)?;
    }
    tx.mark_connected(new, &fields).await?;
    let connection =
        tx.connection_of(new.id).await?.ok_or_else(|| Problem::not_found("the connection is gone"))?;
    let activity = Activity::of_connection(&connection, ActivityKind::Connected, &scope.actor)
        .with("instagramAccountId", new.account.as_str());
    tx.record(&activity).await?;
    tx.commit().await?;
    tracing::info!(connection = %new.id, subaccount = %new.subaccount, agent = %new.agent, "connected");
    Ok(())
}

async fn answer(
    state: &ApiState,
    id: ConnectionId,
    reference: Option<&str>,
) -> Result<(StatusCode, Json<Connected>), Problem> {
    // The account is known from now on: ingest the webhooks that arrived before.
    state.snapshots.refresh().await?;
    let Some(connection) = state.store.connection_by_id(id).await? else {
        return Err(Problem::not_found("the connection is gone"));
    };
    // The workers would do this too on their next tick; this is only faster.
    let waiting = state.store.route_events().await?;
    if waiting > 0 {
        tracing::info!(connection = %id, waiting, "ingesting events that arrived before the connection");
    }
    let connected = Connected {
        links: EntryPoints::of(&connection, reference)?,
        webhook: WebhookView { callback_url: callback_url(state, &connection) },
        connection: ConnectionView::of(&connection),
    };
    Ok((StatusCode::CREATED, Json(connected)))
}

/// The URL to paste into Meta's dashboard.
pub(super) fn callback_url(state: &ApiState, connection: &Connection) -> String {
    let base = state.options.api.public_url.as_str().trim_end_matches('/');
    let (subaccount, agent) = (&connection.subaccount, &connection.agent);
    format!("{base}/api/database/{subaccount}/chat-agents/{agent}/instagram/webhook")
}
