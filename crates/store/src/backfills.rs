//! Messages that no webhook brought: which connections are to be compared with Meta's copy of their conversations, and how far that
//! is.

use crate::connections::is;
use crate::conversations::mid_key;
use crate::query::insert;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ConnectionId, InstagramUserId};
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_entity::backfill::{Column, Entity, Model};
use dmrelay_entity::{chat, instagram_connection, leader, message};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, UpdateMany,
};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// Messages among which the last of a conversation is.
const NEWEST: u64 = 20;

/// What a look at conversations has brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Conversations that were read.
    pub threads: i64,
    /// Of those, how many could not be read.
    pub skipped: i64,
    /// Messages that no webhook had brought.
    pub found: i64,
}

impl Looked {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            threads: self.threads + other.threads,
            skipped: self.skipped + other.skipped,
            found: self.found + other.found,
        }
    }
}

impl Store {
    /// Claims connections whose conversations are to be looked at, for this process alone; again after `interval`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_backfills(&self, interval: Duration, most: u64) -> Result<Vec<(Connection, Model)>> {
        let connected = instagram_connection::Entity::find()
            .select_only()
            .column(instagram_connection::Column::Id)
            .filter(is(ConnectionStatus::Connected));
        let due = Entity::find()
            .select_only()
            .column(Column::ConnectionId)
            .filter(Column::DueAt.into_expr().lte(self.clock()))
            .filter(Column::ConnectionId.in_subquery(connected.into_query()))
            .order_by_asc(Column::DueAt)
            .limit(most);
        let claim = Entity::update_many()
            .col_expr(Column::DueAt, self.clock().add(millis(interval)))
            .filter(Column::ConnectionId.in_subquery(due.into_query()))
            .filter(Column::DueAt.into_expr().lte(self.clock()));
        let rows = claim.exec_with_returning(&self.writer()).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(connection) = self.connection_by_id(row.connection_id).await? {
                claimed.push((connection, row));
            }
        }
        Ok(claimed)
    }

    /// All conversations of a connection that changed since then are to be read, for this reason.
    ///
    /// # Errors
    /// What the database says.
    pub async fn request_backfill(&self, id: ConnectionId, since: Millis, reason: &str) -> Result<()> {
        let request = requested(self.clock(), since, reason).filter(Column::ConnectionId.eq(id));
        request.exec(&self.writer()).await?;
        Ok(())
    }

    /// The same, of all connections in use. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn request_backfills(&self, since: Millis, reason: &str) -> Result<u64> {
        let connected = instagram_connection::Entity::find()
            .select_only()
            .column(instagram_connection::Column::Id)
            .filter(is(ConnectionStatus::Connected));
        let request = requested(self.clock(), since, reason)
            .filter(Column::ConnectionId.in_subquery(connected.into_query()));
        Ok(request.exec(&self.writer()).await?.rows_affected)
    }

    /// Holds a claimed connection for `interval` more. False where it is no longer to be looked at by this process: its conversations
    /// were asked for anew, or it is not connected any more, or is another subaccount's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn hold_backfill(
        &self,
        connection: &Connection,
        row: &Model,
        interval: Duration,
    ) -> Result<bool> {
        let still = instagram_connection::Entity::find()
            .select_only()
            .column(instagram_connection::Column::Id)
            .filter(instagram_connection::Column::Id.eq(connection.id))
            .filter(instagram_connection::Column::SubaccountId.eq(connection.subaccount.as_str()))
            .filter(is(ConnectionStatus::Connected));
        let hold = Entity::update_many()
            .col_expr(Column::DueAt, self.clock().add(millis(interval)))
            .filter(Column::ConnectionId.in_subquery(still.into_query()))
            .filter(is_same_request(row));
        Ok(hold.exec(&self.writer()).await?.rows_affected > 0)
    }

    /// A connection is looked at again after `wait`: Meta did not show everything now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delay_backfill(&self, row: &Model, wait: Duration) -> Result<()> {
        let delay = Entity::update_many()
            .col_expr(Column::DueAt, self.clock().add(millis(wait)))
            .filter(Column::ConnectionId.eq(row.connection_id))
            .filter(is_same_request(row));
        delay.exec(&self.writer()).await?;
        Ok(())
    }

    /// A page of what was asked for is read. It goes on after `cursor` when it is this connection's turn again; or it is done, and what
    /// changed until `settle` before it was asked for has been seen. Nothing is written where it was asked for anew meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_backfill(
        &self,
        row: &Model,
        (looked, cursor): (Looked, Option<&str>),
        (interval, settle): (Duration, Duration),
    ) -> Result<()> {
        let wait = if cursor.is_some() { Duration::ZERO } else { interval };
        let plus = |column: Column, more: i64| (column, column.into_expr().add(more));
        let mut note = Entity::update_many()
            .col_expr(Column::Cursor, Expr::val(cursor))
            .col_expr(Column::DueAt, self.clock().add(millis(wait)))
            .filter(Column::ConnectionId.eq(row.connection_id))
            .filter(is_same_request(row));
        for (column, value) in [
            plus(Column::Threads, looked.threads),
            plus(Column::Skipped, looked.skipped),
            plus(Column::Found, looked.found),
        ] {
            note = note.col_expr(column, value);
        }
        if cursor.is_none() {
            note = note
                .col_expr(Column::SeenUntil, later(row.requested_at.unwrap_or(0) - millis(settle)))
                .col_expr(Column::Since, Expr::val(None::<i64>))
                .col_expr(Column::FinishedAt, self.clock());
        }
        note.exec(&self.writer()).await?;
        Ok(())
    }

    /// What changed until then has been seen.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_seen(&self, id: ConnectionId, until: Millis) -> Result<()> {
        let note = Entity::update_many()
            .col_expr(Column::SeenUntil, later(until))
            .filter(Column::ConnectionId.eq(id));
        note.exec(&self.writer()).await?;
        Ok(())
    }

    /// Messages were found, for this reason.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_found(&self, connection: &Connection, found: i64, reason: &str) -> Result<()> {
        let tx = self.begin().await?;
        // Not of an account that was erased meanwhile, or moved: its activities are its subaccount's.
        if !tx.is_still_there(connection).await? {
            return Ok(());
        }
        let note = Entity::update_many()
            .col_expr(Column::LastFoundAt, tx.clock())
            .filter(Column::ConnectionId.eq(connection.id));
        note.exec(tx.connection()).await?;
        let activity = Activity::of_connection(connection, ActivityKind::Backfilled, "system")
            .with("found", found)
            .with("reason", reason);
        tx.record(&activity).await?;
        tx.commit().await
    }

    /// How far a connection's conversations have been looked at.
    ///
    /// # Errors
    /// What the database says.
    pub async fn backfill(&self, id: ConnectionId) -> Result<Option<Model>> {
        Ok(Entity::find_by_id(id).one(&self.writer()).await?)
    }

    /// Those of these ids of Meta's under which no message of the connection is stored.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unknown_mids(&self, id: ConnectionId, mids: &[String]) -> Result<HashSet<String>> {
        let keys = mids.iter().map(|mid| mid_key(id, mid));
        let known: Vec<Option<Uuid>> = message::Entity::find()
            .select_only()
            .column(message::Column::MidKey)
            .filter(message::Column::MidKey.is_in(keys))
            .into_tuple()
            .all(&self.reader())
            .await?;
        let known: HashSet<Uuid> = known.into_iter().flatten().collect();
        Ok(mids.iter().filter(|mid| !known.contains(&mid_key(id, mid))).cloned().collect())
    }

    /// When the last message of the conversation with a customer was written or sent, as far as Meta has it too, if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn last_message_at(&self, id: ConnectionId, user: &InstagramUserId) -> Result<Option<Millis>> {
        let of = chat::Entity::find()
            .select_only()
            .column(chat::Column::Id)
            .filter(chat::Column::InstagramUserId.eq(user.as_str()))
            .filter(chat::Column::ConnectionId.eq(id));
        let newest: Vec<(Option<String>, Millis, Option<Millis>)> = message::Entity::find()
            .select_only()
            .columns([message::Column::Mid, message::Column::At, message::Column::SentAt])
            .filter(message::Column::ChatId.in_subquery(of.into_query()))
            .order_by_desc(message::Column::Seq)
            .limit(NEWEST)
            .into_tuple()
            .all(&self.reader())
            .await?;
        Ok(newest
            .into_iter()
            .filter(|one| one.0.is_some())
            .map(|(_, at, sent_at)| sent_at.unwrap_or(at))
            .max())
    }

    /// Until when somebody led a service, or will.
    ///
    /// # Errors
    /// What the database says.
    pub async fn led_until(&self, service: &str) -> Result<Option<Millis>> {
        let until = leader::Entity::find()
            .select_only()
            .column(leader::Column::Until)
            .filter(leader::Column::Name.eq(service));
        Ok(until.into_tuple().one(&self.writer()).await?)
    }
}

/// Begins anew, from the earlier of the two where another request is open.
fn requested(now: Expr, since: Millis, reason: &str) -> UpdateMany<Entity> {
    let open = Column::Since.into_expr();
    let earlier = CaseStatement::new().case(open.clone().lt(since), open).finally(since);
    Entity::update_many()
        .col_expr(Column::Since, earlier.into())
        .col_expr(Column::Reason, Expr::val(Some(reason)))
        .col_expr(Column::Cursor, Expr::val(None::<String>))
        .col_expr(Column::DueAt, 0_i64.into())
        .col_expr(Column::Threads, 0_i64.into())
        .col_expr(Column::Skipped, 0_i64.into())
        .col_expr(Column::Found, 0_i64.into())
        .col_expr(Column::RequestedAt, now)
        .col_expr(Column::FinishedAt, Expr::val(None::<i64>))
}

/// What a row was claimed for has not been asked for anew since.
fn is_same_request(row: &Model) -> Expr {
    match row.requested_at {
        Some(at) => Column::RequestedAt.eq(at),
        None => Column::RequestedAt.is_null(),
    }
}

/// What has been seen is never less than before.
fn later(until: Millis) -> Expr {
    let seen = Column::SeenUntil.into_expr();
    CaseStatement::new().case(seen.clone().lt(until), until).finally(seen).into()
}

impl Tx {
    /// Whether a connection is still there, and its subaccount's. Nobody erases or moves it until the end of the transaction.
    pub(crate) async fn is_still_there(&self, connection: &Connection) -> Result<bool> {
        let row = instagram_connection::Entity::find_by_id(connection.id).lock_exclusive();
        let row = row.one(self.connection()).await?;
        Ok(row.is_some_and(|row| row.subaccount_id == connection.subaccount.as_str()))
    }

    /// A connection that is about to be connected, and was not, begins anew: what was to be read when it was connected before is not.
    pub(crate) async fn forget_former_looks(&self, id: ConnectionId) -> Result<()> {
        let pending = instagram_connection::Entity::find()
            .select_only()
            .column(instagram_connection::Column::Id)
            .filter(instagram_connection::Column::Id.eq(id))
            .filter(is(ConnectionStatus::Pending));
        let former = Column::ConnectionId.in_subquery(pending.into_query());
        Entity::delete_many().filter(former).exec(self.connection()).await?;
        Ok(())
    }

    /// All conversations of a connection that changed since then are to be read, for this reason.
    ///
    /// # Errors
    /// What the database says.
    pub async fn request_backfill(&self, id: ConnectionId, since: Millis, reason: &str) -> Result<()> {
        let request = requested(self.clock(), since, reason).filter(Column::ConnectionId.eq(id));
        request.exec(self.connection()).await?;
        Ok(())
    }

    /// From now on the conversations of a connection are looked at. What was before is no gap.
    pub(crate) async fn begin_looking(&self, id: ConnectionId) -> Result<()> {
        let begin = insert::<Entity>([
            (Column::ConnectionId, id.into()),
            (Column::DueAt, 0_i64.into()),
            (Column::SeenUntil, self.clock()),
            (Column::Threads, 0_i64.into()),
            (Column::Skipped, 0_i64.into()),
            (Column::Found, 0_i64.into()),
        ])
        .on_conflict(OnConflict::column(Column::ConnectionId).do_nothing().to_owned())
        .take();
        self.connection().execute(&begin).await?;
        Ok(())
    }
}
