//! `POST /{id}/messages` with a sender action (Meta, "Sender actions").

use serde_json::{Value, json};

use super::accounts::need;
use super::call::Call;
use super::errors::GraphError;
use super::send::{WINDOW_MS, reachable, unknown_user};
use crate::record::SenderAction;
use crate::world::World;
use crate::world::thread::ThreadKey;

/// Assumptions: the response has only `recipient_id`, and no window is needed unless configured.
pub(crate) fn act(world: &mut World, account: &str, call: &Call, now: i64) -> Result<Value, GraphError> {
    if let Some(account) = world.accounts.get(account) {
        need(account, account.messaging_permission())?;
    }
    let body = &call.body;
    if body.get("message").is_some() {
        return Err(GraphError::new(100, "(#100) A sender_action stands in a call of its own."));
    }
    let user = body["recipient"]["id"].as_str().unwrap_or_default();
    let key = ThreadKey::new(account, user);
    let needs_window = world.settings.graph.sender_actions_need_window;
    let thread = world.threads.get_mut(&key).ok_or_else(unknown_user)?;
    reachable(thread)?;
    if needs_window && thread.opened_ms.is_none_or(|opened| now - opened > WINDOW_MS) {
        return Err(GraphError::window_closed());
    }
    let action = body["sender_action"].as_str().unwrap_or_default();
    let mid = match action {
        "typing_on" | "typing_off" | "mark_seen" => None,
        "react" | "unreact" => {
            let mid = body["payload"]["message_id"].as_str().unwrap_or_default();
            let message = thread
                .message_mut(mid)
                .ok_or_else(|| GraphError::new(100, "(#100) The message reacted to does not exist."))?;
            if action == "unreact" {
                message.reactions.remove(account);
            } else {
                let reaction = body["payload"]["reaction"].as_str().filter(|reaction| !reaction.is_empty());
                let reaction =
                    reaction.ok_or_else(|| GraphError::new(100, "(#100) A reaction is required."))?;
                message.reactions.insert(account.to_owned(), reaction.to_owned());
            }
            Some(mid.to_owned())
        }
        _ => return Err(GraphError::new(100, "(#100) Param sender_action is not valid.")),
    };
    if world.settings.keep_records {
        world.record.sender_actions.push(SenderAction {
            account: account.to_owned(),
            user: user.to_owned(),
            action: action.to_owned(),
            mid,
            at: now,
        });
    }
    Ok(json!({"recipient_id": user}))
}
