//! What a schema cannot say of a value: the schema names it with `x-checked-as`, so that its faults are told along with all others of a
//! body. Handlers rely on the same functions for what they go on with.

use crate::access::Tenant;
use crate::connect::session;
use crate::problem::{Problem, ValidationErrors};
use crate::services::send::{add_faults, message_of};
use crate::services::{
    broadcasts, comments, failures, inbox_profile, keys, takeover, targets, templates, triage,
};
use crate::settings;
use crate::state::ApiState;
use dmrelay_domain::outgoing::Template;
use dmrelay_domain::text::is_printable;
use dmrelay_instagram::links;
use serde_json::Value;

/// The keyword: the name of a rule.
pub(crate) const CHECKED_AS: &str = "x-checked-as";

/// The rule for settings, which name templates.
const SETTINGS: &str = "settings";

/// Checks a value at `pointer` of the body, which has no fault that the schema shows: members with such faults are left out.
type Rule = fn(&ApiState, &Value, &str, &mut ValidationErrors);

/// Checks a text, of which it says what is wrong.
type TextRule = fn(&ApiState, &str) -> Result<(), String>;

const RULES: [(&str, Rule); 9] = [
    ("transfer-by-link", |state, value, at, errors| {
        errors.check(at, session::checked_transfer(state, *value == true));
    }),
    ("message", |_, value, at, errors| drop(message_of(value, at, errors))),
    ("template", |_, value, at, errors| {
        if let Err(err) = Template::parse(value) {
            add_faults(at, err, errors);
        }
    }),
    ("inbox-profile", |_, value, _, errors| inbox_profile::check_json(value, errors)),
    ("tags", |_, value, _, errors| {
        let tags: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        triage::checked_tags(tags.into_iter(), errors);
    }),
    ("takeover", |_, value, _, errors| takeover::check_json(value, errors)),
    ("replay", |_, value, _, errors| failures::check_json(value, errors)),
    ("ttl", |state, value, at, errors| {
        errors.check(at, keys::checked_ttl(state, value.as_u64()));
    }),
    ("per-minute", |state, value, at, errors| {
        errors.check(at, broadcasts::checked_pace(state, value.as_u64()));
    }),
];

const TEXT_RULES: [(&str, TextRule); 15] = [
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
pub(crate) const PLACES: [(&str, Option<&str>, &str); 38] = [
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
    ("NewConnectSession", Some("returnUrl"), "return-url"),
    ("NewConnectSession", Some("transfer"), "transfer-by-link"),
    ("PauseCalls", Some("reason"), "one-line"),
    ("PublicReply", Some("text"), "public-reply"),
    ("PutInboxProfile", None, "inbox-profile"),
    ("PutMetaApp", Some("appSecret"), "secret"),
    ("PutMetaApp", Some("webhookVerificationToken"), "secret"),
    ("PutProviderKey", Some("key"), "secret"),
    ("ReplaySome", None, "replay"),
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
        Err("must have no line breaks, and nothing else that controls a terminal".to_owned())
    }
}

/// Adds what the rule of this name finds wrong with a value.
///
/// # Errors
/// If the database cannot be read.
pub(super) async fn apply(
    (state, tenant): (&ApiState, &Tenant),
    (name, value): (&str, &Value),
    pointer: &str,
    errors: &mut ValidationErrors,
) -> Result<(), Problem> {
    if let Some((_, rule)) = RULES.iter().find(|(known, _)| *known == name) {
        rule(state, value, pointer, errors);
    }
    let text = TEXT_RULES.iter().find(|(known, _)| *known == name).zip(value.as_str());
    if let Some(((_, rule), text)) = text {
        errors.check(pointer, rule(state, text));
    }
    if name == SETTINGS {
        settings::check_json(state, &tenant.subaccount, (value, pointer), errors).await?;
    }
    Ok(())
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
