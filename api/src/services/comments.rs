//! What people do with comments: answer one for everybody, or hide it.

use super::inbox_profile::access_of_live;
use super::send::check_connected;
use crate::connect::graph::graph_problem;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{CommentId, ConnectionId};
use dmrelay_domain::split::MAX_BYTES;
use dmrelay_domain::states::{CommentKind, DeedState};
use dmrelay_store::entity::comment::Model;
use dmrelay_store::{Connection, Deed};
use std::time::Duration;

/// Time beside the call to Meta, after which nobody knows what became of it.
const MARGIN: Duration = Duration::from_secs(30);

/// What is done with a comment.
pub(crate) enum Wanted<'a> {
    /// Everybody sees this reply.
    Reply(&'a str),
    /// Nobody sees the comment any more.
    Hide,
}

/// Checks the text of a public reply.
pub(crate) fn checked_reply(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.len() > MAX_BYTES {
        return Err(format!("must be 1 to {MAX_BYTES} bytes of text"));
    }
    Ok(())
}

/// Does it with a comment of one of these accounts, and gives the comment as it is then.
///
/// # Errors
/// 404 if they have none of this id; 409 if the account cannot, or it was done, or is under way; 422 for a text that cannot be; what Meta says.
pub(crate) async fn act(
    state: &ApiState,
    connections: &[Connection],
    id: CommentId,
    (wanted, actor): (Wanted<'_>, &Actor),
) -> Result<Model, Problem> {
    let ids: Vec<ConnectionId> = connections.iter().map(|connection| connection.id).collect();
    let row = &state.store.comment(&ids, id).await?.ok_or_else(missing)?;
    let connection = connections.iter().find(|one| one.id == row.connection_id).ok_or_else(missing)?;
    check_connected(connection)?;
    if row.kind != CommentKind::Comment {
        return Err(Problem::invalid("", "only comments on posts of the account are answered and hidden"));
    }
    if let Wanted::Reply(text) = wanted {
        checked_reply(text).map_err(|what| Problem::invalid("/text", what))?;
    }
    let access = access_of_live(state, connection)?;
    let (deed, timeout) =
        (if matches!(wanted, Wanted::Hide) { Deed::Hide } else { Deed::PublicReply }, state.graph.timeout());
    let begun = state.store.begin_comment_deed(row, deed, timeout + MARGIN).await?;
    let begun = begun.ok_or_else(|| {
        let title = "This action is already done or in progress for the comment";
        Problem::new(StatusCode::CONFLICT, "comment-state", title)
    })?;
    let comment = row.comment_id.as_str();
    let done = match wanted {
        Wanted::Reply(text) => state.graph.public_reply(&access, comment, text.trim(), timeout).await,
        Wanted::Hide => state.graph.hide_comment(&access, comment, timeout).await,
    };
    let to = match &done {
        Ok(()) => Some(DeedState::Done),
        Err(err) if err.class == FailureClass::Ambiguous => Some(DeedState::Unknown),
        Err(_) => Some(DeedState::Failed),
    };
    state.store.end_comment_deed(begun, to, (connection, actor)).await?;
    done.map_err(|err| graph_problem(&err))?;
    state.store.comment(&[connection.id], row.id).await?.ok_or_else(missing)
}

pub(crate) fn missing() -> Problem {
    Problem::not_found("there is no comment with that commentId")
}
