//! `GET …/comments`: comments on the account's posts, and mentions of it.

use super::{listed, paging};
use crate::access::Scope;
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services::comments::{self, Wanted, missing};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::{CommentId, InstagramUserId};
use dmrelay_domain::states::{CommentKind, CommentState};
use dmrelay_store::CommentFilter;
use dmrelay_views::{CommentView, List, enums};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only this account.
    connection_id: Option<Uuid>,
    /// Only comments on this post, by Meta's id.
    #[param(min_length = 1, max_length = 64)]
    instagram_media_id: Option<String>,
    /// Only comments of this kind.
    #[param(schema_with = enums::comment_kind)]
    kind: Option<String>,
    /// Only comments of whose private reply this became.
    #[param(schema_with = enums::comment_state)]
    state: Option<String>,
    /// Only comments by this Instagram user.
    #[param(pattern = "^[0-9]{1,32}$")]
    instagram_user_id: Option<String>,
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Lists comments and mentions, newest first
#[utoipa::path(get, path = "/comments", tag = "Comments", operation_id = "listComments", params(Query),
    responses((status = 200, description = "A page of comments", body = List<CommentView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<List<CommentView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    let kind = query.kind.as_deref().and_then(|word| {
        errors.check_parameter("kind", CommentKind::parse(word).ok_or("must be comment or mention"))
    });
    let wanted = query.state.as_deref().and_then(|word| {
        errors.check_parameter("state", CommentState::parse(word).ok_or("is no state of a comment"))
    });
    let user = query.instagram_user_id.as_deref().and_then(|user| {
        errors.check_parameter("instagramUserId", InstagramUserId::parse(user).map_err(|err| err.why))
    });
    errors.end()?;
    let connections = listed(&state, &scope, query.connection_id).await?;
    let filter = CommentFilter { connections, media: query.instagram_media_id, state: wanted, kind, user };
    let page = state.store.comments(&filter, (before, limit, skip)).await?;
    Ok(Json(List::of(page, (limit, skip), CommentView::of, paging::write_id)))
}

/// Gets a comment or mention
#[utoipa::path(get, path = "/comments/{commentId}", tag = "Comments", operation_id = "getComment",
    responses((status = 200, description = "The comment", body = CommentView)))]
pub(super) async fn show(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<CommentId>,
) -> Result<Json<CommentView>, Problem> {
    let connections = listed(&state, &scope, None).await?;
    let row = state.store.comment(&connections, id).await?;
    let row = row.ok_or_else(missing)?;
    Ok(Json(CommentView::of(&row)))
}

/// A reply that everybody sees.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PublicReply {
    /// What it says, at most 1,000 bytes.
    #[schema(min_length = 1, max_length = 1_000, example = "Yes, in two sizes. You have a message.")]
    text: String,
}

/// Answers a comment for everybody to see
///
/// A comment is answered publicly only once, whether by a rule or by a person.
#[utoipa::path(post, path = "/comments/{commentId}/reply", tag = "Comments", operation_id = "replyToComment",
    request_body = PublicReply,
    responses(
        (status = 200, description = "The comment", body = CommentView),
        (status = 409, description = "It was answered already or is being answered, or the account is not connected"),
    ))]
pub(super) async fn reply(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<CommentId>,
    Body(request): Body<PublicReply>,
) -> Result<Json<CommentView>, Problem> {
    act(&state, &scope, id, Wanted::Reply(&request.text)).await
}

/// Hides a comment
#[utoipa::path(post, path = "/comments/{commentId}/hide", tag = "Comments", operation_id = "hideComment",
    responses(
        (status = 200, description = "The comment", body = CommentView),
        (status = 409, description = "It is hidden already or is being hidden, or the account is not connected"),
    ))]
pub(super) async fn hide(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<CommentId>,
) -> Result<Json<CommentView>, Problem> {
    act(&state, &scope, id, Wanted::Hide).await
}

async fn act(
    state: &ApiState,
    scope: &Scope,
    id: CommentId,
    wanted: Wanted<'_>,
) -> Result<Json<CommentView>, Problem> {
    let all = state.store.connections(&scope.subaccount, Some(&scope.agent)).await?;
    let row = comments::act(state, &all, id, (wanted, &scope.actor)).await?;
    Ok(Json(CommentView::of(&row)))
}
