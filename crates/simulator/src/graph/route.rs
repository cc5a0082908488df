//! The operation of a call, its object, and its account.

use axum::http::Method;

use super::call::Call;
use super::errors::GraphError;
use super::{accounts, tokens};
use crate::login;
use crate::operation::Operation;
use crate::world::World;

/// A parsed call.
pub(super) struct Routed {
    pub(super) operation: Operation,
    /// The professional account the token is for. None: it is a person's, or there is none.
    pub(super) account: Option<String>,
    /// The customer concerned, if already known.
    pub(super) user: Option<String>,
    /// The object in the path, if it is not the account.
    pub(super) object: String,
}

/// The operation as far as the path determines it: an edge of an account. `None`: a node, or an unknown path.
pub(super) fn edge(call: &Call) -> Option<Operation> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let is_action = call.body.get("sender_action").is_some();
    Some(match (&call.method, segments.as_slice()) {
        (&Method::GET, ["refresh_access_token"]) => Operation::RefreshToken,
        (&Method::GET, ["access_token"]) => Operation::ExchangeToken,
        (&Method::GET, [_, "permissions"]) => Operation::Permissions,
        (&Method::POST, [_, "subscribed_apps"]) => Operation::Subscribe,
        (&Method::GET, [_, "subscribed_apps"]) => Operation::Subscriptions,
        (&Method::DELETE, [_, "subscribed_apps"]) => Operation::Unsubscribe,
        (&Method::POST, [_, "messages"]) if is_action => Operation::SenderAction,
        (&Method::POST, [_, "messages"]) => Operation::Send,
        (&Method::POST, [_, "message_attachments"]) => Operation::Upload,
        (&Method::GET, [_, "thread_owner"]) => Operation::ThreadOwner,
        (&Method::POST, [_, "take_thread_control"]) => Operation::TakeThread,
        (&Method::POST, [_, "release_thread_control"]) => Operation::ReleaseThread,
        (&Method::POST, [_, "pass_thread_control"]) => Operation::PassThread,
        (&Method::POST, [_, "messenger_profile"]) => Operation::SetProfile,
        (&Method::GET, [_, "messenger_profile"]) => Operation::GetProfile,
        (&Method::DELETE, [_, "messenger_profile"]) => Operation::DeleteProfile,
        (&Method::GET, [_, "conversations"]) => Operation::Conversations,
        (&Method::GET, ["me"]) => Operation::Me,
        _ => return None,
    })
}

/// Determines the operation and the account.
pub(super) fn route(world: &World, call: &Call, now: i64) -> Result<Routed, GraphError> {
    if let Some(operation) = login::operation(world, call) {
        return Ok(Routed { operation, account: None, user: None, object: String::new() });
    }
    let account = tokens::account_of(world, call, now)?;
    let id = call.segments.first().map(String::as_str).unwrap_or_default();
    let routed = |operation, user: Option<&str>| Routed {
        operation,
        account: Some(account.id.clone()),
        user: user.map(str::to_owned),
        object: id.to_owned(),
    };
    if let Some(comment) = world.comments.get(id).filter(|comment| comment.account == account.id) {
        let is_read = call.method == Method::GET;
        let operation = if is_read { Operation::Comment } else { Operation::ModerateComment };
        return Ok(routed(operation, Some(&comment.user)));
    }
    let own = call.segments.len() < 2 || accounts::is_sender(account, id);
    match edge(call) {
        Some(Operation::Me) => Ok(routed(Operation::Me, None)),
        Some(operation @ (Operation::Send | Operation::SenderAction)) if own => {
            Ok(routed(operation, call.body["recipient"]["id"].as_str()))
        }
        Some(Operation::Conversations) if own => Ok(routed(Operation::Conversations, call.query("user_id"))),
        Some(operation) if own => Ok(routed(operation, None)),
        None if call.method == Method::GET => {
            if call.segments.len() == 1 && accounts::node(account, id).is_some() {
                return Ok(routed(Operation::Me, None));
            }
            let (operation, user) = node(world, &account.id, call)?;
            Ok(routed(operation, Some(&user)))
        }
        _ => Err(GraphError::no_object(call.method.as_str(), id)),
    }
}

/// A conversation, a message or a user: Graph's ids do not distinguish them.
fn node(world: &World, account: &str, call: &Call) -> Result<(Operation, String), GraphError> {
    let own = |thread: Option<&crate::world::thread::ThreadKey>| {
        thread.filter(|key| key.account == account).map(|key| key.user.clone())
    };
    let found = match call.segments.as_slice() {
        [id] if world.mids.contains_key(id) => own(world.mids.get(id)).map(|user| (Operation::Message, user)),
        [id] if id.bytes().all(|byte| byte.is_ascii_digit()) => Some((Operation::Profile, id.clone())),
        [id] => own(world.conversations.get(id)).map(|user| (Operation::Conversation, user)),
        [id, edge] if edge == "messages" => {
            own(world.conversations.get(id)).map(|user| (Operation::Conversation, user))
        }
        _ => None,
    };
    let id = call.segments.first().map(String::as_str).unwrap_or_default();
    found.ok_or_else(|| GraphError::no_object(call.method.as_str(), id))
}
