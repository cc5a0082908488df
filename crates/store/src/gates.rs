//! Gates: whether a service may be called now. A gate closes because it was told to (throttled, restricted)
//! or because calls keep failing; then one probe at a time finds out whether it is back.

use crate::query::{first, insert, returning};
use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{AgentId, InstagramAccountId};
use dmrelay_domain::states::LoginKind;
use dmrelay_entity::gate::{Column, Entity, Model};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, InsertStatement, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QuerySelect,
};
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
const SHARED: u64 = 3;

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

/// The gate is closed at this time.
pub(crate) fn is_closed(now: Expr) -> Expr {
    Column::ClosedUntil.into_expr().gt(now)
}

/// The gate is one of these.
fn is_of(gates: &[GateKey]) -> Expr {
    Column::Key.is_in(gates.iter().map(ToString::to_string))
}

/// Writes a gate that has not failed before; `known` says what becomes of one that has.
fn write(gate: &GateKey, now: Expr, failed: Failed<'_>, known: &OnConflict) -> InsertStatement {
    insert::<Entity>([
        (Column::Key, gate.to_string().into()),
        (Column::ClosedUntil, failed.closed_until),
        (Column::Reason, failed.reason.into()),
        (Column::Failures, failed.failures.into()),
        (Column::ProbeUntil, 0_i64.into()),
        (Column::LastSuccessAt, 0_i64.into()),
        (Column::UpdatedAt, now.clone()),
    ])
    .on_conflict(
        known
            .clone()
            .value(Column::Reason, failed.reason)
            .value(Column::ProbeUntil, 0_i64)
            .value(Column::UpdatedAt, now)
            .to_owned(),
    )
    .take()
}

/// What is written of a gate that has not failed before.
struct Failed<'a> {
    closed_until: Expr,
    failures: i64,
    reason: &'a str,
}

impl Store {
    /// The gates that have failed or were closed; those that never have are not there.
    pub async fn gate_states(&self) -> Result<Vec<GateState>> {
        Ok(Entity::find().into_model().all(&self.reader()).await?)
    }

    /// Closes the gate of a whole service once several of its accounts or agents fail, `own` among them. Gives whether
    /// this closed it.
    pub async fn trip_shared(&self, own: &GateKey, shared: &GateKey, reason: &str) -> Result<bool> {
        let kind = match own {
            GateKey::AgentOf(_) => "agent:%",
            GateKey::GraphAccount(_) => "graph:account:%",
            GateKey::Agent | GateKey::GraphApp(_) => return Ok(false),
        };
        let tripped = Entity::find()
            .filter(Column::Key.like(kind))
            .filter(Column::Failures.gte(FAILURES))
            .filter(is_closed(self.clock()));
        if tripped.count(&self.writer()).await? < SHARED {
            return Ok(false);
        }
        // Like one that has failed by itself: a probe finds out whether the service is back.
        let closed_until = self.clock().add(FIRST);
        let known = OnConflict::column(Column::Key)
            .value(Column::Failures, FAILURES)
            .value(Column::ClosedUntil, closed_until.clone())
            .action_and_where(is_closed(self.clock()).not())
            .to_owned();
        let trip = write(shared, self.clock(), Failed { closed_until, failures: FAILURES, reason }, &known);
        Ok(self.writer().execute(&trip).await?.rows_affected() == 1)
    }

    /// Whether all these gates are open. Where one has failed and its time is over, the caller becomes its
    /// probe: it must report with [`Store::gate_passed`] or [`Store::gate_failed`].
    pub async fn pass(&self, gates: &[GateKey]) -> Result<Gate> {
        let known = Entity::find()
            .select_only()
            .columns([Column::Key, Column::ClosedUntil, Column::Failures])
            .expr_as(self.clock(), "now")
            .filter(is_of(gates))
            .into_model::<Row>();
        // No row exists before the first failure, so this is the only statement of a healthy day.
        for row in known.all(&self.reader()).await? {
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
        let release = Entity::update_many()
            .col_expr(Column::ProbeUntil, 0_i64.into())
            .filter(Column::Key.eq(gate.to_string()))
            .filter(Column::ProbeUntil.into_expr().gt(self.clock()));
        release.exec(&self.writer()).await?;
        Ok(())
    }

    async fn probe(&self, key: &str) -> Result<bool> {
        let probe = Entity::update_many()
            .col_expr(Column::ProbeUntil, self.clock().add(PROBE))
            .filter(Column::Key.eq(key))
            .filter(Column::ProbeUntil.into_expr().lte(self.clock()));
        Ok(probe.exec(&self.writer()).await?.rows_affected == 1)
    }

    /// A call behind these gates succeeded: failures in a row begin anew, and a gate that failures closed is
    /// open. One that was told to close stays so: the call may have begun before.
    pub async fn gate_passed(&self, gates: &[GateKey]) -> Result<()> {
        let closed_until = CaseStatement::new()
            .case(Column::Failures.gte(FAILURES), 0_i64)
            .finally(Column::ClosedUntil.into_expr());
        let passed_long_ago = Column::LastSuccessAt.into_expr().lt(self.clock().sub(10_000_i64));
        let pass = Entity::update_many()
            .col_expr(Column::Failures, 0.into())
            .col_expr(Column::ProbeUntil, 0_i64.into())
            .col_expr(Column::ClosedUntil, closed_until.into())
            .col_expr(Column::LastSuccessAt, self.clock())
            .col_expr(Column::UpdatedAt, self.clock())
            .filter(is_of(gates))
            .filter(Column::Failures.gt(0).or(passed_long_ago));
        pass.exec(&self.writer()).await?;
        Ok(())
    }

    /// A call failed in a way that may be the service's state. After five in a row the gate closes, 30 s at
    /// first and up to five minutes. Gives until when it is closed, if it is.
    pub async fn gate_failed(&self, gate: &GateKey, reason: &str) -> Result<Option<Millis>> {
        let failures = || Column::Failures.into_expr();
        let counted = CaseStatement::new().case(failures().lt(1_000), failures().add(1)).finally(1_000);
        let stays = failures().add(1).lt(FAILURES).or(is_closed(self.clock()));
        // Doubling with each failure past the fifth: 30 s, 60 s, 120 s, 240 s, 300 s.
        let closed_until = (0..4)
            .fold(CaseStatement::new().case(stays, Column::ClosedUntil.into_expr()), |case, more| {
                case.case(failures().add(1).eq(FAILURES + more), self.clock().add(FIRST << more))
            });
        let known = OnConflict::column(Column::Key)
            .value(Column::Failures, counted)
            .value(Column::ClosedUntil, closed_until.finally(self.clock().add(LONGEST)))
            .to_owned();
        let once = Failed { closed_until: 0_i64.into(), failures: 1, reason };
        let fail = write(gate, self.clock(), once, &known).returning(returning::<Entity>()).take();
        let row: Option<Model> = first(&self.writer(), &fail).await?;
        Ok(row.filter(|row| row.closed_until > row.updated_at).map(|row| row.closed_until))
    }

    /// Closes a gate for `pause`, unless it is closed for longer already.
    pub async fn close_gate(&self, gate: &GateKey, pause: Duration, reason: &str) -> Result<()> {
        let closed_until = self.clock().add(millis(pause));
        let is_longer = Column::ClosedUntil.into_expr().gt(closed_until.clone());
        let longer = CaseStatement::new()
            .case(is_longer, Column::ClosedUntil.into_expr())
            .finally(closed_until.clone());
        let known = OnConflict::column(Column::Key)
            .value(Column::Failures, 0)
            .value(Column::ClosedUntil, longer)
            .to_owned();
        let close = write(gate, self.clock(), Failed { closed_until, failures: 0, reason }, &known);
        self.writer().execute(&close).await?;
        Ok(())
    }
}
