//! Sessions: a backend gives each person of its frontend a short-lived token of their own.

use anyhow::{Context, Result};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, Rest, agent_path};
use dmrelay_tests::token;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

on_both_backends!(
    a_person_works_with_a_token_of_their_own,
    a_session_ends_with_its_time_by_being_revoked_and_with_its_key,
    a_session_gives_no_more_than_its_maker_has,
    a_session_made_with_a_token_ends_with_it,
    colleagues_assign_chats_by_the_names_that_the_backend_gave,
);

const ADA: &str = "200000000000001";
const SESSIONS: &str = "/api/database/acme/sessions";

async fn key(relay: &Relay, role: &str) -> Result<(Rest, Value)> {
    let body = json!({"name": "backend", "role": role}).to_string().into_bytes();
    let made = relay.rest.request("POST", "/api/database/acme/api-keys", Some(body), &[]).await?;
    Ok((relay.rest.with_key(made.json["key"].as_str()), made.json))
}

async fn create(rest: &Rest, body: Value) -> Result<Answer> {
    rest.request("POST", SESSIONS, Some(body.to_string().into_bytes()), &[]).await
}

async fn session(relay: &Relay, maker: &Rest, role: &str) -> Result<(Rest, Value)> {
    let made =
        create(maker, json!({"subject": "ada@example.com", "name": "Ada Byron", "role": role})).await?;
    anyhow::ensure!(made.status == 201, "{} {}", made.status, made.text);
    Ok((relay.rest.with_key(made.json["token"].as_str()), made.json))
}

async fn a_person_works_with_a_token_of_their_own(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    let (maker, _) = key(&relay, "admin").await?;
    let (ada, made) = session(&relay, &maker, "operator").await?;
    assert!(made["token"].as_str().is_some_and(|token| token.starts_with("dms_")), "{made}");
    let me = ada.request("GET", "/api/database/acme/me", None, &[]).await?.json;
    assert_eq!((&me["actor"], &me["role"]), (&json!("Ada Byron"), &json!("operator")), "{me}");
    assert_eq!(me["actorId"], "session:acme:ada@example.com");
    // Messages and activities name the person, and what they have read is their own.
    assert_eq!(
        ada.post("send", json!({"instagramUserId": ADA, "message": "Hi, Ada here"})).await?.status,
        202
    );
    relay.settled().await?;
    let chat = ada.get("chats").await?.json["items"][0].clone();
    assert_eq!(
        (&chat["lastMessage"]["actor"], &chat["unreadCount"]),
        (&json!("Ada Byron"), &json!(1)),
        "{chat}"
    );
    ada.post(&format!("chats/{}/read", chat["chatId"].as_str().context("no id")?), json!({})).await?;
    let unread =
        async |rest: &Rest| rest.get("chats").await.map(|list| list.json["items"][0]["unreadCount"].clone());
    assert_eq!((unread(&ada).await?, unread(&maker).await?), (json!(0), json!(1)));
    // Another session of hers is the same person.
    let (again, _) = session(&relay, &maker, "viewer").await?;
    assert_eq!(unread(&again).await?, json!(0));
    let log = maker.get("activities?kind=INSTAGRAM_BOT_PAUSED").await?.json;
    assert_eq!(log["items"][0]["actor"], "Ada Byron", "{log}");
    let list = maker.request("GET", SESSIONS, None, &[]).await?;
    assert_eq!((list.json["total"].as_u64(), list.text.contains("dms_")), (Some(2), false), "{}", list.text);
    relay.end().await
}

async fn a_session_ends_with_its_time_by_being_revoked_and_with_its_key(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let (maker, made_key) = key(&relay, "admin").await?;
    let status = async |rest: &Rest| rest.get("chats").await.map(|answer| answer.status);
    let (revoked, made) = session(&relay, &maker, "viewer").await?;
    assert_eq!(status(&revoked).await?, 200);
    let one = format!("{SESSIONS}/{}", made["sessionId"].as_str().context("no id")?);
    for _ in 0..2 {
        assert_eq!(maker.request("DELETE", &one, None, &[]).await?.status, 204);
    }
    assert_eq!(status(&revoked).await?, 401);
    let other = "/api/database/acme/sessions/00000000-0000-7000-8000-000000000000";
    assert_eq!(maker.request("DELETE", other, None, &[]).await?.status, 404);
    // Its time is over.
    let (over, _) = session(&relay, &maker, "viewer").await?;
    relay.store.connection().execute_unprepared("UPDATE sessions SET expires_at = 1").await?;
    assert_eq!(status(&over).await?, 401);
    assert_eq!(relay.store.forget_sessions().await?, 2);
    // The key that it was made with is revoked.
    let (orphan, _) = session(&relay, &maker, "viewer").await?;
    assert_eq!(status(&orphan).await?, 200);
    let revoke = format!("/api/database/acme/api-keys/{}", made_key["keyId"].as_str().context("no id")?);
    assert_eq!(relay.rest.request("DELETE", &revoke, None, &[]).await?.status, 204);
    assert_eq!(status(&orphan).await?, 401);
    relay.end().await
}

async fn a_session_gives_no_more_than_its_maker_has(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.limits.sessions_per_subaccount = 2).await?;
    let (admin, _) = key(&relay, "admin").await?;
    let (operator, _) = key(&relay, "operator").await?;
    let ada = |more: Value| {
        let mut body = json!({"subject": "ada", "name": "Ada"});
        body.as_object_mut()
            .into_iter()
            .for_each(|body| body.extend(more.as_object().cloned().unwrap_or_default()));
        body
    };
    assert_eq!(create(&operator, ada(json!({}))).await?.status, 403);
    for (more, pointer) in [
        (json!({"role": "owner"}), "/role"),
        (json!({"role": "king"}), "/role"),
        (json!({"ttl": 43_201}), "/ttl"),
        (json!({"ttl": 0}), "/ttl"),
        (json!({"subject": ""}), "/subject"),
        (json!({"name": "a\nb"}), "/name"),
    ] {
        let refused = create(&admin, ada(more.clone())).await?;
        assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!(pointer)), "{more}");
    }
    // A session makes no sessions, or one that was stolen would last for ever.
    let (person, _) = session(&relay, &admin, "admin").await?;
    let refused = create(&person, ada(json!({}))).await?;
    assert_eq!(refused.status, 403, "{}", refused.text);
    // Nor does it reach another subaccount.
    assert_eq!(person.request("GET", "/api/database/other/chats", None, &[]).await?.status, 403);
    session(&relay, &admin, "viewer").await?;
    let many = create(&admin, ada(json!({}))).await?;
    assert_eq!(
        (many.status, &many.json["type"]),
        (409, &json!("urn:dmrelay:problem:too-many-sessions")),
        "{}",
        many.text
    );
    relay.end().await
}

async fn a_session_made_with_a_token_ends_with_it(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| token::accept(&mut settings.jwt)).await?;
    let claims = token::claims(&json!({"role": "admin", "subaccounts": ["acme"]}));
    let ends = claims["exp"].as_i64().context("no exp")? * 1_000;
    let admin = relay.rest.with_key(Some(&token::sign(&claims)));
    let made = create(&admin, json!({"subject": "ada", "name": "Ada", "ttl": 43_200})).await?;
    assert_eq!(made.status, 201, "{}", made.text);
    let session_ends = dmrelay_views::parse_time(made.json["expiresAt"].as_str().context("no time")?);
    let session_ends = session_ends.map_err(anyhow::Error::msg)?;
    assert!(session_ends <= ends + 2_000, "{session_ends} {ends}");
    relay.end().await
}

async fn colleagues_assign_chats_by_the_names_that_the_backend_gave(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, ADA, "hello");
    relay.replies(ADA, 1).await?;
    relay.settled().await?;
    let (maker, _) = key(&relay, "admin").await?;
    let (ada, _) = session(&relay, &maker, "operator").await?;
    let chat = ada.get("chats").await?.json["items"][0]["chatId"].as_str().context("no id")?.to_owned();
    let assign = async |rest: &Rest, to: &str| {
        let body = Some(json!({"assignee": to}).to_string().into_bytes());
        rest.request("PATCH", &agent_path(&format!("chats/{chat}")), body, &[]).await
    };
    let mine = async || ada.get("chats?assignee=me").await.map(|list| list.json["total"].clone());
    assert_eq!(assign(&maker, "ada@example.com").await?.status, 200);
    assert_eq!(mine().await?, 1);
    assert_eq!(assign(&maker, "bob@example.com").await?.status, 200);
    assert_eq!(mine().await?, 0);
    assert_eq!(assign(&ada, "me").await?.json["assignee"], "ada@example.com");
    assert_eq!(mine().await?, 1);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_looks_at_a_subaccount_with_a_token() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let args = ["admin", "token", "--subaccount", "acme", "--for", "10m"];
    let (success, output) = cluster.run("dmrelay-api", &args, &[("RUST_LOG", "off")]).await?;
    assert!(success, "{output}");
    let rest = cluster.rest.with_key(Some(output.trim()));
    let me = rest.request("GET", "/api/database/acme/me", None, &[]).await?;
    assert_eq!(
        (me.status, &me.json["role"], &me.json["actor"]),
        (200, &json!("viewer"), &json!("command line"))
    );
    let refused = ["admin", "token", "--subaccount", "acme", "--for", "13h"];
    let (success, output) = cluster.run("dmrelay-api", &refused, &[("RUST_LOG", "off")]).await?;
    assert!(!success && output.contains("at most 12h"), "{output}");
    Ok(())
}
