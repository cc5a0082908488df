//! Messages as the frontend lists them, and the messages people send.

use crate::pages::{Page, count, of_each};
use crate::query::rows;
use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, MessageId};
use dmrelay_entity::chat;
use dmrelay_entity::message::{self, Column, Entity};
use sea_orm::sea_query::SelectStatement;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QuerySelect, QueryTrait, Select,
};
use std::time::Duration;

/// Which messages to list. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of these connections; none means no message at all.
    pub connections: Vec<ConnectionId>,
    /// Of this Instagram user.
    pub user: Option<String>,
    /// Of this chat.
    pub chat: Option<ChatId>,
    /// That went this way.
    pub direction: Option<String>,
    /// In this state.
    pub status: Option<String>,
    /// Written by one of these.
    pub author: Option<String>,
    /// Whose text contains this, whatever the case of its letters.
    pub q: Option<String>,
    /// Not older than this, by Meta's time.
    pub since: Option<Millis>,
    /// Older than this, by Meta's time.
    pub until: Option<Millis>,
    /// Older than this message.
    pub before: Option<MessageId>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
    /// A search for `q` looks at no more than so many messages.
    pub search_most: u64,
    /// How long each of its statements may take.
    pub search_time: Duration,
}

/// A message with the Instagram user of its chat.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Listed {
    /// The message.
    #[sea_orm(nested)]
    pub message: message::Model,
    /// The user.
    pub instagram_user_id: String,
}

#[derive(FromQueryResult)]
struct Edge {
    id: MessageId,
}

impl MessageFilter {
    /// Whether only messages of certain chats are wanted.
    fn is_of_chats(&self) -> bool {
        self.chat.is_some() || self.user.is_some()
    }

    /// Whether many messages may have to be read to find a few.
    pub fn is_search(&self) -> bool {
        self.q.is_some()
            || self.status.is_some()
            || self.author.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }
}

impl Store {
    /// A page of messages, newest first.
    ///
    /// A search, by text or by what no index orders, looks at the newest messages only; where that ends a page early, the next page goes on with
    /// the last message looked at, and the total is that of what was looked at.
    pub async fn messages(&self, filter: &MessageFilter) -> Result<Page<Listed, MessageId>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let wanted = self.wanted(filter);
        if filter.is_search() {
            return self.search(filter, wanted).await;
        }
        let total = self.count(of_all(filter, wanted.clone())).await?;
        let items = self.list_rows(&listed(filter, before(filter, wanted))).await?;
        Ok(Page::of(items, filter.limit, total, |listed: &Listed| listed.message.id))
    }

    async fn search(
        &self,
        filter: &MessageFilter,
        wanted: Select<Entity>,
    ) -> Result<Page<Listed, MessageId>> {
        let _permit = self.list_permit().await?;
        let tx = self.begin_search(filter.search_time).await?;
        let db = tx.connection();
        let edge = rows::<Edge>(db, &search_edge(filter)).await?.first().map(|row| row.id);
        let wanted =
            before(filter, wanted).apply_if(edge, |select, edge| select.filter(Column::Id.gte(edge)));
        let mut total = count(db, of_all(filter, wanted.clone())).await?;
        total.is_exact &= edge.is_none() && filter.before.is_none();
        let items = rows(db, &listed(filter, wanted)).await?;
        let mut page = Page::of(items, filter.limit, total, |listed: &Listed| listed.message.id);
        page.next = page.next.or(edge);
        Ok(page)
    }

    /// What a message must be, wherever the page begins.
    fn wanted(&self, filter: &MessageFilter) -> Select<Entity> {
        of_chats(filter)
            .filter(Column::Kind.ne("stub"))
            .apply_if(filter.direction.as_deref(), |select, way| select.filter(Column::Direction.eq(way)))
            .apply_if(filter.status.as_deref(), |select, status| select.filter(Column::Status.eq(status)))
            .apply_if(filter.author.as_deref(), |select, author| select.filter(Column::Author.eq(author)))
            .apply_if(filter.since, |select, since| select.filter(Column::At.gte(since)))
            .apply_if(filter.until, |select, until| select.filter(Column::At.lt(until)))
            .apply_if(filter.q.as_deref(), |select, q| {
                select.filter(self.dialect.contains(Column::Text.into_expr(), q))
            })
    }

    /// The message a client sent before under the same key.
    pub async fn message_by_key(
        &self,
        connection: ConnectionId,
        key: &str,
    ) -> Result<Option<message::Model>> {
        let message =
            Entity::find().filter(Column::ConnectionId.eq(connection)).filter(Column::IdempotencyKey.eq(key));
        Ok(message.one(&self.reader()).await?)
    }

    /// Counts the messages of a chat from this one to the newest, up to `most`; 0 if it belongs to another chat.
    pub async fn messages_from(&self, chat: ChatId, id: MessageId, most: u64) -> Result<u64> {
        let of_chat = Entity::find().filter(Column::ChatId.eq(chat)).filter(Column::Kind.ne("stub"));
        let is_there = of_chat.clone().filter(Column::Id.eq(id)).count(&self.reader()).await? > 0;
        if !is_there {
            return Ok(0);
        }
        let newer = of_chat.filter(Column::Id.gte(id)).select_only().column(Column::Id).limit(most);
        Ok(newer.into_tuple::<MessageId>().all(&self.reader()).await?.len() as u64)
    }

    /// A message by its id.
    pub async fn message(&self, id: MessageId) -> Result<Option<message::Model>> {
        Ok(Entity::find_by_id(id).one(&self.reader()).await?)
    }
}

/// The page and one message more.
fn listed(filter: &MessageFilter, wanted: Select<Entity>) -> SelectStatement {
    let wanted = wanted.column(chat::Column::InstagramUserId);
    newest_of_each(filter, &wanted, (filter.limit.saturating_add(1), filter.skip))
}

/// The last of the newest messages that a search may look at; none where it may look at all of them.
fn search_edge(filter: &MessageFilter) -> SelectStatement {
    // Without a table more than is needed, so that the index alone is read.
    let select = if filter.is_of_chats() { of_chats(filter) } else { Entity::find() };
    let looked_at = before(filter, select).select_only().column(Column::Id);
    newest_of_each(filter, &looked_at, (1, filter.search_most.saturating_sub(1)))
}

/// The messages of the chats that are wanted, with their chats.
fn of_chats(filter: &MessageFilter) -> Select<Entity> {
    Entity::find()
        .inner_join(chat::Entity)
        .apply_if(filter.chat, |select, chat| select.filter(chat::Column::Id.eq(chat)))
        .apply_if(filter.user.as_deref(), |select, user| {
            select.filter(chat::Column::InstagramUserId.eq(user))
        })
}

/// Those that are on the page and after it.
fn before(filter: &MessageFilter, select: Select<Entity>) -> Select<Entity> {
    select.apply_if(filter.before, |select, before| select.filter(Column::Id.lt(before)))
}

fn newest_of_each(filter: &MessageFilter, select: &Select<Entity>, size: (u64, u64)) -> SelectStatement {
    let connections = filter.connections.as_slice();
    // Those of certain chats are found through their chat.
    if filter.is_of_chats() {
        of_each(select.as_query(), &[Column::Id], (connections, chat::Column::ConnectionId), size)
    } else {
        of_each(select.as_query(), &[Column::Id], (connections, Column::ConnectionId), size)
    }
}

/// The same, of all connections at once.
fn of_all(filter: &MessageFilter, select: Select<Entity>) -> Select<Entity> {
    let ids = filter.connections.iter().copied();
    select.filter(if filter.is_of_chats() {
        chat::Column::ConnectionId.is_in(ids)
    } else {
        Column::ConnectionId.is_in(ids)
    })
}
