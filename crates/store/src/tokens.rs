//! Access tokens that end: which of them are to be renewed, and what came of it. Whatever is written is guarded
//! by the version of the credentials it is about: a reconnect meanwhile counts more.

use crate::{Activity, ActivityKind, Connection, Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::states::LoginKind;
use dmrelay_entity::instagram_connection::Model;
use std::time::Duration;

/// How old a token must be before Meta renews it.
const DAY_MS: i64 = 24 * 3_600_000;

/// A renewed token.
#[derive(Debug, Clone)]
pub struct Renewed {
    /// The token, sealed.
    pub access_token: Vec<u8>,
    /// How long it lasts from now, where Meta said so.
    pub expires_in: Option<Duration>,
}

impl Store {
    /// Claims connections in use whose token has at most `left` before it expires, or whose token's end nobody
    /// knows though it is older than a day and would have one. They are looked at again after `again`, unless
    /// what comes of this says otherwise.
    pub async fn claim_tokens(&self, left: Duration, again: Duration, most: u64) -> Result<Vec<Connection>> {
        let instagram = LoginKind::Instagram.as_str();
        let sql = format!(
            "UPDATE instagram_connections SET token_check_at = {{now}} + $2 \
             WHERE id IN (SELECT id FROM instagram_connections WHERE status = 'connected' \
                AND access_token IS NOT NULL AND COALESCE(token_check_at, 0) <= {{now}} \
                AND (token_expires_at <= {{now}} + $1 OR (token_expires_at IS NULL \
                    AND login_kind = '{instagram}' AND COALESCE(connected_at, created_at) <= {{now}} - {DAY_MS})) \
                ORDER BY token_expires_at LIMIT $3) \
             AND COALESCE(token_check_at, 0) <= {{now}} RETURNING {{instagram_connections.*}}"
        );
        let values = vec![millis(left).into(), millis(again).into(), most.into()];
        let rows: Vec<Model> = self.write(&sql, values).await?;
        // Rows that this version cannot read are a newer one's to renew.
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// The connection has a new token. False where it has another one by now, or is not in use any more.
    pub async fn renew_token(&self, connection: &Connection, renewed: &Renewed) -> Result<bool> {
        let tx = self.begin().await?;
        // Without an end that is known the next look is when the token may be renewed again.
        let sql = format!(
            "UPDATE instagram_connections SET access_token = $3, token_expires_at = {{now}} + $4, \
                token_check_at = {{now}} + {DAY_MS}, credential_version = credential_version + 1, \
                status = 'connected', status_reason = NULL, updated_at = {{now}} \
             WHERE id = $1 AND credential_version = $2 AND status IN ('connected', 'reauth_required')"
        );
        let values = vec![
            connection.row.id.into(),
            connection.row.credential_version.into(),
            renewed.access_token.clone().into(),
            renewed.expires_in.map(millis).into(),
        ];
        if tx.execute(&sql, values).await? == 0 {
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
        let sql = format!(
            "UPDATE instagram_connections SET token_check_at = {{now}} + {DAY_MS} \
             WHERE id = $1 AND credential_version = $2"
        );
        let row = &connection.row;
        if tx.execute(&sql, vec![row.id.into(), row.credential_version.into()]).await? == 0 {
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
        let sql = "UPDATE instagram_connections SET token_check_at = {now} + $3 \
             WHERE id = $1 AND credential_version = $2";
        let row = &connection.row;
        let values = vec![row.id.into(), row.credential_version.into(), millis(delay).into()];
        self.execute(sql, values).await?;
        Ok(())
    }
}
