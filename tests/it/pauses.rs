//! What the operator has paused is not called, and goes on once it is resumed.

use anyhow::{Context, Result};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{InstagramAccountId, SubaccountId};
use dmrelay_simulator::{AccountSpec, AgentRule, Fault, FaultMode, Operation, ReplyRule};
use dmrelay_store::{Call, NewPause, PauseKey, PauseScope};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, Answer, Rest, agent_path, connect_body};
use dmrelay_tests::stream::Stream;
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

on_both_backends!(
    questions_of_a_subaccount_wait_and_others_are_asked,
    answers_of_an_account_wait_and_others_are_sent,
    a_pause_ends_by_itself,
    an_answer_of_several_messages_stops_where_it_is_paused,
    a_subaccount_pauses_its_own_calls_by_rest,
    connecting_is_paused,
);

const USER: &str = "200000000000001";
const OTHER_USER: &str = "200000000000002";
const OTHER_ACCOUNT: &str = "17841400000000002";
const DEADLINE: Duration = Duration::from_secs(20);

/// When a worker knows of a pause, also on a slow machine.
const KNOWN_AFTER: Duration = Duration::from_secs(3);

/// A second account, of another subaccount.
async fn connect_another(relay: &Relay) -> Result<()> {
    relay.simulator.put_account(AccountSpec::new(OTHER_ACCOUNT, "other", "IGAAtest-token-of-other"));
    let mut body = connect_body();
    body["accessToken"] = json!("IGAAtest-token-of-other");
    body["instagramAccountId"] = json!(OTHER_ACCOUNT);
    let body = Some(body.to_string().into_bytes());
    let path = "/api/database/other/chat-agents/agent_other/instagram/connect";
    let connected = relay.rest.request("POST", path, body, &[]).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    Ok(())
}

fn new<'a>(keys: &'a [PauseKey], time: Option<Duration>, reason: &'a str, actor: &'a Actor) -> NewPause<'a> {
    NewPause { keys, of: None, time, reason: Some(reason), actor }
}

/// Pauses the calls, and waits until the worker knows it.
async fn pause(relay: &Relay, key: &PauseKey, time: Option<Duration>) -> Result<()> {
    relay.store.pause(&new(std::slice::from_ref(key), time, "an incident", &"test".into())).await?;
    // Each worker looks every second.
    tokio::time::sleep(KNOWN_AFTER).await;
    Ok(())
}

async fn held(relay: &Relay) -> Result<()> {
    wait::until("one who is held", DEADLINE, async || {
        let waiting = relay.store.waiting(Duration::from_mins(1)).await?;
        Ok(waiting.iter().any(|one| one.stage == "held" && one.conversations == 1).then_some(()))
    })
    .await
}

async fn questions_of_a_subaccount_wait_and_others_are_asked(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    connect_another(&relay).await?;
    let scope = PauseScope::Subaccount(SubaccountId::parse("other")?);
    let key = PauseKey { call: Call::Ask, scope };
    pause(&relay, &key, None).await?;
    relay.simulator.say(OTHER_ACCOUNT, OTHER_USER, "hello");
    held(&relay).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    assert_eq!(relay.simulator.record(|record| record.completion_count), 1);
    assert!(!relay.store.resume(std::slice::from_ref(&key), None, &"test".into()).await?.is_empty());
    assert!(relay.store.resume(std::slice::from_ref(&key), None, &"test".into()).await?.is_empty());
    let answered =
        |record: &dmrelay_simulator::Record| record.sends_to(OTHER_ACCOUNT, OTHER_USER).next().is_some();
    relay.simulator.wait_for("the answer", DEADLINE, answered).await?;
    relay.end().await
}

async fn answers_of_an_account_wait_and_others_are_sent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    connect_another(&relay).await?;
    let scope = PauseScope::Account(InstagramAccountId::parse(OTHER_ACCOUNT)?);
    let key = PauseKey { call: Call::Send, scope };
    pause(&relay, &key, None).await?;
    let actions = relay.simulator.record(|record| record.calls_of("graph.sender_action"));
    relay.simulator.say(OTHER_ACCOUNT, OTHER_USER, "hello");
    held(&relay).await?;
    let asked = |record: &dmrelay_simulator::Record| record.completion_count == 1;
    relay.simulator.wait_for("a question", DEADLINE, asked).await?;
    let now = relay.simulator.record(|record| record.calls_of("graph.sender_action"));
    assert_eq!(actions, now, "neither seen nor typing is shown");
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let to_other = |record: &dmrelay_simulator::Record| record.sends_to(OTHER_ACCOUNT, OTHER_USER).count();
    assert_eq!(relay.simulator.record(to_other), 0);
    assert!(!relay.store.resume(std::slice::from_ref(&key), None, &"test".into()).await?.is_empty());
    relay.simulator.wait_for("the answer", DEADLINE, |record| to_other(record) == 1).await?;
    relay.end().await
}

async fn a_pause_ends_by_itself(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let key = PauseKey { call: Call::Ask, scope: PauseScope::All };
    pause(&relay, &key, Some(Duration::from_secs(8))).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    held(&relay).await?;
    assert_eq!(relay.store.pauses().await?.len(), 1);
    relay.replies(USER, 1).await?;
    assert_eq!(relay.store.pauses().await?, []);
    relay.store.forget_pauses().await?;
    relay.end().await
}

/// The worker that has sent one message sends the next one without being asked.
async fn an_answer_of_several_messages_stops_where_it_is_paused(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.graph.graph_timeout = Duration::from_secs(9)).await?;
    let reply = ReplyRule::Texts { texts: ["one", "two", "three"].map(str::to_owned).to_vec() };
    relay.simulator.put_agent(AGENT, AgentRule { reply, ..AgentRule::default() });
    let slow = Fault::graph(Operation::Send, FaultMode::Slow).delay(Duration::from_secs(4)).times(0);
    relay.simulator.add_fault(slow);
    relay.simulator.say(ACCOUNT, USER, "hello");
    let sending = |record: &dmrelay_simulator::Record| record.calls_of("graph.send") == 1;
    relay.simulator.wait_for("a send", DEADLINE, sending).await?;
    let key = PauseKey { call: Call::Send, scope: PauseScope::All };
    pause(&relay, &key, None).await?;
    relay.replies(USER, 1).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(relay.sent(USER), ["one"], "calls under way are finished, and no other begins");
    for (job, due) in relay.store.oldest_due().await? {
        assert_eq!(due.oldest_ms, 0, "{job}: what an operator has paused is not late");
    }
    assert!(!relay.store.resume(std::slice::from_ref(&key), None, &"test".into()).await?.is_empty());
    assert_eq!(relay.replies(USER, 3).await?, ["one", "two", "three"]);
    relay.end().await
}

const PAUSES: &str = "/api/database/acme/pauses";

async fn call(rest: &Rest, path: &str, body: &Value) -> Result<Answer> {
    rest.request("POST", path, Some(body.to_string().into_bytes()), &[]).await
}

async fn a_subaccount_pauses_its_own_calls_by_rest(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    connect_another(&relay).await?;
    let resume = format!("{PAUSES}/resume");
    for (body, field) in [
        (json!({"calls": []}), "/calls"),
        (json!({"calls": ["mail"]}), "/calls"),
        (json!({"calls": ["ask", "ask", "ask", "ask"]}), "/calls"),
        (json!({"reason": "a\u{0}b"}), "/reason"),
        (json!({"minutes": 0}), "/minutes"),
        (json!({"instagramAccountId": "my_shop"}), "/instagramAccountId"),
    ] {
        let refused = call(&relay.rest, PAUSES, &body).await?;
        assert_eq!((refused.status, refused.text.contains(field)), (422, true), "{body}: {}", refused.text);
    }
    let mut stream = Stream::open(&relay.rest, &agent_path("events"), None).await?;
    let others = call(&relay.rest, PAUSES, &json!({"instagramAccountId": OTHER_ACCOUNT})).await?;
    assert_eq!(others.status, 404, "{}", others.text);

    let body =
        json!({"calls": ["ask"], "minutes": 60, "reason": "wrong prices", "instagramAccountId": ACCOUNT});
    let paused = call(&relay.rest, PAUSES, &body).await?;
    let items = &paused.json["items"];
    assert_eq!(
        (paused.status, &items[0]["call"], &items[0]["by"]),
        (200, &json!("ask"), &json!("subaccount"))
    );
    assert_eq!(
        (&items[0]["reason"], &items[0]["instagramAccountId"]),
        (&json!("wrong prices"), &json!(ACCOUNT))
    );
    assert!(items[0]["endsAt"].is_string() && items[0]["actorId"].is_string(), "{items}");
    let event = stream.next("connection.state").await?;
    assert!(event["connectionId"].is_string() && event["details"]["call"] == json!("ask"), "{event}");
    let status = relay.rest.get("status").await?;
    assert_eq!(status.json["pauses"][0]["call"], json!("ask"), "{}", status.text);
    tokio::time::sleep(KNOWN_AFTER).await;
    relay.simulator.say(ACCOUNT, USER, "hello");
    held(&relay).await?;
    assert_eq!(relay.simulator.record(|record| record.completion_count), 0);

    // The operator's pause is shown without who and why, and stays when the subaccount resumes.
    let key = PauseKey { call: Call::Ask, scope: PauseScope::Subaccount(SubaccountId::parse("acme")?) };
    relay.store.pause(&new(std::slice::from_ref(&key), None, "unpaid", &"os:ada@host".into())).await?;
    let event = stream.next("connection.state").await?;
    assert!(event["connectionId"].is_null(), "it concerns all: {event}");
    let listed = relay.rest.request("GET", PAUSES, None, &[]).await?;
    assert!(!listed.text.contains("unpaid") && !listed.text.contains("os:ada"), "{}", listed.text);
    let of_account = json!({"calls": ["ask"], "instagramAccountId": ACCOUNT});
    let left = call(&relay.rest, &resume, &of_account).await?;
    let left_by: Vec<&Value> =
        left.json["items"].as_array().into_iter().flatten().map(|one| &one["by"]).collect();
    assert_eq!((left.status, left_by), (200, vec![&json!("operator")]), "{}", left.text);
    let refused = call(&relay.rest, &resume, &json!({})).await?;
    assert_eq!((refused.status, &refused.json["type"]), (409, &json!("urn:dmrelay:problem:not-paused")));
    // What another subaccount sees of all this.
    let other = relay.rest.request("GET", "/api/database/other/pauses", None, &[]).await?;
    assert_eq!((other.status, &other.json["items"]), (200, &json!([])), "{}", other.text);

    assert!(!relay.store.resume(std::slice::from_ref(&key), None, &"test".into()).await?.is_empty());
    relay.replies(USER, 1).await?;
    let path = "/api/database/acme/activities?kind=INSTAGRAM_CALLS_PAUSED,INSTAGRAM_CALLS_RESUMED";
    let log = relay.rest.request("GET", path, None, &[]).await?;
    assert_eq!(log.json["items"].as_array().map(Vec::len), Some(4), "{}", log.text);
    assert!(log.text.contains("wrong prices") && !log.text.contains("unpaid"), "{}", log.text);
    relay.end().await
}

async fn connecting_is_paused(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let key = PauseKey { call: Call::Connect, scope: PauseScope::All };
    relay.store.pause(&new(std::slice::from_ref(&key), None, "why", &"test".into())).await?;
    let refused = relay.rest.connect().await?;
    assert_eq!(
        (refused.status, &refused.json["type"]),
        (503, &json!("urn:dmrelay:problem:connecting-paused"))
    );
    assert!(!relay.store.resume(std::slice::from_ref(&key), None, &"test".into()).await?.is_empty());
    assert_eq!(relay.rest.connect().await?.status, 201);
    // Conversations have nothing to do with it.
    relay.store.pause(&new(std::slice::from_ref(&key), None, "why", &"test".into())).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.end().await
}

/// From the command line to the worker, its metrics, and what an operator sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_pauses_and_resumes_everything() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let admin = async |cluster: &Cluster, args: &[&str]| {
        let (success, output) =
            cluster.run("dmrelay-api", &[&["admin"], args].concat(), &[("RUST_LOG", "off")]).await?;
        anyhow::Ok((success, output.trim_end().to_owned()))
    };
    let paused = ["pause", "--all", "--only", "ask", "--for", "2h", "--reason", "wrong prices"];
    let (success, output) = admin(&cluster, &paused).await?;
    assert!(
        success && output.contains("questions to the agent of all accounts are paused for 2h"),
        "{output}"
    );
    for (args, why) in [
        (&["pause", "--subaccount", "nobody"][..], "has no connected account"),
        (&["pause", "--account", "17841499999999999"], "is not connected"),
        (&["pause"], "required"),
        (&["resume", "--account", ACCOUNT], "these calls were not paused"),
    ] {
        let (success, output) = admin(&cluster, args).await?;
        assert!(!success && output.contains(why), "{args:?}: {output}");
    }
    let (_worker, port) = cluster.watched_worker()?;
    let watched = Rest::new(SocketAddr::from(([127, 0, 0, 1], port.number)))?;
    wait::until("a worker that counts it", DEADLINE, async || {
        let Ok(metrics) = watched.request("GET", "/metrics", None, &[]).await else { return Ok(None) };
        let counted = "dmrelay_pauses{by=\"operator\",call=\"ask\",scope=\"all\"} 1";
        Ok(metrics.text.contains(counted).then_some(()))
    })
    .await?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    let stored = async || Ok(cluster.rest.get("messages").await?.json["total"].as_i64().filter(|n| *n > 0));
    wait::until("the message is stored", DEADLINE, stored).await?;
    let (_, status) = admin(&cluster, &["status", "--json"]).await?;
    let status: Value = serde_json::from_str(&status)?;
    assert_eq!(
        (&status["answering"], &status["pauses"][0]["call"]),
        (&json!(false), &json!("ask")),
        "{status}"
    );
    let (_, doctor) = admin(&cluster, &["doctor"]).await?;
    assert!(
        doctor.contains("of all accounts are paused until") && doctor.contains("wrong prices"),
        "{doctor}"
    );
    let (_, list) = admin(&cluster, &["pauses"]).await?;
    assert!(list.contains("wrong prices") && list.contains("os:"), "{list}");
    assert_eq!(cluster.simulator.record(|record| record.completion_count), 0);
    let (success, resumed) = admin(&cluster, &["resume", "--all"]).await?;
    assert!(success && resumed.contains("resumed: questions to the agent of all accounts"), "{resumed}");
    let answered = |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, USER).next().is_some();
    cluster.simulator.wait_for("the answer", DEADLINE, answered).await?;
    let (_, list) = admin(&cluster, &["pauses"]).await?;
    assert_eq!(list, "nothing is paused");
    let kept = cluster.rest.get("chats").await?;
    assert_eq!(kept.json["items"].as_array().context("chats")?.len(), 1, "{AGENT}: {}", kept.text);
    Ok(())
}
