//! `/console/notifications`: what is wrong, who is notified of it, and what they were told.

use super::call::Call;
use super::visitor::Visitor;
use super::{html, trouble};
use crate::problem::Problem;
use crate::services::targets::{self, Wanted};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use dmrelay_console::{Markup, Notifications, Tab};
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_domain::notification::IncidentKind;
use dmrelay_domain::permission::Permission;
use dmrelay_domain::secret::Secret;
use dmrelay_store::{IncidentFilter, NotificationFilter, Owner};
use dmrelay_views::{IncidentView, NotificationView, TargetView};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;
use uuid::Uuid;

/// The page.
const NOTIFICATIONS: &str = "/console/notifications";

/// Incidents, and notifications, on the page.
const SHOWN: u64 = 20;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    name: String,
    /// Ticks, by the words of kinds of incidents.
    #[serde(flatten)]
    kinds: HashMap<String, String>,
}

pub(super) async fn show(State(state): State<ApiState>, visitor: Visitor) -> Response {
    page(&state, &visitor, dmrelay_console::notifications)
        .await
        .map_or_else(|problem| trouble(&problem), |body| html(shell(&visitor, &body)))
}

fn shell(visitor: &Visitor, body: &Markup) -> Markup {
    dmrelay_console::shell(Tab::Notifications, &visitor.person(), body)
}

/// What there is to see, rendered.
async fn page(
    state: &ApiState,
    visitor: &Visitor,
    render: impl FnOnce(&Notifications<'_>) -> Markup + Send,
) -> Result<Markup, Problem> {
    visitor.require(Permission::Notify)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let owner = Owner::Subaccount(visitor.subaccount.clone());
    let targets = state.store.notification_targets(&owner).await?;
    let open = IncidentFilter {
        owner: Some(owner.clone()),
        kind: None,
        is_over: Some(false),
        before: None,
        limit: SHOWN,
        skip: 0,
    };
    let open = state.store.incident_page(&open).await?;
    let filter = NotificationFilter { owner, target: None, state: None, before: None, limit: SHOWN, skip: 0 };
    let told = state.store.notifications(&filter).await?;
    let about = state.store.incidents_of(&told.items).await?;
    let view = |row: &_| NotificationView::of(row, row.incident_id.and_then(|id| about.get(&id)));
    Ok(render(&Notifications {
        person: &visitor.person(),
        incidents: &open.items.iter().map(IncidentView::of).collect::<Vec<_>>(),
        targets: &targets.iter().map(TargetView::of).collect::<Vec<_>>(),
        told: &told.items.iter().map(view).collect::<Vec<_>>(),
    }))
}

/// `POST /console/notifications`: adds somebody, and shows the secret of a webhook once.
pub(super) async fn create(call: Call<Fields>) -> Response {
    let creating = async {
        let Call { state, visitor, fields, .. } = &call;
        visitor.require(Permission::Notify)?;
        let address = Some(fields.address.trim().to_owned());
        let (url, email) = if fields.channel == "email" { (None, address) } else { (address, None) };
        let ticked = IncidentKind::ALL.iter().map(|kind| kind.as_str());
        let ticked = ticked.filter(|kind| fields.kinds.contains_key(*kind));
        let kinds = Some(ticked.map(str::to_owned).collect());
        let name = Some(fields.name.trim().to_owned());
        let wanted = Wanted { url, email, name, kinds, ..Wanted::default() };
        let (_, secret) = targets::create(state, (&visitor.subaccount, &visitor.actor), wanted).await?;
        Ok(told(state, visitor, secret.as_ref()).await)
    };
    // Without a script the secret stands on a page of its own: it must be shown.
    creating.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// `POST /console/notifications/{targetId}/{deed}`.
pub(super) async fn act(Path((id, deed)): Path<(Uuid, String)>, call: Call<IgnoredAny>) -> Response {
    let acting = async {
        let Call { state, visitor, .. } = &call;
        visitor.require(Permission::Notify)?;
        let (by, id) = ((&visitor.subaccount, &visitor.actor), NotificationTargetId(id));
        match deed.as_str() {
            "test" => drop(targets::test(state, &visitor.subaccount, id).await?),
            "remove" => targets::delete(state, by, id).await?,
            "rotate" => {
                let (secret, _) = targets::rotate(state, by, id).await?;
                return Ok(told(state, visitor, Some(&secret)).await);
            }
            "enable" | "disable" => {
                let wanted = Wanted { enabled: Some(deed == "enable"), ..Wanted::default() };
                drop(targets::change(state, by, id, wanted).await?);
            }
            _ => return Err(Problem::not_found("there is nothing of this name to do")),
        }
        Ok(told(state, visitor, None).await)
    };
    match (acting.await, deed.as_str()) {
        (Ok(secret), "rotate") => html(secret),
        (outcome, _) => call.answer(outcome, NOTIFICATIONS),
    }
}

/// Who is told, and a secret, which must be shown whatever else can be read.
async fn told(state: &ApiState, visitor: &Visitor, secret: Option<&Secret<String>>) -> Markup {
    let told = page(state, visitor, dmrelay_console::told).await.unwrap_or_default();
    maud::html! {
        @if let Some(secret) = secret { (dmrelay_console::secret(secret.expose())) }
        (told)
    }
}
