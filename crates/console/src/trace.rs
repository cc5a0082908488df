//! What happened to a message, on one line of time.

use crate::BASE;
use crate::page::fill;
use crate::words::{self, trace as text};
use dmrelay_views::{TimelineEntry, TimelineEvent};
use maud::{Markup, html};
use uuid::Uuid;

/// A turn, or a message without one.
pub struct Trace<'a> {
    /// What happened, oldest first.
    pub entries: &'a [TimelineEntry],
    /// The id of the trace, for logs and spans.
    pub id: Option<&'a str>,
    /// The largest number of attempts to send one of its messages.
    pub attempts: i32,
    /// The message whose trace was asked for.
    pub message: Uuid,
}

/// The drawing's width, and how far its line is from its ends.
const WIDTH: f64 = 720.0;
const MARGIN: f64 = 24.0;

/// The dialog, as a fragment.
pub fn trace(trace: &Trace<'_>) -> Markup {
    let steps = steps(trace.entries);
    html! {
        dialog id="trace" class="trace" aria-labelledby="trace-title" data-into="dialogs" {
            form method="dialog" { button class="quiet" aria-label=(words::CLOSE) { "✕" } }
            h2 id="trace-title" { (text::TITLE) }
            div class="drawn" tabindex="0" { (drawing(&steps)) }
            ol {
                @for step in &steps {
                    li class=(step.class) {
                        span class="dot" aria-hidden="true" {}
                        span { (step.name) @if let Some(detail) = step.detail { " · " (detail) } }
                        span class="ms" {
                            @if step.since > 0 { "+" (text::duration(step.took)) } @else { time datetime=(step.at) data-exact { (step.at) } }
                        }
                        span class="ms" { (text::duration(step.since)) }
                    }
                }
            }
            p class="quiet" {
                @if trace.attempts > 1 { (text::attempts(trace.attempts)) " " }
                @if let Some(id) = trace.id { (fill(text::TRACE_ID, &html! { code { (id) } })) " · " }
                a href={ (BASE) "/messages/" (trace.message) } { (text::LINK) }
            }
        }
    }
}

struct Step<'a> {
    event: TimelineEvent,
    name: &'static str,
    class: &'static str,
    at: &'a str,
    detail: Option<&'a str>,
    /// Milliseconds since the first step, and since the one before.
    since: i64,
    took: i64,
}

fn steps(entries: &[TimelineEntry]) -> Vec<Step<'_>> {
    let times: Vec<i64> =
        entries.iter().map(|entry| dmrelay_views::parse_time(&entry.at).unwrap_or_default()).collect();
    let first = times.first().copied().unwrap_or_default();
    let before = times.iter().take(1).chain(&times);
    let all = entries.iter().zip(&times).zip(before);
    all.map(|((entry, at), before)| Step {
        event: entry.event,
        name: text::step(entry.event),
        class: class(entry.event),
        at: &entry.at,
        detail: entry.detail.as_deref(),
        since: at - first,
        took: at - before,
    })
    .collect()
}

fn class(event: TimelineEvent) -> &'static str {
    match event {
        TimelineEvent::WebhookReceived | TimelineEvent::Stored => "in",
        TimelineEvent::AgentAsked | TimelineEvent::AgentAnswered | TimelineEvent::BotResumed => "agent",
        TimelineEvent::Queued
        | TimelineEvent::SendStarted
        | TimelineEvent::Sent
        | TimelineEvent::EchoReceived => "out",
        TimelineEvent::Read => "read",
        TimelineEvent::NotAsked
        | TimelineEvent::TurnEnded
        | TimelineEvent::NotSent
        | TimelineEvent::BotPaused => "off",
    }
}

/// The steps on one line, each with room for the name of what came before it. Reading may come hours later: the line ends with
/// what comes before it.
fn drawing(steps: &[Step<'_>]) -> Markup {
    let shown: Vec<&Step<'_>> = steps.iter().filter(|step| step.class != "read").collect();
    let whole = shown.iter().map(|step| step.since).max().unwrap_or_default().max(1);
    let gaps = u32::try_from(shown.len().saturating_sub(1)).unwrap_or_default();
    // Half of the line is shared out equally, the other half by time.
    let room = WIDTH - 2.0 * MARGIN;
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let place = |(n, step): (usize, &&Step<'_>)| {
        let equal = n as f64 / f64::from(gaps.max(1));
        MARGIN + room * (equal + step.since as f64 / whole as f64) / 2.0
    };
    let places: Vec<f64> = shown.iter().enumerate().map(place).collect();
    html! {
        svg viewBox={ "0 0 " (WIDTH) " 64" } role="img" aria-label=(text::took(whole)) {
            line x1=(MARGIN) x2=(WIDTH - MARGIN) y1="32" y2="32" class="axis" {}
            @for (pair, at) in shown.windows(2).zip(places.windows(2)) {
                line x1=(at[0]) x2=(at[1]) y1="32" y2="32" class={ "part " (pair[1].class) } {}
                @if let Some(name) = text::between(pair[0].event, pair[1].event) {
                    @let middle = f64::midpoint(at[0], at[1]);
                    text x=(middle) y="18" text-anchor="middle" { (name) }
                    @if pair[1].took > 0 { text x=(middle) y="54" text-anchor="middle" { (text::duration(pair[1].took)) } }
                }
            }
            @for (step, at) in shown.iter().zip(&places) {
                circle cx=(at) cy="32" r="6" class=(step.class) { title { (step.name) } }
            }
        }
    }
}
