//! The whole way: customers of the simulator write, and each message is to be answered exactly once.

use crate::progress::say;
use crate::webhook::{ACCOUNT, user_id};
use anyhow::{Context, Result};
use dmrelay_simulator::{Sent, Simulator};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, timeout_at};

/// So long nothing may happen while messages are unanswered; then they count as unanswered.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// How long a second answer has to show itself after all are there.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);

/// What the simulated agent begins its answers with.
const ANSWER: &str = "Answer to: ";

/// What came of the messages of one run.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    pub(crate) messages: usize,
    /// From the first message to the last answer.
    pub(crate) took: Duration,
    pub(crate) sends: u64,
    /// Calls that asked the agent.
    pub(crate) questions: u64,
    pub(crate) unanswered: usize,
    pub(crate) answered_twice: usize,
    /// Sends that answer nothing that was asked.
    pub(crate) strange: usize,
    /// Questions asked while another of the same chat was under way.
    pub(crate) overlaps: u64,
    /// From the customer's message until Graph has accepted its answer.
    pub(crate) reply: Percentiles,
    /// Until the webhook is acknowledged.
    pub(crate) ack: Percentiles,
}

/// Times under which so many percent stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Percentiles {
    fn new(at: impl Fn(usize) -> Duration) -> Self {
        Self { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }

    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self::new(|percent| {
            let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(at).copied().unwrap_or_default()
        })
    }
}

impl Talk {
    pub(crate) fn exactly_once(&self) -> bool {
        let asked_once = self.questions <= u64::try_from(self.messages).unwrap_or(u64::MAX);
        asked_once && self.answered_once() && self.overlaps == 0
    }

    /// What holds also where calls fail: a question whose outcome is lost may be asked again.
    pub(crate) fn answered_once(&self) -> bool {
        self.unanswered == 0 && self.answered_twice == 0 && self.strange == 0
    }

    /// Messages answered a second.
    pub(crate) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "so few messages fit a float")]
        let answered = (self.messages - self.unanswered) as f64;
        answered / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

/// One who writes.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// To this account.
    pub(crate) account: String,
    /// Their id, which is theirs alone.
    pub(crate) user: String,
}

/// So many people who write to one account.
pub(crate) fn people(users: u32) -> Vec<Person> {
    (0..users.into()).map(|user| Person { account: ACCOUNT.to_owned(), user: user_id(user) }).collect()
}

/// Customers who write numbered messages, and count the answers.
struct Customers<'a> {
    simulator: &'a Simulator,
    people: &'a [Person],
    /// Where in `people` a user is.
    places: HashMap<&'a str, usize>,
    /// How often each message was answered.
    answers: Vec<u32>,
    /// When each was written, in milliseconds of the simulator's clock.
    written: Vec<i64>,
    /// From then until Graph accepted its answer.
    replies: Vec<Duration>,
    unanswered: usize,
    strange: usize,
    /// Sends that were looked at.
    seen: usize,
    started: Instant,
    last_answer: Instant,
}

/// Messages of these people, each one's next as soon as the last is answered, so that each is a turn of its own: as many people
/// `at_once` as wanted, one after the other.
pub(crate) async fn in_turn(
    simulator: &Simulator,
    messages: usize,
    people: &[Person],
    at_once: usize,
) -> Result<Talk> {
    let mut customers = Customers::new(simulator, messages, people);
    let mut silent: VecDeque<usize> = (0..people.len()).collect();
    let (mut written, mut answered) = (0, 0);
    loop {
        while written < messages && written < answered + at_once {
            let Some(person) = silent.pop_front() else { break };
            customers.write(written, person);
            written += 1;
        }
        if customers.unanswered == 0 {
            return customers.finish().await;
        }
        let heard = customers.wait().await?;
        if heard.is_empty() {
            return customers.finish().await;
        }
        answered += heard.len();
        silent.extend(heard);
    }
}

/// So many messages a second, whatever is answered, from one user after the other.
pub(crate) async fn steadily(
    simulator: &Simulator,
    messages: usize,
    people: &[Person],
    rate: u32,
) -> Result<Talk> {
    let mut customers = Customers::new(simulator, messages, people);
    let mut beat = interval(Duration::from_secs(1) / rate);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..messages {
        beat.tick().await;
        customers.write(number, number % people.len());
        customers.look();
    }
    while customers.unanswered > 0 && !customers.wait().await?.is_empty() {}
    customers.finish().await
}

impl<'a> Customers<'a> {
    fn new(simulator: &'a Simulator, messages: usize, people: &'a [Person]) -> Self {
        simulator.clear_record();
        let now = Instant::now();
        Self {
            simulator,
            people,
            places: people.iter().enumerate().map(|(place, person)| (person.user.as_str(), place)).collect(),
            answers: vec![0; messages],
            written: vec![0; messages],
            replies: Vec::with_capacity(messages),
            unanswered: messages,
            strange: 0,
            seen: 0,
            started: now,
            last_answer: now,
        }
    }

    fn write(&mut self, number: usize, person: usize) {
        let Person { account, user } = &self.people[person];
        self.written[number] = self.simulator.now_ms();
        self.simulator.say(account, user, format!("message-{number}"));
    }

    /// Waits for answers; gives the people who have one, or nobody when patience is at its end.
    async fn wait(&mut self) -> Result<Vec<usize>> {
        let mut changes = self.simulator.changes();
        loop {
            changes.borrow_and_update();
            let heard = self.look();
            if !heard.is_empty() {
                return Ok(heard);
            }
            let deadline = self.last_answer + ANSWER_TIMEOUT;
            if let Ok(changed) = timeout_at(deadline.into(), changes.changed()).await {
                changed.context("the simulator is gone")?;
            } else {
                let calls = self.simulator.record(|record| format!("{:?}", record.calls));
                let missing = self.unanswered;
                say(&format!(
                    "nothing was answered for {ANSWER_TIMEOUT:?}, {missing} messages are unanswered; calls: {calls}"
                ));
                return Ok(Vec::new());
            }
        }
    }

    /// Counts the sends that have come since; gives the people of those messages that are answered now.
    fn look(&mut self) -> Vec<usize> {
        let fresh: Vec<Sent> =
            self.simulator.record(|record| record.sends.get(self.seen..).unwrap_or_default().to_vec());
        self.seen += fresh.len();
        let mut heard = Vec::new();
        for sent in fresh {
            let lines = sent.text.as_deref().and_then(|text| text.strip_prefix(ANSWER)).unwrap_or_default();
            // Messages that waited together are asked together, a line each.
            for line in lines.split('\n') {
                match line.strip_prefix("message-").and_then(|number| number.parse::<usize>().ok()) {
                    Some(number) if number < self.answers.len() => {
                        self.answers[number] += 1;
                        if self.answers[number] == 1 {
                            self.unanswered -= 1;
                            heard.extend(self.places.get(sent.user.as_str()));
                            let took = u64::try_from(sent.at - self.written[number]).unwrap_or_default();
                            self.replies.push(Duration::from_millis(took));
                        }
                    }
                    _ => self.strange += 1,
                }
            }
        }
        if !heard.is_empty() {
            self.last_answer = Instant::now();
        }
        heard
    }

    /// Lets everything come to rest and takes stock.
    async fn finish(mut self) -> Result<Talk> {
        let took = self.last_answer - self.started;
        let idle = dmrelay_simulator::Record::webhooks_idle;
        self.simulator.wait_for("the echoes to be acknowledged", ANSWER_TIMEOUT, idle).await?;
        tokio::time::sleep(SETTLE).await;
        self.look();
        let micros = |micros: Option<u32>| Duration::from_micros(micros.unwrap_or_default().into());
        let reply = Percentiles::of(std::mem::take(&mut self.replies));
        Ok(self.simulator.record(|record| Talk {
            messages: self.answers.len(),
            took,
            sends: record.send_count,
            questions: record.completion_count,
            unanswered: self.unanswered,
            answered_twice: self.answers.iter().filter(|count| **count > 1).count(),
            strange: self.strange,
            overlaps: record.overlaps,
            reply,
            ack: Percentiles::new(|percent| micros(record.ack_latency.percentile_micros(percent))),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_what_was_measured() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let [p50, p95, p99, max] = [100, 190, 198, 200].map(Duration::from_millis);
        assert_eq!(Percentiles::of(times), Percentiles { p50, p95, p99, max });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }
}
