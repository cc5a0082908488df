//! `POST /{id}/messages` with a message.

use serde_json::{Value, json};

use super::accounts::{need, need_message_access};
use super::call::Call;
use super::compose::{Composed, compose};
use super::errors::GraphError;
use super::{Outcome, limits};
use crate::record::Sent;
use crate::webhook::{Item, Update};
use crate::world::World;
use crate::world::account::{Account, LoginKind};
use crate::world::thread::{Author, Message, Thread, ThreadKey};

const HOUR_MS: i64 = 3_600_000;
/// Meta, "Messaging API": 24 hours from the person's last message.
pub(super) const WINDOW_MS: i64 = 24 * HOUR_MS;
/// Meta, "Human agent": 7 days, for answers by human agents.
const HUMAN_AGENT_WINDOW_MS: i64 = 7 * 24 * HOUR_MS;
/// Meta, "Private replies": 7 days from the comment.
const PRIVATE_REPLY_MS: i64 = 7 * 24 * HOUR_MS;

/// The recipient of a message, once it is allowed.
struct Recipient {
    key: ThreadKey,
    comment_id: Option<String>,
}

pub(crate) fn send(world: &mut World, account: &str, call: &Call, now: i64) -> Result<Outcome, GraphError> {
    if let Some(account) = world.accounts.get(account) {
        need_messaging(account)?;
    }
    limits::send(world, account, now)?;
    let tag = tag(world, account, &call.body)?;
    let message = &call.body["message"];
    let composed = compose(message)?;
    check_uploads(world, account, message)?;
    let is_product = message["attachment"]["payload"]["template_type"] == "product";
    if is_product && world.accounts.get(account).is_some_and(|account| account.login != LoginKind::Facebook) {
        return Err(GraphError::sub(
            100,
            2_018_320,
            "(#100) Product templates need a Page with a catalogue.",
        ));
    }
    let recipient = recipient(world, account, &call.body["recipient"], (tag.is_some(), now))?;
    if let Some(mid) = call.body["reply_to"]["mid"].as_str()
        && world.threads.get(&recipient.key).is_none_or(|thread| thread.message(mid).is_none())
    {
        return Err(GraphError::new(100, "(#100) The message replied to does not exist."));
    }
    let reply_to = call.body["reply_to"]["mid"].as_str().map(str::to_owned);
    Ok(accept(world, recipient, composed, Details { message, tag, reply_to, now }))
}

/// What sending needs of an account.
pub(super) fn need_messaging(account: &Account) -> Result<(), GraphError> {
    need(account, account.messaging_permission())?;
    need_message_access(account)
}

/// Uploads are sent by the account that has them, as what they are. Assumption: the code of others.
fn check_uploads(world: &World, account: &str, message: &Value) -> Result<(), GraphError> {
    let one = message.get("attachment").into_iter();
    for attachment in one.chain(message["attachments"].as_array().into_iter().flatten()) {
        let Some(id) = attachment["payload"]["attachment_id"].as_str() else { continue };
        let is_known = world
            .uploads
            .get(id)
            .is_some_and(|one| one.account == account && attachment["type"] == *one.kind);
        if !is_known {
            return Err(GraphError::sub(100, 2_018_008, "(#100) Attachment failure: no such attachment_id."));
        }
    }
    Ok(())
}

/// The record of an accepted send.
struct Details<'a> {
    message: &'a Value,
    tag: Option<String>,
    reply_to: Option<String>,
    now: i64,
}

fn accept(world: &mut World, recipient: Recipient, composed: Composed, details: Details<'_>) -> Outcome {
    let Recipient { key, comment_id } = recipient;
    let Composed { text, attachments } = composed;
    let mut held = Message::new(Author::Api, details.now);
    held.reply_to.clone_from(&details.reply_to);
    held.text.clone_from(&text);
    held.attachments.clone_from(&attachments);
    held.quick_replies = details.message["quick_replies"].as_array().cloned().unwrap_or_default();
    let mid = held.mid.clone();
    world.add_message(&key, held);
    if let Some(waited) = world.open_thread(&key).waiting_since.take() {
        world.record.reply_latency.add_micros(waited.elapsed().as_micros());
    }
    world.record.send_count += 1;
    if world.settings.keep_records {
        world.record.sends.push(Sent {
            mid: mid.clone(),
            account: key.account.clone(),
            user: key.user.clone(),
            text: text.clone(),
            message: details.message.clone(),
            at: details.now,
            tag: details.tag,
            comment_id,
        });
    }
    let echo = echo(&key, &mid, (text, attachments, details.reply_to), details.now);
    Outcome { body: json!({"recipient_id": key.user, "message_id": mid}), echo: Some(echo) }
}

/// The webhook with the echo of our own message: no `app_id` on Instagram (chatwoot #10341).
fn echo(
    key: &ThreadKey,
    mid: &str,
    (text, attachments, reply_to): (Option<String>, Vec<Value>, Option<String>),
    now: i64,
) -> Update {
    let mut message = json!({"mid": mid, "is_echo": true});
    if let Some(text) = text {
        message["text"] = json!(text);
    }
    if !attachments.is_empty() {
        message["attachments"] = json!(attachments);
    }
    if let Some(mid) = reply_to {
        message["reply_to"] = json!({"mid": mid});
    }
    let item = Item::new(&key.account, &key.user, now).with("message", message);
    let update = Update::item(&key.account, Some(&key.user), "messages", &item);
    Update { mid: Some(mid.to_owned()), entry_time_ms: now, ..update }
}

/// `HUMAN_AGENT` or none: the other tags give code 100 since April 2026.
fn tag(world: &World, account: &str, body: &Value) -> Result<Option<String>, GraphError> {
    match body["messaging_type"].as_str() {
        None | Some("RESPONSE" | "UPDATE") => {}
        Some("MESSAGE_TAG") if body["tag"].is_string() => {}
        Some("MESSAGE_TAG") => return Err(GraphError::new(100, "(#100) A message tag is required.")),
        Some(_) => return Err(GraphError::new(100, "(#100) Param messaging_type is not valid.")),
    }
    match body["tag"].as_str() {
        None => Ok(None),
        Some("HUMAN_AGENT") => {
            if let Some(account) = world.accounts.get(account) {
                need(account, "human_agent")?;
            }
            Ok(Some("HUMAN_AGENT".to_owned()))
        }
        Some(other) => Err(GraphError::new(100, format!("(#100) The message tag {other} is not supported."))),
    }
}

fn recipient(
    world: &mut World,
    account: &str,
    recipient: &Value,
    (human_agent, now): (bool, i64),
) -> Result<Recipient, GraphError> {
    if let Some(comment_id) = recipient["comment_id"].as_str() {
        let user = private_reply(world, account, comment_id, now)?;
        return Ok(Recipient {
            key: ThreadKey::new(account, &user),
            comment_id: Some(comment_id.to_owned()),
        });
    }
    let Some(user) = recipient["id"].as_str() else {
        return Err(GraphError::new(100, "(#100) The parameter recipient is required."));
    };
    let key = ThreadKey::new(account, user);
    let thread = world.threads.get(&key).ok_or_else(unknown_user)?;
    reachable(thread)?;
    let open_for = if human_agent { HUMAN_AGENT_WINDOW_MS } else { WINDOW_MS };
    if thread.opened_ms.is_none_or(|opened| now - opened > open_for) {
        return Err(GraphError::window_closed());
    }
    Ok(Recipient { key, comment_id: None })
}

/// One message per comment, within 7 days. Assumption: the error codes.
fn private_reply(world: &mut World, account: &str, comment_id: &str, now: i64) -> Result<String, GraphError> {
    let permitted = world.accounts.get(account).is_none_or(|account| {
        account.may("instagram_business_manage_comments") || account.may("instagram_manage_comments")
    });
    if !permitted {
        return Err(GraphError::sub(
            200,
            2_534_066,
            "(#200) The app is missing the scope for private replies.",
        ));
    }
    match world.comments.get_mut(comment_id).filter(|comment| comment.account == account) {
        None => Err(GraphError::sub(100, 2_534_025, "(#100) The comment does not exist.")),
        Some(comment) if comment.user == account => {
            Err(GraphError::sub(100, 2_534_025, "(#100) The comment is your own."))
        }
        Some(comment) if comment.replied => {
            Err(GraphError::new(10900, "(#10900) Activity already replied to"))
        }
        Some(comment) if now - comment.at > PRIVATE_REPLY_MS => {
            Err(GraphError::sub(10904, 1_893_050, "(#10904) The comment is too old to reply to"))
        }
        Some(comment) => {
            comment.replied = true;
            Ok(comment.user.clone())
        }
    }
}

pub(super) fn reachable(thread: &Thread) -> Result<(), GraphError> {
    if thread.person.unavailable {
        return Err(GraphError::sub(551, 1_545_041, "(#551) This person isn't available right now."));
    }
    if thread.person.standby {
        return Err(GraphError::sub(
            10,
            2_018_300,
            "(#10) The thread owner has archived or another app is controlling this thread now.",
        ));
    }
    Ok(())
}

pub(super) fn unknown_user() -> GraphError {
    GraphError::sub(100, 2_534_014, "(#100) The requested user cannot be found.")
}
