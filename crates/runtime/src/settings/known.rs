//! Names in the environment that look like settings and are none: misspelt ones have no effect, and nobody notices.

use super::{
    AgentSettings, ApiSettings, DatabaseSettings, GraphSettings, JwtSettings, LimitSettings, LogSettings,
    MediaSettings, MetricsSettings, NotifySettings, ProviderSettings, QueueSettings, VaultSettings,
    WorkerSettings,
};
use clap::{CommandFactory, Parser};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// All settings, of all processes: they often have one environment.
#[derive(Parser)]
struct All {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    queue: QueueSettings,
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    jwt: JwtSettings,
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    graph: GraphSettings,
    #[command(flatten)]
    provider: ProviderSettings,
    #[command(flatten)]
    agent: AgentSettings,
    #[command(flatten)]
    vault: VaultSettings,
    #[command(flatten)]
    worker: WorkerSettings,
    #[command(flatten)]
    metrics: MetricsSettings,
    #[command(flatten)]
    notify: NotifySettings,
    #[command(flatten)]
    media: MediaSettings,
    #[command(flatten)]
    logs: LogSettings,
}

/// Settings of single processes, and of the files of the deployment, which share a `.env` with the processes.
const OTHERS: [&str; 22] = [
    "TAKEOVER_HOURS",
    "MIGRATE_ON_START",
    "API_PORT",
    "GRAFANA_PORT",
    "SIMULATOR_PORT",
    "PROMETHEUS_URL",
    "PUBLIC_HOST",
    "WORKER_REPLICAS",
    "BACKUP_FOLDER",
    "BACKUP_HOUR",
    "BACKUP_FULL_DAYS",
    "POSTGRES_IMAGE",
    "POSTGRES_VOLUME",
    "DMRELAY_IMAGE",
    "DMRELAY_POSTGRES_IMAGE",
    "DMRELAY_SECRETS",
    "DMRELAY_ENV_FILE",
    "DMRELAY_VERSION",
    "DMRELAY_REVISION",
    "DMRELAY_FEATURES",
    "DMRELAY_COMMIT",
    "DMRELAY_BINARY",
];

/// The project's own prefix, which no other program uses.
const PREFIX: &str = "DMRELAY_";

/// Shorter names are too much like others.
const CHARS_MIN: usize = 8;

/// Letters that are wrong, missing, too many or exchanged.
const SLIPS_MAX: usize = 2;

/// The names of all settings.
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let command = All::command();
    let of_arguments = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    of_arguments.chain(OTHERS).map(str::to_owned).collect()
});

/// Whether this is the name of a setting of some process.
pub fn is_setting(name: &str) -> bool {
    NAMES.contains(name)
}

/// What is wrong with the names of variables in this process's environment: those that are almost settings, or have the
/// project's prefix and are none.
pub fn misspelt_here() -> Vec<String> {
    let variables: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    misspelt(variables.iter().map(String::as_str))
}

fn misspelt<'a>(variables: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let known = &*NAMES;
    let mut found = Vec::new();
    for variable in variables {
        if known.contains(variable) || variable.len() < CHARS_MIN {
            continue;
        }
        let slips = |name: &str| strsim::damerau_levenshtein(variable, name);
        let closest = known.iter().filter(|name| name.len() >= CHARS_MIN).min_by_key(|name| slips(name));
        match closest.filter(|name| slips(name) <= SLIPS_MAX) {
            Some(name) => found.push(format!("{variable} is not a setting; did you mean {name}?")),
            None if variable.starts_with(PREFIX) => found.push(format!("{variable} is not a setting")),
            None => {}
        }
    }
    found
}

/// Warns about such names in this process's environment.
pub fn warn_of_misspelt() {
    for what in misspelt_here() {
        tracing::warn!("{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_named_with_the_one_that_was_meant() {
        let of = |variable| misspelt([variable]).pop();
        for (variable, meant) in [
            ("TURNS_PER_ACOUNT_HOUR", "TURNS_PER_ACCOUNT_HOUR"),
            ("RETELL_APIKEY", "RETELL_API_KEY"),
            ("META_APP_SECRET", "META_APP_SECRETS"),
            ("PUBILC_URL", "PUBLIC_URL"),
            ("DMRELAY_IMAGES", "DMRELAY_IMAGE"),
        ] {
            assert!(
                of(variable).is_some_and(|what| what.ends_with(&format!("did you mean {meant}?"))),
                "{variable}"
            );
        }
        assert_eq!(of("DMRELAY_CONCURRENCY").as_deref(), Some("DMRELAY_CONCURRENCY is not a setting"));
        for variable in
            ["DATABASE_URL", "RUST_BACKTRACE", "HOSTNAME", "KUBERNETES_SERVICE_HOST", "LANGUAGE", "LS_COLORS"]
        {
            assert_eq!(of(variable), None, "{variable}");
        }
    }
}
