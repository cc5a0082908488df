//! The PostgreSQL of one test: a separate cluster, copied from a template, removed on drop.

use crate::port::Port;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Timeout for a server to start.
const START: Duration = Duration::from_secs(30);

/// Starts the server and stops it when standard input closes: at the latest when the test process has ended.
/// The signal is repeated, because a server that is just starting may miss it.
const TETHERED: &str = r#"
"$@" & server=$!
read -r _
(while kill -QUIT "$server"; do sleep 0.2; done) 2>/dev/null & nudge=$!
wait "$server"
kill "$nudge"
"#;

/// A running PostgreSQL.
pub struct PostgresServer {
    port: Port,
    dir: TempDir,
    bin: PathBuf,
    /// Whether a commit reaches the disk: `on` or `off`.
    fsync: &'static str,
    /// What makes its disk full: see [`PostgresServer::with_a_small_disk`].
    preload: Option<PathBuf>,
    process: Mutex<Option<Child>>,
}

impl PostgresServer {
    /// Starts an empty cluster.
    ///
    /// # Errors
    /// If PostgreSQL is not installed (with instructions), or does not start.
    pub fn start() -> Result<Self> {
        Self::start_with("off")
    }

    /// Starts a cluster with production durability: commits reach the disk.
    ///
    /// # Errors
    /// Those of [`PostgresServer::start`].
    pub fn durable() -> Result<Self> {
        Self::start_with("on")
    }

    /// Starts an empty cluster whose disk can be made full.
    ///
    /// # Errors
    /// Those of [`PostgresServer::start`], and of the C compiler.
    pub fn with_a_small_disk() -> Result<Self> {
        let mut server = Self::start()?;
        server.kill()?;
        let (source, library) =
            (server.dir.path().join("full_disk.c"), server.dir.path().join("full_disk.so"));
        std::fs::write(&source, include_str!("full_disk.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        run(&mut compiler, "cc, which compiles a library that fills the disk")?;
        server.preload = Some(library);
        server.up()?;
        Ok(server)
    }

    /// From now on no file of the database can grow.
    ///
    /// # Errors
    /// If the flag cannot be written.
    pub fn fill_the_disk(&self) -> Result<()> {
        Ok(std::fs::write(self.full(), "")?)
    }

    fn full(&self) -> PathBuf {
        self.dir.path().join("full")
    }

    fn start_with(fsync: &'static str) -> Result<Self> {
        let bin = binaries()?;
        let dir = tempfile::Builder::new().prefix("dmrelay-pg-").tempdir()?;
        let template = template(&bin)?;
        let data = dir.path().join("data");
        run(Command::new("cp").arg("-a").arg(template).arg(&data), "copy the template")?;
        own(dir.path())?;
        let server =
            Self { port: Port::reserve()?, dir, bin, fsync, preload: None, process: Mutex::new(None) };
        server.up()?;
        Ok(server)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port.number)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port.number))
    }

    /// Dumps the database into a file while it is in use, as an operator's backup does.
    ///
    /// # Errors
    /// If `pg_dump` fails.
    pub fn dump(&self, file: &Path) -> Result<()> {
        let mut command = Command::new(self.bin.join("pg_dump"));
        command.args(["--format=custom", "--no-owner", "--file"]).arg(file).args(["--dbname", &self.url()]);
        run(&mut command, "pg_dump")
    }

    /// Restores such a file into this empty server.
    ///
    /// # Errors
    /// If `pg_restore` fails.
    pub fn restore(&self, file: &Path) -> Result<()> {
        let mut command = Command::new(self.bin.join("pg_restore"));
        command
            .args(["--exit-on-error", "--no-owner", "--single-transaction", "--dbname", &self.url()])
            .arg(file);
        run(&mut command, "pg_restore")
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// If it fails.
    pub fn execute(&self, sql: &str) -> Result<()> {
        let mut command = Command::new(self.bin.join("psql"));
        run(command.args(["--dbname", &self.url(), "-v", "ON_ERROR_STOP=1", "-qc", sql]), "psql")
    }

    /// Stops it abruptly, as a crash would.
    ///
    /// # Errors
    /// If the process cannot be waited for.
    pub fn kill(&self) -> Result<()> {
        if let Some(mut process) = self.process().take() {
            drop(process.stdin.take());
            process.wait()?;
        }
        Ok(())
    }

    /// Restarts it on the same port, with its data.
    ///
    /// # Errors
    /// If it does not start.
    pub fn up(&self) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", TETHERED, "sh"]);
        if is_root()? {
            command.args(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        let data = self.dir.path().join("data");
        command
            .arg(self.bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.number.to_string()]);
        command.arg("-c").arg(format!("fsync={}", self.fsync));
        for setting in ["listen_addresses=127.0.0.1", "max_connections=200", "shared_buffers=64MB"] {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", self.dir.path().display()));
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library).env("FULL_DISK", self.full());
        }
        let log = File::create(self.dir.path().join("log"))?;
        let process = command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn();
        *self.process() = Some(process.context("PostgreSQL did not start")?);
        self.wait_until_up()
    }

    fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let port = self.port.number.to_string();
            let ready = Command::new(self.bin.join("pg_isready"))
                .args(["-h", "127.0.0.1", "-p", &port, "-q"])
                .status()?;
            if ready.success() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                bail!("PostgreSQL does not answer: {log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // No one is left to report a failure to.
        let _ = self.kill();
    }
}

/// The location of PostgreSQL's server, in Debian's directory or in the path.
fn binaries() -> Result<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let whole =
        |bin: &PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|name| bin.join(name).exists());
    found
        .into_iter()
        .find(whole)
        .context("PostgreSQL was not found: `make test` installs it, or `apt-get install postgresql` does")
}

/// The template cluster, created once per machine.
fn template(bin: &Path) -> Result<PathBuf> {
    let version = Command::new(bin.join("postgres")).arg("--version").output()?;
    let version: String =
        String::from_utf8_lossy(&version.stdout).chars().filter(char::is_ascii_digit).collect();
    let home = std::env::temp_dir().join(format!("dmrelay-pg-template-{version}"));
    std::fs::create_dir_all(&home)?;
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let (made, data) = (home.join("made"), home.join("data"));
    if made.exists() {
        return Ok(data);
    }
    let _ = std::fs::remove_dir_all(&data);
    own(&home)?;
    let mut command = if is_root()? {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(bin.join("initdb"));
        command
    } else {
        Command::new(bin.join("initdb"))
    };
    command.arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "--auth=trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]);
    run(&mut command, "initdb")?;
    File::create(made)?;
    Ok(data)
}

/// PostgreSQL refuses to run as root: the files then belong to its own user.
fn own(path: &Path) -> Result<()> {
    if is_root()? {
        run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(path), "chown")?;
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output()?;
    Ok(id.stdout == b"0\n")
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command.current_dir("/").output().with_context(|| what.to_owned())?;
    ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
