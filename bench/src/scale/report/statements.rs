//! The statements that were run, and the poller, as Markdown.

use super::{OFTEN, Report, count, float, number};
use crate::counts::statements::{Runs, Statements, shorten};
use crate::counts::{SENT_BY_CLIENTS, STATEMENTS, Window};
use crate::scale::backlog::Backlog;
use crate::scale::stage::thousands;
use std::fmt::{self, Formatter};

/// Statements that are listed.
const LISTED: usize = 45;

/// Statements that are listed by the time they take.
const SLOWEST: usize = 12;

impl Report {
    pub(super) fn write_statements(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.stages.first(), self.stages.last()) else { return Ok(()) };
        writeln!(f, "### Statements of a message, stage {}\n", first.number)?;
        let messages = float(first.counted.0.messages);
        let own = &first.counted.1.statements;
        list(f, own, |own| own.top(LISTED, |runs| runs.calls), (messages, "a message", OFTEN))?;
        let ends = if first.number == last.number { vec![first] } else { vec![first, last] };
        for stage in &ends {
            writeln!(f, "### Those that take the most time, stage {}\n", stage.number)?;
            let messages = float(stage.counted.0.messages);
            let own = &stage.counted.1.statements;
            list(f, own, |own| own.top(SLOWEST, |runs| runs.ms), (messages, "a message", 0.0))?;
        }
        for stage in ends {
            writeln!(f, "### Statements of an idle system, stage {}\n", stage.number)?;
            idle_statements(f, &stage.idle)?;
        }
        Ok(())
    }

    pub(super) fn write_poller(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((stage, backlog)) =
            self.stages.iter().find_map(|stage| stage.backlog.as_ref().map(|backlog| (stage, backlog)))
        else {
            return Ok(());
        };
        let Backlog { turns, waiting, drains, quiet } = backlog;
        writeln!(f, "### The poller, on the tables of stage {}\n", stage.number)?;
        writeln!(
            f,
            "{turns} turns made due at once, in which there is nothing to ask. Its fastest is that of a tenth of a second.\n"
        )?;
        writeln!(
            f,
            "| workers | seconds | turns a second | at its fastest, a second | handed out again | leaders at a time | \
             statements by turn | commands to Redis by turn | % of a processor: PostgreSQL | workers |"
        )?;
        writeln!(f, "|{}", "---:|".repeat(10))?;
        for drain in drains {
            let (turns, window) = (count((*turns).into()), &drain.window);
            let cells = [
                count(drain.workers.into()),
                drain.took.as_secs_f64(),
                turns / drain.took.as_secs_f64(),
                drain.best,
                drain.claimed - turns,
                drain.leaders,
                window.counts.get(STATEMENTS) / turns,
                window.redis.get(SENT_BY_CLIENTS) / turns,
                window.cpu.get("PostgreSQL") * 100.0 / window.seconds,
                window.cpu.get("worker") * 100.0 / window.seconds,
            ];
            writeln!(f, "| {} |", cells.map(number).join(" | "))?;
        }
        writeln!(f)?;
        for drain in drains {
            writeln!(f, "By turn, {} workers:\n", drain.workers)?;
            let own = &drain.window.statements;
            list(f, own, |own| own.top(6, |runs| runs.ms), (count((*turns).into()), "a turn", 0.0))?;
        }
        writeln!(f, "### An idle system with {turns} turns that are due in an hour\n")?;
        idle_statements(f, waiting)?;
        writeln!(f, "### An idle system with {} accounts\n", thousands(quiet.0))?;
        idle_statements(f, &quiet.1)
    }
}

fn idle_statements(f: &mut Formatter<'_>, idle: &Window) -> fmt::Result {
    list(f, &idle.statements, |all| all.top(LISTED, |runs| runs.ms), (idle.seconds, "a second", 0.0))
}

/// Statements with how often they run and what a run takes; those that run less `often` are left out.
fn list(
    f: &mut Formatter<'_>,
    statements: &Statements,
    pick: impl Fn(&Statements) -> Vec<(&String, &Runs)>,
    (per, what, often): (f64, &str, f64),
) -> fmt::Result {
    writeln!(f, "| statement | {what} | plans | rows | pages | ms a run | WAL bytes a run |")?;
    writeln!(f, "|---|---:|---:|---:|---:|---:|---:|")?;
    for (text, runs) in pick(statements) {
        let calls = runs.calls / per;
        if calls <= often {
            continue;
        }
        let each = runs.each();
        writeln!(
            f,
            "| `{}` | {calls:.2} | {:.2} | {} | {} | {:.3} | {} |",
            shorten(text),
            each.plans,
            number(each.rows),
            number(each.pages),
            each.ms,
            number(each.wal_bytes)
        )?;
    }
    writeln!(f)
}
