//! The OpenAPI document is used as others use it: by linters, and by generators whose clients call the API.

use anyhow::{Context, Result, ensure};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, KEY, SUBACCOUNT};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const USER: &str = "200000000000001";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

/// What `make clients` installed: npm's packages beside the scripts, and a Python environment.
fn installed() -> Result<PathBuf> {
    let target = std::env::current_exe()?;
    let target = target.ancestors().find(|path| path.join("tools/clients/installed").exists());
    let target = target.context("the generators of clients are missing: `make clients` installs them, with Node.js, Python 3.11, npm's registry and PyPI")?;
    Ok(target.join("tools/clients/venv/bin"))
}

/// What a program printed; an error if it fails.
async fn printed(program: impl AsRef<Path>, arguments: &[&str], output: &Path) -> Result<String> {
    let bin = installed()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        [bin, folder().join("node_modules/.bin")].into_iter().chain(std::env::split_paths(&path)),
    )?;
    let mut command = Command::new(program.as_ref());
    command.args(arguments).current_dir(folder()).stdin(Stdio::null());
    command.env("PATH", path).env("CLIENT_OUTPUT", output).env("REDOCLY_TELEMETRY", "off").env("CI", "true");
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let output = output.with_context(|| format!("cannot run {}", program.as_ref().display()))?;
    let text = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{} {arguments:?}: {text}", program.as_ref().display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn linters_find_nothing_in_the_document() -> Result<()> {
    let nowhere = Path::new("/nonexistent");
    let document = document();
    let document = document.to_str().context("a path in Unicode")?;
    printed("redocly", &["lint", "--config", "redocly.yaml", document], nowhere).await?;
    printed(
        "spectral",
        &["lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint", document],
        nowhere,
    )
    .await?;
    Ok(())
}

/// The scripts of the console are typed by their comments.
#[tokio::test]
async fn the_scripts_of_the_console_are_typed() -> Result<()> {
    printed("tsc", &["--project", "../../crates/console/tsconfig.json"], Path::new("/nonexistent")).await?;
    Ok(())
}

/// A relay with a customer who was answered, and what a client needs to know.
async fn relay() -> Result<(Relay, String)> {
    let relay = Relay::connected(Backend::Embedded, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let told = json!({"url": relay.rest.address(), "key": KEY, "subaccountId": SUBACCOUNT, "agentId": AGENT, "customer": USER});
    Ok((relay, told.to_string()))
}

/// What a client says it did, held against what the API says.
async fn check(relay: Relay, told: &str) -> Result<()> {
    let told: Value = serde_json::from_str(told.trim()).with_context(|| told.to_owned())?;
    relay.settled().await?;
    let messages = relay.messages(USER).await?;
    let sent = messages.iter().find(|message| message["messageId"] == told["message"]);
    let sent = sent.with_context(|| format!("{told} is not in the conversation"))?;
    assert_eq!((&sent["text"], &sent["chatId"]), (&json!("By a generated client"), &told["chat"]));
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typescript_client_is_generated_and_works() -> Result<()> {
    installed()?;
    let scratch = tempfile::Builder::new().prefix("client-").tempdir_in(folder())?;
    let generated = scratch.path().join("generated");
    printed("openapi-ts", &["--file", "openapi-ts.config.mjs"], &generated).await?;
    std::fs::copy(folder().join("calls.ts"), scratch.path().join("calls.ts"))?;
    std::fs::copy(folder().join("tsconfig.json"), scratch.path().join("tsconfig.json"))?;
    let project = scratch.path().to_str().context("a path in Unicode")?;
    printed("tsc", &["--project", project], &generated).await?;
    let (relay, told) = relay().await?;
    let calls = scratch.path().join("build/calls.js");
    let seen = printed("node", &[calls.to_str().context("a path in Unicode")?, &told], &generated).await?;
    check(relay, &seen).await
}

/// The package that the guide uses, as `make frontend-examples` built it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_package_for_typescript_works() -> Result<()> {
    let built = folder().join("../../clients/typescript/dist/index.js");
    ensure!(
        built.exists(),
        "the package is not built: `make frontend-examples` builds it, with Node.js and npm's registry"
    );
    let (relay, told) = relay().await?;
    let seen = printed("node", &["package.mjs", &told], Path::new("/nonexistent")).await?;
    check(relay, &seen).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_is_generated_and_works() -> Result<()> {
    let python = installed()?;
    let scratch = tempfile::tempdir()?;
    let output = scratch.path().join("client");
    let (document, folder) = (document(), output.to_str().context("a path in Unicode")?);
    let document = document.to_str().context("a path in Unicode")?;
    let arguments = [
        "generate",
        "--path",
        document,
        "--output-path",
        folder,
        "--config",
        "python.yaml",
        "--fail-on-warning",
    ];
    printed(python.join("openapi-python-client"), &arguments, &output).await?;
    let (relay, told) = relay().await?;
    let seen = printed(python.join("python"), &["calls.py", folder, &told], &output).await?;
    check(relay, &seen).await
}
