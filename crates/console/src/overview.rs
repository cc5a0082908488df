//! How it goes: what came and went, how fast, and what waits.

use crate::page::curl;
use crate::{BASE, Person, words};
use dmrelay_views::{OverviewBar, OverviewCounts, OverviewView, Range};
use maud::{Markup, html};

/// The size of the chart, and the room below it for times.
const WIDTH: i64 = 960;
/// Room at the left, for numbers.
const SIDE: i64 = 36;
const HEIGHT: i64 = 180;
const FOOT: i64 = 22;

/// The page's panes.
pub fn overview(person: &Person, overview: &OverviewView) -> Markup {
    let OverviewView { totals, .. } = overview;
    html! {
        main id="main" class="sheet" {
            header class="top" {
                h1 { (words::OVERVIEW) }
                nav class="ranges" aria-label="How far back" {
                    @for range in Range::ALL {
                        a href={ (BASE) "/overview?range=" (range.as_str()) } aria-current=[(range.as_str() == overview.range).then_some("page")] {
                            (words::range(range.as_str()))
                        }
                    }
                }
            }
            ul class="figures" {
                (figure("Customers wrote", &totals.received.to_string(), &rate(overview)))
                (figure("Answered by the bot", &share(totals), &words::asked(totals.sent_by_agent)))
                (figure("Median reply time", &duration(totals.reply_p50_ms), "from their message to ours"))
                (figure("95% of replies within", &duration(totals.reply_p95_ms), "from their message to ours"))
                (figure("Waiting now", &overview.waiting.to_string(), "customers, for the bot"))
                (figure("To be sent", &overview.queued.to_string(), "conversations"))
            }
            @if let Some(since) = &overview.waiting_since {
                p class="quiet" { "The customer who has waited longest wrote " time datetime=(since) data-ago { (since) } "." }
            }
            @for breaker in &overview.breakers {
                p class="problem" {
                    @if breaker.service == "agent" { "The agent's provider" } @else { "Instagram" }
                    @if let Some(of) = &breaker.of { " (" (of) ")" }
                    " is not called until " time datetime=(breaker.until) { (breaker.until) } ": it failed, or asked us to slow down. Nothing is lost."
                }
            }
            section class="chart" {
                h2 { "Messages" }
                (chart(&overview.bars, overview.range))
                p class="legend" { span class="in" { "from customers" } span class="out" { "sent" } span class="bad" { "failed" } }
                @if !overview.is_complete { p class="quiet" { "Only the newest 20,000 are counted." } }
            }
            @if overview.accounts.len() > 1 { (accounts(overview)) }
            (curl(person, &format!("overview?range={}", overview.range)))
            @if overview.accounts.is_empty() {
                div class="nothing" { p class="big" { "No account is connected." } p { a href={ (BASE) "/accounts" } { "Connect one" } } }
            }
        }
    }
}

fn figure(what: &str, value: &str, hint: &str) -> Markup {
    html! { li { span class="quiet" { (what) } strong { (value) } span class="quiet" { (hint) } } }
}

fn rate(overview: &OverviewView) -> String {
    // The bar of now has only begun: the one before is whole.
    let whole = overview.bars.iter().rev().nth(1).map_or(0, |bar| bar.received);
    let tenths = whole * 600 / overview.bar_seconds.max(1);
    format!("{}.{} per minute recently", tenths / 10, tenths % 10)
}

fn share(counts: &OverviewCounts) -> String {
    counts.answered_share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn duration(millis: Option<i64>) -> String {
    match millis {
        None => "–".to_owned(),
        Some(millis @ ..=999) => format!("{millis} ms"),
        Some(millis @ ..=9_999) => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        Some(millis @ ..=119_999) => format!("{} s", millis / 1_000),
        Some(millis) => format!("{} min", millis / 60_000),
    }
}

/// Bars that stand on one another: from customers upwards, what was sent above, failures on top.
fn chart(bars: &[OverviewBar], range: &str) -> Markup {
    let most = bars.iter().map(|bar| bar.received + bar.sent + bar.failed).max().unwrap_or(0).max(4);
    let count = i64::try_from(bars.len()).unwrap_or(1).max(1);
    let left = |n: usize| SIDE + i64::try_from(n).unwrap_or(0) * (WIDTH - SIDE) / count;
    let width = ((WIDTH - SIDE) / count - 2).max(2);
    let height = |messages: i64| messages * HEIGHT / most;
    let total = |of: fn(&OverviewBar) -> i64| bars.iter().map(of).sum::<i64>();
    let label = format!(
        "In all {} messages from customers, {} sent, {} failed",
        total(|bar| bar.received),
        total(|bar| bar.sent),
        total(|bar| bar.failed)
    );
    let every = (bars.len() / 6).max(1);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT + FOOT) } role="img" aria-label=(label) {
            @for part in 0..=2 {
                line class="grid" x1=(SIDE) x2=(WIDTH) y1=(HEIGHT - HEIGHT * part / 2) y2=(HEIGHT - HEIGHT * part / 2) {}
                text class="axis" x=(SIDE - 6) y=(HEIGHT - HEIGHT * part / 2 + if part == 2 { 11 } else { 0 }) text-anchor="end" { (most * part / 2) }
            }
            @for (n, bar) in bars.iter().enumerate() {
                @if bar.received + bar.sent + bar.failed > 0 {
                    g {
                        title { (bar.at.get(..16).unwrap_or_default().replace('T', " ")) " UTC: " (bar.received) " received, " (bar.sent) " sent, " (bar.failed) " failed" }
                        @let tops = [height(bar.received), height(bar.received + bar.sent), height(bar.received + bar.sent + bar.failed)];
                        rect class="in" x=(left(n)) width=(width) y=(HEIGHT - tops[0]) height=(tops[0]) {}
                        rect class="out" x=(left(n)) width=(width) y=(HEIGHT - tops[1]) height=(tops[1] - tops[0]) {}
                        rect class="bad" x=(left(n)) width=(width) y=(HEIGHT - tops[2]) height=(tops[2] - tops[1]) {}
                    }
                }
                @if n % every == 0 {
                    text class="axis" x=(left(n)) y=(HEIGHT + FOOT - 6) {
                        @if range == "week" { (bar.at.get(5..10).unwrap_or_default()) } @else { (bar.at.get(11..16).unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

fn accounts(overview: &OverviewView) -> Markup {
    html! {
        section {
            h2 { (words::ACCOUNTS) }
            div class="wide" {
                table {
                    thead { tr { th { "Account" } th { "Received" } th { "By the bot" } th { "By people" } th { "Failed" } th { "Answered" } th { "Median reply" } th { "95% within" } } }
                    tbody {
                        @for account in &overview.accounts {
                            tr {
                                th scope="row" { "@" (account.username.as_deref().unwrap_or(&account.agent_id)) }
                                td { (account.counts.received) } td { (account.counts.sent_by_agent) } td { (account.counts.sent_by_people) }
                                td { (account.counts.failed) } td { (share(&account.counts)) }
                                td { (duration(account.counts.reply_p50_ms)) } td { (duration(account.counts.reply_p95_ms)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let said = [None, Some(420), Some(9_999), Some(42_000), Some(3_600_000)].map(duration);
        assert_eq!(said, ["–", "420 ms", "9.9 s", "42 s", "60 min"]);
    }
}
