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
    /// Its status.
    pub status: ChatStatus,
    /// `metadata` as given; never shown to the model.
    pub metadata: Option<Value>,
    /// `retell_llm_dynamic_variables` as given, with later overrides.
    pub dynamic_variables: Option<Map<String, Value>>,
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
        let mut response = json!({
            "chat_id": self.id,
            "agent_id": self.agent,
            "version": 0,
            "chat_type": "api_chat",
            "chat_status": self.status,
            "start_timestamp": self.started_ms,
        });
        let optional = [
            ("end_timestamp", self.ended_ms.map(Value::from)),
            ("metadata", self.metadata.clone()),
            ("retell_llm_dynamic_variables", self.dynamic_variables.clone().map(Value::Object)),
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
