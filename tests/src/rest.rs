//! The REST API, called as a frontend would.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The tenant of the tests.
pub const SUBACCOUNT: &str = "acme";
/// Its agent.
pub const AGENT: &str = "agent_acme";
/// Its Instagram account.
pub const ACCOUNT: &str = "17841400000000001";
/// The token of the account.
pub const TOKEN: &str = "IGAAtest-token-of-acme";
/// An API key with all permissions.
pub const KEY: &str = "test-bootstrap-key-0123456789abcdef";
/// The app secret that signs webhooks.
pub const APP_SECRET: &str = "test-app-secret";
/// The verification token of the shared webhook.
pub const VERIFY_TOKEN: &str = "test-verify-token";

/// A client with an API key.
#[derive(Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
    /// The body as text.
    pub text: String,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
}

impl Answer {
    async fn read(request: reqwest::RequestBuilder) -> Result<Self> {
        let response = request.send().await.context("no answer from the API")?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Self { status, content_type: String::new(), json, text, headers };
        Ok(Self { content_type: answer.header("content-type").to_owned(), ..answer })
    }

    /// The text of a header; empty if missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Rest {
    /// A client of the API at `address` with [`KEY`].
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(address: SocketAddr) -> Result<Self> {
        dmrelay_runtime::http::install_tls();
        let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(70)).build()?;
        Ok(Self { client, base: format!("http://{address}"), key: Some(KEY.to_owned()) })
    }

    /// The API's base URL.
    pub fn address(&self) -> String {
        self.base.clone()
    }

    /// The same client with another key, or none.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// A call of the tests' agent: `GET …/instagram/{path}`.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", &agent_path(path), None, &[]).await
    }

    /// `POST …/instagram/{path}`.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.request("POST", &agent_path(path), Some(body.to_string().into_bytes()), &[]).await
    }

    /// A call with arbitrary bytes.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut request = self.client.request(method.parse()?, format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        Answer::read(request).await
    }

    /// A call whose response is read by the caller.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<reqwest::Response> {
        let mut request = self.client.request(method.parse()?, format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.context("no answer from the API")
    }

    /// A call with another content type.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn send_raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let mut request = self.client.request(method.parse()?, format!("{}{path}", self.base));
        request = request.header("content-type", content_type).body(body.to_vec());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        Answer::read(request).await
    }

    /// A webhook with these bytes, signed with `secret`.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn webhook(&self, path: &str, body: &[u8], secret: &str) -> Result<Answer> {
        let signature = dmrelay_domain::signature::sign(secret.as_bytes(), body);
        self.request("POST", path, Some(body.to_vec()), &[("x-hub-signature-256", &signature)]).await
    }

    /// Connects the tests' account.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn connect(&self) -> Result<Answer> {
        self.post("connect", connect_body()).await
    }
}

/// The request that connects the tests' account.
pub fn connect_body() -> Value {
    json!({
        "accessToken": TOKEN,
        "instagramAccountId": ACCOUNT,
        "webhookVerificationToken": "own-verify-token",
    })
}

/// A path of the tests' agent.
pub fn agent_path(path: &str) -> String {
    format!("/api/database/{SUBACCOUNT}/chat-agents/{AGENT}/instagram/{path}")
}

/// The body of a webhook with one text message.
pub fn text_webhook(account: &str, user: &str, mid: &str, text: &str) -> Vec<u8> {
    let now = dmrelay_domain::clock::Clock::now(&dmrelay_domain::clock::SystemClock);
    let item = json!({
        "sender": {"id": user}, "recipient": {"id": account}, "timestamp": now,
        "message": {"mid": mid, "text": text},
    });
    json!({"object": "instagram", "entry": [{"time": now, "id": account, "messaging": [item]}]})
        .to_string()
        .into_bytes()
}
