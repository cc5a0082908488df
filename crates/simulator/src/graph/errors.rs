//! Graph's error objects and their HTTP statuses.
//!
//! Sources: Graph API, "Error handling"; Messenger Platform, "Error codes". Only two statuses are known from captures:
//! 403 for 10/2534022 (composio #3604) and 400 for the bare 100 (in2code-de/instagram #41). All others are assumptions.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Host;
use crate::ids;
use crate::settings::GraphSettings;

/// An error of the Graph API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub(crate) code: i64,
    pub(crate) subcode: Option<i64>,
    pub(crate) message: String,
    /// Overrides the table.
    pub(crate) status: Option<u16>,
    pub(crate) is_transient: bool,
}

impl GraphError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, subcode: None, message: message.into(), status: None, is_transient: false }
    }

    pub(crate) fn sub(code: i64, subcode: i64, message: impl Into<String>) -> Self {
        Self { subcode: Some(subcode), ..Self::new(code, message) }
    }

    /// Graph's response to every call on graph.instagram.com while the app is restricted (chatwoot #14932).
    pub(crate) fn app_restricted(method: &str) -> Self {
        Self::new(100, format!("Unsupported request - method type: {}", method.to_ascii_lowercase()))
    }

    /// 100/33: the object is missing or not visible.
    pub(crate) fn no_object(method: &str, id: &str) -> Self {
        Self::sub(
            100,
            33,
            format!(
                "Unsupported {} request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
                 permissions, or does not support this operation",
                method.to_ascii_lowercase()
            ),
        )
    }

    /// Meta, "Messaging API": outside of the allowed window.
    pub(crate) fn window_closed() -> Self {
        Self::sub(10, 2_534_022, "This message is sent outside of allowed window.")
    }

    /// The error requested by a fault; by default 500 with code 2.
    pub(crate) fn of_fault(fault: &crate::Fault) -> Self {
        let code = fault.code.unwrap_or(2);
        let message = fault.message.clone().unwrap_or_else(|| usual_message(code).to_owned());
        Self {
            is_transient: fault.transient,
            subcode: fault.subcode,
            status: fault.status,
            ..Self::new(code, message)
        }
    }

    pub(crate) fn respond(&self, host: Host, settings: &GraphSettings) -> Response {
        let mut error = Map::from_iter([
            ("message".to_owned(), json!(self.message)),
            ("type".to_owned(), json!(kind(host, self.code))),
            ("code".to_owned(), json!(self.code)),
            ("fbtrace_id".to_owned(), json!(format!("A{}", ids::letters(22)))),
        ]);
        if let Some(subcode) = self.subcode {
            error.insert("error_subcode".to_owned(), json!(subcode));
        }
        // Assumption: unless a fault says so, only code 2 calls itself transient.
        if self.is_transient || self.code == 2 {
            error.insert("is_transient".to_owned(), json!(true));
        }
        let status = StatusCode::from_u16(self.status_by(settings)).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(Value::Object(Map::from_iter([("error".to_owned(), Value::Object(error))]))))
            .into_response()
    }

    fn status_by(&self, settings: &GraphSettings) -> u16 {
        let full = self.subcode.map(|subcode| format!("{}/{subcode}", self.code));
        let set = full
            .and_then(|full| settings.statuses.get(&full))
            .or(settings.statuses.get(&self.code.to_string()));
        self.status.or(set.copied()).unwrap_or(match (self.code, self.subcode) {
            (10 | 200, _) => 403,
            (-2 | -1 | 1 | 2, _) => 500,
            _ => 400,
        })
    }
}

/// `OAuthException` on graph.facebook.com; `IGApiException` on graph.instagram.com, except for tokens and limits.
fn kind(host: Host, code: i64) -> &'static str {
    const OAUTH_ANYWHERE: [i64; 12] = [0, 4, 17, 32, 102, 190, 341, 368, 613, 80001, 80002, 80006];
    match host {
        Host::Instagram if !OAUTH_ANYWHERE.contains(&code) => "IGApiException",
        _ => "OAuthException",
    }
}

fn usual_message(code: i64) -> &'static str {
    match code {
        1 => "An unknown error occurred",
        2 => "An unexpected error has occurred. Please retry your request later.",
        4 => "(#4) Application request limit reached",
        17 => "(#17) User request limit reached",
        32 => "(#32) Page request limit reached",
        190 => "Error validating access token",
        368 => "The action attempted has been deemed abusive or is otherwise disallowed",
        551 => "(#551) This person isn't available right now.",
        613 => "(#613) Calls to this api have exceeded the rate limit.",
        80002 => {
            "(#80002) There have been too many calls to this Instagram account. Wait a bit and try again."
        }
        _ => "Simulated error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_statuses_and_types() {
        let settings = GraphSettings::default();
        assert_eq!(GraphError::window_closed().status_by(&settings), 403);
        assert_eq!(GraphError::app_restricted("POST").status_by(&settings), 400);
        assert_eq!(kind(Host::Instagram, 10), "IGApiException");
        assert_eq!(kind(Host::Instagram, 80002), "OAuthException");
        assert_eq!(kind(Host::Facebook, 10), "OAuthException");
    }

    #[test]
    fn a_status_can_be_set_by_code_and_subcode() {
        let mut settings = GraphSettings::default();
        settings.statuses.insert("190".to_owned(), 401);
        settings.statuses.insert("190/463".to_owned(), 403);
        assert_eq!(GraphError::new(190, "").status_by(&settings), 401);
        assert_eq!(GraphError::sub(190, 463, "").status_by(&settings), 403);
    }
}
