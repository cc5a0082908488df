//! `POST /create-chat-completion`: a user's turn and the agent's answer. Nothing is deduplicated.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::agent::{self, AgentRule, UserTurn};
use super::call::Call;
use super::chat::ChatStatus;
use super::{RetellError, chat_now, rule_of};
use crate::engine::Core;
use crate::record::Completion;
use crate::world::World;

/// A turn that was accepted and is being answered.
struct Turn {
    chat: String,
    content: String,
    rule: AgentRule,
}

/// Accepts the turn, waits, answers: to the end, whether or not the caller waits.
pub(super) async fn complete(core: &Arc<Core>, call: Call) -> Response {
    let turn = match core.change(|world| begin(world, &call, core.clock.now_ms())) {
        Ok(turn) => turn,
        Err(error) => return error.into_response(),
    };
    if turn.rule.latency_ms == 0 {
        return finish(core, &turn);
    }
    let shared = Arc::clone(core);
    core.see_through(async move {
        tokio::time::sleep(Duration::from_millis(turn.rule.latency_ms)).await;
        finish(&shared, &turn)
    })
    .await
}

/// Accepts the turn without answering it: generation failed.
pub(super) fn store_turn_only(core: &Core, call: &Call) -> Response {
    let now = core.clock.now_ms();
    core.change(|world| {
        let taken = begin(world, call, now);
        if let Ok(turn) = &taken
            && let Some(chat) = world.chats.get_mut(&turn.chat)
        {
            chat.in_flight = chat.in_flight.saturating_sub(1);
            if turn.rule.user_turn == UserTurn::After {
                chat.messages.extend(user_turn(&turn.content, now));
            }
        }
    });
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn begin(world: &mut World, call: &Call, now: i64) -> Result<Turn, RetellError> {
    let content = call.body["content"].as_str().ok_or_else(RetellError::bad_request)?.to_owned();
    let agent = {
        let chat = chat_now(world, call, now)?;
        match chat.status {
            ChatStatus::Ongoing => chat.agent.clone(),
            ChatStatus::Ended => return Err(RetellError::already_ended()),
            // Assumption: the response of a failed chat.
            ChatStatus::Error => {
                return Err(RetellError::new(StatusCode::BAD_REQUEST, "Chat is in error state"));
            }
        }
    };
    let rule = rule_of(world, &agent).cloned().ok_or_else(RetellError::no_asset)?;
    let chat = chat_now(world, call, now)?;
    let overlapped = chat.in_flight > 0;
    chat.in_flight += 1;
    if rule.user_turn == UserTurn::Before {
        chat.messages.extend(user_turn(&content, now));
    }
    let turn = Turn { chat: chat.id.clone(), content, rule };
    let record = &mut world.record;
    record.completion_count += 1;
    record.overlaps += u64::from(overlapped);
    if world.settings.keep_records {
        let (chat, content) = (turn.chat.clone(), turn.content.clone());
        record.completions.push(Completion { chat, agent, content, at: now, overlapped });
    }
    Ok(turn)
}

fn finish(core: &Core, turn: &Turn) -> Response {
    let now = core.clock.now_ms();
    core.change(|world| {
        let keep = world.settings.keep_records;
        let Some(chat) = world.chats.get_mut(&turn.chat) else {
            return RetellError::no_asset().into_response();
        };
        chat.in_flight = chat.in_flight.saturating_sub(1);
        if turn.rule.user_turn == UserTurn::After {
            chat.messages.extend(user_turn(&turn.content, now));
        }
        let mut answer = turn.rule.reply.messages(&turn.content, now);
        if turn.rule.ends_chat {
            answer.extend(agent::end_call(now));
        }
        if answer.iter().any(|message| message["role"] == "agent") {
            chat.last_spoke_ms = Some(now);
        }
        chat.messages.extend(answer.iter().cloned());
        if !keep {
            let excess = chat.messages.len().saturating_sub(KEPT_WITHOUT_RECORDS);
            chat.messages.drain(..excess);
        }
        if turn.rule.ends_chat && chat.status == ChatStatus::Ongoing {
            chat.end(now);
        }
        (StatusCode::CREATED, Json(json!({"messages": answer}))).into_response()
    })
}

/// Messages stored per chat if records are disabled.
const KEPT_WITHOUT_RECORDS: usize = 50;

/// Empty content asks for the opening message: it makes no user turn (field reports).
fn user_turn(content: &str, now: i64) -> Option<Value> {
    (!content.is_empty()).then(|| agent::stamped(json!({"role": "user", "content": content}), now))
}
