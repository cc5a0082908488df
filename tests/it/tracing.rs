//! One trace id from the webhook to the send: in rows, in jobs, in every log line, and in exported spans.

use anyhow::{Context, Result};
use dmrelay_simulator::AgentRule;
use dmrelay_store::{Options, Store};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::collector::Collector;
use dmrelay_tests::rest::{ACCOUNT, AGENT, agent_path};
use dmrelay_tests::wait;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

const USER: &str = "200000000000001";

/// The location and value of a trace id.
#[derive(Debug, FromQueryResult)]
struct Row {
    place: String,
    trace_id: Option<Uuid>,
}

async fn rows(store: &Store) -> Result<Vec<Row>> {
    let sql = "SELECT 'event ' || kind AS place, trace_id FROM events WHERE kind = 'message' \
         UNION ALL SELECT direction || ' ' || COALESCE(text, ''), trace_id FROM messages \
         UNION ALL SELECT 'turn', trace_id FROM turns ORDER BY 1";
    let rows = store
        .connection()
        .query_all_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?
        .iter()
        .map(|row| Row::from_query_result(row, ""))
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

async fn open(cluster: &Cluster) -> Result<Store> {
    let options = Options {
        url: cluster.postgres.url(),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
    };
    Ok(Store::open(&options).await?)
}

async fn replied(cluster: &Cluster, count: usize) -> Result<()> {
    let replied = |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, USER).count() >= count;
    cluster.simulator.wait_for("the reply", Duration::from_secs(30), replied).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_from_the_webhook_to_the_send() -> Result<()> {
    let collector = Collector::start().await?;
    let mut cluster =
        Cluster::start(&[("LOG_FORMAT", "json"), ("OTLP_ENDPOINT", &collector.url()), ("RUST_LOG", "debug")])
            .await?;
    let mut worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    replied(&cluster, 1).await?;
    let store = open(&cluster).await?;
    let rows = wait::until("the rows", Duration::from_secs(10), async || {
        let rows = rows(&store).await?;
        Ok((rows.len() == 4).then_some(rows))
    })
    .await?;
    let traces: BTreeSet<_> = rows.iter().map(|row| row.trace_id).collect();
    assert_eq!(traces.len(), 1, "{rows:?}");
    let trace = rows[0].trace_id.context("a trace")?.simple().to_string();

    // Both processes shut down in order, and so export the last of their spans.
    for process in [&mut worker, &mut cluster.api] {
        process.terminate()?;
        assert!(process.ended(Duration::from_secs(30)).await?.success(), "{}", process.output());
    }
    lines_name_it(&worker.output(), &trace)?;
    spans_hang_together(&collector, &trace)
}

/// Everything the worker logged about a message names a trace: that of the message, or of the echo and the
/// read receipt that Meta sends afterwards.
fn lines_name_it(output: &str, trace: &str) -> Result<()> {
    let mut said = BTreeSet::new();
    for line in output.lines() {
        let line: Value = serde_json::from_str(line)?;
        let (message, of) = (line["message"].as_str().unwrap_or_default(), line["span"]["trace_id"].as_str());
        if ["turn answered", "message sent"].contains(&message) {
            assert_eq!(of.map(str::len), Some(32), "{line}");
            said.extend((of == Some(trace)).then(|| format!("{message} {}", line["span"]["job"])));
        }
    }
    for wanted in ["turn answered null", "message sent null"] {
        assert!(said.contains(wanted), "no line {wanted:?}: {said:?}");
    }
    Ok(())
}

fn spans_hang_together(collector: &Collector, trace: &str) -> Result<()> {
    let spans = collector.spans(trace);
    let first = spans.iter().find(|span| span.name == "webhook").context("the webhook's span")?;
    assert_eq!((first.parent.as_str(), first.service.as_str()), ("", "dmrelay-api"));
    assert_eq!(first.id, trace[..16], "whoever knows the trace alone finds its first span");
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    for span in spans.iter().filter(|span| span.id != first.id) {
        assert!(ids.contains(span.parent.as_str()), "{} hangs nowhere: {spans:?}", span.name);
    }
    let names: BTreeSet<(&str, &str)> =
        spans.iter().map(|span| (span.service.as_str(), span.name.as_str())).collect();
    for name in ["job", "ingest", "ask", "deliver", "call"] {
        assert!(names.contains(&("dmrelay-worker", name)), "no span {name}: {names:?}");
    }
    let calls: BTreeSet<&str> =
        spans.iter().filter_map(|span| span.attributes.get("operation")).map(String::as_str).collect();
    assert!(calls.contains("completion") && calls.contains("send"), "{calls:?}");
    // No span contains message text.
    assert!(spans.iter().all(|span| span.attributes.values().all(|value| !value.contains("hello"))));
    Ok(())
}

/// Messages of two webhooks form one turn, which continues the trace of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_of_two_webhooks_has_the_trace_of_the_first() -> Result<()> {
    let mut cluster = Cluster::start(&[("DEBOUNCE_MS", "1500")]).await?;
    let _worker = cluster.worker()?;
    cluster.simulator.put_agent(AGENT, AgentRule::default());
    cluster.simulator.say(ACCOUNT, USER, "first");
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.simulator.say(ACCOUNT, USER, "second");
    replied(&cluster, 1).await?;
    let store = open(&cluster).await?;
    let rows = rows(&store).await?;
    let of = |place: &str| rows.iter().find(|row| row.place.starts_with(place)).and_then(|row| row.trace_id);
    let (first, second) = (of("inbound first").context("first")?, of("inbound second").context("second")?);
    assert_ne!(first, second);
    assert_eq!((of("turn"), of("outbound")), (Some(first), Some(first)));
    Ok(())
}

/// A call gets a trace id, or keeps the one it sent; everything it causes carries it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_the_frontend_has_a_trace_too() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    replied(&cluster, 1).await?;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    let body = json!({ "instagramUserId": USER, "message": "a person speaks" }).to_string().into_bytes();
    let answer =
        cluster.rest.request("POST", &agent_path("send"), Some(body), &[("traceparent", &given)]).await?;
    assert_eq!((answer.status, answer.header("trace-id")), (202, trace), "{}", answer.text);
    replied(&cluster, 2).await?;
    let rows = rows(&open(&cluster).await?).await?;
    let sent = rows.iter().find(|row| row.place == "outbound a person speaks").context("the message")?;
    assert_eq!(sent.trace_id.map(|id| id.simple().to_string()).as_deref(), Some(trace));
    let own = cluster.rest.get("status").await?;
    assert_eq!(own.header("trace-id").len(), 32);
    assert_ne!(own.header("trace-id"), trace);
    Ok(())
}
