//! Who is notified of which alert: the configuration of Alertmanager that this project ships, held against its rules.

use anyhow::{Context, Result, ensure};
use dmrelay_tests::prometheus::grafana;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Who is told of what: pages and tickets, and no rule that is not there is silenced.
#[test]
fn the_configuration_of_alertmanager_is_valid() -> Result<()> {
    let amtool = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("amtool").args(arguments).current_dir(grafana()).output();
        let output = output.context(
            "amtool was not found: `make test` installs it, or `apt-get install prometheus-alertmanager` does",
        )?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "amtool {arguments:?}: {text}");
        Ok(text)
    };
    amtool(&["check-config", "alertmanager.yml"])?;
    for (severity, receiver) in [("page", "pages"), ("ticket", "tickets")] {
        let severity = format!("severity={severity}");
        let file = "--config.file=alertmanager.yml";
        amtool(&["config", "routes", "test", file, "--verify.receivers", receiver, &severity])?;
    }
    let rules = fs::read_to_string(grafana().join("rules/alerts.yml"))?;
    let config = fs::read_to_string(grafana().join("alertmanager.yml"))?;
    let mut named = 0;
    for list in config.split("Dmrelay").skip(1) {
        let list = list.split(['"', '\'']).next().unwrap_or_default();
        for name in list.trim_matches(['(', ')']).split('|').filter(|name| !name.is_empty()) {
            let alert = format!("- alert: Dmrelay{name}\n");
            assert!(
                rules.contains(&alert),
                "alertmanager.yml names an alert Dmrelay{name}, which there is not"
            );
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
    Ok(())
}

/// How long the page of each alert waits, in minutes.
fn pages(rules: &str) -> BTreeMap<String, u32> {
    let mut pages = BTreeMap::new();
    for rule in rules.split("- alert: ").skip(1).filter(|rule| rule.contains("severity: page")) {
        let name = rule.lines().next().unwrap_or_default().to_owned();
        let waits = rule.split("for: ").nth(1).and_then(|rest| rest.split('m').next()?.parse().ok());
        // Conversations are late after five minutes.
        let counts = if name == "DmrelayUnanswered" { 5 } else { 0 };
        let waits: u32 = counts + waits.unwrap_or(0);
        let known = pages.entry(name).or_insert(waits);
        *known = waits.min(*known);
    }
    pages
}

/// The alerts that a matcher names, without the first part of their names.
fn named(matchers: &str) -> Vec<&str> {
    let names = matchers.split_once("alertname").map_or("", |(_, rest)| rest);
    let words = names.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.trim_start_matches("Dmrelay")).collect()
}

/// One outage is one page: what a cause silences pages later than the cause, which is then there to silence it.
#[test]
fn what_follows_from_a_cause_pages_later_than_the_cause() -> Result<()> {
    let pages = pages(&fs::read_to_string(grafana().join("rules/alerts.yml"))?);
    let config = fs::read_to_string(grafana().join("alertmanager.yml"))?;
    let mut compared = 0;
    for rule in config.split("source_matchers:").skip(2) {
        let (source, target) = rule.split_once("target_matchers:").context("a rule without targets")?;
        if target.contains("severity=\"ticket\"") {
            continue;
        }
        for cause in named(source) {
            let Some(cause_waits) = pages.get(&format!("Dmrelay{cause}")) else { continue };
            for effect in named(target) {
                // These need series of a worker.
                if cause == "WorkerAbsent" && matches!(effect, "NoLeader" | "ReplyBudgetBurns") {
                    continue;
                }
                let Some(waits) = pages.get(&format!("Dmrelay{effect}")) else { continue };
                assert!(waits > cause_waits, "{effect} pages after {waits} m, {cause} after {cause_waits} m");
                compared += 1;
            }
        }
    }
    assert!(compared > 15, "{compared}");
    Ok(())
}
