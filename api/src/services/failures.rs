//! What failed for good: replaying it, or leaving it.

use crate::problem::{Problem, ValidationErrors};
use crate::routes::{ids, paging};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::DeadLetterId;
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{Connection, Replay};
use serde_json::Value;

/// Checks as JSON which dead letters to replay.
pub(crate) fn check_json(value: &Value, errors: &mut ValidationErrors) {
    let is_given = |name: &str| !value[name].is_null();
    if is_given("ids")
        && ["class", "kind", "createdBefore", "limit", "cursor"].iter().any(|name| is_given(name))
    {
        errors.at("/ids", "cannot be combined with class, kind, createdBefore, limit or cursor");
    }
}

/// Checks where a replay goes on.
pub(crate) fn checked_cursor(text: &str) -> Result<(), String> {
    match paging::id_of::<DeadLetterId>(text) {
        Some(_) => Ok(()),
        None => Err("must be a nextCursor of this call".to_owned()),
    }
}

/// A dead letter of one of these connections.
///
/// # Errors
/// 404 if there is none with this id.
pub(crate) async fn find(
    state: &ApiState,
    connections: &[Connection],
    id: DeadLetterId,
) -> Result<dead_letter::Model, Problem> {
    let letter = state.store.dead_letter(&ids(connections), id).await?;
    letter.ok_or_else(|| Problem::not_found("there is no dead letter with that id here"))
}

/// Replays a dead letter, or without an actor says what would become of it.
pub(crate) async fn replay(
    state: &ApiState,
    connections: &[Connection],
    letter: &dead_letter::Model,
    actor: Option<&Actor>,
) -> Result<Replay, Problem> {
    let connection = connections.iter().find(|one| Some(one.id) == letter.connection_id);
    let Some(connection) = connection else { return Ok(Replay::Refused("its connection is gone")) };
    Ok(match actor {
        Some(actor) => state.store.replay(letter, connection, actor).await?,
        None => state.store.foresee_replay(letter, connection).await?,
    })
}

/// Why a replay did not happen; `None` if it did.
pub(crate) fn hindrance(replay: &Replay) -> Option<&'static str> {
    match replay {
        Replay::Replayed => None,
        Replay::NotOpen => Some("it was already replayed or discarded"),
        Replay::Refused(why) => Some(why),
    }
}

/// The problem of a dead letter that is closed.
pub(crate) fn not_open() -> Problem {
    Problem::new(StatusCode::CONFLICT, "not-open", "The dead letter was already replayed or discarded")
}
