//! Signing in at the operator's identity provider: OpenID Connect's authorization code flow, with PKCE (RFC 7636).

use super::sign_in::{self, local};
use super::{go_to, html};
use crate::access::Principal;
use crate::extract::Params;
use crate::jwt::Identity;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dmrelay_console::{SignIn, sign_in as page};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::signature;
use dmrelay_runtime::http::Call;
use dmrelay_runtime::settings::{InvalidSetting, OidcSettings};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use url::Url;

/// The cookie that a login under way has.
const COOKIE: &str = "dmrelay_oidc";

/// How long a login may take, in seconds.
const LOGIN_SECONDS: u32 = 600;

/// The identity provider.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    client_id: String,
    client_secret: Option<Secret<String>>,
    authorize_url: Url,
    token_url: Url,
    settings: OidcSettings,
}

impl Provider {
    /// The provider of these settings, if there is one.
    ///
    /// # Errors
    /// If one of them is missing that the others need.
    pub(crate) fn new(settings: &OidcSettings, takes_tokens: bool) -> Result<Option<Self>, InvalidSetting> {
        let Some(client_id) = settings.oidc_client_id.clone().filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let needed = |name: &'static str, url: &Option<Url>| {
            let what = "is required with OIDC_CLIENT_ID".to_owned();
            url.clone().ok_or(InvalidSetting { name, what })
        };
        if !takes_tokens {
            let what = "needs JWKS_URL (or JWT_SECRET), JWT_ISSUER and JWT_AUDIENCE, with which the tokens are checked";
            return Err(InvalidSetting { name: "OIDC_CLIENT_ID", what: what.to_owned() });
        }
        Ok(Some(Self {
            client_id,
            client_secret: settings.client_secret.get()?,
            authorize_url: needed("OIDC_AUTHORIZE_URL", &settings.oidc_authorize_url)?,
            token_url: needed("OIDC_TOKEN_URL", &settings.oidc_token_url)?,
            settings: settings.clone(),
        }))
    }

    /// What the button says.
    pub(crate) fn name(&self) -> &str {
        &self.settings.oidc_name
    }
}

/// A login under way, as the browser keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Login {
    state: String,
    verifier: String,
    next: String,
    subaccount: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Begin {
    #[serde(default)]
    next: String,
    #[serde(default)]
    subaccount: String,
}

/// `GET /console/oidc`: leads to the identity provider.
pub(super) async fn begin(State(state): State<ApiState>, Params(query): Params<Begin>) -> Response {
    let Some(provider) = &state.oidc else { return refused(&state, &not_set()) };
    let login = Login { state: random(), verifier: random(), next: query.next, subaccount: query.subaccount };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(signature::sha256(login.verifier.as_bytes()));
    let mut to = provider.authorize_url.clone();
    {
        let mut pairs = to.query_pairs_mut();
        pairs.append_pair("response_type", "code").append_pair("client_id", &provider.client_id);
        pairs.append_pair("redirect_uri", callback(&state).as_str());
        pairs.append_pair("scope", &provider.settings.oidc_scopes).append_pair("state", &login.state);
        pairs.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
        if let Some(audience) = &provider.settings.oidc_audience {
            pairs.append_pair("audience", audience);
        }
    }
    let kept = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&login).unwrap_or_default());
    // The form's policy forbids that its answer redirects there.
    let leaving = html(dmrelay_console::leave_to(to.as_str(), provider.name()));
    with_cookie(&state, leaving, &kept, LOGIN_SECONDS)
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// `GET /console/oidc/callback`: the person is back.
pub(super) async fn callback_of(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Params(back): Params<Back>,
) -> Response {
    let response = match finish(&state, &headers, back).await {
        Ok(response) => response,
        Err(problem) => refused(&state, &problem),
    };
    with_cookie(&state, response, "", 0)
}

async fn finish(state: &ApiState, headers: &HeaderMap, back: Back) -> Result<Response, Problem> {
    let provider = state.oidc.as_ref().ok_or_else(not_set)?;
    let login = under_way(headers).filter(|login| {
        signature::same(login.state.as_bytes(), back.state.as_bytes()) && !login.state.is_empty()
    });
    let login = login.ok_or_else(|| {
        Problem::unauthenticated("the login took too long, or was begun elsewhere; begin anew")
    })?;
    if let Some(error) = back.error {
        let why = back.error_description.unwrap_or(error);
        let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(Problem::unauthenticated("the login was refused")
            .detail(format!("the identity provider says: {why}")));
    }
    let code = back.code.ok_or_else(|| Problem::unauthenticated("the identity provider gave no code"))?;
    let identity = redeem(state, provider, (code, &login)).await?;
    let named = Some(login.subaccount.trim()).filter(|text| !text.is_empty());
    let principal = Principal::of_identity(identity.clone());
    let subaccount = match (principal.only_subaccount(), named) {
        (Some(only), None) => only,
        (_, Some(named)) => {
            SubaccountId::parse(named).map_err(|err| Problem::invalid("/subaccount", err.why))?
        }
        (None, None) => {
            return Err(Problem::invalid("/subaccount", "you have several: name one, then sign in again"));
        }
    };
    let role = principal.role_in(&subaccount).ok_or_else(Problem::forbidden)?;
    let name = identity.name.clone().unwrap_or_else(|| identity.subject.clone());
    let who = sign_in::Who { subject: identity.subject, name };
    let cookie = sign_in::begin(state, (subaccount, role), who, (&principal.actor(), None)).await?;
    Ok(sign_in::with_cookie(go_to(&local(&login.next)), cookie))
}

/// The code becomes tokens, of which one must be what the REST API takes.
async fn redeem(
    state: &ApiState,
    provider: &Provider,
    (code, login): (String, &Login),
) -> Result<Identity, Problem> {
    let secret = |text: &str| Secret::new(text.to_owned());
    let mut form = vec![
        ("grant_type", secret("authorization_code")),
        ("code", Secret::new(code)),
        ("redirect_uri", secret(callback(state).as_str())),
        ("client_id", secret(&provider.client_id)),
        ("code_verifier", secret(&login.verifier)),
    ];
    form.extend(provider.client_secret.clone().map(|secret| ("client_secret", secret)));
    let call = Call::get(("oidc", "token"), provider.token_url.clone(), provider.settings.oidc_timeout);
    let headers = vec![("accept", "application/json".to_owned())];
    let answer = state.client.send(Call { method: Method::POST, form, headers, ..call }).await;
    let unavailable = || {
        let title = "The identity provider is unavailable";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "keys-unavailable", title).retry_after(5)
    };
    let answer = answer.map_err(|err| {
        tracing::error!(error = %err, "cannot redeem a code at the identity provider");
        unavailable()
    })?;
    if answer.status >= 500 {
        return Err(unavailable());
    }
    let given = answer.json().filter(|_| answer.is_success());
    let given = given.ok_or_else(|| {
        tracing::warn!(status = answer.status, "the identity provider refused a code");
        Problem::unauthenticated("the identity provider refused the login; begin anew")
    })?;
    let verifier = (*state.tokens.get()).clone().ok_or_else(not_set)?;
    let mut why = "the identity provider gave no token that is accepted here".to_owned();
    for name in ["access_token", "id_token"] {
        let Some(token) = given[name].as_str() else { continue };
        match verifier.verify(token).await {
            Ok(identity) => return Ok(identity),
            Err(err) => why = format!("the provider's {name} is not accepted: {err}"),
        }
    }
    Err(Problem::unauthenticated("the login was refused").detail(why))
}

/// The login that the browser has under way.
fn under_way(headers: &HeaderMap) -> Option<Login> {
    let kept = super::visitor::cookie(headers, COOKIE)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(kept).ok()?).ok()
}

fn callback(state: &ApiState) -> Url {
    let mut url = state.options.api.public_url.clone();
    url.set_path("/console/oidc/callback");
    url
}

/// 256 bits.
fn random() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>())
}

fn not_set() -> Problem {
    Problem::not_found("no identity provider is set; sign in with an API key")
}

fn refused(state: &ApiState, problem: &Problem) -> Response {
    let with = state.oidc.as_ref().map(|provider| provider.name().to_owned());
    let mut response = html(page(&SignIn { problem: Some(problem.told()), with, ..SignIn::default() }));
    *response.status_mut() = problem.status();
    response
}

fn with_cookie(state: &ApiState, mut response: Response, value: &str, seconds: u32) -> Response {
    let secure = if state.options.api.public_url.scheme() == "https" { "; Secure" } else { "" };
    let text =
        format!("{COOKIE}={value}; Path=/console/oidc; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(text) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, text);
    }
    response
}
