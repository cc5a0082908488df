//! What a schema cannot say of a value: the schema names it with `x-checked-as`, so that its faults are told along with all others of a
//! body. Handlers rely on the same functions for what they go on with.

use crate::access::Tenant;
use crate::connect::session;
use crate::problem::{Problem, ValidationErrors};
use crate::services::send::message_of;
use crate::services::{
    broadcasts, comments, failures, inbox_profile, keys, reactions, takeover, targets, templates, triage,
};
use crate::settings;
use crate::state::ApiState;
use dmrelay_domain::text::is_printable;
use dmrelay_instagram::links;
use serde_json::Value;

/// The keyword: the name of a rule.
pub(crate) const CHECKED_AS: &str = "x-checked-as";

/// The rule for settings, which name templates.
const SETTINGS: &str = "settings";

/// Checks a value at a place of the body. False if it cannot be read: then it is asked again without the members that have faults.
type Rule = fn(&ApiState, &Value, &str, &mut ValidationErrors) -> bool;

/// Checks a text, of which it says what is wrong.
type TextRule = fn(&ApiState, &str) -> Result<(), String>;

const RULES: [(&str, Rule); 11] = [
    ("message", |_, value, at, errors| {
        message_of(value, at, errors);
        true
    }),
    ("template", |_, value, at, errors| {
        templates::message_of(value, at, errors);
        true
    }),
    ("inbox-profile", |_, value, _, errors| inbox_profile::check_json(value, errors)),
    ("audience", |_, value, at, errors| broadcasts::check_json(value, at, errors)),
    ("tags", |_, value, _, errors| {
        for (n, tag) in value.as_array().into_iter().flatten().enumerate() {
            errors.check(&format!("/tags/{n}"), tag.as_str().map_or(Ok(()), triage::checked_tag));
        }
        true
    }),
    ("takeover", |_, value, _, errors| {
        takeover::check_json(value, errors);
        true
    }),
    ("replay", |_, value, _, errors| {
        failures::check_json(value, errors);
        true
    }),
    ("connect-session", |_, value, _, errors| {
        session::check_json(value, errors);
        true
    }),
    ("ttl", |state, value, at, errors| {
        errors.check(at, keys::checked_ttl(state, value.as_u64()));
        true
    }),
    ("per-minute", |state, value, at, errors| {
        errors.check(at, broadcasts::checked_pace(state, value.as_u64()));
        true
    }),
    ("transfer-by-link", |state, value, at, errors| {
        errors.check(at, session::checked_transfer(state, *value == true));
        true
    }),
];

const TEXT_RULES: [(&str, TextRule); 17] = [
    ("reaction", |_, text| reactions::checked(text)),
    ("cursor", |_, text| failures::checked_cursor(text)),
    ("return-url", |state, text| session::checked_return_url(state, text)),
    ("ref", |_, text| match links::direct_message("a", Some(text)) {
        Ok(_) => Ok(()),
        Err(err) => Err(err.to_string()),
    }),
    ("secret", |_, text| keys::checked_secret(text)),
    ("one-line", |_, text| checked_line(text)),
    ("name", |_, text| keys::checked_name(text)),
    ("person", |_, text| keys::checked_person(text)),
    ("title", |_, text| templates::checked_name(text).map(|_| ())),
    ("target-name", |_, text| targets::checked_name(text).map(|_| ())),
    ("webhook", |state, text| targets::checked_url(state, text).map(|_| ())),
    ("mailbox", |state, text| targets::checked_email(state, text).map(|_| ())),
    ("key-expiry", |state, text| keys::checked_expiry(state, dmrelay_views::parse_time(text)).map(|_| ())),
    ("future", |state, text| triage::checked_time(text, state.clock.now()).map(|_| ())),
    ("assignee", |_, text| triage::checked_assignee(text)),
    ("note", |_, text| triage::checked_note(text).map(|_| ())),
    ("public-reply", |_, text| comments::checked_reply(text)),
];

/// Where the rules hold: a schema, one of its properties or the whole, and the rule's name.
pub(crate) const PLACES: [(&str, Option<&str>, &str); 42] = [
    ("Audience", None, "audience"),
    ("ChangeChat", Some("assignee"), "assignee"),
    ("ChangeChat", Some("snoozedUntil"), "future"),
    ("ChangeChat", Some("tags"), "tags"),
    ("ChangeSettings", None, "settings"),
    ("ChangeTarget", Some("email"), "mailbox"),
    ("ChangeTarget", Some("name"), "target-name"),
    ("ChangeTarget", Some("url"), "webhook"),
    ("Connect", Some("accessToken"), "secret"),
    ("Connect", Some("appSecret"), "secret"),
    ("Connect", Some("ref"), "ref"),
    ("Connect", Some("webhookVerificationToken"), "secret"),
    ("ConnectionSettings", None, "settings"),
    ("CreateApiKey", Some("expiresAt"), "key-expiry"),
    ("CreateApiKey", Some("name"), "name"),
    ("CreateBroadcast", Some("message"), "template"),
    ("CreateBroadcast", Some("name"), "title"),
    ("CreateBroadcast", Some("perMinute"), "per-minute"),
    ("CreateSession", Some("name"), "person"),
    ("CreateSession", Some("subject"), "name"),
    ("CreateSession", Some("ttl"), "ttl"),
    ("CreateTarget", Some("email"), "mailbox"),
    ("CreateTarget", Some("name"), "target-name"),
    ("CreateTarget", Some("url"), "webhook"),
    ("NewConnectSession", None, "connect-session"),
    ("NewConnectSession", Some("returnUrl"), "return-url"),
    ("NewConnectSession", Some("transfer"), "transfer-by-link"),
    ("PauseCalls", Some("reason"), "one-line"),
    ("PublicReply", Some("text"), "public-reply"),
    ("PutInboxProfile", None, "inbox-profile"),
    ("PutMetaApp", Some("appSecret"), "secret"),
    ("PutMetaApp", Some("webhookVerificationToken"), "secret"),
    ("PutProviderKey", Some("key"), "secret"),
    ("Reaction", Some("reaction"), "reaction"),
    ("ReplaySome", None, "replay"),
    ("ReplaySome", Some("cursor"), "cursor"),
    ("SaveTemplate", Some("message"), "template"),
    ("SaveTemplate", Some("name"), "title"),
    ("Send", Some("message"), "message"),
    ("Send", Some("sentBy"), "name"),
    ("TakeOver", None, "takeover"),
    ("WriteNote", Some("text"), "note"),
];

/// Text that is shown in one line, and printed.
fn checked_line(text: &str) -> Result<(), String> {
    if text.chars().all(is_printable) {
        Ok(())
    } else {
        Err("must not contain line breaks or control characters".to_owned())
    }
}

/// Adds what the rule of this name finds wrong with a value. False if the rule cannot read it.
///
/// # Errors
/// If the database cannot be read.
pub(super) async fn apply(
    (state, tenant): (&ApiState, &Tenant),
    (name, value): (&str, &Value),
    pointer: &str,
    errors: &mut ValidationErrors,
) -> Result<bool, Problem> {
    if name == SETTINGS {
        return settings::check_json(state, &tenant.subaccount, (value, pointer), errors).await;
    }
    if let Some((_, rule)) = RULES.iter().find(|(known, _)| *known == name) {
        return Ok(rule(state, value, pointer, errors));
    }
    let text = TEXT_RULES.iter().find(|(known, _)| *known == name).zip(value.as_str());
    if let Some(((_, rule), text)) = text {
        errors.check(pointer, rule(state, text));
    }
    Ok(true)
}

/// Whether the rule of this name finds everything that is wrong with an object, so that the schema need not be looked at.
pub(super) fn knows_all(name: &str) -> bool {
    matches!(name, "message" | "template")
}

#[cfg(test)]
pub(super) fn is_known(name: &str) -> bool {
    let rules = RULES.iter().map(|(known, _)| *known).chain(TEXT_RULES.iter().map(|(known, _)| *known));
    rules.chain([SETTINGS]).any(|known| known == name)
}
