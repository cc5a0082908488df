//! The console: who gets in, what they may do there, and what people see in a real browser.

use anyhow::{Context, Result};
use dmrelay_domain::permission::Role;
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_tests::browser;
use dmrelay_tests::console::{Person, seen};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, Answer, KEY};
use dmrelay_tests::wait::until;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    people_sign_in_with_a_key_and_out_again,
    forms_need_what_our_pages_have,
    a_role_is_what_it_is_for_rest,
    a_page_is_updated_live,
    what_failed_is_replayed_and_discarded,
    accounts_are_watched_paused_and_disconnected,
    a_message_shows_how_it_went,
    colleagues_share_what_they_decide,
    figures_are_those_of_the_messages,
    whatever_happens_is_in_the_activity,
    owners_make_and_revoke_keys,
    somebody_is_notified_and_no_longer,
    codes_are_printed,
);

const USER: &str = "200000000000001";
const OTHER: &str = "200000000000002";

async fn key(relay: &Relay, subaccount: &str, role: Role) -> Result<String> {
    let body = json!({"name": "console", "role": role.as_str()}).to_string().into_bytes();
    let path = format!("/api/database/{subaccount}/api-keys");
    let made: Answer = relay.rest.request("POST", &path, Some(body), &[]).await?;
    Ok(made.json["key"].as_str().context("no key")?.to_owned())
}

async fn chat_of(relay: &Relay, user: &str) -> Result<String> {
    let messages = relay.messages(user).await?;
    Ok(messages[0]["chatId"].as_str().context("no chat")?.to_owned())
}

async fn people_sign_in_with_a_key_and_out_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let mut person = Person::at(&relay)?;
    let (status, _, to) = person.get("/console/inbox?folder=failed").await?;
    assert_eq!((status, to.as_str()), (303, "/console/sign-in?next=%2Fconsole%2Finbox%3Ffolder%3Dfailed"));
    let wrong = [("name", "Anna"), ("key", "dmr_wrong"), ("next", "https://evil.example")];
    let (status, page, _) = person.post("/console/sign-in", &wrong).await?;
    assert!(status == 401 && page.contains("role=\"alert\""), "{status} {page}");
    person.sign_in(KEY).await?;
    let (status, page, _) = person.get("/console/inbox").await?;
    assert!(status == 200 && page.contains("Anna Berg") && page.contains("Answer to: hello"), "{page}");
    // A page loads nothing from elsewhere, and runs nothing that is in it.
    for elsewhere in ["src=\"http", "href=\"http", "url(http", "<style"] {
        assert!(!page.contains(elsewhere), "{elsewhere}: {page}");
    }
    assert!(!page.contains(KEY) && !page.contains("dms_"), "a secret is in the page");
    let csrf = person.csrf().await?;
    let (status, _, to) = person.post("/console/sign-out", &[("csrf", &csrf)]).await?;
    assert_eq!((status, to.as_str()), (303, "/console/sign-in"));
    // The session is over, whatever the browser keeps.
    assert_eq!(person.get("/console/inbox").await?.0, 303);
    relay.end().await
}

async fn forms_need_what_our_pages_have(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let chat = chat_of(&relay, USER).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let takeover = format!("/console/chats/{chat}/takeover");
    for form in [&[][..], &[("csrf", "0123456789abcdef0123456789abcdef")]] {
        let (status, page, _) = person.post(&takeover, form).await?;
        assert!(status == 403 && page.contains("load the page anew"), "{status} {page}");
    }
    assert_eq!(relay.rest.get(&format!("chats/{chat}")).await?.json["chat"]["mode"], "bot");
    let csrf = person.csrf().await?;
    let (status, _, to) = person.post(&takeover, &[("csrf", &csrf), ("hours", "1")]).await?;
    assert_eq!((status, to), (303, format!("/console/inbox?chat={chat}")));
    assert_eq!(relay.rest.get(&format!("chats/{chat}")).await?.json["chat"]["mode"], "human");
    // Nor can another site sign somebody in.
    let stranger = Person::at(&relay)?;
    let call = stranger.call("POST", "/console/sign-in")?.header("sec-fetch-site", "cross-site");
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    let (status, _, _) = seen(call.body(format!("name=Eve&key={KEY}&subaccount=acme"))).await?;
    assert_eq!(status, 403);
    relay.end().await
}

async fn a_role_is_what_it_is_for_rest(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let chat = chat_of(&relay, USER).await?;
    let mut viewer = Person::at(&relay)?;
    viewer.sign_in(&key(&relay, "acme", Role::Viewer).await?).await?;
    let (_, page, _) = viewer.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(page.contains("does not include writing") && !page.contains("Take over"), "{page}");
    let csrf = viewer.csrf().await?;
    for act in ["send", "takeover", "release"] {
        let form = [("csrf", csrf.as_str()), ("text", "x")];
        let (status, page, _) = viewer.post(&format!("/console/chats/{chat}/{act}"), &form).await?;
        assert!(status == 403 && page.contains("role viewer"), "{act}: {status} {page}");
    }
    // Another subaccount has no such conversation.
    let mut other = Person::at(&relay)?;
    other.sign_in(&key(&relay, "other", Role::Admin).await?).await?;
    let (status, page, _) = other.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(status == 404 && !page.contains("hello"), "{status} {page}");
    let form = [("csrf", other.csrf().await?), ("text", "x".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(other.post(&format!("/console/chats/{chat}/send"), &form).await?.0, 404);
    relay.end().await
}

async fn a_page_is_updated_live(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let chat = chat_of(&relay, USER).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    assert_eq!(Person::at(&relay)?.get("/console/live").await?.0, 303);
    // What happens between the page and its stream is told all the same.
    let (_, page, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    let (_, since) = page.split_once("data-since=\"").context("no position in the page")?;
    let since = since.split('"').next().unwrap_or_default();
    relay.simulator.say(ACCOUNT, USER, "<script>alert(1)</script>");
    relay.replies(USER, 2).await?;
    relay.settled().await?;
    let mut live = person.call("GET", &format!("/console/live?chat={chat}&after={since}"))?.send().await?;
    relay.simulator.say(ACCOUNT, OTHER, "of another conversation");
    let mut text = String::new();
    let reading = async {
        let wanted = ["Answer to: &lt;script&gt;", "of another conversation", "id=\"thinking\""];
        while !wanted.iter().all(|part| text.contains(part)) {
            let bytes = live.chunk().await?.context("the stream ended")?;
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        anyhow::Ok(())
    };
    let outcome = tokio::time::timeout(Duration::from_secs(15), reading).await;
    outcome.with_context(|| format!("only {text}"))??;
    assert!(!text.contains("<script>"), "{text}");
    // The other conversation has a row, and no bubbles in the one that is open.
    assert!(!text.contains("<p>of another conversation"), "{text}");
    relay.end().await
}

/// Questions that the agent's provider refuses for good.
async fn fails(relay: &Relay, questions: &[&str]) -> Result<Vec<String>> {
    for question in questions {
        relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400));
        let before = relay.rest.get("dead-letters").await?.json["total"].as_u64().context("no total")?;
        relay.simulator.say(ACCOUNT, USER, *question);
        until("a dead letter", Duration::from_secs(20), async || {
            let total = relay.rest.get("dead-letters").await?.json["total"].as_u64();
            Ok((total > Some(before)).then_some(()))
        })
        .await?;
    }
    relay.settled().await?;
    let letters = relay.rest.get("dead-letters").await?.json;
    let ids = letters["items"].as_array().context("no letters")?.iter();
    ids.map(|letter| Ok(letter["deadLetterId"].as_str().context("no id")?.to_owned())).collect()
}

async fn what_failed_is_replayed_and_discarded(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let (_, page, _) = person.get("/console/failed").await?;
    assert!(page.contains("Nothing has failed."), "{page}");
    let letters = fails(&relay, &["one", "two", "three"]).await?;
    let (_, page, _) = person.get("/console/failed").await?;
    let tile = "/console/failed?class=invalid&amp;account=&amp;kind=&amp;state=open";
    assert!(page.contains(tile) && page.contains("<strong>3</strong>"), "{page}");
    let chat = chat_of(&relay, USER).await?;
    let (_, thread, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(letters.iter().all(|id| thread.contains(&format!("letter-{id}"))), "{thread}");
    let csrf = person.csrf().await?;
    // A viewer sees it, and can change nothing.
    let mut viewer = Person::at(&relay)?;
    viewer.sign_in(&key(&relay, "acme", Role::Viewer).await?).await?;
    let (_, page, _) = viewer.get("/console/failed?class=invalid").await?;
    assert!(page.contains(&letters[0]) && !page.contains(">Replay<"), "{page}");
    // What does not fit is not shown.
    for sieve in
        ["class=reauth", "kind=message", "state=replayed", "account=00000000-0000-0000-0000-000000000000"]
    {
        let (_, page, _) = viewer.get(&format!("/console/failed?{sieve}")).await?;
        assert!(!page.contains(&letters[0]) && page.contains("No matches."), "{sieve}: {page}");
    }
    let form = [("csrf", viewer.csrf().await?)];
    let form = [("csrf", form[0].1.as_str()), ("deed", "replay"), ("all", "true")];
    for path in ["/console/failed/many", &format!("/console/failed/{}/discard", letters[0])] {
        assert_eq!(viewer.post(path, &form).await?.0, 403, "{path}");
    }
    // A dry run changes nothing.
    let fragment = async |path: &str, fields: &[(&str, &str)]| {
        let form = [&[("csrf", csrf.as_str())], fields].concat();
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let call = person.call("POST", path)?.header("x-fragment", "1");
        seen(call.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    };
    let all = [("sieve", "class=invalid"), ("all", "true"), ("deed", "foresee")];
    let (status, told, _) = fragment("/console/failed/many", &all).await?;
    assert!(status == 200 && told.contains("3 would be replayed"), "{status} {told}");
    // Nothing is selected.
    let (status, told, _) = fragment("/console/failed/many", &[("deed", "discard")]).await?;
    assert!(status == 422 && told.contains("Select some"), "{status} {told}");
    assert_eq!(relay.rest.get("dead-letters").await?.json["total"], 3);
    let (status, told, _) = fragment(&format!("/console/failed/{}/discard", letters[2]), &[]).await?;
    assert!(status == 200 && told.contains("Discarded by Anna Berg"), "{status} {told}");
    let (status, told, _) = fragment(&format!("/console/failed/{}/discard", letters[2]), &[]).await?;
    assert!(status == 409 && told.contains("role=\"alert\""), "{status} {told}");
    let (status, told, _) = fragment(&format!("/console/failed/{}/replay", letters[0]), &[]).await?;
    assert!(status == 200 && told.contains("Replayed by Anna Berg"), "{status} {told}");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let (status, told, _) = fragment("/console/failed/many", &[("deed", "odd"), ("all", "true")]).await?;
    assert!(status == 422 && told.contains("foresee"), "{status} {told}");
    let selected = [("deed", "discard"), ("letter", letters[0].as_str()), ("letter", letters[1].as_str())];
    let (status, told, _) = fragment("/console/failed/many", &selected).await?;
    assert!(status == 200 && told.contains("1 discarded.") && told.contains("1 skipped."), "{status} {told}");
    // The closed items are still listed, each with the person who closed it.
    let (_, page, _) = person.get("/console/failed?state=discarded").await?;
    assert!(page.contains(&letters[1]) && page.contains("Discarded by Anna Berg"), "{page}");
    // A later step counts on from the one before.
    fails(&relay, &["again"; 3]).await?;
    // What failed after the first step is not touched.
    let early = [("deed", "replay"), ("all", "true"), ("done", "25"), ("total", "28"), ("until", "1")];
    let (status, told, _) = fragment("/console/failed/many", &early).await?;
    assert!(status == 200 && told.contains("25 replayed."), "{status} {told}");
    let many = [
        ("deed", "replay"),
        ("all", "true"),
        ("done", "25"),
        ("total", "28"),
        ("sieve", "class=invalid&state=open"),
    ];
    let (status, told, _) = fragment("/console/failed/many", &many).await?;
    assert!(status == 200 && told.contains("28 replayed."), "{status} {told}");
    // Another subaccount has no such letter.
    let mut other = Person::at(&relay)?;
    other.sign_in(&key(&relay, "other", Role::Admin).await?).await?;
    let form = [("csrf", other.csrf().await?)];
    let form = [("csrf", form[0].1.as_str())];
    assert_eq!(other.post(&format!("/console/failed/{}/replay", letters[1]), &form).await?.0, 404);
    relay.end().await
}

async fn accounts_are_watched_paused_and_disconnected(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let connection =
        relay.rest.get("status").await?.json["connectionId"].as_str().context("no id")?.to_owned();
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let (_, page, _) = person.get("/console/accounts").await?;
    for part in ["@acme", "Connected", "Log in with", "Disconnect", "ig.me"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let qr = format!("/console/accounts/{connection}/qr?link=direct_message");
    let (status, drawing, _) = person.get(&qr).await?;
    assert!(
        status == 200 && drawing.starts_with("<?xml") || drawing.starts_with("<svg"),
        "{status} {drawing}"
    );
    let csrf = person.csrf().await?;
    let act = async |deed: &str, fields: &[(&str, &str)]| {
        let form = [&[("csrf", csrf.as_str())], fields].concat();
        person.post(&format!("/console/accounts/{connection}/{deed}"), &form).await
    };
    for (deed, is_paused) in [("pause", true), ("resume", false)] {
        assert_eq!(act(deed, &[]).await?.0, 303);
        assert_eq!(relay.rest.get("status").await?.json["botPaused"], is_paused);
    }
    let settings = [
        ("debounce_ms", "900"),
        ("takeover_hours", ""),
        ("typing", "false"),
        ("human_agent", ""),
        ("fallback_text", "We <3 you"),
        ("automatic_texts", "one\r\ntwo"),
        ("agent_variables", "shop = Acme\nopen=9-18"),
    ];
    assert_eq!(act("settings", &settings).await?.0, 303);
    let set = relay.rest.get("status").await?.json["settings"].clone();
    assert_eq!(
        (&set["debounceMs"], &set["takeoverHours"], &set["typing"]),
        (&json!(900), &json!(null), &json!(false))
    );
    assert_eq!((&set["fallbackText"], &set["automaticTexts"]), (&json!("We <3 you"), &json!(["one", "two"])));
    assert_eq!(set["agentVariables"], json!({"shop": "Acme", "open": "9-18"}));
    let (_, page, _) = person.get("/console/accounts").await?;
    assert!(
        page.contains("We &lt;3 you") && page.contains("shop=Acme") && page.contains("value=\"900\""),
        "{page}"
    );
    for (name, value) in [("debounce_ms", "soon"), ("takeover_hours", "9999"), ("agent_variables", "odd")] {
        let (status, page, _) = act("settings", &[(name, value)]).await?;
        assert!(status == 422 && page.contains("role=\"alert\""), "{name}: {status} {page}");
    }
    // What customers see before they write, at Meta.
    let profile =
        [("questions", "Where is my order? = ORDER"), ("menu", "Shop = https://shop.example\nHours")];
    assert_eq!(act("profile", &profile).await?.0, 303);
    let set = relay.rest.get("inbox-profile").await?.json;
    assert_eq!(set["atMeta"]["iceBreakers"][0]["questions"][0]["payload"], "ORDER", "{set}");
    assert_eq!(set["atMeta"]["persistentMenu"][0]["items"][0]["url"], "https://shop.example");
    let dialog = format!("/console/accounts/{connection}/profile");
    let (_, page) = person.fragment(&dialog).await?;
    assert!(page.contains("Where is my order? = ORDER") && page.contains("\nHours<"), "{page}");
    let many = "x\n".repeat(5);
    let (status, page, _) = act("profile", &[("questions", many.as_str())]).await?;
    assert!(status == 422 && page.contains("1 to 4"), "{status} {page}");
    // Another agent, and back.
    assert_eq!(act("agent", &[("agent", "not an agent!")]).await?.0, 422);
    for agent in ["agent_two", AGENT] {
        assert_eq!(act("agent", &[("agent", agent)]).await?.0, 303);
        let moved = relay.rest.get("connections").await?.json;
        assert_eq!(moved["items"][0]["agentId"], agent, "{moved}");
    }
    assert_eq!(act("check", &[]).await?.0, 303);
    assert_eq!(act("explode", &[]).await?.0, 404);
    let (status, page, _) = act("disconnect", &[("handle", "somebody")]).await?;
    assert!(status == 422 && page.contains("Type acme"), "{status} {page}");
    assert_eq!(relay.rest.get("status").await?.json["status"], "connected");
    // Who may not, does not; nor does another subaccount.
    let mut operator = Person::at(&relay)?;
    operator.sign_in(&key(&relay, "acme", Role::Operator).await?).await?;
    let mut other = Person::at(&relay)?;
    other.sign_in(&key(&relay, "other", Role::Admin).await?).await?;
    for (who, status) in [(&operator, 403), (&other, 404)] {
        let token = who.csrf().await?;
        let form = [("csrf", token.as_str()), ("handle", "acme")];
        let path = format!("/console/accounts/{connection}/disconnect");
        assert_eq!(who.post(&path, &form).await?.0, status);
    }
    assert_eq!(act("disconnect", &[("handle", "@acme")]).await?.0, 303);
    assert_eq!(relay.rest.get("connections").await?.json["items"][0]["status"], "disconnected");
    let log = relay.rest.get("activities?kind=INSTAGRAM_DISCONNECTED").await?;
    assert_eq!(log.json["items"][0]["actor"], "Anna Berg", "{}", log.text);
    relay.end().await
}

async fn a_message_shows_how_it_went(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let messages = relay.messages(USER).await?;
    for message in &messages {
        let (chat, id) = (&message["chatId"], &message["messageId"]);
        let (chat, id) = (chat.as_str().context("chat")?, id.as_str().context("message")?);
        let path = format!("/console/chats/{chat}/trace?message={id}");
        let (status, page) = person.fragment(&path).await?;
        assert_eq!(status, 200, "{page}");
        // Its address can be sent to a colleague.
        let (status, _, to) = person.get(&path).await?;
        let shown: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        assert_eq!((status, to), (303, format!("/console/inbox?chat={chat}&message={id}&show={shown}")));
        let steps =
            ["Webhook received", "Agent asked", "Agent answered", "Reply queued", "Accepted by Instagram"];
        let places: Vec<Option<usize>> = steps.iter().map(|step| page.rfind(step)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {page}");
        let mut other = Person::at(&relay)?;
        other.sign_in(&key(&relay, "other", Role::Admin).await?).await?;
        assert_eq!(other.fragment(&path).await?.0, 404);
    }
    let path = format!("/console/chats/{}/trace", messages[0]["chatId"].as_str().context("chat")?);
    assert_eq!(person.fragment(&path).await?.0, 404);
    relay.end().await
}

async fn colleagues_share_what_they_decide(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let chat = chat_of(&relay, USER).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let csrf = person.csrf().await?;
    let act = async |verb: &str, field: (&str, &str)| {
        person.post(&format!("/console/chats/{chat}/{verb}"), &[("csrf", csrf.as_str()), field]).await
    };
    let wishes = [("assignee", "me"), ("tag", "vip"), ("tag", "<i>"), ("untag", "vip"), ("snooze", "4")];
    for wish in wishes {
        assert_eq!(act("triage", wish).await?.0, 303, "{wish:?}");
    }
    assert_eq!(act("notes", ("text", "Wants a <b>refund</b>")).await?.0, 303);
    let seen = relay.rest.get(&format!("chats/{chat}")).await?.json;
    let decided = (&seen["chat"]["assignee"], &seen["chat"]["tags"]);
    assert_eq!(decided, (&json!("console:Anna Berg"), &json!(["<i>"])));
    assert!(seen["chat"]["snoozedUntil"].is_string(), "{seen}");
    let (_, page, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    for part in ["Unassign", "&lt;i&gt;", "Wants a &lt;b&gt;refund", "End</button>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let notes = relay.rest.get(&format!("chats/{chat}/notes")).await?.json;
    assert_eq!(notes["items"][0]["author"], "Anna Berg");
    let note = notes["items"][0]["noteId"].as_str().context("no note")?;
    for (verb, field, status) in [
        ("triage", ("tag", "x".repeat(51)), 422),
        ("triage", ("snooze", "9000".to_owned()), 422),
        ("notes", ("text", " ".to_owned()), 422),
        (&format!("notes/{note}/delete"), ("text", String::new()), 303),
        (&format!("notes/{note}/delete"), ("text", String::new()), 404),
        ("triage", ("snooze", "0".to_owned()), 303),
        ("triage", ("assignee", String::new()), 303),
    ] {
        assert_eq!(act(verb, (field.0, &field.1)).await?.0, status, "{verb} {field:?}");
    }
    let seen = relay.rest.get(&format!("chats/{chat}")).await?.json;
    assert!(seen["chat"]["assignee"].is_null() && seen["chat"]["snoozedUntil"].is_null(), "{seen}");
    let mut viewer = Person::at(&relay)?;
    viewer.sign_in(&key(&relay, "acme", Role::Viewer).await?).await?;
    let token = viewer.csrf().await?;
    let form = [("csrf", token.as_str()), ("tag", "x")];
    assert_eq!(viewer.post(&format!("/console/chats/{chat}/triage"), &form).await?.0, 403);
    relay.end().await
}

async fn figures_are_those_of_the_messages(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let overview = async |range: &str| {
        let path = format!("/api/database/acme/overview{range}");
        relay.rest.request("GET", &path, None, &[]).await
    };
    let empty = overview("").await?.json;
    assert_eq!((&empty["range"], &empty["totals"]["received"]), (&json!("hour"), &json!(0)));
    assert!(empty["totals"]["answeredShare"].is_null() && empty["totals"]["replyP50Ms"].is_null(), "{empty}");
    fails(&relay, &["not answered"]).await?;
    for user in [USER, OTHER] {
        relay.simulator.say(ACCOUNT, user, "hello");
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    for (range, bars) in [("?range=hour", 60), ("?range=day", 96), ("?range=week", 84)] {
        let seen = overview(range).await?.json;
        let totals = &seen["totals"];
        let counts = ["received", "sentByAgent", "sentByPeople", "failed"].map(|name| totals[name].as_i64());
        assert_eq!(counts, [Some(3), Some(2), Some(0), Some(0)], "{seen}");
        assert_eq!(totals["answeredShare"], 0.667);
        let (half, most) = (totals["replyP50Ms"].as_i64(), totals["replyP95Ms"].as_i64());
        assert!(half.is_some_and(|half| half >= 0) && half <= most, "{seen}");
        let all = seen["bars"].as_array().context("no bars")?;
        let sum = |name: &str| all.iter().filter_map(|bar| bar[name].as_i64()).sum::<i64>();
        assert_eq!((all.len(), sum("received"), sum("sent")), (bars, 3, 2));
        assert_eq!(
            (&seen["accounts"][0]["username"], &seen["accounts"][0]["received"]),
            (&json!("acme"), &json!(3))
        );
        assert_eq!(
            (&seen["isComplete"], &seen["waiting"], &seen["queued"]),
            (&json!(true), &json!(0), &json!(0))
        );
    }
    let odd = overview("?range=year").await?;
    assert_eq!((odd.status, &odd.json["errors"][0]["parameter"]), (422, &json!("range")), "{}", odd.text);
    let other = relay.rest.request("GET", "/api/database/other/overview", None, &[]).await?.json;
    assert_eq!((&other["totals"]["received"], &other["accounts"]), (&json!(0), &json!([])));
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let (status, page, _) = person.get("/console/overview?range=day").await?;
    assert!(status == 200 && page.contains("66.7 %") && page.contains("<rect"), "{status} {page}");
    relay.end().await
}

async fn whatever_happens_is_in_the_activity(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let mut live = person.call("GET", "/console/live?tail=chats")?.send().await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let mut told = String::new();
    let reading = async {
        while !told.contains("/console/activity?part=rows&amp;group=chats") {
            told.push_str(&String::from_utf8_lossy(&live.chunk().await?.context("the stream ended")?));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(15), reading).await.context("nothing was told")??;
    for (group, has, lacks) in [
        ("", vec!["Message received", "Turn ended", "Connected"], vec!["<main id=\"inbox"]),
        ("chats", vec!["Message sent"], vec!["<strong>Connected"]),
        ("access", vec!["Session created"], vec!["Message sent"]),
    ] {
        let (status, page, _) = person.get(&format!("/console/activity?group={group}")).await?;
        assert_eq!(status, 200);
        assert!(has.iter().all(|text| page.contains(text)), "{has:?}: {page}");
        assert!(lacks.iter().all(|text| !page.contains(text)), "{lacks:?}: {page}");
        // Never what was written.
        assert!(!page.contains("hello"), "{page}");
    }
    let mut other = Person::at(&relay)?;
    other.sign_in(&key(&relay, "other", Role::Admin).await?).await?;
    let (_, page, _) = other.get("/console/activity").await?;
    assert!(!page.contains("Message received"), "{page}");
    relay.end().await
}

async fn somebody_is_notified_and_no_longer(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let (status, page, _) = person.get("/console/notifications").await?;
    assert!(
        status == 200 && page.contains("Nothing is wrong") && page.contains("Nobody is notified yet"),
        "{page}"
    );
    let csrf = person.csrf().await?;
    let form = [("csrf", csrf.as_str()), ("channel", "webhook"), ("address", "ftp://x"), ("name", "Ops")];
    let (status, page, _) = person.post("/console/notifications", &form).await?;
    assert!(status == 422 && page.contains("role=\"alert\""), "{status} {page}");
    let form = [
        ("csrf", csrf.as_str()),
        ("channel", "webhook"),
        ("address", "https://hooks.example.com/x"),
        ("name", "Ops"),
        ("reauth_required", "true"),
    ];
    let (status, page, _) = person.post("/console/notifications", &form).await?;
    assert!(
        status == 200 && page.contains("whsec_") && page.contains("The account must be reconnected"),
        "{page}"
    );
    let targets = relay.rest.request("GET", "/api/database/acme/notification-targets", None, &[]).await?;
    let target = &targets.json["items"][0];
    assert_eq!((&target["name"], &target["kinds"]), (&json!("Ops"), &json!(["reauth_required"])));
    let act = |deed: &str| {
        format!("/console/notifications/{}/{deed}", target["targetId"].as_str().unwrap_or_default())
    };
    let form = [("csrf", csrf.as_str())];
    assert_eq!(person.post(&act("disable"), &form).await?.0, 303);
    let (status, page, _) = person.post(&act("test"), &form).await?;
    assert!(status == 409 && page.contains("enable it first"), "{status} {page}");
    assert_eq!(person.post(&act("enable"), &form).await?.0, 303);
    assert_eq!(person.post(&act("test"), &form).await?.0, 303);
    let (_, page, _) = person.get("/console/notifications").await?;
    assert!(page.contains("a test"), "{page}");
    // A new secret is shown even to a browser without scripts.
    let (status, page, _) = person.post(&act("rotate"), &form).await?;
    assert!(status == 200 && page.contains("whsec_"), "{status} {page}");
    assert_eq!(person.post(&act("remove"), &form).await?.0, 303);
    assert_eq!(person.post(&act("remove"), &form).await?.0, 404);
    // Others do not get in.
    let mut viewer = Person::at(&relay)?;
    viewer.sign_in(&key(&relay, "acme", Role::Viewer).await?).await?;
    let (status, page, _) = viewer.get("/console/notifications").await?;
    assert!(status == 403 && page.contains("role viewer"), "{status} {page}");
    assert!(!viewer.get("/console/inbox").await?.1.contains("/console/notifications"));
    relay.end().await
}

async fn codes_are_printed(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let (status, page, _) = person.get("/console/accounts/sheet").await?;
    assert!(status == 200 && page.matches("/qr?link=").count() == 2, "{status} {page}");
    relay.end().await
}

async fn owners_make_and_revoke_keys(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut owner = Person::at(&relay)?;
    owner.sign_in(&key(&relay, "acme", Role::Owner).await?).await?;
    let csrf = owner.csrf().await?;
    let form = |name: &'static str, role: &'static str, days: &'static str| {
        [("name", name), ("role", role), ("days", days)]
    };
    let make = async |form: [(&str, &str); 3]| {
        owner.post("/console/keys", &[&[("csrf", csrf.as_str())][..], &form[..]].concat()).await
    };
    let (status, page, _) = make(form("a <backend>", "operator", "30")).await?;
    assert!(status == 200 && page.contains("a &lt;backend&gt;"), "{status} {page}");
    let (_, rest) = page.split_once("<code>").context("no key in the page")?;
    let made = rest.split('<').next().unwrap_or_default().to_owned();
    let me = |key: String| {
        let rest = relay.rest.with_key(Some(&key));
        async move { rest.request("GET", "/api/database/acme/me", None, &[]).await }
    };
    assert_eq!(me(made.clone()).await?.json["role"], "operator");
    // It is shown once.
    let (_, page, _) = owner.get("/console/keys").await?;
    assert!(page.contains("a &lt;backend&gt;") && !page.contains(&made), "{page}");
    for odd in [form("", "operator", "30"), form("x", "king", "30"), form("x", "viewer", "99999")] {
        let (status, page, _) = make(odd).await?;
        assert!(status == 422 && page.contains("role=\"alert\""), "{odd:?}: {status} {page}");
    }
    let listed = relay.rest.request("GET", "/api/database/acme/api-keys", None, &[]).await?.json;
    let id = listed["items"].as_array().context("no keys")?.iter().find(|one| one["name"] == "a <backend>");
    let id = id.and_then(|one| one["keyId"].as_str()).context("no id")?;
    let revoke = format!("/console/keys/{id}/revoke");
    assert_eq!(owner.post(&revoke, &[("csrf", csrf.as_str())]).await?.0, 303);
    assert_eq!(me(made).await?.status, 401);
    // Nobody else gets there.
    let mut admin = Person::at(&relay)?;
    admin.sign_in(&key(&relay, "acme", Role::Admin).await?).await?;
    // A refused page says why, and keeps the navigation.
    let (status, page, _) = admin.get("/console/keys").await?;
    assert!(
        status == 403 && page.contains("the role admin does not") && page.contains("id=\"pages\""),
        "{page}"
    );
    let token = admin.csrf().await?;
    assert_eq!(admin.post(&revoke, &[("csrf", token.as_str())]).await?.0, 403);
    let (_, page, _) = admin.get("/console/inbox").await?;
    assert!(!page.contains("/console/keys"), "{page}");
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_works_in_a_browser() -> Result<()> {
    let relay = Relay::connected(Backend::Embedded, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let person = json!({
        "url": relay.rest.address(),
        "key": KEY,
        "control": relay.simulator.control_url(),
        "account": ACCOUNT,
        "ada": USER,
        "bob": OTHER,
    });
    let seen: Value = serde_json::from_slice(&browser::run("console.mjs", &person).await?)?;
    assert_eq!(seen["complaints"], json!([]));
    relay.end().await
}
