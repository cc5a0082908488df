//! The operator's commands, run with the real binary.

mod breakers;
mod chats;
mod connections;
mod dead_letters;
mod doctor;
mod events;
mod keys;
mod notifications;
mod reseal;
mod timeline;

use anyhow::{Context, Result, ensure};
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::ACCOUNT;
use serde_json::Value;
use std::time::Duration;

/// A customer.
const USER: &str = "200000000000001";

/// Runs `dmrelay-api admin …` with these settings changed; returns whether it succeeded, and its output.
/// Logging is off, so the output is standard output and, on failure, the error.
async fn admin_with(cluster: &Cluster, args: &[&str], settings: &[(&str, &str)]) -> Result<(bool, String)> {
    let args = [&["admin"], args].concat();
    let settings = [&[("RUST_LOG", "off")], settings].concat();
    let (success, output) = cluster.run("dmrelay-api", &args, &settings).await?;
    Ok((success, output.trim_end().to_owned()))
}

/// Runs a command that must succeed.
async fn admin(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let (success, output) = admin_with(cluster, args, &[]).await?;
    ensure!(success, "admin {args:?}: {output}");
    Ok(output)
}

/// Runs a command with `--json` and parses the output.
async fn admin_json(cluster: &Cluster, args: &[&str]) -> Result<Value> {
    let output = admin(cluster, &[args, &["--json"]].concat()).await?;
    serde_json::from_str(&output).with_context(|| output.clone())
}

/// The one item of a list.
fn only(list: &Value) -> Result<&Value> {
    let items = list.as_array().with_context(|| list.to_string())?;
    ensure!(items.len() == 1, "{list}");
    Ok(&items[0])
}

/// Waits until Graph has accepted this many replies to a user.
async fn replied(cluster: &Cluster, user: &str, count: usize) -> Result<()> {
    let sent = |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, user).count() >= count;
    cluster.simulator.wait_for("replies", Duration::from_secs(30), sent).await?;
    Ok(())
}

/// Makes the agent reject the next questions permanently.
fn refuse(cluster: &Cluster, questions: u32) {
    let fault = Fault::retell(Operation::Completion, FaultMode::Before).status(400).times(questions);
    cluster.simulator.add_fault(fault);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_has_help() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    for command in [
        &["migrate"][..],
        &["keys", "list"],
        &["keys", "create"],
        &["keys", "revoke"],
        &["reseal"],
        &["dead-letters", "list"],
        &["dead-letters", "show"],
        &["dead-letters", "replay"],
        &["dead-letters", "discard"],
        &["status"],
        &["breakers", "list"],
        &["breakers", "open"],
        &["breakers", "reset"],
        &["pause"],
        &["resume"],
        &["pauses"],
        &["connections"],
        &["chats"],
        &["timeline"],
        &["doctor"],
    ] {
        let help = admin(&cluster, &[command, &["--help"]].concat()).await?;
        assert!(help.contains("Exit codes:"), "{command:?}: {help}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_migrated_and_listed() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let empty = dmrelay_tests::postgres::PostgresServer::start()?;
    let url = empty.url();
    let there = [("DATABASE_URL", url.as_str())];
    let (success, before) = admin_with(&cluster, &["migrate", "--status"], &there).await?;
    assert!(success && before.contains("0 applied, ") && !before.contains(" 0 pending"), "{before}");
    let (success, says) = admin_with(&cluster, &["keys", "list"], &there).await?;
    assert!(!success && says.contains("run: dmrelay-api migrate"), "{says}");
    let (success, done) = admin_with(&cluster, &["migrate"], &there).await?;
    assert!(success && done.contains("up to date"), "{done}");
    let (success, after) = admin_with(&cluster, &["migrate", "--status"], &there).await?;
    assert!(success && after.contains(", 0 pending") && !after.contains("  pending"), "{after}");
    Ok(())
}
