//! Somebody reads a conversation.

use super::inbox_profile::access_of_live;
use crate::problem::Problem;
use crate::state::ApiState;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{InstagramUserId, MessageId};
use dmrelay_domain::states::ChatMode;
use dmrelay_instagram::SenderAction;
use dmrelay_store::entity::chat;

/// Marks a chat as read, up to a message or as a whole. In a conversation that people answer, the customer sees that it was seen, if who
/// reads may answer: the agent shows it itself. False if the chat has no such message.
///
/// # Errors
/// What the database says.
pub(crate) async fn read(
    state: &ApiState,
    row: &chat::Model,
    (reader, may_answer): (&Actor, bool),
    up_to: Option<MessageId>,
) -> Result<bool, Problem> {
    let is_theirs = may_answer && row.mode.known() == Some(ChatMode::Human);
    let is_news = is_theirs && state.store.read_up_to(row.id, reader.key()).await? < row.last_seq;
    let is_read = state.store.mark_read(row, reader.key(), up_to).await?;
    if is_read && is_news {
        let (state, row) = (state.clone(), row.clone());
        // Nobody waits for it, and nothing depends on it.
        tokio::spawn(async move {
            if let Err(problem) = show_seen(&state, &row).await {
                tracing::debug!(chat = %row.id, error = problem.told(), "cannot show that a message was seen");
            }
        });
    }
    Ok(is_read)
}

async fn show_seen(state: &ApiState, row: &chat::Model) -> Result<(), Problem> {
    let connection = state.store.connection_by_id(row.connection_id).await?;
    let Some(connection) = connection.filter(|connection| connection.settings.typing != Some(false)) else {
        return Ok(());
    };
    let user = InstagramUserId::parse(&row.instagram_user_id)
        .map_err(|_| Problem::not_found("the chat's customer cannot be read"))?;
    let access = access_of_live(state, &connection)?;
    let seen = state.graph.act(&access, &user, SenderAction::MarkSeen).await;
    seen.map_err(|err| crate::connect::graph::graph_problem(&err))
}
