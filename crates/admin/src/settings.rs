//! The settings of an installation, as needed by the commands.

use dmrelay_runtime::http::Client;
use dmrelay_runtime::settings::{
    ApiSettings, DatabaseSettings, GraphSettings, InvalidSetting, JwtSettings, LogSettings, NotifySettings,
    ProviderSettings, QueueSettings, VaultSettings,
};

/// The settings the commands need, borrowed from the process that offers them.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// The database.
    pub database: &'a DatabaseSettings,
    /// The queue.
    pub queue: &'a QueueSettings,
    /// The API's listeners and limits.
    pub api: &'a ApiSettings,
    /// JWT authentication.
    pub jwt: &'a JwtSettings,
    /// Meta.
    pub graph: &'a GraphSettings,
    /// The agent's provider.
    pub provider: &'a ProviderSettings,
    /// Secrets.
    pub vault: &'a VaultSettings,
    /// How notifications leave.
    pub notify: &'a NotifySettings,
    /// Logs.
    pub logs: &'a LogSettings,
    /// The API's own validation of its settings.
    pub checks: &'a dyn ApiChecks,
}

/// The validation the API applies to its settings when it starts.
pub trait ApiChecks {
    /// Loads all settings of the API.
    ///
    /// # Errors
    /// The first invalid setting.
    fn read_settings(&self) -> Result<(), InvalidSetting>;

    /// Whether JWTs are accepted in addition to API keys. `client` would fetch the signing keys.
    ///
    /// # Errors
    /// An invalid setting.
    fn accepts_tokens(&self, client: Client) -> Result<bool, InvalidSetting>;
}
