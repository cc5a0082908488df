//! Tests of the running server, with a real client and a real receiver of webhooks.

mod accounts;
mod conversations;
mod delivery;
mod events;
mod faulty;
mod over_http;
mod retell;
mod sending;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{AccountSpec, Options, Simulator, WebhookTarget};

const SHOP: &str = "17841400000000001";
const PAGE_SHOP: &str = "17841400000000002";
const PAGE: &str = "104500000000001";
const ANNA: &str = "200000000000001";
const SECRET: &str = "app-secret";
const DEADLINE: Duration = Duration::from_secs(10);

/// A simulator with an account of each kind, and a receiver of its webhooks.
struct Setup {
    sim: Simulator,
    receiver: Receiver,
    client: reqwest::Client,
}

impl Setup {
    async fn new() -> anyhow::Result<Self> {
        let receiver = Receiver::start().await?;
        let mut options = Options::default();
        options.settings.webhooks.target = Some(receiver.target());
        options.settings.webhooks.retry_delays_ms = vec![1];
        let sim = Simulator::start(options).await?;
        sim.put_account(AccountSpec::new(SHOP, "shop", "IGAA-shop").subscribed());
        sim.put_account(
            AccountSpec::new(PAGE_SHOP, "page_shop", "EAA-page").facebook_login(PAGE).subscribed(),
        );
        Ok(Self { sim, receiver, client: reqwest::Client::builder().no_proxy().build()? })
    }

    async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.sim.instagram_url());
        answer(self.client.get(url).bearer_auth("IGAA-shop")).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.sim.instagram_url());
        answer(self.client.post(url).bearer_auth("IGAA-shop").json(body)).await
    }

    async fn page_get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.sim.graph_url());
        answer(self.client.get(url).bearer_auth("EAA-page")).await
    }

    async fn page_post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.sim.graph_url());
        answer(self.client.post(url).bearer_auth("EAA-page").json(body)).await
    }

    fn text_request(&self, text: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/v25.0/me/messages", self.sim.instagram_url());
        self.client.post(url).bearer_auth("IGAA-shop").json(&text_to(ANNA, text))
    }

    async fn send_text(&self, text: &str) -> anyhow::Result<(u16, Value)> {
        answer(self.text_request(text)).await
    }

    async fn retell(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.sim.retell_url());
        let request = self.client.request(method, url).bearer_auth("key_simulated");
        answer(if body.is_null() { request } else { request.json(body) }).await
    }

    async fn new_chat(&self, agent: &str) -> anyhow::Result<String> {
        let (status, chat) =
            self.retell(reqwest::Method::POST, "/create-chat", &json!({"agent_id": agent})).await?;
        anyhow::ensure!(status == 201, "create-chat: {status}");
        Ok(chat["chat_id"].as_str().context("chat_id")?.to_owned())
    }

    async fn complete(&self, chat: &str, content: &str) -> anyhow::Result<(u16, Value)> {
        let body = json!({"chat_id": chat, "content": content});
        self.retell(reqwest::Method::POST, "/create-chat-completion", &body).await
    }
}

fn text_to(user: &str, text: &str) -> Value {
    json!({"recipient": {"id": user}, "message": {"text": text}})
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? }))
}

fn code_of((status, body): &(u16, Value)) -> (u16, i64, Option<i64>) {
    (*status, body["error"]["code"].as_i64().unwrap_or_default(), body["error"]["error_subcode"].as_i64())
}

/// A received webhook.
#[derive(Clone)]
struct Received {
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn json(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The first item of the first entry.
    fn item(&self) -> anyhow::Result<Value> {
        Ok(self.json()?["entry"][0]["messaging"][0].clone())
    }
}

#[derive(Default)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    /// Statuses of the next responses; 200 once they are used up.
    answers: Mutex<VecDeque<u16>>,
    count: watch::Sender<usize>,
}

/// A server that accepts webhooks and responds as told.
struct Receiver {
    inbox: Arc<Inbox>,
    url: String,
}

impl Receiver {
    async fn start() -> anyhow::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhook", listener.local_addr()?);
        let app = Router::new().route("/webhook", get(challenge).post(take)).with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { inbox, url })
    }

    fn target(&self) -> WebhookTarget {
        WebhookTarget {
            url: self.url.clone(),
            app_secret: SECRET.to_owned(),
            verify_token: "verify".to_owned(),
        }
    }

    fn answer_with(&self, statuses: &[u16]) {
        locked(&self.inbox.answers).extend(statuses);
    }

    /// All received webhooks, once there are `count` of them.
    async fn received(&self, count: usize) -> anyhow::Result<Vec<Received>> {
        let mut counted = self.inbox.count.subscribe();
        tokio::time::timeout(DEADLINE, counted.wait_for(|came| *came >= count))
            .await
            .context("webhooks did not come")??;
        Ok(locked(&self.inbox.received).clone())
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    locked(&inbox.received).push(Received { headers, body });
    let status = locked(&inbox.answers).pop_front().unwrap_or(200);
    inbox.count.send_modify(|count| *count += 1);
    StatusCode::from_u16(status).unwrap_or_default()
}

async fn challenge(Query(query): Query<std::collections::HashMap<String, String>>) -> (StatusCode, String) {
    match query.get("hub.verify_token").map(String::as_str) {
        Some("verify") => (StatusCode::OK, query.get("hub.challenge").cloned().unwrap_or_default()),
        _ => (StatusCode::FORBIDDEN, String::new()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
