//! What happened in one conversation, and around it, for the operator's time line.

use crate::{ActivityKind, Connection, Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ActivityId, ChatId, first_id_at};
use dmrelay_entity::{activity, turn};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, Iterable, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

/// What happens to a connection as a whole, and touches all its conversations.
const INCIDENTS: [ActivityKind; 9] = [
    ActivityKind::Connected,
    ActivityKind::Disconnected,
    ActivityKind::ConnectionStateChanged,
    ActivityKind::PolicyEnforced,
    ActivityKind::SettingsChanged,
    ActivityKind::TokenRefreshed,
    ActivityKind::TokenFailing,
    ActivityKind::BotPaused,
    ActivityKind::BotResumed,
];

/// Of a subaccount's log no more entries are looked at for a connection's incidents.
const LOOKED_AT: u64 = 100_000;

impl Store {
    /// The newest turns of a chat that began at this time or later.
    pub async fn turns_since(&self, chat: ChatId, since: Millis, most: u64) -> Result<Vec<turn::Model>> {
        let turns = turn::Entity::find()
            .filter(turn::Column::ChatId.eq(chat))
            .filter(turn::Column::StartedAt.gte(since))
            .order_by_desc(turn::Column::Id)
            .limit(most);
        self.list_all(turns).await
    }

    /// What happened to the connection as a whole from one time until another, oldest first. Of what the log of
    /// its subaccount holds of that time, only the newest 100,000 entries are looked at.
    pub async fn incidents(
        &self,
        connection: &Connection,
        since: Millis,
        until: Millis,
    ) -> Result<Vec<activity::Model>> {
        let recent = activity::Entity::find()
            .filter(activity::Column::SubaccountId.eq(connection.subaccount.as_str()))
            .filter(activity::Column::Id.gte(first_id_at::<ActivityId>(since)))
            .filter(activity::Column::Id.lt(first_id_at::<ActivityId>(until)))
            .order_by_desc(activity::Column::Id)
            .limit(LOOKED_AT);
        let id = connection.row.id;
        let subject = || Expr::col(activity::Column::Subject);
        let incidents = Query::select()
            .columns(activity::Column::iter())
            .from_subquery(recent.into_query(), "recent")
            .and_where(Expr::col(activity::Column::ConnectionId).eq(id))
            .and_where(Expr::col(activity::Column::Kind).is_in(INCIDENTS.map(ActivityKind::as_str)))
            .and_where(subject().is_null().or(subject().eq(id.to_string())))
            .order_by(activity::Column::Id, Order::Asc)
            .take();
        self.list_rows(&incidents).await
    }
}
