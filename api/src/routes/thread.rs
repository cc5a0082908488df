//! `…/chats/{chatId}/thread`: which app has a conversation at Meta, and its change.

use super::takeover::with_connection;
use crate::access::Scope;
use crate::connect::graph::graph_problem;
use crate::extract::{Body, Id};
use crate::problem::Problem;
use crate::services::takeover::{self, For};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::{ChatId, InstagramUserId};
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_instagram::{Access, INSTAGRAM_INBOX, PAGE_INBOX, ThreadControl, ThreadOwner};
use dmrelay_store::Connection;
use dmrelay_views::{enums, time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which app has a conversation at Meta.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ThreadOwner)]
pub(super) struct ThreadView {
    /// `this_app`, `instagram_inbox`, `page_inbox`, `other_app`, `nobody`; `unknown` where the id of the account's own Meta app is not
    /// known here.
    #[schema(schema_with = enums::thread_owner)]
    owner: &'static str,
    /// The app's id at Meta.
    app_id: Option<String>,
    /// Until when, if Meta tells; it lapses after 24 hours.
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// What is to become of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangeThread {
    /// `take`: it becomes this app's. `release`: nobody's, so that Meta gives it to the default app. `escalate`: the Instagram
    /// inbox's, where people answer; the agent falls silent.
    #[schema(schema_with = enums::thread_action)]
    action: String,
}

/// Gets which app has a conversation at Meta
///
/// Where several apps share an account, only the one that has the conversation may answer; the others' messages have the reason `standby`.
#[utoipa::path(get, path = "/chats/{chatId}/thread", tag = "Takeover", operation_id = "getThreadOwner",
    responses(
        (status = 200, description = "Who has it", body = ThreadView),
        (status = 409, description = "The account is not connected"),
    ))]
pub(super) async fn show(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<ChatId>,
) -> Result<Json<ThreadView>, Problem> {
    let (connection, user, access) = usable(&state, &scope, id).await?;
    view(&state, &connection, &user, &access).await.map(Json)
}

/// Takes, releases or escalates a conversation at Meta
///
/// Meta allows it only where conversation routing is set up for the account.
#[utoipa::path(post, path = "/chats/{chatId}/thread", tag = "Takeover", operation_id = "changeThreadOwner",
    request_body = ChangeThread,
    responses(
        (status = 200, description = "Who has it now", body = ThreadView),
        (status = 409, description = "The account is not connected"),
    ))]
pub(super) async fn change(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<ChatId>,
    Body(request): Body<ChangeThread>,
) -> Result<Json<ThreadView>, Problem> {
    let control = match request.action.as_str() {
        "take" => ThreadControl::Take,
        "release" => ThreadControl::Release,
        "escalate" => ThreadControl::Pass(INSTAGRAM_INBOX),
        _ => return Err(Problem::invalid("/action", "must be take, release or escalate")),
    };
    let (connection, user, access) = usable(&state, &scope, id).await?;
    let done = state.graph.control_thread(&access, &user, control).await;
    done.map_err(|err| graph_problem(&err))?;
    if matches!(control, ThreadControl::Pass(_)) {
        takeover::take_over(&state, &connection, id, &scope.actor, For::Usual).await?;
    }
    tracing::info!(connection = %connection.id, chat = %id, action = request.action, "a conversation was given to another app, or taken");
    view(&state, &connection, &user, &access).await.map(Json)
}

async fn usable(
    state: &ApiState,
    scope: &Scope,
    id: ChatId,
) -> Result<(Connection, InstagramUserId, Access), Problem> {
    let (connection, chat) = with_connection(state, scope, id).await?;
    if connection.status != ConnectionStatus::Connected {
        let title = "The account is not connected";
        return Err(Problem::new(StatusCode::CONFLICT, "not-connected", title)
            .with("connectionStatus", connection.status.as_str()));
    }
    let user = InstagramUserId::parse(&chat.instagram_user_id)
        .map_err(|_| Problem::not_found("the chat's customer cannot be read"))?;
    let access = crate::services::inbox_profile::access_of(state, &connection)?;
    Ok((connection, user, access))
}

async fn view(
    state: &ApiState,
    connection: &Connection,
    user: &InstagramUserId,
    access: &Access,
) -> Result<ThreadView, Problem> {
    let ThreadOwner { app_id, until } =
        state.graph.thread_owner(access, user).await.map_err(|err| graph_problem(&err))?;
    let known = crate::connect::apps::ids(state, connection).await?;
    let owner = match app_id.as_deref() {
        None => "nobody",
        Some(INSTAGRAM_INBOX) => "instagram_inbox",
        Some(PAGE_INBOX) => "page_inbox",
        Some(id) if known.iter().any(|known| known == id) => "this_app",
        Some(_) if known.is_empty() => "unknown",
        Some(_) => "other_app",
    };
    Ok(ThreadView { owner, app_id, until: until.and_then(time) })
}
