//! `/console/accounts/{connectionId}/rules`: what becomes of taps, stories and comments by itself.

use super::call::Call;
use super::visitor::{Visitor, wants_page};
use super::{accounts, html, shown_in, trouble};
use crate::problem::{Problem, ValidationErrors};
use crate::services::templates;
use crate::settings::{self, ChangeSettings};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use dmrelay_console::{Markup, words};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::signature::sha256;
use dmrelay_views::{ConnectionSettings, ConnectionView, RuleView, TemplateView};
use serde_json::{Value, json};
use std::collections::HashMap;
use uuid::Uuid;

type Fields = HashMap<String, String>;

/// More rows than a form has.
const ROWS_MAX: usize = 200;

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Response {
    if wants_page(&headers) {
        return shown_in(&format!("/console/accounts/{id}"), &format!("/console/accounts/{id}/rules"));
    }
    let shown = async {
        visitor.require(Permission::Configure)?;
        dialog(&state, &visitor, id, None).await
    };
    shown.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// `POST …`: all rules of the account, as the form has them.
pub(super) async fn set(Path(id): Path<Uuid>, call: Call<Fields>) -> Response {
    let setting = async {
        let Call { state, visitor, fields, .. } = &call;
        visitor.require(Permission::Configure)?;
        let connection = accounts::find(state, visitor, id).await?;
        let before = ConnectionView::of(&connection, None).settings;
        if fields.get("before").is_none_or(|known| *known != digest(&before)) {
            let title = "Somebody has changed the rules meanwhile";
            return Err(Problem::new(StatusCode::CONFLICT, "rules-changed", title)
                .detail("close the dialog and open it again"));
        }
        let change = serde_json::from_value::<ChangeSettings>(wanted(fields, &before));
        let change = change.map_err(|_| Problem::invalid("", "must be the rules of the form"))?;
        let (values, mut errors) = (change.values(), ValidationErrors::default());
        settings::check(&values, "", &mut errors);
        settings::check_templates(state, &visitor.subaccount, (&values, ""), &mut errors).await?;
        errors.end()?;
        let apply = |settings: &mut _, paused: &mut bool| change.apply(settings, paused);
        state.store.change_settings(connection.id, &visitor.actor, apply).await?;
        state.snapshots.refresh().await?;
        dialog(state, visitor, id, Some(words::RULES_SAVED)).await
    };
    call.answer(setting.await, accounts::ACCOUNTS)
}

async fn dialog(
    state: &ApiState,
    visitor: &Visitor,
    id: Uuid,
    outcome: Option<&str>,
) -> Result<Markup, Problem> {
    let connection = accounts::find(state, visitor, id).await?;
    let view = ConnectionView::of(&connection, None);
    let saved = state.store.templates(&visitor.subaccount).await?;
    let saved: Vec<TemplateView> = saved.iter().map(templates::view).collect();
    let digest = digest(&view.settings);
    Ok(dmrelay_console::rules(&visitor.person(), id, &view.settings, &saved, (&digest, outcome)))
}

/// What the rules are, in short.
fn digest(settings: &ConnectionSettings) -> String {
    let ConnectionSettings { taps, story_mention, story_reply, comment_rules, .. } = settings;
    let rules = json!([taps, story_mention, story_reply, comment_rules]).to_string();
    hex::encode(&sha256(rules.as_bytes())[..16])
}

/// The settings that the fields say; rows without a payload, and comment rules that are not ticked, are none. Values of variables, which
/// the form does not show, stay as they are while the saved message is the same.
fn wanted(fields: &Fields, before: &ConnectionSettings) -> Value {
    let text = |name: String| {
        fields
            .get(&name)
            .map(|text| text.replace("\r\n", "\n").trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let list = |name: String| -> Vec<String> {
        let all = text(name).unwrap_or_default();
        all.lines().map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let rule = |place: &str, before: Option<&RuleView>| {
        let action = text(format!("{place}.action")).unwrap_or_else(|| "ask_agent".to_owned());
        let mut rule = json!({ "action": action });
        if action == "send" {
            match text(format!("{place}.template")) {
                Some(template) => {
                    let same =
                        before.filter(|rule| rule.template_id.is_some_and(|id| id.to_string() == template));
                    rule["templateId"] = json!(template);
                    rule["variables"] = json!(same.map(|rule| rule.variables.clone()).unwrap_or_default());
                }
                None => rule["text"] = json!(text(format!("{place}.text")).unwrap_or_default()),
            }
        }
        rule
    };
    let taps = (0..ROWS_MAX).filter_map(|n| {
        let payload = text(format!("tap.{n}.payload"))?;
        let known = before.taps.as_ref().and_then(|taps| taps.get(&payload));
        let rule = rule(&format!("tap.{n}"), known);
        Some((payload, rule))
    });
    let taps: serde_json::Map<String, Value> = taps.collect();
    let is_on = |name: String| fields.contains_key(&name);
    let comments: Vec<Value> = (0..ROWS_MAX)
        .filter(|n| is_on(format!("comment.{n}.on")))
        .map(|n| {
            let place = format!("comment.{n}");
            let known = before.comment_rules.as_ref().and_then(|rules| rules.get(n));
            let mut one = json!({
                "keywords": list(format!("{place}.keywords")),
                "instagramMediaIds": list(format!("{place}.posts")),
                "reply": rule(&place, known.map(|rule| &rule.reply)),
                "hide": is_on(format!("{place}.hide")),
            });
            if let Some(public) = text(format!("{place}.public")) {
                one["publicReply"] = json!(public);
            }
            one
        })
        .collect();
    json!({
        "storyMention": rule("story_mention", before.story_mention.as_ref()),
        "storyReply": rule("story_reply", before.story_reply.as_ref()),
        "taps": taps,
        "commentRules": comments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_form_become_rules() {
        let fields: Fields = [
            ("story_mention.action", "send"),
            ("story_mention.text", " Thank you! "),
            ("story_reply.action", "ask_agent"),
            ("tap.0.payload", "HOURS"),
            ("tap.0.action", "hand_over"),
            ("tap.1.payload", " "),
            ("tap.1.action", "send"),
            ("comment.0.on", "true"),
            ("comment.0.keywords", "price\r\nhow, much"),
            ("comment.0.action", "send"),
            ("comment.0.text", "65"),
            ("comment.0.public", "You have a message."),
            ("comment.1.action", "ask_agent"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let wanted = wanted(&fields, &ConnectionSettings::default());
        assert_eq!(wanted["storyMention"], json!({ "action": "send", "text": "Thank you!" }));
        assert_eq!(wanted["taps"], json!({ "HOURS": { "action": "hand_over" } }));
        let rule = json!([{ "keywords": ["price", "how, much"], "instagramMediaIds": [], "hide": false, "publicReply": "You have a message.",
            "reply": { "action": "send", "text": "65" } }]);
        assert_eq!(wanted["commentRules"], rule);
    }
}
