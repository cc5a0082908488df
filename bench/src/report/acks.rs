//! Acknowledgements, as Markdown.

use super::ms;
use crate::args::Load;
use crate::generator;
use crate::usage::Spent;
use std::fmt::{self, Formatter};

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) acks: generator::Acks,
    pub(crate) spent: Spent,
}

/// All runs, in their order.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    /// HMAC and 200.
    pub(crate) bare: Option<Measured>,
    /// Floor and API.
    pub(crate) pairs: Vec<(Measured, Measured)>,
    pub(crate) beside_worker: Option<Measured>,
    /// Replies the worker sent while the API was saturated.
    pub(crate) answered_meanwhile: u64,
}

/// The columns of the table of costs.
const PROCESSES: [&str; 6] = ["floor", "api", "worker", "PostgreSQL", "Redis", "load"];

impl Acks {
    fn runs(&self) -> impl Iterator<Item = &Measured> {
        let pairs = self.pairs.iter().flat_map(|(floor, api)| [floor, api]);
        self.bare.iter().chain(pairs).chain(&self.beside_worker)
    }

    /// What the API reaches of the floor; nothing if neither was measured.
    pub(super) fn median_ratio(&self) -> Option<f64> {
        let mut ratios: Vec<f64> = self.pairs.iter().map(|(floor, api)| ratio(floor, api)).collect();
        ratios.sort_by(f64::total_cmp);
        match ratios.len() {
            0 => None,
            n if n % 2 == 1 => Some(ratios[n / 2]),
            n => Some(f64::midpoint(ratios[n / 2 - 1], ratios[n / 2])),
        }
    }

    pub(super) fn write(&self, f: &mut Formatter<'_>, load: &Load) -> fmt::Result {
        let Some(median) = self.median_ratio() else { return Ok(()) };
        writeln!(f, "### Acknowledgements at saturation\n")?;
        writeln!(
            f,
            "{} keep-alive connections, {} s each after 1 s of warm-up.\n",
            load.connections, load.seconds
        )?;
        writeln!(f, "| run | acknowledged a second | p50 | p99 | errors |")?;
        writeln!(f, "|---|---:|---:|---:|---:|")?;
        for Measured { name, acks, .. } in self.runs() {
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
        writeln!(f, "| median | | | **{median:.2}** |\n")?;
        writeln!(
            f,
            "Machines are noisy: a pair's two runs follow each other, so its ratio says more than either number, and the \
             median more than a pair.\n"
        )?;
        self.write_costs(f)
    }

    fn write_costs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Processor time (user and system, warm-up included) and peak memory; `load` is the load generator and the \
             simulator:\n"
        )?;
        writeln!(f, "| run | seconds | {} |", PROCESSES.join(" | "))?;
        writeln!(f, "|---|---:|{}", "---:|".repeat(PROCESSES.len()))?;
        for Measured { name, spent, .. } in self.runs() {
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

fn ratio(floor: &Measured, api: &Measured) -> f64 {
    api.acks.per_second() / floor.acks.per_second().max(f64::EPSILON)
}
