//! Erases the remaining traces of users from the two largest tables, events and activities, which have no index by user: a
//! worker scans them page by page for all erased users at once, and resumes where it stopped.

use crate::{Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{ActivityId, ChatId, EventId, first_id_at};
use dmrelay_domain::states::{ActivityKind, DeadLetterKind, EventState};
use dmrelay_entity::{activity, dead_letter, erased_trace, event};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How many rows one page has.
const PAGE: u64 = 5_000;

/// How many traces are looked for at once.
const TRACES_MAX: u64 = 5_000;

/// Ids in one statement.
const IDS_MAX: usize = 1_000;

/// The columns of an event that tell whose it is.
type EventRow = (EventId, String, String, i64, i64);

/// The columns of an activity that may name a user.
type LogRow = (ActivityId, Option<String>, String);

impl Store {
    /// Reads so many pages at most; gives whether there is more to do.
    ///
    /// # Errors
    /// What the database says.
    pub async fn go_on_with_traces(&self, pages: u32) -> Result<bool> {
        for _ in 0..pages {
            let event_page = self.events_page().await?;
            let log_page = self.log_page().await?;
            if !event_page && !log_page {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One page of the events. False if nobody's are left.
    async fn events_page(&self) -> Result<bool> {
        use erased_trace::Column;
        let waiting = Condition::all().add(Column::EventsAfter.is_not_null());
        let traces = self.generation(waiting, Column::EventsStarted).await?;
        let Some(after) = traces.iter().filter_map(|trace| trace.events_after).min() else {
            return Ok(false);
        };
        let rows: Vec<EventRow> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Account, event::Column::Thread])
            .columns([event::Column::At, event::Column::ReceivedAt])
            .filter(event::Column::Id.gt(after))
            .order_by_asc(event::Column::Id)
            .limit(PAGE)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let mut of_account: HashMap<&str, Vec<&erased_trace::Model>> = HashMap::new();
        for trace in &traces {
            of_account.entry(trace.account.as_str()).or_default().push(trace);
        }
        let is_of = |trace: &erased_trace::Model, (_, _, thread, at, received_at): &EventRow| {
            let is_theirs = trace.instagram_user_id.is_empty() || trace.instagram_user_id == *thread;
            is_theirs && Ord::min(*at, *received_at) <= trace.until
        };
        let found = rows.iter().filter(|row| {
            of_account.get(row.1.as_str()).is_some_and(|traces| traces.iter().any(|trace| is_of(trace, row)))
        });
        let found: Vec<EventId> = found.map(|row| row.0).collect();
        let is_last = (rows.len() as u64) < PAGE;
        let end = rows.last().map(|row| row.0).filter(|_| !is_last);
        let tx = self.begin().await?;
        let subaccounts: HashSet<&str> = traces.iter().map(|trace| trace.subaccount_id.as_str()).collect();
        for ids in found.chunks(IDS_MAX) {
            tx.erase_these(ids).await?;
            // What came for an account that nobody had is nobody's.
            tx.drop_letters_of_events(ids, subaccounts.iter().copied().chain([""])).await?;
        }
        let behind = erased_trace::Entity::update_many().col_expr(Column::EventsAfter, Expr::val(end));
        let ids = traces.iter().filter(|trace| is_last || trace.events_after < end).map(|trace| trace.id);
        behind.filter(Column::Id.is_in(ids)).exec(tx.connection()).await?;
        tx.drop_finished_traces().await?;
        tx.commit().await?;
        Ok(true)
    }

    /// One page of the log of one subaccount. False if nobody's is left.
    async fn log_page(&self) -> Result<bool> {
        use erased_trace::Column;
        // The subaccount that has waited longest: one with a long log delays the others by a page.
        let first = erased_trace::Entity::find()
            .filter(Column::LogAfter.is_not_null())
            .order_by_asc(Column::ServedAt)
            .one(&self.writer())
            .await?;
        let Some(first) = first else { return Ok(false) };
        let of_subaccount = Column::SubaccountId.eq(first.subaccount_id.as_str());
        let waiting = Condition::all().add(Column::LogAfter.is_not_null()).add(of_subaccount.clone());
        let traces = self.generation(waiting, Column::LogStarted).await?;
        let Some(after) = traces.iter().filter_map(|trace| trace.log_after).min() else { return Ok(false) };
        let rows: Vec<LogRow> = activity::Entity::find()
            .select_only()
            .columns([activity::Column::Id, activity::Column::Subject, activity::Column::Details])
            .filter(activity::Column::SubaccountId.eq(first.subaccount_id.as_str()))
            .filter(activity::Column::Id.gt(after))
            // The entry that tells of the erasure names the conversation, whose id means nothing any more.
            .filter(activity::Column::Kind.ne(ActivityKind::UserErased.as_str()))
            .order_by_asc(activity::Column::Id)
            .limit(PAGE)
            .into_tuple()
            .all(&self.writer())
            .await?;
        let chats: HashSet<String> =
            traces.iter().filter_map(|trace| Some(trace.chat_id?.to_string())).collect();
        let users: HashSet<&str> = traces.iter().map(|trace| trace.instagram_user_id.as_str()).collect();
        let names = |(_, subject, details): &LogRow| {
            let details: Value = serde_json::from_str(details).unwrap_or_default();
            let subject = subject.as_deref().unwrap_or_default();
            details["chatId"].as_str().is_some_and(|chat| chats.contains(chat))
                || chats.contains(subject)
                || (!subject.is_empty() && users.contains(subject))
        };
        let found: Vec<ActivityId> = rows.iter().filter(|row| names(row)).map(|row| row.0).collect();
        let is_last = (rows.len() as u64) < PAGE;
        let end = rows.last().map(|row| row.0).filter(|_| !is_last);
        let tx = self.begin().await?;
        for ids in found.chunks(IDS_MAX) {
            // The entry stays in the log without naming anyone.
            let nameless = activity::Entity::update_many()
                .col_expr(activity::Column::Subject, Expr::val(None::<String>))
                .col_expr(activity::Column::Details, "{}".into())
                .filter(activity::Column::SubaccountId.eq(first.subaccount_id.as_str()))
                .filter(activity::Column::Id.is_in(ids.iter().copied()));
            nameless.exec(tx.connection()).await?;
        }
        let served = erased_trace::Entity::update_many().col_expr(Column::ServedAt, tx.clock());
        served.filter(of_subaccount).exec(tx.connection()).await?;
        let behind = erased_trace::Entity::update_many().col_expr(Column::LogAfter, Expr::val(end));
        let ids = traces.iter().filter(|trace| is_last || trace.log_after < end).map(|trace| trace.id);
        behind.filter(Column::Id.is_in(ids)).exec(tx.connection()).await?;
        tx.drop_finished_traces().await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The traces that are looked for now: those that were begun together and have not come to the end; once there are none, all
    /// that wait. So whoever comes later delays nobody who came before.
    async fn generation(
        &self,
        waiting: Condition,
        started: erased_trace::Column,
    ) -> Result<Vec<erased_trace::Model>> {
        let begun = erased_trace::Entity::find().filter(waiting.clone()).filter(started.eq(true));
        let begun = begun.all(&self.writer()).await?;
        if !begun.is_empty() {
            return Ok(begun);
        }
        let next = erased_trace::Entity::find()
            .select_only()
            .column(erased_trace::Column::Id)
            .filter(waiting)
            .order_by_asc(erased_trace::Column::Id)
            .limit(TRACES_MAX)
            .into_query();
        let begin = erased_trace::Entity::update_many()
            .col_expr(started, Expr::val(true))
            .filter(erased_trace::Column::Id.in_subquery(next));
        Ok(begin.exec_with_returning(&self.writer()).await?)
    }

    /// Whether something is still to be erased of those that meet the condition.
    pub(crate) async fn has_traces(&self, condition: Expr) -> Result<bool> {
        Ok(erased_trace::Entity::find().filter(condition).one(&self.writer()).await?.is_some())
    }
}

/// Whose traces are to be erased.
pub(crate) struct Trace<'a> {
    /// The tenant's connection.
    pub(crate) connection: &'a crate::Connection,
    /// The Instagram user; none for everybody.
    pub(crate) user: &'a str,
    /// The conversation that was erased, and when it began.
    pub(crate) chat: Option<(ChatId, i64)>,
    /// What was received until then; none for no events.
    pub(crate) until: Option<i64>,
}

impl Tx {
    /// A worker is to erase these traces. Gives their id.
    pub(crate) async fn leave_traces(&self, trace: &Trace<'_>, now: i64) -> Result<Uuid> {
        use erased_trace::Column;
        use sea_orm::ActiveValue::Set;
        if trace.chat.is_none() {
            // Asked for again and again, it is looked for once.
            let same = erased_trace::Entity::update_many()
                .col_expr(Column::Until, trace.until.unwrap_or_default().into())
                .filter(Column::ConnectionId.eq(trace.connection.id))
                .filter(Column::InstagramUserId.eq(trace.user))
                .filter(Column::ChatId.is_null())
                .filter(Column::EventsStarted.eq(false))
                .filter(Column::LogStarted.eq(false));
            if let Some(same) = same.exec_with_returning(self.connection()).await?.pop() {
                return Ok(same.id);
            }
        }
        let since = match trace.chat {
            Some((_, since)) => Some(since - millis(crate::retention::CLOCK_SKEW)),
            // Somebody without a conversation may be named all the same.
            None => (!trace.user.is_empty()).then_some(0),
        };
        let id = dmrelay_domain::ids::id_at::<Uuid>(now);
        let row = erased_trace::ActiveModel {
            id: Set(id),
            subaccount_id: Set(trace.connection.subaccount.to_string()),
            connection_id: Set(trace.connection.id),
            account: Set(trace.connection.account.to_string()),
            instagram_user_id: Set(trace.user.to_owned()),
            chat_id: Set(trace.chat.map(|(id, _)| id)),
            until: Set(trace.until.unwrap_or_default()),
            events_after: Set(trace.until.map(|_| first_id_at(0))),
            events_started: Set(false),
            log_after: Set(since.map(first_id_at)),
            log_started: Set(false),
            served_at: Set(0),
        };
        erased_trace::Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(id)
    }

    async fn drop_finished_traces(&self) -> Result<()> {
        use erased_trace::Column;
        erased_trace::Entity::delete_many()
            .filter(Column::EventsAfter.is_null())
            .filter(Column::LogAfter.is_null())
            .exec(self.connection())
            .await?;
        Ok(())
    }

    /// Of these events nothing is stored but their keys.
    pub(crate) async fn erase_these(&self, events: &[EventId]) -> Result<u64> {
        use event::Column;
        let erase = event::Entity::update_many()
            .col_expr(Column::State, EventState::Erased.as_str().into())
            .col_expr(Column::DueAt, Expr::val(None::<i64>))
            .col_expr(Column::Raw, Expr::val(None::<Vec<u8>>))
            .col_expr(Column::Error, Expr::val(None::<String>))
            .col_expr(Column::Thread, "".into())
            .filter(Column::Id.is_in(events.iter().copied()));
        Ok(erase.exec(self.connection()).await?.rows_affected)
    }

    /// The dead letters that speak of these events, in the logs of these subaccounts, are gone.
    pub(crate) async fn drop_letters_of_events<'a>(
        &self,
        events: &[EventId],
        subaccounts: impl Iterator<Item = &'a str>,
    ) -> Result<u64> {
        use dead_letter::Column;
        let letters = dead_letter::Entity::delete_many()
            .filter(Column::SubaccountId.is_in(subaccounts))
            .filter(Column::Kind.eq(DeadLetterKind::Event.as_str()))
            .filter(Column::Reference.is_in(events.iter().map(|id| id.0)));
        Ok(letters.exec(self.connection()).await?.rows_affected)
    }
}
