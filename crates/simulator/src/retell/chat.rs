//! A chat as stored by Retell.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The status of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatStatus {
    /// Open.
    Ongoing,
    /// Ended.
    Ended,
    /// Failed.
    Error,
}

/// A chat.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Its id.
    pub id: String,
    /// Its agent.
    pub agent: String,
    /// The key of the workspace in which it was opened.
    #[serde(skip)]
    pub(crate) workspace: String,
    /// Its status.
    pub status: ChatStatus,
    /// `metadata` as given; never shown to the model.
    pub metadata: Option<Value>,
    /// `agent_version` as given: a number, or a tag.
    pub agent_version: Option<Value>,
    /// `retell_llm_dynamic_variables` as given.
    pub dynamic_variables: Option<Map<String, Value>>,
    /// `override_dynamic_variables`: those that were changed later.
    pub overrides: Map<String, Value>,
    /// `custom_attributes`, as far as the workspace defines them.
    pub custom_attributes: Map<String, Value>,
    /// Whether only metadata is stored (`data_storage_setting: basic_attributes_only`).
    pub basic_attributes_only: bool,
    /// All messages: the user's, the agent's, tools'.
    pub messages: Vec<Value>,
    /// When it began, in milliseconds.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// When the agent last spoke: the start of the silence.
    pub last_spoke_ms: Option<i64>,
    /// Completions in progress.
    pub in_flight: u32,
}

impl Chat {
    /// A new chat, empty.
    pub(crate) fn new(id: String, agent: String, now: i64) -> Self {
        Self {
            id,
            agent,
            workspace: String::new(),
            status: ChatStatus::Ongoing,
            metadata: None,
            agent_version: None,
            dynamic_variables: None,
            overrides: Map::new(),
            custom_attributes: Map::new(),
            basic_attributes_only: false,
            messages: Vec::new(),
            started_ms: now,
            ended_ms: None,
            last_spoke_ms: None,
            in_flight: 0,
        }
    }

    pub(super) fn end(&mut self, now: i64) {
        self.status = ChatStatus::Ended;
        self.ended_ms = Some(now);
    }

    /// "If users stay silent for a period after agent speech", the chat is over.
    pub(super) fn settle_silence(&mut self, silence_ms: i64, now: i64) {
        let since = self.last_spoke_ms.filter(|_| self.in_flight == 0 && self.status == ChatStatus::Ongoing);
        if let Some(ended) = since.map(|spoke| spoke + silence_ms).filter(|ended| *ended <= now) {
            self.end(ended);
        }
    }

    /// ChatResponse; listings omit the messages.
    pub(super) fn response(&self, with_messages: bool) -> Value {
        let with_messages = with_messages && !self.basic_attributes_only;
        let (version, tag) = match &self.agent_version {
            Some(tag @ Value::String(_)) => (json!(0), Some(tag.clone())),
            Some(version) => (version.clone(), None),
            None => (json!(0), None),
        };
        let mut response = json!({
            "chat_id": self.id,
            "agent_id": self.agent,
            "version": version,
            "chat_type": "api_chat",
            "chat_status": self.status,
            "start_timestamp": self.started_ms,
        });
        let variables = self.variables();
        let has_variables = self.dynamic_variables.is_some() || !variables.is_empty();
        let has_attributes = !self.custom_attributes.is_empty();
        let optional = [
            ("end_timestamp", self.ended_ms.map(Value::from)),
            ("metadata", self.metadata.clone()),
            ("agent_tag", tag),
            ("retell_llm_dynamic_variables", has_variables.then_some(Value::Object(variables))),
            ("custom_attributes", has_attributes.then(|| json!(self.custom_attributes))),
            ("collected_dynamic_variables", self.ended_ms.map(|_| json!({}))),
            ("message_with_tool_calls", with_messages.then(|| json!(self.messages))),
            ("transcript", with_messages.then(|| json!(self.transcript()))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                response[key] = value;
            }
        }
        response
    }

    /// The dynamic variables as the agent knows them.
    fn variables(&self) -> Map<String, Value> {
        let mut variables = self.dynamic_variables.clone().unwrap_or_default();
        variables.extend(self.overrides.clone());
        variables
    }

    /// What a list can be filtered by.
    pub(super) fn fields(&self) -> Value {
        let mut fields = self.response(false);
        let storage = if self.basic_attributes_only { "basic_attributes_only" } else { "everything" };
        fields["data_storage_setting"] = json!(storage);
        fields["duration_ms"] = json!(self.ended_ms.map(|ended| ended - self.started_ms));
        fields
    }

    fn transcript(&self) -> String {
        let mut transcript = String::new();
        for message in &self.messages {
            let speaker = match message["role"].as_str() {
                Some("agent") => "Agent",
                Some("user") => "User",
                _ => continue,
            };
            // Writing to a String cannot fail.
            let _ = writeln!(transcript, "{speaker}: {}", message["content"].as_str().unwrap_or_default());
        }
        transcript
    }
}
