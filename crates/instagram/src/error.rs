//! Graph's errors (Meta, "Error codes"): the code and subcode decide, never the localized message.

use dmrelay_domain::failure::{self, Effect, FailureClass, Wire};
use dmrelay_domain::text::{mask, truncate};
use dmrelay_runtime::http::{Answer, Failure};
use serde_json::Value;
use std::time::Duration;

/// A failed call to Graph.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct GraphError {
    /// The failure class.
    pub class: FailureClass,
    /// Graph's `code/subcode`, `http <status>`, or how the connection failed.
    pub code: String,
    /// Graph's error message, and its `fbtrace_id`, for operators. Contains no token.
    pub message: String,
    /// The requested delay, if any.
    pub retry_after: Option<Duration>,
    /// How far the call got.
    pub wire: Wire,
}

/// The code of a response that does not match the documentation.
const UNEXPECTED: &str = "odd answer";

/// The name of the proof, as Meta's messages have it.
const PROOF: &str = "appsecret_proof";

/// The code of a response without what was asked for.
const MISSING: &str = "missing";

impl GraphError {
    /// Whether Graph responded: then the call is over, whatever it did.
    pub fn is_answered(&self) -> bool {
        matches!(self.wire, Wire::Answered { .. }) || self.code == UNEXPECTED
    }

    /// Whether what responded does not speak Graph's language: a web page, an empty body. Then an address is wrong, and waiting
    /// does not help.
    pub fn is_foreign(&self) -> bool {
        match self.wire {
            Wire::Answered { status, code: None, .. } => status < 500 && status != 408 && status != 429,
            _ => self.code == UNEXPECTED,
        }
    }

    /// Whether Meta does not accept the proof of the app's secret, or wants one.
    pub fn is_about_proof(&self) -> bool {
        self.class == FailureClass::Reauth && self.message.contains(PROOF)
    }

    /// Whether the account's owner lets no app read its messages (Meta, "Error codes").
    pub fn is_access_off(&self) -> bool {
        self.code == "200/2534041"
    }

    /// Whether what was asked for is not there; the message says what to do.
    pub fn is_missing(&self) -> bool {
        self.code == MISSING
    }

    /// The call was answered, and what it asked for is not there: `what` says so, and what to do.
    pub(crate) fn missing(what: &str) -> Self {
        Self {
            class: FailureClass::Invalid,
            code: MISSING.to_owned(),
            message: what.to_owned(),
            retry_after: None,
            wire: Wire::Answered { status: 200, code: None, subcode: None, is_transient: false },
        }
    }

    pub(crate) fn no_answer(effect: Effect, failure: &Failure) -> Self {
        let wire = failure.wire();
        let code = if wire == Wire::NotSent { "not sent" } else { "no answer" };
        Self {
            class: failure::graph(effect, wire),
            code: code.to_owned(),
            message: failure.to_string(),
            retry_after: None,
            wire,
        }
    }

    /// A 2xx response that does not match the documentation: the call may have taken effect.
    pub(crate) fn odd(effect: Effect, what: &str) -> Self {
        Self {
            class: failure::graph(effect, Wire::Lost),
            code: UNEXPECTED.to_owned(),
            message: what.to_owned(),
            retry_after: None,
            wire: Wire::Lost,
        }
    }

    pub(crate) fn answered(effect: Effect, answer: &Answer) -> Self {
        let json = answer.json().unwrap_or_default();
        // Where codes of logins are redeemed, errors are flat.
        let is_flat = json["error"].is_null() && json["error_message"].is_string();
        let (error, message) = if is_flat {
            (&json, &json["error_message"])
        } else {
            (&json["error"], &json["error"]["message"])
        };
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let (code, subcode) = (number(&error["code"]), number(&error["error_subcode"]));
        let is_transient = error["is_transient"].as_bool().unwrap_or(false);
        let wire = Wire::Answered { status: answer.status, code, subcode, is_transient };
        let message = message.as_str().unwrap_or_default();
        // The app's secret was changed, or is asked for: a new connect brings a new proof, and nothing is lost until then. Only
        // Meta's words tell this code 100 from others.
        let class = if code == Some(100) && message.contains(PROOF) {
            FailureClass::Reauth
        } else {
            failure::graph(effect, wire)
        };
        let shown = match (code, subcode) {
            (Some(code), Some(subcode)) => format!("{code}/{subcode}"),
            (Some(code), None) => code.to_string(),
            (None, _) => format!("http {}", answer.status),
        };
        // What Meta's support asks for.
        let word = |text: &&str| {
            text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        let trace = error["fbtrace_id"].as_str().filter(word);
        let trace = trace.map(|id| format!(" (fbtrace_id {id})")).unwrap_or_default();
        Self {
            class,
            code: shown,
            message: format!("{}{trace}", truncate(&mask(message), 300)),
            retry_after: answer.retry_after.or_else(|| answer.usage.as_deref().and_then(regain_access)),
            wire,
        }
    }
}

/// How long an account is throttled, from `X-Business-Use-Case-Usage`, which gives minutes (Meta, "Rate
/// limits").
fn regain_access(usage: &str) -> Option<Duration> {
    let usage: Value = serde_json::from_str(usage).ok()?;
    let entries = usage.as_object()?.values().filter_map(Value::as_array).flatten();
    let minutes = entries.filter_map(|entry| entry["estimated_time_to_regain_access"].as_u64()).max()?;
    (minutes > 0).then(|| Duration::from_mins(minutes.min(24 * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, usage: Option<&str>) -> Answer {
        Answer {
            status,
            usage: usage.map(Into::into),
            body: body.as_bytes().to_vec().into(),
            ..Answer::default()
        }
    }

    #[test]
    fn the_code_decides_and_the_message_is_only_shown() {
        let body = r#"{"error":{"message":"This message is sent outside of allowed window.","type":"IGApiException","code":10,"error_subcode":2534022}}"#;
        let error = GraphError::answered(Effect::Write, &answer(403, body, None));
        assert_eq!((error.class, error.code.as_str()), (FailureClass::WindowClosed, "10/2534022"));
        assert_eq!(error.message, "This message is sent outside of allowed window.");
        let body = r#"{"error":{"message":"Odd.","code":2,"fbtrace_id":"AbC_1-x"}}"#;
        let error = GraphError::answered(Effect::Write, &answer(500, body, None));
        assert_eq!(error.to_string(), "2: Odd. (fbtrace_id AbC_1-x)");
        let html = GraphError::answered(Effect::Write, &answer(502, "<html>", None));
        assert_eq!((html.class, html.code.as_str()), (FailureClass::Ambiguous, "http 502"));
    }

    #[test]
    fn the_time_to_regain_access_is_in_minutes() {
        let usage = r#"{"178":[{"type":"instagram","call_count":100,"estimated_time_to_regain_access":7}]}"#;
        let body = r#"{"error":{"code":80002}}"#;
        let error = GraphError::answered(Effect::Write, &answer(400, body, Some(usage)));
        assert_eq!((error.class, error.retry_after), (FailureClass::Throttled, Some(Duration::from_mins(7))));
    }
}
