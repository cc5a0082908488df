//! Chats as the frontend lists them, and what is shown of one.

use crate::chat_summaries::{is_recent, is_said};
use crate::pages::{Page, count, of_each};
use crate::query::{count_if, literal, literals, rows};
use crate::triage::{has_tag, is_assigned};
use crate::{ActivityKind, Assigned, Result, Store, dead_letters};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ChatId, ConnectionId, TurnId};
use dmrelay_domain::states::{ChatMode, ChatSort, DeadLetterState, Direction, Folder};
use dmrelay_entity::{activity, chat, dead_letter, instagram_connection, message, turn};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};
use std::time::Duration;

/// Which chats to list. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct ChatFilter {
    /// Of these connections; none means no chat at all.
    pub connections: Vec<ConnectionId>,
    /// Of this Instagram user.
    pub user: Option<String>,
    /// Whose user has this handle.
    pub username: Option<String>,
    /// Whose user's handle, name or id contains this, whatever the case of its letters.
    pub q: Option<String>,
    /// How long a statement of such a search may take; zero for as long as any.
    pub search_time: Duration,
    /// In which this one answers.
    pub mode: Option<String>,
    /// With this flag.
    pub flag: Option<String>,
    /// In this folder.
    pub folder: Option<Folder>,
    /// That so somebody looks after.
    pub assigned: Option<Assigned>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this order.
    pub sort: Option<ChatSort>,
    /// After this one in the list: the time by which it is sorted, and its id.
    pub before: Option<(Millis, ChatId)>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

impl ChatFilter {
    /// Whether many chats may have to be looked at to find a few.
    pub fn is_search(&self) -> bool {
        let is_sorted = self.sort.is_some_and(|sort| sort != ChatSort::Newest);
        let is_filtered = self.folder.is_some() || self.assigned.is_some() || self.tag.is_some();
        self.q.is_some() || self.username.is_some() || is_filtered || is_sorted
    }
}

/// How many messages and turns a chat has, of its newest 10,000 each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatCounts {
    /// From the user.
    pub received: u64,
    /// To the user, by whomever.
    pub sent: u64,
    /// That were not sent for good, or of which nobody can know whether they were.
    pub failed: u64,
    /// That are to be sent, or whose outcome is being found out.
    pub waiting: u64,
    /// Questions to the agent.
    pub turns: u64,
}

/// With more connections than this not each is asked for itself: a statement has a limit of parts.
const EACH_MAX: usize = 100;

/// Of a chat's messages no more are counted.
const COUNTED: u64 = 10_000;

#[derive(FromQueryResult)]
struct CountsRow {
    received: i64,
    sent: i64,
    failed: i64,
    waiting: i64,
    turns: i64,
}

/// The column of an order that goes upwards.
trait Upwards {
    fn column_upwards(self) -> Option<chat::Column>;
}

impl Upwards for ChatSort {
    fn column_upwards(self) -> Option<chat::Column> {
        match self {
            Self::Newest => None,
            Self::Oldest => Some(chat::Column::LastMessageAt),
            Self::Window => Some(chat::Column::WindowExpiresAt),
        }
    }
}

impl Store {
    /// A page of chats, in the order that is asked for.
    pub async fn chats(&self, filter: &ChatFilter) -> Result<Page<chat::Model, (Millis, ChatId)>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let contains = |q: &str| {
            let columns = [chat::Column::Username, chat::Column::Name, chat::Column::InstagramUserId];
            columns
                .into_iter()
                .fold(Condition::any(), |any, column| any.add(self.dialect.contains(column.into_expr(), q)))
        };
        let wanted = chat::Entity::find()
            .apply_if(filter.user.as_deref(), |select, user| {
                select.filter(chat::Column::InstagramUserId.eq(user))
            })
            .apply_if(filter.username.as_deref(), |select, name| {
                select.filter(chat::Column::Username.eq(name))
            })
            .apply_if(filter.mode.as_deref(), |select, mode| select.filter(chat::Column::Mode.eq(mode)))
            .apply_if(filter.flag.as_deref(), |select, flag| select.filter(chat::Column::Flag.eq(flag)))
            .apply_if(filter.folder, |select, folder| select.filter(self.is_in(folder)))
            .apply_if(filter.assigned.as_ref(), |select, assigned| select.filter(is_assigned(assigned)))
            .apply_if(filter.tag.as_deref(), |select, tag| select.filter(has_tag(tag)))
            .apply_if(filter.q.as_deref(), |select, q| select.filter(contains(q)));
        let all = wanted.clone().filter(is_of(&filter.connections));
        let sort = filter.sort.unwrap_or(ChatSort::Newest);
        let (all, wanted) = match sort {
            ChatSort::Window => {
                let is_open = chat::Column::WindowExpiresAt.into_expr().gt(self.clock());
                (all.filter(is_open.clone()), wanted.filter(is_open))
            }
            _ => (all, wanted),
        };
        let page = wanted.apply_if(filter.before, |select, (at, id)| {
            if let Some(column) = sort.column_upwards() {
                let later = column.gt(at).or(chat::Column::Id.gt(id));
                return select.filter(column.gte(at)).filter(later);
            }
            let later = chat::Column::LastMessageAt.lt(at).or(chat::Column::Id.lt(id));
            // The first half alone is what the index can begin at.
            select.filter(chat::Column::LastMessageAt.lte(at)).filter(later)
        });
        let order = [chat::Column::LastMessageAt, chat::Column::Id];
        let of = (filter.connections.as_slice(), chat::Column::ConnectionId);
        let size = (filter.limit.saturating_add(1), filter.skip);
        let query = if let Some(column) = sort.column_upwards() {
            let (limit, skip) = size;
            let page =
                page.filter(is_of(&filter.connections)).order_by_asc(column).order_by_asc(chat::Column::Id);
            page.limit(limit).offset(skip).into_query()
        } else if filter.connections.len() > EACH_MAX {
            newest_of_all(page.filter(is_of(&filter.connections)), size)
        } else {
            of_each(page.as_query(), &order, of, size)
        };
        let (total, items) = if filter.is_search() {
            let _permit = self.list_permit().await?;
            let tx = self.begin_search(filter.search_time).await?;
            (count(tx.connection(), all).await?, rows(tx.connection(), &query).await?)
        } else {
            (self.count(all).await?, self.list_rows(&query).await?)
        };
        Ok(Page::of(items, filter.limit, total, |chat: &chat::Model| {
            let at = match sort {
                ChatSort::Window => chat.window_expires_at.unwrap_or_default(),
                ChatSort::Newest | ChatSort::Oldest => chat.last_message_at,
            };
            (at, chat.id)
        }))
    }

    /// What holds of the chats of a folder. What an inbox shows of a chat says the same.
    fn is_in(&self, folder: Folder) -> Expr {
        let ends = || chat::Column::WindowExpiresAt.into_expr();
        let is_snoozed = self.is_snoozed();
        let is_in = match folder {
            Folder::Snoozed => return is_snoozed,
            Folder::Failed => has_open_failure(),
            Folder::Unanswered => is_customers_turn(),
            Folder::NeedsHuman => {
                let paused = instagram_connection::Entity::find()
                    .select_only()
                    .column(instagram_connection::Column::Id)
                    .filter(instagram_connection::Column::BotPaused.into_expr());
                let is_silent = chat::Column::Mode
                    .ne(ChatMode::Bot.as_str())
                    .or(chat::Column::ConnectionId.in_subquery(paused.into_query()));
                chat::Column::Flag.is_not_null().or(has_open_failure()).or(is_silent.and(is_customers_turn()))
            }
            Folder::WindowClosing => {
                ends().gt(self.clock()).and(ends().lte(self.clock().add(millis(WINDOW_CLOSING))))
            }
        };
        is_in.and(is_snoozed.not())
    }

    /// A chat by its id, if it is of one of these connections.
    pub async fn chat_of(&self, connections: &[ConnectionId], id: ChatId) -> Result<Option<chat::Model>> {
        Ok(chat::Entity::find_by_id(id).filter(is_of(connections)).one(&self.reader()).await?)
    }

    /// How many messages and turns a chat has.
    pub async fn chat_counts(&self, chat: ChatId) -> Result<ChatCounts> {
        let newest = message::Entity::find()
            .select_only()
            .columns([
                message::Column::Author,
                message::Column::Kind,
                message::Column::Status,
                message::Column::Deadline,
            ])
            .filter(message::Column::ChatId.eq(chat))
            .order_by_desc(message::Column::Seq)
            .limit(COUNTED);
        let turns = turn::Entity::find().select_only().expr(literal(1)).filter(turn::Column::ChatId.eq(chat));
        let turns = Query::select()
            .expr(Func::count(Expr::col(Asterisk)))
            .from_subquery(turns.limit(COUNTED).into_query(), "t")
            .take();
        let status = |word: &'static str| Expr::col(message::Column::Status).eq(word);
        let deadline = || Expr::col(message::Column::Deadline);
        let of_user =
            Expr::col(message::Column::Author).eq("user").and(Expr::col(message::Column::Kind).ne("stub"));
        let failed = status("failed").or(status("unknown").and(deadline().is_null()));
        let waiting = Expr::col(message::Column::Status)
            .is_in(["queued", "sending"])
            .or(status("unknown").and(deadline().is_not_null()));
        let query = Query::select()
            .expr_as(count_if(of_user), "received")
            .expr_as(count_if(status("sent")), "sent")
            .expr_as(count_if(failed), "failed")
            .expr_as(count_if(waiting), "waiting")
            .expr_as(turns, "turns")
            .from_subquery(newest.into_query(), "m")
            .take();
        let rows: Vec<CountsRow> = self.list_rows(&query).await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(rows.first().map_or_else(ChatCounts::default, |row| ChatCounts {
            received: count(row.received),
            sent: count(row.sent),
            failed: count(row.failed),
            waiting: count(row.waiting),
            turns: count(row.turns),
        }))
    }

    /// These turns of a chat, oldest first.
    pub async fn turns_of_messages(&self, chat: ChatId, turn_ids: &[TurnId]) -> Result<Vec<turn::Model>> {
        if turn_ids.is_empty() {
            return Ok(Vec::new());
        }
        let turns = turn::Entity::find()
            .filter(turn::Column::ChatId.eq(chat))
            .filter(turn::Column::Id.is_in(turn_ids.iter().copied()))
            .order_by_asc(turn::Column::Id);
        Ok(turns.all(&self.reader()).await?)
    }

    /// The messages that a turn asks and those it answers with, in the chat's order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn messages_of_turn(&self, chat: ChatId, turn: TurnId) -> Result<Vec<message::Model>> {
        let messages = message::Entity::find()
            .filter(message::Column::ChatId.eq(chat))
            .filter(message::Column::TurnId.eq(turn))
            .order_by_asc(message::Column::Seq);
        Ok(messages.all(&self.reader()).await?)
    }

    /// When the agent fell silent in a chat and when it answered again, newest first.
    pub async fn mode_changes(
        &self,
        chat: ChatId,
        since: Millis,
        until: Millis,
        most: u64,
    ) -> Result<Vec<activity::Model>> {
        let kinds = [ActivityKind::BotPaused, ActivityKind::BotResumed].map(ActivityKind::as_str);
        let changes = activity::Entity::find()
            .filter(activity::Column::Subject.eq(chat.to_string()))
            .filter(activity::Column::Kind.into_expr().is_in(literals(kinds)))
            .filter(activity::Column::At.gte(since))
            .filter(activity::Column::At.lt(until))
            .order_by_desc(activity::Column::Id)
            .limit(most);
        Ok(changes.all(&self.reader()).await?)
    }
}

/// The newest of a list, all connections at once.
fn newest_of_all(select: Select<chat::Entity>, (limit, skip): (u64, u64)) -> SelectStatement {
    select
        .order_by_desc(chat::Column::LastMessageAt)
        .order_by_desc(chat::Column::Id)
        .limit(limit)
        .offset(skip)
        .into_query()
}

/// How long before its end a window counts as closing.
const WINDOW_CLOSING: Duration = Duration::from_hours(4);

/// The chat has an open dead letter.
fn has_open_failure() -> Expr {
    let letters = dead_letter::Entity::find()
        .select_only()
        .column(dead_letter::Column::ChatId)
        .filter(dead_letter::Column::ChatId.is_not_null())
        .filter(dead_letters::is(DeadLetterState::Open));
    chat::Column::Id.in_subquery(letters.into_query())
}

/// The customer wrote last.
fn is_customers_turn() -> Expr {
    let last = message::Entity::find()
        .select_only()
        .column_as(message::Column::Seq.max(), "seq")
        .filter(of_chat((message::Entity, message::Column::ChatId)))
        .filter(is_recent())
        .filter(is_said());
    let inbound = message::Entity::find()
        .select_only()
        .expr(literal(1))
        .filter(of_chat((message::Entity, message::Column::ChatId)))
        .filter(message::Column::Seq.in_subquery(last.into_query()))
        .filter(message::Column::Direction.eq(Direction::Inbound.as_str()));
    Expr::exists(inbound.into_query())
}

/// The row is of the chat of the outer statement.
fn of_chat<E, C>(column: (E, C)) -> Expr
where
    (E, C): sea_orm::sea_query::IntoColumnRef,
{
    Expr::col(column).eq(Expr::col((chat::Entity, chat::Column::Id)))
}

/// The chat is of one of these connections.
fn is_of(connections: &[ConnectionId]) -> Expr {
    chat::Column::ConnectionId.is_in(connections.iter().copied())
}
