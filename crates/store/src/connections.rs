//! Instagram connections: who is connected, with what, and in which state.

use crate::{Activity, ActivityKind, Error, Result, Settings, Store, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{AgentId, ConnectionId, InstagramAccountId, PageId, SubaccountId};
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_entity::instagram_connection::{self, Model};
use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult};

/// A connection, with its words read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Our id.
    pub id: ConnectionId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The agent that answers.
    pub agent: AgentId,
    /// The Instagram account.
    pub account: InstagramAccountId,
    /// The Page, where the login is Facebook's.
    pub page: Option<PageId>,
    /// Which of Meta's logins the token is from.
    pub login: LoginKind,
    /// Its state.
    pub status: ConnectionStatus,
    /// What the business chose.
    pub settings: Settings,
    /// The row.
    pub row: Model,
}

/// Sealed secrets of a connection, as they are stored.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The access token.
    pub access_token: Vec<u8>,
    /// When it expires, where Meta said so.
    pub token_expires_at: Option<Millis>,
    /// The token of Meta's handshake.
    pub verify_token: Vec<u8>,
    /// The app secret that signs this connection's webhooks, where it has one of its own.
    pub app_secret: Option<Vec<u8>>,
}

/// A connection to be made or revived, in state `pending`.
#[derive(Debug, Clone)]
pub struct NewConnection {
    /// Our id: a new one, or that of the row to revive.
    pub id: ConnectionId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The agent.
    pub agent: AgentId,
    /// The Instagram account.
    pub account: InstagramAccountId,
    /// The Page, where the login is Facebook's.
    pub page: Option<PageId>,
    /// Which of Meta's logins the token is from.
    pub login: LoginKind,
    /// The account's handle.
    pub username: Option<String>,
    /// What the business chose.
    pub settings: Settings,
    /// Its sealed secrets.
    pub credentials: Credentials,
}

/// What the webhook path must know of the connections without asking the database.
pub type Snapshot = Vec<Connection>;

#[derive(FromQueryResult)]
struct Mark {
    changes: Option<i64>,
    count: i64,
}

impl Connection {
    /// Its sealed secrets, as far as there are any.
    pub fn sealed(&self) -> impl Iterator<Item = &[u8]> {
        let row = &self.row;
        [&row.access_token, &row.verify_token, &row.app_secret]
            .into_iter()
            .filter_map(|sealed| sealed.as_deref())
    }

    pub(crate) fn from_row(row: Model) -> Result<Self> {
        let odd = |what: String| Error::Row { table: "instagram_connections", what };
        let id = |err: dmrelay_domain::ids::InvalidId| odd(err.to_string());
        Ok(Self {
            id: row.id.into(),
            subaccount: SubaccountId::parse(&row.subaccount_id).map_err(id)?,
            agent: AgentId::parse(&row.agent_id).map_err(id)?,
            account: InstagramAccountId::parse(&row.instagram_account_id).map_err(id)?,
            page: row.page_id.as_deref().map(PageId::parse).transpose().map_err(id)?,
            login: LoginKind::parse(&row.login_kind).ok_or_else(|| odd(row.login_kind.clone()))?,
            status: ConnectionStatus::parse(&row.status).ok_or_else(|| odd(row.status.clone()))?,
            settings: serde_json::from_str(&row.settings).map_err(|err| odd(err.to_string()))?,
            row,
        })
    }
}

impl Store {
    /// A connection by its id.
    pub async fn connection_by_id(&self, id: ConnectionId) -> Result<Option<Connection>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE id = $1";
        let rows: Vec<Model> = self.read(sql, vec![id.0.into()]).await?;
        rows.into_iter().next().map(Connection::from_row).transpose()
    }

    /// All connections of a subaccount, of one agent if it is named; the newest first.
    pub async fn connections(
        &self,
        subaccount: &SubaccountId,
        agent: Option<&AgentId>,
    ) -> Result<Vec<Connection>> {
        let agent = agent.map_or("", AgentId::as_str);
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE subaccount_id = $1 AND ($2 = '' OR agent_id = $2) \
             ORDER BY id DESC";
        let rows: Vec<Model> = self.read(sql, vec![subaccount.as_str().into(), agent.into()]).await?;
        rows.into_iter().map(Connection::from_row).collect()
    }

    /// The connection under which an account is live, whoever has it.
    pub async fn live_connection(&self, account: &InstagramAccountId) -> Result<Option<Connection>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE instagram_account_id = $1 AND status <> 'disconnected'";
        let rows: Vec<Model> = self.read(sql, vec![account.as_str().into()]).await?;
        rows.into_iter().next().map(Connection::from_row).transpose()
    }

    /// Every connection that is not disconnected. Rows that this version cannot read are left out.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let sql =
            "SELECT {instagram_connections.*} FROM instagram_connections WHERE status <> 'disconnected'";
        let rows: Vec<Model> = self.read(sql, Vec::new()).await?;
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// A mark that changes whenever [`Store::snapshot`] would.
    pub async fn snapshot_mark(&self) -> Result<(i64, i64)> {
        // The sum, not the newest: a change may become visible after another one with a later time.
        let sql =
            "SELECT CAST(SUM(updated_at) AS bigint) AS changes, COUNT(*) AS count FROM instagram_connections";
        let rows: Vec<Mark> = self.read(sql, Vec::new()).await?;
        Ok(rows.first().map_or((0, 0), |mark| (mark.changes.unwrap_or(0), mark.count)))
    }

    /// Binds an agent to a subaccount. False when it belongs to another one.
    pub async fn bind_agent(&self, agent: &AgentId, subaccount: &SubaccountId) -> Result<bool> {
        let sql = "INSERT INTO agents (id, subaccount_id, created_at) VALUES ($1, $2, {now}) ON CONFLICT (id) DO NOTHING";
        self.execute(sql, vec![agent.as_str().into(), subaccount.as_str().into()]).await?;
        Ok(self.agent_subaccount(agent).await?.as_deref() == Some(subaccount.as_str()))
    }

    /// The subaccount an agent belongs to.
    pub async fn agent_subaccount(&self, agent: &AgentId) -> Result<Option<String>> {
        #[derive(FromQueryResult)]
        struct Owner {
            subaccount_id: String,
        }
        let sql = "SELECT subaccount_id FROM agents WHERE id = $1";
        let rows: Vec<Owner> = self.write(sql, vec![agent.as_str().into()]).await?;
        Ok(rows.into_iter().next().map(|row| row.subaccount_id))
    }

    /// The disconnected connection of this account and agent, whose history a new one goes on with.
    pub async fn former_connection(
        &self,
        scope: (&SubaccountId, &AgentId),
        account: &InstagramAccountId,
    ) -> Result<Option<ConnectionId>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE subaccount_id = $1 AND agent_id = $2 \
             AND instagram_account_id = $3 AND status = 'disconnected' ORDER BY id DESC LIMIT 1";
        let values = vec![scope.0.as_str().into(), scope.1.as_str().into(), account.as_str().into()];
        Ok(self.read::<Model>(sql, values).await?.first().map(|row| row.id.into()))
    }

    /// A disconnected connection is about to be connected again.
    ///
    /// # Errors
    /// [`Error::is_conflict`] when the account is live elsewhere.
    pub async fn revive_connection(&self, id: ConnectionId) -> Result<()> {
        let sql = "UPDATE instagram_connections SET status = 'pending', status_reason = NULL, updated_at = {now} \
             WHERE id = $1 AND status = 'disconnected'";
        self.execute(sql, vec![id.0.into()]).await?;
        Ok(())
    }

    /// Connections that wait for something to end: being connected for longer than `pending`, or to be
    /// disconnected.
    pub async fn unfinished_connections(&self, pending: std::time::Duration) -> Result<Vec<Connection>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE status = 'disconnecting' \
             OR (status = 'pending' AND updated_at < {now} - $1)";
        let values = vec![dmrelay_domain::clock::millis(pending).into()];
        let rows: Vec<Model> = self.read(sql, values).await?;
        rows.into_iter().map(Connection::from_row).collect()
    }

    /// Removes a connection that never came to be.
    pub async fn drop_pending(&self, id: ConnectionId) -> Result<()> {
        let sql =
            "DELETE FROM instagram_connections WHERE id = $1 AND status = 'pending' AND connected_at IS NULL";
        self.execute(sql, vec![id.0.into()]).await?;
        // One that was connected before goes back to what it was.
        let sql = "UPDATE instagram_connections SET status = 'disconnected', updated_at = {now} \
             WHERE id = $1 AND status = 'pending'";
        self.execute(sql, vec![id.0.into()]).await?;
        Ok(())
    }

    /// The webhook of this account was just received; written at most once in ten seconds.
    pub async fn touch_connection(&self, id: ConnectionId) -> Result<()> {
        let sql = "UPDATE instagram_connections SET last_event_at = {now} \
             WHERE id = $1 AND COALESCE(last_event_at, 0) < {now} - 10000";
        self.execute(sql, vec![id.0.into()]).await?;
        Ok(())
    }

    /// Parks a connection whose token Meta refused, unless it has a newer one by now. True if this parked it.
    pub async fn park_connection(
        &self,
        connection: &Connection,
        status: ConnectionStatus,
        reason: &str,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let sql = "UPDATE instagram_connections SET status = $3, status_reason = $4, updated_at = {now} \
             WHERE id = $1 AND credential_version = $2 AND status = 'connected'";
        let values = vec![
            connection.row.id.into(),
            connection.row.credential_version.into(),
            status.as_str().into(),
            reason.into(),
        ];
        if tx.execute(sql, values).await? == 0 {
            return Ok(false);
        }
        let activity = Activity::of_connection(connection, ActivityKind::ConnectionStateChanged, "system")
            .with("status", status.as_str())
            .with("reason", reason);
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    /// A connection by its id.
    pub async fn connection_of(&self, id: uuid::Uuid) -> Result<Option<Connection>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE id = $1";
        self.first(sql, vec![id.into()]).await?.map(Connection::from_row).transpose()
    }

    /// The connection an account belongs to now.
    pub(crate) async fn route(&self, account: &str) -> Result<Option<Connection>> {
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE instagram_account_id = $1 AND status <> 'disconnected'";
        self.first(sql, vec![account.into()]).await?.map(Connection::from_row).transpose()
    }

    /// Writes a new connection in state `pending`.
    ///
    /// # Errors
    /// [`Error::is_conflict`] when the account is live elsewhere.
    pub async fn create_connection(&self, new: &NewConnection) -> Result<()> {
        let now = self.now().await?;
        let row = instagram_connection::ActiveModel {
            id: Set(new.id.0),
            subaccount_id: Set(new.subaccount.to_string()),
            agent_id: Set(new.agent.to_string()),
            status: Set(ConnectionStatus::Pending.to_string()),
            login_kind: Set(new.login.to_string()),
            instagram_account_id: Set(new.account.to_string()),
            page_id: Set(new.page.as_ref().map(ToString::to_string)),
            username: Set(new.username.clone()),
            access_token: Set(Some(new.credentials.access_token.clone())),
            token_expires_at: Set(new.credentials.token_expires_at),
            credential_version: Set(1),
            verify_token: Set(Some(new.credentials.verify_token.clone())),
            app_secret: Set(new.credentials.app_secret.clone()),
            subscribed_fields: Set("[]".to_owned()),
            settings: Set(serde_json::to_string(&new.settings).unwrap_or_else(|_| "{}".to_owned())),
            created_at: Set(now),
            updated_at: Set(now),
            ..Default::default()
        };
        instagram_connection::Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(())
    }

    /// The connection is in use with these credentials: subscribed, and read back.
    pub async fn mark_connected(&self, new: &NewConnection, fields: &[String]) -> Result<()> {
        // A token whose end nobody knows may be new, and Meta renews none that is not a day old.
        let sql = "UPDATE instagram_connections SET status = 'connected', status_reason = NULL, username = $2, \
                page_id = $3, login_kind = $4, access_token = $5, token_expires_at = $6, verify_token = $7, \
                app_secret = $8, settings = $9, subscribed_fields = $10, agent_id = $11, \
                token_check_at = CASE WHEN $6 IS NULL THEN {now} + 86400000 END, \
                credential_version = credential_version + 1, connected_at = COALESCE(connected_at, {now}), \
                updated_at = {now} WHERE id = $1";
        let credentials = &new.credentials;
        let values = vec![
            new.id.0.into(),
            new.username.clone().into(),
            new.page.as_ref().map(ToString::to_string).into(),
            new.login.as_str().into(),
            credentials.access_token.clone().into(),
            credentials.token_expires_at.into(),
            credentials.verify_token.clone().into(),
            credentials.app_secret.clone().into(),
            serde_json::to_string(&new.settings).unwrap_or_else(|_| "{}".to_owned()).into(),
            serde_json::to_string(fields).unwrap_or_else(|_| "[]".to_owned()).into(),
            new.agent.as_str().into(),
        ];
        self.execute(sql, values).await?;
        Ok(())
    }

    /// The connection is disconnected, and its secrets are forgotten. False where it was connected anew since
    /// it was read.
    pub async fn mark_disconnected(&self, connection: &Connection, reason: &str) -> Result<bool> {
        let sql = "UPDATE instagram_connections SET status = 'disconnected', status_reason = $2, \
                access_token = NULL, token_expires_at = NULL, verify_token = NULL, app_secret = NULL, \
                credential_version = credential_version + 1, updated_at = {now} \
             WHERE id = $1 AND credential_version = $3";
        let row = &connection.row;
        let values = vec![row.id.into(), reason.into(), row.credential_version.into()];
        Ok(self.execute(sql, values).await? == 1)
    }

    /// The connection is to be disconnected once Meta can be reached; nothing is sent through it any more.
    pub async fn mark_disconnecting(&self, id: ConnectionId, reason: &str) -> Result<()> {
        let sql = "UPDATE instagram_connections SET status = 'disconnecting', status_reason = $2, updated_at = {now} \
             WHERE id = $1 AND status <> 'disconnected'";
        self.execute(sql, vec![id.0.into(), reason.into()]).await?;
        Ok(())
    }
}
