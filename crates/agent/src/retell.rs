//! Retell's chat API (`create-chat`, `create-chat-completion`, `get-chat`). It is not idempotent: a
//! completion posted twice is asked, answered and billed twice.

use crate::{AgentError, Answer, ChatAgent, Key, Opening};
use async_trait::async_trait;
use dmrelay_domain::conversation::{Record, RecordEntry, Role};
use dmrelay_domain::current::Current;
use dmrelay_domain::directive;
use dmrelay_domain::failure::{self, Effect, FailureClass, Wire};
use dmrelay_domain::ids::AgentId;
use dmrelay_domain::text::{clean, mask, truncate};
use dmrelay_runtime::http::{self, Call, Client, Method};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// Connection settings for Retell.
#[derive(Debug, Clone)]
pub struct RetellOptions {
    /// `https://api.retellai.com`.
    pub url: Url,
    /// The operator's API key.
    pub key: Current<Key>,
    /// A version number or a tag; if omitted, Retell uses the newest version, which may be a draft.
    pub agent_version: String,
    /// Timeout of a completion.
    pub timeout: Duration,
}

/// Timeout of calls that do not wait for the agent.
const CHAT_CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The service's name in the metrics.
const SERVICE: &str = "retell";

/// What a key says of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentCheck {
    /// It is an agent of the key's workspace.
    Own,
    /// It is none.
    Unknown,
    /// The key is not accepted.
    KeyRefused,
    /// The provider cannot tell now: why.
    Unavailable(String),
}

/// Whether a key may read an agent (Retell, "Get chat agent": 422 for one that is not of the key's workspace).
pub async fn check_agent(client: &Client, url: &Url, key: &Key, agent: &AgentId) -> AgentCheck {
    let call = Call {
        bearer: Some(key.clone()),
        ..Call::get(
            (SERVICE, "get_agent"),
            http::join(url, &["get-chat-agent", agent.as_str()]),
            CHAT_CALL_TIMEOUT,
        )
    };
    match client.send(call).await {
        Err(failure) => AgentCheck::Unavailable(failure.to_string()),
        Ok(answer) => match answer.status {
            200 => AgentCheck::Own,
            400 | 404 | 422 => AgentCheck::Unknown,
            401..=403 => AgentCheck::KeyRefused,
            status => AgentCheck::Unavailable(format!("status {status}")),
        },
    }
}

/// The Retell connector.
pub struct Retell {
    client: Client,
    options: RetellOptions,
}

impl Retell {
    /// Creates a connector that calls through `client`.
    pub fn new(client: Client, options: RetellOptions) -> Self {
        client.expect_calls(SERVICE, &["create_chat", "completion", "get_chat", "delete_chat"]);
        Self { client, options }
    }

    async fn call(&self, effect: Effect, call: Call) -> Result<Value, AgentError> {
        let operation = call.operation;
        let answer = self.answer(effect, call).await;
        answer.inspect_err(|err| self.client.failed(SERVICE, operation, err.class))
    }

    async fn answer(&self, effect: Effect, call: Call) -> Result<Value, AgentError> {
        let operation = call.operation;
        let answer =
            self.client.send(call).await.map_err(|failure| no_answer(effect, operation, &failure))?;
        let json = answer.json();
        // `204 No Content` has none.
        if answer.is_success() && answer.status == 204 {
            return Ok(Value::Null);
        }
        if answer.is_success() {
            return json.ok_or_else(|| AgentError {
                class: failure::retell(effect, Wire::Lost, ""),
                answered: true,
                status: Some(answer.status),
                retry_after: None,
                message: format!("{operation}: status {} with a body that is not JSON", answer.status),
            });
        }
        let said = json.as_ref().and_then(|json| json["message"].as_str()).unwrap_or_default();
        let wire = Wire::Answered { status: answer.status, code: None, subcode: None, is_transient: false };
        Err(AgentError {
            class: failure::retell(effect, wire, said),
            answered: true,
            status: Some(answer.status),
            retry_after: answer.retry_after,
            message: format!("{operation}: status {}: {}", answer.status, truncate(&mask(said), 200)),
        })
    }

    /// A completion failed. If it was refused, Retell's record of the chat says whether that is because the chat takes no
    /// more questions (Retell, "Get chat": `chat_status` is `ongoing`, `ended` or `error`), whatever the text of the refusal.
    async fn refused(&self, key: Option<&Key>, chat: &str, refusal: AgentError) -> AgentError {
        // Not 408, 409, 425 and 499, after which the question may have been asked.
        let is_refused = matches!(refusal.status, Some(400 | 404..=407 | 410..=424 | 426..=428 | 430..=451));
        // One that says so itself is believed: a new chat for nothing costs less than no answer.
        if !is_refused || refusal.class == FailureClass::Gone {
            return refusal;
        }
        let call = self.request(key, "get_chat", Method::GET, &["get-chat", chat], CHAT_CALL_TIMEOUT);
        let class = match self.call(Effect::Read, call).await {
            Ok(found) if found["chat_status"] == "ongoing" => refusal.class,
            Ok(found) if found["chat_status"].is_string() => FailureClass::Gone,
            Err(err) if err.class == FailureClass::Gone => FailureClass::Gone,
            // Not known: it is asked again later, or looked up first.
            _ if refusal.class == FailureClass::Invalid => FailureClass::Transient,
            _ => refusal.class,
        };
        AgentError { class, ..refusal }
    }

    fn request(
        &self,
        key: Option<&Key>,
        operation: &'static str,
        method: Method,
        path: &[&str],
        timeout: Duration,
    ) -> Call {
        Call {
            method,
            bearer: Some(key.cloned().unwrap_or_else(|| (*self.options.key.get()).clone())),
            ..Call::get((SERVICE, operation), http::join(&self.options.url, path), timeout)
        }
    }

    fn version(&self) -> Value {
        let version = &self.options.agent_version;
        version.parse::<u64>().map_or_else(|_| json!(version), |number| json!(number))
    }
}

#[async_trait]
impl ChatAgent for Retell {
    async fn open(
        &self,
        key: Option<&Key>,
        agent: &AgentId,
        opening: &Opening,
    ) -> Result<String, AgentError> {
        let mut call = self.request(key, "create_chat", Method::POST, &["create-chat"], CHAT_CALL_TIMEOUT);
        call.json = Some(json!({
            "agent_id": agent.as_str(),
            "agent_version": self.version(),
            "metadata": opening.metadata,
            "retell_llm_dynamic_variables": opening.variables,
        }));
        let chat = self.call(Effect::Read, call).await.map_err(|mut err| {
            // There is no chat yet that could be gone, so the agent does not exist.
            if err.class == FailureClass::Gone {
                err.class = FailureClass::Invalid;
            }
            err
        })?;
        chat["chat_id"].as_str().map(str::to_owned).ok_or_else(|| AgentError {
            class: FailureClass::Transient,
            answered: true,
            status: None,
            retry_after: None,
            message: "create_chat: the response has no chat_id".to_owned(),
        })
    }

    async fn ask(
        &self,
        key: Option<&Key>,
        chat: &str,
        text: &str,
        timeout: Duration,
    ) -> Result<Answer, AgentError> {
        let timeout = timeout.min(self.options.timeout);
        let mut call = self.request(key, "completion", Method::POST, &["create-chat-completion"], timeout);
        call.json = Some(json!({ "chat_id": chat, "content": text }));
        let answer = match self.call(Effect::Write, call).await {
            Ok(answer) => answer,
            Err(err) => return Err(self.refused(key, chat, err).await),
        };
        let messages = answer["messages"].as_array().ok_or_else(|| AgentError {
            class: FailureClass::Ambiguous,
            answered: true,
            status: None,
            retry_after: None,
            message: "completion: the response has no messages".to_owned(),
        })?;
        Ok(spoken(&entries(messages)))
    }

    async fn delete(&self, key: Option<&Key>, chat: &str) -> Result<bool, AgentError> {
        let call =
            self.request(key, "delete_chat", Method::DELETE, &["delete-chat", chat], CHAT_CALL_TIMEOUT);
        match self.call(Effect::Read, call).await {
            Ok(_) => Ok(true),
            Err(err) if err.status == Some(404) || err.class == FailureClass::Gone => Ok(false),
            Err(err) => Err(err),
        }
    }

    async fn record(&self, key: Option<&Key>, chat: &str) -> Result<Record, AgentError> {
        let call = self.request(key, "get_chat", Method::GET, &["get-chat", chat], CHAT_CALL_TIMEOUT);
        let chat = match self.call(Effect::Read, call).await {
            Ok(chat) => chat,
            Err(err) if err.class == FailureClass::Gone => return Ok(Record::default()),
            Err(err) => return Err(err),
        };
        // The agent's data storage setting may disable transcripts.
        let messages = chat["message_with_tool_calls"].as_array();
        Ok(Record { entries: messages.map(|messages| entries(messages)) })
    }
}

/// The messages of a chat. Each is parsed on its own: roles are an open set, and non-text content is skipped.
fn entries(messages: &[Value]) -> Vec<RecordEntry> {
    // Our own tool is something that the agent says to us.
    let is_directive =
        |message: &Value| message["role"] == "tool_call_invocation" && message["name"] == directive::TOOL;
    let entry = |message: &Value| RecordEntry {
        role: match message["role"].as_str() {
            Some("user") => Role::User,
            Some("agent") => Role::Agent,
            _ if is_directive(message) => Role::Agent,
            _ => Role::Other,
        },
        text: match message["arguments"].as_str().filter(|_| is_directive(message)) {
            Some(arguments) => clean(&directive::of_tool(arguments)).into_owned(),
            None => clean(message["content"].as_str().unwrap_or_default()).into_owned(),
        },
        id: match &message["message_id"] {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        },
    };
    messages.iter().map(entry).collect()
}

/// The agent's spoken replies, in order. Tool calls, transitions and unknown roles are not spoken.
fn spoken(entries: &[RecordEntry]) -> Answer {
    let said = entries.iter().filter(|entry| entry.role == Role::Agent).map(|entry| entry.text.trim());
    Answer {
        replies: said.filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        last_message_id: entries.iter().rev().find_map(|entry| entry.id.clone()),
    }
}

fn no_answer(effect: Effect, operation: &str, failure: &http::Failure) -> AgentError {
    AgentError {
        class: failure::retell(effect, failure.wire(), ""),
        answered: false,
        status: None,
        retry_after: None,
        message: format!("{operation}: {failure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spoken_replies_are_relayed_in_order() {
        let messages = json!([
            {"role": "node_transition", "message_id": "1"},
            {"role": "agent", "content": "One moment.", "message_id": "2"},
            {"role": "tool_call_invocation", "tool_call_id": "t", "name": "n", "arguments": "{}", "message_id": "3"},
            {"role": "tool_call_result", "tool_call_id": "t", "content": "secret", "message_id": "4"},
            {"role": "of a later version", "content": "no", "message_id": "5"},
            {"role": "agent", "content": " ", "message_id": "6"},
            {"role": "agent", "content": {"odd": true}, "message_id": "6a"},
            null,
            {"content": "no role"},
            {"role": "agent", "content": "Done.", "message_id": 7},
        ]);
        let answer = spoken(&entries(messages.as_array().unwrap()));
        assert_eq!(answer.replies, ["One moment.", "Done."]);
        assert_eq!(answer.last_message_id.as_deref(), Some("7"));
    }
}
