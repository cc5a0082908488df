//! `cargo run`: dmrelay in one process with nothing to install. SQLite in a folder, an in-process queue, and
//! a simulated Meta and Retell; a simulated customer writes and is answered.

mod account;
mod demo;
mod embedded;
mod folder;
mod memory;
mod player;
mod shop;

use anyhow::anyhow;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use dmrelay_runtime::settings::{
    AgentSettings, ApiSettings, GraphSettings, JwtSettings, LimitSettings, LogSettings, MediaSettings,
    NotifySettings, ProviderSettings, WorkerSettings,
};
use dmrelay_runtime::{logs, shutdown};
use std::path::PathBuf;
use std::process::ExitCode;

/// dmrelay on one machine, with a simulated Meta and Retell.
#[derive(Debug, Parser)]
#[command(name = "dmrelay", version = dmrelay_runtime::version::TEXT)]
pub(crate) struct Args {
    /// The folder of the database and the keys.
    #[arg(long, env = "DMRELAY_DATA", default_value = "data")]
    data: PathBuf,
    /// Listen address of the simulated Meta and Retell.
    #[arg(long, env = "SIMULATOR_ADDR", default_value = "127.0.0.1:4010")]
    simulator_addr: std::net::SocketAddr,
    /// Exit after the first answer instead of continuing to serve.
    #[arg(long)]
    once: bool,
    /// Log filter.
    #[arg(long, env = "RUST_LOG", default_value = "warn")]
    rust_log: String,
    /// Listeners and limits.
    #[command(flatten)]
    api: ApiSettings,
    /// Rate limits and CORS.
    #[command(flatten)]
    limits: LimitSettings,
    /// JWT authentication.
    #[command(flatten)]
    jwt: JwtSettings,
    /// Meta.
    #[command(flatten)]
    graph: GraphSettings,
    /// The agent's provider.
    #[command(flatten)]
    provider: ProviderSettings,
    /// The agent.
    #[command(flatten)]
    agent: AgentSettings,
    /// How notifications leave.
    #[command(flatten)]
    notify: NotifySettings,
    #[command(flatten)]
    media: MediaSettings,
    /// The pipeline.
    #[command(flatten)]
    worker: WorkerSettings,
}

/// Settings that the quick start sets by itself: `--help` does not list them, and they are not taken as flags. In the environment they
/// are ignored, because it is often that of a real installation.
const OWN: [&str; 29] = [
    "media_private_addresses",
    "public_url",
    "agent_binding",
    "bootstrap-api-key",
    "bootstrap-api-key-file",
    "instagram_app_id",
    "instagram-app-secret",
    "instagram-app-secret-file",
    "facebook_app_id",
    "facebook-app-secret",
    "facebook-app-secret-file",
    "instagram_authorize_url",
    "instagram_oauth_url",
    "facebook_dialog_url",
    "graph_url",
    "instagram_graph_url",
    "meta-app-secrets",
    "meta-app-secrets-file",
    "retell_url",
    "retell-api-key",
    "retell-api-key-file",
    "debounce_ms",
    "notification_private_addresses",
    "transcription_url",
    "transcription-api-key",
    "transcription-api-key-file",
    "vision_url",
    "vision-api-key",
    "vision-api-key-file",
];

impl Args {
    /// Reads the command line and the environment.
    fn read(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(own) = OWN.iter().find(|id| given(id)) {
            let what = format!("--{} is set by the quick start itself", own.replace('_', "-"));
            return Err(Self::shown().error(clap::error::ErrorKind::ArgumentConflict, what));
        }
        Self::from_arg_matches(matches)
    }

    /// The command with the settings that have an effect.
    fn shown() -> clap::Command {
        Self::command().mut_args(|arg| {
            let is_own = OWN.contains(&arg.get_id().as_str());
            arg.hide(is_own)
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::read(&Args::shown().get_matches()) {
        Ok(args) => args,
        Err(err) => err.exit(),
    };
    match Box::pin(run(args)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("dmrelay: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    logs::init(&LogSettings::text(&args.rust_log), "dmrelay").map_err(|err| anyhow!(err))?;
    let stop = shutdown::on_signal()?;
    let system = Box::pin(embedded::start(&args, stop.clone())).await?;
    account::connect(&system).await?;
    demo::introduce(&system)?;
    let shown = tokio::select! {
        shown = demo::show_a_message_answered(&system) => shown,
        () = stop.cancelled() => Ok(()),
    };
    if args.once || shown.is_err() {
        stop.cancel();
    } else if !stop.is_cancelled() {
        demo::tell_how_to_go_on(&system).await?;
    }
    stop.cancelled().await;
    system.end().await?;
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_what_has_an_effect_and_nothing_else() {
        let help = Args::shown().render_long_help().to_string();
        for id in OWN {
            let flag = format!("--{} ", id.replace('_', "-"));
            assert!(!help.contains(&flag), "{flag}");
            assert!(Args::command().get_arguments().any(|arg| arg.get_id() == id), "{id} is no setting");
        }
        for flag in ["--api-addr ", "--cors-origins ", "--jwt-secret ", "--turns-per-day ", "--smtp-url "] {
            assert!(help.contains(flag), "{flag}");
        }
    }

    #[test]
    fn what_the_quick_start_sets_is_refused_as_a_flag() {
        let matches = |args: &[&str]| Args::shown().try_get_matches_from([&["dmrelay"], args].concat());
        let refused = Args::read(&matches(&["--public-url", "https://dm.example.com"]).unwrap()).unwrap_err();
        assert!(refused.to_string().contains("--public-url is set by the quick start itself"), "{refused}");
        let read = Args::read(&matches(&["--cors-origins", "https://app.example.com"]).unwrap()).unwrap();
        assert_eq!(read.limits.cors_origins.len(), 1);
    }
}
