//! Who may call, and what they learn when they may not.

use anyhow::Result;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_domain::signature::sha256;
use dmrelay_store::NewApiKey;
use dmrelay_tests::relay::{Footing, Relay};
use serde_json::json;

on_both_footings!(every_call_needs_a_key_of_its_subaccount_and_role, what_cannot_be_read_is_named,);

/// Every REST call of an agent, with the least role that may make it.
const CALLS: [(&str, &str, Role); 6] = [
    ("GET", "status", Role::Viewer),
    ("GET", "messages", Role::Viewer),
    ("GET", "connections", Role::Viewer),
    ("POST", "send", Role::Operator),
    ("POST", "connect", Role::Admin),
    ("POST", "disconnect", Role::Admin),
];

async fn every_call_needs_a_key_of_its_subaccount_and_role(footing: Footing) -> Result<()> {
    let relay = Relay::connected(footing, |_| {}).await?;
    for role in Role::ALL {
        let new = NewApiKey {
            subaccount: SubaccountId::parse("acme")?,
            role: *role,
            name: role.to_string(),
            hash: sha256(role.as_str().as_bytes()),
            expires_at: None,
        };
        relay.store.create_api_key(&new).await?;
    }
    let expired = NewApiKey {
        subaccount: SubaccountId::parse("acme")?,
        role: Role::Owner,
        name: "expired".into(),
        hash: sha256(b"expired"),
        expires_at: Some(1),
    };
    relay.store.create_api_key(&expired).await?;
    for (method, call, least) in CALLS {
        let path = |subaccount: &str, agent: &str| {
            format!("/api/database/{subaccount}/chat-agents/{agent}/instagram/{call}")
        };
        for key in [None, Some(""), Some("no such key"), Some("expired")] {
            let answer =
                relay.rest.with_key(key).request(method, &path("acme", "agent_acme"), None, &[]).await?;
            assert_eq!(answer.status, 401, "{method} {call} with {key:?}");
        }
        for role in Role::ALL {
            let rest = relay.rest.with_key(Some(role.as_str()));
            let own = rest.request(method, &path("acme", "agent_acme"), None, &[]).await?;
            let may = *role as u8 >= least as u8;
            assert_eq!(own.status != 403, may, "{method} {call} as {role}: {}", own.text);
            assert!(own.status < 500, "{method} {call} as {role}: {}", own.text);
            // Whether the other subaccount or its agent exists cannot be told apart.
            let foreign = rest.request(method, &path("other", "agent_acme"), None, &[]).await?;
            let missing = rest.request(method, &path("no-such", "agent_none"), None, &[]).await?;
            assert_eq!((foreign.status, &foreign.text), (403, &missing.text), "{method} {call}");
        }
        if call == "disconnect" {
            relay.rest.connect().await?;
        }
    }
    // An agent of another subaccount is refused like the other subaccount itself.
    let stolen = relay
        .rest
        .request("GET", "/api/database/other/chat-agents/agent_acme/instagram/status", None, &[])
        .await?;
    assert_eq!(stolen.status, 403);
    relay.end().await
}

async fn what_cannot_be_read_is_named(footing: Footing) -> Result<()> {
    let relay = Relay::connected(footing, |settings| settings.api.api_max_bytes = 1_000).await?;
    for (query, status) in [
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=x", 422),
        ("skip=10001", 422),
        ("unknown=1", 422),
        ("user=../1", 422),
        ("direction=up", 422),
        ("status=lost", 422),
        ("chatId=1", 422),
        ("before=zzz", 422),
        ("limit=1&skip=0&direction=inbound&status=received&user=1", 200),
    ] {
        let answer = relay.rest.get(&format!("messages?{query}")).await?;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
    }
    let post = async |body: &str| {
        relay.rest.request("POST", &dmrelay_tests::rest::agent_path("send"), Some(body.into()), &[]).await
    };
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 422),
        ("{}", 422),
        (r#"{"to":"1"}"#, 422),
        (r#"{"to":1,"message":"x"}"#, 422),
        (r#"{"to":"1","message":""}"#, 422),
        (r#"{"to":"x","message":"x"}"#, 422),
        (r#"{"to":"1","message":"x","unknown":1}"#, 422),
        (r#"{"to":"1","message":{"attachment":{"type":"exe"}}}"#, 422),
        (&json!({"to": "1", "message": "x".repeat(2_000)}).to_string(), 413),
    ] {
        let answer = post(body).await?;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (status, "application/problem+json"),
            "{body}: {}",
            answer.text
        );
        assert!(answer.json["type"].is_string() && answer.json["title"].is_string());
    }
    assert_eq!(relay.rest.request("GET", "/nowhere", None, &[]).await?.status, 404);
    assert_eq!(
        relay.rest.request("DELETE", &dmrelay_tests::rest::agent_path("send"), None, &[]).await?.status,
        405
    );
    let odd =
        relay.rest.request("GET", "/api/database/a%20b/chat-agents/x/instagram/status", None, &[]).await?;
    assert_eq!(odd.status, 400);
    relay.end().await
}
