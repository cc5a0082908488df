//! The shared state of the circuit breakers: whether a service may be called now. A breaker opens because the service said so
//! (throttled, restricted) or because calls keep failing; after that, one probe at a time tests whether it has recovered.
//! The table is called `gates`.

use crate::connections::DAY_MS;
use crate::query::{first, insert, returning};
use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, duration, millis};
use dmrelay_domain::conversation::Provider;
use dmrelay_domain::ids::{AgentId, InstagramAccountId, SubaccountId};
use dmrelay_domain::states::LoginKind;
use dmrelay_entity::breaker::{Column, Entity, Model};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, InsertStatement, LikeExpr, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QuerySelect,
};
use std::fmt;
use std::time::Duration;

/// The service a breaker protects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BreakerKey {
    /// One of Graph's hosts, for our whole app.
    GraphApp(LoginKind),
    /// Graph, for one Instagram account.
    GraphAccount(InstagramAccountId),
    /// The agent's provider, with the operator's key.
    Agent,
    /// The agent's provider, with the key of a subaccount.
    AgentKey(SubaccountId),
    /// The same, for one agent.
    AgentKeyOf(SubaccountId, AgentId),
    /// The provider, for one agent.
    AgentOf(AgentId),
}

impl BreakerKey {
    /// The agent's provider, as it is called with this key: for one agent, and as a whole.
    pub fn of_agent(provider: &Provider, agent: &AgentId) -> [Self; 2] {
        match provider {
            Provider::Shared => [Self::AgentOf(agent.clone()), Self::Agent],
            Provider::Own(own) => [Self::AgentKeyOf(own.clone(), agent.clone()), Self::AgentKey(own.clone())],
        }
    }
}

impl BreakerKey {
    /// The account, of a breaker of one.
    pub(crate) fn account(&self) -> Option<&str> {
        if let Self::GraphAccount(account) = self { Some(account.as_str()) } else { None }
    }

    /// The agent, of a breaker of one that is asked with the operator's key.
    pub(crate) fn shared_agent(&self) -> Option<&str> {
        if let Self::AgentOf(agent) = self { Some(agent.as_str()) } else { None }
    }

    /// Parses a key as it displays itself.
    ///
    /// # Errors
    /// Which forms there are.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let agent = |id: &str| AgentId::parse(id).map_err(|err| err.to_string());
        let subaccount = |id: &str| SubaccountId::parse(id).map_err(|err| err.to_string());
        let parsed = match text.split(':').collect::<Vec<_>>()[..] {
            ["agent"] => Some(Self::Agent),
            ["agent", id] => Some(Self::AgentOf(agent(id)?)),
            ["provider", id] => Some(Self::AgentKey(subaccount(id)?)),
            ["provider", of, id] => Some(Self::AgentKeyOf(subaccount(of)?, agent(id)?)),
            ["graph", "account", id] => {
                Some(Self::GraphAccount(InstagramAccountId::parse(id).map_err(|err| err.to_string())?))
            }
            ["graph", "app", kind] => LoginKind::parse(kind).map(Self::GraphApp),
            _ => None,
        };
        parsed.ok_or_else(|| {
            format!(
                "{text:?} is not a circuit breaker; use one of: agent, agent:AGENT, provider:SUBACCOUNT, \
                 provider:SUBACCOUNT:AGENT, graph:account:ACCOUNT, graph:app:instagram, graph:app:facebook"
            )
        })
    }
}

impl fmt::Display for BreakerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GraphApp(kind) => write!(f, "graph:app:{kind}"),
            Self::GraphAccount(account) => write!(f, "graph:account:{account}"),
            Self::Agent => f.write_str("agent"),
            Self::AgentKey(subaccount) => write!(f, "provider:{subaccount}"),
            Self::AgentKeyOf(subaccount, agent) => write!(f, "provider:{subaccount}:{agent}"),
            Self::AgentOf(agent) => write!(f, "agent:{agent}"),
        }
    }
}

/// A breaker with failures, or one that is open.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct BreakerState {
    /// The [`BreakerKey`], as it displays itself.
    pub key: String,
    /// Open until then: no call is made before.
    pub closed_until: Millis,
    /// Failures in a row.
    pub failures: i32,
    /// When a call behind it last succeeded, to within some seconds; 0 if never.
    pub last_success_at: Millis,
}

impl BreakerState {
    /// Whether this is the state of `key`, and failures have tripped it.
    pub fn is_tripped_of(&self, key: &BreakerKey) -> bool {
        i64::from(self.failures) >= FAILURES && self.key == key.to_string()
    }
}

/// How many accounts, or agents, must fail until the whole service counts as failing.
const SHARED_MIN: u64 = 3;

/// Whether a call is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It is.
    Now,
    /// Not before then.
    NotBefore(Millis),
}

/// Failures in a row that trip a breaker.
pub(crate) const FAILURES: i64 = 5;

/// How long a tripped breaker stays open at first, and at most, in milliseconds.
const OPEN_FIRST: i64 = 30_000;
const OPEN_MAX: i64 = 300_000;

/// Why a breaker is open whose service refuses the key or the plan.
pub const REFUSED: &str = "refused";

/// How long a probe may take before the next one is admitted, in milliseconds.
const PROBE_TIMEOUT: i64 = 30_000;

#[derive(FromQueryResult)]
struct Row {
    key: String,
    closed_until: i64,
    failures: i32,
    now: i64,
}

/// The breaker is open at this time.
pub(crate) fn is_open(now: Expr) -> Expr {
    Column::ClosedUntil.into_expr().gt(now)
}

/// The breaker is open, or was until lately: failures have tripped it, and no probe has succeeded. One that nothing probes any
/// more, because nobody uses its account or agent, is forgotten by this.
pub(crate) fn is_open_or_probed(now: impl Fn() -> Expr) -> Expr {
    let lately = Column::ClosedUntil.into_expr().gt(now().sub(OPEN_MAX));
    is_open(now()).or(Column::Failures.gte(FAILURES).and(lately))
}

/// The breaker is one of these.
fn is_of(keys: &[BreakerKey]) -> Expr {
    Column::Key.is_in(keys.iter().map(ToString::to_string))
}

/// Writes a breaker that has no row yet; `known` says what becomes of one that has.
fn write(key: &BreakerKey, now: Expr, failed: Failed<'_>, known: &OnConflict) -> InsertStatement {
    insert::<Entity>([
        (Column::Key, key.to_string().into()),
        (Column::ClosedUntil, failed.closed_until),
        (Column::Reason, failed.reason.into()),
        (Column::Failures, failed.failures.into()),
        (Column::ProbeUntil, 0_i64.into()),
        (Column::LastSuccessAt, 0_i64.into()),
        (Column::ResetAt, 0_i64.into()),
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

/// What is written of a breaker that has no row yet.
struct Failed<'a> {
    closed_until: Expr,
    failures: i64,
    reason: &'a str,
}

impl Store {
    /// The breakers with a row: those that have failed or were opened at some time.
    pub async fn breaker_states(&self) -> Result<Vec<BreakerState>> {
        Ok(Entity::find().into_model().all(&self.reader()).await?)
    }

    /// Opens the breaker of a whole service once several of its accounts or agents have tripped, `own` among them, by a call that
    /// began so long ago. Gives whether this opened it.
    pub async fn trip_shared(
        &self,
        own: &BreakerKey,
        shared: &BreakerKey,
        reason: &str,
        ago: Duration,
    ) -> Result<bool> {
        let kind = match own {
            BreakerKey::AgentOf(_) => "agent:%".to_owned(),
            BreakerKey::AgentKeyOf(subaccount, _) => {
                // What stands for one character in a pattern stands in names too.
                format!("provider:{}:%", subaccount.as_str().replace('_', "\\_"))
            }
            BreakerKey::GraphAccount(_) => "graph:account:%".to_owned(),
            BreakerKey::Agent | BreakerKey::AgentKey(_) | BreakerKey::GraphApp(_) => return Ok(false),
        };
        let tripped = Entity::find()
            .filter(Column::Key.like(LikeExpr::new(kind).escape('\\')))
            .filter(Column::Failures.gte(FAILURES))
            .filter(is_open(self.clock()));
        if tripped.count(&self.writer()).await? < SHARED_MIN {
            return Ok(false);
        }
        // As if it had failed by itself: a probe tests whether the service has recovered.
        let closed_until = self.clock().add(OPEN_FIRST);
        let known = OnConflict::column(Column::Key)
            .value(Column::Failures, FAILURES)
            .value(Column::ClosedUntil, closed_until.clone())
            .action_and_where(is_open(self.clock()).not())
            .action_and_where(self.is_news(ago))
            .to_owned();
        let trip = write(shared, self.clock(), Failed { closed_until, failures: FAILURES, reason }, &known);
        Ok(self.writer().execute(&trip).await?.rows_affected() == 1)
    }

    /// Whether a call behind these breakers is admitted. Where one has tripped and its time is over, the caller becomes its
    /// probe: it must report with [`Store::record_success`] or [`Store::record_failure`].
    pub async fn admit(&self, keys: &[BreakerKey]) -> Result<Admit> {
        let known = Entity::find()
            .select_only()
            .columns([Column::Key, Column::ClosedUntil, Column::Failures])
            .expr_as(self.clock(), "now")
            .filter(is_of(keys))
            .into_model::<Row>();
        // No row exists before the first failure, so this is the only statement of a healthy day.
        for row in known.all(&self.reader()).await? {
            if row.closed_until > row.now {
                return Ok(Admit::NotBefore(row.closed_until));
            }
            if i64::from(row.failures) >= FAILURES && !self.probe(&row.key).await? {
                return Ok(Admit::NotBefore(row.now + 1_000));
            }
        }
        Ok(Admit::Now)
    }

    /// The probe this caller was admitted for is not made: another caller may make it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_probe(&self, key: &BreakerKey) -> Result<()> {
        let release = Entity::update_many()
            .col_expr(Column::ProbeUntil, 0_i64.into())
            .filter(Column::Key.eq(key.to_string()))
            .filter(Column::ProbeUntil.into_expr().gt(self.clock()));
        release.exec(&self.writer()).await?;
        Ok(())
    }

    async fn probe(&self, key: &str) -> Result<bool> {
        let probe = Entity::update_many()
            .col_expr(Column::ProbeUntil, self.clock().add(PROBE_TIMEOUT))
            .filter(Column::Key.eq(key))
            .filter(Column::ProbeUntil.into_expr().lte(self.clock()));
        Ok(probe.exec(&self.writer()).await?.rows_affected == 1)
    }

    /// A call behind these breakers succeeded: failures are counted anew, and a breaker that failures have tripped closes. One
    /// that the service asked for stays open: the call may have begun before.
    pub async fn record_success(&self, keys: &[BreakerKey]) -> Result<()> {
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
            .filter(is_of(keys))
            .filter(Column::Failures.gt(0).or(passed_long_ago));
        pass.exec(&self.writer()).await?;
        Ok(())
    }

    /// A call failed in a way that may be the service's state. After five in a row the breaker opens, for 30 s at first and up to
    /// five minutes. Gives how long it is open, if it is. `ago` is how long ago the call began: one that began before the last
    /// success, or before an operator closed the breaker, tells nothing new.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_failure(
        &self,
        key: &BreakerKey,
        reason: &str,
        ago: Duration,
    ) -> Result<Option<Duration>> {
        let failures = || Column::Failures.into_expr();
        let counted = CaseStatement::new().case(failures().lt(1_000), failures().add(1)).finally(1_000);
        let stays = failures().add(1).lt(FAILURES).or(is_open(self.clock()));
        // Doubling with each failure past the fifth: 30 s, 60 s, 120 s, 240 s, 300 s.
        let closed_until =
            (0..4).fold(CaseStatement::new().case(stays, Column::ClosedUntil.into_expr()), |case, more| {
                case.case(failures().add(1).eq(FAILURES + more), self.clock().add(OPEN_FIRST << more))
            });
        let known = OnConflict::column(Column::Key)
            .value(Column::Failures, counted)
            .value(Column::ClosedUntil, closed_until.finally(self.clock().add(OPEN_MAX)))
            .action_and_where(self.is_news(ago))
            .to_owned();
        let once = Failed { closed_until: 0_i64.into(), failures: 1, reason };
        let fail = write(key, self.clock(), once, &known).returning(returning::<Entity>()).take();
        let row: Option<Model> = first(&self.writer(), &fail).await?;
        Ok(row
            .filter(|row| row.closed_until > row.updated_at)
            .map(|row| duration(row.closed_until - row.updated_at)))
    }

    /// A call that began so long ago began after the breaker's last success, and after an operator last closed it.
    fn is_news(&self, ago: Duration) -> Expr {
        let before = |column: Column| Expr::col((Entity, column)).lte(self.clock().sub(millis(ago)));
        before(Column::LastSuccessAt).and(before(Column::ResetAt))
    }

    /// Forgets breakers that have been closed for a day, and of which nothing has been heard since.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_breakers(&self) -> Result<u64> {
        let old = |column: Column| column.into_expr().lt(self.clock().sub(DAY_MS));
        let gone = old(Column::UpdatedAt).and(old(Column::ClosedUntil));
        Ok(Entity::delete_many().filter(gone).exec(&self.writer()).await?.rows_affected)
    }

    /// An operator closes a breaker: calls are admitted again, and what still fails counts anew. Gives whether it was open.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reset_breaker(&self, key: &BreakerKey) -> Result<bool> {
        let reset = Entity::update_many()
            .col_expr(Column::Failures, 0.into())
            .col_expr(Column::ClosedUntil, 0_i64.into())
            .col_expr(Column::ProbeUntil, 0_i64.into())
            .col_expr(Column::ResetAt, self.clock())
            .col_expr(Column::UpdatedAt, self.clock())
            .filter(Column::Key.eq(key.to_string()))
            .filter(is_open(self.clock()).or(Column::Failures.gt(0)));
        Ok(reset.exec(&self.writer()).await?.rows_affected == 1)
    }

    /// Opens a breaker for `pause`, unless it is open for longer already.
    pub async fn open_breaker(&self, key: &BreakerKey, pause: Duration, reason: &str) -> Result<()> {
        let closed_until = self.clock().add(millis(pause));
        let is_longer = Column::ClosedUntil.into_expr().gt(closed_until.clone());
        let longer = CaseStatement::new()
            .case(is_longer, Column::ClosedUntil.into_expr())
            .finally(closed_until.clone());
        let known = OnConflict::column(Column::Key)
            .value(Column::Failures, 0)
            .value(Column::ClosedUntil, longer)
            .to_owned();
        let close = write(key, self.clock(), Failed { closed_until, failures: 0, reason }, &known);
        self.writer().execute(&close).await?;
        Ok(())
    }
}
