//! What becomes of taps, stories and comments by itself: the rules of an account.

use crate::words::{self, rules as text};
use crate::{BASE, Person};
use dmrelay_views::{CommentRuleView, ConnectionSettings, RuleView, TemplateView};
use maud::{Markup, html};
use uuid::Uuid;

/// Empty rows below those that there are.
const SPARE: usize = 2;

/// The dialog, as a fragment. `digest` is of the rules as they are: whoever changed them meanwhile is not overwritten.
pub fn rules(
    person: &Person,
    connection: Uuid,
    settings: &ConnectionSettings,
    templates: &[TemplateView],
    (digest, outcome): (&str, Option<&str>),
) -> Markup {
    let taps: Vec<(&str, Option<&RuleView>)> =
        settings.taps.iter().flatten().map(|(payload, rule)| (payload.as_str(), Some(rule))).collect();
    let taps = taps.into_iter().chain(std::iter::repeat_n(("", None), SPARE));
    let comments: Vec<Option<&CommentRuleView>> = settings.comment_rules.iter().flatten().map(Some).collect();
    let comments = comments.into_iter().chain(std::iter::repeat_n(None, SPARE));
    html! {
        dialog id="rules" class="trace rules" aria-labelledby="rules-title" data-into="dialogs" {
            form method="dialog" { button class="quiet" aria-label=(words::CLOSE) { "✕" } }
            h2 id="rules-title" { (text::TITLE) }
            @if let Some(outcome) = outcome { p class="made" role="status" { (outcome) } }
            p class="quiet" { (text::INTRO) }
            form class="stack" method="post" action={ (BASE) "/accounts/" (connection) "/rules" } data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                input type="hidden" name="before" value=(digest);
                fieldset {
                    legend { (text::STORIES) }
                    div class="rule" { span { (text::STORY_MENTION) } (fields("story_mention", settings.story_mention.as_ref(), templates)) }
                    div class="rule" { span { (text::STORY_REPLY) } (fields("story_reply", settings.story_reply.as_ref(), templates)) }
                }
                fieldset {
                    legend { (text::TAPS) }
                    @for (n, (payload, rule)) in taps.enumerate() {
                        div class="rule" {
                            input name={ "tap." (n) ".payload" } value=(payload) maxlength="1000" placeholder=(text::PAYLOAD) aria-label=(text::PAYLOAD);
                            (fields(&format!("tap.{n}"), rule, templates))
                        }
                    }
                }
                fieldset {
                    legend { (text::COMMENTS) }
                    @for (n, rule) in comments.enumerate() { (comment(n, rule, templates)) }
                }
                button class="take" { (text::SAVE) }
            }
        }
    }
}

fn comment(n: usize, rule: Option<&CommentRuleView>, templates: &[TemplateView]) -> Markup {
    let joined = |list: fn(&CommentRuleView) -> &Vec<String>| {
        rule.map(|rule| list(rule).join("\n")).unwrap_or_default()
    };
    let name = |field: &str| format!("comment.{n}.{field}");
    html! {
        div class="rule" {
            label class="tick" {
                input type="checkbox" name=(name("on")) value="true" checked[rule.is_some()]; " " (text::ON)
            }
            textarea name=(name("keywords")) rows="2" placeholder=(text::KEYWORDS) aria-label=(text::KEYWORDS) { (joined(|rule| &rule.keywords)) }
            textarea name=(name("posts")) rows="2" placeholder=(text::POSTS) aria-label=(text::POSTS) { (joined(|rule| &rule.media_ids)) }
            (fields(&format!("comment.{n}"), rule.map(|rule| &rule.reply), templates))
            textarea name=(name("public")) rows="1" maxlength="1000" placeholder=(text::PUBLIC) aria-label=(text::PUBLIC) {
                (rule.and_then(|rule| rule.public_reply.as_deref()).unwrap_or_default())
            }
            label class="tick" {
                input type="checkbox" name=(name("hide")) value="true" checked[rule.is_some_and(|rule| rule.hide)]; " " (text::HIDE)
            }
        }
    }
}

/// What is done, and with which words.
fn fields(place: &str, rule: Option<&RuleView>, templates: &[TemplateView]) -> Markup {
    let action = rule.map_or("ask_agent", |rule| rule.action.as_str());
    let template = rule.and_then(|rule| rule.template_id);
    html! {
        select name={ (place) ".action" } aria-label=(text::ACTION) {
            @for (word, label) in text::ACTIONS { option value=(word) selected[word == action] { (label) } }
        }
        textarea name={ (place) ".text" } rows="1" maxlength="1000" placeholder=(text::TEXT) aria-label=(text::TEXT) {
            (rule.and_then(|rule| rule.text.as_deref()).unwrap_or_default())
        }
        @if !templates.is_empty() {
            select name={ (place) ".template" } aria-label=(text::TEMPLATE) {
                option value="" { (text::NO_TEMPLATE) }
                @for one in templates { option value=(one.template_id) selected[template == Some(one.template_id)] { (one.name) } }
            }
        }
    }
}
