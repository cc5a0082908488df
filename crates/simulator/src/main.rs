//! The simulator as a standalone process.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use dmrelay_simulator::{AccountSpec, LoginKind, Options, Settings, Simulator, WebhookTarget};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A simulator of Meta's Graph API and Retell's chat API.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Listen address.
    #[arg(long, env = "SIMULATOR_ADDR", default_value = "127.0.0.1:4010")]
    addr: SocketAddr,
    /// Target URL of webhooks.
    #[arg(long, env = "SIMULATOR_WEBHOOK_URL")]
    webhook_url: Option<String>,
    /// The secret that signs webhooks.
    #[arg(
        long,
        env = "SIMULATOR_APP_SECRET",
        default_value = "simulated-app-secret",
        hide_env_values = true
    )]
    app_secret: String,
    /// The verify token sent in the handshake.
    #[arg(
        long,
        env = "SIMULATOR_VERIFY_TOKEN",
        default_value = "simulated-verify-token",
        hide_env_values = true
    )]
    verify_token: String,
    /// An initial account: `ID,USERNAME,TOKEN`, or `ID,USERNAME,TOKEN,PAGE_ID` for Facebook Login. May be
    /// repeated.
    #[arg(long = "account", env = "SIMULATOR_ACCOUNTS", value_delimiter = ';', value_parser = account)]
    accounts: Vec<AccountSpec>,
    /// Subscribe these accounts to all messaging fields from the start.
    #[arg(long, env = "SIMULATOR_SUBSCRIBED")]
    subscribed: bool,
    /// The API key Retell requires.
    #[arg(long, env = "SIMULATOR_RETELL_API_KEY", default_value = "key_simulated", hide_env_values = true)]
    retell_api_key: String,
    /// Milliseconds an agent takes to answer.
    #[arg(long, env = "SIMULATOR_AGENT_LATENCY_MS", default_value_t = 0)]
    agent_latency_ms: u64,
    /// Milliseconds each Graph call takes.
    #[arg(long, env = "SIMULATOR_GRAPH_LATENCY_MS", default_value_t = 0)]
    graph_latency_ms: u64,
    /// Milliseconds from a send to its echo.
    #[arg(long, env = "SIMULATOR_ECHO_DELAY_MS", default_value_t = 0)]
    echo_delay_ms: u64,
    /// Maximum number of concurrent webhook POSTs.
    #[arg(long, env = "SIMULATOR_DELIVERY_CONCURRENCY", default_value_t = 64)]
    delivery_concurrency: usize,
    /// Store only counts and latencies, for load runs.
    #[arg(long, env = "SIMULATOR_NO_RECORD")]
    no_record: bool,
}

impl Flags {
    fn settings(&self) -> Settings {
        let mut settings = Settings { keep_records: !self.no_record, ..Settings::default() };
        settings.graph.latency_ms = self.graph_latency_ms;
        settings.graph.echo_delay_ms = self.echo_delay_ms;
        settings.retell.api_key.clone_from(&self.retell_api_key);
        settings.retell.default_agent.latency_ms = self.agent_latency_ms;
        settings.webhooks.concurrency = self.delivery_concurrency;
        settings.webhooks.target = self.webhook_url.clone().map(|url| WebhookTarget {
            url,
            app_secret: self.app_secret.clone(),
            verify_token: self.verify_token.clone(),
        });
        settings
    }
}

fn account(text: &str) -> Result<AccountSpec, String> {
    let parts: Vec<&str> = text.split(',').collect();
    match parts.as_slice() {
        [id, username, token] => Ok(AccountSpec::new(id, username, token)),
        [id, username, token, page] => Ok(AccountSpec::new(id, username, token).facebook_login(page)),
        _ => Err("an account is ID,USERNAME,TOKEN or ID,USERNAME,TOKEN,PAGE_ID".to_owned()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Colors are for people: not for a file, nor for a pipe.
    let colors = std::io::IsTerminal::is_terminal(&std::io::stdout());
    tracing_subscriber::fmt().with_ansi(colors).with_env_filter(filter).init();
    let flags = Flags::parse();
    let options = Options { addr: flags.addr, settings: flags.settings() };
    let simulator = Simulator::start(options).await.context("the simulator did not start")?;
    for account in flags.accounts {
        let described = (account.account_id.clone(), account.login_kind == LoginKind::Facebook);
        simulator.put_account(if flags.subscribed { account.subscribed() } else { account });
        tracing::info!(account = described.0, facebook_login = described.1, "account added");
    }
    greet(&simulator);
    stopped().await?;
    tracing::info!("stopping");
    simulator.stop().await;
    Ok(())
}

fn greet(simulator: &Simulator) {
    let control = simulator.control_url();
    tracing::info!(
        graph = simulator.graph_url(),
        instagram = simulator.instagram_url(),
        retell = simulator.retell_url(),
        %control,
        "listening"
    );
    tracing::info!(
        "a customer writes: curl -X POST {control}/act -H 'content-type: application/json' \
         -d '{{\"account\":\"ACCOUNT\",\"user\":\"USER\",\"action\":{{\"kind\":\"text\",\"text\":\"Hello\"}}}}'"
    );
    tracing::info!(
        "what came of it: curl '{control}/thread?account=ACCOUNT&user=USER'; counts: curl {control}/record"
    );
}

async fn stopped() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("Ctrl-C cannot be waited for")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
