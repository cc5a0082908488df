//! People sign in to the console at an identity provider.

use anyhow::{Context, Result, ensure};
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Html;
use axum::{Form, Json, Router, routing};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dmrelay_domain::signature;
use dmrelay_tests::browser;
use dmrelay_tests::console::Person;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::token;
use reqwest::header::{LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

on_both_backends!(people_sign_in_at_an_identity_provider);

/// An identity provider: what it gives for a code, and what it was sent.
#[derive(Clone, Default)]
struct IdentityProvider {
    tokens: Arc<Mutex<Value>>,
    asked: Arc<Mutex<Vec<HashMap<String, String>>>>,
    /// The console's address, to which it sends browsers back.
    console: Arc<Mutex<String>>,
}

impl IdentityProvider {
    /// Starts it; gives its address.
    async fn start(&self) -> Result<url::Url> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = url::Url::parse(&format!("http://{}/", listener.local_addr()?))?;
        let own = self.clone();
        let token = move |Form(form): Form<HashMap<String, String>>| {
            let own = own.clone();
            async move {
                own.asked.lock().await.push(form);
                let tokens = own.tokens.lock().await.clone();
                let status = if tokens.is_null() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
                (status, Json(tokens))
            }
        };
        let console = self.console.clone();
        let authorize = move |Query(asked): Query<HashMap<String, String>>| async move {
            // The address of the tests' API is not the one it is known by.
            let console = console.lock().await.clone();
            let back = format!("{console}/console/oidc/callback?code=abc&state={}", asked["state"]);
            Html(format!("<link rel=icon href='data:,'><a href='{back}'>Log in as Ada</a>"))
        };
        let router =
            Router::new().route("/token", routing::post(token)).route("/authorize", routing::get(authorize));
        tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(url)
    }

    /// A relay whose people sign in there.
    async fn relay(&self, backend: Backend) -> Result<Relay> {
        let url = self.start().await?;
        let relay = Relay::connected(backend, |settings| {
            token::accept(&mut settings.jwt);
            let oidc = &mut settings.jwt.oidc;
            oidc.oidc_client_id = Some("console".to_owned());
            oidc.oidc_authorize_url = url.join("authorize").ok();
            oidc.oidc_token_url = url.join("token").ok();
            "Acme <ID>".clone_into(&mut oidc.oidc_name);
        })
        .await?;
        *self.console.lock().await = relay.rest.address();
        Ok(relay)
    }

    async fn gives(&self, tokens: Value) {
        *self.tokens.lock().await = tokens;
    }
}

async fn people_sign_in_at_an_identity_provider(backend: Backend) -> Result<()> {
    let provider = IdentityProvider::default();
    let relay = provider.relay(backend).await?;
    let mut person = Person::at(&relay)?;
    let (_, page, _) = person.get("/console/sign-in?next=/console/failed").await?;
    assert!(page.contains("Sign in with Acme &lt;ID&gt;"), "{page}");
    // To the provider, with a challenge; and back with a code.
    let set = |response: &reqwest::Response, name: &str| {
        let all = response.headers().get_all(SET_COOKIE).iter().filter_map(|one| one.to_str().ok());
        all.map(|one| one.split(';').next().unwrap_or_default().to_owned()).find(|one| one.starts_with(name))
    };
    let begin = async |person: &Person, query: &str| {
        let response =
            person.call("GET", &format!("/console/oidc?next=%2Fconsole%2Ffailed{query}"))?.send().await?;
        let cookie = set(&response, "dmrelay_oidc=").context("no cookie")?;
        // A page and no redirect, which the policy of the form would forbid.
        ensure!(response.status() == 200, "{}", response.status());
        let page = response.text().await?;
        let (_, rest) = page.split_once("<a href=\"").context("no link")?;
        let to = rest.split('"').next().unwrap_or_default().replace("&amp;", "&");
        let to = url::Url::parse(&to)?;
        let asked: HashMap<String, String> = to.query_pairs().into_owned().collect();
        anyhow::Ok((cookie, asked))
    };
    let back = async |person: &Person, cookie: &str, query: &str| {
        let call = person.call("GET", &format!("/console/oidc/callback?{query}"))?.header("cookie", cookie);
        anyhow::Ok(call.send().await?)
    };
    let (cookie, asked) = begin(&person, "").await?;
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    let callback = format!("{}/console/oidc/callback", relay.rest.address());
    assert!(asked["redirect_uri"].ends_with("/console/oidc/callback"), "{asked:?} {callback}");
    let claims = token::claims(&json!({"role": "operator", "subaccounts": ["acme"], "name": "Ada Byron"}));
    provider.gives(json!({"access_token": token::sign(&claims), "token_type": "Bearer"})).await;
    let state = &asked["state"];
    let response = back(&person, &cookie, &format!("code=abc&state={state}")).await?;
    assert_eq!(
        (response.status().as_u16(), response.headers()[LOCATION].to_str()?),
        (303, "/console/failed")
    );
    person.cookie = set(&response, "dmrelay_console=");
    let sent = provider.asked.lock().await.last().cloned().context("no call")?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(signature::sha256(sent["code_verifier"].as_bytes()));
    assert_eq!((sent["code"].as_str(), &challenge), ("abc", &asked["code_challenge"]));
    let (status, page, _) = person.get("/console/inbox").await?;
    assert!(
        status == 200 && page.contains("Ada Byron") && page.contains("operator of acme"),
        "{status} {page}"
    );
    // A login that nobody began here, one that was refused, tokens that are none, and a subaccount that is not theirs.
    let stranger = Person::at(&relay)?;
    let (cookie, asked) = begin(&stranger, "").await?;
    let other = begin(&stranger, "").await?.0;
    let state = &asked["state"];
    let refused = async |cookie: &str, query: String, status: u16, says: &str| {
        let response = back(&stranger, cookie, &query).await?;
        let (seen, has) = (response.status().as_u16(), set(&response, "dmrelay_console=").is_some());
        let page = response.text().await?;
        ensure!(seen == status && !has && page.contains(says), "{query}: {seen} {has} {page}");
        anyhow::Ok(())
    };
    refused(&other, format!("code=abc&state={state}"), 401, "begun elsewhere").await?;
    refused("a=b", format!("code=abc&state={state}"), 401, "begun elsewhere").await?;
    refused(
        &cookie,
        format!("error=access_denied&error_description=%3Cb%3E&state={state}"),
        401,
        "&lt;b&gt;",
    )
    .await?;
    provider.gives(Value::Null).await;
    refused(&cookie, format!("code=abc&state={state}"), 401, "refused the login").await?;
    provider.gives(json!({"access_token": "opaque", "id_token": token::unsigned(&claims)})).await;
    refused(&cookie, format!("code=abc&state={state}"), 401, "not accepted").await?;
    provider.gives(json!({"access_token": token::sign(&claims)})).await;
    let (cookie, asked) = begin(&stranger, "&subaccount=other").await?;
    refused(&cookie, format!("code=abc&state={}", asked["state"]), 403, "alert").await?;
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_goes_to_the_provider_and_back() -> Result<()> {
    let provider = IdentityProvider::default();
    let relay = provider.relay(Backend::Embedded).await?;
    let claims = token::claims(&json!({"role": "operator", "subaccounts": ["acme"], "name": "Ada Byron"}));
    provider.gives(json!({"access_token": token::sign(&claims)})).await;
    let person = json!({"url": relay.rest.address(), "provider": "Acme <ID>"});
    let seen: Value = serde_json::from_slice(&browser::run("sign_on.mjs", &person).await?)?;
    assert_eq!(seen["complaints"], json!([]));
    relay.end().await
}
