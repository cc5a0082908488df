//! The Prometheus of one test, with the rules this project ships. A minute of the rules is a second here, so
//! that a test need not wait for the five minutes of an alert.

use crate::port::Port;
use crate::rest::Rest;
use crate::tether::Tethered;
use crate::wait;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Timeout for it to start.
const START: Duration = Duration::from_secs(20);

/// A running `prometheus`.
pub struct Prometheus {
    api: Rest,
    _server: Tethered,
    _port: Port,
    _dir: TempDir,
}

/// The folder `grafana/` of this project.
pub fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

impl Prometheus {
    /// Starts a Prometheus that scrapes these addresses every second, each under the name of its scrape job.
    ///
    /// # Errors
    /// If it is not installed, or does not start.
    pub async fn start(targets: &[(&str, SocketAddr)]) -> Result<Self> {
        Self::start_with(targets, None).await
    }

    /// The same, with an Alertmanager at this address.
    ///
    /// # Errors
    /// Those of [`Prometheus::start`].
    pub async fn start_with(
        targets: &[(&str, SocketAddr)],
        alertmanager: Option<SocketAddr>,
    ) -> Result<Self> {
        let found = Command::new("prometheus").arg("--version").output();
        ensure!(
            found.is_ok(),
            "prometheus was not found: `make test` installs it, or `apt-get install prometheus` does"
        );
        let (dir, port) = (tempfile::tempdir()?, Port::reserve()?);
        let rules = dir.path().join("rules");
        fs::create_dir(&rules)?;
        for name in ["recording.yml", "alerts.yml"] {
            let text = fs::read_to_string(grafana().join("rules").join(name))?;
            fs::write(rules.join(name), faster(&text))?;
        }
        let config = dir.path().join("prometheus.yml");
        fs::write(&config, configuration(targets, alertmanager))?;
        let server = Tethered::start(&[
            "prometheus",
            &format!("--config.file={}", config.display()),
            &format!("--storage.tsdb.path={}", dir.path().join("data").display()),
            &format!("--web.listen-address=127.0.0.1:{}", port.number),
            "--log.level=error",
        ])?;
        let api = Rest::new(SocketAddr::from(([127, 0, 0, 1], port.number)))?.with_key(None);
        let this = Self { api, _server: server, _port: port, _dir: dir };
        wait::until("prometheus is ready", START, async || {
            let answer = this.api.request("GET", "/-/ready", None, &[]).await;
            Ok(answer.ok().filter(|answer| answer.status == 200).map(|_| ()))
        })
        .await?;
        Ok(this)
    }

    /// Evaluates an expression and returns its series.
    ///
    /// # Errors
    /// If it does not parse or cannot be evaluated, with Prometheus' message.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let query: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.api.request("GET", &format!("/api/v1/query?query={query}"), None, &[]).await?;
        ensure!(answer.json["status"] == "success", "{expression}: {}", answer.text);
        let result = &answer.json["data"]["result"];
        result.as_array().cloned().with_context(|| format!("{expression}: {}", answer.text))
    }

    /// The names of all series.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn names(&self) -> Result<BTreeSet<String>> {
        let answer = self.api.request("GET", "/api/v1/label/__name__/values", None, &[]).await?;
        let names = answer.json["data"].as_array().context("no names")?;
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The alerts currently firing.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn firing(&self) -> Result<BTreeSet<String>> {
        let answer = self.api.request("GET", "/api/v1/alerts", None, &[]).await?;
        let alerts = answer.json["data"]["alerts"].as_array().context("no alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| alert["labels"]["alertname"].as_str()).map(str::to_owned).collect())
    }

    /// Waits until all of these alerts have fired, not necessarily at the same time.
    ///
    /// # Errors
    /// If one has not fired in time, with those that have.
    pub async fn fires(&self, alerts: &[&str], within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let mut seen = BTreeSet::new();
        while !alerts.iter().all(|alert| seen.contains(*alert)) {
            ensure!(Instant::now() < deadline, "of {alerts:?} only {seen:?} fired within {within:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            seen.extend(self.firing().await?);
        }
        Ok(())
    }
}

fn configuration(targets: &[(&str, SocketAddr)], alertmanager: Option<SocketAddr>) -> String {
    let jobs: BTreeSet<&str> = targets.iter().map(|(job, _)| *job).collect();
    let mut text = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n\
        rule_files: [rules/recording.yml, rules/alerts.yml]\nscrape_configs:\n"
        .to_owned();
    if let Some(address) = alertmanager {
        let targets = format!("[{{ static_configs: [{{ targets: ['{address}'] }}] }}]");
        text.insert_str(0, &format!("alerting: {{ alertmanagers: {targets} }}\n"));
    }
    for job in jobs {
        let addresses = targets.iter().filter(|(of, _)| *of == job);
        let addresses: Vec<String> = addresses.map(|(_, address)| format!("'{address}'")).collect();
        let static_configs = format!("[{{ targets: [{}] }}]", addresses.join(", "));
        text.extend(["  - { job_name: ", job, ", static_configs: ", &static_configs, " }\n"]);
    }
    text
}

/// The rules with every duration divided by 60: those in brackets, and those of `for`, `offset` and
/// `interval`.
pub fn faster(rules: &str) -> String {
    let mut text = String::with_capacity(rules.len());
    for line in rules.lines() {
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("interval: ") {
            text.push_str(&line.replace(rest, "1s"));
        } else if let Some(rest) = trimmed.strip_prefix("for: ") {
            text.push_str(&line.replace(rest, &shorter(rest, 1)));
        } else {
            text.push_str(&ranges(line));
        }
        text.push('\n');
    }
    text
}

/// Shortens the durations in brackets, `[5m]` or `[30d:1h]`, to no less than five scrapes.
fn ranges(line: &str) -> String {
    let mut parts = line.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('[');
        match part.split_once(']') {
            Some((range, after)) if range.starts_with(|c: char| c.is_ascii_digit()) => {
                let (range, step) = range.split_once(':').map_or((range, None), |(r, s)| (r, Some(s)));
                text.push_str(&shorter(range, 5));
                if step.is_some() {
                    // Steps are aligned: keeping one for an hour would mean a long wait.
                    text.push_str(":5s");
                }
                text.push(']');
                text.push_str(after);
            }
            _ => text.push_str(part),
        }
    }
    text
}

/// A Prometheus duration divided by 60, in seconds, and not less than `least`.
fn shorter(duration: &str, least: u64) -> String {
    let (number, unit) = duration.trim().split_at(duration.trim().len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => 0,
    };
    let whole = number.parse::<u64>().unwrap_or(0) * seconds / 60;
    format!("{}s", whole.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_a_second() {
        let rules = "    interval: 30s\n  for: 5m\n  expr: a[30m] / b{x=~\"[a-z]\"}[3d:30m] and c[2m] > 60\n";
        let fast = "    interval: 1s\n  for: 5s\n  expr: a[30s] / b{x=~\"[a-z]\"}[4320s:5s] and c[5s] > 60\n";
        assert_eq!(faster(rules), fast);
    }
}
