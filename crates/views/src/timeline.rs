//! The timeline of a conversation: webhook, turn, agent call, send, echo.

use super::format::always;
use super::message::reason_of;
use dmrelay_domain::ids::{MessageId, TurnId};
use dmrelay_domain::states::{ActivityKind, Author, Direction, MessageStatus, TurnState};
use dmrelay_store::entity::{activity, message, turn};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A webhook that arrives so long after its message was written is late, in milliseconds.
const LATE: i64 = 5_000;

/// An event in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// What happened.
    pub event: TimelineEvent,
    /// The message it happened to.
    pub message_id: Option<Uuid>,
    /// The turn it belongs to.
    pub turn_id: Option<Uuid>,
    /// Milliseconds since the webhook of the first message of the turn; null outside a turn.
    pub since_webhook_ms: Option<i64>,
    /// Details: an error, a reason, the actor.
    pub detail: Option<String>,
}

/// The kinds of event, in their usual order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimelineEvent {
    /// Meta's webhook with the message arrived.
    WebhookReceived,
    /// A worker stored the message in its conversation.
    Stored,
    /// The agent is not asked about the message.
    NotAsked,
    /// The agent was asked.
    AgentAsked,
    /// The agent answered.
    AgentAnswered,
    /// The turn ended without an answer.
    TurnEnded,
    /// The message was put into the outbox.
    Queued,
    /// The last send attempt began.
    SendStarted,
    /// Graph accepted the message.
    Sent,
    /// Meta's echo of the message arrived.
    EchoReceived,
    /// The user read the message.
    Read,
    /// The message will not be sent.
    NotSent,
    /// The agent fell silent.
    BotPaused,
    /// The agent resumed.
    BotResumed,
}

/// A timeline entry with its sort time.
pub struct Moment {
    /// When it happened, in milliseconds.
    pub at: i64,
    /// What happened.
    pub event: TimelineEvent,
    /// The message concerned.
    pub message: Option<MessageId>,
    /// The turn it belongs to.
    pub turn: Option<TurnId>,
    /// Details: an error, a reason, the actor.
    pub detail: Option<String>,
}

impl Moment {
    fn of_message(row: &message::Model, at: i64, event: TimelineEvent) -> Self {
        Self { at, event, message: Some(row.id), turn: row.turn_id, detail: None }
    }

    fn of_turn(row: &turn::Model, at: i64, event: TimelineEvent) -> Self {
        Self { at, event, message: None, turn: Some(row.id), detail: None }
    }

    fn with(mut self, detail: Option<String>) -> Self {
        self.detail = detail;
        self
    }
}

/// The timeline of these messages, their turns, and the changes of who answers; oldest first.
pub fn moments(messages: &[message::Model], turns: &[turn::Model], modes: &[activity::Model]) -> Vec<Moment> {
    let mut moments: Vec<Moment> = messages.iter().flat_map(of_message).collect();
    moments.extend(turns.iter().flat_map(of_turn));
    moments.extend(modes.iter().map(of_mode));
    moments.sort_by_key(|moment| (moment.at, moment.event));
    moments
}

/// The same timeline as views.
pub fn timeline(
    messages: &[message::Model],
    turns: &[turn::Model],
    modes: &[activity::Model],
) -> Vec<TimelineEntry> {
    let received = |turn: TurnId| turns.iter().find(|row| row.id == turn).map(|row| row.received_at);
    moments(messages, turns, modes)
        .into_iter()
        .map(|moment| TimelineEntry {
            at: always(moment.at),
            event: moment.event,
            message_id: moment.message.map(|id| id.0),
            turn_id: moment.turn.map(|id| id.0),
            since_webhook_ms: moment.turn.and_then(received).map(|at| moment.at - at),
            detail: moment.detail,
        })
        .collect()
}

fn of_message(row: &message::Model) -> Vec<Moment> {
    use MessageStatus::{Cancelled, Failed, Suppressed, Unknown};
    if row.direction == Direction::Inbound {
        let stored_at = row.created_at.max(row.received_at);
        let received =
            Moment::of_message(row, row.received_at, TimelineEvent::WebhookReceived).with(lateness(row));
        // A message that failed before it was part of a question has nothing else that tells.
        let failed = || row.error_class.as_ref().filter(|_| row.turn_id.is_none()).map(ToString::to_string);
        let not_asked = reason_of(row)
            .or_else(failed)
            .map(|reason| Moment::of_message(row, stored_at, TimelineEvent::NotAsked).with(Some(reason)));
        let stored = Moment::of_message(row, stored_at, TimelineEvent::Stored);
        return [received, stored].into_iter().chain(not_asked).collect();
    }
    let mut moments = Vec::new();
    if matches!(row.author.known(), Some(Author::Native | Author::Automation)) {
        moments.push(Moment::of_message(row, row.received_at, TimelineEvent::EchoReceived));
        return moments;
    }
    let by = row.actor.clone().or_else(|| Some(row.author.to_string()));
    moments.push(Moment::of_message(row, row.created_at, TimelineEvent::Queued).with(by));
    let later = [
        (row.started_at, TimelineEvent::SendStarted),
        (row.sent_at, TimelineEvent::Sent),
        (row.confirmed_at, TimelineEvent::EchoReceived),
        (row.read_at, TimelineEvent::Read),
    ];
    let attempt = |event| {
        (event == TimelineEvent::SendStarted && row.attempt > 1).then(|| format!("attempt {}", row.attempt))
    };
    let known = later.into_iter().filter_map(|(at, event)| Some((at?, event)));
    moments.extend(known.map(|(at, event)| Moment::of_message(row, at, event).with(attempt(event))));
    if matches!(row.status.known(), Some(Failed | Suppressed | Cancelled | Unknown)) {
        let last = row.started_at.unwrap_or(row.created_at);
        let class = row.error_class.as_ref().map(ToString::to_string);
        let code = row.error_code.as_deref().map(|code| format!(", code {code}")).unwrap_or_default();
        let class = class.map(|class| format!("{class}{code}"));
        let why = class.or_else(|| reason_of(row)).unwrap_or_else(|| row.status.to_string());
        moments.push(Moment::of_message(row, last, TimelineEvent::NotSent).with(Some(why)));
    }
    moments
}

/// How much later than the customer wrote it the webhook of a message arrived, if it is worth telling.
fn lateness(row: &message::Model) -> Option<String> {
    let late = row.received_at - row.at;
    (late >= LATE).then(|| format!("arrived {} s after it was written", late / 1_000))
}

fn of_turn(row: &turn::Model) -> Vec<Moment> {
    let attempts = (row.attempt > 1).then(|| format!("attempt {}", row.attempt));
    let mut moments = vec![Moment::of_turn(row, row.started_at, TimelineEvent::AgentAsked).with(attempts)];
    if let Some(at) = row.finished_at {
        let answered = row.state == TurnState::Answered;
        let event = if answered { TimelineEvent::AgentAnswered } else { TimelineEvent::TurnEnded };
        let why = (!answered).then(|| row.error.clone().unwrap_or_else(|| row.state.to_string()));
        moments.push(Moment::of_turn(row, at, event).with(why));
    }
    moments
}

fn of_mode(row: &activity::Model) -> Moment {
    let paused = row.kind == ActivityKind::BotPaused;
    let event = if paused { TimelineEvent::BotPaused } else { TimelineEvent::BotResumed };
    Moment { at: row.at, event, message: None, turn: None, detail: Some(row.actor.clone()) }
}
