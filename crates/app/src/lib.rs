//! What every dmrelay process needs around its work: opening its dependencies, refusing to start on an
//! incompatible schema or missing keys, serving health and metrics, and watching its dependencies. [`App`]
//! holds the shared parts.

mod access;
mod parts;

pub use access::{access, place};
pub use parts::{App, Backend, CONNECT_TIMEOUT, Settings};

use anyhow::{Context as _, anyhow};
use axum::Router;
use dmrelay_domain::ids::WorkerId;
use dmrelay_queue::JobQueue;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::ops::{self, Ready};
use dmrelay_runtime::settings::{DatabaseSettings, MetricsSettings};
use dmrelay_runtime::{version, watch};
use dmrelay_store::{Connection, ProcessInfo, Store};
use dmrelay_vault::Vault;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Opens the configured database. It need not be up.
///
/// # Errors
/// An invalid `DATABASE_URL`.
pub async fn open_store(settings: &DatabaseSettings) -> anyhow::Result<Store> {
    let url = settings.url.require()?;
    check_transport(url.expose())?;
    let options = dmrelay_store::Options {
        url: url.expose().clone(),
        max_connections: settings.database_max_connections,
        acquire_timeout: settings.database_acquire_timeout,
        statement_timeout: settings.database_statement_timeout,
    };
    Ok(Store::open(&options).await?)
}

/// Messages and sealed tokens pass to the database: over a network only with a server that is known, or by an explicit word.
fn check_transport(url: &str) -> anyhow::Result<()> {
    let Ok(url) = url::Url::parse(url) else { return Ok(()) };
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Ok(());
    }
    let is_explicit = url.query_pairs().any(|(name, _)| matches!(&*name, "sslmode" | "ssl-mode"));
    let is_here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        // A name in this scheme is not read as an address.
        Some(url::Host::Domain(name)) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        // A socket of this machine.
        None => true,
    };
    if is_here || is_explicit {
        return Ok(());
    }
    Err(anyhow!(
        "DATABASE_URL: the server is on another machine; add sslmode=verify-full (with sslrootcert=… for a private \
         authority), or another sslmode explicitly if the network between is trusted"
    ))
}

/// Applies pending schema migrations and returns their number.
///
/// # Errors
/// A database error.
pub async fn migrate(store: &Store) -> anyhow::Result<usize> {
    dmrelay_migration::migrate(store.connection()).await.context("DATABASE_URL: migration failed")
}

/// Rejects a database whose schema is older than this program. A newer one is accepted: processes of the
/// previous version continue during a rolling deploy.
///
/// # Errors
/// The first missing migration and how to apply it, or that the database does not respond.
pub async fn require_schema(store: &Store) -> anyhow::Result<()> {
    // Its failure names the cause; that of the migrations' own connection does not.
    store.ping().await.context("DATABASE_URL: the database does not respond")?;
    let pending = dmrelay_migration::pending(store.connection()).await;
    let pending = pending.context("DATABASE_URL: the database does not respond")?;
    pending.first().map_or(Ok(()), |missing| {
        Err(anyhow!("the database lacks the migration {missing}; run: dmrelay-api migrate"))
    })
}

/// Refuses to start without a key that encrypts a secret in use. One value of each key is decrypted: what cannot be is told in
/// the log, for it concerns one account.
///
/// # Errors
/// The ids of the missing keys, and whether another key has the name of one.
pub async fn require_keys(vault: &Vault, store: &Store) -> anyhow::Result<()> {
    let connections = store.snapshot().await.context("cannot load the connections")?;
    let missing = vault.missing(connections.iter().flat_map(Connection::sealed));
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(|id| vault.about_missing(id)).collect();
        return Err(anyhow!("ENCRYPTION_KEYS: there are secrets {}", missing.join("; and ")));
    }
    for id in vault.key_ids() {
        let of_key = |connection: &&Connection| {
            connection
                .row
                .access_token
                .as_deref()
                .is_some_and(|token| dmrelay_vault::is_sealed_with(token, &id))
        };
        if let Some(connection) = connections.iter().find(of_key)
            && let Err(err) = access(vault, connection)
        {
            tracing::error!(connection_id = %connection.id, key = id, error = %err, "cannot decrypt a stored access token");
        }
    }
    Ok(())
}

/// What a process says of itself to the others.
pub fn process_info(id: WorkerId, kind: &'static str, vault: &Vault) -> ProcessInfo {
    ProcessInfo { id, kind, version: version::TEXT, keys: vault.key_ids() }
}

/// How long a process counts as alive after it has said so, and how often it does.
const ALIVE: Duration = Duration::from_secs(30);
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Says that an API process lives, until `stop`.
pub async fn announce(store: Store, vault: Vault, stop: CancellationToken) {
    let id = WorkerId::new();
    let mut ticks = tokio::time::interval(ALIVE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(err) = store.heartbeat(&process_info(id, "api", &vault), ALIVE).await {
            // Readiness tells of it.
            tracing::debug!(error = %err, "cannot renew this process's row");
        }
    }
    // Best effort: otherwise the row expires.
    let _ = store.retire_process(id).await;
}

/// Whether the database responds.
pub fn database_ready(store: Store) -> Ready {
    Arc::new(move || {
        let store = store.clone();
        Box::pin(async move { store.ping().await.map_err(|err| err.to_string()) })
    })
}

/// Whether Redis responds.
pub fn redis_ready(queue: Arc<dyn JobQueue>) -> Ready {
    Arc::new(move || {
        let queue = queue.clone();
        Box::pin(async move { queue.ping().await.map_err(|err| err.to_string()) })
    })
}

/// Exports whether the database and Redis respond, and the pool's usage, until `stop`.
pub fn watch(store: &Store, queue: &Arc<dyn JobQueue>, metrics: &Arc<Metrics>, stop: &CancellationToken) {
    for (name, ready) in [("database", database_ready(store.clone())), ("redis", redis_ready(queue.clone()))]
    {
        tokio::spawn(watch::dependency(metrics.clone(), name, ready, stop.clone()));
    }
    let (gauge, store) = (metrics.db_pool.clone(), store.clone());
    metrics.on_scrape(move || {
        let pool = store.pool();
        for (state, count) in [("used", pool.used), ("idle", pool.idle), ("max", pool.max)] {
            gauge.with_label_values(&[state]).set(count.into());
        }
    });
}

/// Serves metrics and health at `METRICS_ADDR` until `stop`.
///
/// # Errors
/// If it cannot listen on the address.
pub async fn serve_operators(
    settings: &MetricsSettings,
    metrics: Arc<Metrics>,
    ready: Ready,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = ops::bind(settings.metrics_addr, "METRICS_ADDR").await.map_err(|err| anyhow!(err))?;
    tokio::spawn(watch::readiness(metrics.clone(), ready.clone(), stop.clone()));
    let router: Router = ops::router(metrics, ready, stop.clone());
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(err) = served {
            tracing::error!(error = %err, "the metrics port failed");
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_transport;

    #[test]
    fn a_database_elsewhere_needs_a_word_on_its_transport() {
        for url in [
            "sqlite://x.db?mode=rwc",
            "postgres://dmrelay:x@127.0.0.1:5432/dmrelay",
            "postgres://dmrelay:x@localhost/dmrelay",
            "postgres://dmrelay:x@[::1]/dmrelay",
            "postgres:///dmrelay?host=/var/run/postgresql",
            "postgres://dmrelay:x@db.example.com/dmrelay?sslmode=verify-full",
            "postgres://dmrelay:x@postgres/dmrelay?sslmode=disable",
        ] {
            assert!(check_transport(url).is_ok(), "{url}");
        }
        for url in [
            "postgres://dmrelay:x@db.example.com/dmrelay",
            "postgresql://dmrelay:x@10.0.0.5/dmrelay?application_name=x",
        ] {
            assert!(check_transport(url).is_err(), "{url}");
        }
    }
}
