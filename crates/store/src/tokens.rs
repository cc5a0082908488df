//! Access tokens that end: which of them are to be renewed, and what came of it. Whatever is written is guarded
//! by the version of the credentials it is about: a reconnect meanwhile counts more.

use crate::connections::{DAY_MS, is, is_unchanged, next_version, set_status};
use crate::{Activity, ActivityKind, Connection, Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_entity::instagram_connection::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, UpdateMany};
use std::time::Duration;

/// A renewed token.
#[derive(Debug, Clone)]
pub struct Renewed {
    /// The token, sealed.
    pub access_token: Vec<u8>,
    /// Its `appsecret_proof`, if calls carry it.
    pub token_proof: Option<Vec<u8>>,
    /// How long it lasts from now, where Meta said so.
    pub expires_in: Option<Duration>,
}

impl Store {
    /// Claims connections in use whose token has at most `left` before it expires, or whose token's end nobody
    /// knows though it is older than a day and would have one. They are looked at again after `again`, unless
    /// what comes of this says otherwise.
    pub async fn claim_tokens(&self, left: Duration, again: Duration, most: u64) -> Result<Vec<Connection>> {
        let check_at = Func::coalesce([Column::TokenCheckAt.into_expr(), 0_i64.into()]);
        let to_be_checked = Expr::from(check_at).lte(self.clock());
        let ends_soon = Column::TokenExpiresAt.into_expr().lte(self.clock().add(millis(left)));
        let since = Func::coalesce([Column::ConnectedAt.into_expr(), Column::CreatedAt.into_expr()]);
        let is_old_without_end = Column::TokenExpiresAt
            .is_null()
            .and(Column::LoginKind.eq(LoginKind::Instagram.as_str()))
            .and(Expr::from(since).lte(self.clock().sub(DAY_MS)));
        let due = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(is(ConnectionStatus::Connected))
            .filter(Column::AccessToken.is_not_null())
            .filter(to_be_checked.clone())
            .filter(ends_soon.or(is_old_without_end))
            .order_by_asc(Column::TokenExpiresAt)
            .limit(most);
        let claim = Entity::update_many()
            .col_expr(Column::TokenCheckAt, self.clock().add(millis(again)))
            .filter(Column::Id.in_subquery(due.into_query()))
            .filter(to_be_checked);
        let rows = claim.exec_with_returning(&self.writer()).await?;
        // Rows that this version cannot read are a newer one's to renew.
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// The connection has a new token. False where it has another one by now, or is not in use any more.
    pub async fn renew_token(&self, connection: &Connection, renewed: &Renewed) -> Result<bool> {
        let tx = self.begin().await?;
        // Without an end that is known the next look is when the token may be renewed again.
        let expires_at = match renewed.expires_in {
            Some(left) => self.clock().add(millis(left)),
            None => Expr::val(None::<i64>),
        };
        let renew = set_status(self.clock(), ConnectionStatus::Connected, None)
            .col_expr(Column::AccessToken, renewed.access_token.clone().into())
            .col_expr(Column::TokenProof, Expr::val(renewed.token_proof.clone()))
            .col_expr(Column::TokenExpiresAt, expires_at)
            .col_expr(Column::TokenCheckAt, self.clock().add(DAY_MS))
            .col_expr(Column::CredentialVersion, next_version())
            .filter(is_unchanged(connection))
            .filter(is(ConnectionStatus::Connected).or(is(ConnectionStatus::ReauthRequired)));
        if renew.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(false);
        }
        let activity = Activity::of_connection(connection, ActivityKind::TokenRefreshed, "system")
            .about(&connection.id)
            .with("expiresInDays", renewed.expires_in.map(|left| millis(left) / DAY_MS));
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The connection's token could not be renewed, for this `reason` or with this `code` of Graph's; it is tried
    /// again in a day. False where the connection has another token by now.
    pub async fn token_failing(
        &self,
        connection: &Connection,
        reason: &str,
        code: Option<&str>,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let check = check_token_in(tx.clock(), connection, DAY_MS);
        if check.exec(tx.connection()).await?.rows_affected == 0 {
            return Ok(false);
        }
        let activity = Activity::of_connection(connection, ActivityKind::TokenFailing, "system")
            .about(&connection.id)
            .with("reason", reason)
            .with("code", code);
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The connection's token could not be renewed now; it is tried again after `delay`.
    pub async fn put_token_off(&self, connection: &Connection, delay: Duration) -> Result<()> {
        check_token_in(self.clock(), connection, millis(delay)).exec(&self.writer()).await?;
        Ok(())
    }
}

/// The connection's token is looked at again after so many milliseconds, unless it has another one by now.
fn check_token_in(now: Expr, connection: &Connection, delay_ms: i64) -> UpdateMany<Entity> {
    Entity::update_many().col_expr(Column::TokenCheckAt, now.add(delay_ms)).filter(is_unchanged(connection))
}
