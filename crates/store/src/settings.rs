//! What the business chose for a connection, and how it is changed.

use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_entity::instagram_connection::Model;
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
        actor: &str,
        change: impl FnOnce(&mut Settings, &mut bool) + Send,
    ) -> Result<Option<Connection>> {
        let tx = self.begin().await?;
        let sql = "SELECT {instagram_connections.*} FROM instagram_connections WHERE id = $1 {lock}";
        let Some(row) = tx.first::<Model>(sql, vec![id.0.into()]).await? else { return Ok(None) };
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

impl Tx {
    async fn write_settings(
        &self,
        id: ConnectionId,
        settings: &Settings,
        paused: bool,
    ) -> Result<Option<Connection>> {
        // Later than before even within a millisecond: snapshots are taken anew when it moves.
        let sql = "UPDATE instagram_connections SET settings = $2, bot_paused = $3, \
                updated_at = CASE WHEN updated_at >= {now} THEN updated_at + 1 ELSE {now} END \
             WHERE id = $1 RETURNING {instagram_connections.*}";
        let settings = serde_json::to_string(settings).unwrap_or_else(|_| "{}".to_owned());
        let values = vec![id.0.into(), settings.into(), paused.into()];
        self.first(sql, values).await?.map(Connection::from_row).transpose()
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
