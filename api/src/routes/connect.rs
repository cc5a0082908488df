//! `POST …/connect`: an Instagram account is checked with Graph, subscribed, and stored with its secrets
//! sealed. Whatever fails on the way, nothing half-made stays behind.

use super::is_live;
use crate::access::Scope;
use crate::extract::Body;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ConnectionId, InstagramAccountId, PageId};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_instagram::{Access, Account, GraphError, links};
use dmrelay_store::{Activity, ActivityKind, Connection, Credentials, NewConnection, Settings};
use dmrelay_vault::Place;
use serde::Deserialize;

/// What a connection is made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Connect {
    access_token: Secret<String>,
    instagram_account_id: String,
    page_id: Option<String>,
    webhook_verification_token: Secret<String>,
    app_secret: Option<Secret<String>>,
    login_kind: Option<String>,
    #[serde(default)]
    settings: Settings,
    /// When the token expires, in seconds from now, where the client knows it.
    token_expires_in: Option<u32>,
    /// The `ref` of the ig.me link.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Take the account from another subaccount.
    #[serde(default)]
    take_over: bool,
}

/// The webhook field without which nothing would be answered.
const NEEDED_FIELD: &str = "messages";

/// The longest secrets, in bytes.
const TOKEN_MAX: usize = 4_096;
const SECRET_MAX: usize = 512;
/// The shortest verification token: it is what keeps others from answering the handshake.
const VERIFY_MIN: usize = 8;

/// A request whose form is right.
struct Checked {
    account: InstagramAccountId,
    page: Option<PageId>,
    login: LoginKind,
}

/// What the account was connected to before.
enum Before {
    /// Nothing.
    Nothing,
    /// This agent, now; its row is renewed.
    Live(ConnectionId),
    /// This agent, once; its row is revived.
    Former(ConnectionId),
    /// Another subaccount, from which it is taken.
    Elsewhere(Box<Connection>),
}

pub(super) async fn handle(
    State(state): State<ApiState>,
    Extension(scope): Extension<Scope>,
    Body(request): Body<Connect>,
) -> Result<Response, Problem> {
    let checked = check(&request)?;
    let access = access(&request, &checked);
    let found = state.graph.identify(&access).await.map_err(|err| graph_problem(&err))?;
    if found.instagram_account_id != checked.account.as_str() {
        let what = "the token belongs to another Instagram account than instagramAccountId";
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "wrong-account",
            "The token is of another account",
        )
        .detail(what)
        .with("instagramAccountId", checked.account.as_str()));
    }
    // Only a token that is good binds the agent's name to the subaccount.
    if !state.store.bind_agent(&scope.agent, &scope.subaccount).await? {
        return Err(Problem::forbidden());
    }
    let before = before(&state, &scope, &checked.account, request.take_over).await?;
    let new = describe(&state, &scope, &request, (checked, found, &before));
    reserve(&state, &new, &before).await?;
    let made = make(&state, &scope, &access, (&new, &before)).await;
    if let Err(problem) = made {
        if !matches!(before, Before::Live(_)) {
            state.store.drop_pending(new.id).await?;
        }
        return Err(problem);
    }
    answer(&state, new.id, request.reference.as_deref()).await
}

fn check(request: &Connect) -> Result<Checked, Problem> {
    let bounded = |pointer: &str, text: &str, range: std::ops::RangeInclusive<usize>| {
        let printable = text.chars().all(|c| c.is_ascii_graphic());
        if range.contains(&text.len()) && printable {
            return Ok(());
        }
        let (least, most) = (range.start(), range.end());
        Err(Problem::invalid(
            pointer,
            format!("must be {least} to {most} printable characters without spaces"),
        ))
    };
    bounded("/accessToken", request.access_token.expose(), 1..=TOKEN_MAX)?;
    bounded(
        "/webhookVerificationToken",
        request.webhook_verification_token.expose(),
        VERIFY_MIN..=SECRET_MAX,
    )?;
    if let Some(secret) = &request.app_secret {
        bounded("/appSecret", secret.expose(), VERIFY_MIN..=SECRET_MAX)?;
    }
    let account = InstagramAccountId::parse(&request.instagram_account_id)
        .map_err(|err| Problem::invalid("/instagramAccountId", err.to_string()))?;
    let page = request.page_id.as_deref().map(PageId::parse).transpose();
    let page = page.map_err(|err| Problem::invalid("/pageId", err.to_string()))?;
    let login = match request.login_kind.as_deref() {
        Some(word) => LoginKind::parse(word)
            .ok_or_else(|| Problem::invalid("/loginKind", "must be instagram or facebook"))?,
        // Page tokens begin with EAA; a Page is there with Facebook Login only.
        None if page.is_some() || request.access_token.expose().starts_with("EAA") => LoginKind::Facebook,
        None => LoginKind::Instagram,
    };
    if let Some(reference) = &request.reference {
        // Any username will do: it is the ref that is checked.
        links::direct_message("a", Some(reference))
            .map_err(|err| Problem::invalid("/ref", err.to_string()))?;
    }
    Ok(Checked { account, page, login })
}

fn access(request: &Connect, checked: &Checked) -> Access {
    Access::new(checked.login, &checked.account, checked.page.as_ref(), request.access_token.clone())
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
    Err(Problem::new(StatusCode::CONFLICT, "account-in-use", "The account is connected elsewhere")
        .detail("with takeOver: true it is disconnected there"))
}

fn describe(
    state: &ApiState,
    scope: &Scope,
    request: &Connect,
    (checked, found, before): (Checked, Account, &Before),
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
        settings: request.settings.clone(),
        credentials: Credentials {
            access_token: seal("access_token", &request.access_token),
            token_expires_at: expires,
            verify_token: seal("verify_token", &request.webhook_verification_token),
            app_secret: request.app_secret.as_ref().map(|secret| seal("app_secret", secret)),
        },
    }
}

/// A row in state `pending` holds the account while Graph is asked.
async fn reserve(state: &ApiState, new: &NewConnection, before: &Before) -> Result<(), Problem> {
    let reserved = match before {
        Before::Nothing => {
            let tx = state.store.begin().await?;
            tx.create_connection(new).await.map_err(in_use)?;
            tx.commit().await
        }
        Before::Former(id) => state.store.revive_connection(*id).await,
        // Taken over only once Graph has said yes.
        Before::Live(_) | Before::Elsewhere(_) => Ok(()),
    };
    reserved.map_err(in_use)
}

/// Another call was faster with the same account.
fn in_use(err: dmrelay_store::Error) -> Problem {
    if err.is_conflict() {
        let title = "The account is being connected by somebody else";
        return Problem::new(StatusCode::CONFLICT, "account-in-use", title);
    }
    err.into()
}

async fn make(
    state: &ApiState,
    scope: &Scope,
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
        let what = format!("Graph was asked to subscribe {NEEDED_FIELD:?} and does not list it");
        return Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            "not-subscribed",
            "The webhooks are not subscribed",
        )
        .detail(what));
    }
    let tx = state.store.begin().await?;
    if let Before::Elsewhere(other) = before {
        tx.mark_disconnected(other, "taken over by another subaccount").await?;
        let activity = Activity::of_connection(other, ActivityKind::Disconnected, "system")
            .with("reason", "taken over by another subaccount");
        tx.record(&activity).await?;
        tx.create_connection(new).await.map_err(in_use)?;
    }
    tx.mark_connected(new, &fields).await?;
    let connection =
        tx.connection_of(new.id.0).await?.ok_or_else(|| Problem::not_found("the connection is gone"))?;
    let activity = Activity::of_connection(&connection, ActivityKind::Connected, &scope.actor)
        .with("instagramAccountId", new.account.as_str());
    tx.record(&activity).await?;
    tx.commit().await?;
    tracing::info!(connection = %new.id, subaccount = %new.subaccount, agent = %new.agent, "connected");
    Ok(())
}

async fn answer(state: &ApiState, id: ConnectionId, reference: Option<&str>) -> Result<Response, Problem> {
    // The webhooks of this account are known from now on; what came before is ingested.
    state.snapshots.refresh().await?;
    let Some(connection) = state.store.connection_by_id(id).await? else {
        return Err(Problem::not_found("the connection is gone"));
    };
    // The workers do this too, on a beat: it is only sooner here.
    let waiting = state.store.route_events().await?;
    if waiting > 0 {
        tracing::info!(connection = %id, waiting, "events that came before the connection are ingested");
    }
    let mut body = views::connection(&connection);
    body["links"] = views::entry_points(&connection, reference)?;
    body["webhook"] = serde_json::json!({ "callbackUrl": callback_url(state, &connection) });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// The address to paste into Meta's dashboard.
pub(super) fn callback_url(state: &ApiState, connection: &Connection) -> String {
    let base = state.options.api.public_url.as_str().trim_end_matches('/');
    let (subaccount, agent) = (&connection.subaccount, &connection.agent);
    format!("{base}/api/database/{subaccount}/chat-agents/{agent}/instagram/webhook")
}

/// What Graph said, as a problem the frontend can show.
pub(super) fn graph_problem(err: &GraphError) -> Problem {
    tracing::warn!(class = err.class.as_str(), code = %err.code, "Graph refused a call of the frontend");
    let (status, kind, title) = match err.class {
        FailureClass::Reauth => {
            (StatusCode::UNPROCESSABLE_ENTITY, "token-rejected", "Meta rejected the access token")
        }
        FailureClass::Restricted => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "missing-permission",
            "Meta does not allow this for the account or the app",
        ),
        FailureClass::Transient | FailureClass::Ambiguous | FailureClass::Throttled => {
            (StatusCode::SERVICE_UNAVAILABLE, "graph-unavailable", "Meta cannot be reached now")
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "graph-refused", "Meta refused the request"),
    };
    let problem =
        Problem::new(status, kind, title).detail(err.message.clone()).with("graphCode", err.code.as_str());
    match (status, err.retry_after) {
        (StatusCode::SERVICE_UNAVAILABLE, after) => {
            problem.retry_after(after.map_or(5, |after| after.as_secs()))
        }
        _ => problem,
    }
}
