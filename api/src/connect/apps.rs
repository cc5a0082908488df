//! The Meta app with which people log in: the subaccount's own, or the operator's.

use crate::problem::Problem;
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_instagram::MetaApp;
use dmrelay_runtime::settings::LoginSettings;
use dmrelay_store::Connection;
use dmrelay_store::entity::meta_app;
use dmrelay_vault::Place;

/// An app, and what is special about a subaccount's own.
pub(crate) struct LoginApp {
    pub(crate) app: MetaApp,
    /// The verification token of its webhooks, if it is the subaccount's own.
    pub(crate) own_verify_token: Option<Secret<String>>,
}

/// What people are asked for, and how.
pub(crate) fn scopes(settings: &LoginSettings, login: LoginKind) -> &[String] {
    match login {
        LoginKind::Instagram => &settings.instagram_scopes,
        LoginKind::Facebook => &settings.facebook_scopes,
    }
}

/// The app for this login, or for the one there is an app for: Instagram's where both have one.
pub(crate) async fn choose(
    state: &ApiState,
    subaccount: &SubaccountId,
    login: Option<LoginKind>,
) -> Result<LoginApp, Problem> {
    let logins = login.map_or([LoginKind::Instagram, LoginKind::Facebook].to_vec(), |login| vec![login]);
    for login in logins {
        if let Some(own) = own(state, subaccount, login).await? {
            return Ok(own);
        }
        if let Some(app) = operators(state, login) {
            return Ok(app);
        }
    }
    Err(unconfigured(login))
}

/// The app a session was begun with.
pub(crate) async fn again(
    state: &ApiState,
    subaccount: &SubaccountId,
    login: LoginKind,
    is_own: bool,
) -> Result<LoginApp, Problem> {
    let app = if is_own { own(state, subaccount, login).await? } else { operators(state, login) };
    app.ok_or_else(|| unconfigured(Some(login)))
}

/// The operator's app for this login, if there is one.
fn operators(state: &ApiState, login: LoginKind) -> Option<LoginApp> {
    let app = state.secrets.get().meta_app(login).cloned();
    app.map(|app| LoginApp { app, own_verify_token: None })
}

/// The subaccount's own app for this login, if it has one.
pub(crate) async fn own(
    state: &ApiState,
    subaccount: &SubaccountId,
    login: LoginKind,
) -> Result<Option<LoginApp>, Problem> {
    let row = state.store.meta_app(subaccount, login).await?;
    row.map(|row| opened(state, login, &row)).transpose()
}

/// The ids of the apps that a connection may be of, as far as they are known.
pub(crate) async fn ids(state: &ApiState, connection: &Connection) -> Result<Vec<String>, Problem> {
    let own = state.store.meta_app(&connection.subaccount, connection.login).await?;
    let secrets = state.secrets.get();
    let platform = secrets.meta_app(connection.login).map(|app| app.id.clone());
    Ok(own.map(|row| row.app_id).into_iter().chain(platform).collect())
}

fn opened(state: &ApiState, login: LoginKind, row: &meta_app::Model) -> Result<LoginApp, Problem> {
    let open = |column: &'static str, sealed: &[u8]| {
        let opened = state.vault.open_text(Place { table: "meta_apps", column, row: row.id }, sealed);
        opened.map_err(|err| {
            tracing::error!(error = %err, column, "cannot decrypt a subaccount's Meta app");
            let title = "The secrets of the Meta app cannot be read";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title)
        })
    };
    let app = MetaApp {
        login,
        id: row.app_id.clone(),
        secret: open("app_secret", &row.app_secret)?,
        scopes: scopes(&state.options.api.login, login).to_vec(),
        config_id: row.config_id.clone(),
    };
    Ok(LoginApp { app, own_verify_token: Some(open("verify_token", &row.verify_token)?) })
}

fn unconfigured(login: Option<LoginKind>) -> Problem {
    let title = "Login is not configured";
    let which = match login {
        None => "any login",
        Some(LoginKind::Instagram) => "Instagram Login",
        Some(LoginKind::Facebook) => "Facebook Login",
    };
    let what = format!(
        "there is no Meta app for {which}: the operator must set INSTAGRAM_APP_ID or FACEBOOK_APP_ID with its secret, or the subaccount \
         must register its own app (PUT …/meta-apps/{{loginKind}})"
    );
    Problem::new(StatusCode::CONFLICT, "login-not-configured", title).detail(what)
}
