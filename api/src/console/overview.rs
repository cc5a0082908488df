//! `GET /console/overview`: how it goes.

use super::visitor::Visitor;
use super::{html, trouble};
use crate::extract::Params;
use crate::problem::Problem;
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use dmrelay_console::{Markup, Tab};
use dmrelay_domain::permission::Permission;
use dmrelay_views::Range;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    range: String,
    part: Option<String>,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(query): Params<Query>,
) -> Response {
    let range = Range::parse(&query.range).unwrap_or(Range::Hour);
    let is_part = query.part.as_deref() == Some("state");
    page(&state, &visitor, range, is_part).await.map_or_else(|problem| trouble(&problem), html)
}

async fn page(state: &ApiState, visitor: &Visitor, range: Range, is_part: bool) -> Result<Markup, Problem> {
    visitor.require(Permission::Read)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let overview = services::overview::overview(state, &visitor.subaccount, range).await?;
    if is_part {
        return Ok(dmrelay_console::overview_state(&overview));
    }
    let person = visitor.person();
    Ok(dmrelay_console::shell(Tab::Overview, &person, &dmrelay_console::overview(&person, &overview)))
}
