//! The settings of a connection, as the API accepts them.

use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::settings::RuleAction;
use dmrelay_domain::split;
use dmrelay_domain::text::pointer_token;
use dmrelay_store::Settings;
use dmrelay_views::{
    CommentRuleView, ConnectionSettings, RuleView, cleaned, enums, stored_taps, stored_words,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use utoipa::ToSchema;
use uuid::Uuid;

/// Longest time for a character, in milliseconds: nobody writes more slowly.
const WRITING_MAX: u32 = 200;

/// Maximum debounce, in milliseconds.
const DEBOUNCE_MAX: u32 = 60_000;
/// Maximum hours the agent stays silent after a human agent writes: 30 days.
pub(crate) const TAKEOVER_MAX: u32 = 720;
/// Maximum number of texts that Instagram sends on its own.
const AUTOMATIC_TEXTS_MAX: usize = 20;
/// Maximum number of agent variables, and maximum lengths of their names and values in bytes.
const VARIABLES_MAX: usize = 50;
const NAME_MAX: usize = 64;
const VALUE_MAX: usize = 1_000;
/// Maximum number of rules for taps, and maximum length of a payload in characters.
const TAPS_MAX: usize = 100;
const PAYLOAD_CHARS_MAX: usize = 1_000;
/// Maximum number of words about broadcasts, and maximum length of one in bytes.
const WORDS_MAX: usize = 50;
const WORD_BYTES_MAX: usize = 64;

/// A field of a merge patch (RFC 7396).
#[derive(Debug, Clone, Default)]
pub(crate) enum Change<T> {
    /// Absent: no change.
    #[default]
    Stays,
    /// Null: reset to the process default.
    Back,
    /// Set to this value.
    Becomes(T),
}

/// Settings to change: omitted fields stay as they are, null resets a field to the process default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeSettings {
    /// The connection; required if the agent has several.
    pub(crate) connection_id: Option<Uuid>,
    /// How long the user must be silent before the agent is asked, in milliseconds.
    #[schema(value_type = Option<u32>, maximum = 60_000)]
    #[serde(default)]
    debounce_ms: Change<u32>,
    /// How long the agent stays silent after a human agent writes, in hours.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 720)]
    #[serde(default)]
    takeover_hours: Change<u32>,
    /// Whether the user sees a typing indicator while the agent answers.
    #[schema(value_type = Option<bool>)]
    #[serde(default)]
    typing: Change<bool>,
    /// Typing delay of the agent's replies, in milliseconds per character of the reply; at most `REPLY_DELAY_MAX`
    /// for a message.
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 200)]
    writing_ms_per_character: Change<u32>,
    /// Whether the Meta app has the Human Agent feature, which lets human agents answer for seven days.
    #[schema(value_type = Option<bool>)]
    #[serde(default)]
    human_agent: Change<bool>,
    /// What the user is told when the agent fails permanently, at most 1,000 bytes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1_000)]
    #[serde(default)]
    fallback_text: Change<String>,
    /// What the user is told when they send what the agent cannot read, at most 1,000 bytes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1_000)]
    #[serde(default)]
    unreadable_text: Change<String>,
    /// Texts that Instagram sends on its own, at most 20 of 1,000 bytes; replaces all existing ones.
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    #[serde(default)]
    automatic_texts: Change<Vec<String>>,
    /// Values for the agent's dynamic variables; replaces all existing ones.
    #[schema(schema_with = enums::agent_variables_or_null)]
    #[serde(default)]
    agent_variables: Change<BTreeMap<String, String>>,
    /// What becomes of a tapped button or quick reply, by its payload, at most 100; replaces all existing ones.
    #[schema(value_type = Option<BTreeMap<String, RuleView>>)]
    #[serde(default)]
    taps: Change<BTreeMap<String, RuleView>>,
    /// What becomes of a mention in a customer's story.
    #[schema(value_type = Option<RuleView>)]
    #[serde(default)]
    story_mention: Change<RuleView>,
    /// What becomes of a reply to a story of the account.
    #[schema(value_type = Option<RuleView>)]
    #[serde(default)]
    story_reply: Change<RuleView>,
    /// What becomes of comments, at most 50 rules: the first that fits counts; replaces all existing ones.
    #[schema(value_type = Option<Vec<CommentRuleView>>, max_items = 50)]
    #[serde(default)]
    comment_rules: Change<Vec<CommentRuleView>>,
    /// Messages that say only this want no more broadcasts, at most 50; replaces all existing ones.
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    #[serde(default)]
    stop_words: Change<Vec<String>>,
    /// Messages that say only this want broadcasts again, at most 50; replaces all existing ones.
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    #[serde(default)]
    start_words: Change<Vec<String>>,
    /// What the user is told when they want no more broadcasts, at most 1,000 bytes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1_000)]
    #[serde(default)]
    stop_text: Change<String>,
    /// What the user is told when they want broadcasts again, at most 1,000 bytes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1_000)]
    #[serde(default)]
    start_text: Change<String>,
    /// Pauses or resumes the bot for the whole account.
    pub(crate) bot_paused: Option<bool>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Back, Self::Becomes))
    }
}

impl<T> Change<T> {
    /// The same change, to what becomes of its value.
    pub(crate) fn map<U>(self, value: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Stays => Change::Stays,
            Self::Back => Change::Back,
            Self::Becomes(new) => Change::Becomes(value(new)),
        }
    }
}

impl<T: Clone> Change<T> {
    /// The new value, if set.
    fn value(&self) -> Option<T> {
        match self {
            Self::Becomes(value) => Some(value.clone()),
            Self::Stays | Self::Back => None,
        }
    }

    /// Applies the change to a setting.
    pub(crate) fn apply(self, setting: &mut Option<T>) {
        match self {
            Self::Stays => {}
            Self::Back => *setting = None,
            Self::Becomes(value) => *setting = Some(value),
        }
    }
}

/// Adds validation errors for values out of range; `at` is the settings' location in the body.
pub(crate) fn check(settings: &ConnectionSettings, at: &str, errors: &mut ValidationErrors) {
    if settings.debounce_ms.is_some_and(|millis| millis > DEBOUNCE_MAX) {
        errors.at(&format!("{at}/debounceMs"), format!("must be at most {DEBOUNCE_MAX}"));
    }
    if settings.takeover_hours.is_some_and(|hours| !(1..=TAKEOVER_MAX).contains(&hours)) {
        errors.at(&format!("{at}/takeoverHours"), format!("must be 1 to {TAKEOVER_MAX}"));
    }
    if settings.writing_ms_per_character.is_some_and(|millis| millis > WRITING_MAX) {
        errors.at(&format!("{at}/writingMsPerCharacter"), format!("must be at most {WRITING_MAX}"));
    }
    let automatic = settings.automatic_texts.iter().flatten();
    if automatic.clone().count() > AUTOMATIC_TEXTS_MAX {
        errors.at(&format!("{at}/automaticTexts"), format!("must be at most {AUTOMATIC_TEXTS_MAX}"));
    }
    let texts = [
        ("fallbackText", &settings.fallback_text),
        ("unreadableText", &settings.unreadable_text),
        ("stopText", &settings.stop_text),
        ("startText", &settings.start_text),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_ref()?)));
    let automatic = automatic.enumerate().map(|(n, text)| (format!("automaticTexts/{n}"), text));
    for (name, text) in texts.chain(automatic) {
        check_text(text, &format!("{at}/{name}"), errors);
    }
    if let Some(variables) = &settings.agent_variables {
        check_variables(variables, &format!("{at}/agentVariables"), errors);
    }
    check_rules(settings, at, errors);
}

/// Checks settings given as JSON, and that the templates they name exist. False if they cannot be read.
///
/// # Errors
/// If the database cannot be read.
pub(crate) async fn check_json(
    state: &ApiState,
    subaccount: &SubaccountId,
    (value, at): (&Value, &str),
    errors: &mut ValidationErrors,
) -> Result<bool, Problem> {
    let Ok(change) = serde_json::from_value::<ChangeSettings>(value.clone()) else { return Ok(false) };
    let values = change.values();
    check(&values, at, errors);
    check_templates(state, subaccount, (&values, at), errors).await?;
    Ok(true)
}

/// Checks what a customer is told, or what Instagram tells them.
fn check_text(text: &str, at: &str, errors: &mut ValidationErrors) {
    if text.trim().is_empty() || text.len() > split::MAX_BYTES {
        errors.at(at, format!("must be 1 to {} bytes of text", split::MAX_BYTES));
    }
}

/// The rules of settings, with their places.
fn rules(settings: &ConnectionSettings) -> impl Iterator<Item = (String, &RuleView)> {
    let taps = settings.taps.iter().flatten();
    let taps = taps.map(|(payload, rule)| (format!("/taps/{}", pointer_token(payload)), rule));
    let stories = [("/storyMention", &settings.story_mention), ("/storyReply", &settings.story_reply)];
    let stories = stories.into_iter().filter_map(|(name, rule)| Some((name.to_owned(), rule.as_ref()?)));
    let comments = settings.comment_rules.iter().flatten().enumerate();
    let comments = comments.map(|(n, rule)| (format!("/commentRules/{n}/reply"), &rule.reply));
    taps.chain(stories).chain(comments)
}

fn check_rules(settings: &ConnectionSettings, at: &str, errors: &mut ValidationErrors) {
    if settings.taps.iter().flatten().count() > TAPS_MAX {
        errors.at(&format!("{at}/taps"), format!("must be at most {TAPS_MAX}"));
    }
    for payload in settings.taps.iter().flatten().map(|(payload, _)| payload) {
        if payload.trim().is_empty() || payload.chars().count() > PAYLOAD_CHARS_MAX {
            let what = format!("a payload has 1 to {PAYLOAD_CHARS_MAX} characters");
            errors.at(&format!("{at}/taps/{}", pointer_token(payload)), what);
        }
    }
    for (pointer, rule) in rules(settings) {
        let at = format!("{at}{pointer}");
        let Some(action) = RuleAction::parse(&rule.action) else {
            let actions: Vec<&str> = RuleAction::ALL.iter().map(|action| action.as_str()).collect();
            errors.at(&format!("{at}/action"), format!("must be one of {}", actions.join(", ")));
            continue;
        };
        let is_empty = rule.text.is_none() && rule.template_id.is_none() && rule.variables.is_empty();
        match (action, &rule.text, rule.template_id) {
            (RuleAction::Send, None, None) => errors.at(&at, "send needs a text or a templateId"),
            (RuleAction::Send, Some(_), Some(_)) => {
                errors.at(&format!("{at}/templateId"), "cannot be combined with text");
            }
            (RuleAction::Send, Some(text), None) => {
                check_text(text, &format!("{at}/text"), errors);
            }
            (RuleAction::Send, None, Some(_)) => {}
            _ if is_empty => {}
            _ => errors.at(&at, format!("{action} takes no text, templateId or variables")),
        }
        check_variables(&rule.variables, &format!("{at}/variables"), errors);
    }
    check_comment_rules(settings.comment_rules.iter().flatten(), at, errors);
    for (name, words) in [("stopWords", &settings.stop_words), ("startWords", &settings.start_words)] {
        let words = words.iter().flatten();
        if words.clone().count() > WORDS_MAX {
            errors.at(&format!("{at}/{name}"), format!("must be at most {WORDS_MAX}"));
        }
        for (n, word) in words.enumerate() {
            if !word.chars().any(char::is_alphanumeric) || word.len() > WORD_BYTES_MAX {
                let what = format!("must have a letter or digit, and at most {WORD_BYTES_MAX} bytes");
                errors.at(&format!("{at}/{name}/{n}"), what);
            }
        }
    }
}

fn check_comment_rules<'a>(
    rules: impl Iterator<Item = &'a CommentRuleView>,
    at: &str,
    errors: &mut ValidationErrors,
) {
    for (n, rule) in rules.enumerate() {
        let at = format!("{at}/commentRules/{n}");
        if n >= WORDS_MAX {
            errors.at(&at, format!("there may be at most {WORDS_MAX}"));
        }
        if RuleAction::parse(&rule.reply.action) == Some(RuleAction::HandOver) {
            errors.at(&format!("{at}/reply/action"), "a comment opens no chat that could be handed over");
        }
        let odd = |word: &String| !word.chars().any(char::is_alphanumeric) || word.len() > WORD_BYTES_MAX;
        for (m, _) in rule.keywords.iter().enumerate().filter(|(_, word)| odd(word)) {
            let what = format!("must have a letter or digit, and at most {WORD_BYTES_MAX} bytes");
            errors.at(&format!("{at}/keywords/{m}"), what);
        }
        let is_id = |id: &String| (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
        for (m, _) in rule.media_ids.iter().enumerate().filter(|(_, id)| !is_id(id)) {
            errors.at(&format!("{at}/instagramMediaIds/{m}"), "must be an id of Meta's: digits");
        }
        if let Some(text) = &rule.public_reply {
            check_text(text, &format!("{at}/publicReply"), errors);
        }
    }
}

fn check_variables(variables: &BTreeMap<String, String>, at: &str, errors: &mut ValidationErrors) {
    if variables.len() > VARIABLES_MAX {
        errors.at(at, format!("must be at most {VARIABLES_MAX}"));
    }
    for (name, value) in variables {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(word) {
            let what = format!("the name must be 1 to {NAME_MAX} letters, digits and _");
            errors.at(&format!("{at}/{}", pointer_token(name)), what);
        } else if value.len() > VALUE_MAX || value.contains('\0') {
            let what = format!("must be at most {VALUE_MAX} bytes, without U+0000");
            errors.at(&format!("{at}/{name}"), what);
        }
    }
}

/// Adds validation errors for templates that the subaccount does not have.
pub(crate) async fn check_templates(
    state: &ApiState,
    subaccount: &SubaccountId,
    (settings, at): (&ConnectionSettings, &str),
    errors: &mut ValidationErrors,
) -> Result<(), Problem> {
    let named: Vec<(String, Uuid)> =
        rules(settings).filter_map(|(pointer, rule)| Some((pointer, rule.template_id?))).collect();
    if named.is_empty() {
        return Ok(());
    }
    let known: HashSet<Uuid> = state.store.templates(subaccount).await?.iter().map(|row| row.id.0).collect();
    for (pointer, _) in named.iter().filter(|(_, id)| !known.contains(id)) {
        errors.at(&format!("{at}{pointer}/templateId"), "is no template of the subaccount");
    }
    Ok(())
}

impl ChangeSettings {
    /// The new values, for validation.
    pub(crate) fn values(&self) -> ConnectionSettings {
        ConnectionSettings {
            debounce_ms: self.debounce_ms.value(),
            takeover_hours: self.takeover_hours.value(),
            typing: self.typing.value(),
            writing_ms_per_character: self.writing_ms_per_character.value(),
            human_agent: self.human_agent.value(),
            fallback_text: self.fallback_text.value(),
            unreadable_text: self.unreadable_text.value(),
            automatic_texts: self.automatic_texts.value(),
            agent_variables: self.agent_variables.value(),
            taps: self.taps.value(),
            story_mention: self.story_mention.value(),
            story_reply: self.story_reply.value(),
            comment_rules: self.comment_rules.value(),
            stop_words: self.stop_words.value(),
            start_words: self.start_words.value(),
            stop_text: self.stop_text.value(),
            start_text: self.start_text.value(),
        }
    }

    /// Applies all changes.
    pub(crate) fn apply(self, settings: &mut Settings, bot_paused: &mut bool) {
        self.debounce_ms.apply(&mut settings.debounce_ms);
        self.takeover_hours.apply(&mut settings.takeover_hours);
        self.typing.apply(&mut settings.typing);
        self.writing_ms_per_character.apply(&mut settings.writing_ms_per_character);
        self.human_agent.apply(&mut settings.human_agent);
        self.fallback_text.apply(&mut settings.fallback_text);
        settings.fallback_text = settings.fallback_text.take().map(cleaned);
        self.unreadable_text.apply(&mut settings.unreadable_text);
        settings.unreadable_text = settings.unreadable_text.take().map(cleaned);
        let mut automatic = Some(std::mem::take(&mut settings.automatic_texts));
        self.automatic_texts.apply(&mut automatic);
        settings.automatic_texts = automatic.unwrap_or_default().into_iter().map(cleaned).collect();
        let mut variables = Some(std::mem::take(&mut settings.agent_variables));
        self.agent_variables.apply(&mut variables);
        settings.agent_variables = variables.unwrap_or_default();
        let mut taps = Some(std::mem::take(&mut settings.taps));
        self.taps.map(stored_taps).apply(&mut taps);
        settings.taps = taps.unwrap_or_default();
        self.story_mention.map(Into::into).apply(&mut settings.story_mention);
        self.story_reply.map(Into::into).apply(&mut settings.story_reply);
        let mut comments = Some(std::mem::take(&mut settings.comment_rules));
        self.comment_rules.map(|rules| rules.into_iter().map(Into::into).collect()).apply(&mut comments);
        settings.comment_rules = comments.unwrap_or_default();
        self.stop_words.map(stored_words).apply(&mut settings.stop_words);
        self.start_words.map(stored_words).apply(&mut settings.start_words);
        self.stop_text.map(cleaned).apply(&mut settings.stop_text);
        self.start_text.map(cleaned).apply(&mut settings.start_text);
        *bot_paused = self.bot_paused.unwrap_or(*bot_paused);
    }
}
