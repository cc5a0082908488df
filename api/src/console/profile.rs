//! `/console/accounts/{connectionId}/profile`: the ice breakers and the menu of an account.

use super::call::Call;
use super::visitor::{Visitor, wants_page};
use super::{accounts, html, shown_in, trouble};
use crate::problem::{Problem, ValidationErrors};
use crate::services::inbox_profile::{
    self, Profile, ProfileItem, ProfileMenu, ProfileQuestion, ProfileQuestions, ProfileView, access_of_live,
};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use dmrelay_console::{Lines, Markup, words};
use dmrelay_domain::permission::Permission;
use serde::Deserialize;
use uuid::Uuid;

/// The language that is edited here: that of everybody who has no other.
const DEFAULT: &str = "default";

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Response {
    if wants_page(&headers) {
        return shown_in(&format!("/console/accounts/{id}"), &format!("/console/accounts/{id}/profile"));
    }
    let showing = async {
        visitor.require(Permission::Configure)?;
        let connection = accounts::find(&state, &visitor, id).await?;
        let access = access_of_live(&state, &connection)?;
        let view = inbox_profile::view(&state, &connection, &access).await?;
        Ok::<_, Problem>(dialog(&visitor, id, &view, None))
    };
    showing.await.map_or_else(|problem| trouble(&problem), html)
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    questions: String,
    #[serde(default)]
    menu: String,
}

/// `POST …`: sets both at Meta.
pub(super) async fn set(Path(id): Path<Uuid>, call: Call<Fields>) -> Response {
    let setting = async {
        let Call { state, visitor, fields, .. } = &call;
        visitor.require(Permission::Configure)?;
        let connection = accounts::find(state, visitor, id).await?;
        let access = access_of_live(state, &connection)?;
        let before = inbox_profile::view(state, &connection, &access).await?;
        let wanted = with_default(before.wanted.unwrap_or(before.at_meta), fields)?;
        let view = inbox_profile::set(state, &connection, &wanted, &visitor.actor).await?;
        Ok(dialog(visitor, id, &view, Some(words::SAVED)))
    };
    call.answer(setting.await, accounts::ACCOUNTS)
}

fn dialog(visitor: &Visitor, id: Uuid, view: &ProfileView, outcome: Option<&str>) -> Markup {
    let shown = view.wanted.as_ref().unwrap_or(&view.at_meta);
    let questions = shown.ice_breakers.iter().find(|one| one.locale == DEFAULT);
    let questions = questions.iter().flat_map(|one| &one.questions);
    let questions: Vec<String> = questions.map(|one| line(&one.question, &one.payload)).collect();
    let items = shown.persistent_menu.iter().find(|one| one.locale == DEFAULT);
    let items = items.iter().flat_map(|one| &one.items);
    let items: Vec<String> = items
        .map(|one| line(&one.title, one.url.as_ref().or(one.payload.as_ref()).unwrap_or(&one.title)))
        .collect();
    let locales = shown.ice_breakers.iter().map(|one| &one.locale);
    let locales = locales.chain(shown.persistent_menu.iter().map(|one| &one.locale));
    let mut other_locales: Vec<String> = locales.filter(|locale| *locale != DEFAULT).cloned().collect();
    other_locales.sort();
    other_locales.dedup();
    let (questions, menu) = (questions.join("\n"), items.join("\n"));
    let mut lines = Lines { questions, menu, other_locales, differs: !view.drift.is_empty(), fits: true };
    lines.fits = fits(shown, &lines);
    dmrelay_console::profile(&visitor.person(), id, &lines, outcome)
}

/// Whether the lines say what the profile says.
fn fits(profile: &Profile, lines: &Lines) -> bool {
    let fields = Fields { questions: lines.questions.clone(), menu: lines.menu.clone() };
    with_default(profile.clone(), &fields).is_ok_and(|same| same == *profile)
}

fn line(text: &str, payload: &str) -> String {
    if text == payload { text.to_owned() } else { format!("{text} = {payload}") }
}

/// The profile with the lines of a form in the default language.
fn with_default(mut profile: Profile, fields: &Fields) -> Result<Profile, Problem> {
    let questions: Vec<ProfileQuestion> = pairs(&fields.questions)
        .map(|(text, payload)| ProfileQuestion { question: text.to_owned(), payload: payload.to_owned() })
        .collect();
    let items: Vec<ProfileItem> = pairs(&fields.menu)
        .map(|(title, target)| {
            let is_link = target.contains("://");
            let target = Some(target.to_owned());
            let (payload, url) = if is_link { (None, target) } else { (target, None) };
            ProfileItem { title: title.to_owned(), payload, url }
        })
        .collect();
    profile.ice_breakers.retain(|one| one.locale != DEFAULT);
    profile.persistent_menu.retain(|one| one.locale != DEFAULT);
    let mut errors = ValidationErrors::default();
    if questions.is_empty() && !profile.ice_breakers.is_empty() {
        errors.at("/questions", "must not be empty while there are other languages");
    }
    if items.is_empty() && !profile.persistent_menu.is_empty() {
        errors.at("/menu", "must not be empty while there are other languages");
    }
    errors.end()?;
    if !questions.is_empty() {
        profile.ice_breakers.insert(0, ProfileQuestions { locale: DEFAULT.to_owned(), questions });
    }
    if !items.is_empty() {
        profile.persistent_menu.insert(0, ProfileMenu { locale: DEFAULT.to_owned(), items });
    }
    Ok(profile)
}

/// `text = payload`, one a line; without a payload the text is it.
fn pairs(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| {
        line.rsplit_once(" = ").map_or((line, line), |(text, payload)| (text.trim(), payload.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_a_profile_and_other_languages_stay() {
        let german = ProfileQuestions {
            locale: "de_DE".to_owned(),
            questions: vec![ProfileQuestion { question: "Wann?".to_owned(), payload: "HOURS".to_owned() }],
        };
        let before = Profile { ice_breakers: vec![german.clone()], persistent_menu: Vec::new() };
        let fields = Fields {
            questions: " Where is a = b? = ORDER \r\n\nHours".to_owned(),
            menu: "Shop = https://shop.example\nHelp = HELP".to_owned(),
        };
        let profile = with_default(before.clone(), &fields).unwrap();
        assert_eq!(profile.ice_breakers[1], german);
        let questions: Vec<_> = profile.ice_breakers[0]
            .questions
            .iter()
            .map(|one| (one.question.as_str(), one.payload.as_str()))
            .collect();
        assert_eq!(questions, [("Where is a = b?", "ORDER"), ("Hours", "Hours")]);
        let items = &profile.persistent_menu[0].items;
        assert_eq!(
            (items[0].url.as_deref(), items[1].payload.as_deref()),
            (Some("https://shop.example"), Some("HELP"))
        );
        assert!(with_default(before, &Fields::default()).is_err());
    }
}
