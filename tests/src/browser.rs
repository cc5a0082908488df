//! People with a real browser: headless Chromium, driven by the script in `tests/browser`.

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// What somebody saw last.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// The address.
    pub url: String,
    /// The heading.
    pub heading: String,
    /// What the browser complained about: what the policy of a page forbids, say.
    pub complaints: Vec<String>,
}

impl Seen {
    /// A parameter of the address.
    pub fn parameter(&self, name: &str) -> String {
        Url::parse(&self.url).map(|url| crate::login::parameter(&url, name)).unwrap_or_default()
    }
}

/// A frontend to which browsers are sent back. It stops with the test.
pub struct Frontend {
    /// Its address.
    pub url: Url,
    server: JoinHandle<()>,
}

impl Frontend {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = Url::parse(&format!("http://{}/done", listener.local_addr()?))?;
        let page = "<!doctype html><title>Frontend</title><link rel=icon href='data:,'><h1>Frontend</h1>";
        let router = Router::new().route("/done", get(async move || Html(page)));
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, server })
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Runs a script of `tests/browser` with this argument; gives what it printed.
///
/// # Errors
/// If Node.js, its packages or Chromium is missing, or the script fails.
pub async fn run(script: &str, argument: &Value) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    ensure!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing in {}: `make browser` installs it, and Chromium",
        folder.display()
    );
    let mut node = Command::new("node");
    node.arg(script).arg(argument.to_string()).current_dir(&folder).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || node.output()).await?;
    let output = output.context("cannot run node: `make node` installs it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Lets people log in, one after the other; `tests/browser/logins.mjs` says with what.
///
/// # Errors
/// If Node.js, its packages or Chromium is missing, or somebody does not get to the end.
pub async fn log_in(logins: Vec<Value>) -> Result<Vec<Seen>> {
    let count = logins.len();
    let printed = run("logins.mjs", &Value::Array(logins)).await?;
    let seen: Vec<Seen> = serde_json::from_slice(&printed).context("what the script printed")?;
    ensure!(seen.len() == count, "{seen:?}");
    Ok(seen)
}
