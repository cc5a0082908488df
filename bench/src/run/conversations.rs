//! The whole way from webhook to reply: as many as can be, at a steady rate, and while calls fail.

use super::Run;
use crate::args::{FAULT_USERS, MOST_CONCURRENCY, OF_TWO_WORKERS};
use crate::counts::{Watch, float};
use crate::peer::{Absent, Peer};
use crate::pipeline::{self, Talk};
use crate::progress::say;
use crate::report::conversations::{Level, Measured, Struck};
use crate::report::costs::Counted;
use crate::stack::{Plan, Stack};
use anyhow::Result;
use dmrelay_simulator::{Fault, FaultMode, Operation, Service, Simulator};
use std::future::Future;
use std::time::Duration;
use tokio::time::sleep;

/// Messages of the slowest steady run, at least.
const FEWEST: usize = 20;

/// Connections tell PostgreSQL how many transactions they had after up to ten seconds.
const REST: Duration = Duration::from_secs(11);

/// Of a hundred calls, these are answered 500 before their effect, answered 500 after it, and hang after it.
const FAILING: [(FaultMode, f64); 3] =
    [(FaultMode::Before, 0.025), (FaultMode::After, 0.025), (FaultMode::SlowAfter, 0.02)];

/// Longer than anybody waits.
const HANG: Duration = Duration::from_secs(30);

impl Run {
    /// Dmrelay and the peer in turn, level by level, so that noise strikes both.
    pub(super) async fn saturation(&mut self) -> Result<()> {
        say("preparing the peer");
        let mut absent = Peer::prepare().err();
        if let Some(Absent(why)) = &absent {
            say(why);
        }
        for in_flight in self.load.in_flight.clone() {
            let dmrelay = self.saturate_dmrelay(&format!("dmrelay_{in_flight}"), in_flight, 1).await?;
            let mut level = Level { in_flight, dmrelay, peer: None };
            if absent.is_none() {
                match self.saturate_peer(in_flight).await {
                    Ok(peer) => level.peer = Some(peer),
                    Err(err) => {
                        let why = format!("the peer failed with {in_flight} in flight: {err:#}");
                        say(&why);
                        absent = Some(Absent(why));
                    }
                }
            }
            self.report.levels.push(level);
        }
        if let Some(Absent(why)) = absent {
            self.report.remark(why);
        }
        Ok(())
    }

    pub(super) async fn two_workers(&mut self) -> Result<()> {
        let measured = self.saturate_dmrelay("two_workers", OF_TWO_WORKERS, 2).await?;
        self.report.two_workers = Some(measured);
        Ok(())
    }

    async fn saturate_dmrelay(&mut self, name: &str, in_flight: u16, workers: u16) -> Result<Measured> {
        self.agent_takes(0);
        let plan = Plan::new(name, in_flight.min(MOST_CONCURRENCY));
        let mut stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        stack.hire(workers).await?;
        let title = match workers {
            1 => format!("dmrelay, {in_flight} in flight"),
            _ => format!("dmrelay, {workers} workers, {in_flight} in flight"),
        };
        let watch = self.watch(&stack).await?;
        let measured = self.measure(title, watch, self.in_turn(in_flight)).await?;
        self.report.complaints.extend(stack.end());
        Ok(measured)
    }

    async fn saturate_peer(&mut self, in_flight: u16) -> Result<Measured> {
        self.agent_takes(0);
        let peer = Peer::start(&self.servers, &self.simulator, in_flight).await?;
        let watch = Watch::new(&self.servers, peer.database(), peer.watched()).await?;
        let title = format!("peer, {in_flight} in flight");
        let measured = self.measure(title, watch, self.in_turn(in_flight)).await?;
        self.report.complaints.extend(peer.end());
        Ok(measured)
    }

    /// Every user writes again when answered.
    async fn in_turn(&self, in_flight: u16) -> Result<Talk> {
        let people = pipeline::people(in_flight.into());
        let messages = usize::try_from(self.load.messages)?;
        pipeline::in_turn(&self.simulator, messages, &people, people.len()).await
    }

    /// One rate after the other, in chats that are open already.
    pub(super) async fn steady(&mut self) -> Result<()> {
        let plan = Plan::new("steady", self.load.worker_concurrency);
        let (stack, people) = self.open_chats(plan, self.load.users).await?;
        let idle = self.idle(&stack).await?;
        for rate in self.load.rates.clone() {
            let messages = usize::try_from(u64::from(rate) * self.load.steady_seconds)?.max(FEWEST);
            let talk = pipeline::steadily(&self.simulator, messages, &people, rate);
            let watch = self.watch(&stack).await?;
            let mut measured = self.measure(format!("steady, {rate} a second"), watch, talk).await?;
            measured.counted.transactions -= idle.transactions / idle.window.seconds * REST.as_secs_f64();
            self.report.steady.push((rate, measured));
        }
        self.report.idle = Some(idle);
        self.report.complaints.extend(stack.end());
        Ok(())
    }

    /// A steady rate while some calls of both services fail.
    pub(super) async fn faults(&mut self) -> Result<()> {
        let plan = Plan::new("faults", self.load.worker_concurrency)
            .with("AGENT_TIMEOUT", "10s")
            .with("GRAPH_TIMEOUT", "5s")
            .with("RECONCILE_GRACE", "5s");
        let (stack, people) = self.open_chats(plan, FAULT_USERS).await?;
        let rate = self.load.fault_rate;
        let messages = usize::try_from(u64::from(rate) * self.load.fault_seconds)?;
        let watch = self.watch(&stack).await?;
        add_faults(&self.simulator);
        let talk = pipeline::steadily(&self.simulator, messages, &people, rate);
        let measured = self.measure("faults".to_owned(), watch, talk).await?;
        let struck = struck(&self.simulator);
        self.simulator.clear_faults(None);
        self.report.faults = Some((measured, struck));
        // Processes log every call that fails: as many as are wanted here.
        drop(stack);
        Ok(())
    }

    /// Api and worker, and people who have been answered once.
    async fn open_chats(&self, plan: Plan, users: u32) -> Result<(Stack, Vec<pipeline::Person>)> {
        self.agent_takes(self.load.agent_latency_ms);
        let mut stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        stack.hire(1).await?;
        let people = pipeline::people(users);
        say(&format!("opening {users} chats"));
        pipeline::in_turn(&self.simulator, people.len(), &people, people.len()).await?;
        Ok((stack, people))
    }

    /// What is done while nobody writes.
    async fn idle(&self, stack: &Stack) -> Result<Counted> {
        say("the idle system");
        sleep(REST).await;
        let mut watch = self.watch(stack).await?;
        let commits = watch.commits().await?;
        let before = watch.begin().await?;
        sleep(REST).await;
        let window = watch.end(before).await?;
        let transactions = float(u64::try_from(watch.commits().await? - commits).unwrap_or_default());
        Ok(Counted { window, transactions })
    }

    async fn watch(&self, stack: &Stack) -> Result<Watch> {
        Watch::new(&self.servers, stack.database(), stack.watched()).await
    }

    /// Counts what this talk comes to, its time to settle included.
    async fn measure(
        &self,
        name: String,
        mut watch: Watch,
        talk: impl Future<Output = Result<Talk>>,
    ) -> Result<Measured> {
        self.servers.postgres.checkpoint().await?;
        let commits = watch.commits().await?;
        let before = watch.begin().await?;
        let talk = talk.await?;
        let window = watch.end(before).await?;
        say(&format!(
            "{name}: {:.0} messages answered a second, p50 {:.0?}, p99 {:.0?}, {} unanswered",
            talk.per_second(),
            talk.reply.p50,
            talk.reply.p99,
            talk.unanswered
        ));
        sleep(REST).await;
        let commits = u64::try_from(watch.commits().await? - commits).unwrap_or_default();
        Ok(Measured { name, talk, counted: Counted { window, transactions: float(commits) } })
    }

    fn agent_takes(&self, latency_ms: u64) {
        self.simulator.configure(|settings| settings.retell.default_agent.latency_ms = latency_ms);
    }
}

/// Questions to the agent, and sends.
const STRUCK: [fn(FaultMode) -> Fault; 2] =
    [|mode| Fault::retell(Operation::Completion, mode), |mode| Fault::graph(Operation::Send, mode)];

fn add_faults(simulator: &Simulator) {
    for fault in STRUCK {
        // A fault sees only the calls that those before it let pass.
        let mut left = 1.0;
        for (mode, share) in FAILING {
            let fault = fault(mode).times(0);
            let fault = match mode {
                FaultMode::SlowAfter => fault.delay(HANG),
                _ => fault.status(500),
            };
            simulator.add_fault(Fault { probability: share / left, ..fault });
            left -= share;
        }
    }
}

/// How many calls of each service each fault struck.
fn struck(simulator: &Simulator) -> Struck {
    let mut struck = Struck::default();
    for state in simulator.faults() {
        let place = match state.fault.service {
            Service::Retell => &mut struck.questions,
            Service::Graph => &mut struck.sends,
            Service::Words => continue,
        };
        place.push(state.struck);
    }
    struck
}
