//! Calls that are paused: questions to agents, sends, or connecting; of one account, of a subaccount, or of all. Work waits
//! meanwhile, and is not lost. An operator of the installation pauses whomever; a subaccount its own, which nobody else's pause
//! ends.

use crate::query::{insert, literal};
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::conversation::Route;
use dmrelay_domain::ids::{InstagramAccountId, SubaccountId};
use dmrelay_entity::instagram_connection;
use dmrelay_entity::pause::{Column, Entity, Model};
use sea_orm::sea_query::{BinOper, Expr, ExprTrait, OnConflict, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::fmt;
use std::time::Duration;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The agent is asked.
    Ask,
    /// A message is sent.
    Send,
    /// An account is connected.
    Connect,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 3] = [Self::Ask, Self::Send, Self::Connect];

    /// Those of conversations.
    pub const OF_CHATS: [Self; 2] = [Self::Ask, Self::Send];

    /// Its word: `ask`, `send` or `connect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Send => "send",
            Self::Connect => "connect",
        }
    }

    /// Parses its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.as_str() == word)
    }
}

/// The scope of a pause, and who may end it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PauseScope {
    /// Everybody's calls.
    All,
    /// Those of a subaccount, by the operator of the installation.
    Subaccount(SubaccountId),
    /// Those of an Instagram account, by the same.
    Account(InstagramAccountId),
    /// Those of a subaccount, by itself.
    Own(SubaccountId),
    /// Those of an account of a subaccount, by the subaccount. Whoever else connects the account has nothing to do with it.
    OwnAccount(SubaccountId, InstagramAccountId),
}

impl PauseScope {
    /// Their words.
    pub const WORDS: [&str; 3] = ["all", "subaccount", "account"];

    /// Its word: `all`, `subaccount` or `account`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Subaccount(_) | Self::Own(_) => "subaccount",
            Self::Account(_) | Self::OwnAccount(..) => "account",
        }
    }

    /// Who may resume the calls: `operator` or `subaccount`.
    pub fn by(&self) -> &'static str {
        if self.is_own() { "subaccount" } else { "operator" }
    }

    /// Whether calls for this account of a subaccount are within the scope.
    pub fn concerns(&self, subaccount: &SubaccountId, account: &InstagramAccountId) -> bool {
        self.subaccount().is_none_or(|id| id == subaccount) && self.account().is_none_or(|id| id == account)
    }

    /// Whether a subaccount paused its own calls, and not the operator.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Own(_) | Self::OwnAccount(..))
    }

    /// The subaccount, where the scope names one.
    pub fn subaccount(&self) -> Option<&SubaccountId> {
        match self {
            Self::Subaccount(id) | Self::Own(id) | Self::OwnAccount(id, _) => Some(id),
            Self::All | Self::Account(_) => None,
        }
    }

    /// The account, where the scope is one.
    pub fn account(&self) -> Option<&InstagramAccountId> {
        match self {
            Self::Account(id) | Self::OwnAccount(_, id) => Some(id),
            Self::All | Self::Subaccount(_) | Self::Own(_) => None,
        }
    }
}

/// Which calls are paused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PauseKey {
    /// The paused call.
    pub call: Call,
    /// Of which accounts.
    pub scope: PauseScope,
}

impl PauseKey {
    /// The pauses that stop a call on this route.
    pub fn of(call: Call, route: &Route) -> [Self; 5] {
        let (subaccount, account) = (&route.subaccount, &route.account);
        [
            PauseScope::All,
            PauseScope::Subaccount(subaccount.clone()),
            PauseScope::Account(account.clone()),
            PauseScope::Own(subaccount.clone()),
            PauseScope::OwnAccount(subaccount.clone(), account.clone()),
        ]
        .map(|scope| Self { call, scope })
    }

    /// Parses a key as it displays itself; `None` if it is of a later version.
    pub fn parse(text: &str) -> Option<Self> {
        let subaccount = |id: &str| SubaccountId::parse(id).ok();
        let account = |id: &str| InstagramAccountId::parse(id).ok();
        let mut words = text.split(':');
        let call = Call::parse(words.next()?)?;
        let scope = match words.collect::<Vec<_>>()[..] {
            [] => PauseScope::All,
            ["subaccount", id] => PauseScope::Subaccount(subaccount(id)?),
            ["account", id] => PauseScope::Account(account(id)?),
            ["own", of] => PauseScope::Own(subaccount(of)?),
            ["own", of, id] => PauseScope::OwnAccount(subaccount(of)?, account(id)?),
            _ => return None,
        };
        Some(Self { call, scope })
    }
}

impl fmt::Display for PauseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call.as_str())?;
        match &self.scope {
            PauseScope::All => Ok(()),
            PauseScope::Subaccount(id) => write!(f, ":subaccount:{id}"),
            PauseScope::Account(id) => write!(f, ":account:{id}"),
            PauseScope::Own(of) => write!(f, ":own:{of}"),
            PauseScope::OwnAccount(of, id) => write!(f, ":own:{of}:{id}"),
        }
    }
}

/// Calls that are paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Which calls, and whose.
    pub key: PauseKey,
    /// Why, as whoever paused them put it.
    pub reason: Option<String>,
    /// Who paused them.
    pub actor: String,
    /// Since when, in milliseconds.
    pub since: Millis,
    /// The end, in milliseconds. None: until resumed.
    pub ends_at: Option<Millis>,
}

/// Calls to pause.
#[derive(Debug, Clone, Copy)]
pub struct NewPause<'a> {
    /// Which calls, and whose.
    pub keys: &'a [PauseKey],
    /// The account, where the scope is one and it is connected.
    pub of: Option<&'a Connection>,
    /// For how long; without it until they are resumed.
    pub time: Option<Duration>,
    /// Why.
    pub reason: Option<&'a str>,
    /// Who pauses them.
    pub actor: &'a Actor,
}

/// Whether such calls of connection `k` are paused, in SQL.
pub(crate) fn is_paused(call: Call) -> String {
    let call = call.as_str();
    format!(
        "EXISTS (SELECT 1 FROM pauses q WHERE q.key IN ('{call}', '{call}:subaccount:' || k.subaccount_id, \
            '{call}:account:' || k.instagram_account_id, '{call}:own:' || k.subaccount_id, \
            '{call}:own:' || k.subaccount_id || ':' || k.instagram_account_id) AND COALESCE(q.ends_at, {}) > (SELECT {{now}}))",
        i64::MAX
    )
}

/// The pauses of such calls of a connection, as a subquery of one of connections.
pub(crate) fn of_connection(call: Call, now: Expr) -> SelectStatement {
    use instagram_connection::Column as Of;
    let call = call.as_str();
    let then = |text: Expr, more: Expr| text.binary(BinOper::Custom("||"), more);
    let key = |scope: &str, id: Of| then(literal(format!("{call}:{scope}:")), id.into_expr());
    let own = || key("own", Of::SubaccountId);
    let keys = [
        literal(call),
        key("subaccount", Of::SubaccountId),
        key("account", Of::InstagramAccountId),
        own(),
        then(then(own(), literal(":")), Of::InstagramAccountId.into_expr()),
    ];
    Query::select()
        .expr(literal(1))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::Key)).is_in(keys))
        .and_where(lasts(now))
        .take()
}

/// The entry in the log of the subaccount concerned; none where nobody is known to be.
fn activity(key: &PauseKey, of: Option<&Connection>, kind: ActivityKind, actor: &Actor) -> Option<Activity> {
    let activity = match (key.scope.account(), of, key.scope.subaccount()) {
        (Some(_), Some(connection), _) => Activity::of_connection(connection, kind, actor),
        (_, _, Some(subaccount)) => Activity::of_subaccount(subaccount, kind, actor),
        _ => return None,
    };
    Some(activity.with("call", key.call.as_str()))
}

/// The pause is not over.
fn lasts(now: Expr) -> Expr {
    let ends_at = || Expr::col((Entity, Column::EndsAt));
    ends_at().is_null().or(ends_at().gt(now))
}

impl Store {
    /// Pauses calls, all of them or none. What was begun before goes on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn pause(&self, new: &NewPause<'_>) -> Result<()> {
        let ends_at = new.time.map_or(Expr::value(None::<i64>), |time| self.clock().add(millis(time)));
        let anew = OnConflict::column(Column::Key)
            .update_columns([Column::Reason, Column::Actor, Column::Since, Column::EndsAt])
            .to_owned();
        let actor = new.actor.id.as_ref().unwrap_or(&new.actor.name);
        let tx = self.begin().await?;
        for key in new.keys {
            let pause = insert::<Entity>([
                (Column::Key, key.to_string().into()),
                (Column::Reason, Expr::value(new.reason.map(str::to_owned))),
                (Column::Actor, actor.clone().into()),
                (Column::Since, self.clock()),
                (Column::EndsAt, ends_at.clone()),
            ])
            .on_conflict(anew.clone())
            .take();
            tx.connection().execute(&pause).await?;
            if let Some(activity) = activity(key, new.of, ActivityKind::CallsPaused, new.actor) {
                let minutes = new.time.map(|time| time.as_secs() / 60);
                // An operator's reason may be nothing for the subaccount.
                let reason = new.reason.filter(|_| key.scope.is_own());
                tx.record(&activity.with("minutes", minutes).with("reason", reason)).await?;
            }
        }
        tx.commit().await
    }

    /// Resumes calls, all of them or none; `of` is the account, where the scope is one. Gives those that were paused.
    ///
    /// # Errors
    /// What the database says.
    pub async fn resume(
        &self,
        keys: &[PauseKey],
        of: Option<&Connection>,
        actor: &Actor,
    ) -> Result<Vec<PauseKey>> {
        let tx = self.begin().await?;
        let mut resumed = Vec::new();
        for key in keys {
            let resume =
                Entity::delete_many().filter(Column::Key.eq(key.to_string())).filter(lasts(self.clock()));
            if resume.exec(tx.connection()).await?.rows_affected == 0 {
                continue;
            }
            resumed.push(key.clone());
            if let Some(activity) = activity(key, of, ActivityKind::CallsResumed, actor) {
                tx.record(&activity).await?;
            }
        }
        tx.commit().await?;
        Ok(resumed)
    }

    /// The pauses that last, those of everybody's calls first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn pauses(&self) -> Result<Vec<Pause>> {
        let lasting = Entity::find().filter(lasts(self.clock())).order_by_asc(Column::Key);
        let rows = lasting.all(&self.reader()).await?;
        let pause = |row: Model| {
            let Model { key, reason, actor, since, ends_at } = row;
            Some(Pause { key: PauseKey::parse(&key)?, reason, actor, since, ends_at })
        };
        Ok(rows.into_iter().filter_map(pause).collect())
    }

    /// Forgets the pauses that are over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_pauses(&self) -> Result<()> {
        Entity::delete_many().filter(lasts(self.clock()).not()).exec(&self.writer()).await?;
        Ok(())
    }
}

impl Tx {
    /// Forgets the pauses of a subaccount that is erased: those of its own, and those of it by the operator; or only its own of
    /// an account that is erased.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn forget_pauses_of(
        &self,
        subaccount: &SubaccountId,
        account: Option<&InstagramAccountId>,
    ) -> Result<()> {
        // Few rows; their keys are compared as read, because names may contain what stands for others in patterns.
        let rows = Entity::find().all(self.connection()).await?;
        let of_it = rows.into_iter().map(|row| row.key).filter(|key| {
            PauseKey::parse(key).is_some_and(|key| {
                key.scope.subaccount() == Some(subaccount)
                    && (account.is_none() || key.scope.account() == account)
            })
        });
        for key in of_it {
            Entity::delete_by_id(key).exec(self.connection()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for key in [
            "ask",
            "connect",
            "ask:subaccount:acme",
            "send:account:17841400000000001",
            "ask:own:acme",
            "send:own:acme:17841400000000001",
        ] {
            assert_eq!(PauseKey::parse(key).map(|key| key.to_string()).as_deref(), Some(key));
        }
        for other in
            ["", "call", "ask:", "ask:subaccount", "ask:city:rome", "send:account:x", "send:own:acme:x"]
        {
            assert_eq!(PauseKey::parse(other), None, "{other}");
        }
    }
}
