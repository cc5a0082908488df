//! The list of chats is enough for an inbox: what it shows of each, its folders, and what a person has read.

use anyhow::{Context, Result};
use dmrelay_entity::{chat_note, chat_read, chat_tag, chat_triage};
use dmrelay_simulator::{AccountSpec, Act, Action, AgentRule, Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, Answer, SUBACCOUNT, agent_path, connect_body};
use dmrelay_tests::wait::until;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_chat_shows_what_an_inbox_needs,
    each_reader_has_a_read_state_of_its_own,
    a_message_is_found_by_its_id,
    a_customer_whose_answer_was_held_back_waits_for_a_human,
    while_the_agent_is_paused_customers_wait_for_humans,
    folders_hold_what_the_chats_themselves_say,
    chats_are_listed_in_the_order_that_is_asked_for,
    the_inbox_of_a_subaccount_has_the_chats_of_all_its_agents,
    people_assign_tag_and_snooze_chats,
    notes_are_for_the_people_of_the_inbox,
    whoever_is_erased_is_in_no_inbox,
    unchanged_answers_are_not_sent_again,
);

const WITHIN: Duration = Duration::from_secs(20);
const ADA: &str = "200000000000001";
const BOB: &str = "200000000000002";
const CLEO: &str = "200000000000003";
const SECOND: &str = "17841400000000009";

async fn chats(relay: &Relay, query: &str) -> Result<Vec<Value>> {
    let answer = relay.rest.get(&format!("chats{query}")).await?;
    anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
    answer.json["items"].as_array().cloned().context("no items")
}

async fn chat(relay: &Relay, user: &str) -> Result<Value> {
    chats(relay, &format!("?instagramUserId={user}")).await?.pop().context("no chat")
}

/// The users of a folder's chats.
async fn folder(relay: &Relay, name: &str) -> Result<Vec<String>> {
    let mut users: Vec<String> = chats(relay, &format!("?folder={name}"))
        .await?
        .iter()
        .filter_map(|chat| chat["instagramUserId"].as_str().map(str::to_owned))
        .collect();
    users.sort();
    Ok(users)
}

async fn post(relay: &Relay, chat: &Value, call: &str, body: Value) -> Result<Value> {
    let id = chat["chatId"].as_str().context("no id")?;
    let answer = relay.rest.post(&format!("chats/{id}/{call}"), body).await?;
    anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
    Ok(answer.json)
}

async fn a_chat_shows_what_an_inbox_needs(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    let ada = chat(&relay, ADA).await?;
    let last = &ada["lastMessage"];
    assert_eq!((&last["author"], &last["status"]), (&json!("agent"), &json!("sent")), "{ada}");
    assert_eq!(last["instagramUserId"], ADA);
    assert_eq!((&ada["accountUsername"], &ada["unreadCount"]), (&json!("acme"), &json!(1)));
    assert_eq!(ada["needsHuman"], json!({"needed": false, "reason": null}));
    assert_eq!((&ada["canSend"]["allowed"], &ada["canSend"]["reason"]), (&json!(true), &Value::Null));
    assert_eq!(ada["canSend"]["until"], ada["windowExpiresAt"]);
    assert_eq!(ada["openFailures"], 0);
    // A reaction is no message: the last one stays the last.
    let mid = last["mid"].as_str().context("no mid")?;
    let (mid, emoji) = (mid.to_owned(), Some("❤".to_owned()));
    let reaction = Action::Reaction { mid, reaction: None, emoji, unreact: false };
    relay.simulator.act(Act::new(ACCOUNT, ADA, reaction));
    relay.settled().await?;
    assert_eq!(chat(&relay, ADA).await?["lastMessage"]["messageId"], last["messageId"]);
    // The window is over, but with the Human Agent feature people may write for a week.
    let past = relay.store.now().await? - 3_600_000;
    let sql = format!("UPDATE chats SET window_expires_at = {past}");
    relay.store.connection().execute_unprepared(&sql).await?;
    let closed = chat(&relay, ADA).await?["canSend"].clone();
    assert_eq!(closed, json!({"allowed": false, "reason": "window_closed", "until": null}));
    relay.change_settings(json!({"humanAgent": true})).await?;
    assert_eq!(chat(&relay, ADA).await?["canSend"]["allowed"], true);
    // The same in the chat itself.
    let id = ada["chatId"].as_str().context("no id")?;
    let detail = relay.rest.get(&format!("chats/{id}")).await?.json;
    assert_eq!(detail["chat"], chat(&relay, ADA).await?);
    relay.rest.post("disconnect", json!({})).await?;
    let gone = chat(&relay, ADA).await?["canSend"].clone();
    assert_eq!(gone, json!({"allowed": false, "reason": "not_connected", "until": null}));
    relay.end().await
}

async fn each_reader_has_a_read_state_of_its_own(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let new = json!({"name": "frontend"}).to_string().into_bytes();
    let key = relay.rest.request("POST", "/api/database/acme/api-keys", Some(new), &[]).await?;
    let other = relay.rest.with_key(key.json["key"].as_str());
    for (count, text) in [(1, "one"), (2, "two")] {
        relay.simulator.say(ACCOUNT, ADA, text);
        relay.replies(ADA, count).await?;
    }
    relay.settled().await?;
    let unread = async |rest: &dmrelay_tests::rest::Rest| {
        rest.get("chats").await.map(|answer| answer.json["items"][0]["unreadCount"].clone())
    };
    assert_eq!((unread(&relay.rest).await?, unread(&other).await?), (json!(2), json!(2)));
    // Up to the first of them.
    let messages = relay.messages(ADA).await?;
    let ada = chat(&relay, ADA).await?;
    let read = post(&relay, &ada, "read", json!({"messageId": messages[0]["messageId"]})).await?;
    assert_eq!(read["unreadCount"], 1);
    assert_eq!(post(&relay, &ada, "read", json!({})).await?["unreadCount"], 0);
    // What was read stays read.
    let read = post(&relay, &ada, "read", json!({"messageId": messages[0]["messageId"]})).await?;
    assert_eq!(read["unreadCount"], 0);
    assert_eq!((unread(&relay.rest).await?, unread(&other).await?), (json!(0), json!(2)));
    relay.simulator.say(ACCOUNT, ADA, "three");
    relay.replies(ADA, 3).await?;
    relay.settled().await?;
    assert_eq!((unread(&relay.rest).await?, unread(&other).await?), (json!(1), json!(3)));
    let id = ada["chatId"].as_str().context("no id")?;
    let wrong = json!({"messageId": "00000000-0000-7000-8000-000000000000"});
    let answer = relay.rest.post(&format!("chats/{id}/read"), wrong).await?;
    assert_eq!(
        (answer.status, &answer.json["errors"][0]["pointer"]),
        (422, &json!("/messageId")),
        "{}",
        answer.text
    );
    relay.end().await
}

/// A human takes over while the agent is being asked: its answer is held back, and the customer has none.
async fn a_customer_whose_answer_was_held_back_waits_for_a_human(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let slow = AgentRule { latency_ms: 800, ..AgentRule::default() };
    relay.simulator.put_agent(AGENT, slow);
    relay.simulator.say(ACCOUNT, ADA, "hello");
    until("the question", WITHIN, async || Ok((!relay.asked().is_empty()).then_some(()))).await?;
    let ada = chat(&relay, ADA).await?;
    post(&relay, &ada, "takeover", json!({})).await?;
    until("the answer is held back", WITHIN, async || {
        let messages = relay.messages(ADA).await?;
        Ok(messages.iter().any(|message| message["status"] == "suppressed").then_some(()))
    })
    .await?;
    let ada = chat(&relay, ADA).await?;
    assert_eq!(ada["needsHuman"], json!({"needed": true, "reason": "waiting"}), "{ada}");
    assert_eq!(ada["lastMessage"]["text"], "hello");
    for name in ["needs_human", "unanswered"] {
        assert_eq!(folder(&relay, name).await?, [ADA], "{name}");
    }
    relay.end().await
}

async fn while_the_agent_is_paused_customers_wait_for_humans(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    let needed = until("somebody is needed", WITHIN, async || {
        let chat = chats(&relay, "").await?.pop();
        Ok(chat.filter(|chat| chat["needsHuman"]["needed"] == true))
    })
    .await?;
    assert_eq!((&needed["mode"], &needed["needsHuman"]["reason"]), (&json!("bot"), &json!("waiting")));
    assert_eq!(folder(&relay, "needs_human").await?, [ADA]);
    relay.change_settings(json!({"botPaused": false})).await?;
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    assert_eq!(folder(&relay, "needs_human").await?, Vec::<String>::new());
    relay.end().await
}

async fn a_message_is_found_by_its_id(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    // The echo of the answer may come later.
    let messages = until("an echo", WITHIN, async || {
        let messages = relay.messages(ADA).await?;
        Ok(messages.iter().any(|message| message["confirmedAt"].is_string()).then_some(messages))
    })
    .await?;
    for listed in messages {
        let id = listed["messageId"].as_str().context("no id")?;
        let one = relay.rest.get(&format!("messages/{id}")).await?;
        let mut found = one.json.clone();
        assert!(found["chat"].is_null());
        found.as_object_mut().context("an object")?.remove("chat");
        assert_eq!((one.status, &found), (200, &listed));
        let whole = relay.rest.get(&format!("messages/{id}?expand=chat")).await?.json;
        assert_eq!(whole["chat"]["chatId"], listed["chatId"]);
        // Not under another agent, nor in another subaccount.
        for base in ["acme/chat-agents/agent_other", "other/chat-agents/agent_acme"] {
            let path = format!("/api/database/{base}/instagram/messages/{id}");
            assert_eq!(relay.rest.request("GET", &path, None, &[]).await?.status, 404, "{path}");
        }
    }
    let none = relay.rest.get("messages/00000000-0000-7000-8000-000000000000").await?;
    assert_eq!((none.status, &none.json["type"]), (404, &json!("urn:dmrelay:problem:not-found")));
    relay.end().await
}

async fn chats_are_listed_in_the_order_that_is_asked_for(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for user in [ADA, BOB, CLEO] {
        relay.simulator.say(ACCOUNT, user, "hello");
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    let now = relay.store.now().await?;
    for (user, hours) in [(ADA, 2), (BOB, -1), (CLEO, 1)] {
        let ends = now + hours * 3_600_000;
        let sql = format!("UPDATE chats SET window_expires_at = {ends} WHERE instagram_user_id = '{user}'");
        relay.store.connection().execute_unprepared(&sql).await?;
    }
    for (sort, users) in [
        ("newest", vec![CLEO, BOB, ADA]),
        ("oldest", vec![ADA, BOB, CLEO]),
        // Bob's window is closed.
        ("window", vec![CLEO, ADA]),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = relay.rest.get(&format!("chats?sort={sort}&limit=1{cursor}")).await?;
            anyhow::ensure!(page.status == 200, "{}", page.text);
            assert_eq!(page.json["total"], users.len(), "{sort}");
            seen.extend(page.json["items"][0]["instagramUserId"].as_str().map(str::to_owned));
            let Some(next) = page.json["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, users, "{sort}");
    }
    let odd = relay.rest.get("chats?sort=odd").await?;
    assert_eq!((odd.status, &odd.json["errors"][0]["parameter"]), (422, &json!("sort")), "{}", odd.text);
    relay.end().await
}

async fn folders_hold_what_the_chats_themselves_say(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for user in [ADA, BOB, CLEO] {
        relay.simulator.say(ACCOUNT, user, "hello");
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    for name in ["needs_human", "unanswered", "failed", "window_closing"] {
        assert_eq!(folder(&relay, name).await?, Vec::<String>::new(), "{name}");
    }
    // A human has Ada's chat, and she writes.
    post(&relay, &chat(&relay, ADA).await?, "takeover", json!({})).await?;
    assert_eq!(folder(&relay, "needs_human").await?, Vec::<String>::new());
    relay.simulator.say(ACCOUNT, ADA, "is anybody there?");
    relay.settled().await?;
    assert_eq!(folder(&relay, "unanswered").await?, [ADA]);
    assert_eq!(chat(&relay, ADA).await?["needsHuman"], json!({"needed": true, "reason": "waiting"}));
    // Bob's answer is refused for good.
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(551, None));
    relay.simulator.say(ACCOUNT, BOB, "and here?");
    relay.settled().await?;
    let bob = chat(&relay, BOB).await?;
    assert_eq!((&bob["openFailures"], &bob["needsHuman"]["reason"]), (&json!(1), &json!("failed")), "{bob}");
    assert_eq!(folder(&relay, "failed").await?, [BOB]);
    assert_eq!(folder(&relay, "needs_human").await?, [ADA, BOB]);
    // Cleo's window ends soon.
    let soon = relay.store.now().await? + 3_600_000;
    let sql = format!("UPDATE chats SET window_expires_at = {soon} WHERE instagram_user_id = '{CLEO}'");
    relay.store.connection().execute_unprepared(&sql).await?;
    assert_eq!(folder(&relay, "window_closing").await?, [CLEO]);
    // What a folder holds is what its chats say.
    for one in chats(&relay, "").await? {
        let user = one["instagramUserId"].as_str().context("no user")?.to_owned();
        let needed = one["needsHuman"]["needed"] == true;
        assert_eq!(folder(&relay, "needs_human").await?.contains(&user), needed, "{one}");
        let inbound = one["lastMessage"]["direction"] == "inbound";
        assert_eq!(folder(&relay, "unanswered").await?.contains(&user), inbound, "{one}");
    }
    // A human answers Ada, and somebody discards Bob's failure.
    assert_eq!(relay.rest.post("send", json!({"instagramUserId": ADA, "message": "yes"})).await?.status, 202);
    let letter = relay.rest.get("dead-letters").await?.json["items"][0]["deadLetterId"].clone();
    let discard = format!("dead-letters/{}/discard", letter.as_str().context("no letter")?);
    relay.rest.post(&discard, json!({})).await?;
    relay.settled().await?;
    assert_eq!(folder(&relay, "failed").await?, Vec::<String>::new());
    let answer = relay.rest.get("chats?folder=spam").await?;
    assert_eq!(
        (answer.status, &answer.json["errors"][0]["parameter"]),
        (422, &json!("folder")),
        "{}",
        answer.text
    );
    relay.end().await
}

async fn the_inbox_of_a_subaccount_has_the_chats_of_all_its_agents(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_account(AccountSpec::new(SECOND, "acme_two", "IGAAsecond"));
    let to = format!("/api/database/{SUBACCOUNT}/chat-agents/agent_two/instagram/connect");
    let mut body = connect_body();
    body["accessToken"] = json!("IGAAsecond");
    body["instagramAccountId"] = json!(SECOND);
    let connected = relay.rest.request("POST", &to, Some(body.to_string().into_bytes()), &[]).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    for (account, user) in [(ACCOUNT, ADA), (SECOND, BOB)] {
        relay.simulator.say(account, user, "hello");
    }
    relay.settled().await?;
    let list = async |query: &str| {
        let path = format!("/api/database/{SUBACCOUNT}/chats{query}");
        relay.rest.request("GET", &path, None, &[]).await.map(|answer| answer.json)
    };
    let all = list("").await?;
    let mut handles: Vec<&str> = all["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|chat| chat["accountUsername"].as_str())
        .collect();
    handles.sort_unstable();
    assert_eq!((all["total"].as_u64(), handles), (Some(2), vec!["acme", "acme_two"]), "{all}");
    let second = connected.json["connectionId"].as_str().context("no id")?;
    let one = list(&format!("?connectionId={second}")).await?;
    assert_eq!((one["total"].as_u64(), &one["items"][0]["agentId"]), (Some(1), &json!("agent_two")), "{one}");
    // Another subaccount has none of them.
    let other = relay.rest.request("GET", "/api/database/other/chats", None, &[]).await?;
    assert_eq!((other.status, other.json["total"].as_u64()), (200, Some(0)), "{}", other.text);
    relay.end().await
}

async fn patch(relay: &Relay, chat: &Value, body: Value) -> Result<Answer> {
    let id = chat["chatId"].as_str().context("no id")?;
    let body = Some(body.to_string().into_bytes());
    relay.rest.request("PATCH", &agent_path(&format!("chats/{id}")), body, &[]).await
}

async fn people_assign_tag_and_snooze_chats(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for user in [ADA, BOB] {
        relay.simulator.say(ACCOUNT, user, "hello");
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    let ada = chat(&relay, ADA).await?;
    assert_eq!(
        (&ada["assignee"], &ada["tags"], &ada["snoozedUntil"]),
        (&Value::Null, &json!([]), &Value::Null)
    );
    let changed =
        patch(&relay, &ada, json!({"assignee": "me", "tags": ["vip", " returns", "vip"]})).await?.json;
    assert_eq!((&changed["assignee"], &changed["tags"]), (&json!("bootstrap"), &json!(["returns", "vip"])));
    let users = async |query: &str| -> Result<Vec<String>> {
        let all = chats(&relay, query).await?;
        Ok(all.iter().filter_map(|chat| chat["instagramUserId"].as_str().map(str::to_owned)).collect())
    };
    assert_eq!(users("?assignee=me").await?, [ADA]);
    assert_eq!(users("?assignee=none").await?, [BOB]);
    assert_eq!(users("?assignee=bob@example.com").await?, Vec::<String>::new());
    assert_eq!(users("?tag=vip").await?, [ADA]);
    // What is omitted stays; null takes it away.
    let changed = patch(&relay, &ada, json!({"assignee": null})).await?.json;
    assert_eq!((&changed["assignee"], &changed["tags"]), (&Value::Null, &json!(["returns", "vip"])));
    // Out of sight, until a message comes.
    post(&relay, &ada, "takeover", json!({})).await?;
    relay.simulator.say(ACCOUNT, ADA, "anybody?");
    relay.settled().await?;
    assert_eq!(users("?folder=needs_human").await?, [ADA]);
    let until_ms = relay.store.now().await? + 3_600_000;
    let tomorrow = dmrelay_views::time(until_ms).context("no time")?;
    let snoozed = patch(&relay, &ada, json!({"snoozedUntil": tomorrow})).await?.json;
    assert_eq!(snoozed["snoozedUntil"], tomorrow.as_str(), "{snoozed}");
    assert_eq!(users("?folder=needs_human").await?, Vec::<String>::new());
    assert_eq!(users("?folder=snoozed").await?, [ADA]);
    assert_eq!(users("").await?.len(), 2, "the whole list has it");
    relay.simulator.say(ACCOUNT, ADA, "hello?");
    relay.settled().await?;
    assert_eq!(users("?folder=needs_human").await?, [ADA]);
    assert_eq!(chat(&relay, ADA).await?["snoozedUntil"], Value::Null);
    // Snoozed again, until the same time.
    let snoozed = patch(&relay, &ada, json!({"snoozedUntil": tomorrow})).await?.json;
    assert_eq!(snoozed["snoozedUntil"], tomorrow.as_str(), "{snoozed}");
    assert_eq!(users("?folder=snoozed").await?, [ADA]);
    patch(&relay, &ada, json!({"snoozedUntil": null})).await?;
    assert_eq!(users("?folder=needs_human").await?, [ADA]);
    // Each change that changed anything is told.
    patch(&relay, &ada, json!({"tags": ["returns", "vip"]})).await?;
    let log = relay.rest.get("activities?kind=CHAT_TRIAGED").await?.json;
    assert_eq!(log["items"].as_array().map(Vec::len), Some(5), "{log}");
    assert_eq!(log["items"][4]["details"]["tags"], json!(["returns", "vip"]), "{log}");
    for (body, pointer) in [
        (json!({"assignee": ""}), "/assignee"),
        (json!({"assignee": "none"}), "/assignee"),
        (json!({"tags": ["ok", "x".repeat(51)]}), "/tags/1"),
        (json!({"tags": vec!["a"; 21]}), "/tags"),
        (json!({"snoozedUntil": "2020-01-01T00:00:00Z"}), "/snoozedUntil"),
        (json!({"snoozedUntil": "soon"}), "/snoozedUntil"),
    ] {
        let refused = patch(&relay, &ada, body.clone()).await?;
        assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
    }
    relay.end().await
}

async fn notes_are_for_the_people_of_the_inbox(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    let ada = chat(&relay, ADA).await?;
    let notes = format!("chats/{}/notes", ada["chatId"].as_str().context("no id")?);
    for text in ["first", "second"] {
        assert_eq!(relay.rest.post(&notes, json!({"text": text})).await?.status, 201);
    }
    let list = relay.rest.get(&notes).await?.json;
    assert_eq!(
        (&list["items"][0]["text"], &list["items"][1]["author"]),
        (&json!("second"), &json!("bootstrap key"))
    );
    let note = list["items"][0]["noteId"].as_str().context("no id")?;
    let one = agent_path(&format!("{notes}/{note}"));
    assert_eq!(relay.rest.request("DELETE", &one, None, &[]).await?.status, 204);
    assert_eq!(relay.rest.request("DELETE", &one, None, &[]).await?.status, 404);
    assert_eq!(relay.rest.get(&notes).await?.json["total"], 1);
    // Neither the customer nor the agent is told.
    assert_eq!((relay.sent(ADA).len(), relay.asked()), (1, vec!["hello".to_owned()]));
    let log = relay.rest.get("activities?kind=CHAT_NOTE_ADDED").await?;
    assert_eq!(log.json["items"].as_array().map(Vec::len), Some(2));
    assert!(!log.text.contains("second"), "{}", log.text);
    let empty = relay.rest.post(&notes, json!({"text": " "})).await?;
    assert_eq!((empty.status, &empty.json["errors"][0]["pointer"]), (422, &json!("/text")));
    relay.end().await
}

async fn whoever_is_erased_is_in_no_inbox(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    let ada = chat(&relay, ADA).await?;
    post(&relay, &ada, "read", json!({})).await?;
    patch(&relay, &ada, json!({"assignee": "bob", "tags": ["vip"]})).await?;
    let notes = format!("chats/{}/notes", ada["chatId"].as_str().context("no id")?);
    relay.rest.post(&notes, json!({"text": "Ada wants a refund"})).await?;
    let path = agent_path(&format!("users/{ADA}"));
    assert_eq!(relay.rest.request("DELETE", &path, None, &[]).await?.status, 200);
    assert_eq!(chats(&relay, "").await?, Vec::<Value>::new());
    let db = relay.store.connection();
    let left = [
        chat_read::Entity::find().count(db).await?,
        chat_triage::Entity::find().count(db).await?,
        chat_tag::Entity::find().count(db).await?,
        chat_note::Entity::find().count(db).await?,
    ];
    assert_eq!(left, [0; 4]);
    relay.end().await
}

/// Whoever has an answer is not sent it again.
async fn unchanged_answers_are_not_sent_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let path = agent_path("connections");
    let first = relay.rest.request("GET", &path, None, &[]).await?;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = relay.rest.request("GET", &path, None, &[("if-none-match", &tag)]).await?;
    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag.as_str()));
    relay.change_settings(json!({"botPaused": true})).await?;
    let changed = relay.rest.request("GET", &path, None, &[("if-none-match", &tag)]).await?;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    let packed = relay.rest.request("GET", &path, None, &[("accept-encoding", "gzip")]).await?;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    let missing = "/there/is/no/such/page";
    let packed = relay.rest.open("GET", missing, &[("accept-encoding", "gzip")]).await?;
    assert_eq!(
        (
            packed.status().as_u16(),
            packed.headers().get("content-encoding").and_then(|one| one.to_str().ok())
        ),
        (404, Some("gzip"))
    );
    // As gzip begins: what it says is packed too, and not written after that.
    let bytes = packed.bytes().await?;
    assert_eq!(&bytes[..2], [0x1f, 0x8b], "{bytes:?}");
    relay.end().await
}
