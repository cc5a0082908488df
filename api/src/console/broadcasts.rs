//! `/console/broadcasts`: messages for many customers.

use super::call::Call;
use super::draft;
use super::visitor::Visitor;
use super::{accounts, handle_of, html, some_agent, trouble};
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::routes::is_live;
use crate::services::broadcasts::{self, Wanted};
use crate::services::templates;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use dmrelay_console::{Broadcasts, Markup, Tab};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{BroadcastId, ConnectionId, TemplateId};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::BroadcastState;
use dmrelay_store::Connection;
use dmrelay_views::{AudienceView, BroadcastView, ReachView, TemplateView};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The page.
const BROADCASTS: &str = "/console/broadcasts";

/// Broadcasts on the page.
const SHOWN: u64 = 20;

const HOUR: Millis = 3_600_000;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    part: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    /// The id that it gets.
    id: Option<Uuid>,
    name: String,
    connection: Option<Uuid>,
    template: String,
    tags: String,
    without_tags: String,
    languages: String,
    active_hours: String,
    per_minute: String,
    in_hours: String,
    /// Set to send it; otherwise its recipients are only counted.
    send: String,
    #[serde(flatten)]
    message: draft::Fields,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(query): Params<Query>,
) -> Response {
    let is_part = query.part.as_deref() == Some("list");
    let render = if is_part { dmrelay_console::sent } else { dmrelay_console::broadcasts };
    let shown = page(&state, &visitor, render).await;
    let shown = shown.map(|body| {
        if is_part { body } else { dmrelay_console::shell(Tab::Broadcasts, &visitor.person(), &body) }
    });
    shown.map_or_else(|problem| trouble(&problem), html)
}

async fn page(
    state: &ApiState,
    visitor: &Visitor,
    render: impl FnOnce(&Broadcasts<'_>) -> Markup + Send,
) -> Result<Markup, Problem> {
    visitor.require(Permission::Read)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let connections = state.store.connections(&visitor.subaccount, None).await?;
    let ids: Vec<ConnectionId> = connections.iter().map(|connection| connection.id).collect();
    let rows = state.store.broadcasts(&ids, (None, SHOWN, 0)).await?;
    let mut all: Vec<BroadcastView> = Vec::with_capacity(rows.items.len());
    for row in &rows.items {
        let counts = state.store.broadcast_counts(row.id).await?;
        all.push(BroadcastView::of(row, Some(&counts)));
    }
    let live = connections.iter().filter(|connection| is_live(connection));
    let accounts: Vec<(Uuid, String)> = live.map(|one| (one.id.0, handle_of(one).to_owned())).collect();
    let saved = state.store.templates(&visitor.subaccount).await?;
    let saved: Vec<TemplateView> = saved.iter().map(templates::view).collect();
    Ok(render(&Broadcasts {
        person: &visitor.person(),
        agent: some_agent(&connections),
        accounts: &accounts,
        templates: &saved,
        all: &all,
        next: BroadcastId::new().0,
    }))
}

/// `POST /console/broadcasts`: creates one, or counts its recipients.
pub(super) async fn create(call: Call<Fields>) -> Response {
    let creating = async {
        let Call { state, visitor, fields, .. } = &call;
        visitor.require(Permission::Broadcast)?;
        let id = fields.connection.ok_or_else(|| Problem::invalid("/connection", "is required"))?;
        let connection = accounts::find(state, visitor, id).await?;
        let wanted = wanted(fields, state.clock.now())?;
        if fields.send.is_empty() {
            let reach = broadcasts::reach(state, &connection, &wanted.audience).await?;
            return Ok(dmrelay_console::reach(Some(&ReachView::from(&reach))));
        }
        broadcasts::create(state, &connection, wanted, &visitor.actor).await?;
        // Whatever else can be read now: it is made.
        Ok(maud::html! {
            (dmrelay_console::fetch("/console/broadcasts?part=list"))
            (dmrelay_console::fresh_id(BroadcastId::new().0))
            (dmrelay_console::reach(None))
        })
    };
    call.answer(creating.await, BROADCASTS)
}

fn wanted(fields: &Fields, now: Millis) -> Result<Wanted, Problem> {
    let mut errors = ValidationErrors::default();
    let mut number = |text: &str, pointer: &str| {
        let text = Some(text.trim()).filter(|text| !text.is_empty())?;
        errors.check(pointer, text.parse::<u32>().map_err(|_| "must be a whole number"))
    };
    let per_minute = number(&fields.per_minute, "/perMinute");
    let active = number(&fields.active_hours, "/audience/activeSince");
    let later = number(&fields.in_hours, "/startsAt");
    errors.end()?;
    let list = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let time = |at: Millis| dmrelay_views::time(at);
    let template = Some(fields.template.trim()).filter(|id| !id.is_empty());
    let template: Option<Uuid> = template
        .map(|id| id.parse().map_err(|_| Problem::invalid("/templateId", "is no template of the subaccount")))
        .transpose()?;
    // To count, nothing needs to be written yet.
    let is_message = template.is_none() && !fields.send.is_empty();
    let message = if is_message { Some(fields.message.checked()?) } else { None };
    let id = fields.id.ok_or_else(|| Problem::invalid("/id", "is required: load the page anew"))?;
    Ok(Wanted {
        id: BroadcastId(id),
        name: fields.name.clone(),
        audience: AudienceView {
            tags: list(&fields.tags),
            without_tags: list(&fields.without_tags),
            languages: list(&fields.languages),
            active_since: active.and_then(|hours| time(now - i64::from(hours) * HOUR)),
            active_before: None,
        },
        message,
        template: template.map(TemplateId),
        variables: BTreeMap::new(),
        starts_at: later.and_then(|hours| time(now + i64::from(hours) * HOUR)),
        per_minute,
    })
}

/// `POST /console/broadcasts/{broadcastId}/{deed}`: pauses, resumes or ends one.
pub(super) async fn act(Path((id, deed)): Path<(Uuid, String)>, call: Call<IgnoredAny>) -> Response {
    let acting = async {
        let Call { state, visitor, .. } = &call;
        visitor.require(Permission::Broadcast)?;
        let to = match deed.as_str() {
            "pause" => BroadcastState::Paused,
            "resume" => BroadcastState::Scheduled,
            "cancel" => BroadcastState::Cancelled,
            _ => return Err(Problem::not_found("there is nothing of this name to do")),
        };
        let id = BroadcastId(id);
        let connection = connection_of(state, visitor, id).await?;
        broadcasts::change(state, &connection, (id, to), &visitor.actor).await?;
        page(state, visitor, dmrelay_console::sent).await
    };
    call.answer(acting.await, BROADCASTS)
}

async fn connection_of(state: &ApiState, visitor: &Visitor, id: BroadcastId) -> Result<Connection, Problem> {
    let all = state.store.connections(&visitor.subaccount, None).await?;
    let ids: Vec<ConnectionId> = all.iter().map(|connection| connection.id).collect();
    let row = state.store.broadcast(&ids, id).await?.ok_or_else(broadcasts::missing)?;
    let connection = all.into_iter().find(|connection| connection.id == row.connection_id);
    connection.ok_or_else(broadcasts::missing)
}
