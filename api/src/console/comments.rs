//! `/console/comments`: comments on posts of the accounts, and mentions of them.

use super::call::Call;
use super::visitor::Visitor;
use super::{html, some_agent, trouble};
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::routes::{ids, paging};
use crate::services::comments::{self, Wanted};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use dmrelay_console::{Comments, Markup, Tab};
use dmrelay_domain::ids::CommentId;
use dmrelay_domain::permission::Permission;
use dmrelay_store::CommentFilter;
use dmrelay_views::CommentView;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The page.
const COMMENTS: &str = "/console/comments";

/// Comments on a page.
const PAGE: u64 = 50;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    /// Only those on this post.
    #[serde(default)]
    post: String,
    cursor: Option<String>,
    part: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    text: String,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(query): Params<Query>,
) -> Response {
    page(&state, &visitor, query).await.map_or_else(|problem| trouble(&problem), html)
}

async fn page(state: &ApiState, visitor: &Visitor, query: Query) -> Result<Markup, Problem> {
    visitor.require(Permission::Read)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let mut errors = ValidationErrors::default();
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let connections = state.store.connections(&visitor.subaccount, None).await?;
    let media = Some(query.post.clone()).filter(|post| !post.is_empty());
    let filter = CommentFilter { connections: ids(&connections), media, ..CommentFilter::default() };
    let found = state.store.comments(&filter, (before, PAGE, 0)).await?;
    let all: Vec<CommentView> = found.items.iter().map(CommentView::of).collect();
    let person = visitor.person();
    let page = Comments {
        person: &person,
        agent: some_agent(&connections),
        all: &all,
        next: found.next.map(paging::write_id),
        post: &query.post,
        is_first: before.is_none(),
    };
    Ok(match query.part.as_deref() {
        Some("list") => dmrelay_console::comment_list(&page),
        _ => dmrelay_console::shell(Tab::Comments, &person, &dmrelay_console::comments(&page)),
    })
}

/// `POST /console/comments/{commentId}/reply`: everybody sees it.
pub(super) async fn reply(Id(id): Id<CommentId>, call: Call<Fields>) -> Response {
    let wanted = Wanted::Reply(&call.fields.text);
    let outcome = act(&call, id, wanted).await;
    call.answer(outcome, COMMENTS)
}

/// `POST /console/comments/{commentId}/hide`.
pub(super) async fn hide(Id(id): Id<CommentId>, call: Call<IgnoredAny>) -> Response {
    let outcome = act(&call, id, Wanted::Hide).await;
    call.answer(outcome, COMMENTS)
}

async fn act<F>(call: &Call<F>, id: CommentId, wanted: Wanted<'_>) -> Result<Markup, Problem> {
    let Call { state, visitor, .. } = call;
    visitor.require(Permission::Send)?;
    let all = state.store.connections(&visitor.subaccount, None).await?;
    let row = comments::act(state, &all, id, (wanted, &visitor.actor)).await?;
    Ok(dmrelay_console::comment_card(&visitor.person(), &CommentView::of(&row)))
}
