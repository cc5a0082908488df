//! What was used for each account on each day (UTC): messages, turns and questions, counted from the stored rows and kept after
//! they are deleted.

use crate::query::{count_if, insert, literal};
use crate::turn_counts::{DAY, HOUR};
use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ConnectionId, MessageId, SubaccountId, TurnId, first_id_at};
use dmrelay_domain::states::{Author, MessageStatus};
use dmrelay_entity::usage_day::{Column, Entity, Model};
use dmrelay_entity::{budget, chat, instagram_connection, media, message, turn, turn_count};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Func, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use std::time::Duration;

/// Whose days to show. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Of this subaccount.
    pub subaccount: Option<SubaccountId>,
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// The first day, since the Unix epoch.
    pub from: i64,
    /// The last day.
    pub to: i64,
}

/// How often the agent may be asked: turns; 0 for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLimits {
    /// For an account, in an hour.
    pub account_hour: i64,
    /// For a subaccount, in an hour.
    pub subaccount_hour: i64,
    /// For a subaccount, on a day (UTC).
    pub subaccount_day: i64,
    /// For the whole installation, on a day, with the operator's key.
    pub day: i64,
}

/// What a subaccount has used of its budgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct BudgetUse {
    /// Turns of this hour.
    pub hour_turns: i64,
    /// Turns of today.
    pub day_turns: i64,
}

#[derive(FromQueryResult)]
struct Active {
    id: ConnectionId,
    subaccount_id: String,
    instagram_account_id: String,
}

#[derive(Default, FromQueryResult)]
struct Messages {
    received: i64,
    sent_by_agent: i64,
    sent_by_people: i64,
    failed: i64,
}

#[derive(Default, FromQueryResult)]
struct Turns {
    turns: i64,
    questions: i64,
}

#[derive(Default, FromQueryResult)]
struct Understood {
    media: i64,
    tokens: i64,
    seconds: i64,
}

/// The day of a time, since the Unix epoch.
pub fn day_of(at: Millis) -> i64 {
    at.div_euclid(DAY)
}

impl Store {
    /// Counts a day of each account that had messages then or the day before. Counted again it never becomes less, except for what
    /// failed: what was erased meanwhile was used.
    ///
    /// # Errors
    /// What the database says of the last account that could not be counted; the others are.
    pub async fn count_usage(&self, day: i64) -> Result<()> {
        let is_active = chat::Entity::find()
            .select_only()
            .expr(literal(1))
            .filter(
                Expr::col((chat::Entity, chat::Column::ConnectionId))
                    .eq(Expr::col((instagram_connection::Entity, instagram_connection::Column::Id))),
            )
            // Messages have Meta's time, and days are those of our clock.
            .filter(chat::Column::LastMessageAt.gte((day - 1) * DAY))
            .into_query();
        let active = instagram_connection::Entity::find()
            .select_only()
            .columns([
                instagram_connection::Column::Id,
                instagram_connection::Column::SubaccountId,
                instagram_connection::Column::InstagramAccountId,
            ])
            .filter(Expr::exists(is_active))
            .into_model::<Active>();
        let mut outcome = Ok(());
        for connection in active.all(&self.reader()).await? {
            // One that fails, for its day is too large, keeps no other from being counted.
            if let Err(err) = self.count_one(&connection, day).await {
                tracing::warn!(connection_id = %connection.id, day, error = %err, "cannot count the usage of an account");
                outcome = Err(err);
            }
        }
        outcome
    }

    async fn count_one(&self, connection: &Active, day: i64) -> Result<()> {
        let messages = self.messages_of(connection.id, day).await?;
        let turns = self.turns_of(connection.id, day).await?;
        let understood = self.understood_of(connection.id, day).await?;
        self.put_usage(connection, day, (&messages, &turns, &understood)).await
    }

    /// The messages of a connection that were stored on a day.
    async fn messages_of(&self, connection: ConnectionId, day: i64) -> Result<Messages> {
        use message::Column;
        let by = |author: Author| Column::Author.eq(author.as_str());
        let is = |status: MessageStatus| Column::Status.eq(status.as_str());
        let by_people = by(Author::Human).or(by(Author::Native));
        let failed = is(MessageStatus::Failed).or(is(MessageStatus::Unknown).and(Column::Deadline.is_null()));
        let counts = message::Entity::find()
            .select_only()
            .expr_as(count_if(by(Author::User).and(Column::Kind.ne("stub"))), "received")
            .expr_as(count_if(by(Author::Agent).and(is(MessageStatus::Sent))), "sent_by_agent")
            .expr_as(count_if(by_people.and(is(MessageStatus::Sent))), "sent_by_people")
            .expr_as(count_if(failed), "failed")
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::Id.gte(first_id_at::<MessageId>(day * DAY)))
            .filter(Column::Id.lt(first_id_at::<MessageId>((day + 1) * DAY)))
            .into_model();
        Ok(counts.one(&self.reader()).await?.unwrap_or_default())
    }

    /// The turns of a connection that began on a day. No index leads from a connection to its turns; one leads to its chats.
    async fn turns_of(&self, connection: ConnectionId, day: i64) -> Result<Turns> {
        use turn::Column;
        let chats = chat::Entity::find()
            .select_only()
            .column(chat::Column::Id)
            .filter(chat::Column::ConnectionId.eq(connection))
            .filter(chat::Column::LastMessageAt.gte((day - 1) * DAY));
        let counts = turn::Entity::find()
            .select_only()
            .column_as(Column::Id.count(), "turns")
            .expr_as(Func::coalesce([Column::Attempt.sum(), literal(0_i64)]), "questions")
            .filter(Column::ChatId.in_subquery(chats.into_query()))
            .filter(Column::Id.gte(first_id_at::<TurnId>(day * DAY)))
            .filter(Column::Id.lt(first_id_at::<TurnId>((day + 1) * DAY)))
            .into_model();
        Ok(counts.one(&self.reader()).await?.unwrap_or_default())
    }

    /// The media of a connection that were put into words on a day.
    async fn understood_of(&self, connection: ConnectionId, day: i64) -> Result<Understood> {
        use media::Column;
        let sum = |column: Column| Func::coalesce([column.sum(), literal(0_i64)]);
        let counts = media::Entity::find()
            .select_only()
            .column_as(Column::Id.count(), "media")
            .expr_as(sum(Column::Tokens), "tokens")
            .expr_as(sum(Column::Seconds), "seconds")
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::UnderstoodAt.gte(day * DAY))
            .filter(Column::UnderstoodAt.lt((day + 1) * DAY))
            .into_model();
        Ok(counts.one(&self.reader()).await?.unwrap_or_default())
    }

    async fn put_usage(
        &self,
        connection: &Active,
        day: i64,
        (messages, turns, understood): (&Messages, &Turns, &Understood),
    ) -> Result<()> {
        let counts = [
            (Column::Received, messages.received),
            (Column::SentByAgent, messages.sent_by_agent),
            (Column::SentByPeople, messages.sent_by_people),
            (Column::Failed, messages.failed),
            (Column::Turns, turns.turns),
            (Column::Questions, turns.questions),
            (Column::Understood, understood.media),
            (Column::UnderstoodTokens, understood.tokens),
            (Column::UnderstoodSeconds, understood.seconds),
        ];
        if counts.iter().all(|(_, count)| *count == 0) {
            return Ok(());
        }
        let mut more = OnConflict::columns([Column::ConnectionId, Column::Day]);
        for (column, count) in counts {
            // What failed may be sent after all.
            if matches!(column, Column::Failed) {
                more.value(column, count);
                continue;
            }
            let known = Expr::col((Entity, column));
            let most = CaseStatement::new().case(known.clone().gt(count), known).finally(count);
            more.value(column, most);
        }
        let row = [
            (Column::ConnectionId, connection.id.into()),
            (Column::Day, day.into()),
            (Column::SubaccountId, connection.subaccount_id.clone().into()),
            (Column::InstagramAccountId, connection.instagram_account_id.clone().into()),
        ];
        let counts = counts.map(|(column, count)| (column, Expr::value(count)));
        let put = insert::<Entity>(row.into_iter().chain(counts)).on_conflict(more).take();
        self.relaxed().execute(&put).await?;
        Ok(())
    }

    /// The last day that was counted, if any was.
    ///
    /// # Errors
    /// What the database says.
    pub async fn last_usage_day(&self) -> Result<Option<i64>> {
        let last = Entity::find().select_only().column(Column::Day).order_by_desc(Column::Day);
        Ok(last.into_tuple().one(&self.reader()).await?)
    }

    /// The days of accounts that fit, at most so many, the latest first, and of each day the accounts in the order of their ids.
    ///
    /// # Errors
    /// What the database says.
    pub async fn usage(&self, filter: &UsageFilter, most: u64) -> Result<Vec<Model>> {
        let days = Entity::find()
            .apply_if(filter.subaccount.as_ref(), |select, subaccount| {
                select.filter(Column::SubaccountId.eq(subaccount.as_str()))
            })
            .apply_if(filter.connection, |select, id| select.filter(Column::ConnectionId.eq(id)))
            .filter(Column::Day.gte(filter.from))
            .filter(Column::Day.lte(filter.to))
            .order_by_desc(Column::Day)
            .order_by_asc(Column::SubaccountId)
            .order_by_asc(Column::InstagramAccountId)
            .limit(most);
        self.list_all(days).await
    }

    /// Forgets days that ended longer ago.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_usage(&self, age: Duration) -> Result<u64> {
        let last = day_of(self.now().await? - millis(age));
        let forget = Entity::delete_many().filter(Column::Day.lt(last));
        Ok(forget.exec(&self.writer()).await?.rows_affected)
    }

    /// Writes down how often the agent may be asked.
    ///
    /// # Errors
    /// What the database says.
    pub async fn put_budgets(&self, limits: BudgetLimits) -> Result<()> {
        let anew = OnConflict::column(budget::Column::Name).update_column(budget::Column::Turns).to_owned();
        for (name, turns) in [
            ("account_hour", limits.account_hour),
            ("subaccount_hour", limits.subaccount_hour),
            ("subaccount_day", limits.subaccount_day),
            ("day", limits.day),
        ] {
            let row = [(budget::Column::Name, name.into()), (budget::Column::Turns, turns.into())];
            let put = insert::<budget::Entity>(row).on_conflict(anew.clone()).take();
            self.relaxed().execute(&put).await?;
        }
        Ok(())
    }

    /// How often the agent may be asked, as a worker has written it down; `None` before any has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn budget_limits(&self) -> Result<Option<BudgetLimits>> {
        let rows = budget::Entity::find().all(&self.reader()).await?;
        let of = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.turns);
        let limits = || {
            Some(BudgetLimits {
                account_hour: of("account_hour")?,
                subaccount_hour: of("subaccount_hour")?,
                subaccount_day: of("subaccount_day")?,
                day: of("day")?,
            })
        };
        Ok(limits())
    }

    /// The turns of a subaccount in this hour and today.
    ///
    /// # Errors
    /// What the database says.
    pub async fn budget_use(&self, subaccount: &SubaccountId) -> Result<BudgetUse> {
        use turn_count::Column;
        let now = self.now().await?;
        let sum = |of: Column, period: Column, now: i64| {
            let turns = CaseStatement::new().case(period.eq(now), of.into_expr()).finally(0_i64);
            // PostgreSQL adds up `bigint` as `numeric`.
            Expr::from(Func::coalesce([Func::sum(turns).into(), literal(0_i64)])).cast_as("bigint")
        };
        let used = turn_count::Entity::find()
            .select_only()
            .expr_as(sum(Column::HourTurns, Column::Hour, now.div_euclid(HOUR)), "hour_turns")
            .expr_as(sum(Column::DayTurns, Column::Day, day_of(now)), "day_turns")
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .into_model();
        Ok(used.one(&self.reader()).await?.unwrap_or_default())
    }
}
