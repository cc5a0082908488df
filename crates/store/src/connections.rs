//! Instagram connections: who is connected, with what, and in which state.

use crate::query::literal;
use crate::{Activity, ActivityKind, Error, Result, Settings, Store, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{AgentId, ConnectionId, InstagramAccountId, PageId, SubaccountId};
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_entity::instagram_connection::{self, Column, Entity, Model};
use sea_orm::sea_query::{Asterisk, CaseStatement, Expr, ExprTrait, Func};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select, UpdateMany,
};

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
    /// Its `appsecret_proof`, if calls carry it.
    pub token_proof: Option<Vec<u8>>,
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
    /// The id by which Meta's callbacks name its owner.
    pub app_user_id: Option<String>,
    /// What the business chose.
    pub settings: Settings,
    /// What its owner has granted, where that is known.
    pub permissions: Option<Vec<String>>,
    /// Its sealed secrets.
    pub credentials: Credentials,
}

/// What the webhook path must know of the connections without asking the database.
pub type Snapshot = Vec<Connection>;

/// How old a token must be before Meta renews it.
pub(crate) const DAY_MS: i64 = 24 * 3_600_000;

/// The connection is not disconnected: what the index of live accounts holds.
pub(crate) fn is_live() -> Expr {
    Column::Status.into_expr().ne(literal(ConnectionStatus::Disconnected.as_str()))
}

/// Whether the account of a connection in this state is in use: neither about to be connected nor to be disconnected.
pub(crate) fn is_in_use(status: ConnectionStatus) -> bool {
    use ConnectionStatus::{Disconnected, Disconnecting, Pending};
    !matches!(status, Disconnected | Disconnecting | Pending)
}

/// The connection is in this state.
pub(crate) fn is(status: ConnectionStatus) -> Expr {
    Column::Status.eq(status.as_str())
}

/// The connection still has the credentials with which it was read.
pub(crate) fn is_unchanged(connection: &Connection) -> Condition {
    let version = connection.row.credential_version;
    Condition::all().add(Column::Id.eq(connection.row.id)).add(Column::CredentialVersion.eq(version))
}

/// Puts a connection into a state, for this reason.
pub(crate) fn set_status(now: Expr, status: ConnectionStatus, reason: Option<&str>) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::Status, status.as_str().into())
        .col_expr(Column::StatusReason, Expr::val(reason))
        .col_expr(Column::UpdatedAt, now)
}

/// The next version of a connection's credentials.
pub(crate) fn next_version() -> Expr {
    Column::CredentialVersion.into_expr().add(1)
}

impl Connection {
    /// Its sealed secrets, as far as there are any.
    pub fn sealed(&self) -> impl Iterator<Item = &[u8]> {
        let row = &self.row;
        [&row.access_token, &row.token_proof, &row.verify_token, &row.app_secret]
            .into_iter()
            .filter_map(|sealed| sealed.as_deref())
    }

    pub(crate) fn from_row(row: Model) -> Result<Self> {
        let odd = |what: String| Error::Row { table: "instagram_connections", what };
        let id = |err: dmrelay_domain::ids::InvalidId| odd(err.to_string());
        Ok(Self {
            id: row.id,
            subaccount: SubaccountId::parse(&row.subaccount_id).map_err(id)?,
            agent: AgentId::parse(&row.agent_id).map_err(id)?,
            account: InstagramAccountId::parse(&row.instagram_account_id).map_err(id)?,
            page: row.page_id.as_deref().map(PageId::parse).transpose().map_err(id)?,
            login: row.login_kind.known().ok_or_else(|| odd(row.login_kind.to_string()))?,
            status: row.status.known().ok_or_else(|| odd(row.status.to_string()))?,
            settings: serde_json::from_str(&row.settings).map_err(|err| odd(err.to_string()))?,
            row,
        })
    }
}

impl Store {
    /// A connection by its id.
    pub async fn connection_by_id(&self, id: ConnectionId) -> Result<Option<Connection>> {
        let row = Entity::find_by_id(id).one(&self.reader()).await?;
        row.map(Connection::from_row).transpose()
    }

    /// All connections of a subaccount, of one agent if it is named; the newest first.
    pub async fn connections(
        &self,
        subaccount: &SubaccountId,
        agent: Option<&AgentId>,
    ) -> Result<Vec<Connection>> {
        let connections = Entity::find()
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .apply_if(agent, |select, agent| select.filter(Column::AgentId.eq(agent.as_str())))
            .order_by_desc(Column::Id);
        connections.all(&self.reader()).await?.into_iter().map(Connection::from_row).collect()
    }

    /// The connection under which an account is live, whoever has it.
    pub async fn live_connection(&self, account: &InstagramAccountId) -> Result<Option<Connection>> {
        let row = live(account.as_str()).one(&self.reader()).await?;
        row.map(Connection::from_row).transpose()
    }

    /// The connection that had an account last, of those made by then.
    ///
    /// # Errors
    /// What the database says.
    pub async fn connection_at(
        &self,
        account: &InstagramAccountId,
        at: Millis,
    ) -> Result<Option<Connection>> {
        let connections = Entity::find()
            .filter(Column::InstagramAccountId.eq(account.as_str()))
            .filter(Column::CreatedAt.lte(at))
            .order_by_desc(Column::Id);
        connections.one(&self.reader()).await?.map(Connection::from_row).transpose()
    }

    /// Every connection that is not disconnected. Rows that this version cannot read are left out.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let rows = Entity::find().filter(is_live()).all(&self.reader()).await?;
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// A mark that changes whenever [`Store::snapshot`] would.
    pub async fn snapshot_mark(&self) -> Result<(i64, i64)> {
        // The sum, not the newest: a change may become visible after another one with a later time.
        let changes = Func::sum(Column::UpdatedAt.into_expr()).cast_as("bigint");
        let mark = Entity::find()
            .select_only()
            .expr(changes)
            .expr(Func::count(Expr::col(Asterisk)))
            .into_tuple::<(Option<i64>, i64)>();
        let mark = mark.one(&self.reader()).await?;
        Ok(mark.map_or((0, 0), |(changes, count)| (changes.unwrap_or(0), count)))
    }

    /// The disconnected connection of this account and agent, whose history a new one goes on with.
    pub async fn former_connection(
        &self,
        scope: (&SubaccountId, &AgentId),
        account: &InstagramAccountId,
    ) -> Result<Option<ConnectionId>> {
        let former = Entity::find()
            .filter(Column::SubaccountId.eq(scope.0.as_str()))
            .filter(Column::AgentId.eq(scope.1.as_str()))
            .filter(Column::InstagramAccountId.eq(account.as_str()))
            .filter(is(ConnectionStatus::Disconnected))
            .order_by_desc(Column::Id);
        Ok(former.one(&self.reader()).await?.map(|row| row.id))
    }

    /// A disconnected connection is about to be connected again.
    ///
    /// # Errors
    /// [`Error::is_conflict`] when the account is live elsewhere.
    pub async fn revive_connection(&self, id: ConnectionId) -> Result<()> {
        let revive = set_status(self.clock(), ConnectionStatus::Pending, None)
            .filter(Column::Id.eq(id))
            .filter(is(ConnectionStatus::Disconnected));
        revive.exec(&self.writer()).await?;
        Ok(())
    }

    /// Connections that wait for something to end: being connected for longer than `pending`, or to be
    /// disconnected.
    pub async fn unfinished_connections(&self, pending: std::time::Duration) -> Result<Vec<Connection>> {
        let begun_before = self.clock().sub(dmrelay_domain::clock::millis(pending));
        let overdue = is(ConnectionStatus::Pending).and(Column::UpdatedAt.into_expr().lt(begun_before));
        let unfinished = Entity::find().filter(is(ConnectionStatus::Disconnecting).or(overdue));
        unfinished.all(&self.reader()).await?.into_iter().map(Connection::from_row).collect()
    }

    /// Removes a connection that never came to be.
    pub async fn drop_pending(&self, id: ConnectionId) -> Result<()> {
        let pending = Condition::all().add(Column::Id.eq(id)).add(is(ConnectionStatus::Pending));
        let drop = Entity::delete_many().filter(pending.clone()).filter(Column::ConnectedAt.is_null());
        drop.exec(&self.writer()).await?;
        // One that was connected before goes back to what it was.
        let put_back = Entity::update_many()
            .col_expr(Column::Status, ConnectionStatus::Disconnected.as_str().into())
            .col_expr(Column::UpdatedAt, self.clock())
            .filter(pending);
        put_back.exec(&self.writer()).await?;
        Ok(())
    }

    /// The webhook of this account was just received; written at most once in ten seconds.
    pub async fn touch_connection(&self, id: ConnectionId) -> Result<()> {
        let last_event_at = Func::coalesce([Column::LastEventAt.into_expr(), 0_i64.into()]);
        let touch = Entity::update_many()
            .col_expr(Column::LastEventAt, self.clock())
            .filter(Column::Id.eq(id))
            .filter(Expr::from(last_event_at).lt(self.clock().sub(10_000_i64)));
        touch.exec(&self.writer()).await?;
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
        let park = set_status(tx.clock(), status, Some(reason))
            .filter(is_unchanged(connection))
            .filter(is(ConnectionStatus::Connected));
        if park.exec(tx.connection()).await?.rows_affected == 0 {
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
    pub async fn connection_of(&self, id: ConnectionId) -> Result<Option<Connection>> {
        let row = Entity::find_by_id(id).one(self.connection()).await?;
        row.map(Connection::from_row).transpose()
    }

    /// The connection an account belongs to now.
    pub(crate) async fn route(&self, account: &str) -> Result<Option<Connection>> {
        let row = live(account).one(self.connection()).await?;
        row.map(Connection::from_row).transpose()
    }

    /// Writes a new connection in state `pending`.
    ///
    /// # Errors
    /// [`Error::is_conflict`] when the account is live elsewhere.
    pub async fn create_connection(&self, new: &NewConnection) -> Result<()> {
        let now = self.now().await?;
        let row = instagram_connection::ActiveModel {
            id: Set(new.id),
            subaccount_id: Set(new.subaccount.to_string()),
            agent_id: Set(new.agent.to_string()),
            status: Set(ConnectionStatus::Pending.into()),
            login_kind: Set(new.login.into()),
            instagram_account_id: Set(new.account.to_string()),
            page_id: Set(new.page.as_ref().map(ToString::to_string)),
            username: Set(new.username.clone()),
            app_user_id: Set(new.app_user_id.clone()),
            access_token: Set(Some(new.credentials.access_token.clone())),
            token_proof: Set(new.credentials.token_proof.clone()),
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
        // Who was erased under another agent of the subaccount stays erased.
        let sql = "INSERT INTO erased_users (connection_id, user_key, at) SELECT $1, t.user_key, MAX(t.at) FROM erased_users t \
             JOIN instagram_connections k ON k.id = t.connection_id \
             WHERE k.subaccount_id = $2 AND k.instagram_account_id = $3 GROUP BY t.user_key";
        let of = vec![new.id.into(), new.subaccount.as_str().into(), new.account.as_str().into()];
        self.execute(sql, of).await?;
        Ok(())
    }

    /// The connection is in use with these credentials: subscribed, and read back.
    pub async fn mark_connected(&self, new: &NewConnection, fields: &[String]) -> Result<()> {
        // A token whose end nobody knows may be new, and Meta renews none that is not a day old.
        let credentials = &new.credentials;
        let token_check_at = match credentials.token_expires_at {
            Some(_) => Expr::val(None::<i64>),
            None => self.clock().add(DAY_MS),
        };
        // Since when it is connected: a new token is no new connection.
        let known = Func::coalesce([Column::ConnectedAt.into_expr(), self.clock()]);
        let connected_at =
            CaseStatement::new().case(is(ConnectionStatus::Pending), self.clock()).finally(known);
        let permissions = new.permissions.as_ref().and_then(|all| serde_json::to_string(all).ok());
        let row = instagram_connection::ActiveModel {
            username: Set(new.username.clone()),
            app_user_id: Set(new.app_user_id.clone()),
            page_id: Set(new.page.as_ref().map(ToString::to_string)),
            login_kind: Set(new.login.into()),
            access_token: Set(Some(credentials.access_token.clone())),
            token_proof: Set(credentials.token_proof.clone()),
            token_expires_at: Set(credentials.token_expires_at),
            verify_token: Set(Some(credentials.verify_token.clone())),
            app_secret: Set(credentials.app_secret.clone()),
            settings: Set(serde_json::to_string(&new.settings).unwrap_or_else(|_| "{}".to_owned())),
            subscribed_fields: Set(serde_json::to_string(fields).unwrap_or_else(|_| "[]".to_owned())),
            agent_id: Set(new.agent.to_string()),
            permissions: Set(permissions),
            ..Default::default()
        };
        let connect = set_status(self.clock(), ConnectionStatus::Connected, None)
            .set(row)
            .col_expr(Column::TokenCheckAt, token_check_at)
            .col_expr(Column::CheckAt, 0_i64.into())
            .col_expr(Column::CredentialVersion, next_version())
            .col_expr(Column::ConnectedAt, connected_at.into())
            .filter(Column::Id.eq(new.id));
        self.forget_former_looks(new.id).await?;
        connect.exec(self.connection()).await?;
        self.begin_looking(new.id).await
    }

    /// The connection is disconnected, and its tokens are forgotten; the secret of its own Meta app is kept with its history, for
    /// Meta signs with it that the data is to be deleted. False where it was connected anew since
    /// it was read.
    pub async fn mark_disconnected(&self, connection: &Connection, reason: &str) -> Result<bool> {
        let forgotten = instagram_connection::ActiveModel {
            access_token: Set(None),
            token_proof: Set(None),
            token_expires_at: Set(None),
            verify_token: Set(None),
            ..Default::default()
        };
        let disconnect = set_status(self.clock(), ConnectionStatus::Disconnected, Some(reason))
            .set(forgotten)
            .col_expr(Column::CredentialVersion, next_version())
            .filter(is_unchanged(connection));
        Ok(disconnect.exec(self.connection()).await?.rows_affected == 1)
    }

    /// The connection is to be disconnected once Meta can be reached; nothing is sent through it any more.
    pub async fn mark_disconnecting(&self, id: ConnectionId, reason: &str) -> Result<()> {
        let disconnect = set_status(self.clock(), ConnectionStatus::Disconnecting, Some(reason))
            .filter(Column::Id.eq(id))
            .filter(is_live());
        disconnect.exec(self.connection()).await?;
        Ok(())
    }
}

/// The connection under which an account is live.
pub(crate) fn live(account: &str) -> Select<Entity> {
    Entity::find().filter(Column::InstagramAccountId.eq(account)).filter(is_live())
}
