//! Control calls that change state: accounts, customers, faults, webhooks, the clock.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::act::{self, Act, Batch};
use crate::engine::Core;
use crate::faults::Fault;
use crate::retell::{AgentRule, ChatStatus};
use crate::settings::{Settings, WebhookTarget};
use crate::simulator;
use crate::webhook::{self, Handshake, RawWebhook, ReleaseOrder, SentRaw};
use crate::world::account::{AccountSpec, TokenState};
use crate::world::thread::{Person, ThreadKey};

type Here = State<Arc<Core>>;

/// Changes the given fields and keeps the rest.
pub(super) async fn settings(
    State(core): Here,
    Json(patch): Json<Value>,
) -> Result<Json<Settings>, (StatusCode, Json<Value>)> {
    core.change(|world| {
        let mut settings = json!(world.settings);
        merge(&mut settings, patch);
        let refuse = |error: serde_json::Error| {
            let message = json!({"message": error.to_string()});
            (StatusCode::BAD_REQUEST, Json(message))
        };
        world.settings = serde_json::from_value(settings).map_err(refuse)?;
        Ok(Json(world.settings.clone()))
    })
}

/// RFC 7386, but null is a value: some settings are optional.
fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

pub(super) async fn put_account(State(core): Here, Json(account): Json<AccountSpec>) -> StatusCode {
    let now = core.clock.now_ms();
    core.change(|world| world.put_account(account, now));
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenChange {
    state: TokenState,
}

pub(super) async fn set_tokens(
    State(core): Here,
    Path(account): Path<String>,
    Json(change): Json<TokenChange>,
) -> StatusCode {
    core.change(|world| world.set_tokens(&account, change.state));
    StatusCode::NO_CONTENT
}

pub(super) async fn set_person(
    State(core): Here,
    Path((account, user)): Path<(String, String)>,
    Json(person): Json<Person>,
) -> StatusCode {
    core.change(|world| world.open_thread(&ThreadKey::new(&account, &user)).person = person);
    StatusCode::NO_CONTENT
}

pub(super) async fn put_agent(
    State(core): Here,
    Path(agent): Path<String>,
    Json(rule): Json<AgentRule>,
) -> StatusCode {
    core.change(|world| world.agents.insert(agent, rule));
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewChat {
    agent_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChatChange {
    status: ChatStatus,
}

pub(super) async fn set_chat(
    State(core): Here,
    Path(chat): Path<String>,
    Json(change): Json<ChatChange>,
) -> StatusCode {
    let now = core.clock.now_ms();
    if core.change(|world| world.set_chat_status(&chat, change.status, now)) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

pub(super) async fn put_chat(
    State(core): Here,
    Path(chat): Path<String>,
    Json(new): Json<NewChat>,
) -> StatusCode {
    let now = core.clock.now_ms();
    core.change(|world| world.put_chat(&chat, &new.agent_id, now));
    StatusCode::NO_CONTENT
}

pub(super) async fn set_webhook(State(core): Here, Json(target): Json<WebhookTarget>) -> StatusCode {
    core.change(|world| world.settings.webhooks.target = Some(target));
    StatusCode::NO_CONTENT
}

pub(super) async fn no_webhook(State(core): Here) -> StatusCode {
    core.change(|world| world.settings.webhooks.target = None);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    verify_token: Option<String>,
    #[serde(default = "yes")]
    instagram_login: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn handshake(State(core): Here, Json(check): Json<Check>) -> Json<Handshake> {
    Json(webhook::handshake(&core, check.account.as_deref(), check.verify_token.as_deref()).await)
}

pub(super) async fn dashboard_test(State(core): Here, Json(check): Json<Check>) -> Json<SentRaw> {
    let body = webhook::dashboard_test(check.instagram_login);
    Json(webhook::send_raw(&core, RawWebhook { account: check.account, body, ..RawWebhook::default() }).await)
}

pub(super) async fn send_raw(State(core): Here, Json(raw): Json<RawWebhook>) -> Json<SentRaw> {
    Json(webhook::send_raw(&core, raw).await)
}

pub(super) async fn hold(State(core): Here) -> StatusCode {
    core.courier.hold();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Release {
    #[serde(default = "one")]
    updates_per_post: usize,
    #[serde(default)]
    order: ReleaseOrder,
}

fn one() -> usize {
    1
}

pub(super) async fn release(State(core): Here, Json(release): Json<Release>) -> Json<Value> {
    Json(json!({"released": webhook::release(&core, release.updates_per_post, release.order)}))
}

pub(super) async fn act(State(core): Here, Json(act): Json<Act>) -> Json<Value> {
    Json(json!({"id": act::act(&core, act)}))
}

pub(super) async fn batch(State(core): Here, Json(batch): Json<Batch>) -> Json<Value> {
    Json(json!({"mids": act::say_all(&core, batch)}))
}

pub(super) async fn add_fault(State(core): Here, Json(fault): Json<Fault>) -> Json<Value> {
    Json(json!({"id": core.change(|world| world.faults.add(fault))}))
}

pub(super) async fn clear_faults(State(core): Here) -> StatusCode {
    core.change(|world| world.faults.clear(None));
    StatusCode::NO_CONTENT
}

pub(super) async fn clear_fault(State(core): Here, Path(fault): Path<u64>) -> StatusCode {
    core.change(|world| world.faults.clear(Some(fault)));
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advance {
    advance_ms: u64,
}

pub(super) async fn advance(State(core): Here, Json(advance): Json<Advance>) -> Json<Value> {
    core.clock.advance(Duration::from_millis(advance.advance_ms));
    Json(json!({"nowMs": core.clock.now_ms()}))
}

pub(super) async fn clear_record(State(core): Here) -> StatusCode {
    core.change(|world| world.record.clear());
    StatusCode::NO_CONTENT
}

pub(super) async fn reset(State(core): Here) -> StatusCode {
    simulator::reset(&core);
    StatusCode::NO_CONTENT
}
