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
/// A key with every permission.
pub const KEY: &str = "test-bootstrap-key-0123456789abcdef";
/// The secret that signs webhooks.
pub const APP_SECRET: &str = "test-app-secret";
/// The token of the shared handshake.
pub const VERIFY_TOKEN: &str = "test-verify-token";

/// A caller with a key.
#[derive(Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// What a call answered.
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
}

impl Rest {
    /// A caller of the API at `address` with [`KEY`].
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(address: SocketAddr) -> Result<Self> {
        dmrelay_runtime::http::install_tls();
        let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(70)).build()?;
        Ok(Self { client, base: format!("http://{address}"), key: Some(KEY.to_owned()) })
    }

    /// The same caller with another key, or none.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// A call of the tests' agent: `GET …/instagram/{path}`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", &agent_path(path), None, &[]).await
    }

    /// `POST …/instagram/{path}`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.request("POST", &agent_path(path), Some(body.to_string().into_bytes()), &[]).await
    }

    /// Any call, with any bytes.
    ///
    /// # Errors
    /// When there is no answer.
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
        let response = request.send().await.context("no answer from the API")?;
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, content_type, json: serde_json::from_str(&text).unwrap_or(Value::Null), text })
    }

    /// A webhook with these bytes, signed with `secret`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn webhook(&self, path: &str, body: &[u8], secret: &str) -> Result<Answer> {
        let signature = dmrelay_domain::signature::sign(secret.as_bytes(), body);
        self.request("POST", path, Some(body.to_vec()), &[("x-hub-signature-256", &signature)]).await
    }

    /// Connects the tests' account.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn connect(&self) -> Result<Answer> {
        self.post("connect", connect_body()).await
    }
}

/// What connects the tests' account.
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
