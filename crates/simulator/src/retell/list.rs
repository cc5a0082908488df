//! `POST /v3/list-chats` and the older `GET /list-chat`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::Call;
use super::chat::Chat;
use super::filter::Filter;
use super::{RetellError, rule_of};
use crate::world::World;

const DEFAULT_LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 1_000;

/// What is asked for.
struct Query {
    limit: usize,
    skip: usize,
    after: Option<String>,
    ascending: bool,
    total: bool,
    filter: Filter,
}

impl Query {
    /// The newer call has a body. Assumption: what it does not know, or of the wrong type, gives 400.
    fn of_body(body: &Value) -> Result<Self, RetellError> {
        const KNOWN: [&str; 6] =
            ["filter_criteria", "include_total", "limit", "pagination_key", "skip", "sort_order"];
        let is_unknown = |key: &String| !KNOWN.contains(&key.as_str());
        let fits = match body {
            Value::Null => true,
            Value::Object(fields) => !fields.keys().any(is_unknown),
            _ => false,
        };
        let number = |name: &str| optional(&body[name], Value::as_u64);
        let text = |name: &str| optional(&body[name], |value| value.as_str().map(str::to_owned));
        if !fits {
            return Err(RetellError::bad_request());
        }
        Self::new(
            (number("limit")?, number("skip")?),
            (text("pagination_key")?, text("sort_order")?),
            optional(&body["include_total"], Value::as_bool)?.unwrap_or_default(),
            Filter::read(&body["filter_criteria"])?,
        )
    }

    /// The older call has a query.
    fn of_url(call: &Call) -> Result<Self, RetellError> {
        let text = |name: &str| call.query(name).map(str::to_owned);
        let limit =
            text("limit").map(|limit| limit.parse().map_err(|_| RetellError::bad_request())).transpose()?;
        let filter = Filter::read(&Value::Null)?;
        Self::new((limit, None), (text("pagination_key"), text("sort_order")), false, filter)
    }

    fn new(
        (limit, skip): (Option<u64>, Option<u64>),
        (after, order): (Option<String>, Option<String>),
        total: bool,
        filter: Filter,
    ) -> Result<Self, RetellError> {
        let ascending = match order.as_deref() {
            Some("ascending") => true,
            None | Some("descending") => false,
            Some(_) => return Err(RetellError::bad_request()),
        };
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let limit = size(limit.unwrap_or(DEFAULT_LIMIT).clamp(1, LIMIT_MAX));
        Ok(Self { limit, skip: size(skip.unwrap_or_default()), after, ascending, total, filter })
    }
}

fn optional<T>(given: &Value, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, RetellError> {
    if given.is_null() { Ok(None) } else { read(given).map(Some).ok_or_else(RetellError::bad_request) }
}

/// Newer: `{items, has_more, pagination_key}` without transcripts. Older: a bare array with them.
pub(super) fn list(world: &mut World, call: &Call, now: i64) -> Result<(StatusCode, Value), RetellError> {
    settle(world, now);
    let newer = call.segments.first().is_some_and(|first| first == "v3");
    let query = if newer { Query::of_body(&call.body)? } else { Query::of_url(call)? };
    let settings = &world.settings.retell;
    let own = |chat: &&Chat| {
        let is_own = call.key.as_deref() == Some(settings.workspace_of(&chat.agent));
        call.key.as_deref() == Some(chat.workspace.as_str()) || is_own
    };
    let mut chats: Vec<&Chat> = world.chats.values().filter(own).collect();
    chats.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
    if !query.ascending {
        chats.reverse();
    }
    let fits = |chats: &[&Chat]| chats.iter().filter(|chat| query.filter.fits(&chat.fields())).count();
    // A cursor is the id of a chat, whether or not that chat fits.
    let start = match &query.after {
        Some(after) => {
            let at = chats.iter().position(|chat| chat.id == *after).ok_or_else(RetellError::bad_request)?;
            fits(&chats[..=at])
        }
        None => 0,
    };
    let start = start.saturating_add(query.skip);
    chats.retain(|chat| query.filter.fits(&chat.fields()));
    let total = chats.len();
    let page: Vec<&Chat> = chats.into_iter().skip(start).take(query.limit).collect();
    let has_more = start.saturating_add(page.len()) < total;
    let items: Vec<Value> = page.iter().map(|chat| chat.response(!newer)).collect();
    if !newer {
        return Ok((StatusCode::OK, Value::Array(items)));
    }
    let mut body = json!({"items": items, "has_more": has_more});
    if let Some(last) = page.last().filter(|_| has_more) {
        body["pagination_key"] = json!(last.id);
    }
    if query.total {
        body["total"] = json!(total);
    }
    Ok((StatusCode::OK, body))
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
