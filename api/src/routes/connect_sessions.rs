//! `…/connect-sessions`: accounts that are connected by logging in at Meta.

use super::oauth::to_its_end;
use crate::access::{Credential, Scope};
use crate::connect::session::{self, NewSession, Next, Wishes};
use crate::extract::{Body, Id};
use crate::problem::{KINDS, Problem, ValidationErrors};
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::InstagramAccountId;
use dmrelay_domain::states::{ConnectSessionStatus, LoginKind, PageChoice};
use dmrelay_store::SessionEnd;
use dmrelay_store::entity::connect_session::Model;
use dmrelay_views::{ConnectionSettings, enums, time};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use uuid::Uuid;

/// A request to let somebody connect an account by logging in at Meta.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewConnectSession {
    /// Where the browser goes in the end, with `connectSession` (the id), `connectStatus` and `connectError` in its query. Must be
    /// allowed by the operator (`CONNECT_RETURN_URLS`). Without it the person sees a page that says how it went.
    #[schema(max_length = 2_000, example = "https://app.example.com/settings/instagram")]
    return_url: Option<String>,
    /// Which login; by default the one that is set up, Instagram's where both are.
    #[schema(schema_with = enums::login_kind_or_null)]
    login_kind: Option<String>,
    /// The account it must be: to renew the token of an account, say.
    #[schema(pattern = "^[0-9]{1,32}$", example = "17841400000000001")]
    instagram_account_id: Option<String>,
    /// Who asks the person which of several Pages it is, with Facebook Login: `hosted`, a page of the API, or `frontend`, yours at
    /// `returnUrl`.
    #[schema(schema_with = enums::page_choice_or_null)]
    page_choice: Option<String>,
    /// Settings of the connection. Omitted: those it has, or the defaults.
    settings: Option<ConnectionSettings>,
    /// Transfer the account from another subaccount, where the operator allows it (`CONNECT_TRANSFER`).
    #[serde(default)]
    transfer: bool,
    /// Read the conversations of the time before, as far as Meta shows them: the 20 newest messages of each, which takes about a second
    /// for each conversation. Messages of the last hour that nobody has answered are answered.
    #[serde(default)]
    import_history: bool,
}

/// A connect session, and where the person logs in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BegunConnectSession {
    #[serde(flatten)]
    session: ConnectSessionView,
    /// Send the browser of the person there. It is good for one login, until `expiresAt`.
    #[schema(example = "https://www.instagram.com/oauth/authorize?client_id=…")]
    url: String,
}

/// Why logins fail, or null.
fn session_error_or_null() -> ObjectBuilder {
    enums::or_null(enums::one_of(KINDS.iter().map(|kind| kind.code)))
}

/// A connect session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectSession)]
pub(super) struct ConnectSessionView {
    session_id: Uuid,
    #[schema(schema_with = enums::connect_session_status)]
    status: String,
    #[schema(schema_with = enums::login_kind)]
    login_kind: String,
    /// Why it failed: the word of a problem type.
    #[schema(schema_with = session_error_or_null)]
    error: Option<String>,
    /// The same, for people.
    error_detail: Option<String>,
    /// The connection that came of it.
    connection_id: Option<Uuid>,
    /// The Pages to choose from, while the status is `choose_page`.
    pages: Vec<PageView>,
    #[schema(format = DateTime)]
    created_at: Option<String>,
    /// Until when the link is valid, or a Page can be chosen.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A Facebook Page with an Instagram account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Page)]
pub(super) struct PageView {
    #[schema(example = "104508901353867")]
    page_id: String,
    name: Option<String>,
    #[schema(example = "17841400000000001")]
    instagram_account_id: String,
    username: Option<String>,
}

/// The choice of a Page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChoosePage {
    /// One of the session's `pages`.
    #[schema(pattern = "^[0-9]{1,32}$", example = "104508901353867")]
    page_id: String,
}

/// Begins to connect an account by logging in at Meta
///
/// Gives an address for the browser of the person who owns the account. They log in at Meta, come back to the API, and the account is
/// connected as by `connect`.
#[utoipa::path(post, path = "/connect-sessions", tag = "Connection", operation_id = "createConnectSession",
    request_body = NewConnectSession,
    responses(
        (status = 201, description = "The person can log in", body = BegunConnectSession),
        (status = 403, description = "The caller lacks the permission, or the agent is not assigned to the subaccount"),
        (status = 409, description = "There is no Meta app for the login"),
        (status = 429, description = "Too many links of the subaccount are valid"),
        (status = 503, description = "Connecting is paused, or the database is unavailable"),
    ))]
pub(super) async fn create(
    State(state): State<ApiState>,
    scope: Scope,
    Extension(credential): Extension<Credential>,
    Body(request): Body<NewConnectSession>,
) -> Result<(StatusCode, Json<BegunConnectSession>), Problem> {
    let new = check(request)?;
    let (session, url) = session::begin(&state, (&scope, &credential), new).await?;
    let session = view(&state, &session)?;
    Ok((StatusCode::CREATED, Json(BegunConnectSession { session, url: url.into() })))
}

fn check(request: NewConnectSession) -> Result<NewSession, Problem> {
    let mut errors = ValidationErrors::default();
    let login = request.login_kind.as_deref();
    let login = login.map(|word| LoginKind::parse(word).ok_or("must be instagram or facebook"));
    let login = errors.check("/loginKind", login.transpose()).flatten();
    let account = request.instagram_account_id.as_deref().map(InstagramAccountId::parse).transpose();
    let account = errors.check("/instagramAccountId", account.map_err(|err| err.why)).flatten();
    let return_url = request.return_url.as_deref().map(Url::parse).transpose();
    let return_url = errors.check("/returnUrl", return_url).flatten();
    let choice = request.page_choice.as_deref().unwrap_or(PageChoice::Hosted.as_str());
    let choice = PageChoice::parse(choice).ok_or("must be hosted or frontend");
    let page_choice = errors.check("/pageChoice", choice).unwrap_or(PageChoice::Hosted);
    errors.end()?;
    let wishes = Wishes {
        settings: request.settings,
        take_over: request.transfer,
        import_history: request.import_history,
    };
    Ok(NewSession { login, account, return_url, page_choice, wishes })
}

/// Gets a connect session
///
/// Poll it while the person is at Meta, or read it when they come back.
#[utoipa::path(get, path = "/connect-sessions/{sessionId}", tag = "Connection", operation_id = "getConnectSession",
    responses((status = 200, description = "The session", body = ConnectSessionView)))]
pub(super) async fn show(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<Uuid>,
) -> Result<Json<ConnectSessionView>, Problem> {
    Ok(Json(view(&state, &find(&state, &scope, id).await?)?))
}

/// Chooses the Page to connect
///
/// With Facebook Login and `pageChoice` `frontend`, while the session's status is `choose_page`. If the Page cannot be connected,
/// another can be chosen.
#[utoipa::path(post, path = "/connect-sessions/{sessionId}/page", tag = "Connection", operation_id = "chooseConnectPage",
    request_body = ChoosePage,
    responses(
        (status = 200, description = "The account is connected", body = ConnectSessionView),
        (status = 409, description = "No Page is to be chosen, or the account is in use"),
        (status = 502, description = "Meta did not subscribe the webhooks"),
    ))]
pub(super) async fn choose_page(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<Uuid>,
    Body(choice): Body<ChoosePage>,
) -> Result<Json<ConnectSessionView>, Problem> {
    find(&state, &scope, id).await?;
    let shared = state.clone();
    let next = to_its_end(async move {
        let claimed = shared.store.claim_page_choice(id).await?;
        session::choose_page(&shared, claimed, &choice.page_id).await
    });
    match next.await? {
        Next::Ended(_, SessionEnd::Connected(_)) => Ok(Json(view(&state, &find(&state, &scope, id).await?)?)),
        Next::ChoosePage { problem: Some(problem), .. } => Err(problem),
        _ => {
            let title = "No Page is to be chosen";
            Err(Problem::new(StatusCode::CONFLICT, "no-page-choice", title)
                .detail("the session has ended, has expired, or the person is still at Meta"))
        }
    }
}

async fn find(state: &ApiState, scope: &Scope, id: Uuid) -> Result<Model, Problem> {
    let session = state.store.connect_session(&scope.subaccount, &scope.agent, id).await?;
    session.ok_or_else(|| Problem::not_found("this agent has no connect session with that id"))
}

fn view(state: &ApiState, session: &Model) -> Result<ConnectSessionView, Problem> {
    let status = session::status_of(state, session);
    let pages = match status {
        Some(ConnectSessionStatus::ChoosePage) => session::offered(state, session)?,
        _ => Vec::new(),
    };
    let page = |page: session::OfferedPage| PageView {
        page_id: page.id,
        name: page.name,
        instagram_account_id: page.account,
        username: page.username,
    };
    Ok(ConnectSessionView {
        session_id: session.id,
        status: status.map_or_else(|| session.status.to_string(), |status| status.to_string()),
        login_kind: session.login_kind.to_string(),
        error: session.error.clone(),
        error_detail: session.error_detail.clone(),
        connection_id: session.connection_id.map(|id| id.0),
        pages: pages.into_iter().map(page).collect(),
        created_at: time(session.created_at),
        expires_at: time(session.expires_at),
    })
}
