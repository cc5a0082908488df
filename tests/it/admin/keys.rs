//! Keys are created, listed and revoked on the command line, and the API follows.

use super::{admin, admin_json, admin_with, only};
use anyhow::{Context, Result};
use dmrelay_tests::cluster::Cluster;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_grants_access_until_it_is_revoked() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let create = [
        "keys",
        "create",
        "--subaccount",
        "acme",
        "--role",
        "viewer",
        "--name",
        "board",
        "--expires-in",
        "90d",
    ];
    let key = admin(&cluster, &create).await?;
    assert!(key.starts_with("dmr_") && key.lines().count() == 1, "{key}");
    let viewer = cluster.rest.with_key(Some(&key));
    assert_eq!(viewer.get("status").await?.status, 200);
    assert_eq!(viewer.post("disconnect", json!({})).await?.status, 403);
    admin(&cluster, &["keys", "create", "--subaccount", "other"]).await?;

    let listed = admin_json(&cluster, &["keys", "list", "--subaccount", "acme"]).await?;
    let listed = only(&listed)?;
    assert_eq!((&listed["name"], &listed["role"]), (&json!("board"), &json!("viewer")));
    assert_eq!((&listed["subaccountId"], &listed["createdBy"]), (&json!("acme"), &json!("command line")));
    assert!(listed["expiresAt"].is_string(), "{listed}");
    let all = admin(&cluster, &["keys", "list"]).await?;
    assert!(all.contains("other") && all.contains("board") && !all.contains(&key), "{all}");

    let id = listed["keyId"].as_str().context("id")?;
    let revoked = admin(&cluster, &["keys", "revoke", id]).await?;
    assert!(revoked.contains("(\"board\" of acme) is revoked"), "{revoked}");
    assert_eq!(viewer.get("status").await?.status, 401);
    assert!(admin(&cluster, &["keys", "revoke", id]).await?.contains("was revoked at"));
    assert!(admin(&cluster, &["keys", "list"]).await?.contains("revoked"));
    let log = cluster.rest.request("GET", "/api/database/acme/activities", None, &[]).await?;
    let kinds: Vec<_> =
        log.json["items"].as_array().into_iter().flatten().map(|item| &item["kind"]).collect();
    assert!(
        kinds.contains(&&json!("API_KEY_CREATED")) && kinds.contains(&&json!("API_KEY_REVOKED")),
        "{kinds:?}"
    );
    let who = &log.json["items"][0];
    assert_eq!(who["actor"], json!("command line"));
    let id = who["actorId"].as_str().context("no user")?;
    assert!(id.starts_with("os:") && id.contains('@') && !id.ends_with('@'), "{id}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_key_options_are_named() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    for (args, says) in [
        (&["create", "--subaccount", "a/b"][..], "must be letters, digits"),
        (&["create", "--subaccount", "acme", "--role", "king"], "must be viewer, operator, admin or owner"),
        (&["create", "--subaccount", "acme", "--name", " "], "must be 1 to 100 bytes"),
        (&["create", "--subaccount", "acme", "--expires-in", "90"], "needs a unit"),
        (&["create", "--subaccount", "acme", "--expires-in", "0d"], "must be longer than zero"),
        (&["create"], "--subaccount"),
        (&["revoke", "01930000-0000-7000-8000-000000000000"], "no API key has the id"),
    ] {
        let (success, output) = admin_with(&cluster, &[&["keys"], args].concat(), &[]).await?;
        assert!(!success && output.contains(says), "{args:?}: {output}");
    }
    Ok(())
}
