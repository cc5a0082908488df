//! The health of connections: what is due to be checked, and what was found.

use crate::connections::{is, is_unchanged, set_status};
use crate::query::rows;
use crate::{Activity, ActivityKind, Connection, Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::{CheckName, CheckState, ConnectionStatus};
use dmrelay_entity::connection_check::{ActiveModel, Column, Entity, Model};
use dmrelay_entity::{instagram_connection, usage_day};
use sea_orm::sea_query::{Expr, ExprTrait, Func, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};
use std::time::Duration;

/// How many days an account's usual traffic is counted over.
const USUAL_DAYS: i64 = 28;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub name: CheckName,
    /// What was found. `Unknown` changes nothing that is known.
    pub state: CheckState,
    /// The same for people, with what to do.
    pub detail: String,
}

/// Checks of connections in use that found something, by what it is.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct CheckCount {
    /// The check's word.
    pub name: String,
    /// The state's word.
    pub state: String,
    /// How many connections.
    pub n: i64,
}

#[derive(FromQueryResult)]
struct Received {
    received: Option<i64>,
}

/// Connections whose health is of interest.
fn is_checked() -> Condition {
    Condition::any()
        .add(is(ConnectionStatus::Connected))
        .add(is(ConnectionStatus::Restricted))
        .add(is(ConnectionStatus::ReauthRequired))
}

impl Store {
    /// Claims connections whose checks are due, for this process alone. They are due again after `interval`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_checks(&self, interval: Duration, most: u64) -> Result<Vec<Connection>> {
        use instagram_connection::Column;
        let check_at = || Expr::from(Func::coalesce([Column::CheckAt.into_expr(), 0_i64.into()]));
        let due = instagram_connection::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(is_checked())
            .filter(check_at().lte(self.clock()))
            .order_by_asc(Column::CheckAt)
            .limit(most);
        let claim = instagram_connection::Entity::update_many()
            .col_expr(Column::CheckAt, self.clock().add(millis(interval)))
            .filter(Column::Id.in_subquery(due.into_query()))
            .filter(check_at().lte(self.clock()));
        let rows = claim.exec_with_returning(&self.writer()).await?;
        // Rows that this version cannot read are a newer one's to check.
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// Records what was found. Gives what is in another state than before.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_checks(&self, connection: &Connection, found: &[Finding]) -> Result<Vec<CheckName>> {
        let tx = self.begin().await?;
        // Not of an account that was erased meanwhile.
        if !tx.is_still_there(connection).await? {
            return Ok(Vec::new());
        }
        let now = tx.now().await?;
        let of = Entity::find().filter(Column::ConnectionId.eq(connection.id));
        let known = of.lock_exclusive().all(tx.connection()).await?;
        let (mut changed, mut upserts) = (Vec::new(), Vec::new());
        for finding in found {
            let before = known.iter().find(|row| row.name == finding.name);
            if finding.state == CheckState::Unknown && before.is_some() {
                continue;
            }
            let was = before.and_then(|row| row.state.known());
            let is_same = was == Some(finding.state);
            let since = before.filter(|_| is_same).map_or(now, |row| row.since);
            upserts.push(ActiveModel {
                connection_id: Set(connection.id),
                name: Set(finding.name.into()),
                state: Set(finding.state.into()),
                detail: Set(finding.detail.clone()),
                since: Set(since),
                checked_at: Set(now),
            });
            let (is_bad, was_bad) = (finding.state.is_bad(), was.is_some_and(CheckState::is_bad));
            if !is_same && (is_bad || was_bad) {
                changed.push(finding.name);
                let activity = Activity::of_connection(connection, ActivityKind::CheckChanged, "system")
                    .with("check", finding.name.as_str())
                    .with("state", finding.state.as_str())
                    .with("was", was.map(CheckState::as_str))
                    .with("message", finding.detail.as_str());
                tx.record(&activity).await?;
            }
        }
        if !upserts.is_empty() {
            let replace = OnConflict::columns([Column::ConnectionId, Column::Name])
                .update_columns([Column::State, Column::Detail, Column::Since, Column::CheckedAt])
                .to_owned();
            Entity::insert_many(upserts).on_conflict(replace).exec_without_returning(tx.connection()).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// What was found last of a connection.
    ///
    /// # Errors
    /// What the database says.
    pub async fn checks(&self, connection: ConnectionId) -> Result<Vec<Model>> {
        let checks = Entity::find().filter(Column::ConnectionId.eq(connection));
        Ok(checks.all(&self.writer()).await?)
    }

    /// What was found last of all connections of a subaccount.
    ///
    /// # Errors
    /// What the database says.
    pub async fn checks_of(&self, subaccount: &SubaccountId) -> Result<Vec<Model>> {
        let connections = instagram_connection::Entity::find()
            .select_only()
            .column(instagram_connection::Column::Id)
            .filter(instagram_connection::Column::SubaccountId.eq(subaccount.as_str()));
        let checks = Entity::find().filter(Column::ConnectionId.in_subquery(connections.into_query()));
        Ok(checks.all(&self.reader()).await?)
    }

    /// What was found last of these connections.
    ///
    /// # Errors
    /// What the database says.
    pub async fn checks_among(&self, connections: &[ConnectionId]) -> Result<Vec<Model>> {
        let checks = Entity::find().filter(Column::ConnectionId.is_in(connections.iter().copied()));
        Ok(checks.all(&self.reader()).await?)
    }

    /// How many connections in use have a check in which state.
    ///
    /// # Errors
    /// What the database says.
    pub async fn check_counts(&self) -> Result<Vec<CheckCount>> {
        let of_checked = instagram_connection::Entity::find()
            .select_only()
            .column(instagram_connection::Column::Id)
            .filter(is_checked());
        let counts = Entity::find()
            .select_only()
            .column(Column::Name)
            .column(Column::State)
            .column_as(Column::Name.count(), "n")
            .filter(Column::ConnectionId.in_subquery(of_checked.into_query()))
            .group_by(Column::Name)
            .group_by(Column::State)
            .into_query();
        rows(&self.reader(), &counts).await
    }

    /// How many messages of customers a connection has usually had a day, over the last weeks.
    ///
    /// # Errors
    /// What the database says.
    pub async fn usual_traffic(&self, connection: &Connection, now: Millis) -> Result<f64> {
        let today = crate::day_of(now);
        let days = (today - crate::day_of(connection.row.connected_since())).clamp(1, USUAL_DAYS);
        // BIGINTs are summed up as a NUMERIC by PostgreSQL.
        let sum = Expr::from(Func::sum(usage_day::Column::Received.into_expr())).cast_as("bigint");
        let received = usage_day::Entity::find()
            .select_only()
            .expr_as(sum, "received")
            .filter(usage_day::Column::ConnectionId.eq(connection.id))
            .filter(usage_day::Column::Day.gte(today - days))
            .into_model::<Received>();
        let received = received.one(&self.reader()).await?.and_then(|sum| sum.received).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let per_day = received as f64 / days as f64;
        Ok(per_day)
    }

    /// The webhooks of the connection are subscribed again, with these fields; `missing` were not.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_resubscribed(
        &self,
        connection: &Connection,
        fields: &[String],
        missing: &[String],
    ) -> Result<()> {
        use instagram_connection::Column;
        let tx = self.begin().await?;
        let fields = serde_json::to_string(fields).unwrap_or_else(|_| "[]".to_owned());
        let note = instagram_connection::Entity::update_many()
            .col_expr(Column::SubscribedFields, fields.into())
            .col_expr(Column::UpdatedAt, tx.clock())
            .filter(is_unchanged(connection));
        note.exec(tx.connection()).await?;
        let activity = Activity::of_connection(connection, ActivityKind::Resubscribed, "system")
            .with("missing", missing.to_vec());
        tx.record(&activity).await?;
        tx.commit().await
    }

    /// Meta has told when the token ends.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_token_end(&self, connection: &Connection, ends_at: Option<Millis>) -> Result<()> {
        use instagram_connection::Column;
        let note = instagram_connection::Entity::update_many()
            .col_expr(Column::TokenExpiresAt, Expr::val(ends_at))
            .filter(is_unchanged(connection));
        note.exec(&self.writer()).await?;
        Ok(())
    }

    /// Meta accepts the token again that it rejected: the connection goes on. False where it has another one by now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unpark_connection(&self, connection: &Connection) -> Result<bool> {
        let tx = self.begin().await?;
        let unpark = set_status(tx.clock(), ConnectionStatus::Connected, None)
            .filter(is_unchanged(connection))
            .filter(is(ConnectionStatus::ReauthRequired));
        if unpark.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(false);
        }
        let activity = Activity::of_connection(connection, ActivityKind::ConnectionStateChanged, "system")
            .with("status", ConnectionStatus::Connected.as_str())
            .with("reason", "Meta accepts the token again");
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }
}
