//! `GET …/messages`: the history, newest first.

use super::is_live;
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views;
use axum::Extension;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::{ConnectionId, InstagramUserId};
use dmrelay_domain::states::{Direction, MessageStatus};
use dmrelay_store::MessageFilter;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// How many messages a page has, unless asked, and at most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 200;
/// How far `skip` reaches; beyond it, `before` does.
const SKIP_MAX: u64 = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Query {
    connection_id: Option<Uuid>,
    user: Option<String>,
    chat_id: Option<Uuid>,
    direction: Option<String>,
    status: Option<String>,
    before: Option<Uuid>,
    limit: Option<u64>,
    skip: Option<u64>,
}

pub(super) async fn handle(
    State(state): State<ApiState>,
    Extension(scope): Extension<Scope>,
    Params(query): Params<Query>,
) -> Result<Json<Value>, Problem> {
    let all = state.store.connections(&scope.subaccount, Some(&scope.agent)).await?;
    let connections: Vec<ConnectionId> = match query.connection_id {
        Some(id) if all.iter().all(|connection| connection.id.0 != id) => {
            return Err(Problem::not_found("this agent has no connection with that connectionId"));
        }
        Some(id) => vec![id.into()],
        // The history of a disconnected account is shown too, where no other is connected.
        None if all.iter().any(is_live) => all.iter().filter(|c| is_live(c)).map(|c| c.id).collect(),
        None => all.iter().map(|connection| connection.id).collect(),
    };
    let filter = filter(&query, connections)?;
    let page = state.store.messages(&filter).await?;
    Ok(Json(json!({
        "items": page.items.iter().map(views::message).collect::<Vec<_>>(),
        "total": page.total,
        "totalIsExact": page.total_is_exact,
        "limit": filter.limit,
        "skip": filter.skip,
    })))
}

fn filter(query: &Query, connections: Vec<ConnectionId>) -> Result<MessageFilter, Problem> {
    let limit = query.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(Problem::invalid("limit", format!("must be 1 to {LIMIT_MAX}")));
    }
    let skip = query.skip.unwrap_or(0);
    if skip > SKIP_MAX {
        return Err(Problem::invalid(
            "skip",
            format!("must be at most {SKIP_MAX}; use before to go further"),
        ));
    }
    if let Some(user) = &query.user {
        InstagramUserId::parse(user).map_err(|err| Problem::invalid("user", err.to_string()))?;
    }
    let direction = query.direction.as_deref();
    if direction.is_some_and(|word| Direction::parse(word).is_none()) {
        return Err(Problem::invalid("direction", "must be inbound or outbound"));
    }
    if query.status.as_deref().is_some_and(|word| MessageStatus::parse(word).is_none()) {
        let words: Vec<&str> = MessageStatus::ALL.iter().map(|status| status.as_str()).collect();
        return Err(Problem::invalid("status", format!("must be one of {}", words.join(", "))));
    }
    Ok(MessageFilter {
        connections,
        user: query.user.clone(),
        chat: query.chat_id,
        direction: query.direction.clone(),
        status: query.status.clone(),
        before: query.before,
        limit,
        skip,
    })
}
