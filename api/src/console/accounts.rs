//! `GET /console/accounts`: the accounts, their health, and what can be done with them.

use super::call::Call;
use super::visitor::Visitor;
use super::{handle_of, html, trouble};
use crate::access::Scope;
use crate::connect::apps;
use crate::connect::session::{self, NewSession, Wishes};
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::routes::is_live;
use crate::services::connections::{self, Disconnecting};
use crate::services::qr::{Picture, picture};
use crate::settings::{self, ChangeSettings};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use dmrelay_console::{Account, Here, Login, Markup, Printed, Tab, words};
use dmrelay_domain::ids::{AgentId, ConnectionId, InstagramAccountId};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::{LoginKind, PageChoice};
use dmrelay_store::Connection;
use dmrelay_views::{ConnectionView, EntryPoints, HealthView};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// The page.
pub(super) const ACCOUNTS: &str = "/console/accounts";

/// Accounts on a page: each has its checks.
const PAGE: usize = 50;

/// Logins by their words.
const LOGINS: [(LoginKind, &str); 2] =
    [(LoginKind::Instagram, "Instagram"), (LoginKind::Facebook, "Facebook")];

/// How a login went, as the API tells it in the address.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Returned {
    connect_status: Option<String>,
    connect_error: Option<String>,
    /// The page of the list, from 0.
    #[serde(default)]
    page: usize,
    /// Only this one.
    account: Option<Uuid>,
    part: Option<String>,
}

impl Returned {
    fn here(&self) -> Here {
        self.account.map_or(Here::Page(self.page), Here::One)
    }
}

/// `GET /console/accounts/{connectionId}`: one account, with its settings.
pub(super) async fn show_one(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Params(returned): Params<Returned>,
) -> Response {
    let returned = Returned { account: Some(id), page: 0, ..returned };
    page(&state, &visitor, &returned).await.map_or_else(|problem| trouble(&problem), html)
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(returned): Params<Returned>,
) -> Response {
    page(&state, &visitor, &returned).await.map_or_else(|problem| trouble(&problem), html)
}

async fn page(state: &ApiState, visitor: &Visitor, returned: &Returned) -> Result<Markup, Problem> {
    visitor.require(Permission::Read)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let mut all = state.store.connections(&visitor.subaccount, None).await?;
    if let Some(id) = returned.account {
        all.retain(|connection| connection.id == ConnectionId(id));
        if all.is_empty() {
            return Err(Problem::not_found("this subaccount has no such account"));
        }
    }
    let (live, gone): (Vec<_>, Vec<_>) = all.iter().partition(|connection| is_live(connection));
    let shown = live.into_iter().chain(gone).skip(returned.page.saturating_mul(PAGE)).take(PAGE);
    let mut accounts = Vec::with_capacity(PAGE);
    for connection in shown {
        accounts.push(account(state, connection).await?);
    }
    if returned.part.as_deref() == Some("list") {
        return Ok(dmrelay_console::cards(&visitor.person(), &accounts, returned.here()));
    }
    let is_last = all.len() <= returned.page.saturating_add(1).saturating_mul(PAGE);
    let next = (!is_last).then(|| format!("/console/accounts?page={}", returned.page.saturating_add(1)));
    let agents: BTreeSet<String> = all.iter().map(|connection| connection.agent.to_string()).collect();
    let mut logins: Vec<Login> = Vec::new();
    for (login, name) in LOGINS {
        if apps::choose(state, &visitor.subaccount, Some(login)).await.is_ok() {
            logins.push((login.as_str(), name));
        }
    }
    let (person, agents) = (visitor.person(), agents.into_iter().collect::<Vec<_>>());
    let outcome =
        returned.connect_status.as_deref().map(|status| (status, returned.connect_error.as_deref()));
    let (listed, offered) = ((accounts.as_slice(), next.as_deref()), (agents.as_slice(), logins.as_slice()));
    let body = dmrelay_console::accounts(&person, listed, offered, outcome, returned.here());
    Ok(dmrelay_console::shell(Tab::Accounts, &person, &body))
}

async fn account(state: &ApiState, connection: &Connection) -> Result<Account, Problem> {
    let checks = if is_live(connection) { state.store.checks(connection.id).await? } else { Vec::new() };
    Ok(Account {
        connection: ConnectionView::of(connection, Some(state.options.defaults)),
        health: HealthView::of(&checks),
        links: EntryPoints::of(connection, None, "")?,
    })
}

/// A connection of the subaccount.
pub(super) async fn find(state: &ApiState, visitor: &Visitor, id: Uuid) -> Result<Connection, Problem> {
    let all = state.store.connections(&visitor.subaccount, None).await?;
    let found = all.into_iter().find(|connection| connection.id == ConnectionId(id));
    found.ok_or_else(|| Problem::not_found("this subaccount has no such account"))
}

/// `GET /console/accounts/sheet`: the QR codes of all accounts, to print.
pub(super) async fn sheet(State(state): State<ApiState>, visitor: Visitor) -> Response {
    let printing = async {
        visitor.require(Permission::Read)?;
        let all = state.store.connections(&visitor.subaccount, None).await?;
        let mut printed: Vec<Printed> = Vec::new();
        for connection in all.iter().filter(|connection| is_live(connection)) {
            // An account without a handle has no links.
            if let (Some(handle), Some(_)) =
                (&connection.row.username, EntryPoints::of(connection, None, "")?)
            {
                printed.push((connection.id.0, handle.clone()));
            }
        }
        Ok(dmrelay_console::qr_sheet(&printed))
    };
    printing.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// `GET /console/accounts/{connectionId}/qr`.
pub(super) async fn qr(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Params(query): Params<Picture>,
) -> Response {
    let drawing = async {
        visitor.require(Permission::Read)?;
        let connection = find(&state, &visitor, id).await?;
        picture(&connection, &query, false)
    };
    match drawing.await {
        Ok(drawn) => drawn,
        Err(problem) => trouble(&problem),
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    handle: Option<String>,
    agent: Option<String>,
    login: Option<String>,
    #[serde(flatten)]
    settings: HashMap<String, String>,
}

/// `POST /console/accounts/{connectionId}/{deed}`.
pub(super) async fn act(Path((id, deed)): Path<(Uuid, String)>, call: Call<Fields>) -> Response {
    let acting = async {
        let Call { state, visitor, fields, .. } = &call;
        let connection = find(state, visitor, id).await?;
        match deed.as_str() {
            "check" => {
                visitor.require(Permission::Connect)?;
                connections::check(state, &connection).await?;
            }
            "pause" | "resume" => {
                visitor.require(Permission::Configure)?;
                let is_paused = deed == "pause";
                let change = |_: &mut _, paused: &mut bool| *paused = is_paused;
                state.store.change_settings(connection.id, &visitor.actor, change).await?;
                state.snapshots.refresh().await?;
            }
            "settings" => {
                visitor.require(Permission::Configure)?;
                let change = settings_of(&fields.settings)?;
                let apply = |settings: &mut _, paused: &mut bool| change.apply(settings, paused);
                state.store.change_settings(connection.id, &visitor.actor, apply).await?;
                state.snapshots.refresh().await?;
            }
            "agent" => {
                visitor.require(Permission::Connect)?;
                let agent = AgentId::parse(fields.agent.as_deref().unwrap_or_default().trim());
                let agent = agent.map_err(|err| Problem::invalid("/agent", err.why))?;
                let (subaccount, actor) = (visitor.subaccount.clone(), visitor.actor.clone());
                let scope = Scope { subaccount, agent: connection.agent.clone(), actor, may_bind: false };
                connections::change_agent(state, &scope, &connection, &agent).await?;
            }
            "disconnect" => {
                visitor.require(Permission::Connect)?;
                let handle = handle_of(&connection);
                let typed = fields.handle.as_deref().unwrap_or_default().trim().trim_start_matches('@');
                if typed != handle {
                    return Err(Problem::invalid("/handle", format!("type {handle} to confirm")));
                }
                let wanted = Disconnecting { actor: &visitor.actor, release_agent: false };
                connections::disconnect(state, &connection, wanted).await?;
            }
            _ => return Err(Problem::not_found("there is nothing of this name to do")),
        }
        let fresh = find(state, visitor, id).await?;
        Ok(dmrelay_console::card(
            &visitor.person(),
            &account(state, &fresh).await?,
            false,
            words::done(&deed),
        ))
    };
    call.answer(Box::pin(acting).await, ACCOUNTS)
}

/// The settings of a form, checked as those of a call: what is empty goes back to what is usual.
fn settings_of(fields: &HashMap<String, String>) -> Result<ChangeSettings, Problem> {
    let text = |name: &str| fields.get(name).map(|text| text.replace("\r\n", "\n").trim().to_owned());
    let given = |name: &str| text(name).filter(|text| !text.is_empty());
    let lines = |name: &str| given(name).map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let mut errors = ValidationErrors::default();
    let mut number = |name: &str, pointer: &str| {
        given(name)
            .and_then(|text| errors.check(pointer, text.parse::<u32>().map_err(|_| "must be a whole number")))
    };
    let (debounce_ms, takeover_hours) =
        (number("debounce_ms", "/debounceMs"), number("takeover_hours", "/takeoverHours"));
    let writing = number("writing_ms_per_character", "/writingMsPerCharacter");
    let mut variables = BTreeMap::new();
    for line in lines("agent_variables").unwrap_or_default() {
        match line.split_once('=') {
            Some((name, value)) => drop(variables.insert(name.trim().to_owned(), value.trim().to_owned())),
            None => errors.at("/agentVariables", format!("{line:?} must be name=value")),
        }
    }
    errors.end()?;
    let flag = |name: &str| given(name).map(|text| text == "true");
    let all = [
        ("debounce_ms", "debounceMs", json!(debounce_ms)),
        ("takeover_hours", "takeoverHours", json!(takeover_hours)),
        ("typing", "typing", json!(flag("typing"))),
        ("writing_ms_per_character", "writingMsPerCharacter", json!(writing)),
        ("human_agent", "humanAgent", json!(flag("human_agent"))),
        ("fallback_text", "fallbackText", json!(given("fallback_text"))),
        ("unreadable_text", "unreadableText", json!(given("unreadable_text"))),
        ("automatic_texts", "automaticTexts", json!(lines("automatic_texts"))),
        ("agent_variables", "agentVariables", json!((!variables.is_empty()).then_some(variables))),
    ];
    // What the form does not have stays as it is.
    let wanted = all.into_iter().filter(|(field, ..)| fields.contains_key(*field));
    let wanted: Value = wanted.map(|(_, name, value)| (name.to_owned(), value)).collect();
    let change = serde_json::from_value::<ChangeSettings>(wanted);
    let change = change.map_err(|_| Problem::invalid("", "must be the settings of the form"))?;
    let mut errors = ValidationErrors::default();
    settings::check(&change.values(), "", &mut errors);
    errors.end()?;
    Ok(change)
}

/// `POST /console/accounts/connect`: the person goes to Meta, and comes back here.
pub(super) async fn connect(Call { state, visitor, fields, .. }: Call<Fields>) -> Response {
    let beginning = async {
        visitor.require(Permission::Connect)?;
        let agent = AgentId::parse(fields.agent.as_deref().unwrap_or_default().trim());
        let agent = agent.map_err(|err| Problem::invalid("/agent", err.why))?;
        let login = fields.login.as_deref().and_then(LoginKind::parse);
        let login = login.ok_or_else(|| Problem::invalid("/login", "must be instagram or facebook"))?;
        to_meta(&state, &visitor, agent, (login, None)).await
    };
    beginning.await.unwrap_or_else(|problem| trouble(&problem))
}

/// `POST /console/accounts/{connectionId}/login`: the same for an account that must be connected again.
pub(super) async fn log_in(Path(id): Path<Uuid>, Call { state, visitor, .. }: Call<Fields>) -> Response {
    let beginning = async {
        visitor.require(Permission::Connect)?;
        let connection = find(&state, &visitor, id).await?;
        let wanted = (connection.login, Some(connection.account.clone()));
        to_meta(&state, &visitor, connection.agent.clone(), wanted).await
    };
    beginning.await.unwrap_or_else(|problem| trouble(&problem))
}

/// Begins a login at Meta, for one account or for whichever the person chooses.
async fn to_meta(
    state: &ApiState,
    visitor: &Visitor,
    agent: AgentId,
    (login, account): (LoginKind, Option<InstagramAccountId>),
) -> Result<Response, Problem> {
    let mut back = state.options.api.public_url.clone();
    back.set_path(ACCOUNTS);
    let scope = Scope {
        subaccount: visitor.subaccount.clone(),
        agent,
        actor: visitor.actor.clone(),
        may_bind: false,
    };
    let new = NewSession {
        login: Some(login),
        account,
        return_url: Some(back),
        page_choice: PageChoice::Hosted,
        wishes: Wishes { settings: None, take_over: false, import_history: false },
    };
    let (_, url) = session::begin(state, (&scope, &visitor.credential), new).await?;
    Ok(html(dmrelay_console::leave_to(url.as_str(), "Meta")))
}
