//! Faults on request: the calls they affect.

mod play;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::operation::{Operation, Service};
pub(crate) use play::{dropped_connection, play, status_of};

/// A fault, and the calls it affects.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The service.
    pub service: Service,
    /// The operation; any if `None`.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// Only calls for this professional account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only calls about this customer.
    #[serde(default)]
    pub user: Option<String>,
    /// Only calls about this Retell chat.
    #[serde(default)]
    pub chat: Option<String>,
    /// Only calls about this Retell agent.
    #[serde(default)]
    pub agent: Option<String>,
    /// The kind of fault.
    pub mode: FaultMode,
    /// HTTP status, for modes that return one.
    #[serde(default)]
    pub status: Option<u16>,
    /// Graph error code.
    #[serde(default)]
    pub code: Option<i64>,
    /// Graph error subcode.
    #[serde(default)]
    pub subcode: Option<i64>,
    /// Whether Graph calls the error temporary (`is_transient`).
    #[serde(default)]
    pub transient: bool,
    /// Error message.
    #[serde(default)]
    pub message: Option<String>,
    /// Headers of the response, e.g. `Retry-After`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Milliseconds to wait before responding (for `slow`: before the effect).
    #[serde(default)]
    pub delay_ms: u64,
    /// Number of calls affected; 0: until cleared.
    #[serde(default = "once")]
    pub times: u32,
    /// Number of matching calls that pass first.
    #[serde(default)]
    pub skip: u32,
    /// Probability of affecting a matching call.
    #[serde(default = "always")]
    pub probability: f64,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultMode {
    /// The service's error, without the effect.
    Before,
    /// The effect, then the service's error.
    After,
    /// Waits `delay_ms`, then works normally.
    Slow,
    /// The effect at once, the response after `delay_ms`.
    SlowAfter,
    /// Closes the connection without a response and without the effect.
    DropBefore,
    /// The effect, then closes the connection without a response.
    DropAfter,
    /// A bare HTTP status without a body and without the effect.
    Status,
    /// A Graph error by `code` and `subcode`, without the effect; the status from the table unless given.
    GraphError,
    /// A gateway's HTML page, without the effect.
    Html,
    /// The usual response, its emojis cut in half: `😀` becomes the escape `\ud83d`, as by software that cuts texts by
    /// UTF-16 units.
    HalfEmoji,
    /// A success that has an `id` and nothing else, without the effect: an account or a Page of which the asked fields are not
    /// there.
    OnlyId,
    /// Retell's completion: the user's turn is stored, then generation fails with the service's error.
    Partial,
}

impl Fault {
    /// A fault for the service's next call.
    pub fn new(service: Service, mode: FaultMode) -> Self {
        Self {
            service,
            operation: None,
            account: None,
            user: None,
            chat: None,
            agent: None,
            mode,
            status: None,
            code: None,
            subcode: None,
            transient: false,
            message: None,
            headers: BTreeMap::new(),
            delay_ms: 0,
            times: 1,
            skip: 0,
            probability: 1.0,
        }
    }

    /// Affects the Graph API's next call.
    pub fn graph(operation: Operation, mode: FaultMode) -> Self {
        Self { operation: Some(operation), ..Self::new(Service::Graph, mode) }
    }

    /// Affects Retell's next call.
    pub fn retell(operation: Operation, mode: FaultMode) -> Self {
        Self { operation: Some(operation), ..Self::new(Service::Retell, mode) }
    }

    /// Affects `times` calls; 0: until cleared.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Lets `skip` matching calls pass first.
    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Responds with this HTTP status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Graph calls the error temporary.
    #[must_use]
    pub fn transient(self) -> Self {
        Self { transient: true, ..self }
    }

    /// Responds with this error message.
    #[must_use]
    pub fn message(self, message: &str) -> Self {
        Self { message: Some(message.to_owned()), ..self }
    }

    /// Responds with this Graph error.
    #[must_use]
    pub fn code(self, code: i64, subcode: Option<i64>) -> Self {
        Self { code: Some(code), subcode, ..self }
    }

    /// Waits this long before responding.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Affects only calls about this customer.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    /// Affects only calls for this account.
    #[must_use]
    pub fn account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    fn concerns(&self, subject: &Subject) -> bool {
        let fits = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.service == subject.service
            && self.operation.is_none_or(|operation| operation == subject.operation)
            && fits(&self.account, &subject.account)
            && fits(&self.user, &subject.user)
            && fits(&self.chat, &subject.chat)
            && fits(&self.agent, &subject.agent)
    }
}

fn once() -> u32 {
    1
}

fn always() -> f64 {
    1.0
}

/// The properties of a call that faults match.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) service: Service,
    pub(crate) operation: Operation,
    pub(crate) account: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) chat: Option<String>,
    pub(crate) agent: Option<String>,
}

impl Subject {
    pub(crate) fn new(service: Service, operation: Operation) -> Self {
        Self { service, operation, account: None, user: None, chat: None, agent: None }
    }
}

/// A fault with its history, as listed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultState {
    /// Its number, for clearing it.
    pub id: u64,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Matching calls that passed because of `skip`.
    pub skipped: u32,
    /// Calls affected.
    pub struck: u32,
}

impl FaultState {
    fn spent(&self) -> bool {
        self.fault.times > 0 && self.struck >= self.fault.times
    }
}

/// The active faults, in the order they were set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next_id: u64,
    all: Vec<FaultState>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> u64 {
        self.next_id += 1;
        self.all.push(FaultState { id: self.next_id, fault, skipped: 0, struck: 0 });
        self.next_id
    }

    pub(crate) fn list(&self) -> Vec<FaultState> {
        self.all.clone()
    }

    /// Clears one fault, or all.
    pub(crate) fn clear(&mut self, id: Option<u64>) {
        self.all.retain(|state| id.is_some_and(|id| id != state.id));
    }

    /// The fault that affects this call, if any.
    pub(crate) fn strike(&mut self, subject: &Subject) -> Option<Fault> {
        for state in &mut self.all {
            if state.spent() || !state.fault.concerns(subject) {
                continue;
            }
            if state.skipped < state.fault.skip {
                state.skipped += 1;
                continue;
            }
            if state.fault.probability < 1.0 && rand::random::<f64>() >= state.fault.probability {
                continue;
            }
            state.struck += 1;
            return Some(state.fault.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(user: &str) -> Subject {
        Subject { user: Some(user.to_owned()), ..Subject::new(Service::Graph, Operation::Send) }
    }

    #[test]
    fn a_fault_affects_the_requested_number_of_calls_after_skipping() {
        let mut faults = Faults::default();
        faults.add(Fault::graph(Operation::Send, FaultMode::Before).skip(1).times(2));
        let struck: Vec<bool> = (0..5).map(|_| faults.strike(&subject("u")).is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn a_fault_affects_only_matching_calls() {
        let mut faults = Faults::default();
        faults.add(Fault::graph(Operation::Send, FaultMode::Before).user("u").times(0));
        faults.add(Fault::retell(Operation::Completion, FaultMode::Before));
        assert!(faults.strike(&subject("other")).is_none());
        assert!(faults.strike(&Subject { operation: Operation::Profile, ..subject("u") }).is_none());
        assert!(faults.strike(&subject("u")).is_some());
        faults.clear(None);
        assert!(faults.strike(&subject("u")).is_none());
    }
}
