//! Retell's chat API (`create-chat`, `create-chat-completion`, `get-chat`). It has no idempotency: a
//! completion posted twice is asked, answered and billed twice.

use crate::{AgentError, Answer, ChatAgent, Opening, Question, Taken, fingerprint};
use async_trait::async_trait;
use dmrelay_domain::failure::{self, Effect, FailureClass, Wire};
use dmrelay_domain::ids::AgentId;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::text::{clean, mask, truncate};
use dmrelay_runtime::http::{self, Call, Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// How to reach Retell.
#[derive(Debug, Clone)]
pub struct RetellOptions {
    /// `https://api.retellai.com`.
    pub url: Url,
    /// The API key.
    pub key: Secret<String>,
    /// A version number or a tag; without it Retell takes the newest, which may be a draft.
    pub agent_version: String,
    /// How long a completion may take.
    pub timeout: Duration,
}

/// How long the calls may take that do not wait for the agent.
const SHORT: Duration = Duration::from_secs(15);

/// Its name in the metrics.
const SERVICE: &str = "retell";

/// Retell.
pub struct Retell {
    client: Client,
    options: RetellOptions,
}

/// A message of a chat. Roles are an open set: what is not spoken is passed over.
#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default, rename = "message_id")]
    id: Option<String>,
}

#[derive(Deserialize)]
struct Completion {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Chat {
    message_with_tool_calls: Option<Vec<Message>>,
}

impl Retell {
    /// A connector that calls through `client`.
    pub fn new(client: Client, options: RetellOptions) -> Self {
        client.expect_calls(SERVICE, &["create_chat", "completion", "get_chat"]);
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
        if answer.is_success() {
            return json.ok_or_else(|| AgentError {
                class: failure::retell(effect, Wire::Lost, ""),
                retry_after: None,
                message: format!("{operation}: status {} with a body that is not JSON", answer.status),
            });
        }
        let said = json.as_ref().and_then(|json| json["message"].as_str()).unwrap_or_default();
        let wire = Wire::Answered { status: answer.status, code: None, subcode: None };
        Err(AgentError {
            class: failure::retell(effect, wire, said),
            retry_after: answer.retry_after,
            message: format!("{operation}: status {}: {}", answer.status, truncate(&mask(said), 200)),
        })
    }

    fn request(&self, operation: &'static str, method: Method, path: &[&str], timeout: Duration) -> Call {
        Call {
            service: SERVICE,
            operation,
            method,
            url: dmrelay_runtime::http::join(&self.options.url, path),
            bearer: Some(self.options.key.clone()),
            json: None,
            timeout,
        }
    }

    fn version(&self) -> Value {
        let version = &self.options.agent_version;
        version.parse::<u64>().map_or_else(|_| json!(version), |number| json!(number))
    }
}

#[async_trait]
impl ChatAgent for Retell {
    async fn open(&self, agent: &AgentId, opening: &Opening) -> Result<String, AgentError> {
        let mut call = self.request("create_chat", Method::POST, &["create-chat"], SHORT);
        call.json = Some(json!({
            "agent_id": agent.as_str(),
            "agent_version": self.version(),
            "metadata": opening.metadata,
            "retell_llm_dynamic_variables": opening.variables,
        }));
        let chat = self.call(Effect::Read, call).await.map_err(|mut err| {
            // There is no chat yet that could be gone: the agent is not there.
            if err.class == FailureClass::Gone {
                err.class = FailureClass::Invalid;
            }
            err
        })?;
        chat["chat_id"].as_str().map(str::to_owned).ok_or_else(|| AgentError {
            class: FailureClass::Transient,
            retry_after: None,
            message: "create_chat: the answer has no chat_id".to_owned(),
        })
    }

    async fn ask(&self, chat: &str, text: &str) -> Result<Answer, AgentError> {
        let mut call =
            self.request("completion", Method::POST, &["create-chat-completion"], self.options.timeout);
        call.json = Some(json!({ "chat_id": chat, "content": text }));
        let answer = self.call(Effect::Write, call).await?;
        let completion: Completion = serde_json::from_value(answer).map_err(|err| AgentError {
            class: FailureClass::Ambiguous,
            retry_after: None,
            message: format!("completion: the answer is not of the documented form: {err}"),
        })?;
        Ok(spoken(&completion.messages))
    }

    async fn find(&self, question: &Question<'_>) -> Result<Taken, AgentError> {
        let call = self.request("get_chat", Method::GET, &["get-chat", question.chat], SHORT);
        let chat = match self.call(Effect::Read, call).await {
            Ok(chat) => chat,
            Err(err) if err.class == FailureClass::Gone => return Ok(Taken::Unclear),
            Err(err) => return Err(err),
        };
        let Ok(Chat { message_with_tool_calls: Some(messages) }) = serde_json::from_value(chat) else {
            // Transcripts may not be stored at all, by the agent's data storage setting.
            return Ok(Taken::Unclear);
        };
        Ok(find_in(&messages, question))
    }
}

/// The question in the record: the user's message after the watermark that has its fingerprint.
fn find_in(messages: &[Message], question: &Question<'_>) -> Taken {
    let start = match question.watermark {
        None => 0,
        Some(mark) => match messages.iter().position(|m| m.id.as_deref() == Some(mark)) {
            Some(position) => position + 1,
            None => return Taken::Unclear,
        },
    };
    let asked = |m: &Message| {
        m.role == "user" && fingerprint(m.content.as_deref().unwrap_or_default())[..] == *question.hash
    };
    // The same question may stand there twice, once without an answer: it was asked again by a person's wish.
    let mut taken = Taken::NotAsked;
    for (position, _) in messages.iter().enumerate().skip(start).filter(|(_, message)| asked(message)) {
        let after = &messages[position + 1..];
        let until = after.iter().position(|m| m.role == "user").unwrap_or(after.len());
        let answer = spoken(&after[..until]);
        if !answer.replies.is_empty() {
            return Taken::Answered(answer);
        }
        taken = Taken::Thinking;
    }
    taken
}

/// All that the agent said, in order. Tool calls, transitions and roles not known yet are not spoken.
fn spoken(messages: &[Message]) -> Answer {
    let said = |m: &Message| {
        let text = clean(m.content.as_deref().unwrap_or_default()).trim().to_owned();
        (m.role == "agent" && !text.is_empty()).then_some(text)
    };
    Answer {
        replies: messages.iter().filter_map(said).collect(),
        last_message_id: messages.iter().rev().find_map(|m| m.id.clone()),
    }
}

fn no_answer(effect: Effect, operation: &str, failure: &http::Failure) -> AgentError {
    AgentError {
        class: failure::retell(effect, failure.wire(), ""),
        retry_after: None,
        message: format!("{operation}: {failure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(json: Value) -> Vec<Message> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn all_that_is_spoken_is_relayed_in_order_and_nothing_else() {
        let answer = spoken(&messages(json!([
            {"role": "node_transition", "message_id": "1"},
            {"role": "agent", "content": "One moment.", "message_id": "2"},
            {"role": "tool_call_invocation", "tool_call_id": "t", "name": "n", "arguments": "{}", "message_id": "3"},
            {"role": "tool_call_result", "tool_call_id": "t", "content": "secret", "message_id": "4"},
            {"role": "of a later version", "content": "no", "message_id": "5"},
            {"role": "agent", "content": " ", "message_id": "6"},
            {"role": "agent", "content": "Done.", "message_id": "7"},
        ])));
        assert_eq!(answer.replies, ["One moment.", "Done."]);
        assert_eq!(answer.last_message_id.as_deref(), Some("7"));
    }

    #[test]
    fn a_question_is_found_after_its_watermark() {
        let record = messages(json!([
            {"role": "user", "content": "hi", "message_id": "1"},
            {"role": "agent", "content": "hello", "message_id": "2"},
            {"role": "user", "content": "hi", "message_id": "3"},
            {"role": "agent", "content": "again", "message_id": "4"},
        ]));
        let hash = fingerprint(" hi\n");
        let find = |watermark| find_in(&record, &Question { chat: "c", watermark, hash: &hash });
        let answer = |text: &str, id: &str| {
            Taken::Answered(Answer { replies: vec![text.into()], last_message_id: Some(id.into()) })
        };
        assert_eq!(find(None), answer("hello", "2"));
        assert_eq!(find(Some("2")), answer("again", "4"));
        assert_eq!(find(Some("4")), Taken::NotAsked);
        assert_eq!(find(Some("gone")), Taken::Unclear);
        let other = fingerprint("other");
        assert_eq!(find_in(&record, &Question { chat: "c", watermark: None, hash: &other }), Taken::NotAsked);
        assert_eq!(
            find_in(&record[..3], &Question { chat: "c", watermark: Some("2"), hash: &hash }),
            Taken::Thinking
        );
    }
}
