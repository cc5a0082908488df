//! `/console/keys`: the API keys of the subaccount, for owners.

use super::call::Call;
use super::visitor::Visitor;
use super::{html, trouble};
use crate::extract::Id;
use crate::problem::Problem;
use crate::services::keys::{self, Wanted};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use dmrelay_console::{Markup, Tab};
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
pub(super) async fn create(call: Call<Fields>) -> Response {
    // Without a script the key stands on a page of its own: it must be shown.
    made(&call).await.map_or_else(|problem| trouble(&problem), html)
}

async fn made(Call { state, visitor, fields, .. }: &Call<Fields>) -> Result<Markup, Problem> {
    visitor.require(Permission::ManageKeys)?;
    let (name, now) = (fields.name.trim(), state.clock.now());
    let wanted = Wanted {
        name: name.to_owned(),
        role: fields.role.clone(),
        expires_at: fields.days.map(|days| Ok(now + i64::from(days) * DAY)),
    };
    let by = (&visitor.subaccount, visitor.role, &visitor.actor);
    let (_, key) = keys::create(state, by, wanted).await?;
    let (person, all) = (visitor.person(), all(state, visitor).await?);
    Ok(maud::html! { (dmrelay_console::made(name, &key)) (dmrelay_console::key_list(&person, &all)) })
}

/// `POST /console/keys/{keyId}/revoke`.
pub(super) async fn revoke(Id(id): Id<ApiKeyId>, call: Call<Fields>) -> Response {
    let revoking = async {
        let Call { state, visitor, .. } = &call;
        visitor.require(Permission::ManageKeys)?;
        keys::revoke(state, (&visitor.subaccount, &visitor.actor), id).await?;
        Ok(dmrelay_console::key_list(&visitor.person(), &all(state, visitor).await?))
    };
    call.answer(revoking.await, "/console/keys")
}

async fn all(state: &ApiState, visitor: &Visitor) -> Result<Vec<ApiKeyView>, Problem> {
    let page = state.store.api_keys(&visitor.subaccount, None, PAGE, 0).await?;
    Ok(page.items.iter().map(ApiKeyView::of).collect())
}
