//! API and worker inside the test process, on either backend, against the simulator.

use crate::login;
use crate::postgres::PostgresServer;
use crate::redis::RedisServer;
use crate::rest::{ACCOUNT, APP_SECRET, Rest, TOKEN, VERIFY_TOKEN, agent_path};
use crate::settings::Settings;
use anyhow::{Context, Result, anyhow, ensure};
use dmrelay_api::{Api, ApiOptions, ApiParts};
use dmrelay_app::App;
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_runtime::settings::{DatabaseUrlArg, RedisUrlArg, WorkerSettings};
use dmrelay_simulator::{AccountSpec, Options, Simulator, WebhookTarget};
use dmrelay_store::Store;
use dmrelay_views::SettingDefaults;
use dmrelay_worker::{Parts, Worker};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The backend of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// SQLite and the in-process queue.
    Embedded,
    /// PostgreSQL and Redis.
    Servers,
}

/// A running dmrelay with its surroundings.
pub struct Relay {
    /// The simulator of Meta and Retell.
    pub simulator: Simulator,
    /// The database.
    pub store: Store,
    /// The REST client.
    pub rest: Rest,
    /// The API's address.
    pub address: SocketAddr,
    /// The metrics of API and worker.
    pub metrics: Arc<Metrics>,
    /// The PostgreSQL server, on the server backend.
    pub postgres: Option<PostgresServer>,
    /// The Redis server, on the server backend.
    pub redis: Option<RedisServer>,
    /// The folder of media.
    pub media: PathBuf,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Result<()>>>,
    _dir: TempDir,
}

impl Relay {
    /// Starts with the tests' settings, changed by `adjust`; no account is connected yet.
    ///
    /// # Errors
    /// If a part does not start.
    pub async fn start(backend: Backend, adjust: impl FnOnce(&mut Settings)) -> Result<Self> {
        let mut settings = Box::new(Settings::for_tests()?);
        let dir = tempfile::tempdir()?;
        let media = dir.path().join("media");
        settings.media.media_store = media.display().to_string();
        adjust(&mut settings);
        let (postgres, redis) = match backend {
            Backend::Embedded => (None, None),
            Backend::Servers => (Some(PostgresServer::start()?), Some(RedisServer::start()?)),
        };
        let sqlite = format!("sqlite://{}?mode=rwc", dir.path().join("test.db").display());
        settings.database.url = DatabaseUrlArg::of(&postgres.as_ref().map_or(sqlite, PostgresServer::url));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let simulator = simulator(address).await?;
        settings.api.canary.canary_url = Some(Url::parse(&format!("http://{address}/webhooks/instagram"))?);
        settings.graph.graph_url = Url::parse(&simulator.graph_url())?;
        settings.graph.instagram_graph_url = Url::parse(&simulator.instagram_url())?;
        settings.provider.retell_url = Url::parse(&simulator.retell_url())?;
        if settings.understands {
            let (understanding, base) = (&mut settings.worker.understanding, simulator.words_url());
            understanding.transcription_url = Some(Url::parse(&format!("{base}/audio/transcriptions"))?);
            understanding.vision_url = Some(Url::parse(&format!("{base}/chat/completions"))?);
        }
        login::prepare(&mut settings, &simulator, address)?;
        let app = app(&mut settings, redis.as_ref()).await?;
        let (store, metrics) = (app.store.clone(), app.metrics.clone());
        let stop = CancellationToken::new();
        let tasks = Box::pin(run(app, *settings, listener, &stop)).await?;
        let rest = Rest::new(address)?;
        Ok(Self { simulator, store, rest, address, metrics, postgres, redis, media, stop, tasks, _dir: dir })
    }

    /// Starts, and connects the tests' account.
    ///
    /// # Errors
    /// If a part does not start, or the account cannot be connected.
    pub async fn connected(backend: Backend, adjust: impl FnOnce(&mut Settings)) -> Result<Self> {
        let relay = Self::start(backend, adjust).await?;
        let answer = relay.rest.connect().await?;
        ensure!(answer.status == 201, "connect: {} {}", answer.status, answer.text);
        Ok(relay)
    }

    /// The texts sent to a user, in order, once there are `count`.
    ///
    /// # Errors
    /// If there are fewer in time.
    pub async fn replies(&self, user: &str, count: usize) -> Result<Vec<String>> {
        let within = Duration::from_secs(20);
        let what = format!("{count} replies to {user}");
        let sent = self
            .simulator
            .wait_for(&what, within, |record| record.sends_to(ACCOUNT, user).count() >= count)
            .await;
        sent.map_err(|err| anyhow!("{err}; there are {:?}", self.sent(user)))?;
        Ok(self.sent(user))
    }

    /// The texts sent to a user so far.
    pub fn sent(&self, user: &str) -> Vec<String> {
        self.simulator.record(|record| {
            record.sends_to(ACCOUNT, user).map(|sent| sent.text.clone().unwrap_or_default()).collect()
        })
    }

    /// The questions to the agent, in order.
    pub fn asked(&self) -> Vec<String> {
        self.simulator
            .record(|record| record.completions.iter().map(|completion| completion.content.clone()).collect())
    }

    /// The messages of a user as the API lists them, oldest first.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn messages(&self, user: &str) -> Result<Vec<serde_json::Value>> {
        let answer = self.rest.get(&format!("messages?instagramUserId={user}&limit=200")).await?;
        let mut items = answer.json["items"].as_array().cloned().context("no items")?;
        items.reverse();
        Ok(items)
    }

    /// Changes settings of the connection.
    ///
    /// # Errors
    /// If they are refused.
    pub async fn change_settings(&self, settings: serde_json::Value) -> Result<()> {
        let body = settings.to_string().into_bytes();
        let answer = self.rest.request("PATCH", &agent_path("settings"), Some(body), &[]).await?;
        ensure!(answer.status == 200, "settings: {} {}", answer.status, answer.text);
        Ok(())
    }

    /// Waits until nothing is due.
    ///
    /// # Errors
    /// If something is still due.
    pub async fn settled(&self) -> Result<()> {
        crate::wait::until("nothing due", Duration::from_secs(30), async || {
            let webhooks = self.simulator.record(dmrelay_simulator::Record::webhooks_idle);
            Ok((webhooks && !self.store.anything_due().await?).then_some(()))
        })
        .await
    }

    /// Shuts down in order.
    ///
    /// # Errors
    /// If a part failed.
    pub async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await??;
        }
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Opens a database and migrates its schema.
///
/// # Errors
/// If it cannot be opened.
pub async fn open_store(url: &str) -> Result<Store> {
    let mut settings = Settings::for_tests()?;
    settings.database.url = DatabaseUrlArg::of(url);
    migrated(&settings).await
}

/// A simulator that sends its webhooks to `api`, with the tests' account.
///
/// # Errors
/// If it does not start.
pub async fn simulator(api: SocketAddr) -> Result<Simulator> {
    let simulator = Simulator::start(Options::default()).await?;
    simulator.set_webhook(Some(WebhookTarget {
        url: format!("http://{api}/webhooks/instagram"),
        app_secret: APP_SECRET.to_owned(),
        verify_token: VERIFY_TOKEN.to_owned(),
    }));
    simulator.put_account(AccountSpec::new(ACCOUNT, "acme", TOKEN));
    Ok(simulator)
}

async fn migrated(settings: &Settings) -> Result<Store> {
    let store = dmrelay_app::open_store(&settings.database).await?;
    dmrelay_app::migrate(&store).await?;
    Ok(store)
}

/// The parts shared by API and worker: on Redis if there is one.
async fn app(settings: &mut Settings, redis: Option<&RedisServer>) -> Result<App> {
    let store = migrated(settings).await?;
    let backend = match redis {
        None => dmrelay_app::Backend::Embedded,
        Some(redis) => {
            settings.queue.url = RedisUrlArg::of(&redis.url());
            dmrelay_app::Backend::Servers(&settings.queue)
        }
    };
    let (graph, vault) = (&settings.graph, &settings.vault);
    let (notify, media) = (&settings.notify, &settings.media);
    App::new(store, &dmrelay_app::Settings { process: Process::Both, backend, graph, vault, notify, media })
}

async fn run(
    app: App,
    settings: Settings,
    listener: TcpListener,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<Result<()>>>> {
    let grace = Duration::from_secs(10);
    let WorkerSettings { debounce_ms, takeover_hours, .. } = settings.worker;
    let worker =
        Parts::new(app.clone(), settings.worker, (&settings.agent, &settings.provider), &settings.graph)?;
    let access = (settings.limits, settings.jwt);
    let defaults = SettingDefaults { debounce_ms, takeover_hours };
    let options = ApiOptions::new(settings.api, access, (settings.graph, &settings.provider), defaults)?;
    let api = ApiParts::new(app, options);
    let api = Api::start(api, stop.clone()).await?;
    Ok(vec![
        tokio::spawn(api.serve(listener, grace)),
        tokio::spawn(Worker::new(worker).run(stop.clone(), grace)),
    ])
}
