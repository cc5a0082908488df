//! A test database as two processes see it.

use anyhow::Result;
use dmrelay_store::{Connection, Store};
use dmrelay_tests::database::{Database, connect};
use dmrelay_tests::relay::Backend;

/// The database with one connection; owns its server and files.
pub(crate) struct Base {
    pub(crate) store: Store,
    /// The second process.
    pub(crate) other: Store,
    pub(crate) connection: Connection,
    _database: Database,
}

impl Base {
    pub(crate) async fn start(backend: Backend) -> Result<Self> {
        let database = Database::start(backend)?;
        let (store, other) = (database.open().await?, database.open().await?);
        let connection = connect(&store, "acme", "1").await?;
        Ok(Self { store, other, connection, _database: database })
    }
}
