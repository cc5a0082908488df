//! The PostgreSQL and the Redis of one run: in a folder of their own, on free ports, gone with their handle.

use crate::process::{Process, free_ports, output};
use anyhow::{Context, Result, bail};
use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, query, raw_sql};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Both servers.
pub(crate) struct Servers {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    // Last, so that it is removed when nobody writes into it any more.
    folder: TempDir,
}

/// A running PostgreSQL.
pub(crate) struct Postgres {
    process: Process,
    addr: SocketAddr,
    data: PathBuf,
    version: String,
    lists_statements: bool,
}

/// A running Redis.
pub(crate) struct Redis {
    process: Process,
    addr: SocketAddr,
    version: String,
}

/// The database's superuser.
const OWNER: &str = "dmrelay";

/// Whom PostgreSQL runs as when we are root, which it refuses to be.
const SYSTEM_USER: &str = "postgres";

/// An acknowledgement is honest only with the first two. The rest is what a production server of this size
/// would have; checkpoints are made between the runs, so that none falls into one.
const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=30min",
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
];

/// Counts statements.
const PRELOAD: &str = "shared_preload_libraries=pg_stat_statements";

/// How long PostgreSQL may take to end.
const END: Duration = Duration::from_secs(10);

impl Servers {
    /// Starts both, empty, with their files under `parent`; PostgreSQL with these settings besides its own, and
    /// without pg_stat_statements if it does not have it.
    pub(crate) async fn start(parent: &Path, settings: &[&str]) -> Result<Self> {
        let with_statements = [settings, &[PRELOAD]].concat();
        let mut servers = match Self::start_with(parent, &with_statements).await {
            Ok(servers) => servers,
            Err(_) => Self::start_with(parent, settings).await?,
        };
        servers.postgres.list_statements().await;
        Ok(servers)
    }

    async fn start_with(parent: &Path, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("dmrelay-bench-")
            .tempdir_in(parent)
            .with_context(|| format!("no folder can be made in {}", parent.display()))?;
        let postgres = Postgres::start(folder.path(), settings).await?;
        let redis = Redis::start(folder.path()).await?;
        Ok(Self { postgres, redis, folder })
    }

    /// Where logs go.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Postgres {
    async fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        let binaries = binaries();
        let program =
            |name: &str| binaries.as_ref().map_or_else(|| PathBuf::from(name), |dir| dir.join(name));
        let version = output(Command::new(program("postgres")).arg("--version"))
            .context("PostgreSQL was not found; `apt-get install postgresql` installs it")?;
        let data = folder.join("postgres");
        if is_root()? {
            output(Command::new("chown").arg(SYSTEM_USER).arg(folder))
                .context("as root, PostgreSQL is run as the user postgres")?;
        }
        let initdb =
            ["--no-sync", "--auth=trust", "--no-locale", "--encoding=UTF8", "--username", OWNER, "--pgdata"];
        let mut command = as_system_user(&program("initdb"))?;
        output(command.args(initdb).arg(&data).current_dir(folder))?;
        let [addr] = free_ports()?;
        let mut command = as_system_user(&program("postgres"))?;
        command.arg("-D").arg(&data).args(["-p", &addr.port().to_string()]).current_dir(folder);
        for setting in SETTINGS.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let number = version.split(' ').find(|word| word.starts_with(char::is_numeric));
        let version = number.unwrap_or_default().to_owned();
        let process = Process::start("postgres", &mut command, folder)?;
        // From here on it ends with its handle.
        let mut postgres = Self { process, addr, data, version, lists_statements: false };
        let url = url(addr, "postgres");
        postgres
            .process
            .wait_until(async || {
                PgConnection::connect(&url).await?.close().await?;
                Ok(())
            })
            .await?;
        Ok(postgres)
    }

    /// Makes a database and gives its address.
    pub(crate) async fn create(&self, name: &str) -> Result<String> {
        let mut connection = PgConnection::connect(&url(self.addr, "postgres")).await?;
        raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        Ok(url(self.addr, name))
    }

    /// Whether statements are counted, in the database `postgres`.
    pub(crate) fn lists_statements(&self) -> bool {
        self.lists_statements
    }

    async fn list_statements(&mut self) {
        let sql = "CREATE EXTENSION pg_stat_statements; SELECT COUNT(*) FROM pg_stat_statements";
        if let Ok(mut connection) = PgConnection::connect(&self.url("postgres")).await {
            // Fails where the module is not installed, or was not loaded at the start.
            self.lists_statements = raw_sql(sql).execute(&mut connection).await.is_ok();
        }
    }

    /// The address of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        url(self.addr, database)
    }

    /// Counts what is in a database that was filled in a minute, as autovacuum does where it grows: without that, the planner takes its tables
    /// for empty.
    pub(crate) async fn analyze(&self, database: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url(database)).await?;
        query("ANALYZE").execute(&mut connection).await?;
        Ok(())
    }

    /// Writes everything to disk, so that what follows starts alike.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&url(self.addr, "postgres")).await?;
        query("CHECKPOINT").execute(&mut connection).await?;
        Ok(())
    }

    /// The process whose children serve, if it runs.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        // Not the process we started, where that is `runuser`.
        fs::read_to_string(self.data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: at once, without tidying up what is thrown away.
        if let Some(postmaster) = self.postmaster() {
            let _ = Command::new("sh").args(["-c", &format!("kill -QUIT {postmaster}")]).status();
            self.process.ends_within(END);
        }
    }
}

impl Redis {
    async fn start(folder: &Path) -> Result<Self> {
        let version = output(Command::new("redis-server").arg("--version"))
            .context("redis-server was not found; `apt-get install redis-server` installs it")?;
        let [addr] = free_ports()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &addr.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"])
            .arg("--dir")
            .arg(folder);
        let mut process = Process::start("redis", &mut command, folder)?;
        process
            .wait_until(async || {
                TcpStream::connect(addr).await?;
                Ok(())
            })
            .await?;
        let version = version.split(' ').find_map(|word| word.strip_prefix("v=")).unwrap_or("?").to_owned();
        Ok(Self { process, addr, version })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.addr)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

fn url(addr: SocketAddr, database: &str) -> String {
    format!("postgres://{OWNER}@{addr}/{database}")
}

fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self").context("/proc is needed, so Linux")?.uid() == 0)
}

/// A command for a program of PostgreSQL.
fn as_system_user(program: &Path) -> Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", SYSTEM_USER, "--"]).arg(program);
    Ok(command)
}

/// The folder of the newest PostgreSQL that is installed as Debian does; else it is looked for in `PATH`.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter(|path| path.join("bin/postgres").exists()).max_by_key(number)?;
    Some(newest.join("bin"))
}

/// The program of this workspace that was built beside this one.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own place is not known")?;
    let path = own.with_file_name(name);
    if !path.exists() {
        bail!(
            "{} does not exist; build it first: cargo build --release -p dmrelay-api -p dmrelay-worker -p dmrelay-bench",
            path.display()
        );
    }
    Ok(path)
}
