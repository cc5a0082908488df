//! The settings of an installation, as the commands need them.

use dmrelay_runtime::http::Client;
use dmrelay_runtime::settings::{
    ApiSettings, DatabaseSettings, GraphSettings, InvalidSetting, JwtSettings, LogSettings, QueueSettings,
    VaultSettings,
};

/// The settings that the commands need, borrowed from the process that offers the commands.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// The database.
    pub database: &'a DatabaseSettings,
    /// The queue.
    pub queue: &'a QueueSettings,
    /// The API's listeners and limits.
    pub api: &'a ApiSettings,
    /// Tokens beside API keys.
    pub jwt: &'a JwtSettings,
    /// Meta.
    pub graph: &'a GraphSettings,
    /// Secrets.
    pub vault: &'a VaultSettings,
    /// Logs.
    pub logs: &'a LogSettings,
    /// The checks that the API makes of its own settings.
    pub checks: &'a dyn ApiChecks,
}

/// The checks that the API makes of its own settings when it starts.
pub trait ApiChecks {
    /// Reads all settings of the API.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    fn read_settings(&self) -> Result<(), InvalidSetting>;

    /// Whether tokens (JWT) are accepted beside API keys. `client` would fetch the keys that sign them.
    ///
    /// # Errors
    /// The setting that cannot be used.
    fn accepts_tokens(&self, client: Client) -> Result<bool, InvalidSetting>;
}
