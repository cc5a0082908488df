//! Dashboards and alerts: those this project ships, on a real Prometheus that scrapes the real processes
//! under load and faults.

use anyhow::{Context, Result, ensure};
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_simulator::{Fault, FaultMode, Operation, Service};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::prometheus::{Prometheus, grafana};
use dmrelay_tests::rest::ACCOUNT;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// An expression and its location.
struct Expression {
    place: String,
    text: String,
}

/// Every expression of every panel and annotation of the dashboards, with the variables filled in.
fn expressions() -> Result<Vec<Expression>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(grafana().join("dashboards"))? {
        let path = entry?.path();
        let dashboard: Value =
            serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        let title = dashboard["title"].as_str().context("a dashboard without a title")?.to_owned();
        let before = all.len();
        panels(&dashboard["panels"], &title, &mut all);
        ensure!(all.len() > before + 5, "{title}: hardly any panel");
        for annotation in dashboard["annotations"]["list"].as_array().into_iter().flatten() {
            if let Some(text) = annotation["expr"].as_str() {
                let place = format!("{title}, annotation {}", annotation["name"]);
                all.push(Expression { place, text: filled(text) });
            }
        }
    }
    Ok(all)
}

fn panels(list: &Value, title: &str, all: &mut Vec<Expression>) {
    for panel in list.as_array().into_iter().flatten() {
        panels(&panel["panels"], title, all);
        for target in panel["targets"].as_array().into_iter().flatten() {
            if let Some(text) = target["expr"].as_str() {
                let place = format!("{title}, panel {}", panel["title"]);
                all.push(Expression { place, text: filled(text) });
            }
        }
    }
}

/// An expression as Grafana would send it, with everything selected.
fn filled(text: &str) -> String {
    let variables = [
        ("$__rate_interval", "10s"),
        ("$__interval", "5s"),
        ("$__range", "60s"),
        ("${instance:regex}", ".+"),
        ("${job:regex}", ".+"),
        ("$instance", ".+"),
        ("$job", ".+"),
    ];
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The metrics an expression names.
fn metrics_of(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words
        .filter(|word| {
            word.starts_with("dmrelay_") || word.starts_with("dmrelay:") || word.starts_with("process_")
        })
        .map(str::to_owned)
        .collect()
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let output =
        Command::new("promtool").args(arguments).current_dir(grafana()).output().context(
            "promtool was not found: `make test` installs it, or `apt-get install prometheus` does",
        )?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&text));
    Ok(())
}

#[test]
fn the_rules_pass_their_tests() -> Result<()> {
    promtool(&["check", "config", "prometheus.yml"])?;
    let mut files = Vec::new();
    for entry in fs::read_dir(grafana().join("rules/tests"))? {
        files.push(entry?.path().display().to_string());
    }
    assert!(files.len() > 3, "{files:?}");
    let mut arguments = vec!["test", "rules"];
    arguments.extend(files.iter().map(String::as_str));
    promtool(&arguments)
}

/// Every alert is tested firing and not firing, and the runbook explains what to do about it.
#[test]
fn every_alert_has_tests_and_a_runbook_section() -> Result<()> {
    let rules =
        ["alerts.yml", "hosts.yml"].map(|name| fs::read_to_string(grafana().join("rules").join(name)));
    let rules = rules.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let alerts: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::trim).collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    let mut tests = String::new();
    for entry in fs::read_dir(grafana().join("rules/tests"))? {
        tests.push_str(&fs::read_to_string(entry?.path())?);
    }
    let runbook = fs::read_to_string(grafana().join("../docs/alerts.md"))?;
    for alert in alerts {
        let (mut fires, mut quiet) = (0, 0);
        for case in tests.split("alertname: ").skip(1) {
            let (name, rest) = case.split_once(|c: char| !c.is_ascii_alphanumeric()).unwrap_or((case, ""));
            if name != alert {
                continue;
            }
            let case = rest.split("eval_time").next().unwrap_or_default();
            if case.contains("exp_annotations") { fires += 1 } else { quiet += 1 }
        }
        assert!(fires > 0 && quiet > 0, "{alert}: {fires} tests of firing, {quiet} of not firing");
        assert!(runbook.contains(&format!("# {alert}")), "docs/alerts.md has no section {alert}");
    }
    let anchors = rules.lines().filter_map(|line| line.split("docs/alerts.md#").nth(1));
    for anchor in anchors {
        let anchor = anchor.trim_end_matches(['\'', '"']);
        let headings = runbook.lines().filter(|line| line.starts_with('#'));
        let known = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"));
        assert!(known.into_iter().any(|heading| heading == anchor), "docs/alerts.md has no {anchor}");
    }
    Ok(())
}

/// What the runbook sends its reader to is there.
#[test]
fn panels_that_the_runbook_names_exist() -> Result<()> {
    fn titles(list: &Value, all: &mut BTreeSet<String>) {
        for panel in list.as_array().into_iter().flatten() {
            all.extend(panel["title"].as_str().map(str::to_owned));
            titles(&panel["panels"], all);
        }
    }
    let mut known = BTreeSet::new();
    for entry in fs::read_dir(grafana().join("dashboards"))? {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(entry?.path())?)?;
        titles(&dashboard["panels"], &mut known);
    }
    let runbook = fs::read_to_string(grafana().join("../docs/alerts.md"))?;
    let mut named = 0;
    for look in runbook.split("**Look.**").skip(1) {
        // Titles stand in italics, in the first paragraph or list item.
        let end = look.find("\n- ").into_iter().chain(look.find("\n\n")).min().unwrap_or(look.len());
        let prose: String = look[..end].split('`').step_by(2).collect();
        for title in prose.split('*').skip(1).step_by(2) {
            let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(known.contains(&title), "no dashboard has the panel {title:?}");
            named += 1;
        }
    }
    assert!(named > 30, "{named} panels");
    Ok(())
}

/// A bit of everything, by its own set of users: messages in and out, calls of a frontend, a token of an
/// identity provider.
async fn traffic(cluster: &Cluster, crowd: u64, seconds: u64) -> Result<()> {
    let stranger = cluster.rest.with_key(Some(SIGNED_BY_NOBODY));
    for second in 0..seconds {
        for user in 0..8 {
            cluster.simulator.say(
                ACCOUNT,
                &format!("2000000000000{crowd}{user}"),
                format!("question {second}"),
            );
        }
        cluster.rest.get("status").await?;
        assert_eq!(stranger.get("status").await?.status, 401);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// A token whose key must be fetched from the identity provider: `{"alg":"RS256","kid":"x"}`.
const SIGNED_BY_NOBODY: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA";

/// The customer who is the canary.
const CANARY: &str = "200000000009999";

/// An identity provider without keys.
async fn identity_provider() -> Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/keys", listener.local_addr()?);
    let router = axum::Router::new().route("/keys", axum::routing::get(async || r#"{"keys":[]}"#));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

fn token_ends_in(cluster: &Cluster, days: i64) -> Result<()> {
    let at = SystemClock.now() + days * 86_400_000;
    cluster.postgres.execute(&format!("UPDATE instagram_connections SET token_expires_at = {at}"))
}

/// Panels that show data only under certain faults; they must be empty on a normal day.
const MAY_BE_EMPTY: [&str; 2] = ["ALERTS", "dmrelay_account_needs"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_and_alerts_work_under_load_and_faults() -> Result<()> {
    let provider = identity_provider().await?;
    let settings = [
        ("TOKEN_CHECK_INTERVAL", "10h"),
        ("JWKS_URL", provider.as_str()),
        ("JWKS_MIN_INTERVAL", "1s"),
        ("JWT_ISSUER", "test"),
        ("JWT_AUDIENCE", "test"),
        ("CANARY_ACCOUNT", ACCOUNT),
        ("CANARY_USER", CANARY),
        ("CANARY_INTERVAL", "2s"),
        ("CANARY_TIMEOUT", "10s"),
    ];
    let mut cluster = Cluster::start(&settings).await?;
    // Opens Meta's window for the answers to the canary.
    cluster.simulator.say(ACCOUNT, CANARY, "hello");
    token_ends_in(&cluster, 40)?;
    let (mut first, first_port) = cluster.watched_worker()?;
    let (mut second, second_port) = cluster.watched_worker()?;
    let worker = |port: u16| ("dmrelay-worker", SocketAddr::from(([127, 0, 0, 1], port)));
    let targets =
        [("dmrelay-api", cluster.metrics_address()), worker(first_port.number), worker(second_port.number)];
    let prometheus = Prometheus::start(&targets).await?;
    let (shown, traffic) = tokio::join!(everything_shows(&prometheus), traffic(&cluster, 0, 40));
    shown.and(traffic)?;
    assert_eq!(prometheus.query("sum(up)").await?[0]["value"][1], "3");
    assert_eq!(prometheus.firing().await?, BTreeSet::new(), "on a fine day");
    stages_add_up(&prometheus).await?;

    // One fault after another.
    faults_of_the_outside(&cluster, &prometheus).await?;
    cluster.redis.kill()?;
    prometheus.fires(&["DmrelayRedisDown"], Duration::from_secs(30)).await?;
    cluster.redis.restart()?;
    first.kill()?;
    second.kill()?;
    let gone = ["DmrelayWorkerAbsent", "DmrelayScrapeFails"];
    prometheus.fires(&gone, Duration::from_secs(40)).await?;
    cluster.postgres.kill()?;
    let flood = async {
        for second in 0..40 {
            cluster.simulator.say(ACCOUNT, "200000000000001", format!("lost? {second}"));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let alerts = ["DmrelayDatabaseDown", "DmrelayWebhooksRefused"];
    let (fired, ()) = tokio::join!(prometheus.fires(&alerts, Duration::from_secs(40)), flood);
    fired
}

/// Every expression parses, names only existing metrics, and returns data.
async fn everything_shows(prometheus: &Prometheus) -> Result<()> {
    let mut all = expressions()?;
    assert!(all.len() > 80, "{} expressions", all.len());
    for name in ["recording.yml", "alerts.yml"] {
        // For the rules only the names: Prometheus itself has parsed and evaluated them.
        let text = fs::read_to_string(grafana().join("rules").join(name))?;
        all.push(Expression { place: "rules".to_owned(), text });
    }
    // The longest windows fill last.
    let deadline = Instant::now() + Duration::from_secs(38);
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let missing = missing(prometheus, &all).await?;
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{missing:#?}");
    }
}

/// Panels that are empty but should not be.
async fn missing(prometheus: &Prometheus, all: &[Expression]) -> Result<BTreeMap<String, String>> {
    let known = prometheus.names().await?;
    let mut missing = BTreeMap::new();
    for Expression { place, text } in all {
        let unknown: Vec<String> =
            metrics_of(text).into_iter().filter(|name| !known.contains(name)).collect();
        let fine_without = MAY_BE_EMPTY.iter().any(|name| text.contains(name));
        if !unknown.is_empty() && (!fine_without || place == "rules") {
            missing.insert(place.clone(), format!("there is no {}", unknown.join(", ")));
        }
        let fine_without = place == "rules" || fine_without;
        // Lines at zero are not drawn.
        let drawn = text.trim_end().trim_end_matches("> 0");
        if !fine_without && prometheus.query(drawn).await?.is_empty() && !place.contains("annotation") {
            missing.insert(place.clone(), format!("no data: {text}"));
        }
    }
    Ok(missing)
}

/// The stages of a reply are complete: their means add up to the total mean.
async fn stages_add_up(prometheus: &Prometheus) -> Result<()> {
    let one = async |expression: &str| -> Result<f64> {
        let result = prometheus.query(expression).await?;
        let value =
            result.first().and_then(|series| series["value"][1].as_str()).context(expression.to_owned())?;
        Ok(value.parse()?)
    };
    let whole = one("sum(dmrelay_reply_seconds_sum) / sum(dmrelay_reply_seconds_count)").await?;
    let stages = one(
        "sum(sum by (stage) (dmrelay_reply_stage_seconds_sum) / sum by (stage) (dmrelay_reply_stage_seconds_count))",
    )
    .await?;
    assert!(whole > 0.0 && (stages / whole - 1.0).abs() < 0.25, "{stages} s in stages, {whole} s in all");
    Ok(())
}

/// Faults caused by Meta, Retell and strangers.
async fn faults_of_the_outside(cluster: &Cluster, prometheus: &Prometheus) -> Result<()> {
    // A stranger, and expiring tokens; a silent account.
    for _ in 0..30 {
        let body = Some(b"{}".to_vec());
        cluster
            .rest
            .request("POST", "/webhooks/instagram", body, &[("x-hub-signature-256", "sha256=00")])
            .await?;
    }
    token_ends_in(cluster, 3)?;
    // Replies that Graph rejects permanently, then accepts slowly.
    let invalid = Fault::graph(Operation::Send, FaultMode::GraphError).code(100, Some(2_534_015)).times(0);
    let invalid = cluster.simulator.add_fault(invalid);
    traffic(cluster, 1, 3).await?;
    let seen =
        ["DmrelayWebhooksUnsigned", "DmrelayTokenExpiring", "DmrelayDeadLetters", "DmrelayReplyBudgetBurns"];
    prometheus.fires(&seen, Duration::from_mins(1)).await?;
    let needs = prometheus.query("dmrelay_account_needs{need=\"token_ends\",subaccount=\"acme\"}").await?;
    assert!(!needs.is_empty(), "the account whose token ends is named");
    cluster.simulator.clear_faults(Some(invalid));
    // Retell is down; then it recovers, and rejects our key.
    cluster.simulator.add_fault(Fault::new(Service::Retell, FaultMode::DropBefore).times(0));
    traffic(cluster, 2, 5).await?;
    prometheus.fires(&["DmrelayCircuitOpen"], Duration::from_mins(1)).await?;
    cluster.simulator.clear_faults(None);
    cluster.postgres.execute("DELETE FROM gates")?;
    cluster.simulator.add_fault(Fault::new(Service::Retell, FaultMode::Before).status(401).times(0));
    traffic(cluster, 3, 3).await?;
    prometheus.fires(&["DmrelayAgentRefused"], Duration::from_secs(40)).await
}
