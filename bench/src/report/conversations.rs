//! From webhook to reply, as Markdown.

use super::costs::Counted;
use super::{Report, ms};
use crate::args::{FAULT_USERS, MOST_CONCURRENCY, OF_TWO_WORKERS};
use crate::pipeline::Talk;
use std::fmt::{self, Formatter};
use std::time::Duration;

/// One run of conversations.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) talk: Talk,
    pub(crate) counted: Counted,
}

/// Dmrelay and the peer with so many conversations in flight.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    pub(crate) in_flight: u16,
    pub(crate) dmrelay: Measured,
    pub(crate) peer: Option<Measured>,
}

/// Calls that failed: answered 500 before their effect, answered 500 after it, not answered after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Struck {
    pub(crate) questions: Vec<u32>,
    pub(crate) sends: Vec<u32>,
}

impl Level {
    /// Dmrelay's throughput by the peer's.
    pub(super) fn ratio(&self) -> Option<f64> {
        let peer = self.peer.as_ref()?.talk.per_second();
        Some(self.dmrelay.talk.per_second() / peer.max(f64::EPSILON))
    }
}

impl Report {
    pub(super) fn write_saturation(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.levels.is_empty() && self.two_workers.is_none() {
            return Ok(());
        }
        writeln!(f, "### Saturation: messages answered a second\n")?;
        writeln!(
            f,
            "{} messages each, first messages included; every user writes again when answered. One api and one worker, no \
             debounce, an agent that answers at once. WORKER_CONCURRENCY (at most {MOST_CONCURRENCY}) and the peer's \
             CONCURRENCY are the number in flight; two workers have {OF_TWO_WORKERS} each.\n",
            self.load.messages
        )?;
        writeln!(f, "| in flight | dmrelay | peer | dmrelay / peer | dmrelay, two workers |")?;
        writeln!(f, "|---:|---:|---:|---:|---:|")?;
        let speed = |measured: Option<&Measured>| {
            measured.map(|measured| format!("{:.0}", measured.talk.per_second())).unwrap_or_default()
        };
        let two_workers = speed(self.two_workers.as_ref());
        for level in &self.levels {
            let ratio = level.ratio().map(|ratio| format!("**{ratio:.2}**")).unwrap_or_default();
            let beside = if level.in_flight == OF_TWO_WORKERS { &two_workers } else { "" };
            let (dmrelay, peer) = (speed(Some(&level.dmrelay)), speed(level.peer.as_ref()));
            writeln!(f, "| {} | {dmrelay} | {peer} | {ratio} | {beside} |", level.in_flight)?;
        }
        if self.level(OF_TWO_WORKERS).is_none() && self.two_workers.is_some() {
            writeln!(f, "| {OF_TWO_WORKERS} | | | | {two_workers} |")?;
        }
        writeln!(f)?;
        let levels = self.levels.iter().flat_map(|level| std::iter::once(&level.dmrelay).chain(&level.peer));
        write_verdicts(f, levels.chain(&self.two_workers))
    }

    pub(super) fn write_steady(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.steady.is_empty() {
            return Ok(());
        }
        writeln!(f, "### Steady: from the customer's message to the reply at Graph\n")?;
        writeln!(
            f,
            "{} s each (at least 20 messages), {} users whose chats are open, one worker with WORKER_CONCURRENCY={}. The agent's {} ms are included.\n",
            self.load.steady_seconds,
            self.load.users,
            self.load.worker_concurrency,
            self.load.agent_latency_ms
        )?;
        writeln!(f, "| messages a second | messages | p50 | p95 | p99 | max | acknowledged p50 | p99 |")?;
        writeln!(f, "|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for (rate, Measured { talk, .. }) in &self.steady {
            let times = [talk.reply.p50, talk.reply.p95, talk.reply.p99, talk.reply.max].map(whole_ms);
            let (ack50, ack99) = (ms(talk.ack.p50), ms(talk.ack.p99));
            writeln!(f, "| {rate} | {} | {} | {ack50} | {ack99} |", talk.messages, times.join(" | "))?;
        }
        writeln!(f)?;
        write_verdicts(f, self.steady.iter().map(|(_, measured)| measured))
    }

    pub(super) fn write_faults(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((Measured { talk, .. }, struck)) = &self.faults else { return Ok(()) };
        writeln!(f, "### While calls fail\n")?;
        writeln!(
            f,
            "{FAULT_USERS} users, {} messages a second for {} s. Of the questions to the agent and of the sends, 5 % are \
             answered 500, half of them before their effect, half after it; another 2 % take effect and are never answered. \
             AGENT_TIMEOUT=10s, GRAPH_TIMEOUT=5s, RECONCILE_GRACE=5s.\n",
            self.load.fault_rate, self.load.fault_seconds
        )?;
        writeln!(f, "| messages | p50 | p95 | p99 | max | unanswered | answered more than once |")?;
        writeln!(f, "|---:|---:|---:|---:|---:|---:|---:|")?;
        let times = [talk.reply.p50, talk.reply.p95, talk.reply.p99, talk.reply.max].map(whole_ms);
        writeln!(
            f,
            "| {} | {} | {} | {} |\n",
            talk.messages,
            times.join(" | "),
            talk.unanswered,
            talk.answered_twice
        )?;
        writeln!(f, "| calls | answered 500 before their effect | after it | never answered |")?;
        writeln!(f, "|---|---:|---:|---:|")?;
        for (what, struck) in [("questions to the agent", &struck.questions), ("sends", &struck.sends)] {
            let struck: Vec<String> = struck.iter().map(u32::to_string).collect();
            writeln!(f, "| {what} | {} |", struck.join(" | "))?;
        }
        let verdict = if talk.answered_once() {
            "Each message was answered exactly once".to_owned()
        } else {
            format!("**Not exactly once**: {}", failures(talk))
        };
        writeln!(
            f,
            "\n{verdict} ({} questions, {} sends). Messages that came while their chat waited were asked together.\n",
            talk.questions, talk.sends
        )
    }
}

/// One line for those that are well, and one for each that is not.
fn write_verdicts<'a>(f: &mut Formatter<'_>, runs: impl Iterator<Item = &'a Measured>) -> fmt::Result {
    let (well, ill): (Vec<_>, Vec<_>) = runs.partition(|measured| measured.talk.exactly_once());
    if ill.is_empty() {
        writeln!(f, "Every message was answered exactly once.")?;
    } else if !well.is_empty() {
        let names: Vec<&str> = well.iter().map(|measured| measured.name.as_str()).collect();
        writeln!(f, "Every message was answered exactly once: {}.", names.join("; "))?;
    }
    for Measured { name, talk, .. } in ill {
        writeln!(f, "**{name}: not exactly once**: {}.", failures(talk))?;
    }
    writeln!(f)
}

fn failures(talk: &Talk) -> String {
    format!(
        "{} of {} unanswered, {} answered more than once, {} sends that answer nothing, {} questions, {} at the same time in \
         one chat",
        talk.unanswered, talk.messages, talk.answered_twice, talk.strange, talk.questions, talk.overlaps
    )
}

fn whole_ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
