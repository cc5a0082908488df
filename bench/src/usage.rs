//! What processes cost: processor time and memory, as the kernel counts them.

use std::fs;
use std::time::{Duration, Instant};

/// The kernel's unit of processor time towards programs: a hundredth of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A process that is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) id: u32,
    /// Its children belong to it.
    pub(crate) with_children: bool,
}

impl Watched {
    pub(crate) fn one(name: &'static str, id: u32) -> Self {
        Self { name, id, with_children: false }
    }

    pub(crate) fn family(name: &'static str, id: u32) -> Self {
        Self { name, id, with_children: true }
    }

    /// User and system time since it was started.
    fn cpu(&self) -> Duration {
        let Some(own) = Stat::of(self.id) else { return Duration::ZERO };
        let mut ticks = own.ticks;
        if self.with_children {
            ticks += own.ended_children + children(self.id).map(|(_, stat)| stat.ticks).sum::<u64>();
        }
        TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Of one process the peak. A family shares memory, which counts once here, and has no peak of its own: what
    /// it has now.
    fn memory_kb(&self) -> u64 {
        if !self.with_children {
            return status_kb(self.id, "VmHWM");
        }
        let members: Vec<u32> = children(self.id).map(|(id, _)| id).chain([self.id]).collect();
        let own: u64 = members.iter().map(|id| status_kb(*id, "RssAnon")).sum();
        let shared = members.iter().map(|id| status_kb(*id, "RssShmem")).max();
        own + shared.unwrap_or_default()
    }
}

/// What one process cost in one phase.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) cpu: Duration,
    pub(crate) memory_kb: u64,
}

/// What a phase cost.
#[derive(Debug, Clone)]
pub(crate) struct Spent {
    pub(crate) took: Duration,
    pub(crate) costs: Vec<Cost>,
}

/// Measures from its start to its stop.
pub(crate) struct Meter {
    watched: Vec<Watched>,
    before: Vec<Duration>,
    started: Instant,
}

impl Meter {
    pub(crate) fn start(watched: Vec<Watched>) -> Self {
        let before = watched.iter().map(Watched::cpu).collect();
        Self { watched, before, started: Instant::now() }
    }

    pub(crate) fn stop(self) -> Spent {
        let took = self.started.elapsed();
        let cost = |(watched, before): (&Watched, &Duration)| Cost {
            name: watched.name,
            cpu: watched.cpu().saturating_sub(*before),
            memory_kb: watched.memory_kb(),
        };
        Spent { took, costs: self.watched.iter().zip(&self.before).map(cost).collect() }
    }
}

/// What `/proc/<pid>/stat` tells.
struct Stat {
    parent: u32,
    /// User and system time.
    ticks: u64,
    /// The same of the children that have ended.
    ended_children: u64,
}

impl Stat {
    fn of(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything; what follows it is `state ppid …`, utime being the 14th of all.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            ended_children: number(13)? + number(14)?,
        })
    }
}

fn children(id: u32) -> impl Iterator<Item = (u32, Stat)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| Some((id, Stat::of(id)?))).filter(move |(_, stat)| stat.parent == id)
}

fn status_kb(id: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_its_name() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 11 5 3 2 20 0 1 0 100 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.ticks, stat.ended_children), (7, 16, 5));
    }

    #[test]
    fn our_own_memory_is_counted() {
        assert!(status_kb(std::process::id(), "VmHWM") > 0);
    }
}
