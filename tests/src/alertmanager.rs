//! The Alertmanager of one test, with the configuration this project ships.

use crate::port::Port;
use crate::prometheus::grafana;
use crate::rest::Rest;
use crate::tether::Tethered;
use crate::wait;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Timeout for it to start.
const START: Duration = Duration::from_secs(20);

/// A running Alertmanager.
pub struct Alertmanager {
    api: Rest,
    port: Port,
    _server: Tethered,
    _dir: TempDir,
}

impl Alertmanager {
    /// Starts it.
    ///
    /// # Errors
    /// If it is not installed, or does not start.
    pub async fn start() -> Result<Self> {
        // Debian's name, and its own.
        let names = ["prometheus-alertmanager", "alertmanager"];
        let is_there = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
        let name = names.iter().find(is_there).context(
            "alertmanager was not found: `make test` installs it, or `apt-get install prometheus-alertmanager` does",
        )?;
        let (dir, port) = (tempfile::tempdir()?, Port::reserve()?);
        let address = SocketAddr::from(([127, 0, 0, 1], port.number));
        let server = Tethered::start(&[
            name,
            &format!("--config.file={}", grafana().join("alertmanager.yml").display()),
            &format!("--storage.path={}", dir.path().display()),
            &format!("--web.listen-address={address}"),
            "--cluster.listen-address=",
        ])?;
        let api = Rest::new(address)?.with_key(None);
        let this = Self { api, port, _server: server, _dir: dir };
        wait::until("alertmanager is ready", START, async || {
            let answer = this.api.request("GET", "/-/ready", None, &[]).await;
            Ok(answer.ok().filter(|answer| answer.status == 200).map(|_| ()))
        })
        .await?;
        Ok(this)
    }

    /// Where Prometheus sends alerts.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port.number))
    }

    /// The alerts of which somebody is told, with their severities, and those that others silence.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn alerts(&self) -> Result<Told> {
        let answer = self.api.request("GET", "/api/v2/alerts", None, &[]).await?;
        let mut told = Told::default();
        for alert in answer.json.as_array().context("no alerts")? {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
            let group = if is_silenced(alert) { &mut told.silenced } else { &mut told.active };
            group.entry(label("alertname")).or_default().push(label("severity"));
        }
        Ok(told)
    }
}

fn is_silenced(alert: &Value) -> bool {
    alert["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty())
}

/// Alerts by name, with the severity of each.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Somebody is told of them.
    pub active: BTreeMap<String, Vec<String>>,
    /// Another one, which fires too, silences them.
    pub silenced: BTreeMap<String, Vec<String>>,
}

impl Told {
    /// The pages that somebody is told of.
    pub fn pages(&self) -> impl Iterator<Item = String> {
        let is_page = |(_, severities): &(&String, &Vec<String>)| severities.iter().any(|one| one == "page");
        self.active.iter().filter(is_page).map(|(name, _)| name.clone())
    }
}
