//! How it goes: what came and went, how fast, and what waits.

use super::enums;
use super::format::always;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ConnectionId, TurnId};
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_store::{Connection, Glance};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;
use uuid::Uuid;

/// How far an overview looks back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// An hour, by the minute.
    Hour,
    /// A day, by quarters of an hour.
    Day,
    /// A week, by two hours.
    Week,
}

impl Range {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// The range of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.as_str() == word)
    }

    /// The length of a bar of its chart, in milliseconds, and how many there are.
    fn bars(self) -> (Millis, i64) {
        match self {
            Self::Hour => (60_000, 60),
            Self::Day => (900_000, 96),
            Self::Week => (7_200_000, 84),
        }
    }

    /// When it begins, at the beginning of a bar.
    pub fn since(self, now: Millis) -> Millis {
        let (length, count) = self.bars();
        (now.div_euclid(length) + 1 - count) * length
    }
}

/// How it goes in a subaccount, over all of its accounts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Overview)]
pub struct OverviewView {
    /// How far it looks back.
    #[schema(schema_with = enums::overview_range)]
    pub range: &'static str,
    /// When the first bar begins.
    #[schema(format = DateTime)]
    pub since: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub until: String,
    /// The length of a bar, in seconds.
    #[schema(example = 60)]
    pub bar_seconds: i64,
    /// Whether all messages of the range were counted. If there are too many, the newest are, and the bars before are empty.
    pub is_complete: bool,
    /// What came and went, oldest first, without gaps.
    pub bars: Vec<OverviewBar>,
    /// The sums and times of all accounts.
    pub totals: OverviewCounts,
    /// Chats in which a customer waits for the agent.
    #[schema(minimum = 0)]
    pub waiting: i64,
    /// When the customer wrote who has waited longest; null if nobody waits.
    #[schema(format = DateTime)]
    pub waiting_since: Option<String>,
    /// Chats with messages that are to be sent.
    #[schema(minimum = 0)]
    pub queued: i64,
    /// What is not called at the moment, since it failed or was throttled.
    pub breakers: Vec<OverviewBreaker>,
    /// Each account that is connected, the busiest first.
    pub accounts: Vec<OverviewAccount>,
}

/// What came and went in a part of the range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverviewBar {
    /// When it begins.
    #[schema(format = DateTime)]
    pub at: String,
    /// Messages of customers.
    #[schema(minimum = 0)]
    pub received: i64,
    /// Messages that were sent.
    #[schema(minimum = 0)]
    pub sent: i64,
    /// Messages that were not sent, or of which nobody knows whether they were.
    #[schema(minimum = 0)]
    pub failed: i64,
}

/// Sums and times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverviewCounts {
    /// Messages of customers.
    #[schema(minimum = 0)]
    pub received: i64,
    /// Messages of the agent that were sent.
    #[schema(minimum = 0)]
    pub sent_by_agent: i64,
    /// Messages of people that were sent, by the API or in the Instagram app.
    #[schema(minimum = 0)]
    pub sent_by_people: i64,
    /// Messages that were not sent, or of which nobody knows whether they were.
    #[schema(minimum = 0)]
    pub failed: i64,
    /// The share of the messages asked of the agent to which an answer was sent, from 0 to 1; null if none was asked.
    #[schema(minimum = 0, maximum = 1, example = 0.98)]
    pub answered_share: Option<f64>,
    /// The median time from the first message of a question to the first message of its answer, in milliseconds.
    #[schema(minimum = 0, example = 2400)]
    pub reply_p50_ms: Option<i64>,
    /// The time within which 95 of 100 questions were answered, in milliseconds.
    #[schema(minimum = 0, example = 5100)]
    pub reply_p95_ms: Option<i64>,
}

/// What is not called at the moment.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverviewBreaker {
    /// `instagram` or `agent`.
    #[schema(schema_with = enums::overview_breaker)]
    pub service: &'static str,
    /// The account or agent it concerns; null if it is the whole service.
    pub of: Option<String>,
    /// When calls to it resume, unless it fails again.
    #[schema(format = DateTime)]
    pub until: String,
}

/// How it goes for an account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverviewAccount {
    /// The connection.
    pub connection_id: Uuid,
    /// The account's handle.
    #[schema(example = "acme")]
    pub username: Option<String>,
    /// Its agent.
    pub agent_id: String,
    /// Its sums and times.
    #[serde(flatten)]
    pub counts: OverviewCounts,
}

/// What an overview is made of.
#[derive(Debug)]
pub struct Observed<'a> {
    /// How far it looks back.
    pub range: Range,
    /// Now, in milliseconds.
    pub now: Millis,
    /// The messages of the range, the newest first.
    pub messages: &'a [Glance],
    /// Whether those are all.
    pub is_complete: bool,
    /// The connections whose messages those are.
    pub connections: &'a [Connection],
    /// Chats in which a customer waits for the agent, and chats with messages to be sent.
    pub backlog: (i64, i64),
    /// When the customer wrote who has waited longest, in milliseconds.
    pub waiting_since: Option<Millis>,
    /// What is not called.
    pub breakers: Vec<OverviewBreaker>,
}

impl OverviewView {
    /// The overview of what was observed.
    pub fn of(observed: Observed<'_>) -> Self {
        let Observed { range, now, messages, is_complete, connections, .. } = observed;
        let (length, _) = range.bars();
        let mut by_connection: HashMap<ConnectionId, Vec<&Glance>> = HashMap::new();
        for one in messages {
            by_connection.entry(one.connection_id).or_default().push(one);
        }
        let of = |id: ConnectionId| by_connection.get(&id).map(Vec::as_slice).unwrap_or_default();
        let mut accounts: Vec<OverviewAccount> = connections
            .iter()
            .map(|connection| OverviewAccount {
                connection_id: connection.id.0,
                username: connection.row.username.clone(),
                agent_id: connection.agent.to_string(),
                counts: counts(of(connection.id).iter().copied()),
            })
            .collect();
        accounts.sort_by_key(|account| {
            let OverviewCounts { received, sent_by_agent, sent_by_people, .. } = account.counts;
            (-(received + sent_by_agent + sent_by_people), account.username.clone())
        });
        Self {
            range: range.as_str(),
            since: always(range.since(now)),
            until: always(now),
            bar_seconds: length / 1_000,
            is_complete,
            bars: bars(range, now, messages),
            totals: counts(messages.iter()),
            waiting: observed.backlog.0,
            waiting_since: observed.waiting_since.map(always),
            queued: observed.backlog.1,
            breakers: observed.breakers,
            accounts,
        }
    }
}

/// What a message counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Received,
    Sent,
    Failed,
    Other,
}

fn kind(one: &Glance) -> Kind {
    if one.direction.known() == Some(Direction::Inbound) {
        return if one.author.known() == Some(Author::User) { Kind::Received } else { Kind::Other };
    }
    match one.status.known() {
        Some(MessageStatus::Sent) => Kind::Sent,
        Some(MessageStatus::Failed | MessageStatus::Unknown) => Kind::Failed,
        _ => Kind::Other,
    }
}

fn is_by_people(one: &Glance) -> bool {
    matches!(one.author.known(), Some(Author::Human | Author::Native))
}

fn bars(range: Range, now: Millis, messages: &[Glance]) -> Vec<OverviewBar> {
    let ((length, count), since) = (range.bars(), range.since(now));
    let mut bars: Vec<OverviewBar> = (0..count)
        .map(|n| OverviewBar { at: always(since + n * length), ..OverviewBar::default() })
        .collect();
    for one in messages {
        let place = usize::try_from((one.created_at - since).div_euclid(length)).ok();
        let Some(bar) = place.and_then(|place| bars.get_mut(place)) else { continue };
        match kind(one) {
            Kind::Received => bar.received += 1,
            Kind::Sent => bar.sent += 1,
            Kind::Failed => bar.failed += 1,
            Kind::Other => {}
        }
    }
    bars
}

fn counts<'a>(messages: impl Iterator<Item = &'a Glance> + Clone) -> OverviewCounts {
    let mut counts = OverviewCounts::default();
    // When a question was received, and when the first message of its answer was sent.
    let mut asked: HashMap<TurnId, Millis> = HashMap::new();
    let mut answered: HashMap<TurnId, Millis> = HashMap::new();
    for one in messages.clone() {
        let is_agents = one.author.known() == Some(Author::Agent);
        match kind(one) {
            Kind::Received => counts.received += 1,
            Kind::Sent if is_agents => counts.sent_by_agent += 1,
            Kind::Sent if is_by_people(one) => counts.sent_by_people += 1,
            Kind::Failed => counts.failed += 1,
            Kind::Sent | Kind::Other => {}
        }
        match (kind(one), one.turn_id, one.sent_at) {
            (Kind::Received, Some(turn), _) => {
                let first = asked.entry(turn).or_insert(one.received_at);
                *first = one.received_at.min(*first);
            }
            (Kind::Sent, Some(turn), Some(at)) if is_agents => {
                let first = answered.entry(turn).or_insert(at);
                *first = at.min(*first);
            }
            _ => {}
        }
    }
    let over: HashSet<TurnId> = answered.keys().copied().collect();
    let questions = messages.filter(|one| kind(one) == Kind::Received).filter_map(|one| one.turn_id);
    let (all, with_answer) = questions.fold((0_u32, 0_u32), |(all, with_answer), turn| {
        (all + 1, with_answer + u32::from(over.contains(&turn)))
    });
    counts.answered_share =
        (all > 0).then(|| (f64::from(with_answer) / f64::from(all) * 1_000.0).round() / 1_000.0);
    let mut times: Vec<i64> =
        asked.iter().filter_map(|(turn, received)| Some((answered.get(turn)? - received).max(0))).collect();
    times.sort_unstable();
    counts.reply_p50_ms = percentile(&times, 50);
    counts.reply_p95_ms = percentile(&times, 95);
    counts
}

/// The smallest of these sorted times within which so many of 100 lie.
fn percentile(sorted: &[i64], of_100: usize) -> Option<i64> {
    let rank = (sorted.len() * of_100).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<i64> = (1..=100).collect();
        assert_eq!((percentile(&times, 50), percentile(&times, 95)), (Some(50), Some(95)));
        assert_eq!(
            (percentile(&[7], 50), percentile(&[7], 95), percentile(&[], 50)),
            (Some(7), Some(7), None)
        );
    }

    #[test]
    fn ranges_end_with_the_bar_of_now() {
        let now = 1_700_000_123_456;
        for range in Range::ALL {
            let all = bars(range, now, &[]);
            let (length, _) = range.bars();
            assert!(range.since(now) + length * i64::try_from(all.len()).unwrap() > now);
            assert_eq!(Range::parse(range.as_str()), Some(range));
        }
    }
}
