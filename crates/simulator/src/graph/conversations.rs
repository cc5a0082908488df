//! The Conversations API: messages newest first, with details only for the newest 20 (Meta, "Conversations
//! API").

use serde_json::{Map, Value, json};

use super::accounts::{need, need_message_access};
use super::call::Call;
use super::errors::GraphError;
use super::fields::{self, Field};
use super::{Host, Outcome, limits};
use crate::clock::graph_time;
use crate::world::World;
use crate::world::account::Account;
use crate::world::thread::{Message, Thread, ThreadKey};

/// Threads of the requests folder are not returned after 30 days without activity.
const REQUESTS_MS: i64 = 30 * 24 * 3_600_000;

/// `GET /{id}/conversations`.
pub(crate) fn list(
    world: &mut World,
    account: &str,
    call: &Call,
    (now, base_url): (i64, &str),
) -> Result<Outcome, GraphError> {
    limits::conversation_call(world, account, now)?;
    let Some(account) = world.accounts.get(account) else {
        return Err(GraphError::no_object(call.method.as_str(), account));
    };
    need(account, account.messaging_permission())?;
    need_message_access(account)?;
    // On graph.facebook.com the default platform is Messenger, which has no messages here.
    let instagram =
        call.query("platform").map_or(call.host == Host::Instagram, |platform| platform == "instagram");
    let shown = |(key, thread): &(&ThreadKey, &Thread)| {
        let request = thread.messages.iter().all(|message| !message.is_ours());
        instagram
            && key.account == account.id
            && !thread.messages.is_empty()
            && !(request && now - thread.updated_ms > REQUESTS_MS)
    };
    let mut threads: Vec<(&ThreadKey, &Thread)> = match call.query("user_id") {
        Some(user) => world
            .threads
            .get_key_value(&ThreadKey::new(&account.id, user))
            .into_iter()
            .filter(shown)
            .collect(),
        None => world.threads.iter().filter(shown).collect(),
    };
    threads.sort_by(|(_, a), (_, b)| {
        (b.updated_ms, &b.conversation_id).cmp(&(a.updated_ms, &a.conversation_id))
    });
    let ids: Vec<&str> = threads.iter().map(|(_, thread)| thread.conversation_id.as_str()).collect();
    let page = Page::of(&ids, call.query("after"), call.limit().unwrap_or(world.settings.graph.page_size));
    let asked = fields::parse(call.query("fields").unwrap_or("id,updated_time"));
    let view = View { world, account, base_url, call };
    let data: Result<Vec<Value>, GraphError> = threads[page.range.clone()]
        .iter()
        .map(|(key, thread)| view.conversation(key, thread, &asked))
        .collect();
    let next = page.next.map(|after| view.next_page(&format!("{}/conversations", account.id), after));
    Ok(listed(data?, page.next, next).into())
}

/// `GET /{conversation}` and `GET /{conversation}/messages`.
pub(crate) fn conversation(
    world: &World,
    id: &str,
    call: &Call,
    base_url: &str,
) -> Result<Outcome, GraphError> {
    let missing = || GraphError::no_object(call.method.as_str(), id);
    let key = world.conversations.get(id).ok_or_else(missing)?;
    let thread = world.threads.get(key).ok_or_else(missing)?;
    let account = world.accounts.get(&key.account).ok_or_else(missing)?;
    need(account, account.messaging_permission())?;
    let view = View { world, account, base_url, call };
    let asked = fields::parse(call.query("fields").unwrap_or("id"));
    if call.segments.len() > 1 {
        let whole = Field { name: "messages".to_owned(), limit: call.limit(), inner: asked };
        return Ok(view.messages(key, thread, &whole, call.query("after"))?.into());
    }
    Ok(view.conversation(key, thread, &asked)?.into())
}

/// `GET /{mid}`.
pub(crate) fn message(world: &World, mid: &str, call: &Call) -> Result<Outcome, GraphError> {
    let missing = || GraphError::no_object(call.method.as_str(), mid);
    let key = world.mids.get(mid).ok_or_else(missing)?;
    let thread = world.threads.get(key).ok_or_else(missing)?;
    let account = world.accounts.get(&key.account).ok_or_else(missing)?;
    need(account, account.messaging_permission())?;
    let newest = thread.newest_first().take(world.settings.graph.detail_limit);
    let Some(message) = newest.into_iter().find(|message| message.mid == mid) else {
        return Err(GraphError::new(9_000_001, "The requested message has been deleted."));
    };
    let asked = fields::parse(call.query("fields").unwrap_or("id,created_time"));
    Ok(fields::select(&detail(account, (key, thread), message), &asked, "Message")?.into())
}

/// The parameters of a listing.
struct View<'a> {
    world: &'a World,
    account: &'a Account,
    base_url: &'a str,
    call: &'a Call,
}

impl View<'_> {
    fn conversation(&self, key: &ThreadKey, thread: &Thread, asked: &[Field]) -> Result<Value, GraphError> {
        let participants =
            [party(&self.account.username, &key.account), party(&thread.person.username, &key.user)];
        let node = Map::from_iter([
            ("id".to_owned(), json!(thread.conversation_id)),
            ("updated_time".to_owned(), json!(graph_time(thread.updated_ms))),
            ("name".to_owned(), Value::Null),
            ("participants".to_owned(), json!({"data": participants})),
        ]);
        let (messages, plain): (Vec<Field>, Vec<Field>) =
            asked.iter().cloned().partition(|field| field.name == "messages");
        let Value::Object(mut answer) = fields::select(&node, &plain, "Conversation")? else {
            return Ok(Value::Null);
        };
        if let Some(field) = messages.first() {
            answer.insert("messages".to_owned(), self.messages(key, thread, field, None)?);
        }
        Ok(Value::Object(answer))
    }

    /// Assumption: for messages older than the newest 20, a listing gives only id and time.
    fn messages(
        &self,
        key: &ThreadKey,
        thread: &Thread,
        field: &Field,
        after: Option<&str>,
    ) -> Result<Value, GraphError> {
        let messages: Vec<&Message> = thread.newest_first().collect();
        let mids: Vec<&str> = messages.iter().map(|message| message.mid.as_str()).collect();
        let graph = &self.world.settings.graph;
        let page = Page::of(&mids, after, field.limit.unwrap_or(graph.page_size));
        let mut data = Vec::new();
        for index in page.range.clone() {
            let node = detail(self.account, (key, thread), messages[index]);
            let mut asked =
                if field.inner.is_empty() { fields::parse("id,created_time") } else { field.inner.clone() };
            if index >= graph.detail_limit {
                asked.retain(|field| ["id", "created_time", "is_unsupported"].contains(&field.name.as_str()));
            }
            data.push(fields::select(&node, &asked, "Message")?);
        }
        let next =
            page.next.map(|after| self.next_page(&format!("{}/messages", thread.conversation_id), after));
        Ok(listed(data, page.next, next))
    }

    fn next_page(&self, path: &str, after: &str) -> String {
        let host = match self.call.host {
            Host::Facebook => "graph",
            Host::Instagram => "instagram",
        };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in ["platform", "user_id", "fields", "limit"] {
            // The inner fields of `messages{…}` are those requested from `/messages`.
            let inner = |fields: &str| {
                fields.split_once("messages{").map(|(_, rest)| rest.trim_end_matches('}').to_owned())
            };
            if let Some(value) = self.call.query(name) {
                query.append_pair(name, &inner(value).unwrap_or_else(|| value.to_owned()));
            }
        }
        if let Some(token) = &self.call.token {
            query.append_pair("access_token", token);
        }
        format!("{}/{host}/{path}?{}", self.base_url, query.append_pair("after", after).finish())
    }
}

/// A slice of a list, by cursor.
struct Page<'a> {
    range: std::ops::Range<usize>,
    next: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// `after` is the id of the last one seen; the list starts over if it is gone.
    fn of(ids: &[&'a str], after: Option<&str>, size: usize) -> Self {
        let start = after.and_then(|after| ids.iter().position(|id| *id == after)).map_or(0, |at| at + 1);
        let end = start.saturating_add(size.max(1)).min(ids.len());
        let next = if end < ids.len() { ids[..end].last().copied() } else { None };
        Self { range: start..end, next }
    }
}

fn listed(data: Vec<Value>, after: Option<&str>, next: Option<String>) -> Value {
    let last = data.last().and_then(|item| item["id"].as_str()).map(str::to_owned);
    let mut list = Map::from_iter([("data".to_owned(), Value::Array(data))]);
    if let Some(last) = after.map(str::to_owned).or(last) {
        let mut paging = json!({"cursors": {"after": last}});
        if let Some(next) = next {
            paging["next"] = json!(next);
        }
        list.insert("paging".to_owned(), paging);
    }
    Value::Object(list)
}

fn detail(account: &Account, (key, thread): (&ThreadKey, &Thread), message: &Message) -> Map<String, Value> {
    let (us, them) = (party(&account.username, &key.account), party(&thread.person.username, &key.user));
    let (from, to) = if message.is_ours() { (us, them) } else { (them, us) };
    let list = |data: Vec<Value>| if data.is_empty() { Value::Null } else { json!({"data": data}) };
    let of_kind = |shares: bool| {
        let is_share =
            |one: &&Value| matches!(one["type"].as_str(), Some("share" | "ig_post" | "ig_reel" | "reel"));
        let kept = message.attachments.iter().filter(move |one| is_share(one) == shares);
        list(kept.map(if shares { share } else { attachment }).collect())
    };
    let reactions = message.reactions.iter();
    let reactions =
        reactions.map(|(user, reaction)| json!({"reaction": reaction, "users": [{"id": user}]})).collect();
    Map::from_iter([
        ("id".to_owned(), json!(message.mid)),
        ("created_time".to_owned(), json!(graph_time(message.created_ms))),
        ("from".to_owned(), from),
        ("to".to_owned(), json!({"data": [to]})),
        ("message".to_owned(), json!(message.text.as_deref().unwrap_or_default())),
        ("attachments".to_owned(), of_kind(false)),
        ("shares".to_owned(), of_kind(true)),
        ("story".to_owned(), message.story.clone().unwrap_or_default()),
        ("reactions".to_owned(), list(reactions)),
        ("is_unsupported".to_owned(), json!(message.unsupported)),
        ("reply_to".to_owned(), message.reply_to.as_ref().map_or(Value::Null, |mid| json!({"mid": mid}))),
    ])
}

/// Assumption: the shape of attachments here.
fn attachment(given: &Value) -> Value {
    let url = &given["payload"]["url"];
    match given["type"].as_str() {
        Some("image" | "story_mention") => json!({"image_data": {"url": url}}),
        Some("video") => json!({"video_data": {"url": url}}),
        Some("template") => json!({"generic_template": given["payload"]}),
        _ => json!({"file_url": url}),
    }
}

fn share(given: &Value) -> Value {
    json!({"link": given["payload"]["url"]})
}

fn party(username: &str, id: &str) -> Value {
    json!({"username": username, "id": id})
}
