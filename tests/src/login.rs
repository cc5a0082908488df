//! People who connect accounts by logging in at the simulated Meta, without a browser.

use crate::rest::{APP_SECRET, Answer, Rest, agent_path};
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use dmrelay_simulator::{LoginKind, MetaApp, Simulator};
use reqwest::redirect::Policy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use url::Url;

/// The Meta app for Instagram Login.
pub const INSTAGRAM_APP: &str = "1100000000000001";
/// The same for Facebook Login.
pub const FACEBOOK_APP: &str = "1100000000000002";
/// Where browsers may be sent back to.
pub const RETURN: &str = "https://app.example.test/done";

/// A person with a browser.
pub struct Person {
    client: reqwest::Client,
}

/// What the browser shows.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The address.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// The page.
    pub html: String,
}

/// Registers the tests' apps with the simulator, and sets dmrelay up for them.
///
/// # Errors
/// If an address is not valid.
pub fn prepare(settings: &mut Settings, simulator: &Simulator, api: SocketAddr) -> Result<()> {
    settings.api.public_url = Url::parse(&format!("http://{api}"))?;
    let login = &mut settings.api.login;
    login.instagram_authorize_url =
        Url::parse(&format!("{}/oauth/authorize", simulator.instagram_login_url()))?;
    login.instagram_oauth_url = Url::parse(&simulator.instagram_login_url())?;
    login.facebook_dialog_url = Url::parse(&simulator.facebook_login_url())?;
    let apps = [(INSTAGRAM_APP, LoginKind::Instagram), (FACEBOOK_APP, LoginKind::Facebook)];
    for (id, kind) in apps {
        let app = meta_app(id, kind, APP_SECRET, api);
        simulator.configure(|settings| settings.login.apps.push(app));
    }
    Ok(())
}

/// A Meta app of the simulator that sends people back to this API.
pub fn meta_app(id: &str, login_kind: LoginKind, secret: &str, api: SocketAddr) -> MetaApp {
    MetaApp {
        app_id: id.to_owned(),
        app_secret: secret.to_owned(),
        name: "dmrelay".to_owned(),
        login_kind,
        redirect_uris: vec![format!("http://{api}/oauth/instagram/callback")],
        configurations: BTreeMap::new(),
    }
}

/// Begins a session of the tests' agent; gives it.
///
/// # Errors
/// If it is refused.
pub async fn begin(rest: &Rest, body: Value) -> Result<Value> {
    let answer = rest.post("connect-sessions", body).await?;
    ensure!(answer.status == 201, "{} {}", answer.status, answer.text);
    Ok(answer.json)
}

/// The session as the API shows it.
///
/// # Errors
/// If there is no response.
pub async fn session(rest: &Rest, begun: &Value) -> Result<Answer> {
    let id = begun["sessionId"].as_str().context("no sessionId")?;
    rest.request("GET", &agent_path(&format!("connect-sessions/{id}")), None, &[]).await
}

/// A parameter of an address.
pub(crate) fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

impl Person {
    /// Somebody whose browser keeps nothing.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new() -> Result<Self> {
        dmrelay_runtime::http::install_tls();
        let time = std::time::Duration::from_secs(70);
        Ok(Self { client: reqwest::Client::builder().redirect(Policy::none()).timeout(time).build()? })
    }

    /// Goes to an address.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn visit(&self, url: &str) -> Result<Visit> {
        self.follow(self.client.get(url)).await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn submit(&self, url: &str, fields: &[(&str, &str)]) -> Result<Visit> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        self.follow(request.body(body)).await
    }

    /// Logs in at Meta and allows everything that the app of the session asks for, for these accounts.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn allow(&self, session: &Value, accounts: &[&str]) -> Result<Visit> {
        self.allow_but(session, accounts, "nothing").await
    }

    /// The same, except for one permission.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn allow_but(&self, session: &Value, accounts: &[&str], not: &str) -> Result<Visit> {
        let url = session["url"].as_str().context("no url")?;
        let asked = Url::parse(url)?;
        let scope = asked.query_pairs().find(|(name, _)| name == "scope").context("no scope")?.1.into_owned();
        let mut form = vec![("decision", "allow")];
        form.extend(accounts.iter().map(|account| ("account", *account)));
        form.extend(scope.split(',').filter(|scope| *scope != not).map(|scope| ("scope", scope)));
        self.submit(url, &form).await
    }

    /// Follows redirects, but not to the frontend, which is not there.
    async fn follow(&self, request: reqwest::RequestBuilder) -> Result<Visit> {
        let mut response = request.send().await?;
        loop {
            let url = response.url().clone();
            let to = response.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
            let Some(to) = to else {
                let status = response.status().as_u16();
                return Ok(Visit { url, status, html: response.text().await? });
            };
            let to = url.join(&to)?;
            if to.as_str().starts_with(RETURN) {
                return Ok(Visit { url: to, status: 0, html: String::new() });
            }
            response = self.client.get(to).send().await?;
        }
    }
}

impl Visit {
    /// A parameter of the address.
    pub fn parameter(&self, name: &str) -> String {
        parameter(&self.url, name)
    }

    /// How the session went, as the frontend is told: the status and the error.
    pub fn outcome(&self) -> (String, String) {
        (self.parameter("connectStatus"), self.parameter("connectError"))
    }

    /// The value of a hidden field.
    ///
    /// # Errors
    /// If the page has none of this name.
    pub fn hidden(&self, name: &str) -> Result<String> {
        let start = format!("name=\"{name}\" value=\"");
        let rest =
            self.html.split_once(&start).with_context(|| format!("no field {name} in {}", self.html))?.1;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }
}
