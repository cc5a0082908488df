//! Chats as an inbox shows them.

use crate::problem::Problem;
use crate::routes::paging;
use crate::state::ApiState;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, MediaId};
use dmrelay_store::entity::chat;
use dmrelay_store::{ChatFilter, ChatSummary, Connection, Page};
use dmrelay_views::ChatView;
use std::collections::HashMap;

/// A page of chats, most recent first, as `reader` sees them.
///
/// # Errors
/// 422 if a search takes too long.
pub(crate) async fn page(
    state: &ApiState,
    reader: &Actor,
    filter: ChatFilter,
) -> Result<Page<ChatView, (Millis, ChatId)>, Problem> {
    let filter = ChatFilter { search_time: state.options.limits.search_timeout, ..filter };
    let page = state.store.chats(&filter).await;
    let page = page.map_err(|err| paging::search_problem(filter.is_search(), err))?;
    let shown = Shown::of(state, reader, &page.items).await?;
    Ok(page.map(|row| shown.view(row)))
}

/// What is shown of chats beside their rows.
struct Shown {
    summaries: HashMap<ChatId, ChatSummary>,
    /// The copies of the customers' pictures.
    pictures: HashMap<ChatId, MediaId>,
    connections: HashMap<ConnectionId, Connection>,
    now: Millis,
}

impl Shown {
    async fn of(state: &ApiState, reader: &Actor, chats: &[chat::Model]) -> dmrelay_store::Result<Self> {
        let ids: Vec<ChatId> = chats.iter().map(|chat| chat.id).collect();
        Ok(Self {
            pictures: state.store.profile_pictures(&ids).await?,
            summaries: state.store.chat_summaries(&ids, reader.key()).await?,
            connections: state.store.connections_named(chats.iter().map(|chat| chat.connection_id)).await?,
            now: state.clock.now(),
        })
    }

    fn view(&self, row: &chat::Model) -> ChatView {
        let summary = self.summaries.get(&row.id).cloned().unwrap_or_default();
        let view = ChatView::of(row, &summary, self.connections.get(&row.connection_id), self.now);
        ChatView { picture_media_id: self.pictures.get(&row.id).map(|id| id.0), ..view }
    }
}

/// The view of one chat.
pub(crate) async fn view(
    state: &ApiState,
    reader: &Actor,
    row: &chat::Model,
) -> dmrelay_store::Result<ChatView> {
    Ok(Shown::of(state, reader, std::slice::from_ref(row)).await?.view(row))
}
