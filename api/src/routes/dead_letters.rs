//! `GET …/dead-letters`: permanent failures with their reasons.

use super::{all, ids, paging};
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, ConnectionId, SubaccountId};
use dmrelay_domain::states::DeadLetterState;
use dmrelay_store::DeadLetterFilter;
use dmrelay_views::{DeadLetterView, List, enums};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The failure class: `window_closed`, `gone`, `invalid`, `bug` …
    #[param(schema_with = enums::failure_class)]
    class: Option<String>,
    /// What failed.
    #[param(schema_with = enums::dead_letter_kind)]
    kind: Option<String>,
    chat_id: Option<Uuid>,
    /// The state; default `open`.
    #[param(schema_with = enums::dead_letter_state)]
    state: Option<String>,
    /// Created before this time.
    #[param(format = DateTime)]
    created_before: Option<String>,
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Lists dead letters, newest first
#[utoipa::path(get, path = "/dead-letters", tag = "Dead letters", operation_id = "listDeadLetters", params(Query),
    responses((status = 200, description = "A page of dead letters", body = List<DeadLetterView>)))]
pub(super) async fn dead_letters(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<List<DeadLetterView>>, Problem> {
    let connections = ids(&all(&state, &scope).await?);
    let filter = filter(query, scope.subaccount, connections)?;
    let page = state.store.dead_letter_page(&filter).await?;
    Ok(Json(List::of(page, (filter.limit, filter.skip), DeadLetterView::of, paging::write_id)))
}

fn filter(
    query: Query,
    subaccount: SubaccountId,
    connections: Vec<ConnectionId>,
) -> Result<DeadLetterFilter, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let classes = FailureClass::ALL.iter().map(|word| word.as_str());
    let states = DeadLetterState::ALL.iter().map(|word| word.as_str());
    let state = paging::word("state", query.state, states, &mut errors);
    let filter = DeadLetterFilter {
        subaccount,
        connections,
        class: paging::word("class", query.class, classes, &mut errors),
        kind: paging::word("kind", query.kind, KINDS.into_iter(), &mut errors),
        chat: query.chat_id.map(ChatId),
        state: state.and_then(|word| DeadLetterState::parse(&word)).unwrap_or(DeadLetterState::Open),
        created_before: paging::moment("createdBefore", query.created_before.as_deref(), &mut errors),
        before: paging::read_id(query.cursor.as_deref(), &mut errors),
        limit,
        skip,
    };
    errors.end()?;
    Ok(filter)
}

/// The kinds of dead letters.
pub(super) const KINDS: [&str; 3] = ["event", "turn", "message"];
