//! The ice breakers and the persistent menu that customers see.

use crate::connect::graph::graph_problem;
use crate::problem::{Problem, ValidationErrors};
use crate::routes::is_live;
use crate::services::connections;
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_instagram::{Access, IceBreakers, InboxProfile, Menu, MenuItem};
use dmrelay_store::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use url::Url;
use utoipa::ToSchema;

/// Meta's limits (Meta, "Ice breakers", "Persistent menu"; those of the menu are Messenger's).
const QUESTIONS_MAX: usize = 4;
const ITEMS_MAX: usize = 20;
const TITLE_MAX: usize = 30;
const PAYLOAD_MAX: usize = 1_000;

/// Not known; Meta refuses what is too long for it.
const QUESTION_MAX: usize = 1_000;

/// The language for everybody who has another.
const DEFAULT: &str = "default";

/// What customers see before they write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Profile {
    /// Questions to tap in a conversation that has not begun, at most 4; in several languages, of which one is `default`. Empty: none.
    #[serde(default)]
    #[schema(required)]
    pub(crate) ice_breakers: Vec<ProfileQuestions>,
    /// The menu of a conversation, at most 20 entries; in several languages, of which one is `default`. Empty: none.
    #[serde(default)]
    #[schema(required)]
    pub(crate) persistent_menu: Vec<ProfileMenu>,
}

/// Ice breakers in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = IceBreakers)]
pub(crate) struct ProfileQuestions {
    /// `default`, or a language like `en_US`.
    #[schema(example = "default")]
    pub(crate) locale: String,
    #[schema(min_items = 1, max_items = 4)]
    pub(crate) questions: Vec<ProfileQuestion>,
}

/// A question to tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = IceBreaker)]
pub(crate) struct ProfileQuestion {
    #[schema(min_length = 1, example = "Where is my order?")]
    pub(crate) question: String,
    /// What the tap brings besides the question.
    #[schema(min_length = 1, max_length = 1_000, example = "ORDER")]
    pub(crate) payload: String,
}

/// The menu in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PersistentMenu)]
pub(crate) struct ProfileMenu {
    /// `default`, or a language like `en_US`.
    #[schema(example = "default")]
    pub(crate) locale: String,
    #[schema(min_items = 1, max_items = 20)]
    pub(crate) items: Vec<ProfileItem>,
}

/// An entry of the menu: with a `payload`, which a tap brings, or with the `url` it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MenuItem)]
pub(crate) struct ProfileItem {
    #[schema(min_length = 1, max_length = 30, example = "Opening hours")]
    pub(crate) title: String,
    #[schema(min_length = 1, max_length = 1_000, example = "HOURS")]
    pub(crate) payload: Option<String>,
    /// An https address.
    pub(crate) url: Option<String>,
}

/// What was set here, and what Meta shows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboxProfile)]
pub(crate) struct ProfileView {
    /// What was set here; null if nothing was.
    pub(crate) wanted: Option<Profile>,
    /// What Meta has. In the app a change can take up to a day to show.
    pub(crate) at_meta: Profile,
    /// The parts that differ: `iceBreakers`, `persistentMenu`. Somebody else has changed them.
    pub(crate) drift: Vec<&'static str>,
}

/// Sets both parts at Meta, and reads them back.
///
/// # Errors
/// 422 if something of it is beyond Meta's limits; 409 if the account is not connected; what Meta says.
pub(crate) async fn set(
    state: &ApiState,
    connection: &Connection,
    wanted: &Profile,
    actor: &Actor,
) -> Result<ProfileView, Problem> {
    let mut errors = ValidationErrors::default();
    check(wanted, &mut errors);
    errors.end()?;
    let access = access_of_live(state, connection)?;
    let set = state.graph.set_inbox_profile(&access, &wanted.for_meta()).await;
    set.map_err(|err| graph_problem(&err))?;
    let text = serde_json::to_string(wanted).unwrap_or_default();
    state.store.put_inbox_profile(connection, Some(&text), actor).await?;
    view(state, connection, &access).await
}

/// Removes both parts at Meta, whoever has set them.
///
/// # Errors
/// 409 if the account is not connected; what Meta says.
pub(crate) async fn remove(state: &ApiState, connection: &Connection, actor: &Actor) -> Result<(), Problem> {
    let access = access_of_live(state, connection)?;
    let removed = state.graph.set_inbox_profile(&access, &InboxProfile::default()).await;
    removed.map_err(|err| graph_problem(&err))?;
    Ok(state.store.put_inbox_profile(connection, None, actor).await?)
}

/// With what Graph is called for a connection that is in use.
///
/// # Errors
/// 409 if the account is not connected.
pub(crate) fn access_of_live(state: &ApiState, connection: &Connection) -> Result<Access, Problem> {
    if !is_live(connection) {
        return Err(connections::not_connected(connection));
    }
    access_of(state, connection)
}

/// With what Graph is called for a connection.
pub(crate) fn access_of(state: &ApiState, connection: &Connection) -> Result<Access, Problem> {
    dmrelay_app::access(&state.vault, connection).map_err(|err| {
        tracing::error!(connection = %connection.id, error = %err, "cannot decrypt a stored access token");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The stored token cannot be read")
    })
}

/// What was set, and what Meta has.
///
/// # Errors
/// What Meta says.
pub(crate) async fn view(
    state: &ApiState,
    connection: &Connection,
    access: &Access,
) -> Result<ProfileView, Problem> {
    let at_meta = state.graph.inbox_profile(access).await.map_err(|err| graph_problem(&err))?;
    let at_meta = Profile::of_meta(at_meta);
    let wanted = state.store.inbox_profile(connection.id).await?;
    let wanted: Option<Profile> = wanted.and_then(|text| serde_json::from_str(&text).ok());
    let mut drift = Vec::new();
    if let Some(wanted) = &wanted {
        if wanted.ice_breakers != at_meta.ice_breakers {
            drift.push("iceBreakers");
        }
        if wanted.persistent_menu != at_meta.persistent_menu {
            drift.push("persistentMenu");
        }
    }
    Ok(ProfileView { wanted, at_meta, drift })
}

/// Checks a profile as JSON. False if it cannot be read.
pub(crate) fn check_json(value: &Value, errors: &mut ValidationErrors) -> bool {
    let list = |name: &str| value.get(name).cloned().unwrap_or_else(|| json!([]));
    let whole = json!({ "iceBreakers": list("iceBreakers"), "persistentMenu": list("persistentMenu") });
    let read = serde_json::from_value(whole);
    read.map(|profile| check(&profile, errors)).is_ok()
}

fn check(profile: &Profile, errors: &mut ValidationErrors) {
    let locales: Vec<&str> = profile.ice_breakers.iter().map(|one| one.locale.as_str()).collect();
    check_locales("/iceBreakers", &locales, errors);
    for (n, of) in profile.ice_breakers.iter().enumerate() {
        let at = format!("/iceBreakers/{n}/questions");
        count(&at, of.questions.len(), QUESTIONS_MAX, errors);
        for (m, one) in of.questions.iter().enumerate() {
            words(&format!("{at}/{m}/question"), &one.question, QUESTION_MAX, errors);
            words(&format!("{at}/{m}/payload"), &one.payload, PAYLOAD_MAX, errors);
        }
    }
    let locales: Vec<&str> = profile.persistent_menu.iter().map(|one| one.locale.as_str()).collect();
    check_locales("/persistentMenu", &locales, errors);
    for (n, of) in profile.persistent_menu.iter().enumerate() {
        let at = format!("/persistentMenu/{n}/items");
        count(&at, of.items.len(), ITEMS_MAX, errors);
        for (m, one) in of.items.iter().enumerate() {
            words(&format!("{at}/{m}/title"), &one.title, TITLE_MAX, errors);
            match (&one.payload, &one.url) {
                (Some(payload), None) => {
                    words(&format!("{at}/{m}/payload"), payload, PAYLOAD_MAX, errors);
                }
                (None, Some(url)) if Url::parse(url).is_ok_and(|url| url.scheme() == "https") => {}
                (None, Some(_)) => errors.at(&format!("{at}/{m}/url"), "must be an https address"),
                _ => errors.at(&format!("{at}/{m}"), "must have a payload or a url, and not both"),
            }
        }
    }
}

fn check_locales(pointer: &str, locales: &[&str], errors: &mut ValidationErrors) {
    if locales.is_empty() {
        return;
    }
    if !locales.contains(&DEFAULT) {
        errors.at(pointer, "one locale must be default");
    }
    if locales.iter().collect::<HashSet<_>>().len() < locales.len() {
        errors.at(pointer, "has a locale twice");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (n, locale) in locales.iter().enumerate() {
        if locale.is_empty() || locale.len() > 16 || !locale.chars().all(is_word) {
            errors.at(&format!("{pointer}/{n}/locale"), "must be default, or a language like en_US");
        }
    }
}

fn count(pointer: &str, count: usize, most: usize, errors: &mut ValidationErrors) {
    if !(1..=most).contains(&count) {
        errors.at(pointer, format!("must be 1 to {most}"));
    }
}

fn words(pointer: &str, text: &str, most: usize, errors: &mut ValidationErrors) {
    if text.trim().is_empty() || text.chars().count() > most || text.contains('\0') {
        errors.at(pointer, format!("must be 1 to {most} characters"));
    }
}

impl Profile {
    fn for_meta(&self) -> InboxProfile {
        let questions = |of: &ProfileQuestions| IceBreakers {
            locale: of.locale.clone(),
            questions: of.questions.iter().map(|one| (one.question.clone(), one.payload.clone())).collect(),
        };
        let item = |one: &ProfileItem| match &one.url {
            Some(url) => MenuItem::Link { title: one.title.clone(), url: url.clone() },
            None => MenuItem::Postback {
                title: one.title.clone(),
                payload: one.payload.clone().unwrap_or_default(),
            },
        };
        let menu =
            |of: &ProfileMenu| Menu { locale: of.locale.clone(), items: of.items.iter().map(item).collect() };
        InboxProfile {
            ice_breakers: self.ice_breakers.iter().map(questions).collect(),
            persistent_menu: self.persistent_menu.iter().map(menu).collect(),
        }
    }

    fn of_meta(profile: InboxProfile) -> Self {
        let question = |(question, payload)| ProfileQuestion { question, payload };
        let questions = |of: IceBreakers| ProfileQuestions {
            locale: of.locale,
            questions: of.questions.into_iter().map(question).collect(),
        };
        let item = |item| match item {
            MenuItem::Postback { title, payload } => ProfileItem { title, payload: Some(payload), url: None },
            MenuItem::Link { title, url } => ProfileItem { title, payload: None, url: Some(url) },
        };
        let menu =
            |of: Menu| ProfileMenu { locale: of.locale, items: of.items.into_iter().map(item).collect() };
        Self {
            ice_breakers: profile.ice_breakers.into_iter().map(questions).collect(),
            persistent_menu: profile.persistent_menu.into_iter().map(menu).collect(),
        }
    }
}
