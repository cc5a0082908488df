//! `/console/keys`: the API keys of the subaccount, for owners.

use super::visitor::Visitor;
use super::{go_to, html, trouble};
use crate::extract::Id;
use crate::problem::Problem;
use crate::services::keys::{self, Wanted};
use crate::state::ApiState;
use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use dmrelay_console::Tab;
use dmrelay_domain::ids::ApiKeyId;
use dmrelay_domain::permission::Permission;
use dmrelay_views::ApiKeyView;
use serde::Deserialize;

/// Keys on the page: a subaccount has few.
const PAGE: u64 = 200;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    csrf: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
    days: Option<u32>,
}

pub(super) async fn show(State(state): State<ApiState>, visitor: Visitor) -> Response {
    let showing = async {
        visitor.require(Permission::ManageKeys)?;
        let person = visitor.person();
        let keys = all(&state, &visitor).await?;
        Ok(dmrelay_console::shell(Tab::Keys, &person, &dmrelay_console::keys(&person, &keys)))
    };
    showing.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// `POST /console/keys`: makes a key, and shows it once.
pub(super) async fn create(
    State(state): State<ApiState>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let creating = async {
        visitor.check_form(&headers, fields.csrf.as_deref())?;
        visitor.require(Permission::ManageKeys)?;
        let now = state.clock.now();
        let wanted = Wanted {
            name: fields.name.trim().to_owned(),
            role: fields.role,
            expires_at: fields.days.map(|days| Ok(now + i64::from(days) * DAY)),
        };
        let name = wanted.name.clone();
        let by = (&visitor.subaccount, visitor.role, &visitor.actor);
        let (_, key) = keys::create(&state, by, wanted).await?;
        let (person, all) = (visitor.person(), all(&state, &visitor).await?);
        Ok(maud::html! { (dmrelay_console::made(&name, &key)) (dmrelay_console::key_list(&person, &all)) })
    };
    // Without a script the key stands on a page of its own: it must be shown.
    creating.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// `POST /console/keys/{keyId}/revoke`.
pub(super) async fn revoke(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ApiKeyId>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let revoking = async {
        visitor.check_form(&headers, fields.csrf.as_deref())?;
        visitor.require(Permission::ManageKeys)?;
        keys::revoke(&state, (&visitor.subaccount, &visitor.actor), id).await?;
        Ok::<_, Problem>(dmrelay_console::key_list(&visitor.person(), &all(&state, &visitor).await?))
    };
    match revoking.await {
        Err(problem) => trouble(&problem),
        Ok(fragments) if headers.contains_key("x-fragment") => html(fragments),
        Ok(_) => go_to("/console/keys"),
    }
}

async fn all(state: &ApiState, visitor: &Visitor) -> Result<Vec<ApiKeyView>, Problem> {
    let page = state.store.api_keys(&visitor.subaccount, None, PAGE, 0).await?;
    Ok(page.items.iter().map(ApiKeyView::of).collect())
}
