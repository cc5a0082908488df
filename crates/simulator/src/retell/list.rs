//! `POST /v3/list-chats` and the older `GET /list-chat`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::Call;
use super::chat::Chat;
use super::rule_of;
use crate::world::World;

const DEFAULT_LIMIT: usize = 50;
const LIMIT_MAX: usize = 1_000;

/// Newer: `{items, has_more, pagination_key}` without transcripts. Older: a bare array with them.
pub(super) fn list(world: &mut World, call: &Call, now: i64) -> (StatusCode, Value) {
    settle(world, now);
    let newer = call.segments.first().is_some_and(|first| first == "v3");
    let option = |name: &str| {
        let given = if newer { call.body[name].as_str() } else { call.query(name) };
        given.map(str::to_owned)
    };
    let limit = if newer {
        call.body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok())
    } else {
        call.query("limit").and_then(|limit| limit.parse().ok())
    };
    let limit = limit.unwrap_or(DEFAULT_LIMIT).clamp(1, LIMIT_MAX);
    let mut chats: Vec<&Chat> =
        world.chats.values().filter(|chat| fits(chat, &call.body["filter_criteria"])).collect();
    chats.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
    if option("sort_order").as_deref() != Some("ascending") {
        chats.reverse();
    }
    let after = option("pagination_key");
    let start = after.and_then(|after| chats.iter().position(|chat| chat.id == after)).map_or(0, |at| at + 1);
    let total = chats.len();
    let page: Vec<&Chat> = chats.into_iter().skip(start).take(limit).collect();
    let has_more = start + page.len() < total;
    let items: Vec<Value> = page.iter().map(|chat| chat.response(!newer)).collect();
    if !newer {
        return (StatusCode::OK, Value::Array(items));
    }
    let mut body = json!({"items": items, "has_more": has_more});
    if let Some(last) = page.last().filter(|_| has_more) {
        body["pagination_key"] = json!(last.id);
    }
    if call.body["include_total"] == true {
        body["total"] = json!(total);
    }
    (StatusCode::OK, body)
}

/// The filters a relay might use: agent, chat id and status.
fn fits(chat: &Chat, filter: &Value) -> bool {
    let agent = match &filter["agent"] {
        Value::Array(agents) => agents.iter().any(|agent| agent["agent_id"] == chat.agent.as_str()),
        _ => true,
    };
    let status = match &filter["chat_status"]["value"] {
        Value::Array(statuses) => statuses.contains(&json!(chat.status)),
        _ => true,
    };
    let id = match &filter["chat_id"]["value"] {
        Value::String(id) => *id == chat.id,
        _ => true,
    };
    agent && status && id
}

fn settle(world: &mut World, now: i64) {
    let silences: Vec<(String, i64)> = world
        .chats
        .values()
        .filter_map(|chat| Some((chat.id.clone(), rule_of(world, &chat.agent)?.end_chat_after_silence_ms)))
        .collect();
    for (id, silence_ms) in silences {
        if let Some(chat) = world.chats.get_mut(&id) {
            chat.settle_silence(silence_ms, now);
        }
    }
}
