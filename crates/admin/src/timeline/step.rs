//! A step of a timeline.

use super::super::output::or_nothing;
use super::super::times;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{DeadLetterId, MessageId, TurnId};
use dmrelay_store::entity::{activity, dead_letter, message, turn};
use dmrelay_views::{Moment, TimelineEvent};
use serde::Serialize;
use std::collections::HashSet;

/// An event and, at the first step of a message or turn, its final state.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    at: String,
    #[serde(skip)]
    time: Millis,
    /// Milliseconds since the previous step.
    after_ms: Option<Millis>,
    /// Milliseconds since the webhook of the first message of the turn.
    since_webhook_ms: Option<Millis>,
    what: String,
    who: Option<String>,
    kind: Option<String>,
    status: Option<String>,
    attempts: Option<i32>,
    error_class: Option<String>,
    error_code: Option<String>,
    detail: Option<String>,
    message_id: Option<MessageId>,
    turn_id: Option<TurnId>,
    dead_letter_id: Option<DeadLetterId>,
    mid: Option<String>,
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Step {
    fn new(at: Millis, what: impl Into<String>) -> Self {
        Self { at: times::shown(at), time: at, what: what.into(), ..Self::default() }
    }

    pub(super) fn of_moment(moment: &Moment, messages: &[message::Model], turns: &[turn::Model]) -> Self {
        let turn = turns.iter().find(|row| Some(row.id) == moment.turn);
        let message = messages.iter().find(|row| Some(row.id) == moment.message);
        let who = message.map(author);
        let step = Self {
            detail: moment.detail.clone().filter(|detail| who.as_ref() != Some(detail)),
            who,
            message_id: moment.message,
            turn_id: moment.turn,
            since_webhook_ms: turn
                .map(|row| moment.at - row.received_at)
                .filter(|_| moment.event != TimelineEvent::WebhookReceived),
            ..Self::new(moment.at, word(moment.event))
        };
        match (message, turn) {
            (None, Some(turn)) if moment.event == TimelineEvent::AgentAsked => step.with_turn(turn),
            (None, None) => Self { who: step.detail.clone(), detail: None, ..step },
            _ => step,
        }
    }

    fn with_turn(self, row: &turn::Model) -> Self {
        Self {
            who: Some("agent".to_owned()),
            status: Some(row.state.to_string()),
            attempts: Some(row.attempt),
            error_class: row.error_class.as_ref().map(ToString::to_string),
            detail: row.error.clone(),
            trace_id: row.trace_id.map(|id| id.to_string()),
            ..self
        }
    }

    /// An event of the account.
    pub(super) fn of_incident(row: &activity::Model) -> Self {
        let details: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&row.details).unwrap_or_default();
        let details: Vec<String> = details.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            who: Some(row.actor.clone()),
            detail: (!details.is_empty()).then(|| details.join(" ")),
            ..Self::new(row.at, row.kind.as_str().to_lowercase())
        }
    }

    /// A dead letter, and how it was closed.
    pub(super) fn of_letter(row: &dead_letter::Model) -> Vec<Self> {
        let step = |at, what| Self { dead_letter_id: Some(row.id), ..Self::new(at, what) };
        let mut steps = vec![Self {
            kind: Some(row.kind.to_string()),
            attempts: Some(row.attempts),
            error_class: Some(row.class.to_string()),
            detail: Some(row.error.clone()),
            ..step(row.created_at, "dead_letter")
        }];
        let closed = [(row.replayed_at, "dead_letter_replayed"), (row.discarded_at, "dead_letter_discarded")];
        steps.extend(
            closed
                .into_iter()
                .filter_map(|(at, what)| Some(Self { who: row.closed_by.clone(), ..step(at?, what) })),
        );
        steps
    }

    fn with_message(&mut self, row: &message::Model, with_text: bool) {
        self.kind = Some(row.kind.clone());
        self.status = Some(row.status.to_string());
        self.attempts = Some(row.attempt).filter(|attempts| *attempts > 0);
        self.error_class = row.error_class.as_ref().map(ToString::to_string);
        self.error_code.clone_from(&row.error_code);
        self.mid.clone_from(&row.mid);
        self.trace_id = row.trace_id.map(|id| id.to_string());
        self.text = row.text.clone().filter(|_| with_text);
    }

    pub(super) fn time(&self) -> Millis {
        self.time
    }

    pub(super) fn cells(&self) -> [String; 8] {
        let error: Vec<&str> =
            [&self.error_class, &self.error_code].into_iter().filter_map(Option::as_deref).collect();
        [
            self.at.clone(),
            or_nothing(self.after_ms.map(|after| format!("+{}", times::span(after)))),
            self.what.replace('_', " "),
            or_nothing(self.who.as_ref()),
            or_nothing(self.status.as_ref()),
            or_nothing(self.attempts),
            error.join(" "),
            self.more(),
        ]
    }

    /// Details without their own column; message text last.
    fn more(&self) -> String {
        let named = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
        let parts = [
            self.kind.clone(),
            self.detail.clone(),
            self.since_webhook_ms.map(|since| format!("{} after the webhook", times::span(since))),
            named("message", self.message_id.map(|id| id.to_string())),
            named("turn", self.turn_id.map(|id| id.to_string())),
            named("dead letter", self.dead_letter_id.map(|id| id.to_string())),
            named("mid", self.mid.clone()),
            named("trace", self.trace_id.clone()),
            self.text.as_ref().map(|text| format!("{text:?}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Adds the final state of each message to its first step.
pub(super) fn tell_rows_once(steps: &mut [Step], messages: &[message::Model], with_text: bool) {
    let mut told = HashSet::new();
    for step in steps {
        let Some(row) = messages.iter().find(|row| Some(row.id) == step.message_id) else { continue };
        if told.insert(row.id) {
            step.with_message(row, with_text);
        }
    }
}

/// Adds the time since the previous step to each step.
pub(super) fn measure(steps: &mut [Step]) {
    let mut before = None;
    for step in steps {
        step.after_ms = before.map(|before| step.time - before);
        before = Some(step.time);
    }
}

/// The author of a message, by name if it was sent through the API.
fn author(row: &message::Model) -> String {
    row.actor.clone().unwrap_or_else(|| row.author.to_string())
}

/// The API's word for it.
fn word(event: TimelineEvent) -> String {
    serde_json::to_value(event).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
