//! The peer: the same job in Node.js, in a process for webhooks and one that answers.

use crate::process::{Process, free_ports, output};
use crate::servers::Servers;
use crate::stack::{Seat, VERIFY_TOKEN, around, ready, welcome};
use crate::usage::Watched;
use crate::webhook::APP_SECRET;
use anyhow::Result;
use dmrelay_simulator::Simulator;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// Where it lies.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer");

/// Running processes, killed when dropped.
pub(crate) struct Peer {
    name: String,
    api: Process,
    worker: Process,
    around: Vec<Watched>,
}

/// Why there is no peer.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) String);

impl Peer {
    /// Installs what it needs, unless that was done since its list was last changed.
    pub(crate) fn prepare() -> Result<(), Absent> {
        for program in ["node", "npm"] {
            if output(Command::new(program).arg("--version")).is_err() {
                let why =
                    format!("the peer was skipped: {program} is not installed; apt-get install nodejs npm");
                return Err(Absent(why));
            }
        }
        let changed = |file: &str| -> Option<SystemTime> {
            fs::metadata(Path::new(FOLDER).join(file)).ok()?.modified().ok()
        };
        if changed("node_modules/.package-lock.json") >= changed("package-lock.json") {
            return Ok(());
        }
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(FOLDER);
        match output(&mut install) {
            Ok(_) => Ok(()),
            Err(err) => Err(Absent(format!("the peer was skipped: {err:#}"))),
        }
    }

    /// Starts it on an empty database, with the account, which the simulator forgets everything about beforehand.
    pub(crate) async fn start(servers: &Servers, simulator: &Simulator, concurrency: u16) -> Result<Self> {
        let name = format!("peer_{concurrency}");
        let [api_addr, worker_addr] = free_ports()?;
        let seat = Seat::number(0);
        let environment = [
            ("DATABASE_URL", servers.postgres.create(&name).await?),
            ("REDIS_URL", servers.redis.url()),
            ("QUEUE_PREFIX", name.clone()),
            ("APP_SECRET", APP_SECRET.to_owned()),
            ("VERIFY_TOKEN", VERIFY_TOKEN.to_owned()),
            ("RETELL_URL", simulator.retell_url()),
            ("RETELL_API_KEY", simulator.settings().retell.api_key),
            ("INSTAGRAM_GRAPH_URL", simulator.instagram_url()),
            ("CONCURRENCY", concurrency.to_string()),
            ("NODE_ENV", "production".to_owned()),
        ];
        let start = |role: &str, addr: SocketAddr| {
            let mut command = Command::new("node");
            command.arg("index.js").current_dir(FOLDER).envs(environment.clone());
            command.env("ACCOUNT_ID", &seat.account).env("ACCESS_TOKEN", &seat.token);
            command.env("AGENT_ID", &seat.agent).env("ROLE", role).env("PORT", addr.port().to_string());
            Process::start(&format!("{name}-{role}"), &mut command, servers.folder())
        };
        let mut api = start("api", api_addr)?;
        let mut worker = start("worker", worker_addr)?;
        api.wait_until(async || ready(api_addr).await).await?;
        worker.wait_until(async || ready(worker_addr).await).await?;
        welcome(simulator, api_addr, [seat.account().subscribed()]);
        Ok(Self { name, api, worker, around: around(servers) })
    }

    /// The name of its database.
    pub(crate) fn database(&self) -> &str {
        &self.name
    }

    /// Its processes, and those it stands on.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let own = [Watched::one("peer api", self.api.id()), Watched::one("peer worker", self.worker.id())];
        [own.as_slice(), &self.around].concat()
    }

    /// Ends it. Gives what its processes had to complain about.
    pub(crate) fn end(self) -> Vec<String> {
        [&self.api, &self.worker].into_iter().filter_map(Process::complaints).collect()
    }
}
