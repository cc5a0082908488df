//! What operators watch: how old the oldest due work is, and how much there is.

use crate::TurnHold;
use crate::breakers::{FAILURES, REFUSED};
use crate::connections::DAY_MS;
use crate::due::DISPATCHED;
use crate::query::{count_if, first as first_row, literal, rows};
use crate::{Call, Result, Store, breakers, connections, dead_letters, pauses};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::{ConnectionStatus, DeadLetterState, MessageStatus, TurnState};
use dmrelay_entity::{breaker, chat, dead_letter, erasure, event, instagram_connection, message, turn};
use sea_orm::sea_query::{
    Asterisk, BinOper, CaseStatement, Expr, ExprTrait, Func, Query, SelectStatement, UnionType,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QuerySelect,
    QueryTrait, Select,
};

/// Due work of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Due {
    /// Since when the oldest is due, in milliseconds before now; 0 if nothing is.
    pub oldest_ms: i64,
}

/// What waits in a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Backlog {
    /// Chats whose turn is due or under way.
    pub turns: i64,
    /// Chats with something to send.
    pub outboxes: i64,
}

#[derive(FromQueryResult)]
struct WordCount {
    word: String,
    n: i64,
}

/// Circuit breakers that are open now.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct OpenBreakers {
    /// `agent`, `one_agent`, `agent_key`, `graph_app` or `graph_account`.
    pub breaker: String,
    /// `failing` where calls kept failing, `refused` where the key or the plan is, `told` where the service asked for a pause.
    pub cause: String,
    /// How many.
    pub n: i64,
}

/// Connected accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct AccountCounts {
    /// Whose agent is paused.
    pub paused: i64,
    /// That have had no event for long.
    pub silent: i64,
    /// Whose token has expired.
    pub expired: i64,
    /// Whose token has less than a day left.
    pub one_day: i64,
    /// Less than seven days.
    pub seven_days: i64,
    /// Less than thirty.
    pub thirty_days: i64,
    /// More than that.
    pub more: i64,
    /// Whose token does not expire.
    pub endless: i64,
    /// When the first token expires, in milliseconds from now.
    pub first_expiry: Option<i64>,
}

/// The most dead letters that are counted.
const DEAD_LETTERS: u64 = 20_000;

/// The most due events that are looked at for the oldest.
const EVENTS: u64 = 1_000;

/// An account that somebody must do something for.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct AccountInNeed {
    /// The tenant.
    pub subaccount_id: String,
    /// The Instagram account.
    pub instagram_account_id: String,
    /// Its handle.
    pub username: Option<String>,
    /// `reconnect`, `restricted`, `token_ends` or `silent`.
    pub need: String,
}

impl Store {
    /// The oldest due event, turn and outbox, of connections in use whose agent is not paused, and that no operator has paused; of
    /// outboxes, those of accounts whose own circuit breaker is closed. Of events, the oldest among a thousand of those that wait.
    pub async fn oldest_due(&self) -> Result<[(&'static str, Due); 3]> {
        // An event is due for real when it was stored, or when its wait for its account's budget is over; `due_at` moves with
        // every dispatch.
        let events = event::Entity::find()
            .select_only()
            .column_as(event::Column::ReadyAt, "due")
            .filter(event::Column::DueAt.is_not_null())
            .filter(
                event::Column::Attempts
                    .into_expr()
                    .gt(0)
                    .or(event::Column::DueAt.into_expr().lte(self.clock().add(millis(DISPATCHED)))),
            )
            .limit(EVENTS);
        let turns = oldest_of_each(chat::Column::TurnDueAt, chat::Column::TurnAttempts)
            .and_where(Expr::not_exists(held_turns(self.clock())))
            .and_where(Expr::not_exists(pauses::of_connection(Call::Ask, self.clock())))
            .take();
        let outboxes = oldest_of_each(chat::Column::OutboxDueAt, chat::Column::OutboxAttempts)
            .and_where(Expr::not_exists(open_breaker_of_account(self.clock())))
            .and_where(Expr::not_exists(pauses::of_connection(Call::Send, self.clock())))
            .take();
        Ok([
            ("ingest", self.oldest(events.into_query()).await?),
            ("turn", self.oldest(turns).await?),
            ("deliver", self.oldest(outboxes).await?),
        ])
    }

    /// How long the erasure that was asked for first, and is due, has not been done; 0 if none is. In milliseconds.
    ///
    /// # Errors
    /// What the database says.
    pub async fn oldest_erasure(&self) -> Result<i64> {
        use erasure::Column;
        let due = erasure::Entity::find()
            .select_only()
            .column_as(Column::DueAt, "due")
            .filter(Column::FinishedAt.is_null());
        Ok(self.oldest(due.into_query()).await?.oldest_ms)
    }

    /// How long the first of these has been `due`.
    async fn oldest(&self, due: SelectStatement) -> Result<Due> {
        let first = || Expr::col("due").min();
        let oldest =
            CaseStatement::new().case(first().lt(self.clock()), self.clock().sub(first())).finally(0_i64);
        let query = Query::select().expr_as(oldest, "oldest_ms").from_subquery(due, "d").take();
        Ok(first_row(&self.reader(), &query).await?.unwrap_or_default())
    }

    /// The circuit breakers that are open now, by the service they protect and why. One that failures have tripped counts until
    /// a probe succeeds, also between its probes.
    pub async fn open_breakers(&self) -> Result<Vec<OpenBreakers>> {
        let key = breaker::Column::Key;
        let breaker = CaseStatement::new()
            .case(key.eq("agent"), "agent")
            .case(key.like("agent:%"), "one_agent")
            .case(key.like("provider:%"), "agent_key")
            .case(key.like("graph:app:%"), "graph_app")
            .finally("graph_account");
        let cause = CaseStatement::new()
            .case(breaker::Column::Failures.gte(FAILURES), "failing")
            .case(breaker::Column::Reason.eq(REFUSED), "refused")
            .finally("told");
        let closed = breaker::Entity::find()
            .select_only()
            .expr_as(breaker, "breaker")
            .expr_as(cause, "cause")
            .column_as(key.count(), "n")
            .filter(breakers::is_open_or_probed(|| self.clock()))
            .into_query()
            .group_by_columns(["breaker", "cause"])
            .take();
        rows(&self.reader(), &closed).await
    }

    /// How many open dead letters there are of each class, counted up to a bound in all.
    pub async fn dead_letter_counts(&self) -> Result<Vec<(String, i64)>> {
        let open = dead_letter::Entity::find()
            .select_only()
            .column(dead_letter::Column::Class)
            .filter(dead_letters::is(DeadLetterState::Open))
            .limit(DEAD_LETTERS);
        let class = || Expr::col(dead_letter::Column::Class);
        let counts = Query::select()
            .expr_as(class(), "word")
            .expr_as(class().count(), "n")
            .from_subquery(open.into_query(), "d")
            .group_by_col(dead_letter::Column::Class)
            .take();
        self.word_counts(&counts).await
    }

    /// How the connected accounts are. One without an event for `silent` milliseconds is silent.
    pub async fn account_counts(&self, silent: Millis) -> Result<AccountCounts> {
        use instagram_connection::Column;
        let expires_at = || Column::TokenExpiresAt.into_expr();
        let left = |from_days: i64, to_days: i64| {
            let left = || expires_at().sub(self.clock());
            count_if(left().gt(from_days * DAY_MS).and(left().lte(to_days * DAY_MS)))
        };
        let is_silent = has_been_silent(self.clock().sub(silent));
        let counts = instagram_connection::Entity::find()
            .select_only()
            .expr_as(count_if(Column::BotPaused.into_expr()), "paused")
            .expr_as(count_if(is_silent), "silent")
            .expr_as(count_if(expires_at().lte(self.clock())), "expired")
            .expr_as(left(0, 1), "one_day")
            .expr_as(left(1, 7), "seven_days")
            .expr_as(left(7, 30), "thirty_days")
            .expr_as(count_if(expires_at().sub(self.clock()).gt(30 * DAY_MS)), "more")
            .expr_as(count_if(expires_at().is_null()), "endless")
            .expr_as(expires_at().min().sub(self.clock()), "first_expiry")
            .filter(connections::is(ConnectionStatus::Connected))
            .into_model();
        Ok(counts.one(&self.reader()).await?.unwrap_or_default())
    }

    /// The accounts that somebody must do something for, at most so many, the most urgent first: whose business must connect them
    /// again, that Meta restricts, whose token ends within 7 days and is not renewed, and that have had no event for `silent`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn accounts_in_need(&self, silent: Millis, most: u64) -> Result<Vec<AccountInNeed>> {
        use instagram_connection::Column;
        let is = |status: ConnectionStatus| Column::Status.into_expr().eq(literal(status.as_str()));
        let ends = Column::TokenExpiresAt.into_expr().lt(self.clock().add(7 * DAY_MS));
        let is_silent = has_been_silent(self.clock().sub(silent));
        let connected = is(ConnectionStatus::Connected);
        let need = CaseStatement::new()
            .case(is(ConnectionStatus::ReauthRequired), literal("1_reconnect"))
            .case(is(ConnectionStatus::Restricted), literal("2_restricted"))
            .case(connected.clone().and(ends.clone()), literal("3_token_ends"))
            .finally(literal("4_silent"));
        let concerned = is(ConnectionStatus::ReauthRequired)
            .or(is(ConnectionStatus::Restricted))
            .or(connected.and(ends.or(is_silent)));
        let accounts = instagram_connection::Entity::find()
            .select_only()
            .columns([Column::SubaccountId, Column::InstagramAccountId, Column::Username])
            .expr_as(need, "need")
            .filter(concerned)
            .into_query()
            .order_by("need", sea_orm::Order::Asc)
            .order_by(Column::CreatedAt, sea_orm::Order::Asc)
            .limit(most)
            .take();
        let mut accounts: Vec<AccountInNeed> = rows(&self.reader(), &accounts).await?;
        for account in &mut accounts {
            account.need.drain(..2);
        }
        Ok(accounts)
    }

    /// Whether any event, turn or outbox of a connection in use waits for anything.
    pub async fn anything_due(&self) -> Result<bool> {
        let connected = connections::is(ConnectionStatus::Connected);
        let asking = turn::Entity::find()
            .inner_join(instagram_connection::Entity)
            .filter(turn::Column::State.into_expr().eq(literal(TurnState::Asking.as_str())));
        let sending = message::Entity::find()
            .inner_join(instagram_connection::Entity)
            .filter(message::Column::Status.into_expr().eq(literal(MessageStatus::Sending.as_str())));
        let due = chat::Column::TurnDueAt.is_not_null().or(chat::Column::OutboxDueAt.is_not_null());
        let chats = chat::Entity::find().inner_join(instagram_connection::Entity).filter(due);
        let events = event::Entity::find().filter(event::Column::DueAt.is_not_null());
        let any = one(events)
            .union(UnionType::All, one(asking.filter(connected.clone())))
            .union(UnionType::All, one(sending.filter(connected.clone())))
            .union(UnionType::All, one(chats.filter(connected)))
            .limit(1)
            .take();
        Ok(self.reader().query_one(&any).await?.is_some())
    }

    /// How many events of the inbox are in a state. Reads the whole inbox: for tests and for people.
    pub async fn count_events(&self, state: &str) -> Result<i64> {
        let events = event::Entity::find().filter(event::Column::State.eq(state));
        Ok(i64::try_from(events.count(&self.reader()).await?).unwrap_or(i64::MAX))
    }

    /// How many connections are in each state.
    pub async fn connection_counts(&self) -> Result<Vec<(String, i64)>> {
        use instagram_connection::Column;
        let counts = instagram_connection::Entity::find()
            .select_only()
            .column_as(Column::Status, "word")
            .column_as(Column::Status.count(), "n")
            .group_by(Column::Status);
        self.word_counts(counts.as_query()).await
    }

    async fn word_counts(&self, query: &SelectStatement) -> Result<Vec<(String, i64)>> {
        let counts: Vec<WordCount> = rows(&self.reader(), query).await?;
        Ok(counts.into_iter().map(|count| (count.word, count.n)).collect())
    }

    /// What waits in these connections.
    pub async fn backlog(&self, connections: &[ConnectionId]) -> Result<Backlog> {
        let waiting = |due_at: chat::Column| {
            let of_them = chat::Column::ConnectionId.is_in(connections.iter().copied());
            let chats = chat::Entity::find().filter(of_them).filter(due_at.is_not_null());
            chats.select_only().expr(Func::count(Expr::col(Asterisk))).into_query()
        };
        let query = Query::select()
            .expr_as(waiting(chat::Column::TurnDueAt), "turns")
            .expr_as(waiting(chat::Column::OutboxDueAt), "outboxes")
            .take();
        Ok(first_row(&self.reader(), &query).await?.unwrap_or_default())
    }
}

/// A row for each that is found, without its columns.
fn one<E: EntityTrait>(select: Select<E>) -> SelectStatement {
    select.select_only().expr(literal(1)).into_query()
}

/// The first time at which something is `due` in each connection in use whose agent is not paused. One look into each
/// of the indexes of first and of later attempts, however much is due.
fn oldest_of_each(due_at: chat::Column, attempts: chat::Column) -> SelectStatement {
    use instagram_connection::Column;
    let attempts = || attempts.into_expr();
    let [fresh, again] = [attempts().eq(literal(0)), attempts().gt(literal(0))].map(|index| {
        chat::Entity::find()
            .select_only()
            .column_as(due_at.min(), "due")
            .filter(chat::Column::ConnectionId.into_expr().eq(Column::Id.into_expr()))
            .filter(due_at.is_not_null())
            .filter(index)
            .into_query()
    });
    let both = fresh.clone().union(UnionType::All, again).take();
    let oldest = Query::select().expr(Expr::col("due").min()).from_subquery(both, "c").take();
    instagram_connection::Entity::find()
        .select_only()
        .expr_as(oldest, "due")
        .filter(connections::is(ConnectionStatus::Connected))
        .filter(Column::BotPaused.into_expr().not())
        .into_query()
}

/// The connection has had no event since then, or none since it was connected.
fn has_been_silent(since: Expr) -> Expr {
    use instagram_connection::Column;
    let last_seen = Func::coalesce(
        [Column::LastEventAt, Column::ConnectedAt, Column::CreatedAt].map(ColumnTrait::into_expr),
    );
    Expr::from(last_seen).lt(since)
}

/// What holds the turns of a connection back, if a budget is used up: what waits for it is not late.
fn held_turns(now: Expr) -> SelectStatement {
    use instagram_connection::Column;
    let of = |prefix: &str, id: Column| literal(prefix).binary(BinOper::Custom("||"), id.into_expr());
    let keys = [
        literal(TurnHold::of_all()),
        of("account:", Column::InstagramAccountId),
        of("subaccount:", Column::SubaccountId),
    ];
    Query::select()
        .expr(literal(1))
        .from("turn_holds")
        .and_where(Expr::col("until").gt(now))
        .and_where(Expr::col("key").is_in(keys))
        .take()
}

/// The breaker of a connection's account, if it is open: what Meta lets an account not send now is not late by our doing.
fn open_breaker_of_account(now: Expr) -> SelectStatement {
    let account = instagram_connection::Column::InstagramAccountId.into_expr();
    let key = literal("graph:account:").binary(BinOper::Custom("||"), account);
    one(breaker::Entity::find()
        .filter(breakers::is_open(now))
        .filter(breaker::Column::Key.into_expr().eq(key)))
}
