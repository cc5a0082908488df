//! The routes, their permissions, and their middleware.

mod activities;
mod api_keys;
mod broadcasts;
mod chat;
mod chats;
mod check;
mod comments;
mod connect;
mod connect_sessions;
mod connections;
mod dead_letters;
mod disconnect;
mod docs;
mod erase;
pub(crate) mod events;
mod guide;
mod inbox_profile;
mod me;
mod media;
mod messages;
mod meta_apps;
mod notification_targets;
mod notifications;
mod oauth;
mod overview;
pub(crate) mod paging;
pub(crate) mod pauses;
mod privacy;
pub(crate) mod provider_key;
mod qr_code;
mod reactions;
mod read;
mod replay;
mod send;
mod sessions;
mod settings;
mod status;
mod takeover;
mod templates;
mod thread;
mod transfer;
pub(crate) mod triage;
mod uploads;
mod usage;
mod webhook;

use crate::access::{self, Guard, Scope};
use crate::checks::Checks;
use crate::connect::session;
use crate::console;
use crate::front;
use crate::openapi;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Extension;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::permission::Permission;
use dmrelay_store::Connection;
use dmrelay_views::ConnectionView;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use uuid::Uuid;

/// Base path of a subaccount's calls.
const TENANT: &str = "/api/database/{subaccountId}";

/// Base path of an agent's Instagram calls.
const AGENT: &str = "/api/database/{subaccountId}/chat-agents/{agentId}/instagram";

/// A call of the REST API.
struct Route {
    permission: Permission,
    keeps_answers: bool,
    is_list: bool,
    is_upload: bool,
    method: UtoipaMethodRouter<ApiState>,
}

fn needs(permission: Permission, method: UtoipaMethodRouter<ApiState>) -> Route {
    let is_list = permission == Permission::Read;
    Route { permission, keeps_answers: true, is_list, is_upload: false, method }
}

/// The calls for one agent.
fn of_agent() -> Vec<Route> {
    use Permission::{Broadcast, Configure, Connect, Erase, Read, Replay, Send, TakeOver};
    vec![
        needs(Connect, routes!(connect::connect)),
        needs(Connect, routes!(connect_sessions::create)),
        needs(Connect, routes!(connect_sessions::show)),
        needs(Connect, routes!(connect_sessions::choose_page)),
        needs(Connect, routes!(transfer::transfer)),
        needs(Connect, routes!(disconnect::disconnect)),
        needs(Connect, routes!(check::check)),
        needs(Read, routes!(status::status)),
        Route { is_list: false, ..needs(Read, routes!(qr_code::qr_code)) },
        needs(Read, routes!(connections::connections)),
        needs(Configure, routes!(settings::change_settings)),
        Route { keeps_answers: false, ..needs(Send, routes!(send::send)) },
        needs(Read, routes!(inbox_profile::show)),
        needs(Configure, routes!(inbox_profile::put)),
        needs(Configure, routes!(inbox_profile::delete)),
        needs(Read, routes!(messages::messages)),
        Route { is_list: false, ..needs(Read, routes!(messages::message)) },
        // The same file is uploaded once, without a key.
        Route { is_upload: true, keeps_answers: false, ..needs(Send, routes!(uploads::upload)) },
        needs(Send, routes!(uploads::delete)),
        Route { is_list: false, ..needs(Read, routes!(media::bytes)) },
        Route { is_list: false, ..needs(Read, routes!(media::link)) },
        needs(Send, routes!(reactions::react)),
        needs(Send, routes!(reactions::take_back)),
        needs(Read, routes!(chats::chats)),
        needs(Read, routes!(chat::chat)),
        Route { is_list: false, ..needs(Read, routes!(read::read)) },
        needs(TakeOver, routes!(triage::change)),
        needs(Read, routes!(triage::notes)),
        needs(TakeOver, routes!(triage::add_note)),
        needs(TakeOver, routes!(triage::delete_note)),
        needs(Read, routes!(comments::list)),
        needs(Read, routes!(comments::show)),
        needs(Send, routes!(comments::reply)),
        needs(Send, routes!(comments::hide)),
        needs(Broadcast, routes!(broadcasts::create)),
        needs(Read, routes!(broadcasts::preview)),
        needs(Read, routes!(broadcasts::list)),
        needs(Read, routes!(broadcasts::show)),
        needs(Read, routes!(broadcasts::recipients)),
        needs(Broadcast, routes!(broadcasts::pause)),
        needs(Broadcast, routes!(broadcasts::resume)),
        needs(Broadcast, routes!(broadcasts::cancel)),
        needs(Read, routes!(thread::show)),
        needs(TakeOver, routes!(thread::change)),
        needs(TakeOver, routes!(takeover::take_over)),
        needs(TakeOver, routes!(takeover::release)),
        needs(Read, routes!(activities::of_agent)),
        needs(Read, routes!(dead_letters::dead_letters)),
        needs(Replay, routes!(replay::replay_some)),
        needs(Replay, routes!(replay::replay)),
        needs(Replay, routes!(replay::discard)),
        needs(Erase, routes!(erase::erase_user)),
        // A stream is not a list, however long it lasts; what it missed is read like one.
        Route { is_list: false, ..needs(Read, routes!(events::events)) },
    ]
}

/// The calls for one subaccount.
fn of_tenant() -> Vec<Route> {
    vec![
        Route { is_list: false, ..needs(Permission::Read, routes!(me::me)) },
        needs(Permission::Read, routes!(activities::of_tenant)),
        needs(Permission::Read, routes!(chats::of_tenant)),
        Route { is_list: false, ..needs(Permission::Read, routes!(events::of_tenant)) },
        needs(Permission::Read, routes!(usage::usage)),
        needs(Permission::Read, routes!(overview::overview)),
        needs(Permission::Read, routes!(pauses::list)),
        needs(Permission::Pause, routes!(pauses::pause)),
        needs(Permission::Pause, routes!(pauses::resume)),
        needs(Permission::Read, routes!(notifications::incidents)),
        needs(Permission::Notify, routes!(notifications::notifications)),
        needs(Permission::Notify, routes!(notifications::show)),
        needs(Permission::Notify, routes!(notifications::retry)),
        needs(Permission::Notify, routes!(notification_targets::list)),
        needs(Permission::Notify, routes!(notification_targets::create)),
        needs(Permission::Notify, routes!(notification_targets::change)),
        needs(Permission::Notify, routes!(notification_targets::delete)),
        needs(Permission::Notify, routes!(notification_targets::test)),
        needs(Permission::Notify, routes!(notification_targets::rotate)),
        needs(Permission::Read, routes!(templates::list)),
        needs(Permission::Configure, routes!(templates::create)),
        needs(Permission::Read, routes!(templates::show)),
        needs(Permission::Configure, routes!(templates::change)),
        needs(Permission::Configure, routes!(templates::delete)),
        needs(Permission::Read, routes!(templates::versions)),
        needs(Permission::Read, routes!(templates::preview)),
        needs(Permission::ManageSessions, routes!(sessions::list)),
        needs(Permission::ManageSessions, routes!(sessions::create)),
        needs(Permission::ManageSessions, routes!(sessions::revoke)),
        needs(Permission::ManageKeys, routes!(api_keys::list)),
        needs(Permission::ManageKeys, routes!(api_keys::create)),
        needs(Permission::ManageKeys, routes!(api_keys::revoke)),
        needs(Permission::ManageKeys, routes!(provider_key::show)),
        needs(Permission::ManageKeys, routes!(provider_key::put)),
        needs(Permission::ManageKeys, routes!(provider_key::delete)),
        needs(Permission::ManageKeys, routes!(meta_apps::list)),
        needs(Permission::ManageKeys, routes!(meta_apps::put)),
        needs(Permission::ManageKeys, routes!(meta_apps::delete)),
    ]
}

/// All calls; `guard` wraps each with its checks.
fn calls(guard: impl Fn(Route) -> UtoipaMethodRouter<ApiState>) -> OpenApiRouter<ApiState> {
    let router = |routes: Vec<Route>| {
        routes.into_iter().fold(OpenApiRouter::new(), |router, mut route| {
            openapi::note_permission(&mut route.method.1, route.permission);
            router.routes(guard(route))
        })
    };
    OpenApiRouter::with_openapi(openapi::head())
        .nest(AGENT, router(of_agent()))
        .nest(TENANT, router(of_tenant()))
}

/// The OpenAPI document of these calls.
pub(crate) fn document() -> serde_json::Value {
    openapi::complete(&calls(|route| route.method).into_openapi())
}

/// Everything the API serves, except health.
pub(crate) fn router(state: &ApiState) -> Router {
    let document = document();
    let checks = Checks::of(&document);
    let guarded = |route: Route| {
        let Route { permission, keeps_answers, is_list, is_upload, method } = route;
        let checks =
            openapi::operation_id(&method.1).and_then(|id| checks.get(id)).cloned().unwrap_or_default();
        let guard = Guard { state: state.clone(), permission, keeps_answers, is_list, is_upload, checks };
        method.layer(middleware::from_fn_with_state(guard, access::guard))
    };
    let picture = checks.get("getQrCode").cloned().unwrap_or_default();
    let (rest, _) = calls(guarded).split_for_parts();
    let rest = rest
        // Added before the other layers, so that it also wraps them: browsers send preflight requests
        // (OPTIONS) without credentials.
        .method_not_allowed_fallback(not_allowed)
        .merge(docs::router(&document, state))
        .route(session::CALLBACK, get(oauth::callback))
        .route(oauth::CHOICE, post(oauth::choose))
        .route("/media/{mediaId}", get(media::linked))
        .route("/qr-code/{connectionId}", get(qr_code::public).layer(Extension(picture)))
        .route("/data-deletion/{code}", get(privacy::deletion_status))
        .fallback(|| async { Problem::not_found("no route has this path") })
        .layer(DefaultBodyLimit::max(state.options.api.api_max_bytes))
        .layer(middleware::from_fn(front::tagged))
        .layer(CatchPanicLayer::custom(front::panicked))
        .layer(middleware::from_fn_with_state(state.clone(), front::bounded))
        .layer(middleware::from_fn_with_state(state.clone(), front::limited))
        // Outside of what writes into problems.
        .layer(CompressionLayer::new().compress_when(compressible()))
        .layer(front::cors(&state.options.limits.cors_origins));
    let webhooks = Router::new()
        .route("/webhooks/instagram", get(webhook::shared_handshake).post(webhook::shared))
        .route(&format!("{AGENT}/webhook"), get(webhook::own_handshake).post(webhook::own))
        .route("/webhooks/instagram/deauthorize", post(privacy::deauthorize))
        .route(&format!("{AGENT}/deauthorize"), post(privacy::own_deauthorize))
        .route("/webhooks/instagram/data-deletion", post(privacy::data_deletion))
        .route(&format!("{AGENT}/data-deletion"), post(privacy::own_data_deletion))
        .method_not_allowed_fallback(not_allowed);
    rest.merge(webhooks)
        .merge(console::router(state))
        .layer(middleware::from_fn_with_state(state.clone(), front::secured))
        .with_state(state.clone())
}

/// What is worth compressing: not what is compressed already, which is read in ranges besides.
fn compressible() -> impl Predicate {
    let not = NotForContentType::const_new;
    DefaultPredicate::new().and(not("video/")).and(not("audio/")).and(not("application/pdf"))
}

async fn not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The path does not support this method",
    )
}

/// The connection a call refers to: the one named, or the agent's only one.
async fn select(state: &ApiState, scope: &Scope, named: Option<Uuid>) -> Result<Connection, Problem> {
    let mut all = state.store.connections(&scope.subaccount, Some(&scope.agent)).await?;
    if let Some(id) = named.map(ConnectionId) {
        let found = all.into_iter().find(|connection| connection.id == id);
        return found.ok_or_else(no_such_connection);
    }
    // Disconnected connections are history: they count only if there is no other.
    if all.iter().any(is_live) {
        all.retain(is_live);
    } else {
        all.truncate(1);
    }
    match (all.pop(), all.len()) {
        (Some(connection), 0) => Ok(connection),
        (Some(last), _) => {
            all.push(last);
            let list = all
                .iter()
                .map(|one| ConnectionView::of(one, Some(state.options.defaults)))
                .collect::<Vec<_>>();
            Err(Problem::new(
                StatusCode::CONFLICT,
                "ambiguous-connection",
                "This agent has several Instagram accounts",
            )
            .detail("choose one with connectionId")
            .with("connections", serde_json::json!(list)))
        }
        (None, _) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not-connected",
            "No Instagram account is connected to this agent",
        )),
    }
}

/// The connections a list covers: the one named, all live ones, or, if none is live, all of them.
async fn listed(state: &ApiState, scope: &Scope, named: Option<Uuid>) -> Result<Vec<ConnectionId>, Problem> {
    listed_of(&all(state, scope).await?, named)
}

/// The same, of these connections.
fn listed_of(all: &[Connection], named: Option<Uuid>) -> Result<Vec<ConnectionId>, Problem> {
    let any_live = all.iter().any(is_live);
    match named.map(ConnectionId) {
        Some(id) if all.iter().all(|connection| connection.id != id) => Err(no_such_connection()),
        Some(id) => Ok(vec![id]),
        None => Ok(all.iter().filter(|one| !any_live || is_live(one)).map(|one| one.id).collect()),
    }
}

/// All connections of the agent, live or not.
async fn all(state: &ApiState, scope: &Scope) -> Result<Vec<Connection>, Problem> {
    let all = state.store.connections(&scope.subaccount, Some(&scope.agent)).await?;
    if all.is_empty() && !is_known(state, scope).await? {
        // Whether another subaccount has it is nobody's business.
        return Err(Problem::not_found("this subaccount has no agent with that agentId"));
    }
    Ok(all)
}

/// Whether the agent is the subaccount's, though no account is connected to it.
async fn is_known(state: &ApiState, scope: &Scope) -> Result<bool, Problem> {
    let owner = state.store.agent_subaccount(&scope.agent).await?;
    Ok(owner.as_deref() == Some(scope.subaccount.as_str()))
}

pub(crate) fn ids(connections: &[Connection]) -> Vec<ConnectionId> {
    connections.iter().map(|connection| connection.id).collect()
}

fn no_such_connection() -> Problem {
    Problem::not_found("there is no connection with that connectionId here")
}

pub(crate) fn is_live(connection: &Connection) -> bool {
    connection.status != dmrelay_domain::states::ConnectionStatus::Disconnected
}
