//! Files that are uploaded to be sent.

use anyhow::{Context, Result, ensure};
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, KEY, agent_path};
use dmrelay_tests::wait::until;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

on_both_backends!(
    a_file_is_uploaded_once_and_sent_often,
    what_instagram_does_not_take_is_refused_before_it_is_uploaded,
    nothing_is_left_of_an_upload_that_failed,
    an_upload_can_be_deleted,
);

const USER: &str = "200000000000001";
const WITHIN: Duration = Duration::from_secs(15);
const VASE: &[u8] = include_bytes!("../../crates/simulator/assets/vase.png");

async fn upload(relay: &Relay, content_type: &str, body: &[u8]) -> Result<Answer> {
    relay.rest.send_raw("POST", &agent_path("media"), content_type, body).await
}

fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

async fn a_file_is_uploaded_once_and_sent_often(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let first = upload(&relay, "image/png", VASE).await?;
    ensure!(first.status == 201, "{}", first.text);
    assert_eq!((&first.json["kind"], &first.json["contentType"]), (&json!("image"), &json!("image/png")));
    let id = first.json["attachmentId"].as_str().context("attachmentId")?.to_owned();
    // Again, as a form: it is there already.
    let mut form =
        b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"v.png\"\r\n\r\n".to_vec();
    form.extend_from_slice(VASE);
    form.extend_from_slice(b"\r\n--x--\r\n");
    let again = upload(&relay, "multipart/form-data; boundary=x", &form).await?;
    assert_eq!((again.status, &again.json), (200, &first.json), "{}", again.text);
    assert_eq!(relay.simulator.record(|record| record.calls["graph.upload"]), 1);
    // The copy is served, and small.
    let media = first.json["mediaId"].as_str().context("mediaId")?;
    let response = relay.rest.open("GET", &agent_path(&format!("media/{media}")), &[]).await?;
    assert_eq!(response.bytes().await?.as_ref(), VASE);
    // It is sent, and the message shows the copy.
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let image = |id: &str| json!({"attachment": {"type": "image", "payload": {"attachment_id": id}}});
    for n in 2..4 {
        let sent = relay.rest.post("send", json!({"instagramUserId": USER, "message": image(&id)})).await?;
        ensure!(sent.status == 202, "{}", sent.text);
        relay.replies(USER, n).await?;
    }
    let sends = relay
        .simulator
        .record(|record| record.sends_to(ACCOUNT, USER).map(|sent| sent.message.clone()).collect::<Vec<_>>());
    assert_eq!(sends[1..], [image(&id), image(&id)]);
    let shown = relay.messages(USER).await?;
    let shown: Vec<&Value> =
        shown.iter().filter(|one| one["author"] == "human").map(|one| &one["attachments"]).collect();
    assert_eq!(shown, [&json!([{"type": "image", "mediaId": media}]); 2]);
    // As something else Meta does not take it.
    let file = json!({"attachment": {"type": "file", "payload": {"attachment_id": id}}});
    let sent = relay.rest.post("send", json!({"instagramUserId": USER, "message": file})).await?;
    ensure!(sent.status == 202, "{}", sent.text);
    until("the failure", WITHIN, async || {
        let messages = relay.messages(USER).await?;
        Ok(messages.iter().any(|one| one["status"] == "failed").then_some(()))
    })
    .await?;
    relay.end().await
}

async fn what_instagram_does_not_take_is_refused_before_it_is_uploaded(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.limits.uploads.upload_bytes_max = 9 << 20).await?;
    let mut large = VASE.to_vec();
    large.resize((8 << 20) + 1, 0);
    let ogg = [b"OggS".as_slice(), &[0; 60], b"OpusHead"].concat();
    for (body, what) in [
        (&b"<html>"[..], "must be an image, video, audio or PDF"),
        (&ogg, "Instagram takes no ogg as audio, only aac, m4a, wav, mp4"),
        (&large, "Instagram takes at most 8388608 as image"),
        (&[], "must be an image"),
    ] {
        let refused = upload(&relay, "image/png", body).await?;
        assert_eq!((refused.status, refused.text.contains(what)), (422, true), "{}", refused.text);
    }
    // More than that is not even read.
    let mut stream = TcpStream::connect(relay.address).await?;
    let path = agent_path("media");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n",
        (9 << 20) + 1
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 4_096];
    let read = stream.read(&mut answer).await?;
    assert!(answer[..read].starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    let form = upload(&relay, "multipart/form-data; boundary=x", b"--x--\r\n").await?;
    assert_eq!((form.status, form.text.contains("no part named file")), (400, true), "{}", form.text);
    assert!(relay.simulator.record(|record| !record.calls.contains_key("graph.upload")));
    assert_eq!(files(&relay.media), 0);
    relay.end().await
}

async fn nothing_is_left_of_an_upload_that_failed(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay
        .simulator
        .add_fault(Fault::graph(Operation::Upload, FaultMode::GraphError).code(100, Some(2_018_047)));
    let refused = upload(&relay, "image/png", VASE).await?;
    assert_eq!(
        (refused.status, &refused.json["graphCode"]),
        (422, &json!("100/2018047")),
        "{}",
        refused.text
    );
    // What was stored for it goes after a while; that has gone by now.
    assert_eq!(files(&relay.media), 2);
    relay.store.connection().execute_unprepared("UPDATE media SET due_at = 0").await?;
    until("the deletion", WITHIN, async || Ok((files(&relay.media) == 0).then_some(()))).await?;
    let again = upload(&relay, "image/png", VASE).await?;
    assert_eq!(again.status, 201, "{}", again.text);
    relay.end().await
}

async fn an_upload_can_be_deleted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let uploaded = upload(&relay, "image/png", VASE).await?;
    let path = agent_path(&format!("media/{}", uploaded.json["mediaId"].as_str().context("mediaId")?));
    let deleted = relay.rest.request("DELETE", &path, None, &[]).await?;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    until("the deletion", WITHIN, async || Ok((files(&relay.media) == 0).then_some(()))).await?;
    assert_eq!(relay.rest.request("DELETE", &path, None, &[]).await?.status, 404);
    // What customers sent goes with their messages only.
    relay.simulator.act(dmrelay_simulator::Act::new(
        ACCOUNT,
        USER,
        dmrelay_simulator::Action::attachment("image", &relay.simulator.medium_url("vase")),
    ));
    let theirs = until("the copy", WITHIN, async || {
        let messages = relay.messages(USER).await?;
        let id =
            messages.first().and_then(|one| one["attachments"][0]["mediaId"].as_str().map(str::to_owned));
        Ok(id)
    })
    .await?;
    let path = agent_path(&format!("media/{theirs}"));
    assert_eq!(relay.rest.request("DELETE", &path, None, &[]).await?.status, 404);
    // The same file is uploaded anew.
    assert_eq!(upload(&relay, "image/png", VASE).await?.status, 201);
    relay.end().await
}
