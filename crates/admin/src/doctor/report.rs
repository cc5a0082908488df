//! The report of the doctor.

use super::super::output::{harmless, print};
use serde::Serialize;
use std::fmt::Display;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but needs attention.
    Warn,
    /// Does not work, or would lose data.
    Fail,
}

/// One check, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    check: &'static str,
    pub(super) what: String,
}

/// All checks, printed as they complete.
pub(super) struct Report {
    aloud: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(aloud: bool) -> Self {
        Self { aloud, findings: Vec::new() }
    }

    pub(super) fn ok(&mut self, check: &'static str, what: impl Display) {
        self.note(Verdict::Ok, check, &what);
    }

    pub(super) fn warn(&mut self, check: &'static str, what: impl Display) {
        self.note(Verdict::Warn, check, &what);
    }

    pub(super) fn fail(&mut self, check: &'static str, what: impl Display) {
        self.note(Verdict::Fail, check, &what);
    }

    /// Records a success or a failure.
    pub(super) fn judge(&mut self, check: &'static str, outcome: Result<impl Display, impl Display>) {
        match outcome {
            Ok(what) => self.ok(check, what),
            Err(what) => self.fail(check, format!("{what:#}")),
        }
    }

    pub(super) fn note(&mut self, verdict: Verdict, check: &'static str, what: &impl Display) {
        let what = harmless(&what.to_string());
        if self.aloud {
            let word = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            // If this fails no one is reading; the exit code still reports.
            let _ = print(format!("{word:<4}  {check:<19}  {what}"));
        }
        self.findings.push(Finding { verdict, check, what });
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn failed(&self) -> usize {
        self.count(Verdict::Fail)
    }

    pub(super) fn summary(&self) -> String {
        let (ok, warn) = (self.count(Verdict::Ok), self.count(Verdict::Warn));
        format!("{ok} ok, {warn} warn, {} FAIL", self.failed())
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}
