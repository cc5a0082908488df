//! `filter_criteria` of `POST /v3/list-chats` (Retell's Python SDK 6.2, `ChatListParams`). A filter that Retell does not
//! have is refused: whoever relies on it must not be shown all chats.

use serde_json::{Map, Value};

use super::RetellError;

/// A type of filter, and its operators.
type Kind = (&'static str, &'static [&'static str]);

const STRING: Kind = ("string", &["eq", "ne", "sw", "ew", "co"]);
const NUMBER: Kind = ("number", &["eq", "ne", "gt", "ge", "lt", "le"]);
const RANGE: Kind = ("range", &["bt"]);
const ENUM: Kind = ("enum", &["in"]);
const BOOLEAN: Kind = ("boolean", &["eq"]);
const PRESENT: Kind = ("present", &["pr", "np"]);
const OF_CUSTOM: &[Kind] = &[STRING, NUMBER, RANGE, ENUM, BOOLEAN, PRESENT];

/// The filters of one value each: their names, and the types they take.
const FILTERS: &[(&str, &[Kind])] = &[
    ("agent_number", &[STRING]),
    ("agent_tag", &[ENUM]),
    ("chat_id", &[STRING, ENUM]),
    ("chat_status", &[ENUM]),
    ("chat_successful", &[BOOLEAN]),
    ("chat_type", &[ENUM]),
    ("combined_cost", &[NUMBER, RANGE]),
    ("data_storage_setting", &[ENUM]),
    ("direction", &[ENUM]),
    ("disconnection_reason", &[ENUM]),
    ("duration_ms", &[NUMBER, RANGE]),
    ("end_timestamp", &[NUMBER, RANGE]),
    ("start_timestamp", &[NUMBER, RANGE]),
    ("user_number", &[STRING]),
    ("user_sentiment", &[ENUM]),
];

/// The filters of one key of an object each.
const KEYED_FILTERS: &[&str] = &["custom_analysis_data", "custom_attributes"];

/// A filter that fits what Retell documents.
pub(super) struct Filter(Map<String, Value>);

impl Filter {
    /// Reads `filter_criteria`.
    pub(super) fn read(given: &Value) -> Result<Self, RetellError> {
        let criteria = match given {
            Value::Null => Map::new(),
            Value::Object(criteria) => criteria.clone(),
            _ => return Err(RetellError::bad_request()),
        };
        for (name, one) in &criteria {
            let is_valid = match FILTERS.iter().find(|(known, _)| known == name) {
                Some((_, kinds)) => is_filter(one, kinds),
                None if name == "agent" => is_list(one, |agent| agent["agent_id"].is_string()),
                None if KEYED_FILTERS.contains(&name.as_str()) => {
                    is_list(one, |filter| filter["key"].is_string() && is_filter(filter, OF_CUSTOM))
                }
                None => false,
            };
            if !is_valid {
                return Err(RetellError::bad_request());
            }
        }
        Ok(Self(criteria))
    }

    /// Whether a chat fits, of which these fields are known. What a chat does not have fits no filter but `np`.
    pub(super) fn fits(&self, chat: &Value) -> bool {
        self.0.iter().all(|(name, filter)| match filter {
            Value::Array(agents) if name == "agent" => agents.iter().any(|agent| is_agent(agent, chat)),
            Value::Array(filters) => filters.iter().all(|filter| {
                let key = filter["key"].as_str().unwrap_or_default();
                matches(filter, &chat[name.as_str()][key])
            }),
            filter => matches(filter, &chat[name.as_str()]),
        })
    }
}

fn is_list(given: &Value, is_item: impl Fn(&Value) -> bool) -> bool {
    given.as_array().is_some_and(|items| items.iter().all(is_item))
}

/// Whether this is a filter of one of these types, with an operator and a value of that type.
fn is_filter(given: &Value, kinds: &[Kind]) -> bool {
    let kind = kinds.iter().find(|(kind, _)| given["type"] == *kind);
    let value = &given["value"];
    kind.is_some_and(|(kind, operators)| {
        operators.iter().any(|operator| given["op"] == *operator)
            && match *kind {
                "string" => value.is_string(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                "enum" => value.is_array(),
                "range" => {
                    value.as_array().is_some_and(|ends| ends.len() == 2 && ends.iter().all(Value::is_number))
                }
                _ => value.is_null(),
            }
    })
}

fn is_agent(agent: &Value, chat: &Value) -> bool {
    let versions = agent["version"].as_array();
    agent["agent_id"] == chat["agent_id"]
        && versions.is_none_or(|versions| versions.contains(&chat["version"]))
}

fn matches(filter: &Value, actual: &Value) -> bool {
    let wanted = &filter["value"];
    let operator = filter["op"].as_str().unwrap_or_default();
    if operator == "np" || actual.is_null() {
        return operator == "np" && actual.is_null();
    }
    let numbers = || Some((actual.as_f64()?, wanted.as_f64()?));
    let texts = || Some((actual.as_str()?, wanted.as_str()?));
    let is_number = |compare: fn(&f64, &f64) -> bool| numbers().is_some_and(|(a, b)| compare(&a, &b));
    match operator {
        "pr" => true,
        "eq" => numbers().map_or(actual == wanted, |(a, b)| a.total_cmp(&b).is_eq()),
        "ne" => numbers().map_or(actual != wanted, |(a, b)| a.total_cmp(&b).is_ne()),
        "in" => wanted.as_array().is_some_and(|values| values.contains(actual)),
        "sw" => texts().is_some_and(|(text, part)| text.starts_with(part)),
        "ew" => texts().is_some_and(|(text, part)| text.ends_with(part)),
        "co" => texts().is_some_and(|(text, part)| text.contains(part)),
        "gt" => is_number(f64::gt),
        "ge" => is_number(f64::ge),
        "lt" => is_number(f64::lt),
        "le" => is_number(f64::le),
        "bt" => {
            let ends = (wanted[0].as_f64(), wanted[1].as_f64());
            matches!((actual.as_f64(), ends), (Some(at), (Some(from), Some(to))) if (from..=to).contains(&at))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operator_does_what_it_says() {
        let chat = json!({"chat_id": "chat_1", "agent_id": "a", "version": 3, "chat_status": "ongoing", "start_timestamp": 5,
            "custom_attributes": {"city": "Graz"}});
        let string = |op: &str, value: &str| json!({"chat_id": {"type": "string", "op": op, "value": value}});
        let number =
            |op: &str, value: i64| json!({"start_timestamp": {"type": "number", "op": op, "value": value}});
        let city = |filter: Value| {
            let mut filter = filter;
            filter["key"] = json!("city");
            json!({"custom_attributes": [filter]})
        };
        for (criteria, fits) in [
            (Value::Null, true),
            (string("eq", "chat_1"), true),
            (string("ne", "chat_1"), false),
            (string("sw", "chat"), true),
            (string("ew", "_2"), false),
            (string("co", "at_"), true),
            (json!({"chat_id": {"type": "enum", "op": "in", "value": ["chat_1", "chat_2"]}}), true),
            (json!({"chat_status": {"type": "enum", "op": "in", "value": ["ended"]}}), false),
            (number("gt", 5), false),
            (number("ge", 5), true),
            (number("lt", 6), true),
            (number("le", 4), false),
            (number("eq", 5), true),
            (number("ne", 5), false),
            (json!({"start_timestamp": {"type": "range", "op": "bt", "value": [1, 5]}}), true),
            (json!({"end_timestamp": {"type": "number", "op": "gt", "value": 0}}), false),
            (json!({"agent": [{"agent_id": "b"}, {"agent_id": "a", "version": [3]}]}), true),
            (json!({"agent": [{"agent_id": "a", "version": [2]}]}), false),
            (city(json!({"type": "string", "op": "eq", "value": "Graz"})), true),
            (city(json!({"type": "present", "op": "np"})), false),
            (json!({"custom_attributes": [{"key": "x", "type": "present", "op": "np"}]}), true),
        ] {
            assert_eq!(
                Filter::read(&criteria).map(|filter| filter.fits(&chat)).ok(),
                Some(fits),
                "{criteria}"
            );
        }
    }

    #[test]
    fn what_retell_does_not_have_is_refused() {
        for criteria in [
            json!([]),
            json!({"metadata": {"type": "string", "op": "eq", "value": "x"}}),
            json!({"chat_id": "chat_1"}),
            json!({"chat_id": {"type": "string", "op": "in", "value": ["chat_1"]}}),
            json!({"chat_id": {"type": "string", "op": "eq", "value": 1}}),
            json!({"chat_status": {"type": "string", "op": "eq", "value": "ended"}}),
            json!({"start_timestamp": {"type": "range", "op": "bt", "value": [1]}}),
            json!({"agent": {"agent_id": "a"}}),
            json!({"custom_attributes": [{"type": "string", "op": "eq", "value": "x"}]}),
        ] {
            assert!(Filter::read(&criteria).is_err(), "{criteria}");
        }
    }
}
