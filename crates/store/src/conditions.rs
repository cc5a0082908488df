//! What is wrong now, as far as the database tells: the conditions that incidents are made of.

use crate::breakers::{self, BreakerKey};
use crate::connections::is;
use crate::query::rows;
use crate::{Connection, Result, Store, connections, dead_letters};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::conversation::HANDOVER;
use dmrelay_domain::ids::{ConnectionId, DeadLetterId, SubaccountId, first_id_at};
use dmrelay_domain::notification::{ConcernedAccount, Condition, IncidentKind};
use dmrelay_domain::states::{CheckName, CheckState, ConnectionStatus, DeadLetterState, LoginKind};
use dmrelay_entity::{agent, breaker, chat, connection_check, dead_letter, instagram_connection};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Ids in one condition of a statement.
const IDS_MAX: usize = 500;

#[derive(FromQueryResult)]
struct Letters {
    subaccount_id: String,
    connection_id: Option<ConnectionId>,
    n: i64,
    first_at: Millis,
}

#[derive(FromQueryResult)]
struct Hold {
    key: String,
}

impl Store {
    /// Everything that is wrong now. Dead letters count for `letters_age` after they were written.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conditions(&self, letters_age: Duration) -> Result<Vec<Condition>> {
        let mut conditions = self.rejected_tokens().await?;
        conditions.extend(self.bad_checks().await?);
        conditions.extend(self.open_circuits().await?);
        conditions.extend(self.lately_dead(letters_age).await?);
        conditions.extend(self.used_up_budgets().await?);
        conditions.extend(self.handed_over().await?);
        Ok(conditions)
    }

    async fn rejected_tokens(&self) -> Result<Vec<Condition>> {
        let parked = instagram_connection::Entity::find().filter(is(ConnectionStatus::ReauthRequired));
        let parked = parked.all(&self.reader()).await?;
        let condition = |connection: Connection| {
            let code = connection.row.status_reason.as_deref().unwrap_or("no code");
            let detail = format!("Meta rejects the token of {} ({code}).", name(&connection));
            of_account(&connection, IncidentKind::ReauthRequired, detail)
        };
        Ok(parked.into_iter().filter_map(|row| Connection::from_row(row).ok()).map(condition).collect())
    }

    async fn bad_checks(&self) -> Result<Vec<Condition>> {
        use connection_check::Column;
        let bad = [CheckState::Warning, CheckState::Failing].map(CheckState::as_str);
        let bad = connection_check::Entity::find().filter(Column::State.is_in(bad));
        let bad = bad.all(&self.reader()).await?;
        let connections = self.connections_named(bad.iter().map(|check| check.connection_id)).await?;
        let in_use = |id: &ConnectionId| {
            connections.get(id).filter(|connection| connections::is_in_use(connection.status))
        };
        let condition = |check: connection_check::Model| {
            let connection = in_use(&check.connection_id)?;
            let (check_name, state) = (check.name.known()?, check.state.known()?);
            let kind = match (check_name, state) {
                (CheckName::TokenEnd, _) => IncidentKind::TokenEnding,
                (CheckName::Traffic, _) => IncidentKind::Silence,
                // Its account is parked, and that is told already.
                (CheckName::Token, _) if connection.status == ConnectionStatus::ReauthRequired => {
                    return None;
                }
                (_, CheckState::Failing) => IncidentKind::CheckFailing,
                _ => return None,
            };
            let mut condition =
                of_account(connection, kind, format!("{}: {}", name(connection), check.detail));
            condition.since = Some(check.since);
            if kind == IncidentKind::CheckFailing {
                condition.subject = format!("{}:{check_name}", condition.subject);
            }
            Some(condition)
        };
        Ok(bad.into_iter().filter_map(condition).collect())
    }

    async fn open_circuits(&self) -> Result<Vec<Condition>> {
        use breaker::Column;
        let open = breaker::Entity::find().filter(breakers::is_open_or_probed(|| self.clock()));
        let open: Vec<(String, Option<String>)> = open
            .select_only()
            .columns([Column::Key, Column::Reason])
            .into_tuple()
            .all(&self.reader())
            .await?;
        let open: Vec<_> = open
            .into_iter()
            .filter_map(|(key, why)| Some((BreakerKey::parse(&key).ok()?, key, why)))
            .collect();
        let live = self.live(open.iter().filter_map(|(breaker, ..)| breaker.account())).await?;
        let agents = self.owners(open.iter().filter_map(|(breaker, ..)| breaker.shared_agent())).await?;
        let mut conditions = Vec::new();
        for (breaker, key, reason) in open {
            let reason = reason.unwrap_or_else(|| "no reason known".to_owned());
            let suspended = |what: String| format!("Calls to {what} are suspended: {reason}.");
            let whole = |subaccount: Option<SubaccountId>, detail| Condition {
                kind: IncidentKind::CircuitOpen,
                // An agent that becomes another subaccount's is another incident.
                subject: subaccount.as_ref().map_or_else(|| key.clone(), |of| format!("{of}:{key}")),
                subaccount,
                account: None,
                detail,
                since: None,
            };
            let condition = match breaker {
                BreakerKey::GraphAccount(account) => {
                    let Some(connection) = live.get(account.as_str()) else { continue };
                    let detail = suspended(format!("Meta for {}", name(connection)));
                    of_account(connection, IncidentKind::CircuitOpen, detail)
                }
                BreakerKey::AgentOf(id) => {
                    whole(agents.get(id.as_str()).cloned(), suspended(format!("the agent {id}")))
                }
                BreakerKey::AgentKeyOf(subaccount, id) => {
                    whole(Some(subaccount), suspended(format!("the agent {id}")))
                }
                BreakerKey::AgentKey(subaccount) => {
                    whole(Some(subaccount), suspended("the agents' provider with your own key".to_owned()))
                }
                BreakerKey::Agent => whole(None, suspended("the agents' provider".to_owned())),
                BreakerKey::GraphApp(login) => whole(
                    None,
                    suspended(format!("Meta for all accounts connected by {} Login", product(login))),
                ),
            };
            conditions.push(condition);
        }
        Ok(conditions)
    }

    async fn lately_dead(&self, age: Duration) -> Result<Vec<Condition>> {
        use dead_letter::Column;
        let since = first_id_at::<DeadLetterId>(self.now().await? - millis(age));
        // All of them, however many one account has: what is left out would seem to be over.
        let counts = dead_letter::Entity::find()
            .select_only()
            .columns([Column::SubaccountId, Column::ConnectionId])
            .column_as(Column::CreatedAt.count(), "n")
            .column_as(Column::CreatedAt.min(), "first_at")
            .filter(dead_letters::is(DeadLetterState::Open))
            .filter(Column::Id.gt(since))
            .group_by(Column::SubaccountId)
            .group_by(Column::ConnectionId)
            .into_query();
        let counts: Vec<Letters> = rows(&self.reader(), &counts).await?;
        let connections =
            self.connections_named(counts.iter().filter_map(|letters| letters.connection_id)).await?;
        let mut conditions = Vec::new();
        for letters in counts {
            let connection = letters.connection_id.and_then(|id| connections.get(&id));
            let what = match letters.n {
                1 => "1 message or event has failed".to_owned(),
                n => format!("{n} messages or events have failed"),
            };
            let mut condition = if let Some(connection) = connection {
                let detail = format!("{what} for {}.", name(connection));
                of_account(connection, IncidentKind::DeadLetters, detail)
            } else {
                Condition {
                    kind: IncidentKind::DeadLetters,
                    subject: letters.subaccount_id.clone(),
                    subaccount: SubaccountId::parse(&letters.subaccount_id).ok(),
                    account: None,
                    detail: format!("{what} for accounts that are not connected."),
                    since: None,
                }
            };
            condition.since = Some(letters.first_at);
            conditions.push(condition);
        }
        Ok(conditions)
    }

    /// Conversations that were handed over and wait for a human agent.
    async fn handed_over(&self) -> Result<Vec<Condition>> {
        let waiting = chat::Entity::find()
            .select_only()
            .column(chat::Column::ConnectionId)
            .column_as(chat::Column::Id.count(), "n")
            .filter(chat::Column::Flag.eq(HANDOVER))
            .group_by(chat::Column::ConnectionId);
        let waiting: Vec<(ConnectionId, i64)> = waiting.into_tuple().all(&self.reader()).await?;
        let connections = self.connections_named(waiting.iter().map(|(id, _)| *id)).await?;
        let condition = |(id, n): (ConnectionId, i64)| {
            let connection = connections.get(&id)?;
            let what = match n {
                1 => "1 conversation was handed over to a human".to_owned(),
                n => format!("{n} conversations were handed over to a human"),
            };
            let detail = format!("{what} for {}.", name(connection));
            Some(of_account(connection, IncidentKind::HandedOver, detail))
        };
        Ok(waiting.into_iter().filter_map(condition).collect())
    }

    async fn used_up_budgets(&self) -> Result<Vec<Condition>> {
        let held = Query::select()
            .column("key")
            .from("turn_holds")
            .and_where(Expr::col("until").gt(self.clock()))
            .take();
        let held: Vec<Hold> = rows(&self.reader(), &held).await?;
        let live = self.live(held.iter().filter_map(|hold| hold.key.strip_prefix("account:"))).await?;
        let mut conditions = Vec::new();
        for Hold { key } in held {
            let of = |subaccount, detail: &str| Condition {
                kind: IncidentKind::BudgetReached,
                subject: key.clone(),
                subaccount,
                account: None,
                detail: detail.to_owned(),
                since: None,
            };
            let condition = match key.split_once(':') {
                Some(("account", account)) => {
                    let Some(connection) = live.get(account) else { continue };
                    let who = name(connection);
                    let detail = format!("The hourly budget of questions for {who} is used up.");
                    of_account(connection, IncidentKind::BudgetReached, detail)
                }
                Some(("subaccount", subaccount)) => {
                    let Ok(subaccount) = SubaccountId::parse(subaccount) else { continue };
                    of(
                        Some(subaccount),
                        "The budget of questions for all accounts of this subaccount is used up.",
                    )
                }
                _ => of(None, "The installation's daily budget of questions is used up."),
            };
            conditions.push(condition);
        }
        Ok(conditions)
    }

    /// The connections with these ids, by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn connections_named(
        &self,
        ids: impl Iterator<Item = ConnectionId>,
    ) -> Result<HashMap<ConnectionId, Connection>> {
        let ids: Vec<ConnectionId> = ids.collect::<BTreeSet<_>>().into_iter().collect();
        let mut found = HashMap::new();
        for ids in ids.chunks(IDS_MAX) {
            let named = instagram_connection::Column::Id.is_in(ids.iter().copied());
            let rows = instagram_connection::Entity::find().filter(named).all(&self.reader()).await?;
            let rows = rows.into_iter().filter_map(|row| Connection::from_row(row).ok());
            found.extend(rows.map(|connection| (connection.id, connection)));
        }
        Ok(found)
    }

    /// The live connections of these accounts, by account.
    async fn live(&self, accounts: impl Iterator<Item = &str>) -> Result<HashMap<String, Connection>> {
        use instagram_connection::Column;
        let accounts: Vec<&str> = accounts.collect();
        let mut found = HashMap::new();
        for accounts in accounts.chunks(IDS_MAX) {
            let live = instagram_connection::Entity::find()
                .filter(Column::InstagramAccountId.is_in(accounts.iter().copied()))
                .filter(is(ConnectionStatus::Disconnected).not());
            let rows = live.all(&self.reader()).await?;
            let rows = rows.into_iter().filter_map(|row| Connection::from_row(row).ok());
            found.extend(rows.map(|connection| (connection.account.to_string(), connection)));
        }
        Ok(found)
    }

    /// The subaccounts that these agents belong to, by agent.
    async fn owners(&self, agents: impl Iterator<Item = &str>) -> Result<HashMap<String, SubaccountId>> {
        let agents: Vec<&str> = agents.collect();
        let mut found = HashMap::new();
        for agents in agents.chunks(IDS_MAX) {
            let named = agent::Column::Id.is_in(agents.iter().copied());
            for row in agent::Entity::find().filter(named).all(&self.reader()).await? {
                if let Ok(subaccount) = SubaccountId::parse(&row.subaccount_id) {
                    found.insert(row.id, subaccount);
                }
            }
        }
        Ok(found)
    }
}

/// The login as Meta calls it.
fn product(login: LoginKind) -> &'static str {
    match login {
        LoginKind::Instagram => "Instagram",
        LoginKind::Facebook => "Facebook",
    }
}

/// The account as people know it.
fn name(connection: &Connection) -> String {
    connection
        .row
        .username
        .as_ref()
        .map_or_else(|| format!("account {}", connection.account), |handle| format!("@{handle}"))
}

/// A condition of a connection. Another subaccount that gets the account has an incident of its own.
fn of_account(connection: &Connection, kind: IncidentKind, detail: String) -> Condition {
    Condition {
        kind,
        subject: format!("{}:{}", connection.subaccount, connection.id),
        subaccount: Some(connection.subaccount.clone()),
        account: Some(ConcernedAccount {
            connection: connection.id,
            instagram_account_id: connection.account.to_string(),
            username: connection.row.username.clone(),
        }),
        detail,
        since: None,
    }
}
