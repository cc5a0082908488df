//! Accounts connected with a click, in a real browser: both logins, and what goes wrong.

use anyhow::{Context, Result};
use dmrelay_simulator::{AccountSpec, UnlinkedPage};
use dmrelay_tests::browser::{self, Frontend};
use dmrelay_tests::login::{begin, session};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use serde_json::{Value, json};

const PAGED: &str = "17841400000000003";
const PAGE: &str = "104508901353867";
const OTHER_PAGED: &str = "17841400000000004";
const OTHER_PAGE: &str = "104508901353868";
const BARE_PAGE: &str = "104508901353869";
const TAKEN: &str = "17841400000000005";

/// A login: how its session is begun, what the person does, and what becomes of it.
struct Login {
    session: Value,
    person: Value,
    status: &'static str,
    error: &'static str,
}

fn login(session: Value, person: Value, status: &'static str, error: &'static str) -> Login {
    Login { session, person, status, error }
}

/// With accounts of every kind, of which others have one; and a frontend.
async fn start() -> Result<(Relay, Frontend)> {
    let frontend = Frontend::start().await?;
    let url = frontend.url.clone();
    let relay =
        Relay::start(Backend::Embedded, |settings| settings.api.login.connect_return_urls = vec![url])
            .await?;
    for (account, name, page) in [(PAGED, "acme_page", PAGE), (OTHER_PAGED, "acme_two", OTHER_PAGE)] {
        let token = format!("EAA{account}");
        relay.simulator.put_account(AccountSpec::new(account, name, &token).facebook_login(page));
    }
    relay.simulator.put_account(AccountSpec::new(TAKEN, "taken", "IGAAtaken"));
    let page = UnlinkedPage { id: BARE_PAGE.to_owned(), name: "Bare".to_owned() };
    relay.simulator.configure(|settings| settings.login.unlinked_pages.push(page));
    let body = json!({
        "accessToken": "IGAAtaken", "instagramAccountId": TAKEN, "webhookVerificationToken": "token-of-others",
    });
    let path = "/api/database/other/chat-agents/agent_other/instagram/connect";
    let taken = relay.rest.request("POST", path, Some(body.to_string().into_bytes()), &[]).await?;
    anyhow::ensure!(taken.status == 201, "{}", taken.text);
    Ok((relay, frontend))
}

/// Lets all of them log in, and compares what the frontend and the API are told.
async fn all_go_as((relay, frontend): (&Relay, &Frontend), logins: Vec<Login>) -> Result<()> {
    let (mut begun, mut people) = (Vec::new(), Vec::new());
    for login in &logins {
        let mut session = login.session.clone();
        session["returnUrl"] = json!(frontend.url.as_str());
        let session = begin(&relay.rest, session).await?;
        let mut person = login.person.clone();
        person["url"] = session["url"].clone();
        begun.push(session);
        people.push(person);
    }
    let seen = browser::log_in(people).await?;
    for ((login, seen), begun) in logins.iter().zip(seen).zip(begun) {
        let told = (seen.parameter("connectStatus"), seen.parameter("connectError"));
        assert_eq!(told, (login.status.to_owned(), login.error.to_owned()), "{seen:?}");
        assert_eq!((seen.heading.as_str(), seen.complaints.len()), ("Frontend", 0), "{seen:?}");
        let session = session(&relay.rest, &begun).await?.json;
        assert_eq!(session["status"], login.status, "{session}");
        let error = if login.error.is_empty() { Value::Null } else { json!(login.error) };
        assert_eq!(session["error"], error, "{session}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_connect_accounts_with_instagram_login() -> Result<()> {
    let (relay, frontend) = start().await?;
    let allow = |account: &str| json!({"decision": "allow", "accounts": [account]});
    let manage = "instagram_business_manage_messages";
    let withheld = json!({"decision": "allow", "accounts": [ACCOUNT], "withhold": [manage]});
    let cancelled = json!({"decision": "cancel"});
    all_go_as(
        (&relay, &frontend),
        vec![
            login(json!({}), cancelled, "cancelled", ""),
            login(json!({}), withheld, "failed", "missing-permission"),
            login(json!({"instagramAccountId": ACCOUNT}), allow(TAKEN), "failed", "wrong-account"),
            login(json!({}), allow(TAKEN), "failed", "account-in-use"),
            login(json!({}), allow(ACCOUNT), "connected", ""),
        ],
    )
    .await?;
    let list = relay.rest.get("connections").await?.json;
    assert_eq!((&list["total"], &list["items"][0]["username"]), (&json!(1), &json!("acme")));
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_connect_accounts_with_facebook_login() -> Result<()> {
    let (relay, frontend) = start().await?;
    let facebook = || json!({"loginKind": "facebook"});
    let allow = |accounts: &[&str]| json!({"decision": "allow", "accounts": accounts});
    let withheld = json!({"decision": "allow", "withhold": ["pages_messaging"]});
    let mut chosen = allow(&[PAGED, OTHER_PAGED, BARE_PAGE]);
    chosen["page"] = json!(OTHER_PAGE);
    let mut wrong = facebook();
    wrong["instagramAccountId"] = json!(OTHER_PAGED);
    all_go_as(
        (&relay, &frontend),
        vec![
            login(facebook(), json!({"decision": "cancel"}), "cancelled", ""),
            login(facebook(), withheld, "failed", "missing-permission"),
            login(facebook(), allow(&[]), "failed", "no-instagram-account"),
            login(facebook(), allow(&[BARE_PAGE]), "failed", "no-instagram-account"),
            login(wrong, allow(&[PAGED]), "failed", "wrong-account"),
            login(facebook(), allow(&[PAGED, BARE_PAGE]), "connected", ""),
            login(facebook(), chosen, "connected", ""),
        ],
    )
    .await?;
    let list = relay.rest.get("connections").await?.json;
    let names: Vec<&str> = list["items"]
        .as_array()
        .context("no items")?
        .iter()
        .filter_map(|one| one["username"].as_str())
        .collect();
    assert_eq!(names, ["acme_two", "acme_page"]);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_frontend_people_see_how_it_went() -> Result<()> {
    let (relay, _frontend) = start().await?;
    let begun = begin(&relay.rest, json!({})).await?;
    let cancelled = begin(&relay.rest, json!({})).await?;
    let chosen = begin(&relay.rest, json!({"loginKind": "facebook"})).await?;
    let lost = format!("{}/oauth/instagram/callback?code=x&state=y", relay.rest.address());
    let people = vec![
        json!({"url": begun["url"], "decision": "allow", "accounts": [ACCOUNT]}),
        json!({"url": begun["url"], "decision": "allow", "accounts": [ACCOUNT]}),
        json!({"url": cancelled["url"], "decision": "cancel"}),
        json!({"url": chosen["url"], "decision": "allow", "page": PAGE, "width": 390}),
        json!({"url": lost}),
    ];
    let seen = browser::log_in(people).await?;
    let headings: Vec<&str> = seen.iter().map(|seen| seen.heading.as_str()).collect();
    assert_eq!(
        headings,
        [
            "The account is connected",
            // The link was used, and what it was for is done.
            "The account is connected",
            "The account was not connected",
            "The account is connected",
            "Unknown link",
        ]
    );
    // A page says by its status that it is about a fault; nothing else is to complain about.
    let complaints = seen.iter().flat_map(|seen| &seen.complaints);
    let odd: Vec<_> = complaints.filter(|text| !text.contains("status of 400")).collect();
    assert!(odd.is_empty(), "{odd:?}");
    relay.end().await
}
