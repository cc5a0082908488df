//! Retell's chat API.
//!
//! Sources: Retell's OpenAPI document and SDKs ("Create chat", "Create chat completion", "Get chat", "End chat",
//! "Update chat", "List chats") and docs.retellai.com.

mod agent;
mod call;
mod chat;
mod completion;
mod filter;
mod lifecycle;
mod list;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::Core;
use crate::faults::{self, Fault, FaultMode, Subject};
use crate::operation::{Operation, Service};
use crate::world::World;

pub use agent::{AgentRule, ReplyRule, UserTurn, WordAnswer};
use call::Call;
pub use chat::{Chat, ChatStatus};

/// An error, with the body common to all Retell errors.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RetellError {
    status: StatusCode,
    message: String,
}

impl RetellError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn bad_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Invalid request format, please check API reference.")
    }

    /// Not in Retell's pages, but reported by three independent clients, for completions and for end-chat.
    fn already_ended() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Chat already ended")
    }

    /// "Not found" is 422 at Retell.
    fn no_asset() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Cannot find requested asset under given api key.")
    }

    fn of_fault(fault: &Fault) -> Self {
        let status = faults::status_of(fault, StatusCode::INTERNAL_SERVER_ERROR);
        let usual = match status.as_u16() {
            400 => "Invalid request format, please check API reference.",
            401 => "API key is missing or invalid.",
            402 => "Trial has ended, please add payment method.",
            403 => "Forbidden",
            404 => "The requested resource was not found.",
            422 => "Cannot find requested asset under given api key.",
            429 => "Account rate limited, please throttle your requests.",
            _ => "An unexpected server error occurred.",
        };
        Self { status, message: fault.message.clone().unwrap_or_else(|| usual.to_owned()) }
    }
}

impl IntoResponse for RetellError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"status": "error", "message": self.message}))).into_response()
    }
}

/// `/retell/…`.
pub(crate) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(error) => return error.into_response(),
    };
    let operation = operation(&call);
    let (refused, fault) = core.change(|world| {
        world.record.count_call(operation.key());
        let mut subject = Subject::new(Service::Retell, operation);
        subject.chat = call.chat_id().map(str::to_owned);
        let of_chat =
            || subject.chat.as_ref().and_then(|chat| world.chats.get(chat)).map(|chat| chat.agent.clone());
        subject.agent = call.agent_id().map(str::to_owned).or_else(of_chat);
        let chat = subject.chat.as_ref().and_then(|chat| world.chats.get(chat));
        let refused = refused(world, call.key.as_deref(), subject.agent.as_deref(), chat);
        let fault = if refused.is_none() { world.faults.strike(&subject) } else { None };
        (refused, fault)
    });
    if let Some(refused) = refused {
        return refused.into_response();
    }
    let Some(fault) = fault else { return perform(core, call, operation).await };
    let shared = Arc::clone(&core);
    core.see_through(async move {
        if fault.mode == FaultMode::Partial {
            let work = async { completion::store_turn_only(&shared, &call).into_response() };
            return faults::play(fault, work, |fault| RetellError::of_fault(fault).into_response()).await;
        }
        let work = perform(shared, call, operation);
        faults::play(fault, work, |fault| RetellError::of_fault(fault).into_response()).await
    })
    .await
}

/// A key sees the agents of its own workspace, and the chats that were opened there. Another key of the same workspace takes the
/// place of one that is no longer known.
fn refused(
    world: &World,
    key: Option<&str>,
    agent: Option<&str>,
    chat: Option<&Chat>,
) -> Option<RetellError> {
    let settings = &world.settings.retell;
    let key = key.filter(|key| *key == settings.api_key || settings.workspaces.contains_key(*key));
    let Some(key) = key else {
        return Some(RetellError::new(StatusCode::UNAUTHORIZED, "API key is missing or invalid."));
    };
    let is_known = |key: &str| key == settings.api_key || settings.workspaces.contains_key(key);
    let is_elsewhere = match chat.filter(|chat| is_known(&chat.workspace)) {
        Some(chat) => chat.workspace != key,
        None => agent.is_some_and(|agent| settings.workspace_of(agent) != key),
    };
    is_elsewhere.then(RetellError::no_asset)
}

fn operation(call: &Call) -> Operation {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (&call.method, segments.as_slice()) {
        (&Method::POST, ["create-chat"]) => Operation::CreateChat,
        (&Method::POST, ["create-chat-completion"]) => Operation::Completion,
        (&Method::GET, ["get-chat", _]) => Operation::GetChat,
        (&Method::PATCH, ["end-chat", _]) => Operation::EndChat,
        (&Method::PATCH, ["update-chat", _]) => Operation::UpdateChat,
        (&Method::DELETE, ["delete-chat", _]) => Operation::DeleteChat,
        (&Method::GET, ["get-chat-agent", _]) => Operation::GetAgent,
        (&Method::POST, ["v3", "list-chats"]) | (&Method::GET, ["list-chat"]) => Operation::ListChats,
        _ => Operation::Unknown,
    }
}

async fn perform(core: Arc<Core>, call: Call, operation: Operation) -> Response {
    if operation == Operation::Completion {
        return completion::complete(&core, call).await;
    }
    let now = core.clock.now_ms();
    core.change(|world| {
        let done = match operation {
            Operation::CreateChat => lifecycle::create(world, &call, now),
            Operation::GetChat => lifecycle::get(world, &call, now),
            Operation::EndChat => lifecycle::end(world, &call, now),
            Operation::UpdateChat => lifecycle::update(world, &call, now),
            Operation::ListChats => list::list(world, &call, now),
            Operation::DeleteChat => lifecycle::delete(world, &call),
            Operation::GetAgent => lifecycle::agent(world, &call),
            _ => Err(RetellError::new(StatusCode::NOT_FOUND, "The requested resource was not found.")),
        };
        done.map_or_else(IntoResponse::into_response, |(status, body)| answer(status, body))
    })
}

fn answer(status: StatusCode, body: Value) -> Response {
    // 204 has no body.
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, Json(body)).into_response()
}

/// The behaviour of an agent, if the agent exists.
fn rule_of<'world>(world: &'world World, agent_id: &str) -> Option<&'world AgentRule> {
    let settings = &world.settings.retell;
    world.agents.get(agent_id).or(settings.any_agent.then_some(&settings.default_agent))
}

/// Finds a chat, and ends it if its silence timeout has passed.
fn chat_now<'world>(
    world: &'world mut World,
    call: &Call,
    now: i64,
) -> Result<&'world mut Chat, RetellError> {
    let id = call.chat_id().ok_or_else(RetellError::bad_request)?;
    let silence_ms = world
        .chats
        .get(id)
        .and_then(|chat| rule_of(world, &chat.agent))
        .map_or(agent::DEFAULT_SILENCE_MS, |rule| rule.end_chat_after_silence_ms);
    let chat = world.chats.get_mut(id).ok_or_else(RetellError::no_asset)?;
    chat.settle_silence(silence_ms, now);
    Ok(chat)
}
