//! The database of one test, on either backend, without the rest of dmrelay.

use crate::postgres::PostgresServer;
use crate::relay::{Backend, open_store};
use anyhow::{Context, Result};
use dmrelay_domain::ids::{AgentId, ConnectionId, InstagramAccountId, SubaccountId};
use dmrelay_domain::states::LoginKind;
use dmrelay_store::{Connection, Credentials, NewConnection, Settings, Store};
use tempfile::TempDir;

/// A database; owns its server and files.
pub struct Database {
    url: String,
    _postgres: Option<PostgresServer>,
    _dir: TempDir,
}

impl Database {
    /// Starts an empty database.
    ///
    /// # Errors
    /// If PostgreSQL does not start.
    pub fn start(backend: Backend) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let postgres = match backend {
            Backend::Servers => Some(PostgresServer::start()?),
            Backend::Embedded => None,
        };
        let sqlite = format!("sqlite://{}?mode=rwc", dir.path().join("test.db").display());
        let url = postgres.as_ref().map_or(sqlite, PostgresServer::url);
        Ok(Self { url, _postgres: postgres, _dir: dir })
    }

    /// Opens the database with its schema migrated: once per simulated process.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn open(&self) -> Result<Store> {
        open_store(&self.url).await
    }
}

/// Connects an account, without Graph.
///
/// # Errors
/// A database error.
pub async fn connect(store: &Store, subaccount: &str, account: &str) -> Result<Connection> {
    let new = NewConnection {
        permissions: None,
        id: ConnectionId::new(),
        subaccount: SubaccountId::parse(subaccount)?,
        agent: AgentId::parse("agent")?,
        account: InstagramAccountId::parse(account)?,
        page: None,
        login: LoginKind::Instagram,
        app_user_id: None,
        username: None,
        settings: Settings::default(),
        credentials: Credentials {
            access_token: vec![1],
            token_proof: None,
            token_expires_at: None,
            verify_token: vec![2],
            app_secret: None,
        },
    };
    let tx = store.begin().await?;
    tx.create_connection(&new).await?;
    tx.mark_connected(&new, &["messages".to_owned()]).await?;
    tx.commit().await?;
    store.connection_by_id(new.id).await?.context("the connection")
}
