//! The doctor accepts a good installation, and names the problems of a broken one; its output contains no
//! secret.

use super::admin_with;
use anyhow::{Context, Result};
use dmrelay_simulator::{Fault, FaultMode, Operation, TokenState};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::postgres::PostgresServer;
use dmrelay_tests::relay::open_store;
use dmrelay_tests::rest::{ACCOUNT, AGENT, APP_SECRET, KEY, TOKEN, VERIFY_TOKEN};
use dmrelay_vault::Vault;
use sea_orm::ConnectionTrait;
use serde_json::Value;

const META_SECRET: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "password-of-the-database";
const JWT: &str = "jwt-secret-0123456789abcdefghijklmnop";
const RETELL: &str = "key_simulated";
const SHORT: &str = "short-secret";
/// An address where no one listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// Settings, the check that fails because of them, and a part of its message.
type Broken<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

/// An installation ready for production, except that its servers are on this machine.
struct Clinic {
    cluster: Cluster,
    database: String,
    keys: String,
    _durable: PostgresServer,
}

impl Clinic {
    async fn open() -> Result<Self> {
        let durable = PostgresServer::durable()?;
        // No password is required, and none may be shown.
        let database = durable.url().replace("postgres@", &format!("postgres:{PASSWORD}@"));
        let cluster = Cluster::start(&[]).await?;
        let (migrated, output) = admin_with(&cluster, &["migrate"], &[("DATABASE_URL", &database)]).await?;
        assert!(migrated, "{output}");
        Ok(Self { cluster, database, keys: Vault::generate("k2"), _durable: durable })
    }

    /// Runs the doctor on it, with these settings changed.
    async fn examine(&self, args: &[&str], settings: &[(&str, &str)]) -> Result<(bool, String)> {
        let good = [
            ("DATABASE_URL", self.database.as_str()),
            ("PUBLIC_URL", "https://relay.example.com"),
            ("META_APP_SECRETS", META_SECRET),
            ("ENCRYPTION_KEYS", self.keys.as_str()),
        ];
        let kept = good.iter().filter(|(key, _)| settings.iter().all(|(other, _)| key != other));
        let all: Vec<(&str, &str)> = kept.chain(settings).copied().collect();
        let (success, output) = admin_with(&self.cluster, &[&["doctor"], args].concat(), &all).await?;
        let key = &self.keys[3..];
        for secret in [KEY, APP_SECRET, META_SECRET, VERIFY_TOKEN, TOKEN, PASSWORD, JWT, RETELL, SHORT, key] {
            assert!(!output.contains(secret), "{secret} is shown: {output}");
        }
        Ok((success, output))
    }
}

/// Whether a check had this result.
fn found(output: &str, verdict: &str, check: &str, says: &str) -> bool {
    let begins = format!("{verdict:<4}  {check:<19}  ");
    output.lines().any(|line| line.strip_prefix(&begins).is_some_and(|what| what.contains(says)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_installation_passes() -> Result<()> {
    let clinic = Clinic::open().await?;
    let no_bootstrap = ("BOOTSTRAP_API_KEY", "");
    let tokens = [("JWT_SECRET", JWT), ("JWT_ISSUER", "x"), ("JWT_AUDIENCE", "y"), no_bootstrap];
    let (success, output) = clinic.examine(&[], &tokens).await?;
    assert!(success && output.ends_with(" 0 warn, 0 FAIL"), "{output}");
    for (check, says) in [
        ("settings", "valid"),
        ("META_APP_SECRETS", "1 given"),
        ("ENCRYPTION_KEYS", "k2."),
        ("tokens (JWT)", "accepted"),
        ("database", "PostgreSQL "),
        ("durability", "fsync on, synchronous_commit on"),
        ("connections", "room for"),
        ("clock", "ms"),
        ("schema", "up to date"),
        ("encrypted values", "none"),
        ("writes", "accepts writes"),
        ("processes", "none runs"),
        ("circuit breakers", "none is open"),
        ("accounts", "none needs attention"),
        ("customers", "nobody waits"),
        ("redis", "version "),
        ("redis memory", "noeviction"),
        ("GRAPH_URL", "is reachable and knows v"),
        ("INSTAGRAM_GRAPH_URL", "is reachable and knows v"),
        ("retell", "accepts the key"),
        ("PUBLIC_URL", "https://relay.example.com"),
    ] {
        assert!(found(&output, "ok", check, says), "{check}: {output}");
    }
    let (success, output) = clinic.examine(&[], &[]).await?;
    assert!(success && found(&output, "warn", "BOOTSTRAP_API_KEY", "it has every permission"), "{output}");
    let (success, json) = clinic.examine(&["--json"], &[no_bootstrap]).await?;
    let findings: Vec<Value> = serde_json::from_str(&json).with_context(|| json.clone())?;
    assert!(success && findings.iter().all(|finding| finding["verdict"] == "ok"), "{json}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_problem_is_named() -> Result<()> {
    let clinic = Clinic::open().await?;
    let store = open_store(&clinic.database).await?;
    store.connection().execute_unprepared("CREATE DATABASE empty").await?;
    let empty = format!("{}empty", clinic.database.strip_suffix("postgres").context("url")?);
    let undurable = clinic.cluster.postgres.url();
    let jwks = format!("{NOWHERE}/keys");
    let table: &[Broken<'_>] = &[
        (&[("RUST_LOG", "a=b=c")], "logs", "RUST_LOG"),
        (&[("CORS_ORIGINS", "app.example.com")], "settings", "CORS_ORIGINS"),
        (&[("META_APP_SECRETS", ""), ("META_APP_SECRETS_FILE", "/nowhere")], "META_APP_SECRETS", "/nowhere"),
        (
            &[("META_VERIFY_TOKEN", ""), ("META_VERIFY_TOKEN_FILE", "/nowhere")],
            "META_VERIFY_TOKEN",
            "/nowhere",
        ),
        (&[("BOOTSTRAP_API_KEY", SHORT)], "BOOTSTRAP_API_KEY", "at least 32"),
        (&[("JWT_SECRET", SHORT), ("JWT_ISSUER", "x"), ("JWT_AUDIENCE", "y")], "tokens (JWT)", "JWT_SECRET"),
        (&[("JWT_SECRET", JWT)], "tokens (JWT)", "JWT_ISSUER: is required"),
        (&[("JWKS_URL", &jwks), ("JWT_ISSUER", "x"), ("JWT_AUDIENCE", "y")], "JWKS_URL", "cannot be reached"),
        (&[("ENCRYPTION_KEYS", "")], "ENCRYPTION_KEYS", "is required"),
        (&[("ENCRYPTION_KEYS", "k1:c2hvcnQ=")], "ENCRYPTION_KEYS", "5 bytes, not 32"),
        (&[("DATABASE_URL", "")], "database", "DATABASE_URL: is required"),
        (&[("DATABASE_URL", "mysql://x")], "database", "must begin with postgres://"),
        (
            &[("DATABASE_URL", "postgres://u:password-of-the-database@127.0.0.1:1/x")],
            "database",
            "DATABASE_URL",
        ),
        (&[("DATABASE_URL", &empty)], "schema", "run: dmrelay-api migrate"),
        (&[("DATABASE_URL", &undurable)], "durability", "fsync is off"),
        (&[("DATABASE_URL", &undurable)], "encrypted values", "2 values are encrypted with the key k1."),
        (&[("DATABASE_MAX_CONNECTIONS", "500")], "connections", "lower it"),
        (&[("REDIS_URL", "")], "redis", "REDIS_URL: is required"),
        (&[("REDIS_URL", "redis://:short-secret@127.0.0.1:1/")], "redis", "unavailable"),
        (&[("REDIS_URL", "nonsense:short-secret")], "redis", "is invalid"),
        (&[("GRAPH_URL", NOWHERE)], "GRAPH_URL", "cannot be reached"),
        (&[("INSTAGRAM_GRAPH_URL", NOWHERE)], "INSTAGRAM_GRAPH_URL", "cannot be reached"),
        (&[("GRAPH_VERSION", "v99.0")], "INSTAGRAM_GRAPH_URL", "does not know v99.0"),
        (&[("RETELL_URL", NOWHERE)], "retell", "cannot be reached"),
        (&[("RETELL_API_KEY", SHORT)], "retell", "the key is rejected"),
        (&[("PUBLIC_URL", "http://relay.example.com")], "PUBLIC_URL", "must be https"),
        (&[("PUBLIC_URL", "https://192.0.2.1")], "PUBLIC_URL", "not an address"),
        (&[("PUBLIC_URL", "https://localhost")], "PUBLIC_URL", "public host name"),
        (&[("PUBLIC_URL", "https://relay.example.com:8443")], "PUBLIC_URL", "no port"),
    ];
    for (settings, check, says) in table {
        let (success, output) = clinic.examine(&[], settings).await?;
        assert!(!success && found(&output, "FAIL", check, says), "{settings:?}: {output}");
        // The other checks run all the same.
        assert!(output.contains(" FAIL\n") && output.contains("retell"), "{settings:?}: {output}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warnings_are_reported_and_do_not_fail() -> Result<()> {
    let clinic = Clinic::open().await?;
    for (settings, check, says) in [
        (("META_APP_SECRETS", APP_SECRET), "META_APP_SECRETS", "number 1 is not 32"),
        (("META_APP_SECRETS", ""), "META_APP_SECRETS", "not given"),
        (("META_VERIFY_TOKEN", SHORT), "META_VERIFY_TOKEN", "shorter than 16"),
        (("META_VERIFY_TOKEN", ""), "META_VERIFY_TOKEN", "not given"),
        (("RETELL_API_KEY", ""), "retell", "not checked"),
        (("DATABASE_MAX_CONNECTIONS", "150"), "connections", "too few connections"),
    ] {
        let (success, output) = clinic.examine(&[], &[settings]).await?;
        assert!(success && found(&output, "warn", check, says), "{settings:?}: {output}");
    }
    let mut redis = clinic.cluster.redis.connection()?;
    let mut set =
        |name: &str, value: &str| redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut redis);
    set("maxmemory-policy", "allkeys-lru")?;
    let (success, output) = clinic.examine(&[], &[]).await?;
    assert!(success && found(&output, "warn", "redis memory", "allkeys-lru"), "{output}");
    set("maxmemory", "100mb")?;
    let (success, output) = clinic.examine(&[], &[]).await?;
    assert!(
        !success && found(&output, "FAIL", "redis memory", "set maxmemory-policy noeviction"),
        "{output}"
    );
    Ok(())
}

/// Reads may work while questions fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_asked_on_request_and_their_chats_deleted() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let ask = ["doctor", "--ask"];
    let (_, output) = admin_with(&cluster, &ask, &[]).await?;
    assert!(found(&output, "ok", "questions", &format!("agent {AGENT} answered in ")), "{output}");
    let deleted = cluster.simulator.record(|record| record.calls_of("retell.delete_chat"));
    assert_eq!((deleted, cluster.simulator.record(|record| record.completion_count)), (1, 1));
    let fault = Fault::retell(Operation::Completion, FaultMode::Before).status(500).times(0);
    cluster.simulator.add_fault(fault);
    let (success, output) = admin_with(&cluster, &ask, &[]).await?;
    assert!(!success && found(&output, "ok", "retell", "accepts the key"), "{output}");
    assert!(found(&output, "FAIL", "questions", "status 500"), "{output}");
    let (_, output) = admin_with(&cluster, &ask, &[("RETELL_API_KEY", "")]).await?;
    assert!(found(&output, "FAIL", "questions", "RETELL_API_KEY is not given"), "{output}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_are_those_of_a_running_process() -> Result<()> {
    let cluster = Cluster::start(&[("META_VERIFY_TOKEN", SHORT)]).await?;
    let process = format!("--from-running={}", cluster.api.id());
    let elsewhere = [("DATABASE_URL", "sqlite://nowhere"), ("REDIS_URL", ""), ("META_VERIFY_TOKEN", "")];
    let (_, output) = admin_with(&cluster, &["doctor", &process], &elsewhere).await?;
    assert!(output.contains("settings of dmrelay-api (process "), "{output}");
    assert!(found(&output, "warn", "META_VERIFY_TOKEN", "shorter than 16"), "{output}");
    assert!(found(&output, "ok", "redis", "version "), "{output}");
    assert!(found(&output, "ok", "processes", "1 api") || output.contains("no worker runs"), "{output}");
    let (success, output) = admin_with(&cluster, &["doctor", "--from-running=1"], &[]).await?;
    assert!(
        !success && output.contains("process 1 is neither a dmrelay-api nor a dmrelay-worker"),
        "{output}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callback_and_the_accounts_are_checked_on_request() -> Result<()> {
    let clinic = Clinic::open().await?;
    let here = clinic.cluster.rest.address();
    let there = ("PUBLIC_URL", here.as_str());
    let (_, output) = clinic.examine(&["--callback"], &[there]).await?;
    assert!(found(&output, "ok", "callback", "succeeds"), "{output}");
    let (_, output) =
        clinic.examine(&["--callback"], &[there, ("META_VERIFY_TOKEN", "not-the-token-of-the-api")]).await?;
    assert!(found(&output, "FAIL", "callback", "has another META_VERIFY_TOKEN"), "{output}");
    let (_, output) = clinic.examine(&["--callback"], &[("PUBLIC_URL", NOWHERE)]).await?;
    assert!(found(&output, "FAIL", "callback", "cannot be reached"), "{output}");

    let accounts = async |settings: &[(&str, &str)]| {
        admin_with(&clinic.cluster, &["doctor", "--accounts=5"], settings).await
    };
    let (_, output) = accounts(&[]).await?;
    assert!(found(&output, "ok", "accounts", "1 of 1 asked have a good token"), "{output}");
    // Only the host the account needs is checked.
    let (_, output) = accounts(&[("GRAPH_URL", NOWHERE)]).await?;
    assert!(found(&output, "ok", "GRAPH_URL", "no account has facebook login"), "{output}");
    clinic.cluster.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    let (success, output) = accounts(&[]).await?;
    assert!(!success && found(&output, "FAIL", "accounts", "connect it again"), "{output}");
    assert!(output.contains(ACCOUNT) && !output.contains(TOKEN), "{output}");
    let (_, output) = accounts(&[("ENCRYPTION_KEYS", &clinic.keys)]).await?;
    assert!(found(&output, "FAIL", "accounts", "encrypted with the key k1."), "{output}");
    Ok(())
}
