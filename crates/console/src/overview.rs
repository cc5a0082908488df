//! How it goes: what came and went, how fast, and what waits.

use crate::page::{curl, fill};
use crate::words::{self, overview as text};
use crate::{BASE, Person};
use dmrelay_views::{OverviewBar, OverviewCounts, OverviewView, Range};
use maud::{Markup, html};

/// The size of the chart, which is stretched to its room.
const WIDTH: i64 = 960;
const HEIGHT: i64 = 180;

/// Times below the chart.
const TIMES: usize = 6;

/// How often the page fetches it anew, in seconds.
const EVERY: u32 = 10;

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
            (state(overview))
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

/// The figures, as a fragment that is fetched every few seconds.
pub fn state(overview: &OverviewView) -> Markup {
    let again = format!("{BASE}/overview?part=state&range={}", overview.range);
    html! {
        div id="state" data-every=(EVERY) data-again=(again) {
            (figures(overview))
            @if let Some(since) = &overview.waiting_since {
                p class="hint" {
                    (fill(text::LONGEST_WAIT, &html! { time datetime=(since) data-since { (since) } }))
                    " " a href={ (BASE) "/inbox?folder=unanswered" } { (text::SEE_WAITING) }
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
                header class="top" {
                    h2 { (text::MESSAGES) }
                    p class="legend" {
                        span class="in" { (text::FROM_CUSTOMERS) }
                        span class="out" { (text::SENT) }
                        span class="bad" { (text::FAILED) }
                    }
                }
                (chart(&overview.bars))
                @if !overview.is_complete { p class="quiet" { (text::INCOMPLETE) } }
            }
            @if !overview.accounts.is_empty() { (accounts(overview)) }
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

/// Two bars beside one another for each time: from customers, and what was sent with failures on top. Numbers and times stand
/// beside the drawing, so that they keep their size.
fn chart(bars: &[OverviewBar]) -> Markup {
    let most = bars.iter().map(|bar| bar.received.max(bar.sent + bar.failed)).max().unwrap_or(0).max(4);
    let most = (most + 3) / 4 * 4;
    let count = i64::try_from(bars.len()).unwrap_or(1).max(1);
    let left = |n: usize| i64::try_from(n).unwrap_or(0) * WIDTH / count;
    let width = (WIDTH / count * 2 / 5).clamp(2, 24);
    let height = |messages: i64| messages * HEIGHT / most;
    let total = |of: fn(&OverviewBar) -> i64| bars.iter().map(of).sum::<i64>();
    let label = text::chart(total(|bar| bar.received), total(|bar| bar.sent), total(|bar| bar.failed));
    let every = (bars.len() / TIMES).max(1);
    html! {
        div class="plot" {
            ol class="numbers" aria-hidden="true" { @for part in (0..=4).rev() { li { (most * part / 4) } } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                @for part in 0..=4 {
                    @let y = HEIGHT - HEIGHT * part / 4;
                    line class="grid" x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                }
                @for (n, bar) in bars.iter().enumerate() {
                    @if bar.received + bar.sent + bar.failed > 0 {
                        g data-at=(bar.at) {
                            title { (text::bar(bar)) }
                            rect class="room" x=(left(n)) width=(WIDTH / count) y="0" height=(HEIGHT) {}
                            @let (inner, outer) = (height(bar.sent), height(bar.sent + bar.failed));
                            @let bars = [
                                ("in", 0, 0, height(bar.received)), ("out", width, 0, inner), ("bad", width, inner, outer),
                            ];
                            @for (class, right, from, to) in bars {
                                rect class=(class) x=(left(n) + right) width=(width) y=(HEIGHT - to) height=(to - from) {}
                            }
                        }
                    }
                }
            }
            p class="times" {
                @for bar in bars.iter().step_by(every) { time datetime=(bar.at) data-axis { (bar.at) } }
            }
        }
    }
}

fn accounts(overview: &OverviewView) -> Markup {
    html! {
        section {
            h2 { (words::ACCOUNTS) }
            div class="wide" tabindex="0" role="region" aria-label=(words::ACCOUNTS) {
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
