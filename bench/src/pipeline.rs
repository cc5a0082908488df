//! The whole way: customers of the simulator write, and each message is to be answered exactly once.

use crate::webhook::{ACCOUNT, user_id};
use anyhow::{Context, Result, bail};
use dmrelay_simulator::Simulator;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, timeout_at};

/// So long nothing may happen while messages are unanswered.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a second answer has to show itself after all are there.
const SETTLE: Duration = Duration::from_secs(3);

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
    pub(crate) reply: [Duration; 3],
    pub(crate) ack: [Duration; 3],
}

/// The percentiles that are shown.
pub(crate) const PERCENTILES: [usize; 3] = [50, 95, 99];

impl Talk {
    pub(crate) fn exactly_once(&self) -> bool {
        let asked_once = self.questions <= u64::try_from(self.messages).unwrap_or(u64::MAX);
        let answered_once = self.unanswered == 0 && self.answered_twice == 0 && self.strange == 0;
        asked_once && answered_once && self.overlaps == 0
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
    while customers.unanswered > 0 {
        customers.wait().await?;
    }
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
            unanswered: messages,
            strange: 0,
            seen: 0,
            started: now,
            last_answer: now,
        }
    }

    fn write(&self, number: usize, person: usize) {
        let Person { account, user } = &self.people[person];
        self.simulator.say(account, user, format!("message-{number}"));
    }

    /// Waits for answers; gives the people who have one.
    async fn wait(&mut self) -> Result<Vec<usize>> {
        let mut changes = self.simulator.changes();
        loop {
            changes.borrow_and_update();
            let heard = self.look();
            if !heard.is_empty() {
                return Ok(heard);
            }
            let deadline = self.last_answer + PATIENCE;
            if let Ok(changed) = timeout_at(deadline.into(), changes.changed()).await {
                changed.context("the simulator is gone")?;
            } else {
                let calls = self.simulator.record(|record| format!("{:?}", record.calls));
                let missing = self.unanswered;
                bail!(
                    "nothing was answered for {PATIENCE:?}, {missing} messages are unanswered; calls: {calls}"
                );
            }
        }
    }

    /// Counts the sends that have come since; gives the people of those messages that are answered now.
    fn look(&mut self) -> Vec<usize> {
        let fresh: Vec<(String, Option<String>)> = self.simulator.record(|record| {
            let fresh = record.sends.get(self.seen..).unwrap_or_default();
            fresh.iter().map(|sent| (sent.user.clone(), sent.text.clone())).collect()
        });
        self.seen += fresh.len();
        let mut heard = Vec::new();
        for (user, text) in fresh {
            let lines = text.as_deref().and_then(|text| text.strip_prefix(ANSWER)).unwrap_or_default();
            // Messages that waited together are asked together, a line each.
            for line in lines.split('\n') {
                match line.strip_prefix("message-").and_then(|number| number.parse::<usize>().ok()) {
                    Some(number) if number < self.answers.len() => {
                        self.answers[number] += 1;
                        if self.answers[number] == 1 {
                            self.unanswered -= 1;
                            heard.extend(self.places.get(user.as_str()));
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
        self.simulator.wait_for("the echoes to be acknowledged", PATIENCE, idle).await?;
        tokio::time::sleep(SETTLE).await;
        self.look();
        let micros = |micros: Option<u32>| Duration::from_micros(micros.unwrap_or_default().into());
        Ok(self.simulator.record(|record| Talk {
            messages: self.answers.len(),
            took,
            sends: record.send_count,
            questions: record.completion_count,
            unanswered: self.unanswered,
            answered_twice: self.answers.iter().filter(|count| **count > 1).count(),
            strange: self.strange,
            overlaps: record.overlaps,
            reply: PERCENTILES.map(|percent| micros(record.reply_latency.percentile_micros(percent))),
            ack: PERCENTILES.map(|percent| micros(record.ack_latency.percentile_micros(percent))),
        }))
    }
}
