//! What happened to a message.

use dmrelay_views::TimelineEvent;

pub(crate) const TITLE: &str = "From the webhook to the customer";
/// Around the id of the trace.
pub(crate) const TRACE_ID: &str = "Trace {}";

/// The address of the message, for colleagues.
pub(crate) const LINK: &str = "Link to the message";

/// What happened at a step.
pub(crate) fn step(event: TimelineEvent) -> &'static str {
    match event {
        TimelineEvent::WebhookReceived => "Webhook received",
        TimelineEvent::Stored => "Stored",
        TimelineEvent::NotAsked => "Not asked",
        TimelineEvent::AgentAsked => "Agent asked",
        TimelineEvent::AgentAnswered => "Agent answered",
        TimelineEvent::TurnEnded => "Ended without an answer",
        TimelineEvent::Queued => "Reply queued",
        TimelineEvent::SendStarted => "Sent to Instagram",
        TimelineEvent::Sent => "Accepted by Instagram",
        TimelineEvent::EchoReceived => "Confirmed by its echo",
        TimelineEvent::Read => "Read by the customer",
        TimelineEvent::NotSent => "Not sent",
        TimelineEvent::BotPaused => "Bot silent",
        TimelineEvent::BotResumed => "Bot answers",
    }
}

/// What went on between two steps; `None` if it has no name.
pub(crate) fn between(from: TimelineEvent, to: TimelineEvent) -> Option<&'static str> {
    use TimelineEvent::{
        AgentAnswered, AgentAsked, EchoReceived, Queued, SendStarted, Sent, Stored, WebhookReceived,
    };
    match (from, to) {
        (WebhookReceived, Stored) => Some("stored"),
        (Stored, AgentAsked) => Some("debounce"),
        (AgentAsked, AgentAnswered) => Some("agent"),
        (Queued, SendStarted) => Some("queue"),
        (SendStarted, Sent) => Some("Graph"),
        (Sent, EchoReceived) => Some("echo"),
        _ => None,
    }
}

/// How often sending was tried: more than once.
pub(crate) fn attempts(count: i32) -> String {
    format!("{count} attempts to send.")
}

/// How long all of it took.
pub(crate) fn took(millis: i64) -> String {
    format!("It took {}", duration(millis))
}

/// Milliseconds as people say them.
pub(crate) fn duration(millis: i64) -> String {
    match millis {
        i64::MIN..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{:01} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let said: Vec<String> = [0, 999, 1_500, 61_000].into_iter().map(duration).collect();
        assert_eq!(said, ["0 ms", "999 ms", "1.5 s", "1 min 1 s"]);
    }
}
