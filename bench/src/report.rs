//! What was measured, as Markdown.

use crate::args::Load;
use crate::generator::Acks;
use crate::pipeline::Talk;
use crate::usage::Spent;
use std::fmt;
use std::time::Duration;

/// One saturation run.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) acks: Acks,
    pub(crate) spent: Spent,
}

/// Everything, filled phase by phase.
#[derive(Debug)]
pub(crate) struct Report {
    load: Load,
    machine: Vec<String>,
    /// HMAC and 200.
    pub(crate) bare: Option<Measured>,
    /// Floor and API.
    pub(crate) pairs: Vec<(Measured, Measured)>,
    pub(crate) beside_worker: Option<Measured>,
    /// Replies the worker sent while the API was saturated.
    pub(crate) answered_meanwhile: u64,
    pub(crate) throughput: Option<(Talk, Spent)>,
    pub(crate) steady: Option<(Talk, Spent)>,
    /// What processes logged: nothing, on a good day.
    pub(crate) complaints: Vec<String>,
}

/// What the API must reach of the floor.
const WANTED: f64 = 0.5;

/// The columns of the table of costs.
const PROCESSES: [&str; 6] = ["floor", "api", "worker", "PostgreSQL", "Redis", "load"];

impl Report {
    pub(crate) fn new(load: &Load, machine: Vec<String>) -> Self {
        Self {
            load: load.clone(),
            machine,
            bare: None,
            pairs: Vec::new(),
            beside_worker: None,
            answered_meanwhile: 0,
            throughput: None,
            steady: None,
            complaints: Vec::new(),
        }
    }

    pub(crate) fn exactly_once(&self) -> bool {
        let talks = [&self.throughput, &self.steady];
        talks.iter().all(|talk| talk.as_ref().is_some_and(|(talk, _)| talk.exactly_once()))
    }

    fn saturation(&self) -> impl Iterator<Item = &Measured> {
        let pairs = self.pairs.iter().flat_map(|(floor, api)| [floor, api]);
        self.bare.iter().chain(pairs).chain(&self.beside_worker)
    }

    fn median_ratio(&self) -> f64 {
        let mut ratios: Vec<f64> = self.pairs.iter().map(|(floor, api)| ratio(floor, api)).collect();
        ratios.sort_by(f64::total_cmp);
        match ratios.len() {
            0 => 0.0,
            n if n % 2 == 1 => ratios[n / 2],
            n => f64::midpoint(ratios[n / 2 - 1], ratios[n / 2]),
        }
    }

    fn write_acks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connections, seconds) = (self.load.connections, self.load.seconds);
        writeln!(f, "### Acknowledgements at saturation\n")?;
        writeln!(f, "{connections} keep-alive connections, {seconds} s each after 1 s of warm-up.\n")?;
        writeln!(f, "| run | acknowledged a second | p50 | p99 | errors |")?;
        writeln!(f, "|---|---:|---:|---:|---:|")?;
        for Measured { name, acks, .. } in self.saturation() {
            let (p50, p99) = (ms(acks.percentile(50)), ms(acks.percentile(99)));
            let errors = if acks.errors() == 0 {
                "0".to_owned()
            } else {
                format!("{} ({:?}, {} broken)", acks.errors(), acks.refused, acks.broken)
            };
            writeln!(f, "| {name} | {:.0} | {p50} | {p99} | {errors} |", acks.per_second())?;
        }
        writeln!(f, "\nBeside the acknowledgements the worker sent {} replies.\n", self.answered_meanwhile)?;
        writeln!(f, "| pair | floor | api | api / floor |")?;
        writeln!(f, "|---:|---:|---:|---:|")?;
        for (number, (floor, api)) in self.pairs.iter().enumerate() {
            let (a, b) = (floor.acks.per_second(), api.acks.per_second());
            writeln!(f, "| {} | {a:.0} | {b:.0} | {:.2} |", number + 1, ratio(floor, api))?;
        }
        let median = self.median_ratio();
        let verdict = if median >= WANTED { "reached" } else { "**missed**" };
        writeln!(f, "| median | | | **{median:.2}** |\n")?;
        writeln!(
            f,
            "At least {WANTED} is wanted: {verdict}. Machines are noisy: a pair's two runs follow each other, so its \
             ratio says more than either number, and the median more than a pair.\n"
        )
    }

    fn write_talks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { users, rate, steady_seconds, agent_latency_ms, worker_concurrency, .. } = &self.load;
        writeln!(f, "### From webhook to reply\n")?;
        writeln!(
            f,
            "One api, one worker with up to {worker_concurrency} questions and as many sends under way, no debounce.\n"
        )?;
        if let Some((talk, _)) = &self.throughput {
            writeln!(
                f,
                "- Throughput: **{:.0} messages answered a second** ({} messages of {users} users in {:.1} s, each user \
                 one at a time, first messages included; agent latency 0). {}",
                talk.per_second(),
                talk.messages,
                talk.took.as_secs_f64(),
                verdict(talk)
            )?;
        }
        if let Some((talk, _)) = &self.steady {
            let [reply50, reply95, reply99] = talk.reply.map(ms);
            let [ack50, _, ack99] = talk.ack.map(ms);
            writeln!(
                f,
                "- Steady, {rate} messages a second for {steady_seconds} s, agent latency {agent_latency_ms} ms: from \
                 the customer's message to the reply at Graph **p50 {reply50}, p95 {reply95}, p99 {reply99}** (the agent's \
                 {agent_latency_ms} ms included); webhook acknowledged p50 {ack50}, p99 {ack99}. {}",
                verdict(talk)
            )?;
        }
        writeln!(f)
    }

    fn write_costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Processor time and memory\n")?;
        writeln!(
            f,
            "CPU seconds (user and system) in the phase, warm-up included, and peak memory. `load` is the load generator \
             and the simulator, one process. PostgreSQL: all its processes, shared memory counted once, at the phase's \
             end.\n"
        )?;
        writeln!(f, "| phase | seconds | {} |", PROCESSES.join(" | "))?;
        writeln!(f, "|---|---:|{}", "---:|".repeat(PROCESSES.len()))?;
        let saturation = self.saturation().map(|measured| (measured.name.as_str(), &measured.spent));
        let talks = [("throughput", &self.throughput), ("steady rate", &self.steady)];
        let talks = talks.iter().filter_map(|(name, talk)| Some((*name, &talk.as_ref()?.1)));
        for (name, spent) in saturation.chain(talks) {
            write!(f, "| {name} | {:.1} |", spent.took.as_secs_f64())?;
            for process in PROCESSES {
                match spent.costs.iter().find(|cost| cost.name == process) {
                    Some(cost) => {
                        let (cpu, memory) = (cost.cpu.as_secs_f64(), cost.memory_kb / 1_024);
                        write!(f, " {cpu:.1} s, {memory} MiB |")?;
                    }
                    None => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.machine {
            writeln!(f, "- {line}")?;
        }
        writeln!(f)?;
        self.write_acks(f)?;
        self.write_talks(f)?;
        self.write_costs(f)?;
        for complaint in &self.complaints {
            writeln!(f, "{complaint}")?;
        }
        Ok(())
    }
}

fn ratio(floor: &Measured, api: &Measured) -> f64 {
    api.acks.per_second() / floor.acks.per_second().max(f64::EPSILON)
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

fn verdict(talk: &Talk) -> String {
    let counts = format!("{} sends, {} questions to the agent", talk.sends, talk.questions);
    if talk.exactly_once() {
        return format!("Each answered exactly once ({counts}).");
    }
    format!(
        "**Not exactly once**: {} unanswered, {} answered more than once, {} sends that answer nothing, {} overlapping \
         questions ({counts}).",
        talk.unanswered, talk.answered_twice, talk.strange, talk.overlaps
    )
}
