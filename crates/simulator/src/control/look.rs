//! Control calls that read state: what reached the simulator, and what it stores.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Core;
use crate::faults::FaultState;
use crate::simulator;

type Here = State<Arc<Core>>;

/// Filters; absent ones match everything. `limit` returns the newest.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    account: Option<String>,
    user: Option<String>,
    chat: Option<String>,
    agent: Option<String>,
    limit: Option<usize>,
}

impl Filter {
    fn newest<T: serde::Serialize>(&self, all: impl DoubleEndedIterator<Item = T>) -> Json<Value> {
        let mut kept: Vec<T> = all.rev().take(self.limit.unwrap_or(usize::MAX)).collect();
        kept.reverse();
        Json(json!({"items": kept}))
    }
}

fn fits(wanted: Option<&String>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

pub(super) async fn overview(State(core): Here) -> Json<Value> {
    let base = &core.base_url;
    Json(json!({
        "graphUrl": format!("{base}/graph"),
        "instagramUrl": format!("{base}/instagram"),
        "instagramLoginUrl": format!("{base}/login/instagram"),
        "facebookLoginUrl": format!("{base}/login/facebook"),
        "retellUrl": format!("{base}/retell"),
        "controlUrl": format!("{base}/_sim"),
        "nowMs": core.clock.now_ms(),
    }))
}

/// Counts and latencies, without the lists.
pub(super) async fn record(State(core): Here) -> Json<Value> {
    core.read(|world| {
        let record = &world.record;
        Json(json!({
            "calls": record.calls,
            "sendCount": record.send_count,
            "completionCount": record.completion_count,
            "overlaps": record.overlaps,
            "pendingDeliveries": record.pending_deliveries,
            "acknowledged": record.acknowledged,
            "updatesAcknowledged": record.updates_acknowledged,
            "failedAttempts": record.failed_attempts,
            "undeliveredUpdates": record.undelivered_updates,
            "ackLatency": record.ack_latency,
            "replyLatency": record.reply_latency,
            "threads": world.threads.len(),
            "chats": world.chats.len(),
        }))
    })
}

pub(super) async fn sends(State(core): Here, Query(filter): Query<Filter>) -> Json<Value> {
    core.read(|world| {
        filter.newest(world.record.sends.iter().filter(|sent| {
            fits(filter.account.as_ref(), &sent.account) && fits(filter.user.as_ref(), &sent.user)
        }))
    })
}

pub(super) async fn sender_actions(State(core): Here, Query(filter): Query<Filter>) -> Json<Value> {
    core.read(|world| {
        filter.newest(world.record.sender_actions.iter().filter(|action| {
            fits(filter.account.as_ref(), &action.account) && fits(filter.user.as_ref(), &action.user)
        }))
    })
}

pub(super) async fn completions(State(core): Here, Query(filter): Query<Filter>) -> Json<Value> {
    core.read(|world| {
        filter.newest(world.record.completions.iter().filter(|completion| {
            fits(filter.chat.as_ref(), &completion.chat) && fits(filter.agent.as_ref(), &completion.agent)
        }))
    })
}

pub(super) async fn webhooks(State(core): Here, Query(filter): Query<Filter>) -> Json<Value> {
    core.read(|world| {
        filter.newest(world.record.deliveries.values().filter(|delivery| {
            let user = |found: &Option<String>| filter.user.is_none() || *found == filter.user;
            delivery
                .updates
                .iter()
                .any(|update| fits(filter.account.as_ref(), &update.account) && user(&update.user))
        }))
    })
}

pub(super) async fn thread(
    State(core): Here,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, StatusCode> {
    let (account, user) = filter.account.zip(filter.user).ok_or(StatusCode::BAD_REQUEST)?;
    let thread = simulator::thread(&core, &account, &user).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!(thread)))
}

pub(super) async fn chats(State(core): Here, Query(filter): Query<Filter>) -> Json<Value> {
    core.read(|world| {
        let mut chats: Vec<_> =
            world.chats.values().filter(|chat| fits(filter.agent.as_ref(), &chat.agent)).collect();
        chats.sort_by_key(|chat| chat.started_ms);
        filter.newest(chats.into_iter())
    })
}

pub(super) async fn chat(State(core): Here, Path(chat): Path<String>) -> Result<Json<Value>, StatusCode> {
    core.read(|world| world.chats.get(&chat).map(|chat| Json(json!(chat)))).ok_or(StatusCode::NOT_FOUND)
}

pub(super) async fn settings(State(core): Here) -> Json<Value> {
    Json(core.read(|world| json!(world.settings)))
}

pub(super) async fn accounts(State(core): Here) -> Json<Value> {
    Json(core.read(|world| json!({"items": world.accounts.values().collect::<Vec<_>>()})))
}

pub(super) async fn faults(State(core): Here) -> Json<Vec<FaultState>> {
    Json(core.read(|world| world.faults.list()))
}
