//! Connect sessions: a link to Meta's login, the person who comes back from it, and with Facebook Login the Page they choose.

use super::apps::{self, LoginApp};
use super::graph::graph_problem;
use super::{Applicant, check_agent, connect};
use crate::access::{Credential, Scope};
use crate::problem::{Problem, ValidationErrors};
use crate::routes::pauses;
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{AgentId, InstagramAccountId, PageId, SubaccountId};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::signature;
use dmrelay_domain::states::{ConnectSessionStatus, LoginKind, PageChoice};
use dmrelay_instagram::{Grant, Page, needed_permissions};
use dmrelay_store::entity::connect_session::Model;
use dmrelay_store::{Claimed, Connection, NewConnectSession, SessionEnd};
use dmrelay_vault::Place;
use dmrelay_views::ConnectionSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use url::Url;
use uuid::Uuid;

/// Where Meta sends people back to, below PUBLIC_URL: what must be registered with each app.
pub(crate) const CALLBACK: &str = "/oauth/instagram/callback";

/// Longest address to return to, in bytes.
const URL_MAX: usize = 2_000;

/// Checks where the browser goes in the end.
pub(crate) fn checked_return_url(state: &ApiState, text: &str) -> Result<(), String> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= URL_MAX);
    let url = url.ok_or_else(|| format!("must be an address of at most {URL_MAX} bytes"))?;
    if state.options.api.login.may_return_to(&url) {
        Ok(())
    } else {
        Err("is not one that the operator allows (CONNECT_RETURN_URLS)".to_owned())
    }
}

/// Checks a new session as JSON.
pub(crate) fn check_json(value: &Value, errors: &mut ValidationErrors) {
    if value["pageChoice"] == PageChoice::Frontend.as_str() && value["returnUrl"].is_null() {
        errors.at("/pageChoice", "frontend needs a returnUrl");
    }
}

/// Checks whether a link may take an account over from another subaccount.
pub(crate) fn checked_transfer(state: &ApiState, wanted: bool) -> Result<(), &'static str> {
    if wanted && !state.options.api.login.connect_transfer {
        return Err("is not allowed here with a link (CONNECT_TRANSFER); disconnect the account there first");
    }
    Ok(())
}

/// What a session is begun with.
pub(crate) struct NewSession {
    pub(crate) login: Option<LoginKind>,
    pub(crate) account: Option<InstagramAccountId>,
    pub(crate) return_url: Option<Url>,
    pub(crate) page_choice: PageChoice,
    pub(crate) wishes: Wishes,
}

/// What is remembered of the request until the person comes back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wishes {
    /// Those of the connection, where they are to be others than it has.
    pub(crate) settings: Option<ConnectionSettings>,
    /// Transfer the account from another subaccount.
    pub(crate) take_over: bool,
    /// Read the conversations that Meta shows of the time before.
    #[serde(default)]
    pub(crate) import_history: bool,
}

/// What Meta tells when it sends a person back.
pub(crate) enum Answer {
    /// What can be redeemed for a token.
    Code(String),
    /// The person did not want to.
    Denied,
    /// Meta could not log them in.
    Failed(String),
}

/// How it goes on for the person.
pub(crate) enum Next {
    /// The session has ended.
    Ended(Box<Model>, SessionEnd),
    /// They must choose a Page.
    ChoosePage {
        session: Box<Model>,
        pages: Vec<OfferedPage>,
        /// What the choice must bring.
        secret: String,
        /// Why they must choose again.
        problem: Option<Problem>,
    },
    /// It was claimed before, or its time is up.
    TooLate(Box<Model>),
    /// Nobody began it.
    Unknown,
}

/// A Page that may be chosen, as it is stored until then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OfferedPage {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) account: String,
    pub(crate) username: Option<String>,
    token: String,
}

/// Those Pages, and whose they are.
#[derive(Serialize, Deserialize)]
struct Offer {
    pages: Vec<OfferedPage>,
    user: Option<String>,
}

/// Begins a session. Gives it, and the address to which the person goes.
pub(crate) async fn begin(
    state: &ApiState,
    (scope, credential): (&Scope, &Credential),
    new: NewSession,
) -> Result<(Model, Url), Problem> {
    pauses::check_connect(state, &scope.subaccount, new.account.as_ref().map(|account| (account, false)))
        .await?;
    // Better now than when the person comes back.
    check_agent(state, scope).await?;
    let LoginApp { app, own_verify_token } = apps::choose(state, &scope.subaccount, new.login).await?;
    let settings = &state.options.api.login;
    let secret = new_secret();
    let new = NewConnectSession {
        id: Uuid::now_v7(),
        subaccount: scope.subaccount.clone(),
        agent: scope.agent.clone(),
        login: app.login,
        own_app: own_verify_token.is_some(),
        account: new.account,
        return_url: new.return_url.map(String::from),
        page_choice: new.page_choice,
        request: serde_json::to_string(&new.wishes).unwrap_or_else(|_| "{}".to_owned()),
        actor: scope.actor.clone(),
        key_hash: match credential {
            Credential::Key(hash) | Credential::Session(hash) => Some(*hash),
            Credential::OfSettings | Credential::Token(_) => None,
        },
        may_bind: scope.may_bind,
        secret_hash: hash(&secret),
        time: settings.connect_session_time,
    };
    let most = settings.connect_sessions_per_subaccount;
    let Some(session) = state.store.create_connect_session(&new, most).await? else {
        let what = format!("the subaccount already has {most} open links; use one or wait until one expires");
        let title = "Too many open login links";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-connect-sessions", title)
            .detail(what)
            .retry_after(60));
    };
    let url = state.login.authorize_url(&app, &redirect(state)?, &secret);
    Ok((session, url))
}

/// A person comes back from Meta. The login is completed even if their browser hangs up.
pub(crate) async fn come_back(state: &ApiState, secret: &str, answer: Answer) -> Result<Next, Problem> {
    let claimed = state.store.claim_connect_session(&hash(secret), ConnectSessionStatus::Open).await?;
    let session = match claimed {
        Claimed::Now(session) => session,
        Claimed::TooLate(session) => return Ok(Next::TooLate(session)),
        Claimed::Unknown => return Ok(Next::Unknown),
    };
    let end = match answer {
        Answer::Denied => SessionEnd::Cancelled,
        Answer::Failed(detail) => SessionEnd::Failed { error: "login-failed".to_owned(), detail },
        Answer::Code(code) => match redeem(state, &session, &code).await {
            Ok(Redeemed::Connected(connection)) => SessionEnd::Connected(connection.id),
            Ok(Redeemed::Several(offer)) => return offer_pages(state, session, offer).await,
            Err(problem) => failed(&problem),
        },
    };
    finish(state, session, end).await
}

/// The person chooses a Page. If it cannot be connected, they choose again.
pub(crate) async fn choose_page(state: &ApiState, claimed: Claimed, page: &str) -> Result<Next, Problem> {
    let session = match claimed {
        Claimed::Now(session) => session,
        Claimed::TooLate(session) => return Ok(Next::TooLate(session)),
        Claimed::Unknown => return Ok(Next::Unknown),
    };
    let offer = match open_offer(state, &session) {
        Ok(offer) => offer,
        Err(problem) => return finish(state, session, failed(&problem)).await,
    };
    let connected = match offer.pages.iter().find(|offered| offered.id == page) {
        Some(chosen) => connect_page(state, &session, chosen, offer.user.clone()).await,
        None => Err(Problem::invalid("/pageId", "is not one of the offered Pages")),
    };
    match connected {
        Ok(connection) => finish(state, session, SessionEnd::Connected(connection.id)).await,
        Err(problem) => {
            let secret = new_secret();
            let time = state.options.api.login.connect_session_time;
            state.store.offer_pages(session.id, (None, &hash(&secret)), time).await?;
            Ok(Next::ChoosePage { session, pages: offer.pages, secret, problem: Some(problem) })
        }
    }
}

/// What a hosted page brings: the choice of whoever has this secret.
pub(crate) async fn claim_choice(state: &ApiState, secret: &str) -> Result<Claimed, Problem> {
    Ok(state.store.claim_connect_session(&hash(secret), ConnectSessionStatus::ChoosePage).await?)
}

/// The Pages a session waits with.
pub(crate) fn offered(state: &ApiState, session: &Model) -> Result<Vec<OfferedPage>, Problem> {
    if session.pages.is_none() {
        return Ok(Vec::new());
    }
    Ok(open_offer(state, session)?.pages)
}

/// The state of a session by now.
pub(crate) fn status_of(state: &ApiState, session: &Model) -> Option<ConnectSessionStatus> {
    use ConnectSessionStatus::{ChoosePage, Expired, Open, Working};
    match session.status.known() {
        Some(Open | Working | ChoosePage) if session.expires_at <= state.clock.now() => Some(Expired),
        status => status,
    }
}

enum Redeemed {
    Connected(Box<Connection>),
    Several(Offer),
}

async fn redeem(state: &ApiState, session: &Model, code: &str) -> Result<Redeemed, Problem> {
    let scope = scope_of(session)?;
    let login = login_of(session)?;
    still_may(state, session, &scope).await?;
    let LoginApp { app, own_verify_token } =
        apps::again(state, &scope.subaccount, login, session.own_app).await?;
    let granted = state.login.redeem(&app, &redirect(state)?, code).await;
    let grant = granted.map_err(|err| graph_problem(&err))?;
    check_permissions(login, &grant)?;
    if login == LoginKind::Instagram {
        let applicant = applicant(session, login, grant.token, (own_verify_token, app.secret))?;
        let (token_expires_in, permissions) = (grant.expires_in, grant.permissions);
        let applicant = Applicant { token_expires_in, permissions, ..applicant };
        return Ok(Redeemed::Connected(Box::new(connect(state, &scope, applicant).await?)));
    }
    let pages = state.login.pages(&app, &grant.token).await.map_err(|err| graph_problem(&err))?;
    let pages = usable(session, &pages)?;
    match &pages[..] {
        [only] => {
            let connection = connect_page(state, session, only, grant.user).await?;
            Ok(Redeemed::Connected(Box::new(connection)))
        }
        _ => Ok(Redeemed::Several(Offer { pages, user: grant.user })),
    }
}

/// The Pages with an Instagram account; only that of the account that was asked for, if one was.
fn usable(session: &Model, pages: &[Page]) -> Result<Vec<OfferedPage>, Problem> {
    let offer = |page: &Page| {
        Some(OfferedPage {
            id: page.id.clone(),
            name: page.name.clone(),
            account: page.account.clone()?,
            username: page.username.clone(),
            token: page.token.expose().clone(),
        })
    };
    let linked: Vec<OfferedPage> = pages.iter().filter_map(offer).collect();
    if linked.is_empty() {
        let what = if pages.is_empty() {
            "no Page was chosen at Facebook, or the person has none: log in once more and choose the Page that belongs to the \
             Instagram account"
        } else {
            "none of the Pages has an Instagram professional account: link it in the Page's settings, then log in once more"
        };
        let title = "No Page has an Instagram account";
        return Err(
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no-instagram-account", title).detail(what)
        );
    }
    let Some(wanted) = &session.instagram_account_id else { return Ok(linked) };
    let found: Vec<OfferedPage> = linked.into_iter().filter(|page| page.account == *wanted).collect();
    if found.is_empty() {
        let what = format!("none of the chosen Pages is linked to the Instagram account {wanted}");
        let title = "Wrong account";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong-account", title).detail(what));
    }
    Ok(found)
}

async fn connect_page(
    state: &ApiState,
    session: &Model,
    page: &OfferedPage,
    user: Option<String>,
) -> Result<Connection, Problem> {
    let scope = scope_of(session)?;
    still_may(state, session, &scope).await?;
    let LoginApp { app, own_verify_token } =
        apps::again(state, &scope.subaccount, LoginKind::Facebook, session.own_app).await?;
    let token = Secret::new(page.token.clone());
    let applicant = applicant(session, LoginKind::Facebook, token, (own_verify_token, app.secret))?;
    let odd = |_| Problem::new(StatusCode::BAD_GATEWAY, "graph-refused", "Meta returned an invalid id");
    let applicant = Applicant {
        account: Some(InstagramAccountId::parse(&page.account).map_err(odd)?),
        page: Some(PageId::parse(&page.id).map_err(odd)?),
        meta_user_id: user,
        ..applicant
    };
    connect(state, &scope, applicant).await
}

fn applicant(
    session: &Model,
    login: LoginKind,
    token: Secret<String>,
    (own_verify_token, app_secret): (Option<Secret<String>>, Secret<String>),
) -> Result<Applicant, Problem> {
    let wishes: Wishes = serde_json::from_str(&session.request).map_err(|_| foreign())?;
    let account = session.instagram_account_id.as_deref().map(InstagramAccountId::parse).transpose();
    Ok(Applicant {
        login,
        account: account.map_err(|_| foreign())?,
        page: None,
        token,
        token_expires_in: None,
        app_secret: own_verify_token.is_some().then_some(app_secret),
        // With the operator's app webhooks come by the shared address, and nobody needs to know this one.
        verify_token: own_verify_token.unwrap_or_else(|| Secret::new(new_secret())),
        meta_user_id: None,
        settings: wishes.settings,
        take_over: wishes.take_over,
        import_history: wishes.import_history,
        permissions: None,
    })
}

/// Whoever began it may still connect accounts: their API key was not revoked meanwhile, nor their own session.
async fn still_may(state: &ApiState, session: &Model, scope: &Scope) -> Result<(), Problem> {
    let Some(hash) = session.key_hash.as_deref() else { return Ok(()) };
    let hash: [u8; 32] = hash.try_into().map_err(|_| foreign())?;
    let owner = match state.store.api_key(&hash).await? {
        Some(key) => Some((key.subaccount, key.role)),
        None => state.store.session(&hash).await?.map(|session| (session.subaccount, session.role)),
    };
    if owner.is_some_and(|(subaccount, role)| subaccount == scope.subaccount && role.may(Permission::Connect))
    {
        return Ok(());
    }
    let title = "The API key or session that created the link was revoked or has expired";
    Err(Problem::new(StatusCode::FORBIDDEN, "key-revoked", title))
}

fn check_permissions(login: LoginKind, grant: &Grant) -> Result<(), Problem> {
    let Some(granted) = &grant.permissions else { return Ok(()) };
    let is_missing = |needed: &&&str| !granted.iter().any(|permission| permission == **needed);
    let missing: Vec<&str> = needed_permissions(login).iter().filter(is_missing).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!(
        "without {} messages cannot be received or answered: log in again and grant all requested permissions",
        missing.join(", ")
    );
    let title = "A permission was not granted";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "missing-permission", title)
        .detail(what)
        .with("missing", missing))
}

async fn offer_pages(state: &ApiState, session: Box<Model>, offer: Offer) -> Result<Next, Problem> {
    let secret = new_secret();
    let sealed = state.vault.seal(place(&session), &serde_json::to_vec(&offer).unwrap_or_default());
    let time: Duration = state.options.api.login.connect_session_time;
    state.store.offer_pages(session.id, (Some(sealed), &hash(&secret)), time).await?;
    Ok(Next::ChoosePage { session, pages: offer.pages, secret, problem: None })
}

fn open_offer(state: &ApiState, session: &Model) -> Result<Offer, Problem> {
    let unread = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The Pages cannot be read");
    let sealed = session.pages.as_ref().ok_or_else(unread)?;
    let text = state.vault.open_text(place(session), sealed).map_err(|err| {
        tracing::error!(session = %session.id, error = %err, "cannot decrypt the Pages of a session");
        unread()
    })?;
    serde_json::from_str(text.expose()).map_err(|_| unread())
}

fn place(session: &Model) -> Place {
    Place { table: "connect_sessions", column: "pages", row: session.id }
}

async fn finish(state: &ApiState, session: Box<Model>, end: SessionEnd) -> Result<Next, Problem> {
    state.store.end_connect_session(&session, &end).await?;
    match &end {
        SessionEnd::Connected(connection) => {
            tracing::info!(session = %session.id, %connection, "account connected by login");
        }
        SessionEnd::Cancelled => tracing::info!(session = %session.id, "login cancelled"),
        SessionEnd::Failed { error, detail } => {
            tracing::warn!(session = %session.id, error, detail, "connecting by login failed");
        }
    }
    Ok(Next::Ended(session, end))
}

fn failed(problem: &Problem) -> SessionEnd {
    SessionEnd::Failed { error: problem.kind().to_owned(), detail: problem.told() }
}

fn scope_of(session: &Model) -> Result<Scope, Problem> {
    Ok(Scope {
        subaccount: SubaccountId::parse(&session.subaccount_id).map_err(|_| foreign())?,
        agent: AgentId::parse(&session.agent_id).map_err(|_| foreign())?,
        actor: Actor { name: session.actor.clone(), id: session.actor_id.clone() },
        may_bind: session.may_bind,
    })
}

fn login_of(session: &Model) -> Result<LoginKind, Problem> {
    session.login_kind.known().ok_or_else(foreign)
}

/// A later version wrote the session.
fn foreign() -> Problem {
    let title = "The link was created by an incompatible version of dmrelay";
    Problem::new(StatusCode::CONFLICT, "login-failed", title).detail("ask for a new link")
}

/// Where Meta sends people back to.
pub(crate) fn redirect(state: &ApiState) -> Result<Url, Problem> {
    let base = state.base();
    Url::parse(&format!("{base}{CALLBACK}")).map_err(|err| {
        tracing::error!(error = %err, "PUBLIC_URL gives no address for logins");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "PUBLIC_URL is not usable")
    })
}

/// 256 bits that nobody guesses.
fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn hash(secret: &str) -> [u8; 32] {
    signature::sha256(secret.as_bytes())
}
