//! What the business chose for a connection, and how it is changed.

use crate::{Activity, ActivityKind, Bound, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{AgentId, ConnectionId};
use dmrelay_entity::instagram_connection::{Column, Entity};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde_json::{Map, Value};

pub use dmrelay_domain::settings::ConnectionSettings as Settings;

/// The names of the settings that differ.
fn changed(before: &Settings, after: &Settings) -> Vec<String> {
    let (before, after) = (named(before), named(after));
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}

fn named(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(named)) => named,
        _ => Map::new(),
    }
}

impl Store {
    /// Changes the settings of a connection, and whether its agent is paused, under the row's lock: of two
    /// changes at once, both are made. Gives the connection as it is then.
    pub async fn change_settings(
        &self,
        id: ConnectionId,
        actor: &Actor,
        change: impl FnOnce(&mut Settings, &mut bool) + Send,
    ) -> Result<Option<Connection>> {
        let tx = self.begin().await?;
        let row = Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
        let Some(row) = row else { return Ok(None) };
        let before = Connection::from_row(row)?;
        let (mut settings, mut paused) = (before.settings.clone(), before.row.bot_paused);
        change(&mut settings, &mut paused);
        let mut changed = changed(&settings, &before.settings);
        if paused != before.row.bot_paused {
            changed.push("botPaused".to_owned());
        }
        if changed.is_empty() {
            return Ok(Some(before));
        }
        let after = tx.write_settings(id, &settings, paused).await?;
        let activity = Activity::of_connection(&before, ActivityKind::SettingsChanged, actor)
            .about(&id)
            .with("changed", changed);
        tx.record(&activity).await?;
        if paused != before.row.bot_paused {
            let kind = if paused { ActivityKind::BotPaused } else { ActivityKind::BotResumed };
            let activity = Activity::of_connection(&before, kind, actor).about(&id).with("account", true);
            tx.record(&activity).await?;
        }
        tx.commit().await?;
        Ok(after)
    }
}

/// What came of giving an account another agent.
#[derive(Debug, Clone)]
pub enum AgentChanged {
    /// The connection as it is now.
    Now(Box<Connection>),
    /// The agent is another subaccount's, or was nobody's and may not become the subaccount's.
    NotAssigned,
    /// The connection is gone.
    Gone,
}

impl Store {
    /// Another agent answers for an account from now on. Conversations under way go on in chats with that one. An agent that is nobody's
    /// becomes the subaccount's only if `may_bind`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_agent(
        &self,
        id: ConnectionId,
        (agent, may_bind): (&AgentId, bool),
        actor: &Actor,
    ) -> Result<AgentChanged> {
        let tx = self.begin().await?;
        let row = Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
        let Some(row) = row else { return Ok(AgentChanged::Gone) };
        let before = Connection::from_row(row)?;
        if before.agent == *agent {
            return Ok(AgentChanged::Now(Box::new(before)));
        }
        match tx.bind_agent(agent, &before.subaccount, actor).await? {
            Bound::Before => {}
            Bound::Now if may_bind => {}
            Bound::Now | Bound::Elsewhere(_) => return Ok(AgentChanged::NotAssigned),
        }
        let change = Entity::update_many()
            .col_expr(Column::AgentId, agent.as_str().into())
            .col_expr(Column::UpdatedAt, tx.touched())
            .filter(Column::Id.eq(id));
        let after = change.exec_with_returning(tx.connection()).await?.pop().map(Connection::from_row);
        let Some(after) = after.transpose()? else { return Ok(AgentChanged::Gone) };
        let activity = Activity::of_connection(&after, ActivityKind::AgentChanged, actor)
            .about(&id)
            .with("from", before.agent.as_str())
            .with("to", agent.as_str());
        tx.record(&activity).await?;
        tx.commit().await?;
        Ok(AgentChanged::Now(Box::new(after)))
    }
}

impl Tx {
    /// When a connection changes now. Later than before even within a millisecond: snapshots are taken anew when it moves.
    fn touched(&self) -> Expr {
        CaseStatement::new()
            .case(Column::UpdatedAt.into_expr().gte(self.clock()), Column::UpdatedAt.into_expr().add(1))
            .finally(self.clock())
            .into()
    }

    async fn write_settings(
        &self,
        id: ConnectionId,
        settings: &Settings,
        paused: bool,
    ) -> Result<Option<Connection>> {
        let settings = serde_json::to_string(settings).unwrap_or_else(|_| "{}".to_owned());
        let write = Entity::update_many()
            .col_expr(Column::Settings, settings.into())
            .col_expr(Column::BotPaused, paused.into())
            .col_expr(Column::UpdatedAt, self.touched())
            .filter(Column::Id.eq(id));
        write.exec_with_returning(self.connection()).await?.pop().map(Connection::from_row).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_by_name() {
        let before = Settings { debounce_ms: Some(1), typing: Some(true), ..Settings::default() };
        let mut after = Settings { debounce_ms: Some(2), typing: Some(true), ..Settings::default() };
        assert_eq!(changed(&before, &after), ["debounceMs"]);
        after.typing = None;
        after.agent_variables.insert("city".to_owned(), "Graz".to_owned());
        assert_eq!(changed(&before, &after), ["agentVariables", "debounceMs", "typing"]);
        assert!(changed(&before, &before).is_empty());
    }
}
