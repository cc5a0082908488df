//! Calls that the operator has paused: questions to agents, or sends, of one account, of a subaccount, or of all. Work waits
//! meanwhile, and is not lost.

use crate::query::{insert, literal};
use crate::{Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::conversation::Route;
use dmrelay_domain::ids::{InstagramAccountId, SubaccountId};
use dmrelay_entity::instagram_connection;
use dmrelay_entity::pause::{Column, Entity, Model};
use sea_orm::sea_query::{BinOper, Expr, ExprTrait, OnConflict, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::fmt;
use std::time::Duration;

/// What is called for a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The agent is asked.
    Ask,
    /// A message is sent.
    Send,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 2] = [Self::Ask, Self::Send];

    /// Its word: `ask` or `send`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Send => "send",
        }
    }
}

/// The scope of a pause.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PauseScope {
    /// Everybody's.
    All,
    /// Those of a subaccount.
    Subaccount(SubaccountId),
    /// Those of an Instagram account.
    Account(InstagramAccountId),
}

impl PauseScope {
    /// Their words.
    pub const WORDS: [&str; 3] = ["all", "subaccount", "account"];

    /// Its word: `all`, `subaccount` or `account`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Subaccount(_) => "subaccount",
            Self::Account(_) => "account",
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
    pub fn of(call: Call, route: &Route) -> [Self; 3] {
        [
            PauseScope::All,
            PauseScope::Subaccount(route.subaccount.clone()),
            PauseScope::Account(route.account.clone()),
        ]
        .map(|scope| Self { call, scope })
    }

    /// Parses a key as it displays itself; `None` if it is of a later version.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, scope) = text.split_once(':').map_or((text, None), |(word, scope)| (word, Some(scope)));
        let call = Call::ALL.into_iter().find(|call| call.as_str() == word)?;
        let scope = match scope.map(|scope| scope.split_once(':')) {
            None => PauseScope::All,
            Some(Some(("subaccount", id))) => PauseScope::Subaccount(SubaccountId::parse(id).ok()?),
            Some(Some(("account", id))) => PauseScope::Account(InstagramAccountId::parse(id).ok()?),
            Some(_) => return None,
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
        }
    }
}

/// A pause of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Which calls, and whose.
    pub key: PauseKey,
    /// Why, as the operator put it.
    pub reason: Option<String>,
    /// Who paused them.
    pub actor: String,
    /// Since when, in milliseconds.
    pub since: Millis,
    /// The end, in milliseconds. None: until resumed.
    pub ends_at: Option<Millis>,
}

/// Whether such calls of connection `k` are paused, in SQL.
pub(crate) fn is_paused(call: Call) -> String {
    let call = call.as_str();
    format!(
        "EXISTS (SELECT 1 FROM pauses q WHERE q.key IN ('{call}', '{call}:subaccount:' || k.subaccount_id, \
            '{call}:account:' || k.instagram_account_id) AND COALESCE(q.ends_at, {}) > (SELECT {{now}}))",
        i64::MAX
    )
}

/// The pauses of such calls of a connection, as a subquery of one of connections.
pub(crate) fn of_connection(call: Call, now: Expr) -> SelectStatement {
    use instagram_connection::Column as Of;
    let call = call.as_str();
    let key = |scope: &str, id: Of| {
        literal(format!("{call}:{scope}:")).binary(BinOper::Custom("||"), id.into_expr())
    };
    let keys = [literal(call), key("subaccount", Of::SubaccountId), key("account", Of::InstagramAccountId)];
    Query::select()
        .expr(literal(1))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::Key)).is_in(keys))
        .and_where(lasts(now))
        .take()
}

/// The pause is not over.
fn lasts(now: Expr) -> Expr {
    let ends_at = || Expr::col((Entity, Column::EndsAt));
    ends_at().is_null().or(ends_at().gt(now))
}

impl Store {
    /// Pauses these calls, for this long or until they are resumed. What was begun before goes on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn pause(
        &self,
        key: &PauseKey,
        time: Option<Duration>,
        reason: Option<&str>,
        actor: &str,
    ) -> Result<()> {
        let ends_at = time.map_or(Expr::value(None::<i64>), |time| self.clock().add(millis(time)));
        let anew = OnConflict::column(Column::Key)
            .update_columns([Column::Reason, Column::Actor, Column::Since, Column::EndsAt])
            .to_owned();
        let pause = insert::<Entity>([
            (Column::Key, key.to_string().into()),
            (Column::Reason, Expr::value(reason.map(str::to_owned))),
            (Column::Actor, actor.into()),
            (Column::Since, self.clock()),
            (Column::EndsAt, ends_at),
        ])
        .on_conflict(anew)
        .take();
        self.writer().execute(&pause).await?;
        Ok(())
    }

    /// Resumes these calls. Gives whether they were paused.
    ///
    /// # Errors
    /// What the database says.
    pub async fn resume(&self, key: &PauseKey) -> Result<bool> {
        let resume =
            Entity::delete_many().filter(Column::Key.eq(key.to_string())).filter(lasts(self.clock()));
        Ok(resume.exec(&self.writer()).await?.rows_affected == 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for key in ["ask", "send", "ask:subaccount:acme", "send:account:17841400000000001"] {
            assert_eq!(PauseKey::parse(key).map(|key| key.to_string()).as_deref(), Some(key));
        }
        for other in ["", "call", "ask:", "ask:subaccount", "ask:city:rome", "send:account:x"] {
            assert_eq!(PauseKey::parse(other), None, "{other}");
        }
    }
}
