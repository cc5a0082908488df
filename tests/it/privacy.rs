//! What is stored of people is erased: customers on request, accounts by Meta's callbacks, everything by its retention.

use anyhow::{Context, Result, ensure};
use dmrelay_domain::ids::{ChatId, InstagramUserId, MessageId, SubaccountId, TurnId};
use dmrelay_domain::notification::{Condition, IncidentKind};
use dmrelay_domain::signed_request::SignedRequest;
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_store::AGENT_CALLS_SETTLED;
use dmrelay_store::entity::{
    activity, agent, agent_chat, agent_chat_deletion, api_key, chat, dead_letter, erased_trace, event,
    incident, instagram_connection, message, notification, notification_target, turn,
};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, Rest, agent_path, connect_body, text_webhook};
use dmrelay_tests::wait;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

on_both_backends!(
    a_customer_is_erased_and_nothing_brings_them_back,
    what_is_under_way_for_an_erased_customer_has_no_effect,
    the_owner_of_an_account_has_its_data_deleted,
    what_is_past_its_retention_is_deleted,
    later_erasures_delay_no_earlier_ones,
    a_former_owner_erases_nothing_of_the_present_one,
    the_secret_of_an_own_app_speaks_for_its_data_after_the_account_is_disconnected,
    a_chat_at_the_provider_is_deleted_with_the_key_that_opened_it,
);

const USER: &str = "200000000000001";
const OTHER: &str = "200000000000002";
const WITHIN: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(300);

/// Whether any table names the customer, or holds what they wrote.
async fn traces(relay: &Relay, chat: Uuid) -> Result<Vec<String>> {
    let db = relay.store.connection();
    let mut found = Vec::new();
    let mut note = |table: &str, rows: Vec<String>| {
        let bad =
            |row: &String| [USER, "secret plan", &chat.to_string()].iter().any(|trace| row.contains(trace));
        found.extend(rows.into_iter().filter(bad).map(|row| format!("{table}: {row}")));
    };
    let chats = chat::Entity::find().all(db).await?;
    note("chats", chats.iter().map(|row| format!("{row:?}")).collect());
    let messages = message::Entity::find().all(db).await?;
    note("messages", messages.iter().map(|row| format!("{row:?}")).collect());
    let turns = turn::Entity::find().all(db).await?;
    note("turns", turns.iter().map(|row| format!("{row:?}")).collect());
    let letters = dead_letter::Entity::find().all(db).await?;
    note("dead_letters", letters.iter().map(|row| format!("{row:?}")).collect());
    let events = event::Entity::find().all(db).await?;
    let raw =
        |row: &event::Model| String::from_utf8_lossy(row.raw.as_deref().unwrap_or_default()).into_owned();
    note("events", events.iter().map(|row| format!("{} {} {:?}", row.thread, raw(row), row.error)).collect());
    // The entry that tells of the erasure names the conversation, whose id means nothing any more.
    let activities =
        activity::Entity::find().filter(activity::Column::Kind.ne("USER_ERASED")).all(db).await?;
    note("activities", activities.iter().map(|row| format!("{row:?}")).collect());
    Ok(found)
}

/// Nothing names the customer any more, once a worker has looked through the large tables.
async fn no_trace(relay: &Relay, chat: Uuid) -> Result<()> {
    let gone =
        wait::until("no trace", WITHIN, async || Ok(traces(relay, chat).await?.is_empty().then_some(())));
    match gone.await {
        Ok(()) => Ok(()),
        Err(_) => anyhow::bail!("{:?}", traces(relay, chat).await?),
    }
}

async fn chat_id(relay: &Relay, user: &str) -> Result<Option<Uuid>> {
    let answer = relay.rest.get(&format!("chats?instagramUserId={user}")).await?;
    Ok(answer.json["items"][0]["chatId"].as_str().map(str::parse).transpose()?)
}

async fn erase(rest: &Rest, user: &str) -> Result<Value> {
    let answer = rest.request("DELETE", &agent_path(&format!("users/{user}")), None, &[]).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
    Ok(answer.json)
}

async fn a_customer_is_erased_and_nothing_brings_them_back(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.erasure_interval = TICK).await?;
    relay.simulator.say(ACCOUNT, OTHER, "I stay");
    relay.simulator.say(ACCOUNT, USER, "my secret plan");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: my secret plan"]);
    assert_eq!(relay.replies(OTHER, 1).await?, ["Answer to: I stay"]);
    // And something that failed.
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400));
    relay.simulator.say(ACCOUNT, USER, "the second secret plan");
    wait::until("a dead letter", WITHIN, async || {
        Ok((relay.store.dead_letter_counts().await?.len() == 1).then_some(()))
    })
    .await?;
    relay.settled().await?;
    let chat = chat_id(&relay, USER).await?.context("no chat")?;
    assert!(traces(&relay, chat).await?.len() > 5);
    let agent_chats = relay.simulator.chats();
    let erased = erase(&relay.rest, USER).await?;
    assert_eq!(
        (&erased["messages"], &erased["turns"], &erased["deadLetters"]),
        (&json!(3), &json!(2), &json!(1)),
        "{erased}"
    );
    assert_eq!(erased["agentChats"], 1, "{erased}");
    no_trace(&relay, chat).await?;
    let logged = relay.rest.get("activities?kind=USER_ERASED").await?;
    assert_eq!(logged.json["items"][0]["actor"], "bootstrap key", "{}", logged.text);
    assert_eq!(relay.rest.get(&format!("chats/{chat}")).await?.status, 404);
    // At the agent's provider too, however often that fails.
    relay.simulator.add_fault(Fault::retell(Operation::DeleteChat, FaultMode::Before).status(500));
    wait::until("the agent chat is deleted", WITHIN, async || {
        make_due(&relay).await?;
        Ok((relay.simulator.chats().len() == agent_chats.len() - 1).then_some(()))
    })
    .await?;
    assert_eq!(relay.simulator.record(|record| record.calls_of("retell.delete_chat")), 2);
    // What Meta delivers late is not stored again: nothing of it but its key.
    let mut late: Value =
        serde_json::from_slice(&text_webhook(ACCOUNT, USER, "m-late", "a secret plan, late"))?;
    late["entry"][0]["messaging"][0]["timestamp"] = json!(relay.store.now().await? - 60_000);
    let webhook = late.to_string().into_bytes();
    assert_eq!(relay.rest.webhook("/webhooks/instagram", &webhook, APP_SECRET).await?.status, 200);
    relay.settled().await?;
    assert_eq!(chat_id(&relay, USER).await?, None);
    no_trace(&relay, chat).await?;
    // Who writes again begins anew; what is old stays away then too.
    relay.simulator.say(ACCOUNT, USER, "hello again");
    assert_eq!(relay.replies(USER, 2).await?[1], "Answer to: hello again");
    late["entry"][0]["messaging"][0]["message"]["mid"] = json!("m-later");
    let webhook = late.to_string().into_bytes();
    assert_eq!(relay.rest.webhook("/webhooks/instagram", &webhook, APP_SECRET).await?.status, 200);
    relay.settled().await?;
    let texts: Vec<Value> =
        relay.messages(USER).await?.into_iter().map(|mut row| row["text"].take()).collect();
    assert_eq!(texts, ["hello again", "Answer to: hello again"]);
    assert_eq!(relay.messages(OTHER).await?.len(), 2);
    // A second time nothing is left.
    erase(&relay.rest, USER).await?;
    let again = erase(&relay.rest, USER).await?;
    assert_eq!((&again["messages"], &again["events"]), (&json!(0), &json!(0)), "{again}");
    relay.end().await
}

/// Lets the deletions of agent chats happen now.
async fn make_due(relay: &Relay) -> Result<()> {
    let due =
        agent_chat_deletion::Entity::update_many().col_expr(agent_chat_deletion::Column::DueAt, 0_i64.into());
    due.exec(relay.store.connection()).await?;
    Ok(())
}

async fn what_is_under_way_for_an_erased_customer_has_no_effect(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.erasure_interval = TICK).await?;
    let slow = Fault::retell(Operation::Completion, FaultMode::Slow).delay(Duration::from_millis(1_500));
    relay.simulator.add_fault(slow);
    relay.simulator.say(ACCOUNT, USER, "a slow secret plan");
    wait::until("the question", WITHIN, async || Ok((!relay.asked().is_empty()).then_some(()))).await?;
    let chat = chat_id(&relay, USER).await?.context("no chat")?;
    assert_eq!(erase(&relay.rest, USER).await?["agentChats"], 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(relay.sent(USER), Vec::<String>::new());
    no_trace(&relay, chat).await?;
    // The worker remembers the conversation that is gone, and finds the new one.
    relay.simulator.say(ACCOUNT, USER, "hello again");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello again"]);
    relay.settled().await?;
    relay.end().await
}

async fn callback(
    relay: &Relay,
    path: &str,
    secret: &str,
    user: &str,
    age: i64,
) -> Result<dmrelay_tests::rest::Answer> {
    let signed = SignedRequest::sign(secret, user, relay.store.now().await? / 1_000 - age);
    let body = format!("signed_request={signed}");
    let form = "application/x-www-form-urlencoded";
    relay.rest.with_key(None).send_raw("POST", path, form, body.as_bytes()).await
}

async fn the_owner_of_an_account_has_its_data_deleted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.api.data_deletion_grace = Duration::from_secs(2);
        settings.worker.erasure_interval = TICK;
    })
    .await?;
    relay.simulator.say(ACCOUNT, USER, "a secret plan");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let chat = chat_id(&relay, USER).await?.context("no chat")?;
    let (deauthorize, deletion) = ("/webhooks/instagram/deauthorize", "/webhooks/instagram/data-deletion");
    for (secret, age) in [("another-app-secret", 0), (APP_SECRET, 90_000), (APP_SECRET, -90_000)] {
        for path in [deauthorize, deletion] {
            assert_eq!(callback(&relay, path, secret, ACCOUNT, age).await?.status, 403, "{path} {age}");
        }
    }
    assert_eq!(relay.rest.send_raw("POST", deletion, "text/plain", b"x=1").await?.status, 403);
    assert_eq!(relay.rest.get("status").await?.json["status"], "connected");
    // Somebody of whom nothing is stored.
    let nobody = callback(&relay, deletion, APP_SECRET, "555", 0).await?;
    let page = nobody.json["url"].as_str().context("no url")?;
    let path = format!("/data-deletion/{}", nobody.json["confirmation_code"].as_str().context("no code")?);
    assert!(page.ends_with(&path), "{page}");
    let shown = relay.rest.with_key(None).request("GET", &path, None, &[]).await?;
    assert!(shown.status == 200 && shown.text.contains("No data was found"), "{}", shown.text);
    assert!(shown.header("content-security-policy").contains("default-src 'none'"));
    // The account, of whom Meta has another id for this app.
    let asked = callback(&relay, deletion, APP_SECRET, &app_user(&relay).await?, 0).await?;
    assert_eq!(asked.status, 200, "{}", asked.text);
    let path = format!("/data-deletion/{}", asked.json["confirmation_code"].as_str().context("no code")?);
    let shown = relay.rest.with_key(None).request("GET", &path, None, &[]).await?;
    assert!(shown.text.contains("will be deleted after"), "{}", shown.text);
    assert_eq!(relay.rest.get("status").await?.json["status"], "disconnected");
    wait::until("the data is deleted", WITHIN, async || {
        let shown = relay.rest.with_key(None).request("GET", &path, None, &[]).await?;
        Ok(shown.text.contains("All data of the account was deleted on").then_some(()))
    })
    .await?;
    assert_eq!(traces(&relay, chat).await?, Vec::<String>::new());
    assert_eq!(relay.rest.get("connections").await?.json["items"], json!([]));
    assert_eq!(relay.rest.with_key(None).request("GET", "/data-deletion/0", None, &[]).await?.status, 404);
    // Connected again, it begins anew.
    assert_eq!(relay.rest.connect().await?.status, 201);
    assert_eq!(callback(&relay, deauthorize, APP_SECRET, ACCOUNT, 0).await?.status, 200);
    let status = relay.rest.get("status").await?;
    assert_eq!(status.json["status"], "disconnected", "{}", status.text);
    relay.end().await
}

async fn app_user(relay: &Relay) -> Result<String> {
    let row =
        instagram_connection::Entity::find().one(relay.store.connection()).await?.context("no connection")?;
    let id = row.app_user_id.context("Graph told no app-scoped id")?;
    ensure!(id != ACCOUNT, "the app-scoped id is another one");
    Ok(id)
}

async fn what_is_past_its_retention_is_deleted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for (user, text) in [(USER, "old"), (OTHER, "new")] {
        relay.simulator.say(ACCOUNT, user, text);
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    let (db, store) = (relay.store.connection(), &relay.store);
    let old = chat_id(&relay, USER).await?.context("no chat")?;
    let age = Duration::from_hours(48);
    assert_eq!(store.forget_messages(age, 10).await?, 0);
    assert_eq!(store.forget_turns(age, 10).await?, 0);
    assert_eq!(store.forget_chats(age, 10).await?, 0);
    assert_eq!(store.forget_old_activities(age).await?, 0);
    // Ids begin with the time: those of the old conversation become old ones.
    let long_ago =
        |n: u64| uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + n, &[7; 10]).into_uuid();
    let messages = message::Entity::find().filter(message::Column::ChatId.eq(ChatId(old))).all(db).await?;
    for (n, row) in (0..).zip(&messages) {
        let rename = message::Entity::update_many()
            .col_expr(message::Column::Id, MessageId(long_ago(n)).into())
            .filter(message::Column::Id.eq(row.id));
        rename.exec(db).await?;
    }
    let rename = turn::Entity::update_many()
        .col_expr(turn::Column::Id, TurnId(long_ago(9)).into())
        .filter(turn::Column::ChatId.eq(ChatId(old)));
    rename.exec(db).await?;
    assert_eq!(store.forget_messages(age, 10).await?, 2);
    assert_eq!(store.forget_turns(age, 10).await?, 1);
    assert_eq!(store.forget_agent_chats(age).await?, 0);
    let replaced = agent_chat::ActiveModel {
        agent_chat_id: Set("chat_replaced".to_owned()),
        chat_id: Set(ChatId(old)),
        subaccount_id: Set("acme".to_owned()),
        key_id: Set(None),
        replaced_at: Set(Some(1_700_000_000_000)),
        created_at: Set(1_700_000_000_000),
    };
    agent_chat::Entity::insert(replaced).exec_without_returning(db).await?;
    assert_eq!(store.forget_agent_chats(age).await?, 1);
    let to_delete = agent_chat_deletion::Entity::find().all(db).await?;
    assert_eq!(to_delete.iter().map(|row| row.agent_chat_id.as_str()).collect::<Vec<_>>(), ["chat_replaced"]);
    assert_eq!((relay.messages(USER).await?.len(), relay.messages(OTHER).await?.len()), (0, 2));
    let aged = chat::Entity::update_many()
        .col_expr(chat::Column::LastMessageAt, 1_700_000_000_000_i64.into())
        .col_expr(chat::Column::CreatedAt, 1_700_000_000_000_i64.into())
        .filter(chat::Column::Id.eq(ChatId(old)));
    aged.exec(db).await?;
    // Nothing is deleted in which the customer waits for an answer, however old it is.
    let waits = |state: &'static str| {
        turn::Entity::update_many()
            .col_expr(turn::Column::State, state.into())
            .col_expr(turn::Column::ChatId, ChatId(old).into())
    };
    let other = chat_id(&relay, OTHER).await?.context("no chat")?;
    waits("waiting").filter(turn::Column::ChatId.eq(ChatId(other))).exec(db).await?;
    assert_eq!(store.forget_chats(age, 10).await?, 0);
    waits("answered").filter(turn::Column::State.eq("waiting")).exec(db).await?;
    assert_eq!(store.forget_chats(age, 10).await?, 1);
    assert_eq!((chat_id(&relay, USER).await?, chat_id(&relay, OTHER).await?.is_some()), (None, true));
    let one = activity::Entity::find().one(db).await?.context("no activity")?;
    let rename = activity::Entity::update_many()
        .col_expr(activity::Column::Id, dmrelay_domain::ids::ActivityId(long_ago(1)).into())
        .filter(activity::Column::Id.eq(one.id));
    rename.exec(db).await?;
    assert_eq!(store.forget_old_activities(age).await?, 1);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subaccount_is_erased_at_the_command_line() -> Result<()> {
    let mut cluster = Cluster::start(&[("ERASURE_INTERVAL", "300ms")]).await?;
    let _worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "a secret plan");
    cluster.simulator.say(ACCOUNT, OTHER, "another plan");
    let both = |record: &dmrelay_simulator::Record| record.sends.len() == 2;
    cluster.simulator.wait_for("two answers", WITHIN, both).await?;
    let (success, output) =
        cluster.run("dmrelay-api", &["admin", "erase", "--subaccount", "acme", "--user", USER], &[]).await?;
    assert!(success && output.contains("1 conversations") && output.contains("--yes"), "{output}");
    let erase = ["admin", "erase", "--subaccount", "acme", "--user", USER, "--yes"];
    let (success, output) = cluster.run("dmrelay-api", &erase, &[]).await?;
    assert!(success && output.contains("2 messages, 1 turns"), "{output}");
    let other = cluster.rest.get("messages").await?;
    assert_eq!(other.json["items"].as_array().map(Vec::len), Some(2), "{}", other.text);
    let body = json!({"name": "frontend"}).to_string().into_bytes();
    let key = cluster.rest.request("POST", "/api/database/acme/api-keys", Some(body), &[]).await?;
    let body = json!({"url": "https://hooks.example.com"}).to_string().into_bytes();
    let to = "/api/database/acme/notification-targets";
    let target = cluster.rest.request("POST", to, Some(body), &[]).await?;
    let test = format!("{to}/{}/test", target.json["targetId"].as_str().context("no target")?);
    assert_eq!(cluster.rest.request("POST", &test, None, &[]).await?.status, 202);
    let store = dmrelay_tests::relay::open_store(&cluster.postgres.url()).await?;
    let wrong = Condition {
        kind: IncidentKind::Silence,
        subject: "acme".to_owned(),
        subaccount: Some(SubaccountId::parse("acme")?),
        account: None,
        detail: "@acme is silent.".to_owned(),
        since: None,
    };
    store.sync_incidents(vec![wrong], (Duration::ZERO, Duration::from_hours(1))).await?;
    let (success, output) =
        cluster.run("dmrelay-api", &["admin", "erase", "--subaccount", "acme"], &[]).await?;
    assert!(success && output.contains(ACCOUNT) && output.contains("--yes"), "{output}");
    assert_eq!(cluster.rest.get("status").await?.json["status"], "connected");
    let (success, output) =
        cluster.run("dmrelay-api", &["admin", "erase", "--subaccount", "acme", "--yes"], &[]).await?;
    assert!(success, "{output}");
    wait::until("the subaccount is erased", WITHIN, async || {
        let (_, listed) = cluster.run("dmrelay-api", &["admin", "erasures", "--json"], &[]).await?;
        let listed: Value = serde_json::from_str(&listed[listed.find('[').context("no list")?..])?;
        Ok((listed[0]["state"] == "done").then_some(()))
    })
    .await?;
    let db = store.connection();
    let left = [
        chat::Entity::find().count(db).await?,
        message::Entity::find().count(db).await?,
        turn::Entity::find().count(db).await?,
        dead_letter::Entity::find().count(db).await?,
        instagram_connection::Entity::find().count(db).await?,
        api_key::Entity::find().count(db).await?,
        agent::Entity::find().count(db).await?,
        activity::Entity::find().count(db).await?,
        incident::Entity::find().count(db).await?,
        notification::Entity::find().count(db).await?,
        notification_target::Entity::find().count(db).await?,
    ];
    assert_eq!(left, [0; 11]);
    let key = key.json["key"].as_str().context("no key")?.to_owned();
    assert_eq!(cluster.rest.with_key(Some(&key)).get("status").await?.status, 401);
    Ok(())
}

/// Whoever is erased later delays nobody who was erased before, and whoever asks again is looked for once.
async fn later_erasures_delay_no_earlier_ones(backend: Backend) -> Result<()> {
    // No worker looks: the test does.
    let relay =
        Relay::connected(backend, |settings| settings.worker.erasure_interval = Duration::from_hours(1))
            .await?;
    let (db, store) = (relay.store.connection(), &relay.store);
    let left = async || -> Result<Vec<String>> {
        let rows = erased_trace::Entity::find().all(db).await?;
        Ok(rows.into_iter().map(|row| row.instagram_user_id).collect())
    };
    for _ in 0..3 {
        erase(&relay.rest, USER).await?;
    }
    assert_eq!(left().await?, [USER]);
    // The first is under way in a large table, and another comes.
    let begun = erased_trace::Entity::update_many()
        .col_expr(erased_trace::Column::EventsStarted, true.into())
        .col_expr(erased_trace::Column::LogStarted, true.into());
    begun.exec(db).await?;
    erase(&relay.rest, OTHER).await?;
    assert_eq!(left().await?.len(), 2);
    assert!(store.go_on_with_traces(1).await?);
    assert_eq!(left().await?, [OTHER]);
    assert!(store.go_on_with_traces(1).await?);
    assert_eq!(left().await?, Vec::<String>::new());
    assert!(!store.go_on_with_traces(1).await?);
    relay.end().await
}

async fn a_former_owner_erases_nothing_of_the_present_one(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.erasure_interval = TICK).await?;
    relay.simulator.say(ACCOUNT, USER, "a secret plan");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let chat = chat_id(&relay, USER).await?.context("no chat")?;
    assert_eq!(relay.rest.post("disconnect", json!({})).await?.status, 200);
    let path = |what: &str| format!("/api/database/heir/chat-agents/agent_heir/instagram/{what}");
    let body = connect_body().to_string().into_bytes();
    let connected = relay.rest.request("POST", &path("connect"), Some(body), &[]).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    // Erasing what was its own before is no matter of who has the account now: not what waits, nor what comes.
    let slow = Fault::retell(Operation::Completion, FaultMode::Slow).delay(Duration::from_millis(800));
    relay.simulator.add_fault(slow);
    relay.simulator.say(ACCOUNT, USER, "to the heir");
    for number in 0..5 {
        assert_eq!(erase(&relay.rest, USER).await?["messages"], if number == 0 { 2 } else { 0 });
    }
    relay.simulator.say(ACCOUNT, USER, "and more");
    let theirs = async || {
        relay.rest.request("GET", &path(&format!("messages?instagramUserId={USER}")), None, &[]).await
    };
    let texts = wait::until("both answers", WITHIN, async || {
        let listed = theirs().await?.json["items"].as_array().cloned().unwrap_or_default();
        let mut texts: Vec<_> =
            listed.iter().filter_map(|row| Some(row["text"].as_str()?.to_owned())).collect();
        texts.sort();
        let is_answered =
            texts.iter().any(|text| text.starts_with("Answer to:") && text.ends_with("and more"));
        Ok(is_answered.then_some(texts))
    })
    .await?;
    assert!(texts.contains(&"to the heir".to_owned()) && texts.contains(&"and more".to_owned()), "{texts:?}");
    wait::until("the former owner's rows", WITHIN, async || {
        let left = erased_trace::Entity::find().count(relay.store.connection()).await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    let named =
        event::Entity::find().filter(event::Column::Thread.eq(USER)).count(relay.store.connection()).await?;
    assert!(named >= 2, "the heir's events are left alone: {named}");
    assert_eq!(relay.rest.get(&format!("chats/{chat}")).await?.status, 404);
    relay.end().await
}

async fn the_secret_of_an_own_app_speaks_for_its_data_after_the_account_is_disconnected(
    backend: Backend,
) -> Result<()> {
    const OWN: &str = "the-secret-of-an-own-app";
    let relay = Relay::start(backend, |settings| {
        settings.api.data_deletion_grace = Duration::from_millis(10);
        settings.worker.erasure_interval = TICK;
    })
    .await?;
    let mut body = connect_body();
    body["appSecret"] = json!(OWN);
    let body = body.to_string().into_bytes();
    let connected = relay.rest.request("POST", &agent_path("connect"), Some(body), &[]).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    let (deauthorize, deletion) = (agent_path("deauthorize"), agent_path("data-deletion"));
    assert_eq!(callback(&relay, &deauthorize, "another-app-secret", ACCOUNT, 0).await?.status, 403);
    // The platform's secret does not speak for it.
    assert_eq!(callback(&relay, &deauthorize, APP_SECRET, ACCOUNT, 0).await?.status, 200);
    assert_eq!(relay.rest.get("status").await?.json["status"], "connected");
    assert_eq!(callback(&relay, &deauthorize, OWN, ACCOUNT, 0).await?.status, 200);
    assert_eq!(relay.rest.get("status").await?.json["status"], "disconnected");
    // Meta asks for the deletion after the app is removed.
    let asked = callback(&relay, &deletion, OWN, ACCOUNT, 0).await?;
    assert_eq!(asked.status, 200, "{}", asked.text);
    wait::until("the account is gone", WITHIN, async || {
        let left = instagram_connection::Entity::find().count(relay.store.connection()).await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    // Nothing of it is left, the secret neither.
    assert_eq!(callback(&relay, &deletion, OWN, ACCOUNT, 0).await?.status, 403);
    relay.end().await
}

async fn a_chat_at_the_provider_is_deleted_with_the_key_that_opened_it(backend: Backend) -> Result<()> {
    const KEY: &str = "key_of_acme_1234567890";
    let relay = Relay::connected(backend, |settings| settings.worker.erasure_interval = TICK).await?;
    relay.simulator.say(ACCOUNT, USER, "a secret plan");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    // From now on the subaccount has a workspace of its own, in which the chat is not found.
    relay.simulator.configure(|settings| {
        settings.retell.workspaces.insert(KEY.to_owned(), vec!["agent_acme".to_owned()]);
    });
    let body = json!({"key": KEY}).to_string().into_bytes();
    let set = relay.rest.request("PUT", "/api/database/acme/provider-key", Some(body), &[]).await?;
    assert_eq!(set.status, 200, "{}", set.text);
    let before = relay.simulator.chats().len();
    assert_eq!(erase(&relay.rest, USER).await?["agentChats"], 1);
    let row = agent_chat_deletion::Entity::find().one(relay.store.connection()).await?.context("no row")?;
    assert_eq!(row.key_id, None);
    wait::until("the agent chat is deleted", WITHIN, async || {
        make_due(&relay).await?;
        Ok((relay.simulator.chats().len() == before - 1).then_some(()))
    })
    .await?;
    // What the subaccount's own key has opened is not believed to be gone because another key does not find it.
    let opened = agent_chat_deletion::ActiveModel {
        agent_chat_id: Set("chat_of_a_former_key".to_owned()),
        subaccount_id: Set("acme".to_owned()),
        key_id: Set(Some(Uuid::new_v4())),
        due_at: Set(Some(0)),
        attempts: Set(0),
        error: Set(None),
        created_at: Set(relay.store.now().await?),
    };
    agent_chat_deletion::Entity::insert(opened).exec_without_returning(relay.store.connection()).await?;
    let row = wait::until("the try", WITHIN, async || {
        let row = agent_chat_deletion::Entity::find_by_id("chat_of_a_former_key")
            .one(relay.store.connection())
            .await?;
        Ok(row.filter(|row| row.error.is_some()))
    })
    .await?;
    assert!(row.error.as_deref().is_some_and(|error| error.contains("another key now")), "{row:?}");
    // In the end it is given up, and told.
    let long_ago = agent_chat_deletion::Entity::update_many()
        .col_expr(agent_chat_deletion::Column::CreatedAt, 0_i64.into())
        .col_expr(agent_chat_deletion::Column::DueAt, 0_i64.into());
    long_ago.exec(relay.store.connection()).await?;
    wait::until("it is given up", WITHIN, async || {
        Ok((relay.store.agent_chats_to_delete().await? == (0, 1)).then_some(()))
    })
    .await?;
    relay.end().await
}

/// The deletion of agent chats waits for calls that may be under way.
#[tokio::test]
async fn agent_chats_are_deleted_after_the_last_call_may_have_ended() -> Result<()> {
    let relay = Relay::connected(Backend::Embedded, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let connection = relay.store.snapshot().await?.remove(0);
    let began = relay.store.now().await?;
    let user = InstagramUserId::parse(USER)?;
    relay.store.erase_user(&connection, &user, &"test".into(), AGENT_CALLS_SETTLED).await?;
    let (db, deletions) = (relay.store.connection(), agent_chat_deletion::Entity::find());
    let row = deletions.clone().one(db).await?.context("no deletion")?;
    assert!(row.due_at.context("given up")? - began >= 300_000, "{row:?}");
    assert_eq!(deletions.filter(agent_chat_deletion::Column::Attempts.into_expr().gt(0)).count(db).await?, 0);
    relay.end().await
}
