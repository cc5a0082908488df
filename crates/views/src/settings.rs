//! The settings of a connection, as the API takes and shows them.

use super::enums;
use dmrelay_domain::ids::TemplateId;
use dmrelay_domain::settings::{CommentRule, Rule, RuleAction, START_WORDS, STOP_WORDS};
use dmrelay_domain::text;
use dmrelay_store::Settings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// The settings of a connection; null means the process default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionSettings {
    /// How long the user must be silent before the agent is asked, in milliseconds.
    #[schema(maximum = 60_000, example = 1_500)]
    pub debounce_ms: Option<u32>,
    /// How long the agent stays silent after a human agent writes, in hours.
    #[schema(minimum = 1, maximum = 720, example = 12)]
    pub takeover_hours: Option<u32>,
    /// Whether the user sees a typing indicator while the agent answers.
    pub typing: Option<bool>,
    /// Typing delay of the agent's replies, in milliseconds per character of the reply; at most `REPLY_DELAY_MAX`
    /// for a message.
    pub writing_ms_per_character: Option<u32>,
    /// Whether the Meta app has the Human Agent feature, which lets human agents answer for seven days.
    pub human_agent: Option<bool>,
    /// What the user is told when the agent fails permanently, at most 1,000 bytes.
    #[schema(min_length = 1, max_length = 1_000, example = "We will get back to you.")]
    pub fallback_text: Option<String>,
    /// What the user is told when they send what the agent cannot read: a photo that can be viewed once, a type that Meta
    /// does not pass on. At most 1,000 bytes.
    #[schema(min_length = 1, max_length = 1_000, example = "Sorry, we cannot see this. Please write to us.")]
    pub unreadable_text: Option<String>,
    /// Texts that Instagram sends on its own (instant reply, away message), at most 20 of 1,000 bytes: they are not taken
    /// for a human agent's.
    #[schema(max_items = 20, example = json!(["Thanks for your message! We reply soon."]))]
    pub automatic_texts: Option<Vec<String>>,
    /// Values for the agent's dynamic variables, at most 50.
    #[schema(schema_with = enums::agent_variables_or_null)]
    pub agent_variables: Option<BTreeMap<String, String>>,
    /// What becomes of a tapped button or quick reply, by its payload, at most 100. A payload that ends with `*` stands for all that
    /// begin like it; the longest that fits counts.
    pub taps: Option<BTreeMap<String, RuleView>>,
    /// What becomes of a mention in a customer's story.
    pub story_mention: Option<RuleView>,
    /// What becomes of a reply to a story of the account.
    pub story_reply: Option<RuleView>,
    /// What becomes of comments, at most 50 rules: the first that fits counts.
    #[schema(max_items = 50)]
    pub comment_rules: Option<Vec<CommentRuleView>>,
    /// Messages that say only this want no more broadcasts, at most 50.
    #[schema(max_items = 50, example = json!(["stop", "no more"]))]
    pub stop_words: Option<Vec<String>>,
    /// Messages that say only this want broadcasts again, at most 50.
    #[schema(max_items = 50, example = json!(["start"]))]
    pub start_words: Option<Vec<String>>,
    /// What the user is told when they want no more broadcasts, at most 1,000 bytes. Without it the agent answers.
    #[schema(
        min_length = 1,
        max_length = 1_000,
        example = "You will hear no more news from us. START brings them back."
    )]
    pub stop_text: Option<String>,
    /// What the user is told when they want broadcasts again, at most 1,000 bytes. Without it the agent answers.
    #[schema(min_length = 1, max_length = 1_000, example = "Welcome back!")]
    pub start_text: Option<String>,
}

/// What becomes of an event of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Rule)]
pub struct RuleView {
    /// What is done.
    #[schema(schema_with = enums::rule_action)]
    pub action: String,
    /// The text to send, at most 1,000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1_000, example = "Thank you for the mention!", nullable = false)]
    pub text: Option<String>,
    /// The template to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub template_id: Option<Uuid>,
    /// Values for the template's variables. `name` and `username` are the user's where they are known, whatever stands here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// What becomes of comments that hold one of some words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CommentRule)]
pub struct CommentRuleView {
    /// Words or phrases of which the comment holds one, whatever their case; any comment if there are none. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50, example = json!(["price", "how much"]))]
    pub keywords: Vec<String>,
    /// Only comments on these posts, by Meta's ids; on any if there are none. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50, example = json!(["17841405309211844"]))]
    #[serde(rename = "instagramMediaIds")]
    pub media_ids: Vec<String>,
    /// The private reply.
    pub reply: RuleView,
    /// The text of a reply that everybody sees, at most 1,000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1_000, example = "You have a message.", nullable = false)]
    pub public_reply: Option<String>,
    /// Whether the comment is hidden.
    #[serde(default)]
    pub hide: bool,
}

impl From<CommentRule> for CommentRuleView {
    fn from(rule: CommentRule) -> Self {
        let CommentRule { keywords, media_ids, reply, public_reply, hide } = rule;
        Self { keywords, media_ids, reply: reply.into(), public_reply, hide }
    }
}

impl From<CommentRuleView> for CommentRule {
    fn from(rule: CommentRuleView) -> Self {
        let CommentRuleView { keywords, media_ids, reply, public_reply, hide } = rule;
        let (keywords, reply) = (stored_words(keywords), reply.into());
        Self { keywords, media_ids, reply, public_reply: public_reply.map(cleaned), hide }
    }
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        let Rule { action, text, template_id, variables } = rule;
        Self { action, text, template_id: template_id.map(|id| id.0), variables }
    }
}

impl From<RuleView> for Rule {
    fn from(rule: RuleView) -> Self {
        let RuleView { action, text, template_id, variables } = rule;
        let variables = variables.into_iter().map(|(name, value)| (name, cleaned(value))).collect();
        Self { action, text: text.map(cleaned), template_id: template_id.map(TemplateId), variables }
    }
}

fn views(taps: BTreeMap<String, Rule>) -> BTreeMap<String, RuleView> {
    taps.into_iter().map(|(payload, rule)| (payload, rule.into())).collect()
}

fn comment_views(rules: Vec<CommentRule>) -> Vec<CommentRuleView> {
    rules.into_iter().map(Into::into).collect()
}

/// Rules by payload, as they are stored.
pub fn stored_taps(taps: BTreeMap<String, RuleView>) -> BTreeMap<String, Rule> {
    taps.into_iter().map(|(payload, rule)| (cleaned(payload), rule.into())).collect()
}

/// Words as they are stored.
pub fn stored_words(words: Vec<String>) -> Vec<String> {
    words.into_iter().map(cleaned).collect()
}

impl From<Settings> for ConnectionSettings {
    fn from(settings: Settings) -> Self {
        Self {
            debounce_ms: settings.debounce_ms,
            takeover_hours: settings.takeover_hours,
            typing: settings.typing,
            writing_ms_per_character: settings.writing_ms_per_character,
            human_agent: settings.human_agent,
            fallback_text: settings.fallback_text,
            unreadable_text: settings.unreadable_text,
            automatic_texts: Some(settings.automatic_texts).filter(|texts| !texts.is_empty()),
            agent_variables: Some(settings.agent_variables).filter(|variables| !variables.is_empty()),
            taps: Some(views(settings.taps)).filter(|taps| !taps.is_empty()),
            story_mention: settings.story_mention.map(Into::into),
            story_reply: settings.story_reply.map(Into::into),
            comment_rules: Some(comment_views(settings.comment_rules)).filter(|rules| !rules.is_empty()),
            stop_words: settings.stop_words,
            start_words: settings.start_words,
            stop_text: settings.stop_text,
            start_text: settings.start_text,
        }
    }
}

impl From<ConnectionSettings> for Settings {
    fn from(settings: ConnectionSettings) -> Self {
        Self {
            debounce_ms: settings.debounce_ms,
            takeover_hours: settings.takeover_hours,
            typing: settings.typing,
            writing_ms_per_character: settings.writing_ms_per_character,
            human_agent: settings.human_agent,
            fallback_text: settings.fallback_text.map(cleaned),
            unreadable_text: settings.unreadable_text.map(cleaned),
            automatic_texts: settings.automatic_texts.unwrap_or_default().into_iter().map(cleaned).collect(),
            agent_variables: settings.agent_variables.unwrap_or_default(),
            taps: stored_taps(settings.taps.unwrap_or_default()),
            story_mention: settings.story_mention.map(Into::into),
            story_reply: settings.story_reply.map(Into::into),
            comment_rules: settings.comment_rules.unwrap_or_default().into_iter().map(Into::into).collect(),
            stop_words: settings.stop_words.map(stored_words),
            start_words: settings.start_words.map(stored_words),
            stop_text: settings.stop_text.map(cleaned),
            start_text: settings.start_text.map(cleaned),
        }
    }
}

/// The settings of the processes that hold for connections which set nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingDefaults {
    /// `DEBOUNCE_MS`.
    pub debounce_ms: u32,
    /// `TAKEOVER_HOURS`.
    pub takeover_hours: u32,
}

/// What holds for a connection: its settings, and where they are null, the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveSettings {
    /// How long the user must be silent before the agent is asked, in milliseconds.
    pub debounce_ms: u32,
    /// How long the agent stays silent after a human agent writes, in hours.
    pub takeover_hours: u32,
    /// Whether the user sees a typing indicator while the agent answers.
    pub typing: bool,
    /// Typing delay of the agent's replies, in milliseconds per character.
    pub writing_ms_per_character: u32,
    /// Whether human agents may answer for seven days.
    pub human_agent: bool,
    /// What the user is told when the agent fails permanently; null for nothing.
    pub fallback_text: Option<String>,
    /// What the user is told when they send what the agent cannot read; null for nothing.
    pub unreadable_text: Option<String>,
    /// Texts that Instagram sends on its own.
    pub automatic_texts: Vec<String>,
    /// Values for the agent's dynamic variables.
    pub agent_variables: BTreeMap<String, String>,
    /// What becomes of a tapped button or quick reply, by its payload.
    pub taps: BTreeMap<String, RuleView>,
    /// What becomes of a mention in a customer's story.
    pub story_mention: RuleView,
    /// What becomes of a reply to a story of the account.
    pub story_reply: RuleView,
    /// What becomes of comments.
    pub comment_rules: Vec<CommentRuleView>,
    /// Messages that say only this want no more broadcasts.
    pub stop_words: Vec<String>,
    /// Messages that say only this want broadcasts again.
    pub start_words: Vec<String>,
    /// What the user is told when they want no more broadcasts; null if the agent answers.
    pub stop_text: Option<String>,
    /// What the user is told when they want broadcasts again; null if the agent answers.
    pub start_text: Option<String>,
}

impl EffectiveSettings {
    /// What holds with these settings.
    pub fn of(settings: &Settings, defaults: SettingDefaults) -> Self {
        Self {
            debounce_ms: settings.debounce_ms.unwrap_or(defaults.debounce_ms),
            takeover_hours: settings.takeover_hours.unwrap_or(defaults.takeover_hours),
            typing: settings.typing.unwrap_or(true),
            writing_ms_per_character: settings.writing_ms_per_character.unwrap_or_default(),
            human_agent: settings.human_agent.unwrap_or(false),
            fallback_text: settings.fallback_text.clone(),
            unreadable_text: settings.unreadable_text.clone(),
            automatic_texts: settings.automatic_texts.clone(),
            agent_variables: settings.agent_variables.clone(),
            taps: views(settings.taps.clone()),
            story_mention: effective(settings.story_mention.as_ref()),
            story_reply: effective(settings.story_reply.as_ref()),
            comment_rules: comment_views(settings.comment_rules.clone()),
            stop_words: words(settings.stop_words.as_ref(), &STOP_WORDS),
            start_words: words(settings.start_words.as_ref(), &START_WORDS),
            stop_text: settings.stop_text.clone(),
            start_text: settings.start_text.clone(),
        }
    }
}

fn effective(rule: Option<&Rule>) -> RuleView {
    let usual = || Rule { action: RuleAction::AskAgent.to_string(), ..Rule::default() };
    rule.cloned().unwrap_or_else(usual).into()
}

fn words(own: Option<&Vec<String>>, usual: &[&str]) -> Vec<String> {
    own.cloned().unwrap_or_else(|| usual.iter().map(|word| (*word).to_owned()).collect())
}

/// A text as it can be stored.
pub fn cleaned(text: String) -> String {
    match text::clean(&text) {
        std::borrow::Cow::Owned(clean) => clean,
        std::borrow::Cow::Borrowed(_) => text,
    }
}
