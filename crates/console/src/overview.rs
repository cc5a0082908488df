//! How it goes: what came and went, how fast, and what waits.

use crate::page::{curl, fill};
use crate::words::{self, overview as text};
use crate::{BASE, Person};
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
    html! {
        main id="main" class="sheet" {
            header class="top" {
                h1 { (words::OVERVIEW) }
                nav class="ranges" aria-label=(text::RANGES) {
                    @for range in Range::ALL {
                        a href={ (BASE) "/overview?range=" (range.as_str()) }
                            aria-current=[(range.as_str() == overview.range).then_some("page")] {
                            (text::range(range.as_str()))
                        }
                    }
                }
            }
            (figures(overview))
            @if let Some(since) = &overview.waiting_since {
                p class="quiet" {
                    (fill(text::LONGEST_WAIT, &html! { time datetime=(since) data-ago { (since) } }))
                }
            }
            @for breaker in &overview.breakers {
                p class="problem" {
                    (text::service(breaker.service))
                    @if let Some(of) = &breaker.of { " (" (of) ")" }
                    " "
                    (fill(
                        text::NOT_CALLED_UNTIL,
                        &html! { time datetime=(breaker.until) { (breaker.until) } },
                    ))
                }
            }
            section class="chart" {
                h2 { (text::MESSAGES) }
                (chart(&overview.bars, overview.range))
                p class="legend" {
                    span class="in" { (text::FROM_CUSTOMERS) }
                    span class="out" { (text::SENT) }
                    span class="bad" { (text::FAILED) }
                }
                @if !overview.is_complete { p class="quiet" { (text::INCOMPLETE) } }
            }
            @if overview.accounts.len() > 1 { (accounts(overview)) }
            (curl(person, &format!("overview?range={}", overview.range)))
            @if overview.accounts.is_empty() {
                div class="nothing" {
                    p class="big" { (text::NO_ACCOUNT) }
                    p { a href={ (BASE) "/accounts" } { (text::CONNECT_ONE) } }
                }
            }
        }
    }
}

fn figures(overview: &OverviewView) -> Markup {
    let OverviewView { totals, .. } = overview;
    let (median, most) = (text::duration(totals.reply_p50_ms), text::duration(totals.reply_p95_ms));
    html! {
        ul class="figures" {
            (figure(text::CUSTOMERS_WROTE, &totals.received.to_string(), &rate(overview)))
            (figure(text::ANSWERED_BY_BOT, &share(totals), &text::answers(totals.sent_by_agent)))
            (figure(text::MEDIAN_REPLY_TIME, &median, text::REPLY_TIME_HINT))
            (figure(text::MOST_REPLIES_WITHIN, &most, text::REPLY_TIME_HINT))
            (figure(text::WAITING, &overview.waiting.to_string(), text::WAITING_HINT))
            (figure(text::TO_BE_SENT, &overview.queued.to_string(), text::TO_BE_SENT_HINT))
        }
    }
}

fn figure(what: &str, value: &str, hint: &str) -> Markup {
    html! { li { span class="quiet" { (what) } strong { (value) } span class="quiet" { (hint) } } }
}

fn rate(overview: &OverviewView) -> String {
    // The bar of now has only begun: the one before is whole.
    let whole = overview.bars.iter().rev().nth(1).map_or(0, |bar| bar.received);
    text::rate(whole * 600 / overview.bar_seconds.max(1))
}

fn share(counts: &OverviewCounts) -> String {
    counts.answered_share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// Bars that stand on one another: from customers upwards, what was sent above, failures on top.
fn chart(bars: &[OverviewBar], range: &str) -> Markup {
    let most = bars.iter().map(|bar| bar.received + bar.sent + bar.failed).max().unwrap_or(0).max(4);
    let count = i64::try_from(bars.len()).unwrap_or(1).max(1);
    let left = |n: usize| SIDE + i64::try_from(n).unwrap_or(0) * (WIDTH - SIDE) / count;
    let width = ((WIDTH - SIDE) / count - 2).max(2);
    let height = |messages: i64| messages * HEIGHT / most;
    let total = |of: fn(&OverviewBar) -> i64| bars.iter().map(of).sum::<i64>();
    let label = text::chart(total(|bar| bar.received), total(|bar| bar.sent), total(|bar| bar.failed));
    let every = (bars.len() / 6).max(1);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT + FOOT) } role="img" aria-label=(label) {
            @for part in 0..=2 {
                @let y = HEIGHT - HEIGHT * part / 2;
                line class="grid" x1=(SIDE) x2=(WIDTH) y1=(y) y2=(y) {}
                text class="axis" x=(SIDE - 6) y=(y + if part == 2 { 11 } else { 0 }) text-anchor="end" {
                    (most * part / 2)
                }
            }
            @for (n, bar) in bars.iter().enumerate() {
                @if bar.received + bar.sent + bar.failed > 0 {
                    g {
                        title { (text::bar(bar)) }
                        @let inner = height(bar.received);
                        @let outer = height(bar.received + bar.sent);
                        @let top = height(bar.received + bar.sent + bar.failed);
                        @let layers = [("in", 0, inner), ("out", inner, outer), ("bad", outer, top)];
                        @for (class, from, to) in layers {
                            rect class=(class) x=(left(n)) width=(width) y=(HEIGHT - to) height=(to - from) {}
                        }
                    }
                }
                @if n % every == 0 {
                    text class="axis" x=(left(n)) y=(HEIGHT + FOOT - 6) {
                        (bar.at.get(if range == "week" { 5..10 } else { 11..16 }).unwrap_or_default())
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
                    thead { tr { @for column in text::ACCOUNT_COLUMNS { th { (column) } } } }
                    tbody {
                        @for account in &overview.accounts {
                            tr {
                                th scope="row" {
                                    "@" (account.username.as_deref().unwrap_or(&account.agent_id))
                                }
                                td { (account.counts.received) }
                                td { (account.counts.sent_by_agent) }
                                td { (account.counts.sent_by_people) }
                                td { (account.counts.failed) }
                                td { (share(&account.counts)) }
                                td { (text::duration(account.counts.reply_p50_ms)) }
                                td { (text::duration(account.counts.reply_p95_ms)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
