//! Messages for many customers.

use super::send::{check_connected, check_login};
use super::templates;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{BroadcastId, TemplateId};
use dmrelay_domain::outgoing::Template;
use dmrelay_domain::states::BroadcastState;
use dmrelay_store::entity::broadcast::Model;
use dmrelay_store::{Audience, BroadcastChanged, Connection, NewBroadcast, Reach};
use dmrelay_views::{AudienceView, BroadcastView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the values of a customer are called. Who has none is spared.
const OF_CUSTOMER: [&str; 2] = ["name", "username"];

/// A broadcast that somebody wants.
pub(crate) struct Wanted {
    /// The id that it gets.
    pub(crate) id: BroadcastId,
    pub(crate) name: String,
    pub(crate) audience: AudienceView,
    pub(crate) message: Option<Value>,
    pub(crate) template: Option<TemplateId>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) starts_at: Option<String>,
    pub(crate) per_minute: Option<u32>,
}

/// Checks an audience as JSON. False if it cannot be read.
pub(crate) fn check_json(value: &Value, pointer: &str, errors: &mut ValidationErrors) -> bool {
    let read = serde_json::from_value::<AudienceView>(value.clone());
    read.map(|audience| checked_audience(&audience, pointer, errors)).is_ok()
}

/// How many messages a minute a broadcast sends.
pub(crate) fn checked_pace(state: &ApiState, per_minute: Option<u64>) -> Result<u32, String> {
    let limits = &state.options.limits;
    let most = limits.broadcast_per_minute_max;
    let Some(asked) = per_minute else { return Ok(limits.broadcast_per_minute.min(most)) };
    let asked = u32::try_from(asked).ok().filter(|asked| (1..=most).contains(asked));
    asked.ok_or_else(|| format!("must be 1 to {most} (BROADCAST_PER_MINUTE_MAX)"))
}

/// Makes a broadcast, which begins at its time.
///
/// # Errors
/// 409 or 422 if it cannot be.
pub(crate) async fn create(
    state: &ApiState,
    connection: &Connection,
    wanted: Wanted,
    actor: &Actor,
) -> Result<BroadcastView, Problem> {
    check_connected(connection)?;
    let mut errors = ValidationErrors::default();
    let name = errors.check("/name", templates::checked_name(&wanted.name)).unwrap_or_default();
    let audience = checked_audience(&wanted.audience, "/audience", &mut errors);
    let starts_at = wanted.starts_at.as_deref();
    let starts_at = starts_at.and_then(|text| errors.check("/startsAt", dmrelay_views::parse_time(text)));
    let per_minute = errors.check("/perMinute", checked_pace(state, wanted.per_minute.map(u64::from)));
    errors.end()?;
    let (message, template) = message_of(state, connection, &wanted).await?;
    check_variables(&message, &wanted.variables, connection)?;
    let new = NewBroadcast {
        id: wanted.id,
        name: name.to_owned(),
        audience,
        message: message.as_json().to_string(),
        variables: serde_json::to_string(&wanted.variables).unwrap_or_else(|_| "{}".to_owned()),
        template,
        interval: Duration::from_mins(1) / per_minute.unwrap_or(1),
        starts_at: starts_at.unwrap_or(0),
    };
    let row = match state.store.create_broadcast(connection, new, actor).await {
        // It was made before, and whoever made it was not told.
        Err(err) if err.is_conflict() => {
            state.store.broadcast(&[connection.id], wanted.id).await?.ok_or_else(missing)?
        }
        made => made?,
    };
    tracing::info!(broadcast = %row.id, "broadcast made");
    shown(state, &row).await
}

/// Whom a broadcast would reach now.
///
/// # Errors
/// 422 for an audience that cannot be.
pub(crate) async fn reach(
    state: &ApiState,
    connection: &Connection,
    audience: &AudienceView,
) -> Result<Reach, Problem> {
    let mut errors = ValidationErrors::default();
    let audience = checked_audience(audience, "/audience", &mut errors);
    errors.end()?;
    Ok(state.store.reach(connection.id, &audience).await?)
}

/// A broadcast with how far it has come.
///
/// # Errors
/// If the database cannot be read.
pub(crate) async fn shown(state: &ApiState, row: &Model) -> Result<BroadcastView, Problem> {
    // No worker holds it any more, and what was on its way has arrived by now.
    if matches!(row.state.known(), Some(BroadcastState::Paused | BroadcastState::Cancelled)) {
        state.store.settle_recipients(row.id).await?;
    }
    let counts = state.store.broadcast_counts(row.id).await?;
    Ok(BroadcastView::of(row, Some(&counts)))
}

/// Pauses, resumes or ends a broadcast.
///
/// # Errors
/// 404 if there is none, 409 if it is over.
pub(crate) async fn change(
    state: &ApiState,
    connection: &Connection,
    (id, to): (BroadcastId, BroadcastState),
    actor: &Actor,
) -> Result<BroadcastView, Problem> {
    match state.store.change_broadcast(connection, id, to, actor).await? {
        BroadcastChanged::Now(row) => shown(state, &row).await,
        BroadcastChanged::Missing => Err(missing()),
        BroadcastChanged::No(row) => {
            let title = "The broadcast is not in a state in which this can be done";
            Err(Problem::new(StatusCode::CONFLICT, "broadcast-state", title)
                .detail(format!("it is {}", row.state)))
        }
    }
}

pub(crate) fn missing() -> Problem {
    Problem::not_found("there is no broadcast with that broadcastId")
}

fn checked_audience(audience: &AudienceView, at: &str, errors: &mut ValidationErrors) -> Audience {
    let mut time = |name: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        errors.check(&format!("{at}/{name}"), dmrelay_views::parse_time(text))
    };
    let active_since = time("activeSince", &audience.active_since);
    let active_before = time("activeBefore", &audience.active_before);
    let mut languages = Vec::new();
    for (n, language) in audience.languages.iter().enumerate() {
        match super::triage::checked_language(language) {
            Ok(language) => languages.push(language),
            Err(what) => errors.at(&format!("{at}/languages/{n}"), what),
        }
    }
    Audience {
        tags: audience.tags.clone(),
        without_tags: audience.without_tags.clone(),
        languages,
        active_since,
        active_before,
    }
}

async fn message_of(
    state: &ApiState,
    connection: &Connection,
    wanted: &Wanted,
) -> Result<(Template, Option<(TemplateId, i32)>), Problem> {
    match (&wanted.message, wanted.template) {
        (Some(_), Some(_)) => Err(Problem::invalid("/templateId", "cannot be combined with message")),
        (None, None) => Err(Problem::invalid("/message", "message or templateId is required")),
        (Some(message), None) => Ok((templates::checked_message(message)?, None)),
        (None, Some(id)) => {
            let row = templates::find(state, &connection.subaccount, id).await;
            let row = row.map_err(|_| Problem::invalid("/templateId", "is no template of the subaccount"))?;
            let message = Template::stored(serde_json::from_str(&row.message).unwrap_or_default());
            Ok((message, Some((row.id, row.version))))
        }
    }
}

/// Checks the message as a customer with a short name would get it.
fn check_variables(
    message: &Template,
    variables: &BTreeMap<String, String>,
    connection: &Connection,
) -> Result<(), Problem> {
    let mut values: BTreeMap<String, String> =
        OF_CUSTOMER.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    values.extend(variables.clone());
    let outgoing = message.fill(&values);
    let outgoing = outgoing.map_err(|err| templates::not_filled(err, "is required by the message"))?;
    check_login(&outgoing, connection)
}
