//! `/console/templates`: the saved messages of the subaccount.

use super::call::Call;
use super::draft::{self, draft};
use super::visitor::Visitor;
use super::{html, trouble};
use crate::extract::{Id, Params};
use crate::problem::Problem;
use crate::services::templates::{self, Wanted};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use dmrelay_console::{Editing, Markup, Tab};
use dmrelay_domain::ids::TemplateId;
use dmrelay_domain::permission::Permission;
use dmrelay_views::TemplateView;
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

/// The page.
const TEMPLATES: &str = "/console/templates";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    /// The one that is to be changed.
    template: Option<Uuid>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    name: String,
    /// The version that was read.
    version: Option<String>,
    #[serde(flatten)]
    message: draft::Fields,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(query): Params<Query>,
) -> Response {
    let showing = async {
        visitor.require(Permission::Read)?;
        let all = all(&state, &visitor).await?;
        let template = query.template.and_then(|id| all.iter().find(|one| one.template_id == id));
        let draft = template.map(|template| draft(&template.message)).unwrap_or_default();
        let person = visitor.person();
        let body = dmrelay_console::templates(&person, &all, &Editing { template, draft });
        Ok(dmrelay_console::shell(Tab::Templates, &person, &body))
    };
    showing.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

async fn all(state: &ApiState, visitor: &Visitor) -> Result<Vec<TemplateView>, Problem> {
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    Ok(state.store.templates(&visitor.subaccount).await?.iter().map(templates::view).collect())
}

/// `POST /console/templates`: saves a new message.
pub(super) async fn create(call: Call<Fields>) -> Response {
    save(&call, None).await
}

/// `POST /console/templates/{templateId}`: writes one anew.
pub(super) async fn change(Id(id): Id<TemplateId>, call: Call<Fields>) -> Response {
    save(&call, Some(id)).await
}

async fn save(call: &Call<Fields>, id: Option<TemplateId>) -> Response {
    let saving = async {
        let Call { state, visitor, fields, .. } = call;
        visitor.require(Permission::Configure)?;
        let message = fields.message.checked()?;
        let wanted = Wanted { name: &fields.name, message: &message };
        let version = fields.version.as_deref().and_then(|version| version.parse().ok());
        let existing = id.map(|id| (id, version));
        templates::save(state, (&visitor.subaccount, &visitor.actor), wanted, existing).await?;
        changed(state, visitor).await
    };
    call.answer(saving.await, TEMPLATES)
}

/// `POST /console/templates/{templateId}/remove`.
pub(super) async fn remove(Id(id): Id<TemplateId>, call: Call<IgnoredAny>) -> Response {
    let removing = async {
        let Call { state, visitor, .. } = &call;
        visitor.require(Permission::Configure)?;
        templates::find(state, &visitor.subaccount, id).await?;
        state.store.delete_template(&visitor.subaccount, id, &visitor.actor).await?;
        changed(state, visitor).await
    };
    call.answer(removing.await, TEMPLATES)
}

/// The list as it is now, and an empty form.
async fn changed(state: &ApiState, visitor: &Visitor) -> Result<Markup, Problem> {
    let (person, all) = (visitor.person(), all(state, visitor).await?);
    Ok(maud::html! {
        (dmrelay_console::editor(&person, &Editing::default()))
        (dmrelay_console::saved(&person, &all))
    })
}
