//! Shared state of all requests, created once per process.

use crate::bodies::Budget;
use crate::budget::{Budgets, Rate};
use crate::canary::{Canary, Surroundings};
use crate::connect::apps;
use crate::console::demo::Demo;
use crate::console::oidc::Provider;
use crate::gaps::Gaps;
use crate::jwt::Tokens;
use crate::limit::Limits;
use crate::live::{Live, MostStreams};
use crate::readers::Readers;
use crate::signs::Signs;
use crate::snapshot::Snapshots;
use anyhow::Context as _;
use dmrelay_app::App;
use dmrelay_domain::clock::Clock;
use dmrelay_domain::current::Current;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_instagram::{Graph, Login, LoginHosts, MetaApp};
use dmrelay_media::Storage;
use dmrelay_notify::Notifier;
use dmrelay_queue::JobQueue;
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::{
    ApiSettings, BOOTSTRAP_KEY_BYTES_MIN, GraphSettings, InvalidSetting, JwtSettings, LimitSettings,
    LoginSettings, ProviderSettings, UploadSettings,
};
use dmrelay_store::{InboxOptions, InboxWriter, Store};
use dmrelay_vault::Vault;
use dmrelay_views::SettingDefaults;
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Minimum length of an app secret: with a shorter one webhooks can be forged.
const APP_SECRET_BYTES_MIN: usize = 8;

/// Settings of the API, with their secrets loaded.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Listeners and limits.
    pub api: ApiSettings,
    /// Rate limits and CORS.
    pub limits: LimitSettings,
    /// JWT authentication.
    pub jwt: JwtSettings,
    /// The webhook fields a connection subscribes to.
    pub graph: GraphSettings,
    /// The operator's secrets.
    pub secrets: PlatformSecrets,
    /// What holds for connections that set nothing else.
    pub defaults: SettingDefaults,
    /// What the quick start lends the console.
    pub demo: Option<Demo>,
    /// The message of its own, if there is one.
    pub(crate) canary: Option<Canary>,
    /// Where subaccounts' own keys at the agent's provider are checked.
    pub retell_url: Url,
}

/// The operator's secrets, which may be read again while the process runs.
#[derive(Debug, Clone)]
pub struct PlatformSecrets {
    /// App secrets that sign webhooks for all accounts.
    pub app_secrets: Vec<Secret<String>>,
    /// The verification token of the shared webhook.
    pub verify_token: Option<Secret<String>>,
    /// SHA-256 of the bootstrap key.
    pub bootstrap_hash: Option<[u8; 32]>,
    /// The apps with which people log in to connect accounts.
    pub meta_apps: Vec<MetaApp>,
}

impl PlatformSecrets {
    /// The operator's app for this login, if there is one.
    pub fn meta_app(&self, login: LoginKind) -> Option<&MetaApp> {
        self.meta_apps.iter().find(|app| app.login == login)
    }
}

impl ApiOptions {
    /// Loads the secrets among the settings.
    ///
    /// # Errors
    /// An invalid setting.
    pub fn new(
        api: ApiSettings,
        (limits, jwt): (LimitSettings, JwtSettings),
        (graph, provider): (GraphSettings, &ProviderSettings),
        defaults: SettingDefaults,
    ) -> Result<Self, InvalidSetting> {
        check_origins(&limits.cors_origins)?;
        check_sizes(&api, &limits.uploads)?;
        check_streams(&limits)?;
        let secrets = graph.app_secrets.get()?;
        let list = secrets.iter().flat_map(|secrets| secrets.expose().split(',')).map(str::trim);
        let mut app_secrets: Vec<Secret<String>> =
            list.filter(|secret| !secret.is_empty()).map(|secret| Secret::new(secret.to_owned())).collect();
        let meta_apps = meta_apps(&api.login)?;
        check_app_secrets("META_APP_SECRETS", &app_secrets)?;
        for app in &meta_apps {
            let name = match app.login {
                LoginKind::Instagram => "INSTAGRAM_APP_SECRET",
                LoginKind::Facebook => "FACEBOOK_APP_SECRET",
            };
            check_app_secrets(name, std::slice::from_ref(&app.secret))?;
            if !app_secrets.contains(&app.secret) {
                app_secrets.push(app.secret.clone());
            }
        }
        let bootstrap = api.bootstrap_key.get()?;
        if bootstrap.as_ref().is_some_and(|key| key.expose().len() < BOOTSTRAP_KEY_BYTES_MIN) {
            let what = format!("must have at least {BOOTSTRAP_KEY_BYTES_MIN} characters");
            return Err(InvalidSetting { name: "BOOTSTRAP_API_KEY", what });
        }
        let secrets = PlatformSecrets {
            app_secrets,
            verify_token: graph.verify_token.get()?,
            meta_apps,
            bootstrap_hash: bootstrap.map(|key| dmrelay_domain::signature::sha256(key.expose().as_bytes())),
        };
        Ok(Self {
            canary: Canary::of(&api, &secrets)?,
            secrets,
            api,
            limits,
            jwt,
            graph,
            defaults,
            demo: None,
            retell_url: provider.retell_url.clone(),
        })
    }
}

/// The operator's apps: an id without its secret is of no use, nor is a secret without its id.
fn meta_apps(login: &LoginSettings) -> Result<Vec<MetaApp>, InvalidSetting> {
    let instagram = &login.instagram_app_secret;
    let facebook = &login.facebook_app_secret;
    let apps = [
        (
            LoginKind::Instagram,
            "INSTAGRAM_APP_ID",
            &login.instagram_app_id,
            "INSTAGRAM_APP_SECRET",
            instagram.get()?,
        ),
        (
            LoginKind::Facebook,
            "FACEBOOK_APP_ID",
            &login.facebook_app_id,
            "FACEBOOK_APP_SECRET",
            facebook.get()?,
        ),
    ];
    let mut all = Vec::new();
    for (kind, id_name, id, secret_name, secret) in apps {
        let without = |name, other: &str| InvalidSetting { name, what: format!("is required with {other}") };
        let (id, secret) = match (id, secret) {
            (None, None) => continue,
            (Some(id), Some(secret)) => (id.clone(), secret),
            (Some(_), None) => return Err(without(secret_name, id_name)),
            (None, Some(_)) => return Err(without(id_name, secret_name)),
        };
        let config_id = login.facebook_config_id.clone().filter(|_| kind == LoginKind::Facebook);
        all.push(MetaApp { login: kind, id, secret, scopes: apps::scopes(login, kind).to_vec(), config_id });
    }
    Ok(all)
}

fn show_waiting(metrics: &Metrics, inbox: &InboxWriter) {
    let (gauge, inbox) = (metrics.inbox_waiting.clone(), inbox.clone());
    metrics.on_scrape(move || gauge.set(i64::try_from(inbox.waiting()).unwrap_or(i64::MAX)));
}

/// A limit below one body would refuse every call for ever.
fn check_sizes(api: &ApiSettings, uploads: &UploadSettings) -> Result<(), InvalidSetting> {
    let at_least = |name: &'static str, size: usize, (least_name, least): (&str, usize)| {
        let what = format!("must be at least {least_name} ({least})");
        if size < least { Err(InvalidSetting { name, what }) } else { Ok(()) }
    };
    let webhook = ("WEBHOOK_MAX_BYTES", api.webhook_max_bytes);
    at_least("WEBHOOK_MAX_BYTES_PER_ADDRESS", api.webhook_max_bytes_per_address, webhook)?;
    at_least("WEBHOOK_MAX_BYTES_READING", api.webhook_max_bytes_reading, webhook)?;
    let body = ("API_MAX_BYTES", api.api_max_bytes);
    at_least("API_MAX_BYTES_PER_PRINCIPAL", api.api_max_bytes_per_principal, body)?;
    at_least("API_MAX_BYTES_PER_SUBACCOUNT", api.api_max_bytes_per_subaccount, body)?;
    at_least("API_MAX_BYTES_READING", api.api_max_bytes_reading, body)?;
    let upload = ("UPLOAD_BYTES_MAX", uploads.upload_bytes_max);
    at_least("UPLOAD_BYTES_PER_SUBACCOUNT", uploads.upload_bytes_per_subaccount, upload)?;
    at_least("UPLOAD_BYTES_READING", uploads.upload_bytes_reading, upload)
}

/// Time to connect to an address that a message names.
const REMOTE_CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// The longest time for which a stream may go on after its key was revoked.
const CREDENTIAL_INTERVAL_MAX: std::time::Duration = std::time::Duration::from_mins(1);

fn check_streams(limits: &LimitSettings) -> Result<(), InvalidSetting> {
    if limits.event_credential_interval > CREDENTIAL_INTERVAL_MAX {
        let what = "must be at most 1m".to_owned();
        return Err(InvalidSetting { name: "EVENT_CREDENTIAL_INTERVAL", what });
    }
    Ok(())
}

/// A secret that can be guessed would let anyone sign webhooks.
fn check_app_secrets(name: &'static str, secrets: &[Secret<String>]) -> Result<(), InvalidSetting> {
    if secrets.iter().all(|secret| secret.expose().len() >= APP_SECRET_BYTES_MIN) {
        return Ok(());
    }
    let what = format!("each must have at least {APP_SECRET_BYTES_MIN} characters; Meta's have 32");
    Err(InvalidSetting { name, what })
}

/// An origin that no browser sends would silently match nothing.
fn check_origins(origins: &[String]) -> Result<(), InvalidSetting> {
    let is_origin = |text: &str| {
        let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.is_some_and(|url| url.origin().ascii_serialization() == text)
    };
    let given =
        origins.iter().map(|origin| origin.trim().trim_end_matches('/')).filter(|text| !text.is_empty());
    match given.into_iter().find(|text| *text != "*" && !is_origin(text)) {
        None => Ok(()),
        Some(odd) => {
            let what = format!("{odd:?} is not an origin like https://app.example.com");
            Err(InvalidSetting { name: "CORS_ORIGINS", what })
        }
    }
}

/// The dependencies of an [`ApiState`].
pub struct ApiParts {
    /// What every process has.
    pub(crate) app: App,
    /// Settings. There are many: futures should not carry them along.
    pub(crate) options: Box<ApiOptions>,
}

impl ApiParts {
    /// The dependencies of an API with these settings.
    pub fn new(app: App, options: ApiOptions) -> Self {
        Self { app, options: Box::new(options) }
    }
}

/// Shared state of all requests; cheap to clone, as every layer of every request does.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

/// What the state consists of.
pub struct Shared {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) graph: Graph,
    pub(crate) login: Login,
    pub(crate) client: Client,
    /// Looks at addresses that others name.
    pub(crate) remote: Client,
    pub(crate) notifier: Notifier,
    /// Keeps media; none if they are not kept.
    pub(crate) media: Option<Storage>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: ApiOptions,
    pub(crate) inbox: InboxWriter,
    pub(crate) snapshots: Snapshots,
    pub(crate) gaps: Gaps,
    pub(crate) tokens: Current<Option<Tokens>>,
    /// Where people sign in to the console, if not with API keys only.
    pub(crate) oidc: Option<Provider>,
    /// The operator's secrets, as last read.
    pub(crate) secrets: Current<PlatformSecrets>,
    pub(crate) limits: Limits,
    pub(crate) live: Live,
    /// Cancelled when the process shuts down: ends open streams.
    pub(crate) stop: CancellationToken,
    /// What webhooks tell about accounts.
    pub(crate) signs: Signs,
    /// Events of accounts and subaccounts.
    pub(crate) budgets: Budgets,
    /// Bodies of webhooks in memory, by address.
    pub(crate) webhook_bodies: Budget,
    /// Bodies of REST calls in memory, by principal.
    pub(crate) rest_bodies: Budget,
    /// The same, by subaccount.
    pub(crate) tenant_bodies: Budget,
    /// The same of files that are uploaded, by subaccount.
    pub(crate) upload_bodies: Budget,
    /// Lists being read, by subaccount.
    pub(crate) readers: Readers,
}

impl Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl ApiState {
    /// This server's URL, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        self.options.api.public_url.as_str().trim_end_matches('/')
    }

    /// The tokens of these settings, if their secret may have changed. Keys fetched from JWKS_URL stay.
    ///
    /// # Errors
    /// Invalid settings.
    pub(crate) fn tokens_of(&self, options: &ApiOptions) -> Result<Option<Tokens>, InvalidSetting> {
        if options.jwt.jwks_url.is_some() {
            return Ok((*self.tokens.get()).clone());
        }
        Tokens::new(&options.jwt, self.client.clone())
    }

    /// From now on the operator's secrets are these.
    pub(crate) fn replace_secrets(&self, options: &ApiOptions, tokens: Option<Tokens>) {
        self.tokens.set(tokens);
        self.secrets.set(options.secrets.clone());
    }

    /// Starts the inbox writer and loads the connections. `stop` ends open streams, `drained` what requests
    /// wait for.
    ///
    /// # Errors
    /// An invalid setting, or the connections cannot be loaded.
    pub async fn start(
        parts: ApiParts,
        stop: &CancellationToken,
        drained: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let ApiParts { app, options } = parts;
        let remote = Client::for_receivers(REMOTE_CONNECT_TIMEOUT, false, app.metrics.clone());
        let remote = remote.map_err(anyhow::Error::msg)?;
        let tokens = Current::new(Tokens::new(&options.jwt, app.client.clone())?);
        let oidc = Provider::new(&options.jwt.oidc, tokens.get().is_some())?;
        let secrets = Current::new(options.secrets.clone());
        if let Some(canary) = options.canary.clone() {
            let (store, client) = (app.store.clone(), app.client.clone());
            let (metrics, clock, secrets) = (app.metrics.clone(), app.clock.clone(), secrets.clone());
            let of = Surroundings { store, client, metrics, clock, secrets };
            tokio::spawn(canary.run(of, stop.clone()));
        }
        let api = &options.api;
        let limits = InboxOptions {
            batch: usize::from(api.inbox_batch),
            waiting: api.inbox_waiting,
            writers: api.inbox_writers,
            ..InboxOptions::default()
        };
        let on_stored = crate::pusher::start(&app.queue, app.metrics.clone());
        let inbox = InboxWriter::start(app.store.clone(), limits, on_stored, drained);
        show_waiting(&app.metrics, &inbox);
        let gaps = Gaps::default();
        tokio::spawn(gaps.clone().watch((app.store.clone(), inbox.clone()), app.clock.clone(), stop.clone()));
        let snapshots = Snapshots::new(app.store.clone(), app.vault.clone());
        snapshots.refresh().await.context("cannot load the connections")?;
        tokio::spawn(snapshots.clone().keep_fresh(api.snapshot_interval, drained.clone()));
        let webhook_bodies = Budget::new(api.webhook_max_bytes_reading, api.webhook_max_bytes_per_address);
        let rest_bodies = Budget::new(api.api_max_bytes_reading, api.api_max_bytes_per_principal);
        let uploads = &options.limits.uploads;
        let upload_bodies = Budget::new(uploads.upload_bytes_reading, uploads.upload_bytes_per_subaccount);
        let tenant_bodies = Budget::new(api.api_max_bytes_reading, api.api_max_bytes_per_subaccount);
        // At least one other subaccount can read meanwhile.
        let most_readers = (app.store.lists_max() / 2).max(1);
        let readers = Readers::new(most_readers.min(options.limits.readers_per_subaccount.into()));
        let limits = &options.limits;
        let budgets = Budgets::new(
            Rate::new(limits.events_per_account, limits.events_burst_per_account),
            Rate::new(limits.events_per_subaccount, limits.events_burst_per_subaccount),
            limits.events_wait_max,
        );
        let signs = Signs::default();
        tokio::spawn(signs.clone().keep_written(app.store.clone(), drained.clone()));
        let settings = &options.limits;
        let limits = Limits::new(settings);
        tokio::spawn(limits.clone().keep_small(drained.clone()));
        let most = MostStreams {
            in_all: settings.event_streams,
            of_one: settings.event_streams_per_subaccount,
            of_principal: settings.event_streams_per_principal,
        };
        let hosts = &options.api.login;
        let hosts = LoginHosts {
            instagram_authorize: hosts.instagram_authorize_url.clone(),
            instagram_oauth: hosts.instagram_oauth_url.clone(),
            facebook_dialog: hosts.facebook_dialog_url.clone(),
        };
        let login = Login::new(app.graph.clone(), hosts);
        let live = Live::new(app.store.clone(), settings.event_interval, most);
        Ok(Self(Arc::new(Shared {
            store: app.store,
            vault: app.vault,
            notifier: app.notifier,
            media: app.media,
            login,
            graph: app.graph,
            client: app.client,
            remote,
            queue: app.queue,
            metrics: app.metrics,
            clock: app.clock,
            options: *options,
            inbox,
            snapshots,
            gaps,
            tokens,
            oidc,
            secrets,
            limits,
            live,
            stop: stop.clone(),
            signs,
            budgets,
            webhook_bodies,
            rest_bodies,
            tenant_bodies,
            upload_bodies,
            readers,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::check_origins;

    #[test]
    fn only_origins_that_browsers_send_are_accepted() {
        let check = |origin: &str| check_origins(&[origin.to_owned()]).is_ok();
        for good in ["", "*", "https://app.example.com", "http://localhost:5173/", " https://a.example "] {
            assert!(check(good), "{good:?}");
        }
        for bad in
            ["app.example.com", "https://a.example/path", "ftp://a.example", "https://A.example", "https://"]
        {
            assert!(!check(bad), "{bad:?}");
        }
    }
}
