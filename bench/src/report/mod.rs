//! What was measured, as Markdown.

pub(crate) mod acks;
pub(crate) mod conversations;
pub(crate) mod costs;
mod targets;

use crate::args::Load;
use acks::Acks;
use conversations::{Level, Measured, Struck};
use costs::Counted;
use std::fmt;
use std::time::Duration;

/// Everything, filled phase by phase.
#[derive(Debug)]
pub(crate) struct Report {
    load: Load,
    machine: Vec<String>,
    /// What was left out, and why.
    remarks: Vec<String>,
    pub(crate) acks: Acks,
    pub(crate) levels: Vec<Level>,
    pub(crate) two_workers: Option<Measured>,
    /// What is done while nobody writes.
    pub(crate) idle: Option<Counted>,
    /// By messages a second.
    pub(crate) steady: Vec<(u32, Measured)>,
    pub(crate) faults: Option<(Measured, Struck)>,
    /// What processes logged: nothing, on a good day.
    pub(crate) complaints: Vec<String>,
}

impl Report {
    pub(crate) fn new(load: &Load, machine: Vec<String>) -> Self {
        Self {
            load: load.clone(),
            machine,
            remarks: Vec::new(),
            acks: Acks::default(),
            levels: Vec::new(),
            two_workers: None,
            idle: None,
            steady: Vec::new(),
            faults: None,
            complaints: Vec::new(),
        }
    }

    /// Says that something is missing.
    pub(crate) fn remark(&mut self, what: String) {
        self.remarks.push(what);
    }

    /// Whether dmrelay did what it promises; the peer may do as it likes.
    pub(crate) fn exactly_once(&self) -> bool {
        let faults = self.faults.as_ref().is_none_or(|(measured, _)| measured.talk.answered_once());
        faults && self.undisturbed().all(|measured| measured.talk.exactly_once())
    }

    /// Dmrelay's runs in which no call fails.
    fn undisturbed(&self) -> impl Iterator<Item = &Measured> {
        let levels = self.levels.iter().map(|level| &level.dmrelay);
        let steady = self.steady.iter().map(|(_, measured)| measured);
        levels.chain(&self.two_workers).chain(steady)
    }

    /// Every run of conversations, with the peer's.
    fn conversations(&self) -> impl Iterator<Item = &Measured> {
        let levels = self.levels.iter().flat_map(|level| std::iter::once(&level.dmrelay).chain(&level.peer));
        let steady = self.steady.iter().map(|(_, measured)| measured);
        let faults = self.faults.iter().map(|(measured, _)| measured);
        levels.chain(&self.two_workers).chain(steady).chain(faults)
    }

    fn level(&self, in_flight: u16) -> Option<&Level> {
        self.levels.iter().find(|level| level.in_flight == in_flight)
    }

    fn at_rate(&self, wanted: u32) -> Option<&Measured> {
        self.steady.iter().find(|(rate, _)| *rate == wanted).map(|(_, measured)| measured)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.machine.iter().chain(&self.remarks) {
            writeln!(f, "- {line}")?;
        }
        writeln!(f)?;
        self.write_targets(f)?;
        self.acks.write(f, &self.load)?;
        self.write_saturation(f)?;
        self.write_steady(f)?;
        self.write_faults(f)?;
        self.write_costs(f)?;
        for complaint in &self.complaints {
            writeln!(f, "{complaint}")?;
        }
        Ok(())
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
