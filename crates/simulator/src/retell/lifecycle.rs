//! Creating, reading, changing and ending chats.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::chat::{Chat, ChatStatus};
use super::{RetellError, chat_now, rule_of};
use crate::ids;
use crate::world::World;

const METADATA_BYTES_MAX: usize = 50_000;

type Done = Result<(StatusCode, Value), RetellError>;

/// `POST /create-chat`: 201. Field reports: the chat is empty, whoever speaks first.
pub(super) fn create(world: &mut World, call: &Call, now: i64) -> Done {
    let agent_id =
        call.body["agent_id"].as_str().filter(|id| !id.is_empty()).ok_or_else(RetellError::bad_request)?;
    let version = &call.body["agent_version"];
    if !(version.is_null() || version.is_string() || version.is_u64()) {
        return Err(RetellError::bad_request());
    }
    let metadata = metadata(&call.body)?;
    let dynamic_variables = strings(&call.body["retell_llm_dynamic_variables"])?;
    rule_of(world, agent_id).ok_or_else(RetellError::no_asset)?;
    let agent_version = Some(version.clone()).filter(|version| !version.is_null());
    let chat = Chat {
        metadata,
        agent_version,
        dynamic_variables,
        workspace: call.key.clone().unwrap_or_default(),
        ..Chat::new(ids::retell_id("chat"), agent_id.to_owned(), now)
    };
    let response = chat.response(true);
    world.chats.insert(chat.id.clone(), chat);
    Ok((StatusCode::CREATED, response))
}

/// `GET /get-chat/{id}`: 200.
pub(super) fn get(world: &mut World, call: &Call, now: i64) -> Done {
    let agent = chat_now(world, call, now)?.agent.clone();
    let omit = rule_of(world, &agent).is_some_and(|rule| rule.omit_messages);
    Ok((StatusCode::OK, chat_now(world, call, now)?.response(!omit)))
}

/// `PATCH /end-chat/{id}`: 204 without a body; 400 when it has ended before.
pub(super) fn end(world: &mut World, call: &Call, now: i64) -> Done {
    let chat = chat_now(world, call, now)?;
    if chat.status != ChatStatus::Ongoing {
        return Err(RetellError::already_ended());
    }
    chat.end(now);
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// `DELETE /delete-chat/{id}`: 204.
pub(super) fn delete(world: &mut World, call: &Call) -> Done {
    let id = call.chat_id().ok_or_else(RetellError::bad_request)?;
    world.chats.remove(id).ok_or_else(RetellError::no_asset)?;
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// `GET /get-chat-agent/{id}`: 200. Of what an agent is made of, only its id and name.
pub(super) fn agent(world: &mut World, call: &Call) -> Done {
    let id = call.agent_id().ok_or_else(RetellError::bad_request)?;
    rule_of(world, id).ok_or_else(RetellError::no_asset)?;
    Ok((StatusCode::OK, json!({ "agent_id": id, "agent_name": id, "channel": "chat" })))
}

/// `PATCH /update-chat/{id}`: 200.
pub(super) fn update(world: &mut World, call: &Call, now: i64) -> Done {
    const KNOWN: [&str; 4] =
        ["metadata", "data_storage_setting", "override_dynamic_variables", "custom_attributes"];
    let body = call.body.as_object().ok_or_else(RetellError::bad_request)?;
    if body.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return Err(RetellError::bad_request());
    }
    let metadata = metadata(&call.body)?;
    let overrides = strings(&call.body["override_dynamic_variables"])?;
    let attributes = attributes(&call.body["custom_attributes"])?;
    let basic_attributes_only = match body.get("data_storage_setting").map(Value::as_str) {
        None => None,
        Some(Some("everything")) => Some(false),
        Some(Some("basic_attributes_only")) => Some(true),
        Some(_) => return Err(RetellError::bad_request()),
    };
    let defined = world.settings.retell.custom_attributes.clone();
    let chat = chat_now(world, call, now)?;
    match basic_attributes_only {
        // "Cannot be downgraded from more restrictive to less restrictive settings."
        Some(false) if chat.basic_attributes_only => return Err(RetellError::bad_request()),
        Some(only) => chat.basic_attributes_only = only,
        None => {}
    }
    // "Keys that do not match a defined attribute are ignored and will not be saved."
    chat.custom_attributes.extend(attributes.into_iter().filter(|(key, _)| defined.contains(key)));
    if metadata.is_some() {
        chat.metadata = metadata;
    }
    if let Some(overrides) = overrides {
        chat.overrides.extend(overrides);
    } else if body.contains_key("override_dynamic_variables") {
        // null removes them; what create-chat was given stays.
        chat.overrides.clear();
    }
    Ok((StatusCode::OK, chat.response(true)))
}

fn metadata(body: &Value) -> Result<Option<Value>, RetellError> {
    match &body["metadata"] {
        Value::Null => Ok(None),
        given @ Value::Object(_) if given.to_string().len() <= METADATA_BYTES_MAX => Ok(Some(given.clone())),
        _ => Err(RetellError::bad_request()),
    }
}

/// Strings, numbers and booleans (Retell, "Update chat").
fn attributes(given: &Value) -> Result<Map<String, Value>, RetellError> {
    let is_valid = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    match given {
        Value::Null => Ok(Map::new()),
        Value::Object(attributes) if attributes.values().all(is_valid) => Ok(attributes.clone()),
        _ => Err(RetellError::bad_request()),
    }
}

/// "All dynamic variable values must be strings" (Retell, "Dynamic variables"). Assumption: others give 400.
fn strings(given: &Value) -> Result<Option<Map<String, Value>>, RetellError> {
    match given {
        Value::Null => Ok(None),
        Value::Object(variables) if variables.values().all(Value::is_string) => Ok(Some(variables.clone())),
        _ => Err(RetellError::bad_request()),
    }
}

impl World {
    /// Adds a chat with this id, empty; one that has the id is replaced.
    pub(crate) fn put_chat(&mut self, id: &str, agent: &str, now: i64) {
        self.chats.insert(id.to_owned(), Chat::new(id.to_owned(), agent.to_owned(), now));
    }

    /// Ends a chat, or makes it fail, from outside.
    pub(crate) fn set_chat_status(&mut self, chat: &str, status: ChatStatus, now: i64) -> bool {
        let Some(chat) = self.chats.get_mut(chat) else { return false };
        chat.status = status;
        chat.ended_ms = (status != ChatStatus::Ongoing).then_some(now);
        true
    }
}
