//! The routes, and what stands before them.

mod connect;
mod connections;
mod disconnect;
mod messages;
mod send;
mod status;
mod webhook;

use crate::access;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use dmrelay_domain::permission::Permission;
use dmrelay_store::Connection;
use std::time::Instant;
use uuid::Uuid;

use crate::access::Scope;

/// Where one agent's Instagram calls are.
const BASE: &str = "/api/database/{subaccount}/chat-agents/{agent}/instagram";

/// Everything the API serves, but for health.
pub(crate) fn router(state: &ApiState) -> Router {
    let guarded = |permission, method: MethodRouter<ApiState>| {
        method.layer(middleware::from_fn_with_state((state.clone(), permission), access::guard))
    };
    let at = |call: &str| format!("{BASE}/{call}");
    let rest = Router::new()
        .route(&at("connect"), guarded(Permission::Connect, post(connect::handle)))
        .route(&at("disconnect"), guarded(Permission::Connect, post(disconnect::handle)))
        .route(&at("status"), guarded(Permission::Read, get(status::handle)))
        .route(&at("send"), guarded(Permission::Send, post(send::handle)))
        .route(&at("messages"), guarded(Permission::Read, get(messages::handle)))
        .route(&at("connections"), guarded(Permission::Read, get(connections::handle)))
        .layer(DefaultBodyLimit::max(state.options.api.api_max_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), bounded));
    let webhooks = Router::new()
        .route("/webhooks/instagram", get(webhook::shared_handshake).post(webhook::shared))
        .route(&at("webhook"), get(webhook::own_handshake).post(webhook::own));
    rest.merge(webhooks)
        .fallback(|| async { Problem::not_found("no route has this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path has no such method")
        })
        .with_state(state.clone())
}

/// Bounds the time of a REST call, counts it, and logs it in one line.
async fn bounded(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(String::new, |path| path.as_str().to_owned());
    let method = request.method().clone();
    let response = match tokio::time::timeout(state.options.api.api_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "The call took too long").into_response()
        }
    };
    let status = response.status().as_u16();
    let call = route.rsplit('/').next().unwrap_or_default();
    state
        .metrics
        .http_seconds
        .with_label_values(&[call, &status.to_string()])
        .observe(started.elapsed().as_secs_f64());
    tracing::info!(%method, route, status, took_ms = started.elapsed().as_millis(), "request");
    response
}

/// The connection a call is about: the one named, or the only one of the agent.
async fn select(state: &ApiState, scope: &Scope, named: Option<Uuid>) -> Result<Connection, Problem> {
    let mut all = state.store.connections(&scope.subaccount, Some(&scope.agent)).await?;
    if let Some(id) = named {
        let found = all.into_iter().find(|connection| connection.id.0 == id);
        return found
            .ok_or_else(|| Problem::not_found("this agent has no connection with that connectionId"));
    }
    // Disconnected ones are history: they count only where nothing else is there.
    if all.iter().any(is_live) {
        all.retain(is_live);
    } else {
        all.truncate(1);
    }
    match (all.pop(), all.len()) {
        (Some(connection), 0) => Ok(connection),
        (Some(last), _) => {
            all.push(last);
            let list: Vec<_> = all.iter().map(crate::views::connection).collect();
            Err(Problem::new(
                StatusCode::CONFLICT,
                "ambiguous-connection",
                "This agent has several Instagram accounts",
            )
            .detail("name one with connectionId")
            .with("connections", list))
        }
        (None, _) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not-connected",
            "No Instagram account is connected to this agent",
        )),
    }
}

fn is_live(connection: &Connection) -> bool {
    connection.status != dmrelay_domain::states::ConnectionStatus::Disconnected
}
