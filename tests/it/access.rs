//! Authentication and authorization: every route of the OpenAPI document, every role, own and foreign
//! subaccounts, by key and by token.

use anyhow::{Context, Result};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::{Permission, Role};
use dmrelay_domain::signature::sha256;
use dmrelay_store::NewApiKey;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{Answer, Rest, agent_path, connect_body};
use dmrelay_tests::settings::Settings;
use dmrelay_tests::token;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    callers_learn_what_they_may_do_and_what_they_lack,
    every_route_requires_its_permission_and_subaccount,
    a_token_grants_what_its_claims_say,
    a_token_names_agents_that_it_may_connect,
    invalid_tokens_are_rejected,
    keys_are_created_listed_and_revoked,
    ids_of_another_subaccount_are_not_found,
    validation_errors_name_the_field,
);

/// An operation of the document.
struct Call {
    method: String,
    path: String,
    permission: Permission,
}

impl Call {
    /// Its path in a subaccount, with nonexistent ids.
    fn path_in(&self, subaccount: &str, agent: &str) -> String {
        let path = self.path.replace("{subaccountId}", subaccount).replace("{agentId}", agent);
        let ids = ["{chatId}", "{deadLetterId}", "{keyId}"];
        ids.iter().fold(path, |path, id| path.replace(id, "01930000-0000-7000-8000-000000000000"))
    }
}

/// All operations of the document; each must have a permission.
fn calls() -> Result<Vec<Call>> {
    let document = dmrelay_api::openapi_document();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        for (method, operation) in item.as_object().context("no operations")? {
            if method == "parameters" {
                continue;
            }
            let word = operation["x-permission"].as_str().with_context(|| format!("{method} {path}"))?;
            let permission = Permission::parse(word).context("no such permission")?;
            calls.push(Call { method: method.to_uppercase(), path: path.clone(), permission });
        }
    }
    Ok(calls)
}

/// Streams end at once, so that calling one returns.
fn short_streams(settings: &mut Settings) {
    settings.limits.event_stream_time = Duration::from_millis(1);
}

async fn key(relay: &Relay, subaccount: &str, role: Role, expires_at: Option<i64>) -> Result<String> {
    let key = format!("dmr_test-{subaccount}-{role}-{}", expires_at.is_some());
    let new = NewApiKey {
        subaccount: SubaccountId::parse(subaccount)?,
        role,
        name: role.to_string(),
        hash: sha256(key.as_bytes()),
        expires_at,
        created_by: "test".into(),
    };
    relay.store.create_api_key(&new).await?;
    Ok(key)
}

/// Calls every operation as `role` in acme, and checks the permissions.
async fn check(rest: &Rest, call: &Call, role: Role) -> Result<()> {
    let own = rest.request(&call.method, &call.path_in("acme", "agent_acme"), None, &[]).await?;
    let what = format!("{} {} as {role}: {} {}", call.method, call.path, own.status, own.text);
    assert_eq!(own.status != 403, role.may(call.permission), "{what}");
    assert!(own.status < 500 && own.status != 401, "{what}");
    // The response must not reveal whether the other subaccount or its agent exists.
    let foreign = rest.request(&call.method, &call.path_in("other", "agent_other"), None, &[]).await?;
    let missing = rest.request(&call.method, &call.path_in("no-such", "agent_none"), None, &[]).await?;
    assert_eq!((foreign.status, told(&foreign)), (403, told(&missing)), "{what}");
    if call.path.contains("{agentId}") {
        // Another's agent is like one that nobody has.
        let mixed = rest.request(&call.method, &call.path_in("acme", "agent_other"), None, &[]).await?;
        let nobodys = rest.request(&call.method, &call.path_in("acme", "agent_none"), None, &[]).await?;
        let mixed_told = told(&mixed).replace("agent_other", "agent_none");
        assert_eq!((mixed.status, mixed_told), (nobodys.status, told(&nobodys)), "{what}");
    }
    Ok(())
}

/// What an answer says, apart from the id of its trace.
fn told(answer: &Answer) -> String {
    let mut json = answer.json.clone();
    if let Some(members) = json.as_object_mut() {
        members.remove("traceId");
    }
    if json.is_null() { answer.text.clone() } else { json.to_string() }
}

async fn callers_learn_what_they_may_do_and_what_they_lack(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let rest = relay.rest.with_key(Some(&key(&relay, "acme", Role::Operator, None).await?));
    let me = rest.request("GET", "/api/database/acme/me", None, &[]).await?;
    assert_eq!(
        (me.status, &me.json["role"], &me.json["subaccountId"]),
        (200, &json!("operator"), &json!("acme"))
    );
    assert!(me.json["actorId"].as_str().is_some_and(|id| id.starts_with("key:")), "{}", me.text);
    let permissions = me.json["permissions"].as_array().context("no permissions")?;
    assert!(
        permissions.contains(&json!("instagram:send")) && !permissions.contains(&json!("keys:manage")),
        "{}",
        me.text
    );
    // What is refused names what is missing; in a subaccount of others no role is told.
    for (subaccount, role) in [("acme", json!("operator")), ("other", Value::Null)] {
        let refused = rest.request("GET", &format!("/api/database/{subaccount}/api-keys"), None, &[]).await?;
        assert_eq!(
            (refused.status, &refused.json["permission"]),
            (403, &json!("keys:manage")),
            "{}",
            refused.text
        );
        assert_eq!(refused.json["role"], role, "{}", refused.text);
    }
    relay.end().await
}

async fn every_route_requires_its_permission_and_subaccount(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, short_streams).await?;
    let other = SubaccountId::parse("other")?;
    let tx = relay.store.begin().await?;
    tx.bind_agent(&dmrelay_domain::ids::AgentId::parse("agent_other")?, &other, &"test".into()).await?;
    tx.commit().await?;
    let expired = key(&relay, "acme", Role::Owner, Some(1)).await?;
    let calls = calls()?;
    assert!(calls.len() >= 20, "{}", calls.len());
    for call in &calls {
        for bad in [None, Some(""), Some("no such key"), Some("a.b.c"), Some(expired.as_str())] {
            let path = call.path_in("acme", "agent_acme");
            let answer = relay.rest.with_key(bad).request(&call.method, &path, None, &[]).await?;
            assert_eq!(answer.status, 401, "{} {path} with {bad:?}", call.method);
        }
    }
    for role in Role::ALL {
        let rest = relay.rest.with_key(Some(&key(&relay, "acme", *role, None).await?));
        for call in &calls {
            check(&rest, call, *role).await?;
            if call.path.ends_with("/disconnect") {
                assert_eq!(relay.rest.connect().await?.status, 201);
            }
        }
    }
    relay.end().await
}

fn with_tokens(settings: &mut Settings) {
    short_streams(settings);
    token::accept(&mut settings.jwt);
}

async fn a_token_grants_what_its_claims_say(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, with_tokens).await?;
    let other = SubaccountId::parse("other")?;
    let tx = relay.store.begin().await?;
    tx.bind_agent(&dmrelay_domain::ids::AgentId::parse("agent_other")?, &other, &"test".into()).await?;
    tx.commit().await?;
    let calls = calls()?;
    for role in Role::ALL {
        let claims = token::claims(&json!({ "role": role.as_str(), "subaccounts": ["acme", "second"] }));
        let rest = relay.rest.with_key(Some(&token::sign(&claims)));
        for call in calls.iter().filter(|call| !call.path.ends_with("/disconnect")) {
            check(&rest, call, *role).await?;
        }
        let second = "/api/database/second/chat-agents/agent_new/instagram/connections";
        assert_eq!(rest.request("GET", second, None, &[]).await?.status, 200);
    }
    // A different role in each subaccount.
    let claims = token::claims(&json!({ "subaccounts": { "acme": "viewer", "second": "owner" } }));
    let rest = relay.rest.with_key(Some(&token::sign(&claims)));
    assert_eq!(rest.request("GET", "/api/database/acme/api-keys", None, &[]).await?.status, 403);
    assert_eq!(rest.request("GET", "/api/database/second/api-keys", None, &[]).await?.status, 200);
    // API keys still work besides tokens.
    assert_eq!(relay.rest.get("status").await?.status, 200);
    relay.end().await
}

async fn a_token_names_agents_that_it_may_connect(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |settings| {
        with_tokens(settings);
        settings.api.agent_binding = dmrelay_runtime::settings::AgentBinding::Assigned;
    })
    .await?;
    let claims =
        |agents: Value| token::claims(&json!({ "role": "admin", "subaccounts": ["acme"], "agents": agents }));
    let connect = async |agents: Value| -> Result<u16> {
        let rest = relay.rest.with_key(Some(&token::sign(&claims(agents))));
        Ok(rest.connect().await?.status)
    };
    assert_eq!(connect(json!(["agent_other"])).await?, 403);
    assert_eq!(connect(json!("agent_acme")).await?, 401);
    assert_eq!(connect(json!(["agent_other", "agent_acme"])).await?, 201);
    // It is the subaccount's from then on.
    assert_eq!(connect(json!([])).await?, 201);
    relay.end().await
}

async fn invalid_tokens_are_rejected(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, with_tokens).await?;
    let good = token::claims(&json!({ "role": "owner", "subaccounts": ["acme"] }));
    let with = |changes: Value| {
        let mut claims = good.clone();
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name.as_str()] = value.clone();
        }
        claims
    };
    let status =
        async |token: &str| -> Result<Answer> { relay.rest.with_key(Some(token)).get("status").await };
    assert_eq!(status(&token::sign(&good)).await?.status, 200);
    let now = token::now();
    let refused = [
        ("alg none", token::unsigned(&good)),
        ("another secret", token::sign_with("another-secret-of-more-than-32-bytes", &good)),
        ("another audience", token::sign(&with(json!({ "aud": "somebody-else" })))),
        ("another issuer", token::sign(&with(json!({ "iss": "https://evil.example" })))),
        ("expired", token::sign(&with(json!({ "exp": now - 3_600 })))),
        ("not yet", token::sign(&with(json!({ "nbf": now + 3_600 })))),
        ("no expiry", token::sign(&with(json!({ "exp": null })))),
        ("no role", token::sign(&with(json!({ "role": "emperor" })))),
        ("cut", token::sign(&good).trim_end_matches(|_| true).to_owned() + "a.b."),
    ];
    for (why, bad) in &refused {
        let answer = status(bad).await?;
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (401, &json!("urn:dmrelay:problem:unauthenticated")),
            "{why}"
        );
        assert!(!answer.text.contains(bad.as_str()), "{why}: the token is in the answer");
    }
    let foreign = token::sign(&with(json!({ "subaccounts": ["other"] })));
    assert_eq!(status(&foreign).await?.status, 403);
    relay.end().await
}

async fn keys_are_created_listed_and_revoked(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let keys = "/api/database/acme/api-keys";
    let day = 86_400_000;
    let now = relay.store.now().await?;
    let at = |days: i64| dmrelay_views::time(now + days * day);
    let body = json!({ "name": "frontend", "role": "viewer", "expiresAt": at(30) }).to_string();
    let create = async || {
        let headers = [("idempotency-key", "make-1")];
        relay.rest.request("POST", keys, Some(body.clone().into_bytes()), &headers).await
    };
    let made = create().await?;
    assert_eq!(made.status, 201, "{}", made.text);
    // A repeated call creates no second key, and shows the same one.
    assert_eq!(create().await?.json, made.json);
    let (id, key) = (made.json["keyId"].as_str().context("id")?, made.json["key"].as_str().context("key")?);
    let frontend = relay.rest.with_key(Some(key));
    assert_eq!(frontend.get("status").await?.status, 200);
    assert_eq!(frontend.request("GET", keys, None, &[]).await?.status, 403);
    let listed = relay.rest.request("GET", keys, None, &[]).await?;
    assert_eq!((listed.json["total"].as_u64(), listed.text.contains(key)), (Some(1), false));
    let item = &listed.json["items"][0];
    assert_eq!(
        (&item["name"], &item["role"], &item["createdBy"]),
        (&json!("frontend"), &json!("viewer"), &json!("bootstrap key"))
    );
    assert!(item["lastUsedAt"].is_string() && item["revokedAt"].is_null(), "{item}");
    let foreign =
        relay.rest.request("DELETE", &format!("/api/database/other/api-keys/{id}"), None, &[]).await?;
    assert_eq!(foreign.status, 404);
    assert_eq!(relay.rest.request("DELETE", &format!("{keys}/{id}"), None, &[]).await?.status, 204);
    assert_eq!(frontend.get("status").await?.status, 401);
    let log = relay.rest.request(
        "GET",
        "/api/database/acme/activities?kind=API_KEY_CREATED,API_KEY_REVOKED",
        None,
        &[],
    );
    let log = log.await?;
    let kinds: Vec<&str> =
        log.json["items"].as_array().into_iter().flatten().filter_map(|i| i["kind"].as_str()).collect();
    assert_eq!(kinds, ["API_KEY_REVOKED", "API_KEY_CREATED"]);
    assert!(!log.text.contains(key));
    for bad in [
        json!({ "name": "", "role": "viewer" }),
        json!({ "name": "x", "role": "emperor" }),
        json!({ "name": "x", "role": "viewer", "expiresAt": "2001-01-01T00:00:00Z" }),
        json!({ "name": "x".repeat(101), "role": "viewer" }),
        json!({ "name": "a\u{202e}b", "role": "viewer" }),
        json!({ "name": "x", "role": "viewer", "expiresAt": at(367) }),
    ] {
        let answer = relay.rest.request("POST", keys, Some(bad.to_string().into_bytes()), &[]).await?;
        assert_eq!(answer.status, 422, "{bad}: {}", answer.text);
    }
    // Whoever asks for nothing gets the least, and for a while.
    let least = json!({ "name": "least" }).to_string().into_bytes();
    assert_eq!(relay.rest.request("POST", keys, Some(least), &[]).await?.status, 201);
    let item = relay.rest.request("GET", keys, None, &[]).await?.json["items"][0].clone();
    let expires = dmrelay_views::parse_time(item["expiresAt"].as_str().context("no expiry")?);
    let expires = expires.map_err(anyhow::Error::msg)?;
    assert_eq!(item["role"], "viewer");
    assert!((now + 89 * day..now + 91 * day).contains(&expires), "{item}");
    relay.end().await
}

async fn ids_of_another_subaccount_are_not_found(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, short_streams).await?;
    relay.simulator.say(dmrelay_tests::rest::ACCOUNT, "200000000000001", "a secret");
    relay.replies("200000000000001", 1).await?;
    relay.settled().await?;
    let message = relay.messages("200000000000001").await?.remove(0);
    let (chat, connection) = (
        message["chatId"].as_str().context("chat")?,
        message["connectionId"].as_str().context("connection")?,
    );
    let cursor =
        relay.rest.get("messages?limit=1").await?.json["nextCursor"].as_str().context("cursor")?.to_owned();
    let id = message["messageId"].as_str().context("id")?;
    let intruder = relay.rest.with_key(Some(&key(&relay, "other", Role::Owner, None).await?));
    let base = "/api/database/other/chat-agents/agent_other/instagram";
    // An agent that the subaccount does not have is not found.
    let unknown = intruder.request("GET", &format!("{base}/chats"), None, &[]).await?;
    assert_eq!((unknown.status, &unknown.json["code"]), (404, &json!("not-found")));
    let tx = relay.store.begin().await?;
    let other = SubaccountId::parse("other")?;
    tx.bind_agent(&dmrelay_domain::ids::AgentId::parse("agent_other")?, &other, &"test".into()).await?;
    tx.commit().await?;
    for (method, path, body, expected) in [
        ("GET", format!("chats/{chat}"), None, 404),
        ("POST", format!("chats/{chat}/takeover"), None, 404),
        ("POST", format!("chats/{chat}/release"), None, 404),
        ("GET", format!("messages?chatId={chat}"), None, 200),
        ("GET", format!("messages?cursor={cursor}"), None, 200),
        ("GET", format!("messages?before={id}"), None, 200),
        ("GET", format!("messages?connectionId={connection}"), None, 404),
        ("GET", format!("chats?connectionId={connection}"), None, 404),
        ("GET", format!("status?connectionId={connection}"), None, 404),
        ("GET", format!("events?connectionId={connection}"), None, 404),
        ("GET", "activities".to_owned(), None, 200),
        ("GET", "dead-letters".to_owned(), None, 200),
        ("PATCH", "settings".to_owned(), Some(json!({ "connectionId": connection, "botPaused": true })), 404),
        ("POST", "disconnect".to_owned(), Some(json!({ "connectionId": connection })), 404),
        (
            "POST",
            "send".to_owned(),
            Some(json!({ "connectionId": connection, "instagramUserId": "200000000000001", "message": "x" })),
            404,
        ),
        ("POST", "dead-letters/replay".to_owned(), Some(json!({ "ids": [id] })), 200),
    ] {
        let body = body.map(|body| body.to_string().into_bytes());
        let answer = intruder.request(method, &format!("{base}/{path}"), body, &[]).await?;
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
        assert!(
            !answer.text.contains("a secret") && !answer.text.contains("200000000000001"),
            "{path}: {}",
            answer.text
        );
        if expected == 200 && method == "GET" {
            assert_eq!(answer.json["items"], json!([]), "{path}");
        }
    }
    let resumed = intruder.request("GET", &format!("{base}/events"), None, &[("last-event-id", id)]).await?;
    assert_eq!((resumed.status, resumed.text.contains("data:")), (200, false), "{}", resumed.text);
    relay.end().await
}

async fn validation_errors_name_the_field(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.api.api_max_bytes = 1_000).await?;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("skip=10001", "skip"),
        ("unknown=1", "unknown"),
        ("instagramUserId=../1", "instagramUserId"),
        ("direction=up", "direction"),
        ("status=lost", "status"),
        ("author=ghost", "author"),
        ("chatId=1", "chatId"),
        ("before=zzz", "before"),
        ("cursor=zzz", "cursor"),
        ("since=yesterday", "since"),
        ("q=", "q"),
        ("q=%00", "q"),
    ] {
        let answer = relay.rest.get(&format!("messages?{query}")).await?;
        let named = answer.json["errors"][0]["parameter"].as_str();
        assert_eq!((answer.status, named), (422, Some(parameter)), "{query}: {}", answer.text);
    }
    let query =
        "limit=1&skip=0&direction=inbound&status=received&instagramUserId=1&q=a&since=2020-01-01T00:00:00Z";
    assert_eq!(relay.rest.get(&format!("messages?{query}")).await?.status, 200);
    let send = agent_path("send");
    let post = async |body: &str| relay.rest.request("POST", &send, Some(body.into()), &[]).await;
    for (body, status, pointer) in [
        ("", 400, None),
        ("{", 400, None),
        ("[]", 422, Some("")),
        ("{}", 422, Some("/instagramUserId")),
        (r#"{"instagramUserId":"1"}"#, 422, Some("/message")),
        (r#"{"instagramUserId":1,"message":"x"}"#, 422, Some("/instagramUserId")),
        (r#"{"instagramUserId":"1","message":""}"#, 422, Some("/message")),
        (r#"{"instagramUserId":"x","message":"x"}"#, 422, Some("/instagramUserId")),
        (r#"{"instagramUserId":"1","message":"x","unknown":1}"#, 422, Some("/unknown")),
        (
            r#"{"instagramUserId":"1","message":{"attachment":{"type":"exe"}}}"#,
            422,
            Some("/message/attachment/type"),
        ),
        (&json!({"instagramUserId": "1", "message": "x".repeat(2_000)}).to_string(), 413, None),
    ] {
        let answer = post(body).await?;
        let place = answer.json["errors"][0]["pointer"].as_str();
        assert_eq!((answer.status, place), (status, pointer), "{body}: {}", answer.text);
        assert_eq!(answer.content_type, "application/problem+json");
        assert!(answer.json["type"].is_string() && answer.json["title"].is_string());
    }
    // All errors are reported at once.
    let mut wrong = connect_body();
    wrong["instagramAccountId"] = json!("x");
    wrong["webhookVerificationToken"] = json!("short");
    wrong["settings"] = json!({ "takeoverHours": 0, "agentVariables": { "a-b": "c" } });
    let answer = relay.rest.post("connect", wrong).await?;
    let places: Vec<&str> = answer.json["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["pointer"].as_str())
        .collect();
    assert_eq!(
        places,
        [
            "/instagramAccountId",
            "/settings/agentVariables/a-b",
            "/settings/takeoverHours",
            "/webhookVerificationToken",
        ]
    );
    for (method, path, status) in [
        ("GET", "/nowhere".to_owned(), 404),
        ("DELETE", send.clone(), 405),
        ("GET", "/api/database/a%20b/chat-agents/x/instagram/status".to_owned(), 422),
        ("GET", "/api/database/%FF/chat-agents/x/instagram/status".to_owned(), 400),
        ("GET", agent_path("chats/not-a-uuid"), 422),
    ] {
        let answer = relay.rest.request(method, &path, None, &[]).await?;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (status, "application/problem+json"),
            "{path}"
        );
    }
    let form = relay.rest.send_raw("POST", &send, "application/x-www-form-urlencoded", b"to=1").await?;
    assert_eq!(form.status, 415);
    relay.end().await
}
