//! What a business chose for a connection.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a business chose for a connection; what is missing follows the process's settings. One that a later version
/// knows is passed over, so that the versions run side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionSettings {
    /// How long the customer must be quiet before the agent is asked, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u32>,
    /// How long the agent is silent after a human agent wrote, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover_hours: Option<u32>,
    /// Whether the customer sees that the agent is typing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// Whether the app has Meta's Human Agent feature, so that human agents may answer for seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_agent: Option<bool>,
    /// What the customer is told when the agent fails for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_text: Option<String>,
    /// Values for the agent's dynamic variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agent_variables: BTreeMap<String, String>,
}
