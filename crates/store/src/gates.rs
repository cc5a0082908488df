//! Gates: whether a service may be called now. A gate closes because it was told to (throttled, restricted)
//! or because calls keep failing; then one probe at a time finds out whether it is back.

use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{AgentId, InstagramAccountId};
use dmrelay_domain::states::LoginKind;
use sea_orm::FromQueryResult;
use std::fmt;
use std::time::Duration;

/// What a gate stands before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GateKey {
    /// One of Graph's hosts, for our whole app.
    GraphApp(LoginKind),
    /// Graph, for one Instagram account.
    GraphAccount(InstagramAccountId),
    /// The agent's provider.
    Agent,
    /// The provider, for one agent.
    AgentOf(AgentId),
}

impl fmt::Display for GateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GraphApp(kind) => write!(f, "graph:app:{kind}"),
            Self::GraphAccount(account) => write!(f, "graph:account:{account}"),
            Self::Agent => f.write_str("agent"),
            Self::AgentOf(agent) => write!(f, "agent:{agent}"),
        }
    }
}

impl GateKey {
    /// The key as it stands in a statement: words and digits only, so nothing needs to be escaped.
    pub(crate) fn as_sql(&self) -> String {
        self.to_string()
    }
}

/// A gate that has failed, or is closed.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct GateState {
    /// What it stands before, as [`GateKey`] shows itself.
    pub key: String,
    /// Closed until then.
    pub closed_until: Millis,
    /// Failures in a row.
    pub failures: i32,
    /// When a call behind it last succeeded, to within some seconds; 0 if never.
    pub last_success_at: Millis,
}

impl GateState {
    /// Whether it is the state of this gate, which failures have closed.
    pub fn is_tripped_of(&self, key: &GateKey) -> bool {
        i64::from(self.failures) >= FAILURES && self.key == key.to_string()
    }
}

/// How many accounts, or agents, must fail until the whole service counts as failing.
const SHARED: i64 = 3;

/// Whether a gate lets a call through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Open,
    /// Not before then.
    Closed(Millis),
}

/// How many failures in a row close a gate.
pub(crate) const FAILURES: i64 = 5;

/// How long a gate closes for repeated failures at first, and at most.
const FIRST: i64 = 30_000;
const LONGEST: i64 = 300_000;

/// How long a probe may take before the next one is let through.
const PROBE: i64 = 30_000;

#[derive(FromQueryResult)]
struct Row {
    key: String,
    closed_until: i64,
    failures: i32,
    now: i64,
}

#[derive(FromQueryResult)]
struct Closed {
    closed_until: i64,
}

impl Store {
    /// The gates that have failed or were closed; those that never have are not there.
    pub async fn gate_states(&self) -> Result<Vec<GateState>> {
        self.read("SELECT key, closed_until, failures, last_success_at FROM gates", Vec::new()).await
    }

    /// Closes the gate of a whole service once several of its accounts or agents fail, `own` among them. Gives whether
    /// this closed it.
    pub async fn trip_shared(&self, own: &GateKey, shared: &GateKey, reason: &str) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct Tripped {
            n: i64,
        }
        let kind = match own {
            GateKey::AgentOf(_) => "agent:%",
            GateKey::GraphAccount(_) => "graph:account:%",
            GateKey::Agent | GateKey::GraphApp(_) => return Ok(false),
        };
        let sql =
            "SELECT COUNT(*) AS n FROM gates WHERE key LIKE $1 AND failures >= $2 AND closed_until > {now}";
        let rows: Vec<Tripped> = self.write(sql, vec![kind.into(), FAILURES.into()]).await?;
        if rows.first().is_none_or(|row| row.n < SHARED) {
            return Ok(false);
        }
        // Like one that has failed by itself: a probe finds out whether the service is back.
        let sql = "INSERT INTO gates (key, closed_until, reason, failures, probe_until, last_success_at, updated_at) \
             VALUES ($1, {now} + $3, $2, $4, 0, 0, {now}) \
             ON CONFLICT (key) DO UPDATE SET reason = $2, failures = $4, probe_until = 0, updated_at = {now}, \
                closed_until = {now} + $3 WHERE gates.closed_until <= {now}";
        let values = vec![shared.as_sql().into(), reason.into(), FIRST.into(), FAILURES.into()];
        Ok(self.execute(sql, values).await? == 1)
    }

    /// Whether all these gates are open. Where one has failed and its time is over, the caller becomes its
    /// probe: it must report with [`Store::gate_passed`] or [`Store::gate_failed`].
    pub async fn pass(&self, gates: &[GateKey]) -> Result<Gate> {
        let keys: Vec<String> = gates.iter().map(|gate| format!("'{}'", gate.as_sql())).collect();
        let sql = format!(
            "SELECT key, closed_until, failures, {{now}} AS now FROM gates WHERE key IN ({})",
            keys.join(", ")
        );
        // No row exists before the first failure, so this is the only statement of a healthy day.
        for row in self.read::<Row>(&sql, Vec::new()).await? {
            if row.closed_until > row.now {
                return Ok(Gate::Closed(row.closed_until));
            }
            if i64::from(row.failures) >= FAILURES && !self.probe(&row.key).await? {
                return Ok(Gate::Closed(row.now + 1_000));
            }
        }
        Ok(Gate::Open)
    }

    /// The probe that this caller became is not made: another caller may be it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_probe(&self, gate: &GateKey) -> Result<()> {
        let sql = "UPDATE gates SET probe_until = 0 WHERE key = $1 AND probe_until > {now}";
        self.execute(sql, vec![gate.as_sql().into()]).await?;
        Ok(())
    }

    async fn probe(&self, key: &str) -> Result<bool> {
        let sql = "UPDATE gates SET probe_until = {now} + $2 WHERE key = $1 AND probe_until <= {now}";
        Ok(self.execute(sql, vec![key.into(), PROBE.into()]).await? == 1)
    }

    /// A call behind these gates succeeded: failures in a row begin anew, and a gate that failures closed is
    /// open. One that was told to close stays so: the call may have begun before.
    pub async fn gate_passed(&self, gates: &[GateKey]) -> Result<()> {
        let keys: Vec<String> = gates.iter().map(|gate| format!("'{}'", gate.as_sql())).collect();
        let sql = format!(
            "UPDATE gates SET failures = 0, probe_until = 0, \
                closed_until = CASE WHEN failures >= {FAILURES} THEN 0 ELSE closed_until END, \
                last_success_at = {{now}}, updated_at = {{now}} \
             WHERE key IN ({}) AND (failures > 0 OR last_success_at < {{now}} - 10000)",
            keys.join(", ")
        );
        self.execute(&sql, Vec::new()).await?;
        Ok(())
    }

    /// A call failed in a way that may be the service's state. After five in a row the gate closes, 30 s at
    /// first and up to five minutes. Gives until when it is closed, if it is.
    pub async fn gate_failed(&self, gate: &GateKey, reason: &str) -> Result<Option<Millis>> {
        // Doubling with each failure past the fifth: 30 s, 60 s, 120 s, 240 s, 300 s.
        let sql = "INSERT INTO gates (key, closed_until, reason, failures, probe_until, last_success_at, updated_at) \
             VALUES ($1, 0, $2, 1, 0, 0, {now}) \
             ON CONFLICT (key) DO UPDATE SET failures = CASE WHEN gates.failures < 1000 THEN gates.failures + 1 ELSE 1000 END, \
                reason = $2, probe_until = 0, updated_at = {now}, \
                closed_until = CASE \
                    WHEN gates.failures + 1 < $3 OR gates.closed_until > {now} THEN gates.closed_until \
                    WHEN gates.failures + 1 = $3 THEN {now} + $4 \
                    WHEN gates.failures + 1 = $3 + 1 THEN {now} + $4 * 2 \
                    WHEN gates.failures + 1 = $3 + 2 THEN {now} + $4 * 4 \
                    WHEN gates.failures + 1 = $3 + 3 THEN {now} + $4 * 8 \
                    ELSE {now} + $5 END \
             RETURNING CASE WHEN closed_until > {now} THEN closed_until ELSE 0 END AS closed_until";
        let values = vec![gate.as_sql().into(), reason.into(), FAILURES.into(), FIRST.into(), LONGEST.into()];
        let rows: Vec<Closed> = self.write(sql, values).await?;
        Ok(rows.first().map(|row| row.closed_until).filter(|until| *until > 0))
    }

    /// Closes a gate for `pause`, unless it is closed for longer already.
    pub async fn close_gate(&self, gate: &GateKey, pause: Duration, reason: &str) -> Result<()> {
        let sql = "INSERT INTO gates (key, closed_until, reason, failures, probe_until, last_success_at, updated_at) \
             VALUES ($1, {now} + $3, $2, 0, 0, 0, {now}) \
             ON CONFLICT (key) DO UPDATE SET reason = $2, failures = 0, probe_until = 0, updated_at = {now}, \
                closed_until = CASE WHEN gates.closed_until > {now} + $3 THEN gates.closed_until ELSE {now} + $3 END";
        self.execute(sql, vec![gate.as_sql().into(), reason.into(), millis(pause).into()]).await?;
        Ok(())
    }
}
