//! On SIGHUP a process reads its secrets and its log filter again.

use anyhow::{Result, ensure};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::process::Process;
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, text_webhook};
use dmrelay_tests::wait;
use dmrelay_vault::Vault;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(20);
const NEW_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// The files of the settings that are changed.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path(name), format!("{text}\n"))?)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Sends SIGHUP, and waits for what the process says of it.
async fn hang_up(process: &Process, says: &str) -> Result<()> {
    let before = process.output().matches(says).count();
    process.signal("HUP")?;
    wait::until(says, DEADLINE, async || Ok((process.output().matches(says).count() > before).then_some(())))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_the_log_filter_are_read_again_while_everything_runs() -> Result<()> {
    let files = Files { dir: tempfile::tempdir()? };
    let old_key = Vault::generate("k1");
    files.write("apps", APP_SECRET)?;
    files.write("retell", "key_simulated")?;
    files.write("keys", &old_key)?;
    files.write("log", "warn")?;
    let (apps, retell, keys, log) =
        (files.path("apps"), files.path("retell"), files.path("keys"), files.path("log"));
    let mut cluster = Cluster::start(&[
        ("META_APP_SECRETS", ""),
        ("META_APP_SECRETS_FILE", text(&apps)),
        ("RETELL_API_KEY", ""),
        ("RETELL_API_KEY_FILE", text(&retell)),
        ("ENCRYPTION_KEYS", ""),
        ("ENCRYPTION_KEYS_FILE", text(&keys)),
        ("RUST_LOG_FILE", text(&log)),
    ])
    .await?;
    let worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    let answers = |user: &'static str, n: usize| {
        move |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, user).count() == n
    };
    cluster.simulator.wait_for("an answer", DEADLINE, answers(USER, 1)).await?;
    ensure!(!cluster.api.output().contains("api started"), "it logs warnings only: {}", cluster.api.output());
    let signed = async |mid: &str| {
        let body = text_webhook(ACCOUNT, USER, mid, "by the new secret");
        anyhow::Ok(cluster.rest.webhook("/webhooks/instagram", &body, NEW_SECRET).await?.status)
    };
    assert_eq!(signed("one").await?, 403);

    // The operator's key at Retell is replaced, the app's secret changes, a new encryption key comes first.
    cluster.simulator.configure(|settings| "key_of_tomorrow".clone_into(&mut settings.retell.api_key));
    files.write("apps", &format!("{APP_SECRET},{NEW_SECRET}"))?;
    files.write("retell", "key_of_tomorrow")?;
    files.write("keys", &format!("{},{old_key}", Vault::generate("k2")))?;
    files.write("log", "warn,dmrelay=info")?;
    for process in [&cluster.api, &worker] {
        hang_up(process, "settings reloaded: the log filter").await?;
        ensure!(!process.output().contains(NEW_SECRET) && !process.output().contains("key_of_tomorrow"));
    }
    assert_eq!(signed("two").await?, 200);
    cluster.simulator.wait_for("an answer with the new key", DEADLINE, answers(USER, 2)).await?;
    files.write("off", "off")?;
    let off = files.path("off");
    let admin = async |args: &[&str]| {
        cluster.run("dmrelay-api", &[&["admin"], args].concat(), &[("RUST_LOG_FILE", text(&off))]).await
    };
    wait::until("both say which keys they have", DEADLINE, async || {
        let (_, status) = admin(&["status", "--json"]).await?;
        let status: Value = serde_json::from_str(&status)?;
        let processes = status["processes"].as_array().cloned().unwrap_or_default();
        let has_new = |process: &Value| process["keys"].as_str().is_some_and(|keys| keys.starts_with("k2."));
        Ok((processes.len() == 2 && processes.iter().all(has_new)).then_some(()))
    })
    .await?;
    let (success, resealed) = admin(&["reseal"]).await?;
    ensure!(success && resealed.contains("re-encrypted with k2."), "{resealed}");

    // A setting that is invalid changes nothing.
    files.write("keys", "k3:nonsense")?;
    for process in [&cluster.api, &worker] {
        hang_up(process, "settings not reloaded; nothing is changed").await?;
        ensure!(process.output().contains("ENCRYPTION_KEYS"), "{}", process.output());
    }
    assert_eq!(signed("three").await?, 200);
    cluster.simulator.wait_for("another answer", DEADLINE, answers(USER, 3)).await?;
    Ok(())
}

/// What a worker finishes before it ends is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_says_what_is_left() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let mut worker = cluster.worker()?;
    let rule = dmrelay_simulator::AgentRule { latency_ms: 2_500, ..dmrelay_simulator::AgentRule::default() };
    cluster.simulator.put_agent(dmrelay_tests::rest::AGENT, rule);
    cluster.simulator.say(ACCOUNT, USER, "hello");
    let asked = |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") == 1;
    cluster.simulator.wait_for("a question", DEADLINE, asked).await?;
    worker.terminate()?;
    ensure!(worker.ended(DEADLINE).await?.success(), "{}", worker.output());
    let left = worker.output();
    ensure!(left.contains("finishing started work") && left.contains("questions=1"), "{left}");
    assert_eq!(cluster.simulator.record(|record| record.sends_to(ACCOUNT, USER).count()), 1);
    Ok(())
}
