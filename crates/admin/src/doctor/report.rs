//! What the doctor has found.

use super::super::output::{harmless, print};
use serde::Serialize;
use std::fmt::Display;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or would lose something.
    Fail,
}

/// One check, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    verdict: Verdict,
    check: &'static str,
    what: String,
}

/// All of them, each told as it is found.
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

    /// What is in order, or what is wrong.
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
            // Nobody is left to be told where this fails; the exit code still tells.
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
