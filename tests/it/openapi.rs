//! The OpenAPI document, its page, and CORS and security headers.

use anyhow::{Context, Result};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::agent_path;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

on_both_backends!(the_document_and_its_page_are_served, browsers_get_cors_and_security_headers,);

/// The committed document, for reading without a server.
#[test]
fn the_committed_document_matches_the_handlers() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let current = dmrelay_api::openapi_document();
    assert!(written == current, "docs/openapi.json is old; write it anew: make openapi");
    Ok(())
}

#[test]
fn the_document_is_complete() -> Result<()> {
    let document = dmrelay_api::openapi_document();
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        let named = path.matches('{').count();
        assert_eq!(item["parameters"].as_array().map(Vec::len), Some(named), "{path}");
        for (method, operation) in
            item.as_object().context("item")?.iter().filter(|(name, _)| *name != "parameters")
        {
            let what = format!("{method} {path}");
            let id = operation["operationId"].as_str().with_context(|| what.clone())?;
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
            assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{what}");
            let responses = operation["responses"].as_object().with_context(|| what.clone())?;
            for status in ["401", "403", "422", "429", "503"] {
                assert!(responses.contains_key(status), "{what}: {status}");
            }
            assert!(responses.keys().any(|status| status.starts_with('2')), "{what}");
        }
    }
    assert_eq!(null_at(&document), None, "a member has no value");
    // Every reference resolves.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    Ok(())
}

/// A member without a value, except in examples, where null is meaningful.
fn null_at(value: &Value) -> Option<String> {
    let members = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "examples");
    let inside = members.map(|(name, member)| (name.clone(), member));
    let items = value.as_array().into_iter().flatten().map(|item| (String::new(), item));
    inside.chain(items).find_map(|(name, member)| {
        let below = null_at(member).map(|below| format!("{name}/{below}"));
        below.or_else(|| (member.is_null() && !name.is_empty()).then_some(name))
    })
}

/// An example has exactly the fields of its schema.
#[test]
fn the_examples_fit_their_schemas() -> Result<()> {
    let document = dmrelay_api::openapi_document();
    let mut looked = 0;
    for (name, schema) in document["components"]["schemas"].as_object().context("schemas")? {
        let Some(example) = schema["examples"][0].as_object() else { continue };
        looked += 1;
        let properties = schema["properties"].as_object().with_context(|| name.clone())?;
        for field in example.keys() {
            assert!(properties.contains_key(field), "{name}: {field}");
        }
        for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(example.contains_key(field), "{name} lacks {field}");
        }
    }
    let all: Value = serde_json::from_str(include_str!("../../api/src/openapi/examples.json"))?;
    assert_eq!(Some(looked), all.as_object().map(serde_json::Map::len), "an example of no schema");
    Ok(())
}

async fn the_document_and_its_page_are_served(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let anyone = relay.rest.with_key(None);
    let served = anyone.request("GET", "/api/openapi.json", None, &[]).await?;
    let mut document = dmrelay_api::openapi_document();
    document["servers"] = served.json["servers"].clone();
    assert!(served.status == 200 && served.json == document, "{}", served.status);
    assert!(served.json["servers"][0]["url"].as_str().is_some_and(|url| url.starts_with("http")));
    let guide = anyone.request("GET", "/api/guide", None, &[]).await?;
    assert!(guide.status == 200 && guide.text.contains("Idempotency-Key: 7f3a"), "{}", guide.text);
    assert!(
        guide.text.contains("/api/database/acme/chat-agents/agent_acme/instagram/chats?folder="),
        "{}",
        guide.text
    );
    let problems = anyone.request("GET", "/api/problems", None, &[]).await?;
    assert!(problems.status == 200 && problems.text.contains("id=\"invalid-request\""), "{}", problems.text);
    let page = anyone.request("GET", "/api/docs", None, &[]).await?;
    assert_eq!((page.status, page.content_type.starts_with("text/html")), (200, true), "{}", page.text);
    // The page loads nothing from elsewhere.
    assert!(!page.text.contains("https://") && !page.text.contains("//cdn"), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    for link in page.text.split(['"', '\'']).filter(|link| is_file(link)) {
        let path = format!("/api/docs/{}", link.trim_start_matches("./"));
        let file = anyone.request("GET", &path, None, &[]).await?;
        assert_eq!((file.status, file.text.is_empty()), (200, false), "{path}");
    }
    let none = anyone.request("GET", "/api/docs/no-such-file.js", None, &[]).await?;
    assert_eq!(none.status, 404);
    relay.end().await
}

/// Whether a text of the page is one of its files.
fn is_file(link: &str) -> bool {
    Path::new(link).extension().is_some_and(|kind| kind == "js" || kind == "css")
}

async fn browsers_get_cors_and_security_headers(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.cors_origins = vec!["https://app.example".to_owned()];
    })
    .await?;
    let status = agent_path("status");
    let ask = async |origin: &str| {
        let wants = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,idempotency-key"),
        ];
        relay.rest.with_key(None).request("OPTIONS", &status, None, &wants).await
    };
    let own = ask("https://app.example").await?;
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, "https://app.example"));
    assert!(own.header("access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(own.header("access-control-allow-credentials"), "");
    let other = ask("https://evil.example").await?;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let answer = relay.rest.get("status").await?;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert_eq!(answer.json["settings"]["debounceMs"], json!(null));
    relay.end().await
}
