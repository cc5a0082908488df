//! Connecting an account, whether its token was pasted or a person logged in for it: the token is checked with Graph, the webhooks are
//! subscribed, and the secrets stored encrypted. A failure at any step leaves nothing half-done.

pub(crate) mod apps;
pub(crate) mod graph;
pub(crate) mod session;

use crate::access::Scope;
use crate::problem::Problem;
use crate::routes::{is_live, pauses, provider_key};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ConnectionId, InstagramAccountId, PageId};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_instagram::{Access, Account};
use dmrelay_runtime::settings::AgentBinding;
use dmrelay_store::{Activity, ActivityKind, Bound, Connection, Credentials, NewConnection, Settings};
use dmrelay_vault::Place;
use dmrelay_views::ConnectionSettings;
use graph::{graph_problem, identify};
use std::time::Duration;

/// The webhook field without which no message would be answered.
pub(crate) const NEEDED_FIELD: &str = "messages";

/// An account to connect.
pub(crate) struct Applicant {
    pub(crate) login: LoginKind,
    /// The account that the token must be of, where that is known.
    pub(crate) account: Option<InstagramAccountId>,
    pub(crate) page: Option<PageId>,
    pub(crate) token: Secret<String>,
    /// How long the token holds, where that is known.
    pub(crate) token_expires_in: Option<Duration>,
    /// What the webhooks' handshake must bring.
    pub(crate) verify_token: Secret<String>,
    /// The secret of the app, if it is not the operator's.
    pub(crate) app_secret: Option<Secret<String>>,
    /// The id by which Meta's callbacks name whoever connects the account, where that is known.
    pub(crate) meta_user_id: Option<String>,
    /// None: those that the connection has, or the defaults.
    pub(crate) settings: Option<ConnectionSettings>,
    /// Transfer the account from another subaccount.
    pub(crate) take_over: bool,
    /// Read the conversations that Meta shows of the time before.
    pub(crate) import_history: bool,
    /// What the owner has granted, where that is known.
    pub(crate) permissions: Option<Vec<String>>,
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

impl Before {
    /// The row that is used again.
    fn id(&self) -> Option<ConnectionId> {
        match self {
            Self::Live(id) | Self::Former(id) => Some(*id),
            Self::Nothing | Self::Elsewhere(_) => None,
        }
    }
}

/// Connects an account, and ingests what its webhooks brought before.
///
/// # Errors
/// The problem to tell.
pub(crate) async fn connect(
    state: &ApiState,
    scope: &Scope,
    applicant: Applicant,
) -> Result<Connection, Problem> {
    let subaccount = &scope.subaccount;
    pauses::check_connect(state, subaccount, applicant.account.as_ref().map(|account| (account, false)))
        .await?;
    let right = check_agent(state, scope).await?;
    let access = Access {
        login: applicant.login,
        node: node(applicant.login, applicant.account.as_ref(), applicant.page.as_ref()),
        token: applicant.token.clone(),
        proof: None,
    };
    let (access, found) = identify(state, access, applicant.app_secret.as_ref()).await?;
    let account = proven(&applicant, &found)?;
    pauses::check_connect(state, subaccount, Some((&account, true))).await?;
    let before = before(state, scope, &account, applicant.take_over).await?;
    let (page, imports) = (applicant.page.clone(), applicant.import_history);
    let page = page.or_else(|| found.page_id.as_deref().and_then(|page| PageId::parse(page).ok()));
    let access = Access { node: node(applicant.login, Some(&account), page.as_ref()), ..access };
    let settings = match (applicant.settings.clone(), before.id()) {
        (Some(chosen), _) => chosen.into(),
        (None, Some(id)) => {
            let known = state.store.connection_by_id(id).await?;
            known.map(|connection| connection.settings).unwrap_or_default()
        }
        (None, None) => Settings::default(),
    };
    let of = (account, page, found, &before);
    let new = describe(state, scope, applicant, of, (access.proof.as_ref(), settings));
    reserve(state, &new, &before).await?;
    let made = make(state, (scope, right), &access, (&new, &before, imports)).await;
    let connection = match made {
        Ok(connection) => connection,
        Err(problem) => {
            if !matches!(before, Before::Live(_)) {
                state.store.drop_pending(new.id).await?;
            }
            return Err(problem);
        }
    };
    take_in(state, new.id).await;
    Ok(connection)
}

/// What follows at once, and otherwise on the next ticks: the account is connected, whatever becomes of this.
async fn take_in(state: &ApiState, id: ConnectionId) {
    if let Err(err) = state.snapshots.refresh().await {
        tracing::warn!(connection = %id, error = %err, "cannot read the accounts anew; retrying");
    }
    match state.store.route_events().await {
        Ok(0) => {}
        Ok(waiting) => {
            tracing::info!(connection = %id, waiting, "ingesting events that arrived before the connection");
        }
        Err(err) => tracing::warn!(connection = %id, error = %err, "cannot route events; retrying"),
    }
}

/// What calls name: the account, or the Page with Facebook Login; whoever the token is of, where that is not known.
fn node(login: LoginKind, account: Option<&InstagramAccountId>, page: Option<&PageId>) -> String {
    let node = match login {
        LoginKind::Instagram => account.map(ToString::to_string),
        LoginKind::Facebook => page.map(ToString::to_string),
    };
    node.unwrap_or_else(|| "me".to_owned())
}

/// The account of the token, which must be the one that was named.
fn proven(applicant: &Applicant, found: &Account) -> Result<InstagramAccountId, Problem> {
    let is = &found.instagram_account_id;
    if let Some(should) = applicant.account.as_ref().filter(|account| account.as_str() != is) {
        let what = format!("it is of the Instagram account {is}, and the account to connect is {should}");
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "wrong-account",
            "The token belongs to another account",
        )
        .detail(what)
        .with("instagramAccountId", should.as_str())
        .with("tokenAccountId", is.as_str()));
    }
    InstagramAccountId::parse(is).map_err(|err| {
        let what = format!("Meta gave the account id {is:?}, which {}", err.why);
        Problem::new(StatusCode::BAD_GATEWAY, "graph-refused", "Meta returned an invalid id").detail(what)
    })
}

/// By what a subaccount may use an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// It is the subaccount's.
    Assigned,
    /// It becomes the subaccount's: the subaccount's own key, the token, or the setting says so.
    Proven,
}

/// Whether the subaccount may use the agent, as far as this is known before it connects.
pub(crate) async fn check_agent(state: &ApiState, scope: &Scope) -> Result<Right, Problem> {
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

pub(crate) fn not_assigned() -> Problem {
    let title = "The agent is not assigned to this subaccount";
    Problem::new(StatusCode::FORBIDDEN, "agent-not-assigned", title)
        .detail("the operator assigns it: dmrelay-api admin agents assign")
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
    .detail("set `transfer` to true to transfer it"))
}

fn describe(
    state: &ApiState,
    scope: &Scope,
    applicant: Applicant,
    (account, page, found, before): (InstagramAccountId, Option<PageId>, Account, &Before),
    (proof, settings): (Option<&Secret<String>>, Settings),
) -> NewConnection {
    let id = before.id().unwrap_or_else(ConnectionId::new);
    let seal = |column: &'static str, secret: &Secret<String>| {
        let place = Place { table: "instagram_connections", column, row: id.0 };
        state.vault.seal(place, secret.expose().as_bytes())
    };
    let expires = |time: Duration| -> Millis { state.clock.now() + millis(time) };
    NewConnection {
        id,
        subaccount: scope.subaccount.clone(),
        agent: scope.agent.clone(),
        page,
        account,
        login: applicant.login,
        username: found.username,
        app_user_id: applicant.meta_user_id.or(found.app_user_id),
        settings,
        permissions: applicant.permissions,
        credentials: Credentials {
            access_token: seal("access_token", &applicant.token),
            token_proof: proof.map(|proof| seal("token_proof", proof)),
            token_expires_at: applicant.token_expires_in.map(expires),
            verify_token: seal("verify_token", &applicant.verify_token),
            app_secret: applicant.app_secret.as_ref().map(|secret| seal("app_secret", secret)),
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
    (new, before, imports): (&NewConnection, &Before, bool),
) -> Result<Connection, Problem> {
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
    if imports {
        tx.request_backfill(new.id, 0, "import").await?;
    }
    let connection =
        tx.connection_of(new.id).await?.ok_or_else(|| Problem::not_found("the connection is gone"))?;
    let activity = Activity::of_connection(&connection, ActivityKind::Connected, &scope.actor)
        .with("instagramAccountId", new.account.as_str());
    tx.record(&activity).await?;
    tx.commit().await?;
    tracing::info!(connection = %new.id, subaccount = %new.subaccount, agent = %new.agent, "connected");
    Ok(connection)
}
