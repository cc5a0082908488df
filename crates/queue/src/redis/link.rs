//! Connections to Redis, and the classification of their errors.

use super::RedisOptions;
use crate::QueueError;
use ::redis::{
    Client, IntoConnectionInfo, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Creates connections. Each reconnects on its own.
pub(super) struct Link {
    client: Client,
    response_timeout: Duration,
}

impl Link {
    pub(super) fn new(options: &RedisOptions) -> Result<Self, QueueError> {
        let unreadable = |error: RedisError| {
            // Only the kind: the detail may contain the URL.
            QueueError::Address(format!("{:?}", error.kind()))
        };
        let address =
            options.url.as_str().into_connection_info().map_err(unreadable)?.set_tcp_settings(tcp_settings());
        Ok(Self {
            client: Client::open(address).map_err(unreadable)?,
            response_timeout: options.response_timeout,
        })
    }

    /// Where Redis is, without credentials.
    pub(super) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// A connection that is opened on first use.
    pub(super) fn lazy(&self, response_timeout: Duration) -> Result<ConnectionManager, QueueError> {
        ConnectionManager::new_lazy_with_config(self.client.clone(), config(response_timeout))
            .map_err(|error| classified(&error))
    }

    /// An open connection.
    pub(super) async fn open(&self) -> Result<ConnectionManager, QueueError> {
        let config = config(self.response_timeout);
        ConnectionManager::new_with_config(self.client.clone(), config)
            .await
            .map_err(|error| classified(&error))
    }
}

/// All waiting callers share each connection attempt: few and short ones, so that a recovered Redis is
/// noticed at once. Callers determine the pause between attempts.
fn config(response_timeout: Duration) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(20))
        .set_max_delay(Duration::from_millis(100))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(response_timeout))
}

/// A timeout does not make the manager reconnect; a host that vanished silently would be waited for until the
/// kernel gives up, a quarter of an hour. This shortens it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(Duration::from_secs(5))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Separates the server's own errors (out of memory, loading, read-only …) from everything that means it is
/// unreachable.
pub(super) fn classified(error: &RedisError) -> QueueError {
    if matches!(error.kind(), ::redis::ErrorKind::Server(_)) {
        QueueError::Refused(error.to_string())
    } else {
        QueueError::Unavailable(error.to_string())
    }
}
