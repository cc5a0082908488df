//! The behaviour of an agent: its answers, its latency, and undocumented quirks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids;

/// Retell's default of `end_chat_after_silence_ms`: one hour.
pub(super) const DEFAULT_SILENCE_MS: i64 = 3_600_000;

/// The behaviour of an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentRule {
    /// Its answers.
    pub reply: ReplyRule,
    /// Milliseconds a completion takes.
    pub latency_ms: u64,
    /// When get-chat shows the user's turn (not documented; assumption: at once).
    pub user_turn: UserTurn,
    /// Leave `message_with_tool_calls` out of get-chat, as with `data_storage_setting: basic_attributes_only`.
    pub omit_messages: bool,
    /// Silence after the agent's last message that ends the chat (Retell allows 2 minutes to 72 hours; here anything).
    pub end_chat_after_silence_ms: i64,
    /// The agent ends the chat after its answer.
    pub ends_chat: bool,
}

impl Default for AgentRule {
    fn default() -> Self {
        Self {
            reply: ReplyRule::Echo,
            latency_ms: 0,
            user_turn: UserTurn::default(),
            omit_messages: false,
            end_chat_after_silence_ms: DEFAULT_SILENCE_MS,
            ends_chat: false,
        }
    }
}

/// When a user's turn is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserTurn {
    /// Before the answer is generated.
    #[default]
    Before,
    /// With the answer.
    After,
}

/// The answers of an agent. `{input}` in a text is replaced by the user's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReplyRule {
    /// One message: `Answer to: {input}`.
    #[default]
    Echo,
    /// One message per text.
    Texts {
        /// The texts.
        texts: Vec<String>,
    },
    /// The first answer of whose words the input contains one, in lower case; otherwise another.
    ByWords {
        /// The answers.
        answers: Vec<WordAnswer>,
        /// What is said if none fits.
        otherwise: String,
    },
    /// No message at all.
    Nothing,
    /// A tool call and its result, and no message.
    ToolOnly,
    /// `Answer to: {input}` between two node transitions.
    NodeTransitions,
    /// `Answer to: {input}` after a message with an unknown role.
    UnknownRole,
    /// These messages unchanged; missing `message_id` and `created_timestamp` are added.
    Raw {
        /// The messages.
        messages: Vec<Value>,
    },
}

/// An answer, and the words that call for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WordAnswer {
    /// In lower case.
    pub words: Vec<String>,
    /// The answer.
    pub text: String,
}

impl ReplyRule {
    /// The new messages of a turn, in order.
    pub(super) fn messages(&self, input: &str, now: i64) -> Vec<Value> {
        let say = |text: &str| json!({"role": "agent", "content": text.replace("{input}", input)});
        let echo = || say("Answer to: {input}");
        let messages = match self {
            Self::Echo => vec![echo()],
            Self::Texts { texts } => texts.iter().map(|text| say(text)).collect(),
            Self::ByWords { answers, otherwise } => {
                let heard = input.to_lowercase();
                let fits =
                    |answer: &&WordAnswer| answer.words.iter().any(|word| heard.contains(word.as_str()));
                vec![say(answers.iter().find(fits).map_or(otherwise, |answer| &answer.text))]
            }
            Self::Nothing => Vec::new(),
            Self::ToolOnly => tool_call("lookup_order", "custom", "{\"order\":\"1\"}", "shipped"),
            Self::NodeTransitions => {
                vec![transition("start", "answering"), echo(), transition("answering", "waiting")]
            }
            Self::UnknownRole => vec![json!({"role": "simulated_role", "content": "not for people"}), echo()],
            Self::Raw { messages } => messages.clone(),
        };
        messages.into_iter().map(|message| stamped(message, now)).collect()
    }
}

/// The call by which an agent ends a chat.
pub(super) fn end_call(now: i64) -> Vec<Value> {
    tool_call("end_call", "end_call", "{}", "Chat ended")
        .into_iter()
        .map(|message| stamped(message, now))
        .collect()
}

fn tool_call(name: &str, kind: &str, arguments: &str, result: &str) -> Vec<Value> {
    let id = ids::retell_id("tool_call");
    vec![
        json!({"role": "tool_call_invocation", "tool_call_id": id, "name": name, "type": kind, "arguments": arguments}),
        json!({"role": "tool_call_result", "tool_call_id": id, "content": result, "successful": true}),
    ]
}

fn transition(from: &str, to: &str) -> Value {
    json!({
        "role": "node_transition", "former_node_id": from, "former_node_name": from,
        "new_node_id": to, "new_node_name": to, "transition_type": "normal",
    })
}

/// Adds what Retell's OpenAPI document requires of every message.
pub(super) fn stamped(mut message: Value, now: i64) -> Value {
    if let Some(object) = message.as_object_mut() {
        object.entry("message_id").or_insert_with(|| json!(ids::retell_id("msg")));
        object.entry("created_timestamp").or_insert_with(|| json!(now));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_stamped_and_the_input_is_put_in() {
        for rule in [
            ReplyRule::Echo,
            ReplyRule::Texts { texts: vec!["{input} one".to_owned(), "two".to_owned()] },
            ReplyRule::ToolOnly,
            ReplyRule::NodeTransitions,
            ReplyRule::UnknownRole,
        ] {
            for message in rule.messages("hello", 5) {
                assert!(message["message_id"].is_string(), "{message}");
                assert_eq!(message["created_timestamp"], 5);
            }
        }
        assert_eq!(ReplyRule::Echo.messages("hello", 5)[0]["content"], "Answer to: hello");
        assert!(ReplyRule::Nothing.messages("hello", 5).is_empty());
        let answers = vec![WordAnswer { words: vec!["open".to_owned()], text: "Until six.".to_owned() }];
        let shop = ReplyRule::ByWords { answers, otherwise: "Pardon?".to_owned() };
        assert_eq!(shop.messages("Are you OPEN?", 5)[0]["content"], "Until six.");
        assert_eq!(shop.messages("hello", 5)[0]["content"], "Pardon?");
    }
}
