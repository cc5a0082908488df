//! Accounts that people connect by logging in at Meta: both logins, and every way in which it goes wrong.

use anyhow::{Context, Result};
use dmrelay_runtime::settings::FacebookAppSecretArg;
use dmrelay_simulator::{
    AccountSpec, Fault, FaultMode, LoginKind, Operation, TokenState, UnlinkedPage, WebhookTarget,
};
use dmrelay_tests::login::{Person, RETURN, begin, meta_app, session};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, SUBACCOUNT, agent_path, text_webhook};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_click_connects_an_account_that_is_answered,
    a_click_renews_a_connection_and_keeps_its_settings,
    the_only_page_is_connected_at_once,
    of_several_pages_the_person_chooses_one,
    a_frontend_asks_which_page_it_is,
    what_goes_wrong_is_told_to_the_frontend_and_in_the_session,
    a_link_is_good_for_one_login_and_for_some_minutes,
    a_link_is_worth_as_much_as_the_key_it_was_made_with,
    a_subaccount_has_a_meta_app_of_its_own,
);

const USER: &str = "200000000000001";
const PAGED: &str = "17841400000000003";
const PAGE: &str = "104508901353867";
const OTHER_PAGED: &str = "17841400000000004";
const OTHER_PAGE: &str = "104508901353868";

async fn answered(relay: &Relay, account: &str, count: usize) -> Result<()> {
    relay.simulator.say(account, USER, "hello");
    let within = Duration::from_secs(20);
    relay
        .simulator
        .wait_for("the reply", within, |record| record.sends_to(account, USER).count() == count)
        .await?;
    Ok(())
}

async fn connections(relay: &Relay) -> Result<Vec<Value>> {
    let list = relay.rest.get("connections").await?.json;
    list["items"].as_array().cloned().context("no items")
}

fn two_pages(relay: &Relay) {
    for (account, name, page) in [(PAGED, "acme_page", PAGE), (OTHER_PAGED, "acme_two", OTHER_PAGE)] {
        let token = format!("EAA{account}");
        relay.simulator.put_account(AccountSpec::new(account, name, &token).facebook_login(page));
    }
}

async fn a_click_connects_an_account_that_is_answered(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let person = Person::new()?;
    for documented in [false, true] {
        relay.simulator.configure(|settings| settings.login.documented_shape = documented);
        let begun = begin(&relay.rest, json!({"returnUrl": format!("{RETURN}?tab=dm#top")})).await?;
        assert_eq!((&begun["status"], &begun["loginKind"]), (&json!("open"), &json!("instagram")));
        let asked = person.visit(begun["url"].as_str().context("no url")?).await?;
        assert!(
            asked.status == 200 && asked.html.contains("instagram_business_manage_messages"),
            "{}",
            asked.html
        );
        let back = person.allow(&begun, &[ACCOUNT]).await?;
        assert_eq!(back.outcome(), ("connected".to_owned(), String::new()));
        assert_eq!((back.parameter("tab").as_str(), back.url.fragment()), ("dm", Some("top")));
        assert_eq!(json!(back.parameter("connectSession")), begun["sessionId"]);
        let ended = session(&relay.rest, &begun).await?.json;
        let status = relay.rest.get("status").await?.json;
        assert_eq!(
            (&ended["status"], &ended["connectionId"]),
            (&json!("connected"), &status["connectionId"])
        );
        assert_eq!((&status["username"], &status["tokenDaysLeft"]), (&json!("acme"), &json!(59)));
    }
    assert_eq!(connections(&relay).await?.len(), 1);
    answered(&relay, ACCOUNT, 1).await?;
    // Without an address to return to, the person sees how it went.
    let begun = begin(&relay.rest, json!({})).await?;
    let seen = person.allow(&begun, &[ACCOUNT]).await?;
    assert!(seen.status == 200 && seen.html.contains("The account is connected"), "{}", seen.html);
    let again = person.visit(seen.url.as_str()).await?;
    assert!(again.status == 200 && again.html.contains("The account is connected"), "{}", again.html);
    relay.end().await
}

async fn a_click_renews_a_connection_and_keeps_its_settings(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"debounceMs": 7, "fallbackText": "Later."})).await?;
    relay.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    relay.simulator.say(ACCOUNT, USER, "hello");
    dmrelay_tests::wait::until("it waits for a token", Duration::from_secs(20), async || {
        Ok((relay.rest.get("status").await?.json["status"] == "reauth_required").then_some(()))
    })
    .await?;
    let body = json!({"returnUrl": RETURN, "instagramAccountId": ACCOUNT});
    let begun = begin(&relay.rest, body.clone()).await?;
    let back = Person::new()?.allow(&begun, &[ACCOUNT]).await?;
    assert_eq!(back.outcome().0, "connected");
    relay.replies(USER, 1).await?;
    let settings = &connections(&relay).await?[0]["settings"];
    assert_eq!((&settings["debounceMs"], &settings["fallbackText"]), (&json!(7), &json!("Later.")));
    // Whoever says which, gets these.
    let mut others = body;
    others["settings"] = json!({"debounceMs": 9});
    let begun = begin(&relay.rest, others).await?;
    assert_eq!(Person::new()?.allow(&begun, &[ACCOUNT]).await?.outcome().0, "connected");
    let settings = &connections(&relay).await?[0]["settings"];
    assert_eq!((&settings["debounceMs"], &settings["fallbackText"]), (&json!(9), &Value::Null));
    relay.end().await
}

async fn the_only_page_is_connected_at_once(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    two_pages(&relay);
    let begun = begin(&relay.rest, json!({"loginKind": "facebook", "returnUrl": RETURN})).await?;
    let back = Person::new()?.allow(&begun, &[PAGED]).await?;
    assert_eq!(back.outcome().0, "connected", "{}", back.html);
    let status = relay.rest.get("status").await?.json;
    assert_eq!((&status["pageId"], &status["loginKind"]), (&json!(PAGE), &json!("facebook")));
    answered(&relay, PAGED, 1).await?;
    // Meta's callbacks name the person, not the account.
    let connection = &relay.store.snapshot().await?[0];
    assert_eq!(connection.row.app_user_id.as_deref(), Some("10220000000000001"));
    // Of several Pages, the one with the account that is asked for.
    let body = json!({"loginKind": "facebook", "returnUrl": RETURN, "instagramAccountId": OTHER_PAGED});
    let begun = begin(&relay.rest, body).await?;
    let back = Person::new()?.allow(&begun, &[PAGED, OTHER_PAGED]).await?;
    assert_eq!(back.outcome().0, "connected");
    answered(&relay, OTHER_PAGED, 1).await?;
    relay.end().await
}

async fn of_several_pages_the_person_chooses_one(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    two_pages(&relay);
    // One Page a list: all of them are read.
    relay.simulator.configure(|settings| settings.graph.page_size = 1);
    let person = Person::new()?;
    let begun = begin(&relay.rest, json!({"loginKind": "facebook", "returnUrl": RETURN})).await?;
    let asked = person.allow(&begun, &[PAGED, OTHER_PAGED]).await?;
    assert_eq!(asked.status, 200);
    assert!(asked.html.contains("@acme_page") && asked.html.contains("@acme_two"), "{}", asked.html);
    assert!(!asked.html.contains("EAA"), "{}", asked.html);
    let choice = format!("{}/oauth/instagram/page", relay.rest.address());
    // What cannot be connected can be chosen again, and what was not offered is refused.
    relay
        .simulator
        .add_fault(Fault::graph(Operation::Subscribe, FaultMode::GraphError).code(10, None).times(1));
    let state = asked.hidden("state")?;
    let refused = person.submit(&choice, &[("state", &state), ("page", PAGE)]).await?;
    assert!(refused.html.contains("class=\"problem\""), "{}", refused.html);
    assert!(connections(&relay).await?.is_empty());
    let used = person.submit(&choice, &[("state", &state), ("page", PAGE)]).await?;
    assert_eq!(used.status, 400, "{}", used.html);
    let state = refused.hidden("state")?;
    let refused = person.submit(&choice, &[("state", &state), ("page", "104508901353999")]).await?;
    let state = refused.hidden("state")?;
    let back = person.submit(&choice, &[("state", &state), ("page", OTHER_PAGE)]).await?;
    assert_eq!(back.outcome().0, "connected");
    assert_eq!(connections(&relay).await?[0]["instagramAccountId"], OTHER_PAGED);
    answered(&relay, OTHER_PAGED, 1).await?;
    relay.end().await
}

async fn a_frontend_asks_which_page_it_is(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    two_pages(&relay);
    let body = json!({"loginKind": "facebook", "returnUrl": RETURN, "pageChoice": "frontend"});
    let begun = begin(&relay.rest, body).await?;
    let path = format!("connect-sessions/{}/page", begun["sessionId"].as_str().unwrap_or_default());
    let early = relay.rest.post(&path, json!({"pageId": PAGE})).await?;
    assert_eq!((early.status, &early.json["type"]), (409, &json!("urn:dmrelay:problem:no-page-choice")));
    let back = Person::new()?.allow(&begun, &[PAGED, OTHER_PAGED]).await?;
    assert_eq!(back.outcome().0, "choose_page");
    let waits = session(&relay.rest, &begun).await?;
    assert!(!waits.text.contains("EAA"), "{}", waits.text);
    let pages = waits.json["pages"].as_array().cloned().context("no pages")?;
    let ids: Vec<&str> = pages.iter().filter_map(|page| page["pageId"].as_str()).collect();
    assert_eq!((&waits.json["status"], ids), (&json!("choose_page"), vec![PAGE, OTHER_PAGE]));
    let wrong = relay.rest.post(&path, json!({"pageId": "1"})).await?;
    assert_eq!((wrong.status, &wrong.json["errors"][0]["pointer"]), (422, &json!("/pageId")));
    // Another agent's session is not there for this one.
    let other = path.replace("connect-sessions/", "");
    let other = format!("/api/database/acme/chat-agents/agent_two/instagram/connect-sessions/{other}");
    let body = json!({"pageId": PAGE}).to_string().into_bytes();
    assert_eq!(relay.rest.request("POST", &other, Some(body), &[]).await?.status, 404);
    let done = relay.rest.post(&path, json!({"pageId": PAGE})).await?;
    assert_eq!((done.status, &done.json["status"]), (200, &json!("connected")), "{}", done.text);
    assert_eq!(done.json["pages"], json!([]));
    assert_eq!(relay.rest.post(&path, json!({"pageId": PAGE})).await?.status, 409);
    answered(&relay, PAGED, 1).await?;
    // The tokens of the Pages are forgotten.
    assert!(!has_pages(&relay).await?);
    // So are those of somebody who does not come back.
    let begun =
        begin(&relay.rest, json!({"loginKind": "facebook", "returnUrl": RETURN, "pageChoice": "frontend"}))
            .await?;
    assert_eq!(Person::new()?.allow(&begun, &[PAGED, OTHER_PAGED]).await?.outcome().0, "choose_page");
    let week = Duration::from_hours(7 * 24);
    relay.store.forget_connect_sessions(week).await?;
    assert!(has_pages(&relay).await?);
    let sql = "UPDATE connect_sessions SET expires_at = expires_at - 3600000";
    sea_orm::ConnectionTrait::execute_unprepared(relay.store.connection(), sql).await?;
    relay.store.forget_connect_sessions(week).await?;
    assert!(!has_pages(&relay).await?);
    assert_eq!(session(&relay.rest, &begun).await?.json["status"], "expired");
    relay.end().await
}

/// Whether tokens of Pages are stored with a session.
async fn has_pages(relay: &Relay) -> Result<bool> {
    let row = sea_orm::Statement::from_string(
        sea_orm::ConnectionTrait::get_database_backend(relay.store.connection()),
        "SELECT 1 FROM connect_sessions WHERE pages IS NOT NULL",
    );
    Ok(sea_orm::ConnectionTrait::query_one_raw(relay.store.connection(), row).await?.is_some())
}

/// A way in which it goes wrong: what is prepared, what the person does, and what is told.
struct Wrong {
    login: &'static str,
    account: Option<&'static str>,
    prepare: fn(&Relay),
    accounts: &'static [&'static str],
    withheld: &'static str,
    error: &'static str,
}

async fn what_goes_wrong_is_told_to_the_frontend_and_in_the_session(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |settings| settings.api.login.connect_transfer = true).await?;
    two_pages(&relay);
    let person = Person::new()?;
    let nothing: fn(&Relay) = |_| {};
    let wrong = Wrong {
        login: "instagram",
        account: None,
        prepare: nothing,
        accounts: &[ACCOUNT],
        withheld: "",
        error: "",
    };
    for case in [
        Wrong { withheld: "instagram_business_manage_messages", error: "missing-permission", ..wrong },
        Wrong { account: Some(OTHER_PAGED), error: "wrong-account", ..wrong },
        Wrong {
            prepare: |relay| fail(relay, refuse(Operation::Subscribe)),
            error: "missing-permission",
            ..wrong
        },
        Wrong {
            prepare: |relay| fail(relay, Fault::graph(Operation::RedeemCode, FaultMode::DropAfter)),
            error: "graph-unavailable",
            ..wrong
        },
        Wrong {
            prepare: |relay| fail(relay, Fault::graph(Operation::ExchangeToken, FaultMode::DropBefore)),
            error: "graph-unavailable",
            ..wrong
        },
        Wrong {
            prepare: |relay| relay.simulator.configure(|settings| settings.login.code_life_ms = 0),
            error: "graph-refused",
            ..wrong
        },
        Wrong {
            login: "facebook",
            withheld: "pages_messaging",
            accounts: &[PAGED],
            error: "missing-permission",
            ..wrong
        },
        Wrong { login: "facebook", accounts: &[], error: "no-instagram-account", ..wrong },
        Wrong {
            login: "facebook",
            prepare: |relay| {
                let page = UnlinkedPage { id: "104508901353869".to_owned(), name: "Bare".to_owned() };
                relay.simulator.configure(|settings| settings.login.unlinked_pages.push(page));
            },
            accounts: &[],
            error: "no-instagram-account",
            ..wrong
        },
        Wrong {
            login: "facebook",
            account: Some(OTHER_PAGED),
            accounts: &[PAGED],
            error: "wrong-account",
            ..wrong
        },
    ] {
        (case.prepare)(&relay);
        let mut body = json!({"loginKind": case.login, "returnUrl": RETURN});
        if let Some(account) = case.account {
            body["instagramAccountId"] = json!(account);
        }
        let begun = begin(&relay.rest, body).await?;
        let back = person.allow_but(&begun, case.accounts, case.withheld).await?;
        assert_eq!(back.outcome(), ("failed".to_owned(), case.error.to_owned()), "{}", back.html);
        let told = session(&relay.rest, &begun).await?.json;
        assert_eq!((&told["status"], &told["error"]), (&json!("failed"), &json!(case.error)));
        assert!(told["errorDetail"].as_str().is_some_and(|detail| !detail.is_empty()), "{told}");
        assert!(connections(&relay).await?.is_empty());
        relay.simulator.clear_faults(None);
        relay.simulator.configure(|settings| settings.login.code_life_ms = 3_600_000);
    }
    // The person does not want to.
    let begun = begin(&relay.rest, json!({"returnUrl": RETURN})).await?;
    let url = begun["url"].as_str().context("no url")?;
    let back = person.submit(url, &[("decision", "cancel")]).await?;
    assert_eq!(back.outcome(), ("cancelled".to_owned(), String::new()));
    assert_eq!(session(&relay.rest, &begun).await?.json["status"], "cancelled");
    // Meta sends them back with another error, whose words are shown as text.
    let begun = begin(&relay.rest, json!({})).await?;
    let state = url::Url::parse(begun["url"].as_str().context("no url")?)?;
    let state = state.query_pairs().find(|(name, _)| name == "state").context("no state")?.1.into_owned();
    let callback = format!("{}/oauth/instagram/callback", relay.rest.address());
    let seen = person
        .visit(&format!(
            "{callback}?error=server_error&error_description=%3Cb%3EBroken%3C%2Fb%3E&state={state}"
        ))
        .await?;
    assert!(seen.status == 422 && seen.html.contains("&lt;b&gt;Broken"), "{}", seen.html);
    assert_eq!(session(&relay.rest, &begun).await?.json["error"], "login-failed");
    let failures = format!("/api/database/{SUBACCOUNT}/activities?kind=INSTAGRAM_CONNECT_FAILED&limit=50");
    let failures = relay.rest.request("GET", &failures, None, &[]).await?;
    assert!(failures.json["items"].as_array().is_some_and(|all| all.len() > 5), "{}", failures.text);
    an_account_of_another_tenant_is_not_taken(&relay, &person).await?;
    relay.end().await
}

async fn an_account_of_another_tenant_is_not_taken(relay: &Relay, person: &Person) -> Result<()> {
    let begun = begin(&relay.rest, json!({"returnUrl": RETURN})).await?;
    assert_eq!(person.allow(&begun, &[ACCOUNT]).await?.outcome().0, "connected");
    let path = "/api/database/other/chat-agents/agent_other/instagram/connect-sessions";
    for (transfer, outcome) in [(false, ("failed", "account-in-use")), (true, ("connected", ""))] {
        let body = json!({"returnUrl": RETURN, "transfer": transfer}).to_string().into_bytes();
        let begun = relay.rest.request("POST", path, Some(body), &[]).await?.json;
        let back = person.allow(&begun, &[ACCOUNT]).await?;
        assert_eq!(back.outcome(), (outcome.0.to_owned(), outcome.1.to_owned()));
    }
    assert_eq!(relay.rest.get("status").await?.json["status"], "disconnected");
    Ok(())
}

fn fail(relay: &Relay, fault: Fault) {
    relay.simulator.add_fault(fault);
}

fn refuse(operation: Operation) -> Fault {
    Fault::graph(operation, FaultMode::GraphError).code(10, None)
}

async fn a_link_is_good_for_one_login_and_for_some_minutes(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |settings| {
        settings.api.login.connect_session_time = Duration::from_secs(3);
        settings.api.login.connect_sessions_per_subaccount = 2;
    })
    .await?;
    let person = Person::new()?;
    let callback = format!("{}/oauth/instagram/callback", relay.rest.address());
    for odd in [String::new(), "?code=x".to_owned(), "?code=x&state=nobodys".to_owned()] {
        let seen = person.visit(&format!("{callback}{odd}")).await?;
        assert!(seen.status == 400 && seen.html.contains("Unknown link"), "{odd} {}", seen.html);
    }
    // Each code is redeemed once, however often the browser comes.
    let begun = begin(&relay.rest, json!({})).await?;
    relay.simulator.add_fault(refuse(Operation::Subscribe).times(1));
    let seen = person.allow(&begun, &[ACCOUNT]).await?;
    assert_eq!(seen.status, 422, "{}", seen.html);
    let calls = |relay: &Relay| relay.simulator.record(|record| record.calls["graph.redeem_code"]);
    let before = calls(&relay);
    let again = person.visit(seen.url.as_str()).await?;
    assert!(again.status == 409 && again.html.contains("already been used"), "{}", again.html);
    assert_eq!(calls(&relay), before);
    // At most two at a time.
    let late = begin(&relay.rest, json!({"returnUrl": RETURN})).await?;
    begin(&relay.rest, json!({})).await?;
    let refused = relay.rest.post("connect-sessions", json!({})).await?;
    assert_eq!(
        (refused.status, &refused.json["type"]),
        (429, &json!("urn:dmrelay:problem:too-many-connect-sessions"))
    );
    assert!(!refused.header("retry-after").is_empty());
    dmrelay_tests::wait::until("it expires", Duration::from_secs(20), async || {
        Ok((session(&relay.rest, &late).await?.json["status"] == "expired").then_some(()))
    })
    .await?;
    assert_eq!(person.allow(&late, &[ACCOUNT]).await?.outcome(), ("expired".to_owned(), String::new()));
    assert_eq!(calls(&relay), before);
    // Where people return to is the operator's to say.
    for (body, pointer) in [
        (json!({"returnUrl": "https://evil.example/done"}), "/returnUrl"),
        (json!({"returnUrl": "javascript:alert(1)"}), "/returnUrl"),
        (json!({"returnUrl": "done"}), "/returnUrl"),
        (json!({"loginKind": "tiktok"}), "/loginKind"),
        (json!({"pageChoice": "frontend"}), "/pageChoice"),
        (json!({"instagramAccountId": "me"}), "/instagramAccountId"),
        (json!({"transfer": true}), "/transfer"),
        (json!({"settings": {"debounceMs": 600_000}}), "/settings/debounceMs"),
    ] {
        let refused = relay.rest.post("connect-sessions", body).await?;
        assert_eq!(
            (refused.status, &refused.json["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{}",
            refused.text
        );
    }
    relay.end().await
}

async fn a_link_is_worth_as_much_as_the_key_it_was_made_with(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let body = json!({"name": "frontend", "role": "admin"}).to_string().into_bytes();
    let key = relay.rest.request("POST", "/api/database/acme/api-keys", Some(body), &[]).await?;
    let frontend = relay.rest.with_key(key.json["key"].as_str());
    let begun = begin(&frontend, json!({"returnUrl": RETURN})).await?;
    let id = key.json["keyId"].as_str().or(key.json["id"].as_str()).context("no id of the key")?;
    let revoked =
        relay.rest.request("DELETE", &format!("/api/database/acme/api-keys/{id}"), None, &[]).await?;
    assert!(revoked.status < 300, "{}", revoked.text);
    let back = Person::new()?.allow(&begun, &[ACCOUNT]).await?;
    assert_eq!(back.outcome(), ("failed".to_owned(), "key-revoked".to_owned()));
    // While connecting is paused, nobody is sent to Meta, and nobody who comes back is connected.
    let begun = begin(&relay.rest, json!({"returnUrl": RETURN})).await?;
    let pauses = "/api/database/acme/pauses";
    let body = json!({"calls": ["connect"]}).to_string().into_bytes();
    let paused = relay.rest.request("POST", pauses, Some(body.clone()), &[]).await?;
    assert!(paused.status < 300, "{}", paused.text);
    assert_eq!(relay.rest.post("connect-sessions", json!({})).await?.status, 503);
    let back = Person::new()?.allow(&begun, &[ACCOUNT]).await?;
    assert_eq!(back.outcome(), ("failed".to_owned(), "connecting-paused".to_owned()));
    relay.end().await
}

async fn a_subaccount_has_a_meta_app_of_its_own(backend: Backend) -> Result<()> {
    const OWN_APP: &str = "1100000000000077";
    const OWN_SECRET: &str = "secret-of-acmes-own-app";
    let relay = Relay::start(backend, |settings| {
        settings.api.login.facebook_app_id = None;
        settings.api.login.facebook_app_secret = FacebookAppSecretArg::default();
    })
    .await?;
    let none = relay.rest.post("connect-sessions", json!({"loginKind": "facebook"})).await?;
    assert_eq!((none.status, &none.json["type"]), (409, &json!("urn:dmrelay:problem:login-not-configured")));
    let apps = "/api/database/acme/meta-apps";
    let app =
        json!({"appId": OWN_APP, "appSecret": OWN_SECRET, "webhookVerificationToken": "own-verify-token"});
    let put = async |login: &str, app: &Value| {
        let body = Some(app.to_string().into_bytes());
        relay.rest.request("PUT", &format!("{apps}/{login}"), body, &[]).await
    };
    let shown = put("facebook", &app).await?;
    assert_eq!((shown.status, &shown.json["appId"]), (200, &json!(OWN_APP)), "{}", shown.text);
    assert!(!shown.text.contains(OWN_SECRET) && !shown.text.contains("own-verify-token"), "{}", shown.text);
    let redirect = format!("{}/oauth/instagram/callback", relay.rest.address());
    assert_eq!(shown.json["redirectUri"], redirect);
    for (login, change, place) in [
        ("tiktok", json!({}), json!({"parameter": "loginKind"})),
        ("facebook", json!({"appId": "abc"}), json!({"pointer": "/appId"})),
        ("facebook", json!({"appSecret": "short"}), json!({"pointer": "/appSecret"})),
        ("instagram", json!({"configId": "7"}), json!({"pointer": "/configId"})),
    ] {
        let mut wrong = app.clone();
        for (name, value) in change.as_object().into_iter().flatten() {
            wrong[name] = value.clone();
        }
        let refused = put(login, &wrong).await?;
        let error = &refused.json["errors"][0];
        let told = place.as_object().into_iter().flatten().all(|(name, value)| error[name] == *value);
        assert!(refused.status == 422 && told, "{}", refused.text);
    }
    let list = relay.rest.request("GET", apps, None, &[]).await?.json;
    assert_eq!((&list["total"], &list["items"][0]["loginKind"]), (&json!(1), &json!("facebook")));
    let rows: String =
        format!("{:?}", relay.store.meta_apps(&dmrelay_domain::ids::SubaccountId::parse("acme")?).await?);
    assert!(!rows.contains(OWN_SECRET));
    // People log in with it, and its secret signs the webhooks of the account.
    let of_api = relay.address;
    let registered = meta_app(OWN_APP, LoginKind::Facebook, OWN_SECRET, of_api);
    relay.simulator.configure(|settings| settings.login.apps.push(registered));
    let url = format!("http://{of_api}{}", agent_path("webhook"));
    let target =
        WebhookTarget { url, app_secret: OWN_SECRET.to_owned(), verify_token: "own-verify-token".to_owned() };
    let spec = AccountSpec::new(PAGED, "acme_page", "EAAacme").facebook_login(PAGE).webhook(target);
    relay.simulator.put_account(spec);
    relay.simulator.configure(|settings| settings.graph.require_proof = true);
    let begun = begin(&relay.rest, json!({"loginKind": "facebook", "returnUrl": RETURN})).await?;
    assert!(begun["url"].as_str().is_some_and(|url| url.contains(OWN_APP)), "{begun}");
    let back = Person::new()?.allow(&begun, &[PAGED]).await?;
    assert_eq!(back.outcome().0, "connected");
    answered(&relay, PAGED, 1).await?;
    let forged = text_webhook(PAGED, USER, "m-forged", "forged");
    relay.rest.webhook("/webhooks/instagram", &forged, APP_SECRET).await?;
    relay.settled().await?;
    assert!(!relay.asked().iter().any(|asked| asked.contains("forged")));
    let handshake = format!(
        "{}?hub.mode=subscribe&hub.verify_token=own-verify-token&hub.challenge=42",
        agent_path("webhook")
    );
    assert_eq!(relay.rest.request("GET", &handshake, None, &[]).await?.text, "42");
    // Removed: the account stays as it is, and nobody else logs in with it.
    let gone = relay.rest.request("DELETE", &format!("{apps}/facebook"), None, &[]).await?;
    assert_eq!(gone.status, 204);
    assert_eq!(relay.rest.post("connect-sessions", json!({"loginKind": "facebook"})).await?.status, 409);
    answered(&relay, PAGED, 2).await?;
    relay.end().await
}
