//! What customers send besides text: fetched, kept, served, and deleted with what it came with.

use anyhow::{Context, Result, ensure};
use dmrelay_runtime::settings::MediaS3SecretArg;
use dmrelay_simulator::{Action, Medium};
use dmrelay_tests::bucket::Bucket;
use dmrelay_tests::console::Person;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, KEY, agent_path};
use dmrelay_tests::wait::until;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

on_both_backends!(
    a_photo_is_fetched_once_and_served,
    a_link_serves_one_medium_for_a_while,
    what_cannot_be_fetched_never_holds_a_message_back,
    media_go_with_their_message_and_their_customer,
    old_media_are_deleted,
    others_do_not_get_them,
    a_customer_has_a_face,
    nothing_is_kept_where_the_operator_wants_none,
    a_bucket_keeps_them_too,
);

const USER: &str = "200000000000001";
const WITHIN: Duration = Duration::from_secs(15);

/// A customer sends an attachment; gives the id of the copy.
async fn sends(relay: &Relay, kind: &str, name: &str) -> Result<String> {
    let known = relay.messages(USER).await?.len();
    relay.simulator.act(dmrelay_simulator::Act::new(
        ACCOUNT,
        USER,
        Action::attachment(kind, &relay.simulator.medium_url(name)),
    ));
    until("the message", WITHIN, async || {
        let messages = relay.messages(USER).await?;
        // Oldest first.
        let id = messages.iter().skip(known).find_map(|one| one["attachments"][0]["mediaId"].as_str());
        Ok(id.map(str::to_owned))
    })
    .await
}

async fn link(relay: &Relay, id: &str) -> Result<Value> {
    let answer = relay.rest.get(&format!("media/{id}/link")).await?;
    ensure!(answer.status == 200, "{}", answer.text);
    Ok(answer.json)
}

/// What becomes of a medium.
async fn outcome(relay: &Relay, id: &str) -> Result<Value> {
    until("the medium", WITHIN, async || {
        let medium = link(relay, id).await?;
        Ok((medium["state"] != "pending").then_some(medium))
    })
    .await
}

/// The files of the store.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

async fn get(
    relay: &Relay,
    id: &str,
    query: &str,
    range: Option<&str>,
) -> Result<(reqwest::header::HeaderMap, u16, Vec<u8>)> {
    let path = agent_path(&format!("media/{id}{query}"));
    let headers: Vec<(&str, &str)> = range.map(|range| ("range", range)).into_iter().collect();
    let response = relay.rest.open("GET", &path, &headers).await?;
    Ok((response.headers().clone(), response.status().as_u16(), response.bytes().await?.to_vec()))
}

async fn a_photo_is_fetched_once_and_served(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let id = sends(&relay, "image", "vase").await?;
    let medium = outcome(&relay, &id).await?;
    assert_eq!(
        (&medium["state"], &medium["contentType"]),
        (&json!("stored"), &json!("image/png")),
        "{medium}"
    );
    // The server says that it is a page; what counts are the bytes.
    let (headers, status, bytes) = get(&relay, &id, "", None).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(
        (status, header("content-type"), header("x-content-type-options")),
        (200, "image/png", "nosniff")
    );
    assert_eq!(header("content-disposition"), format!("inline; filename=\"{id}.png\""));
    assert!(bytes.starts_with(b"\x89PNG") && medium["bytes"] == json!(bytes.len()));
    let (headers, status, part) = get(&relay, &id, "", Some("bytes=1-3")).await?;
    assert_eq!((status, &part[..]), (206, &b"PNG"[..]));
    assert_eq!(headers["content-range"], format!("bytes 1-3/{}", bytes.len()));
    assert_eq!(get(&relay, &id, "", Some("bytes=99999999-")).await?.1, 416);
    let (headers, status, small) = get(&relay, &id, "?thumbnail=true", None).await?;
    assert!(status == 200 && headers["content-type"] == "image/jpeg" && small.starts_with(b"\xff\xd8"));
    // The agent is told in words, and Meta is asked no more.
    relay.replies(USER, 1).await?;
    assert_eq!(relay.asked(), ["[image]"]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(relay.simulator.media_asked("vase"), 1);
    // A voice message has no picture.
    let voice = sends(&relay, "audio", "voice").await?;
    let medium = outcome(&relay, &voice).await?;
    assert_eq!(
        (&medium["contentType"], &medium["thumbnailUrl"]),
        (&json!("audio/wav"), &Value::Null),
        "{medium}"
    );
    assert_eq!(get(&relay, &voice, "?thumbnail=true", None).await?.1, 404);
    // Names in the store say nothing.
    for file in files(&relay.media) {
        let name = file.display().to_string();
        assert!(![USER, ACCOUNT, "vase", "voice", "png"].iter().any(|word| name.contains(word)), "{name}");
    }
    assert_eq!(files(&relay.media).len(), 3);
    relay.end().await
}

async fn a_link_serves_one_medium_for_a_while(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.limits.media_link_time = Duration::from_secs(3))
            .await?;
    let (id, other) = (sends(&relay, "image", "vase").await?, sends(&relay, "image", "vase").await?);
    let medium = outcome(&relay, &id).await?;
    outcome(&relay, &other).await?;
    // Without a key.
    let browser = reqwest::Client::builder().timeout(WITHIN).build()?;
    let address = |medium: &Value, name: &str| -> Result<Url> {
        let mut url = Url::parse(medium[name].as_str().context("no link")?)?;
        let api = Url::parse(&relay.rest.address())?;
        url.set_scheme(api.scheme()).ok().context("scheme")?;
        url.set_host(api.host_str())?;
        url.set_port(api.port()).ok().context("port")?;
        Ok(url)
    };
    let status = async |url: Url| anyhow::Ok(browser.get(url).send().await?.status().as_u16());
    let url = address(&medium, "url")?;
    assert_eq!(status(url.clone()).await?, 200);
    assert_eq!(status(address(&medium, "thumbnailUrl")?).await?, 200);
    // It is of this medium, and cannot be changed.
    let mut of_other = url.clone();
    of_other.set_path(&format!("/media/{other}"));
    let mut changed = url.clone();
    changed.set_query(url.query().map(|query| query.replace("token=A", "token=B")).as_deref());
    let mut without = url.clone();
    without.set_query(None);
    assert_ne!(changed, url);
    for wrong in [of_other, changed, without] {
        assert_eq!(status(wrong.clone()).await?, 403, "{wrong}");
    }
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    assert_eq!(status(url).await?, 403);
    relay.end().await
}

async fn what_cannot_be_fetched_never_holds_a_message_back(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec();
    let large = vec![0xff_u8; 27 * 1024 * 1024];
    let inner = relay.simulator.medium_url("vase");
    for (name, medium) in [
        ("expired", Medium::Expired),
        ("page", Medium::Bytes(b"<!doctype html><script>alert(1)</script>".to_vec())),
        ("redirect", Medium::Redirect(inner)),
        ("away", Medium::Redirect("http://localhost/".to_owned())),
        ("large", Medium::Bytes(large)),
        ("again", Medium::AfterErrors(1, jpeg)),
        ("slow", Medium::Slow(Duration::from_mins(1))),
    ] {
        relay.simulator.put_medium(name, medium);
    }
    let mut replies = 0;
    for (name, state) in [
        ("expired", "expired"),
        ("page", "failed"),
        ("away", "failed"),
        ("redirect", "stored"),
        ("large", "failed"),
        ("again", "stored"),
    ] {
        let id = sends(&relay, "image", name).await?;
        replies += 1;
        relay.replies(USER, replies).await?;
        let medium = outcome(&relay, &id).await?;
        assert_eq!(medium["state"], state, "{name}: {medium}");
        let (_, status, _) = get(&relay, &id, "", None).await?;
        assert_eq!(status, if state == "stored" { 200 } else { 410 }, "{name}");
    }
    // A server that does not end its answer keeps nobody waiting, either.
    let slow = sends(&relay, "image", "slow").await?;
    relay.replies(USER, replies + 1).await?;
    assert_eq!(get(&relay, &slow, "", None).await?.1, 409);
    // Stories, and posts of others, are not fetched at all.
    let story = Action::StoryMention { url: relay.simulator.medium_url("vase") };
    relay.simulator.act(dmrelay_simulator::Act::new(ACCOUNT, USER, story));
    relay.simulator.act(dmrelay_simulator::Act::new(
        ACCOUNT,
        USER,
        Action::attachment("ig_reel", &relay.simulator.medium_url("vase")),
    ));
    relay.settled().await?;
    let messages = relay.messages(USER).await?;
    let kinds: Vec<&str> = messages.iter().filter_map(|one| one["kind"].as_str()).collect();
    assert!(kinds.contains(&"story_mention") && kinds.contains(&"ig_reel"), "{kinds:?}");
    for message in messages.iter().filter(|one| one["kind"] == "story_mention" || one["kind"] == "ig_reel") {
        assert_eq!(message["attachments"][0]["mediaId"], Value::Null, "{message}");
    }
    // Only where the redirect led to it.
    assert_eq!(relay.simulator.media_asked("vase"), 1);
    relay.end().await
}

async fn gone(relay: &Relay, id: &str) -> Result<()> {
    until("the deletion", WITHIN, async || {
        let answer = relay.rest.get(&format!("media/{id}/link")).await?;
        Ok((answer.status == 404 && files(&relay.media).is_empty()).then_some(()))
    })
    .await
}

async fn media_go_with_their_message_and_their_customer(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let id = sends(&relay, "image", "vase").await?;
    outcome(&relay, &id).await?;
    assert_eq!(files(&relay.media).len(), 2);
    let messages = relay.messages(USER).await?;
    let mid = messages.iter().find_map(|one| (one["kind"] == "image").then(|| one["mid"].as_str())).flatten();
    let mid = mid.context("no mid")?.to_owned();
    relay.simulator.act(dmrelay_simulator::Act::new(ACCOUNT, USER, Action::Unsend { mid }));
    gone(&relay, &id).await?;
    // And with the customer.
    let id = sends(&relay, "image", "vase").await?;
    outcome(&relay, &id).await?;
    assert_eq!(files(&relay.media).len(), 2);
    let erased: Answer =
        relay.rest.request("DELETE", &agent_path(&format!("users/{USER}")), None, &[]).await?;
    assert!(erased.status < 300, "{} {}", erased.status, erased.text);
    gone(&relay, &id).await?;
    relay.end().await
}

async fn old_media_are_deleted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.worker.media.retention_media = Some(Duration::from_hours(48));
        settings.worker.retention_messages = Some(Duration::from_hours(72));
    })
    .await?;
    let id = sends(&relay, "image", "vase").await?;
    outcome(&relay, &id).await?;
    let none = relay.store.forget_media(Duration::from_hours(48), false, 100).await?;
    assert_eq!(none, 0);
    // Those of messages that are gone, whatever age media may have.
    assert_eq!(relay.store.forget_media(Duration::ZERO, true, 100).await?, 0);
    relay.settled().await?;
    relay.store.connection().execute_unprepared("DELETE FROM messages WHERE kind = 'image'").await?;
    assert_eq!(relay.store.forget_media(Duration::ZERO, true, 100).await?, 1);
    gone(&relay, &id).await?;
    // And those that have the age.
    let id = sends(&relay, "image", "vase").await?;
    outcome(&relay, &id).await?;
    assert_eq!(relay.store.forget_media(Duration::ZERO, false, 100).await?, 1);
    gone(&relay, &id).await?;
    relay.end().await
}

async fn others_do_not_get_them(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let id = sends(&relay, "image", "vase").await?;
    outcome(&relay, &id).await?;
    let elsewhere = format!("/api/database/other/chat-agents/agent_x/instagram/media/{id}");
    let answer: Answer = relay.rest.request("GET", &elsewhere, None, &[]).await?;
    assert_eq!(answer.status, 404, "{}", answer.text);
    let stranger = relay.rest.with_key(None);
    let answer: Answer = stranger.request("GET", &agent_path(&format!("media/{id}")), None, &[]).await?;
    assert_eq!(answer.status, 401);
    // The console shows them to people of the subaccount only.
    let mut person = Person::at(&relay)?;
    assert_eq!(person.get(&format!("/console/media/{id}")).await?.0, 303);
    person.sign_in(KEY).await?;
    assert_eq!(person.call("GET", &format!("/console/media/{id}"))?.send().await?.status(), 200);
    let chat = relay.messages(USER).await?[0]["chatId"].as_str().context("no chat")?.to_owned();
    let (_, page, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(page.contains(&format!("src=\"/console/media/{id}?thumbnail=true\"")), "{page}");
    relay.end().await
}

async fn a_customer_has_a_face(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let person = |picture: String| dmrelay_simulator::Person {
        name: Some("Ada".to_owned()),
        username: "ada".to_owned(),
        profile_pic: Some(picture),
        unavailable: false,
        profile_hidden: false,
        standby: false,
    };
    relay.simulator.set_person(ACCOUNT, USER, person(relay.simulator.medium_url("vase")));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let face = async || {
        let chats = relay.rest.get("chats").await?;
        Ok(chats.json["items"][0]["pictureMediaId"].as_str().map(str::to_owned))
    };
    let first = until("the picture", WITHIN, face).await?;
    assert_eq!(get(&relay, &first, "?thumbnail=true", None).await?.1, 200);
    let mut somebody = Person::at(&relay)?;
    somebody.sign_in(KEY).await?;
    let (_, page, _) = somebody.get("/console/inbox").await?;
    assert!(page.contains(&format!("src=\"/console/media/{first}?thumbnail=true\"")), "{page}");
    // With a new chat of the agent, after a week, it is looked at anew; the former copy goes.
    for chat in relay.simulator.chats() {
        relay.simulator.set_chat_status(&chat.id, dmrelay_simulator::ChatStatus::Ended);
    }
    relay.store.connection().execute_unprepared("UPDATE chats SET profile_at = 1").await?;
    relay.store.connection().execute_unprepared("UPDATE media SET created_at = 1").await?;
    relay.simulator.say(ACCOUNT, USER, "again");
    relay.replies(USER, 2).await?;
    until("the next picture", WITHIN, async || Ok(face().await?.filter(|next| *next != first))).await?;
    until("the former one is gone", WITHIN, async || Ok((files(&relay.media).len() == 2).then_some(())))
        .await?;
    assert_eq!(relay.simulator.media_asked("vase"), 2);
    relay.end().await
}

async fn nothing_is_kept_where_the_operator_wants_none(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.media.media_store = String::new()).await?;
    relay.simulator.act(dmrelay_simulator::Act::new(
        ACCOUNT,
        USER,
        Action::attachment("image", &relay.simulator.medium_url("vase")),
    ));
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let messages = relay.messages(USER).await?;
    let attachment = messages.iter().find(|one| one["kind"] == "image").map(|one| &one["attachments"][0]);
    let attachment = attachment.context("no attachment")?;
    assert!(attachment["url"].is_string() && attachment["mediaId"].is_null(), "{attachment}");
    assert_eq!(relay.simulator.media_asked("vase"), 0);
    relay.end().await
}

async fn a_bucket_keeps_them_too(backend: Backend) -> Result<()> {
    let bucket = Bucket::start().await?;
    let relay = Relay::connected(backend, |settings| {
        "s3://dmrelay/media".clone_into(&mut settings.media.media_store);
        settings.media.media_s3_endpoint = Some(bucket.url.clone());
        settings.media.media_s3_access_key_id = Some("bucket-key".to_owned());
        settings.media.media_s3_secret = MediaS3SecretArg::of("secret");
    })
    .await?;
    let id = sends(&relay, "image", "vase").await?;
    let medium = outcome(&relay, &id).await?;
    assert_eq!(medium["state"], "stored", "{medium}");
    let names = bucket.names();
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("dmrelay/media/")), "{names:?}");
    let (headers, status, part) = get(&relay, &id, "", Some("bytes=1-3")).await?;
    assert_eq!((status, &part[..]), (206, &b"PNG"[..]));
    assert_eq!(headers["content-range"], format!("bytes 1-3/{}", medium["bytes"]));
    let (_, status, small) = get(&relay, &id, "?thumbnail=true", None).await?;
    assert!(status == 200 && small.starts_with(b"\xff\xd8"));
    // With the customer they go.
    let erased = relay.rest.request("DELETE", &agent_path(&format!("users/{USER}")), None, &[]).await?;
    ensure!(erased.status < 300, "{}", erased.text);
    until("the deletion", WITHIN, async || Ok(bucket.names().is_empty().then_some(()))).await?;
    relay.end().await
}
