//! What happened in one conversation, and around it, for the operator's time line.

use crate::activities::first_id_at;
use crate::{ActivityKind, Connection, Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_entity::{activity, turn};
use uuid::Uuid;

/// What happens to a connection as a whole, and touches all its conversations.
const INCIDENTS: [ActivityKind; 8] = [
    ActivityKind::Connected,
    ActivityKind::Disconnected,
    ActivityKind::ConnectionStateChanged,
    ActivityKind::SettingsChanged,
    ActivityKind::TokenRefreshed,
    ActivityKind::TokenFailing,
    ActivityKind::BotPaused,
    ActivityKind::BotResumed,
];

/// Of a subaccount's log no more entries are looked at for a connection's incidents.
const LOOKED_AT: u32 = 100_000;

impl Store {
    /// The newest turns of a chat that began at this time or later.
    pub async fn turns_since(&self, chat: Uuid, since: Millis, most: u64) -> Result<Vec<turn::Model>> {
        let sql =
            "SELECT {turns.*} FROM turns WHERE chat_id = $1 AND started_at >= $2 ORDER BY id DESC LIMIT $3";
        self.list(sql, vec![chat.into(), since.into(), most.into()]).await
    }

    /// What happened to the connection as a whole from one time until another, oldest first. Of what the log of
    /// its subaccount holds of that time, only the newest 100,000 entries are looked at.
    pub async fn incidents(
        &self,
        connection: &Connection,
        since: Millis,
        until: Millis,
    ) -> Result<Vec<activity::Model>> {
        let kinds: Vec<String> = INCIDENTS.iter().map(|kind| format!("'{kind}'")).collect();
        let sql = format!(
            "SELECT {{activities.*}} FROM (SELECT {{activities.*}} FROM activities \
                WHERE subaccount_id = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT {LOOKED_AT}) recent \
             WHERE connection_id = $4 AND kind IN ({}) AND (subject IS NULL OR subject = $5) ORDER BY id",
            kinds.join(", ")
        );
        let id = connection.row.id;
        let values = vec![
            connection.subaccount.as_str().into(),
            first_id_at(since).into(),
            first_id_at(until).into(),
            id.into(),
            id.to_string().into(),
        ];
        self.list(&sql, values).await
    }
}
