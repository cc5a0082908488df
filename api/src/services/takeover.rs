//! Who answers in a chat.

use crate::problem::{Problem, ValidationErrors};
use crate::settings::TAKEOVER_MAX;
use crate::state::ApiState;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::{Pause, Policy};
use dmrelay_domain::ids::ChatId;
use dmrelay_store::Connection;
use dmrelay_store::entity::chat;
use serde_json::Value;
use std::time::Duration;

/// How long a person wants to have a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// As long as the connection's settings say.
    Usual,
    /// So many hours.
    Hours(u32),
    /// Until it is released.
    UntilReleased,
}

impl For {
    /// What a call asks for: until it is released, or so many hours if it names some.
    pub(crate) fn asked(hours: Option<u32>, until_released: bool) -> Self {
        if until_released { Self::UntilReleased } else { hours.map_or(Self::Usual, Self::Hours) }
    }
}

/// Checks a takeover as JSON.
pub(crate) fn check_json(value: &Value, errors: &mut ValidationErrors) {
    if value["untilReleased"] == true && !value["hours"].is_null() {
        errors.at("/hours", "must be left out if untilReleased is true");
    }
}

/// How long takeovers of a connection usually last.
pub(crate) fn policy(state: &ApiState, connection: &Connection) -> Policy {
    let hours = connection.settings.takeover_hours.unwrap_or(state.options.defaults.takeover_hours);
    Policy { takeover: millis(Duration::from_hours(hours.into())), ..Policy::default() }
}

/// A human takes over a chat.
///
/// # Errors
/// 422 if that is too short or too long.
pub(crate) async fn take_over(
    state: &ApiState,
    connection: &Connection,
    chat: ChatId,
    actor: &Actor,
    lasts: For,
) -> Result<chat::Model, Problem> {
    let hours = |hours: u32| Pause::For(millis(Duration::from_hours(hours.into())));
    let pause = match lasts {
        For::Hours(asked) if !(1..=TAKEOVER_MAX).contains(&asked) => {
            return Err(Problem::invalid("/hours", format!("must be 1 to {TAKEOVER_MAX}")));
        }
        For::Hours(asked) => hours(asked),
        For::Usual => Pause::Usual,
        For::UntilReleased => Pause::UntilReleased,
    };
    state
        .store
        .take_over_chat(connection, chat, actor, (pause, policy(state, connection)))
        .await?
        .ok_or_else(gone)
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
