//! `GET /console/chats/{chatId}/trace`: what happened to a message, from the webhook to the customer's eyes.

use super::visitor::{Visitor, wants_page};
use super::{html, pages, shown_in, trouble};
use crate::extract::Params;
use crate::problem::Problem;
use crate::routes::ids;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use dmrelay_console::{Markup, Trace};
use dmrelay_domain::ids::{ChatId, MessageId};
use dmrelay_domain::permission::Permission;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    message: Uuid,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(chat): Path<Uuid>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Response {
    if wants_page(&headers) {
        let inbox = format!("/console/inbox?chat={chat}&message={}", query.message);
        return shown_in(&inbox, &format!("/console/chats/{chat}/trace?message={}", query.message));
    }
    let found = of_message(&state, &visitor, (ChatId(chat), MessageId(query.message)));
    found.await.map_or_else(|problem| trouble(&problem), html)
}

async fn of_message(
    state: &ApiState,
    visitor: &Visitor,
    (chat, id): (ChatId, MessageId),
) -> Result<Markup, Problem> {
    visitor.require(Permission::Read)?;
    let connections = ids(&state.store.connections(&visitor.subaccount, None).await?);
    let chat = pages::find(state, &connections, chat).await?;
    let message = state.store.message(id).await?.filter(|message| message.chat_id == chat.id);
    let message = message.ok_or_else(|| Problem::not_found("this conversation has no such message"))?;
    let (rows, turns) = match message.turn_id {
        Some(turn) => (
            state.store.messages_of_turn(chat.id, turn).await?,
            state.store.turns_of_messages(chat.id, &[turn]).await?,
        ),
        None => (vec![message.clone()], Vec::new()),
    };
    let entries = dmrelay_views::timeline(&rows, &turns, &[]);
    let trace = message.trace_id.map(|trace| trace.to_string());
    let attempts = rows.iter().map(|row| row.attempt).max().unwrap_or_default();
    Ok(dmrelay_console::trace(&Trace { entries: &entries, id: trace.as_deref(), attempts, message: id.0 }))
}
