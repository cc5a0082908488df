//! The settings of a connection, as the API takes and shows them.

use super::enums;
use dmrelay_domain::text;
use dmrelay_store::Settings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

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
}

impl From<Settings> for ConnectionSettings {
    fn from(settings: Settings) -> Self {
        Self {
            debounce_ms: settings.debounce_ms,
            takeover_hours: settings.takeover_hours,
            typing: settings.typing,
            human_agent: settings.human_agent,
            fallback_text: settings.fallback_text,
            unreadable_text: settings.unreadable_text,
            automatic_texts: Some(settings.automatic_texts).filter(|texts| !texts.is_empty()),
            agent_variables: Some(settings.agent_variables).filter(|variables| !variables.is_empty()),
        }
    }
}

impl From<ConnectionSettings> for Settings {
    fn from(settings: ConnectionSettings) -> Self {
        Self {
            debounce_ms: settings.debounce_ms,
            takeover_hours: settings.takeover_hours,
            typing: settings.typing,
            human_agent: settings.human_agent,
            fallback_text: settings.fallback_text.map(cleaned),
            unreadable_text: settings.unreadable_text.map(cleaned),
            automatic_texts: settings.automatic_texts.unwrap_or_default().into_iter().map(cleaned).collect(),
            agent_variables: settings.agent_variables.unwrap_or_default(),
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
}

impl EffectiveSettings {
    /// What holds with these settings.
    pub fn of(settings: &Settings, defaults: SettingDefaults) -> Self {
        Self {
            debounce_ms: settings.debounce_ms.unwrap_or(defaults.debounce_ms),
            takeover_hours: settings.takeover_hours.unwrap_or(defaults.takeover_hours),
            typing: settings.typing.unwrap_or(true),
            human_agent: settings.human_agent.unwrap_or(false),
            fallback_text: settings.fallback_text.clone(),
            unreadable_text: settings.unreadable_text.clone(),
            automatic_texts: settings.automatic_texts.clone(),
            agent_variables: settings.agent_variables.clone(),
        }
    }
}

/// A text as it can be stored.
pub fn cleaned(text: String) -> String {
    match text::clean(&text) {
        std::borrow::Cow::Owned(clean) => clean,
        std::borrow::Cow::Borrowed(_) => text,
    }
}
