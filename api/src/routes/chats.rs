//! `GET …/chats`: the chats, most recent first.

use super::{listed, listed_of, paging};
use crate::access::{Scope, Tenant};
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::services::{self, triage};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{ConnectionId, InstagramUserId};
use dmrelay_domain::states::{ChatMode, ChatSort};
use dmrelay_store::{Assigned, ChatFilter, Folder};
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
    instagram_user_id: Option<String>,
    /// Search text in the user's handle, name or id.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
    /// Who answers: the agent or a human agent.
    #[param(schema_with = enums::chat_mode)]
    mode: Option<String>,
    /// Why the chat needs a human's attention: `handover`, `runaway`, or a failure class.
    #[param(schema_with = enums::flag)]
    flag: Option<String>,
    /// Only chats of this folder. `needs_human`: as `needsHuman` says; `unanswered`: the customer wrote last; `failed`: with open dead
    /// letters; `window_closing`: Meta's window ends within four hours.
    #[param(schema_with = enums::folder)]
    folder: Option<String>,
    /// In which order: `newest`, by default, by the last message, the newest first; `oldest`, the other way
    /// round; `window`, chats whose reply window ends soonest, without those whose window is closed.
    #[param(schema_with = enums::chat_sort)]
    sort: Option<String>,
    /// Only chats assigned to this person; `me` for the caller, `none` for those that nobody looks after.
    #[param(min_length = 1, max_length = 200)]
    assignee: Option<String>,
    /// Only chats with this tag.
    #[param(min_length = 1, max_length = 200)]
    tag: Option<String>,
    /// Cursor: the `nextCursor` of the previous page, in the same order. A chat that receives a message meanwhile moves to the
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
    let connections = listed(&state, &scope, query.connection_id).await?;
    page(&state, &scope.actor, connections, query).await
}

/// Lists the chats of all agents, most recent first
///
/// As the list of one agent, for an inbox of the whole subaccount.
#[utoipa::path(get, path = "/chats", tag = "History", operation_id = "listAllChats", params(Query),
    responses((status = 200, description = "A page of chats", body = List<ChatView>)))]
pub(super) async fn of_tenant(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<Query>,
) -> Result<Json<List<ChatView>>, Problem> {
    let all = state.store.connections(&tenant.subaccount, None).await?;
    let connections = listed_of(&all, query.connection_id)?;
    page(&state, &tenant.actor, connections, query).await
}

/// A page of chats, with what an inbox shows of each.
async fn page(
    state: &ApiState,
    reader: &Actor,
    connections: Vec<ConnectionId>,
    query: Query,
) -> Result<Json<List<ChatView>>, Problem> {
    let filter = ChatFilter { connections, ..filter(query, reader)? };
    let (limit, skip) = (filter.limit, filter.skip);
    let page = services::chats::page(state, reader, filter).await?;
    Ok(Json(List::of_page(page, (limit, skip), paging::write_time_and_id)))
}

fn assigned(who: String, reader: &Actor) -> Assigned {
    match who.as_str() {
        triage::NOBODY => Assigned::Nobody,
        triage::ME => Assigned::To(triage::person(reader).to_owned()),
        _ => Assigned::To(who),
    }
}

fn filter(query: Query, reader: &Actor) -> Result<ChatFilter, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    if let Some(Err(err)) = query.instagram_user_id.as_deref().map(InstagramUserId::parse) {
        errors.parameter("instagramUserId", err.why);
    }
    let modes = ChatMode::ALL.iter().map(|word| word.as_str());
    let folders = Folder::ALL.iter().map(|word| word.as_str());
    let sorts = ChatSort::ALL.iter().map(|word| word.as_str());
    let sort = paging::word("sort", query.sort, sorts, &mut errors);
    let folder = paging::word("folder", query.folder, folders, &mut errors);
    let filter = ChatFilter {
        user: query.instagram_user_id,
        q: paging::text("q", query.q, &mut errors),
        mode: paging::word("mode", query.mode, modes, &mut errors),
        flag: paging::text("flag", query.flag, &mut errors),
        folder: folder.as_deref().and_then(Folder::parse),
        sort: sort.as_deref().and_then(ChatSort::parse),
        assigned: paging::text("assignee", query.assignee, &mut errors).map(|who| assigned(who, reader)),
        tag: paging::text("tag", query.tag, &mut errors),
        before: paging::read_time_and_id(query.cursor.as_deref(), &mut errors),
        limit,
        skip,
        ..ChatFilter::default()
    };
    errors.end()?;
    Ok(filter)
}
