//! The settings of a connection.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of a connection; omitted ones follow the process's settings. Settings unknown to this version
/// are ignored, so that versions can run side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionSettings {
    /// How long the customer must be silent before the agent is asked, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u32>,
    /// How long the agent stays silent after a human agent writes, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover_hours: Option<u32>,
    /// Whether the customer sees a typing indicator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// Whether the app has Meta's Human Agent feature, which lets human agents answer for seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_agent: Option<bool>,
    /// What the customer is told when the agent fails permanently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_text: Option<String>,
    /// What the customer is told when they send what the agent cannot read: a photo that can be viewed once, a type that
    /// Meta does not pass on. Nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable_text: Option<String>,
    /// Texts that Instagram sends on its own (instant reply, away message): an echo of one of them is not a human's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub automatic_texts: Vec<String>,
    /// Values for the agent's dynamic variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agent_variables: BTreeMap<String, String>,
}
