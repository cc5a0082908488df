//! Who answers in a chat.

use crate::problem::Problem;
use crate::settings::TAKEOVER_MAX;
use crate::state::ApiState;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::ChatId;
use dmrelay_store::Connection;
use dmrelay_store::entity::chat;
use std::time::Duration;

/// A human takes over a chat for so many hours, or for as long as the connection's settings say.
///
/// # Errors
/// 422 if that is too short or too long.
pub(crate) async fn take_over(
    state: &ApiState,
    connection: &Connection,
    chat: ChatId,
    actor: &Actor,
    hours: Option<u32>,
) -> Result<chat::Model, Problem> {
    if hours.is_some_and(|hours| !(1..=TAKEOVER_MAX).contains(&hours)) {
        return Err(Problem::invalid("/hours", format!("must be 1 to {TAKEOVER_MAX}")));
    }
    let hours = hours.or(connection.settings.takeover_hours);
    let pause = Duration::from_hours(hours.unwrap_or(state.options.defaults.takeover_hours).into());
    state.store.take_over_chat(connection, chat, actor, pause).await?.ok_or_else(gone)
}

/// The agent answers in a chat again.
pub(crate) async fn release(
    state: &ApiState,
    connection: &Connection,
    chat: ChatId,
    actor: &Actor,
) -> Result<chat::Model, Problem> {
    state.store.release_chat(connection, chat, actor).await?.ok_or_else(gone)
}

fn gone() -> Problem {
    Problem::not_found("the chat is gone")
}
