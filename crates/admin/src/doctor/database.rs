//! Checks whether the database is reachable and durable, has the right schema and enough connections, and
//! whether the keys of its encrypted values are present.

use super::report::{Report, Verdict};
use dmrelay_domain::clock::{Clock, Millis, SystemClock};
use dmrelay_runtime::settings::DatabaseSettings;
use dmrelay_store::{NO_KEY, Postgres, Server, Store};
use dmrelay_vault::Vault;
use std::fmt::Display;
use std::time::Duration;

const CHECK: &str = "database";

/// Timeout of a query, whatever the settings say.
const QUERY_TIMEOUT: Duration = Duration::from_secs(15);

/// The oldest supported version of PostgreSQL.
const VERSION_MIN: i32 = 14;

/// Clock difference between this machine and the database that is reported, and above which tokens would be
/// rejected.
const SKEW: Millis = 2_000;
const SKEW_MAX: Millis = 30_000;

/// Runs the checks; returns the database if it is usable.
pub(super) async fn check(
    settings: &DatabaseSettings,
    vault: Option<&Vault>,
    report: &mut Report,
) -> Option<Store> {
    let store = match in_time(Box::pin(dmrelay_app::open_store(settings))).await {
        Ok(store) => store.patient(),
        Err(err) => {
            report.fail(CHECK, err);
            return None;
        }
    };
    match in_time(store.server()).await {
        Ok(Server::Postgres(server)) => postgres(&server, settings.database_max_connections, report),
        Ok(Server::Sqlite(version)) => {
            report.warn(CHECK, format!("SQLite {version}, which is for one machine: go live on PostgreSQL"));
        }
        Err(err) => {
            report.fail(CHECK, format!("DATABASE_URL: {err}"));
            return None;
        }
    }
    clock(&store, report).await;
    schema(&store, report).await.then_some(())?;
    if let Some(vault) = vault {
        keys(&store, vault, report).await;
    }
    Some(store)
}

pub(super) async fn in_time<T, E: Display>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(QUERY_TIMEOUT, work).await {
        Ok(outcome) => outcome.map_err(|err| format!("{err:#}")),
        Err(_) => Err(format!("no answer in {QUERY_TIMEOUT:?}")),
    }
}

fn postgres(server: &Postgres, wanted: u32, report: &mut Report) {
    let (version, number) = (&server.version, server.version_number / 10_000);
    if server.is_standby {
        report.fail(CHECK, "a standby, which accepts no writes: DATABASE_URL must point to the primary");
    } else if number < VERSION_MIN {
        report.warn(CHECK, format!("PostgreSQL {version} is older than {VERSION_MIN}"));
    } else {
        report.ok(CHECK, format!("PostgreSQL {version}"));
    }
    let (verdict, what) = durability(server);
    report.note(verdict, "durability", &what);
    let (verdict, what) = connections(server, wanted);
    report.note(verdict, "connections", &what);
}

/// Whether acknowledged data survives a crash.
fn durability(server: &Postgres) -> (Verdict, String) {
    let Postgres { fsync, synchronous_commit, full_page_writes, .. } = server;
    if fsync == "off" {
        let what = "fsync is off: a crash of the machine loses acknowledged messages; set fsync = on";
        (Verdict::Fail, what.to_owned())
    } else if synchronous_commit == "off" {
        let what = "synchronous_commit is off on our connections: a crash loses acknowledged messages; something \
            between us and PostgreSQL drops our connection's options";
        (Verdict::Fail, what.to_owned())
    } else if full_page_writes == "off" {
        let what = "full_page_writes is off: safe only where the file system never writes half a page";
        (Verdict::Warn, what.to_owned())
    } else {
        (Verdict::Ok, format!("fsync {fsync}, synchronous_commit {synchronous_commit}, full_page_writes on"))
    }
}

/// Whether there are enough connections for an API and a worker.
fn connections(server: &Postgres, wanted: u32) -> (Verdict, String) {
    let room = i64::from(server.max_connections) - i64::from(server.reserved);
    let wanted = i64::from(wanted);
    let setting = format!("DATABASE_MAX_CONNECTIONS {wanted} of PostgreSQL's {room}");
    if wanted > room {
        (Verdict::Fail, format!("{setting}: exceeds the available connections; lower it"))
    } else if 2 * wanted > room {
        (
            Verdict::Warn,
            format!("{setting}: too few connections for an API and a worker together; raise max_connections"),
        )
    } else {
        let most = room / wanted.max(1);
        (Verdict::Ok, format!("{setting}, {} in use: room for {most} processes", server.in_use))
    }
}

async fn clock(store: &Store, report: &mut Report) {
    let before = SystemClock.now();
    match in_time(store.now()).await {
        Ok(theirs) => {
            let ours = i64::midpoint(before, SystemClock.now());
            let (verdict, what) = skew(theirs - ours);
            report.note(verdict, "clock", &what);
        }
        Err(err) => report.fail("clock", format!("cannot read the database's clock: {err}")),
    }
}

/// How far the database's clock is ahead of ours.
fn skew(ahead: Millis) -> (Verdict, String) {
    let what = format!("the database's is {} ms {}", ahead.abs(), if ahead < 0 { "behind" } else { "ahead" });
    match ahead.abs() {
        0..=SKEW => (Verdict::Ok, what),
        distance if distance <= SKEW_MAX => (Verdict::Warn, format!("{what}: set both by NTP")),
        _ => (Verdict::Fail, format!("{what}: tokens and expiries are evaluated wrongly; set both by NTP")),
    }
}

/// Whether the schema is at this program's version or newer.
async fn schema(store: &Store, report: &mut Report) -> bool {
    match in_time(dmrelay_migration::pending(store.connection())).await {
        Ok(pending) => match pending.first() {
            None => {
                report.ok("schema", "up to date");
                return true;
            }
            Some(first) => {
                let count = pending.len();
                report.fail(
                    "schema",
                    format!("{count} migrations pending, from {first} on; run: dmrelay-api migrate"),
                );
            }
        },
        Err(err) => report.fail("schema", err),
    }
    false
}

/// Whether encrypted values can be decrypted.
async fn keys(store: &Store, vault: &Vault, report: &mut Report) {
    const CHECK: &str = "encrypted values";
    let counts = match in_time(store.sealed_counts()).await {
        Ok(counts) => counts,
        Err(err) => return report.fail(CHECK, err),
    };
    let (keys, current) = (vault.key_ids(), vault.current_key());
    let known = |id: &str| keys.iter().any(|key| key == id);
    let older: Vec<String> = counts
        .iter()
        .filter(|(id, _)| *id != current && known(id))
        .map(|(id, n)| format!("{n} values with {id}"))
        .collect();
    let missing: Vec<String> = counts
        .iter()
        .filter(|(id, _)| !known(id) && id != NO_KEY)
        .map(|(id, n)| format!("{n} values are {}", vault.about_missing(id)))
        .collect();
    let odd = counts.iter().find(|(id, _)| id == NO_KEY).map_or(0, |(_, n)| *n);
    if !missing.is_empty() {
        report.fail(CHECK, missing.join("; "));
    } else if odd > 0 {
        report.fail(CHECK, format!("{odd} are not encrypted values; admin reseal --dry-run lists them"));
    } else if counts.is_empty() {
        report.ok(CHECK, "there are none");
    } else if older.is_empty() {
        report.ok(CHECK, format!("all by {current}"));
    } else {
        report.ok(CHECK, format!("{} still; admin reseal re-encrypts them with {current}", older.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Postgres {
        Postgres {
            version: "17.5".to_owned(),
            version_number: 170_005,
            fsync: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            is_standby: false,
            max_connections: 100,
            reserved: 3,
            in_use: 5,
        }
    }

    #[test]
    fn a_database_that_loses_commits_is_reported() {
        let off = || "off".to_owned();
        assert_eq!(durability(&server()).0, Verdict::Ok);
        assert_eq!(durability(&Postgres { fsync: off(), ..server() }).0, Verdict::Fail);
        assert_eq!(durability(&Postgres { synchronous_commit: off(), ..server() }).0, Verdict::Fail);
        assert_eq!(durability(&Postgres { full_page_writes: off(), ..server() }).0, Verdict::Warn);
    }

    #[test]
    fn two_processes_must_have_enough_connections() {
        for (wanted, verdict) in
            [(20, Verdict::Ok), (48, Verdict::Ok), (49, Verdict::Warn), (98, Verdict::Fail)]
        {
            assert_eq!(connections(&server(), wanted).0, verdict, "{wanted}");
        }
    }

    #[test]
    fn small_clock_differences_are_tolerated() {
        for (ahead, verdict) in [
            (0, Verdict::Ok),
            (-2_000, Verdict::Ok),
            (2_001, Verdict::Warn),
            (-30_000, Verdict::Warn),
            (30_001, Verdict::Fail),
        ] {
            assert_eq!(skew(ahead).0, verdict, "{ahead}");
        }
        assert!(skew(-5_000).1.contains("5000 ms behind"));
    }
}
