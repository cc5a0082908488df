//! Broadcasts: whom they reach, whom they spare, and that each is told once.

use anyhow::{Context, Result, ensure};
use dmrelay_simulator::AgentRule;

use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay, open_store};
use dmrelay_tests::rest::{ACCOUNT, AGENT, Answer, Rest, agent_path};
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_broadcast_reaches_those_it_may_reach_once,
    who_says_stop_is_spared_for_good,
    a_conversation_that_is_under_way_is_told_later,
    a_broadcast_is_paused_resumed_and_cancelled,
    what_cannot_be_sent_is_refused,
);

const USERS: [&str; 5] =
    ["200000000000001", "200000000000002", "200000000000003", "200000000000004", "200000000000005"];

const WITHIN: Duration = Duration::from_secs(30);

async fn call(rest: &Rest, method: &str, path: &str, body: Option<Value>) -> Result<Answer> {
    let body = body.map(|body| body.to_string().into_bytes());
    rest.request(method, &agent_path(&format!("broadcasts{path}")), body, &[]).await
}

async fn made(relay: &Relay, body: Value) -> Result<String> {
    let made = call(&relay.rest, "POST", "", Some(body)).await?;
    ensure!(made.status == 201, "{} {}", made.status, made.text);
    Ok(made.json["broadcastId"].as_str().context("no id")?.to_owned())
}

async fn until(rest: &Rest, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until(what, WITHIN, async || {
        let one = call(rest, "GET", &format!("/{id}"), None).await?.json;
        Ok(wanted(&one).then_some(one))
    })
    .await
}

async fn done(relay: &Relay, id: &str) -> Result<Value> {
    let one = until(&relay.rest, id, "the end of the broadcast", |one| one["state"] == "done").await?;
    Ok(one["progress"].clone())
}

async fn chat_id(relay: &Relay, user: &str) -> Result<String> {
    let chats = relay.rest.get(&format!("chats?instagramUserId={user}")).await?;
    Ok(chats.json["items"][0]["chatId"].as_str().context("no chat")?.to_owned())
}

/// Customers who have each said something, and were answered.
async fn known(backend: Backend) -> Result<Relay> {
    let relay = Relay::connected(backend, |settings| {
        settings.worker.broadcasts.broadcast_retry = Duration::from_millis(300);
        settings.worker.broadcasts.broadcast_tries = 100;
        settings.limits.broadcast_per_minute = 6_000;
        settings.limits.broadcast_per_minute_max = 6_000;
    })
    .await?;
    for user in USERS {
        relay.simulator.say(ACCOUNT, user, "hello");
    }
    for user in USERS {
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    Ok(relay)
}

/// Nobody of these has heard anything since the first answer.
fn told(relay: &Relay, user: &str) -> Vec<String> {
    relay.sent(user).split_off(1)
}

async fn a_broadcast_reaches_those_it_may_reach_once(backend: Backend) -> Result<()> {
    let relay = known(backend).await?;
    let [ada, bob, eve, dan, sue] = USERS;
    // One is with a human, one speaks another language, and the window of one is closed.
    relay.rest.post(&format!("chats/{}/takeover", chat_id(&relay, bob).await?), json!({})).await?;
    let patch = async |user: &str, body: Value| {
        let path = agent_path(&format!("chats/{}", chat_id(&relay, user).await?));
        relay.rest.request("PATCH", &path, Some(body.to_string().into_bytes()), &[]).await
    };
    for user in [ada, bob, eve, dan] {
        patch(user, json!({"language": "DE", "tags": ["vip"]})).await?;
    }
    patch(sue, json!({"tags": ["vip"], "language": "fr"})).await?;
    let odd = patch(sue, json!({"language": "d"})).await?;
    assert_eq!(odd.status, 422, "{}", odd.text);
    relay.store.let_pass(chat_id(&relay, dan).await?.parse()?, Duration::from_hours(25)).await?;
    let audience = json!({"tags": ["vip"], "languages": ["de"]});
    let reach = call(&relay.rest, "POST", "/preview", Some(json!({"audience": audience}))).await?;
    assert_eq!(
        (&reach.json["recipients"], &reach.json["ready"], &reach.json["skipped"]),
        (&json!(4), &json!(2), &json!(2)),
        "{}",
        reach.text
    );
    let id = made(
        &relay,
        json!({"name": "Sale", "audience": audience, "message": "Sale: {{code}}", "variables": {"code": "X1"}}),
    )
    .await?;
    until(&relay.rest, &id, "two customers told", |one| one["progress"]["sent"] == 2).await?;
    let bobs = call(&relay.rest, "GET", &format!("/{id}/recipients?state=pending"), None).await?;
    assert_eq!(bobs.json["items"][0]["reason"], "human_answers", "{}", bobs.text);
    // The human is done, and the broadcast comes to its end.
    relay.rest.post(&format!("chats/{}/release", chat_id(&relay, bob).await?), json!({})).await?;
    let progress = done(&relay, &id).await?;
    assert_eq!((&progress["sent"], &progress["skipped"]), (&json!(3), &json!(1)), "{progress}");
    assert_eq!(progress["skippedReasons"]["windowClosed"], 1);
    for user in [ada, bob, eve] {
        assert_eq!(told(&relay, user), ["Sale: X1"], "{user}");
    }
    assert!(told(&relay, dan).is_empty() && told(&relay, sue).is_empty());
    let message = relay.messages(ada).await?.pop().context("no message")?;
    assert_eq!(
        (&message["author"], &message["metadata"]["broadcast"]["broadcastId"]),
        (&json!("broadcast"), &json!(id))
    );
    // The agent learns of it with the customer's next message, and nobody is taken for a human who wrote it.
    relay.simulator.say(ACCOUNT, ada, "what sale?");
    relay.replies(ada, 3).await?;
    assert!(relay.asked().join("\n").contains("automatic reply: Sale: X1"), "{:?}", relay.asked());
    let log = relay.rest.get("activities?kind=BROADCAST_CREATED,BROADCAST_CHANGED").await?;
    assert_eq!(log.json["items"].as_array().map(Vec::len), Some(2), "{}", log.text);
    relay.end().await
}

async fn who_says_stop_is_spared_for_good(backend: Backend) -> Result<()> {
    let relay = known(backend).await?;
    let [ada, bob, ..] = USERS;
    relay.change_settings(json!({"stopText": "No more news.", "startText": "Welcome back."})).await?;
    relay.simulator.say(ACCOUNT, ada, " Stop! ");
    assert_eq!(relay.replies(ada, 2).await?[1], "No more news.");
    relay.settled().await?;
    let id = made(&relay, json!({"name": "News", "message": "News"})).await?;
    let progress = done(&relay, &id).await?;
    assert_eq!(
        (&progress["sent"], &progress["skippedReasons"]["optedOut"]),
        (&json!(4), &json!(1)),
        "{progress}"
    );
    assert_eq!(
        (told(&relay, ada), told(&relay, bob)),
        (vec!["No more news.".to_owned()], vec!["News".to_owned()])
    );
    let chat = relay.rest.get(&format!("chats/{}", chat_id(&relay, ada).await?)).await?;
    assert!(chat.json["chat"]["optedOutAt"].is_string(), "{}", chat.text);
    // Who has not said so means something else by START.
    relay.simulator.say(ACCOUNT, bob, "start");
    assert!(relay.replies(bob, 3).await?[2].ends_with("start"));
    relay.simulator.say(ACCOUNT, ada, "START");
    assert_eq!(relay.replies(ada, 3).await?[2], "Welcome back.");
    relay.settled().await?;
    let id = made(&relay, json!({"name": "News", "message": "More news"})).await?;
    assert_eq!(done(&relay, &id).await?["sent"], 5);
    relay.end().await
}

async fn a_conversation_that_is_under_way_is_told_later(backend: Backend) -> Result<()> {
    let relay = known(backend).await?;
    let [ada, bob, ..] = USERS;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 1_500, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, ada, "wait");
    let asked = |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") == 6;
    relay.simulator.wait_for("the question", WITHIN, asked).await?;
    let id = made(&relay, json!({"name": "News", "message": "News"})).await?;
    assert_eq!(done(&relay, &id).await?["sent"], 5);
    assert_eq!(told(&relay, ada), ["Answer to: wait", "News"]);
    assert_eq!(told(&relay, bob), ["News"]);
    relay.end().await
}

async fn a_broadcast_is_paused_resumed_and_cancelled(backend: Backend) -> Result<()> {
    let relay = known(backend).await?;
    let later = json!({"name": "Later", "message": "Later", "startsAt": "2100-01-01T00:00:00Z"});
    let later = made(&relay, later).await?;
    // Another of the account does not wait for one whose time has not come. Six a minute: the second waits.
    let slow = made(&relay, json!({"name": "Slow", "message": "Slow", "perMinute": 6})).await?;
    let first = until(&relay.rest, &slow, "the first customer", |one| one["progress"]["sent"] == 1).await?;
    assert_eq!((&first["state"], &first["progress"]["pending"]), (&json!("running"), &json!(4)), "{first}");
    let deed = async |id: &str, deed: &str| call(&relay.rest, "POST", &format!("/{id}/{deed}"), None).await;
    assert_eq!(deed(&slow, "pause").await?.json["state"], "paused");
    // While it is paused, the next of the account has its turn.
    let next = made(&relay, json!({"name": "Next", "message": "Next"})).await?;
    done(&relay, &next).await?;
    assert_eq!(deed(&slow, "resume").await?.json["state"], "running");
    assert_eq!(deed(&slow, "cancel").await?.json["state"], "cancelled");
    let over = deed(&slow, "resume").await?;
    assert!(over.status == 409 && over.text.contains("broadcast-state"), "{}", over.text);
    assert_eq!(deed(&later, "cancel").await?.json["state"], "cancelled");
    assert_eq!(deed(&later, "pause").await?.status, 409);
    let all = call(&relay.rest, "GET", "", None).await?;
    let names: Vec<&str> =
        all.json["items"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["Next", "Slow", "Later"]);
    let slow_ones = USERS.iter().filter(|user| told(&relay, user).contains(&"Slow".to_owned())).count();
    assert!((1..=2).contains(&slow_ones), "{slow_ones}");
    relay.end().await
}

async fn what_cannot_be_sent_is_refused(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for (body, pointer) in [
        (json!({"name": " ", "message": "x"}), "/name"),
        (json!({"name": "x"}), "/message"),
        (json!({"name": "x", "message": {"text": ""}}), "/message"),
        (json!({"name": "x", "message": "{{code}}"}), "/variables/code"),
        (json!({"name": "x", "message": "x", "perMinute": 601}), "/perMinute"),
        (json!({"name": "x", "message": "x", "startsAt": "soon"}), "/startsAt"),
        (json!({"name": "x", "message": "x", "audience": {"languages": ["?"]}}), "/audience/languages/0"),
        (json!({"name": "x", "templateId": "00000000-0000-4000-8000-000000000000"}), "/templateId"),
    ] {
        let refused = call(&relay.rest, "POST", "", Some(body.clone())).await?;
        let at = refused.json["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(refused.status == 422 && at.starts_with(pointer), "{body}: {}", refused.text);
    }
    assert_eq!(call(&relay.rest, "GET", "/00000000-0000-4000-8000-000000000000", None).await?.status, 404);
    relay.end().await
}

/// Customers of the broadcast that survives the death of its workers.
const MANY: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_once_though_workers_are_killed() -> Result<()> {
    let settings = [
        ("BROADCAST_PER_MINUTE_MAX", "60000"),
        ("BROADCAST_IN_FLIGHT", "16"),
        ("LEASE", "2s"),
        ("RECONCILE_GRACE", "2s"),
        ("BROADCAST_RETRY", "500ms"),
        ("BROADCAST_TRIES", "1000"),
    ];
    let mut cluster = Cluster::start(&settings).await?;
    let mut workers = [cluster.worker()?, cluster.worker()?];
    let users: Vec<String> = (1..=MANY).map(|n| format!("3000000000{n:05}")).collect();
    for user in &users {
        cluster.simulator.say(ACCOUNT, user, "hello");
    }
    let greeted = |record: &dmrelay_simulator::Record| record.send_count >= MANY;
    cluster.simulator.wait_for("the first answers", Duration::from_mins(1), greeted).await?;
    let store = open_store(&cluster.postgres.url()).await?;
    wait::until("nothing due", WITHIN, async || Ok((!store.anything_due().await?).then_some(()))).await?;
    let body = json!({"name": "News", "message": "News", "perMinute": 3_000});
    let made = call(&cluster.rest, "POST", "", Some(body)).await?;
    let id = made.json["broadcastId"].as_str().with_context(|| made.text.clone())?.to_owned();
    let mut kills = 0;
    let over = tokio::time::Instant::now() + Duration::from_secs(90);
    loop {
        let one = call(&cluster.rest, "GET", &format!("/{id}"), None).await?.json;
        if one["state"] == "done" {
            break;
        }
        ensure!(tokio::time::Instant::now() < over, "{one}\n{}", workers[0].output());
        tokio::time::sleep(Duration::from_millis(700)).await;
        if kills < 6 {
            let which = kills % workers.len();
            workers[which].kill()?;
            workers[which] = cluster.worker()?;
            kills += 1;
        }
    }
    assert!(kills > 0);
    let sent = |user: &String| {
        cluster.simulator.record(|record| {
            record.sends_to(ACCOUNT, user).filter(|send| send.text.as_deref() == Some("News")).count()
        })
    };
    let wrong: Vec<_> =
        users.iter().map(|user| (user, sent(user))).filter(|(_, times)| *times != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let progress = call(&cluster.rest, "GET", &format!("/{id}"), None).await?.json["progress"].clone();
    assert_eq!((&progress["sent"], &progress["recipients"]), (&json!(MANY), &json!(MANY)), "{progress}");
    Ok(())
}
