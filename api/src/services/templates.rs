//! Saved messages with variables.

use super::send::{add_faults, faults};
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{SubaccountId, TemplateId};
use dmrelay_domain::outgoing::{NotFilled, Outgoing, Template};
use dmrelay_domain::text::is_printable;
use dmrelay_store::entity::{chat, template};
use dmrelay_store::{NewTemplate, SavedTemplate};
use dmrelay_views::TemplateView;
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum length of a name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// What a template is to be.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) message: &'a Value,
}

/// A template as the API shows it.
pub(crate) fn view(row: &template::Model) -> TemplateView {
    TemplateView::of(row, of_row(row).variables())
}

fn of_row(row: &template::Model) -> Template {
    Template::stored(serde_json::from_str(&row.message).unwrap_or_default())
}

/// A template of the subaccount.
///
/// # Errors
/// 404 if it has none of this id.
pub(crate) async fn find(
    state: &ApiState,
    subaccount: &SubaccountId,
    id: TemplateId,
) -> Result<template::Model, Problem> {
    state.store.template(subaccount, id).await?.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("this subaccount has no template with that templateId")
}

/// Makes a template, or writes one anew: with `version` only if that is the one it has.
///
/// # Errors
/// 404, 409 or 422 if it cannot be.
pub(crate) async fn save(
    state: &ApiState,
    (subaccount, actor): (&SubaccountId, &Actor),
    wanted: Wanted<'_>,
    existing: Option<(TemplateId, Option<i32>)>,
) -> Result<template::Model, Problem> {
    let new = checked(wanted)?;
    let most = state.options.limits.templates_per_subaccount;
    let saved = match existing {
        None => state.store.create_template(subaccount, new, most, actor).await,
        Some((id, version)) => state.store.change_template((subaccount, id), new, version, actor).await,
    };
    let saved = match saved {
        // Somebody took the name at the same time.
        Err(err) if err.is_conflict() => SavedTemplate::NameTaken,
        saved => saved?,
    };
    let conflict = |kind, title| Problem::new(StatusCode::CONFLICT, kind, title);
    match saved {
        SavedTemplate::Now(row) => Ok(*row),
        SavedTemplate::Missing => Err(missing()),
        SavedTemplate::NameTaken => {
            Err(conflict("template-name-taken", "Another template of the subaccount has this name"))
        }
        SavedTemplate::TooMany => {
            Err(conflict("too-many-templates", "The subaccount has too many templates")
                .detail(format!("it has {most}; remove one first")))
        }
        SavedTemplate::Outdated(version) => {
            Err(conflict("template-changed", "Somebody has changed the template meanwhile")
                .detail(format!("it has version {version} now")))
        }
    }
}

/// The name of a template or a broadcast, for people.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn checked_name(name: &str) -> Result<&str, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_printable) {
        return Err(format!("must have 1 to {NAME_CHARS_MAX} characters, and none that controls a terminal"));
    }
    Ok(name)
}

/// The message at `pointer` of a body, with variables in its texts.
pub(crate) fn message_of(value: &Value, pointer: &str, errors: &mut ValidationErrors) -> Option<Template> {
    Template::parse(value).map_err(|err| add_faults(pointer, err, errors)).ok()
}

/// A message with variables in its texts.
pub(crate) fn checked_message(message: &Value) -> Result<Template, Problem> {
    let mut errors = ValidationErrors::default();
    let template = message_of(message, "/message", &mut errors);
    errors.end()?;
    template.ok_or_else(|| Problem::invalid("/message", "is not valid"))
}

fn checked(Wanted { name, message }: Wanted<'_>) -> Result<NewTemplate, Problem> {
    let name = checked_name(name).map_err(|what| Problem::invalid("/name", what))?;
    let template = checked_message(message)?;
    Ok(NewTemplate { name: name.to_owned(), message: template.as_json().to_string() })
}

/// The message of a template with these values. What is not given is taken from the customer: `name` and `username`.
///
/// # Errors
/// 422 if a variable has no value, or with these Meta would not take the message.
pub(crate) fn filled(
    row: &template::Model,
    variables: &BTreeMap<String, String>,
    customer: Option<&chat::Model>,
) -> Result<Outgoing, Problem> {
    let mut values = BTreeMap::new();
    if let Some(chat) = customer {
        let name = chat.name.as_ref().or(chat.username.as_ref());
        values.extend(name.map(|name| ("name".to_owned(), name.clone())));
        values.extend(chat.username.as_ref().map(|name| ("username".to_owned(), name.clone())));
    }
    let given =
        variables.iter().map(|(name, value)| (name.clone(), dmrelay_domain::text::clean(value).into_owned()));
    values.extend(given);
    of_row(row).fill(&values).map_err(|err| not_filled(err, "is required by the template"))
}

/// The problem of variables that do not fill a message; `required` says so of one that has no value.
pub(crate) fn not_filled(err: NotFilled, required: &str) -> Problem {
    match err {
        NotFilled::Invalid(err) => faults("/variables", err),
        NotFilled::Missing(names) => {
            let mut errors = ValidationErrors::default();
            for name in names {
                errors.at(&format!("/variables/{name}"), required);
            }
            errors.end().err().unwrap_or_else(missing)
        }
    }
}
