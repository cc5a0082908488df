//! `GET …/chats`: the chats, most recent first.

use super::{listed, paging};
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::states::ChatMode;
use dmrelay_store::ChatFilter;
use dmrelay_views::{ChatView, List, enums};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only this account.
    connection_id: Option<Uuid>,
    /// Only this Instagram user.
    #[param(pattern = "^[0-9]{1,32}$")]
    user: Option<String>,
    /// Search text in the user's handle, name or id.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
    /// Who answers: the agent or a human agent.
    #[param(schema_with = enums::chat_mode)]
    mode: Option<String>,
    /// Why the chat needs a human's attention: `window_closed`, `runaway`.
    #[param(min_length = 1, max_length = 200)]
    flag: Option<String>,
    /// Cursor: the `nextCursor` of the previous page. A chat that receives a message meanwhile moves to the
    /// first page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Lists chats, most recent first
#[utoipa::path(get, path = "/chats", tag = "History", operation_id = "listChats", params(Query),
    responses((status = 200, description = "A page of chats", body = List<ChatView>)))]
pub(super) async fn chats(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<List<ChatView>>, Problem> {
    let named = query.connection_id;
    let filter = filter(query)?;
    let filter = ChatFilter {
        connections: listed(&state, &scope, named).await?,
        search_time: state.options.limits.search_timeout,
        ..filter
    };
    let page = state.store.chats(&filter).await;
    let page = page.map_err(|err| paging::search_problem(filter.q.is_some(), err))?;
    let now = state.clock.now();
    let view = |row: &_| ChatView::of(row, now);
    Ok(Json(List::of(page, (filter.limit, filter.skip), view, paging::write_time_and_id)))
}

fn filter(query: Query) -> Result<ChatFilter, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    if let Some(Err(err)) = query.user.as_deref().map(InstagramUserId::parse) {
        errors.parameter("user", err.why);
    }
    let modes = ChatMode::ALL.iter().map(|word| word.as_str());
    let filter = ChatFilter {
        user: query.user,
        q: paging::text("q", query.q, &mut errors),
        mode: paging::word("mode", query.mode, modes, &mut errors),
        flag: paging::text("flag", query.flag, &mut errors),
        before: paging::read_time_and_id(query.cursor.as_deref(), &mut errors),
        limit,
        skip,
        ..ChatFilter::default()
    };
    errors.end()?;
    Ok(filter)
}
