//! `POST …/connect`: checks an Instagram account with Graph, subscribes its webhooks, and stores it with
//! encrypted secrets. A failure at any step leaves nothing half-done.

use crate::access::Scope;
use crate::connect::{self, Applicant};
use crate::extract::Body;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::{InstagramAccountId, PageId};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_store::Connection;
use dmrelay_views::{ConnectionSettings, ConnectionView, EntryPoints, WebhookView, enums};
use serde::{Deserialize, Serialize};
use std::time::Duration;
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
    #[schema(schema_with = enums::login_kind_or_null)]
    login_kind: Option<String>,
    /// Settings of the connection. Omitted: those it has, or the defaults.
    settings: Option<ConnectionSettings>,
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
    transfer: bool,
    /// Read the conversations of the time before, as far as Meta shows them: the 20 newest messages of each, which takes about a second
    /// for each conversation. Messages of the last hour that nobody has answered are answered.
    #[serde(default)]
    import_history: bool,
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

/// A validated request.
struct Checked {
    account: InstagramAccountId,
    page: Option<PageId>,
    login: LoginKind,
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
    let Checked { account, page, login } = check(&request)?;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let applicant = Applicant {
        login,
        account: Some(account),
        page,
        token: request.access_token,
        token_expires_in: request.token_expires_in.map(seconds),
        verify_token: request.webhook_verification_token,
        app_secret: request.app_secret,
        meta_user_id: request.meta_user_id,
        settings: request.settings,
        take_over: request.transfer,
        import_history: request.import_history,
        permissions: None,
    };
    let connection = connect::connect(&state, &scope, applicant).await?;
    let connected = Connected {
        links: EntryPoints::of(&connection, request.reference.as_deref(), state.base())?,
        webhook: WebhookView { callback_url: callback_url(&state, &connection) },
        connection: ConnectionView::of(&connection, Some(state.options.defaults)),
    };
    Ok((StatusCode::CREATED, Json(connected)))
}

fn check(request: &Connect) -> Result<Checked, Problem> {
    let mut errors = ValidationErrors::default();
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
    errors.end()?;
    let checked = account.zip(page).zip(login);
    let ((account, page), login) = checked.ok_or_else(|| Problem::invalid("", "is not valid"))?;
    Ok(Checked { account, page, login })
}

/// The URL to paste into Meta's dashboard.
pub(super) fn callback_url(state: &ApiState, connection: &Connection) -> String {
    let base = state.base();
    let (subaccount, agent) = (&connection.subaccount, &connection.agent);
    format!("{base}/api/database/{subaccount}/chat-agents/{agent}/instagram/webhook")
}
