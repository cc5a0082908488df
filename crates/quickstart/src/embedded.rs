//! API and worker in this process, on SQLite and an in-process queue, against the simulator.

use crate::account::{AGENT, SUBACCOUNT};
use crate::player::Player;
use crate::{Args, folder};
use anyhow::{Context as _, anyhow};
use dmrelay_api::{Api, ApiOptions, ApiParts, Demo};
use dmrelay_app::{App, Backend};
use dmrelay_runtime::metrics::Process;
use dmrelay_runtime::ops;
use dmrelay_runtime::settings::{
    AgentBinding, AgentSettings, ApiSettings, BootstrapKeyArg, DatabaseSettings, DatabaseUrlArg,
    EncryptionKeysArg, FacebookAppSecretArg, GraphSettings, InstagramAppSecretArg, JwtSettings,
    LimitSettings, LoginSettings, MediaSettings, MetaAppSecretsArg, NotifySettings, ProviderSettings,
    RetellApiKeyArg, TranscriptionKeyArg, VaultSettings, VisionKeyArg, WorkerSettings,
};
use dmrelay_simulator::{AgentRule, LoginKind, MetaApp, Options, Simulator, WebhookTarget};
use dmrelay_store::Store;
use dmrelay_views::SettingDefaults;
use dmrelay_worker::{Parts, Worker};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Debounce of the demo: short, so that the demo is fast.
const DEBOUNCE_MS: u32 = 300;

/// The Meta apps with which people log in to connect further accounts.
const INSTAGRAM_APP: &str = "1100000000000001";
const FACEBOOK_APP: &str = "1100000000000002";

/// Grace period of the shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that runs in this process.
pub(crate) struct System {
    pub(crate) simulator: Simulator,
    pub(crate) keys: folder::Keys,
    /// The simulated customer of this start.
    pub(crate) customer: String,
    /// The code of the link that signs in to the console.
    pub(crate) code: String,
    /// The API's address.
    pub(crate) address: SocketAddr,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// The settings of the pipeline, with what the quick start sets by itself.
struct Settings {
    limits: LimitSettings,
    jwt: JwtSettings,
    graph: GraphSettings,
    provider: ProviderSettings,
    agent: AgentSettings,
    notify: NotifySettings,
    media: MediaSettings,
    worker: WorkerSettings,
}

/// Starts all parts; they end when `stop` is cancelled.
pub(crate) async fn start(args: &Args, stop: CancellationToken) -> anyhow::Result<System> {
    // The likeliest errors come first: the port, then the folder.
    let listener = ops::bind(args.api.api_addr, "API_ADDR").await.map_err(|err| anyhow!(err))?;
    let keys = folder::open(&args.data)?;
    let store = open_store(args).await?;
    let address = listener.local_addr()?;
    let simulator = simulate(args, &keys, address).await?;
    let settings = settings(args, &keys, &simulator)?;
    let vault = VaultSettings { keys: EncryptionKeysArg::of(&keys.encryption) };
    let backend = Backend::Embedded;
    let shared = dmrelay_app::Settings {
        process: Process::Both,
        backend,
        graph: &settings.graph,
        vault: &vault,
        notify: &settings.notify,
        media: &settings.media,
    };
    let app = App::new(store, &shared)?;
    crate::memory::restore(&simulator, &app.store, &app.vault).await?;
    let parts = Parts::new(
        app.clone(),
        settings.worker.clone(),
        (&settings.agent, &settings.provider),
        &settings.graph,
    )?;
    let mut options = api_options(&args.api, &keys, (address, &simulator), settings)?;
    let customer = crate::account::new_customer();
    crate::account::introduce(&simulator, &customer);
    let player = Arc::new(Player::new(simulator.customer(crate::account::ACCOUNT, &customer)));
    let code = folder::random();
    options.demo = Some(Demo::new(SUBACCOUNT, AGENT, code.clone(), player));
    let api = ApiParts::new(app, options);
    let api = Api::start(api, stop.clone()).await?;
    let tasks =
        vec![tokio::spawn(api.serve(listener, GRACE)), tokio::spawn(Worker::new(parts).run(stop, GRACE))];
    Ok(System { simulator, keys, customer, code, address, tasks })
}

async fn open_store(args: &Args) -> anyhow::Result<Store> {
    let settings = DatabaseSettings {
        url: DatabaseUrlArg::of(&folder::database_url(&args.data)),
        database_max_connections: 4,
        database_acquire_timeout: Duration::from_secs(5),
        database_statement_timeout: Duration::from_secs(10),
    };
    let opened = dmrelay_app::open_store(&settings).await;
    let store = opened.with_context(|| format!("--data: no database in {}", args.data.display()))?;
    dmrelay_migration::migrate(store.connection()).await.context("--data: cannot migrate the database")?;
    Ok(store)
}

/// Simulates Meta and Retell, and sends webhooks to the API.
async fn simulate(args: &Args, keys: &folder::Keys, api: SocketAddr) -> anyhow::Result<Simulator> {
    let options = Options { addr: args.simulator_addr, ..Options::default() };
    let simulator = Simulator::start(options)
        .await
        .map_err(|err| anyhow!("SIMULATOR_ADDR: {}: {err}", args.simulator_addr))?;
    simulator.set_webhook(Some(WebhookTarget {
        url: format!("http://{api}/webhooks/instagram"),
        app_secret: keys.app_secret.clone(),
        verify_token: keys.verify_token.clone(),
    }));
    let rule = AgentRule { reply: crate::shop::answers(), latency_ms: 900, ..AgentRule::default() };
    for agent in [crate::account::AGENT, crate::account::SECOND_AGENT] {
        simulator.put_agent(agent, rule.clone());
    }
    let apps = [(INSTAGRAM_APP, LoginKind::Instagram), (FACEBOOK_APP, LoginKind::Facebook)];
    let apps = apps.map(|(id, login_kind)| MetaApp {
        app_id: id.to_owned(),
        app_secret: keys.app_secret.clone(),
        name: "dmrelay".to_owned(),
        login_kind,
        redirect_uris: vec![format!("http://{api}/oauth/instagram/callback")],
        configurations: BTreeMap::new(),
    });
    simulator.configure(|settings| settings.login.apps = apps.to_vec());
    crate::account::offer_others(&simulator);
    Ok(simulator)
}

fn settings(args: &Args, keys: &folder::Keys, simulator: &Simulator) -> anyhow::Result<Settings> {
    let mut settings = Settings {
        limits: args.limits.clone(),
        jwt: args.jwt.clone(),
        graph: args.graph.clone(),
        provider: args.provider.clone(),
        agent: args.agent.clone(),
        notify: args.notify.clone(),
        media: args.media.clone(),
        worker: args.worker.clone(),
    };
    settings.graph.graph_url = Url::parse(&simulator.graph_url())?;
    settings.graph.instagram_graph_url = Url::parse(&simulator.instagram_url())?;
    settings.graph.app_secrets = MetaAppSecretsArg::of(&keys.app_secret);
    settings.provider.retell_url = Url::parse(&simulator.retell_url())?;
    settings.agent.api_key = RetellApiKeyArg::of("key_simulated");
    settings.worker.debounce_ms = DEBOUNCE_MS;
    // Whoever tries it has a receiver on this machine.
    settings.notify.notification_private_addresses = true;
    // Where the simulator has what its customers send.
    settings.worker.media.media_private_addresses = true;
    settings.worker.media.media_hosts.push(simulator.addr().ip().to_string());
    // Whatever the environment says: nobody's voice leaves this machine.
    let words = simulator.words_url();
    let understanding = &mut settings.worker.understanding;
    understanding.transcription_url = Some(Url::parse(&format!("{words}/audio/transcriptions"))?);
    understanding.transcription_api_key = TranscriptionKeyArg::default();
    understanding.vision_url = Some(Url::parse(&format!("{words}/chat/completions"))?);
    understanding.vision_api_key = VisionKeyArg::default();
    if args.media.media_store == MediaSettings::DEFAULT_STORE {
        settings.media.media_store = args.data.join("media").display().to_string();
    }
    Ok(settings)
}

/// The API's settings, with the demo's key and listen address.
fn api_options(
    api: &ApiSettings,
    keys: &folder::Keys,
    (address, simulator): (SocketAddr, &Simulator),
    settings: Settings,
) -> anyhow::Result<ApiOptions> {
    let mut api = api.clone();
    api.bootstrap_key = BootstrapKeyArg::of(&keys.api_key);
    // One tenant, and its agent is the simulator's.
    api.agent_binding = AgentBinding::FirstConnect;
    api.public_url = Url::parse(&format!("http://{address}"))?;
    log_in_here(&mut api.login, keys, simulator)?;
    let access = (settings.limits, settings.jwt);
    let WorkerSettings { debounce_ms, takeover_hours, .. } = settings.worker;
    let defaults = SettingDefaults { debounce_ms, takeover_hours };
    Ok(ApiOptions::new(api, access, (settings.graph, &settings.provider), defaults)?)
}

/// People log in at the simulated Meta.
fn log_in_here(login: &mut LoginSettings, keys: &folder::Keys, simulator: &Simulator) -> anyhow::Result<()> {
    login.instagram_app_id = Some(INSTAGRAM_APP.to_owned());
    login.instagram_app_secret = InstagramAppSecretArg::of(&keys.app_secret);
    login.facebook_app_id = Some(FACEBOOK_APP.to_owned());
    login.facebook_app_secret = FacebookAppSecretArg::of(&keys.app_secret);
    let instagram = simulator.instagram_login_url();
    login.instagram_authorize_url = Url::parse(&format!("{instagram}/oauth/authorize"))?;
    login.instagram_oauth_url = Url::parse(&instagram)?;
    login.facebook_dialog_url = Url::parse(&simulator.facebook_login_url())?;
    Ok(())
}

impl System {
    /// Waits until all parts have ended.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        for task in self.tasks {
            task.await.context("a part of the process panicked")??;
        }
        self.simulator.stop().await;
        Ok(())
    }
}
