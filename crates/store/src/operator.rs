//! What the operator of the whole installation looks at: lists that keep to no subaccount unless asked, by the
//! people at the command line and never by a caller of the API.

use crate::retention::CLOCK_SKEW;
use crate::{Backlog, Connection, Result, Store, breakers, connections, dead_letters};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ApiKeyId, ChatId, ConnectionId, DeadLetterId, EventId, SubaccountId, first_id_at};
use dmrelay_domain::states::{ConnectionStatus, DeadLetterState, EventState};
use dmrelay_entity::{api_key, breaker, chat, dead_letter, event, instagram_connection};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use std::collections::HashMap;

/// Which dead letters to look for. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct LetterSearch {
    /// Of this subaccount.
    pub subaccount: Option<SubaccountId>,
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Of this chat.
    pub chat: Option<ChatId>,
    /// That failed for this.
    pub class: Option<String>,
    /// That speak of this: `event`, `turn` or `message`.
    pub kind: Option<String>,
    /// Of which this became.
    pub state: Option<DeadLetterState>,
    /// Not older than this.
    pub since: Option<Millis>,
    /// Older than this.
    pub created_before: Option<Millis>,
}

/// Which events of the inbox to look for. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct EventSearch {
    /// In one of these states.
    pub states: Vec<EventState>,
    /// Of this Instagram account.
    pub account: Option<String>,
    /// Received at this time or later.
    pub since: Option<Millis>,
}

/// A circuit breaker that is open.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct BreakerRow {
    /// The [`crate::BreakerKey`], as it displays itself.
    pub key: String,
    /// Until then.
    pub closed_until: Millis,
    /// Failures in a row.
    pub failures: i32,
    /// Why.
    pub reason: Option<String>,
}

impl BreakerRow {
    /// Whether failures have opened it, and not the service's own word.
    pub fn is_failing(&self) -> bool {
        i64::from(self.failures) >= breakers::FAILURES
    }

    /// Whether it stands before all accounts: before the agent's provider with the operator's key, or one of Graph's hosts.
    pub fn is_shared(&self) -> bool {
        self.key == "agent" || self.key.starts_with("graph:app:")
    }
}

#[derive(FromQueryResult)]
struct BacklogRow {
    connection_id: ConnectionId,
    turns: i64,
    outboxes: i64,
}

impl LetterSearch {
    fn select(&self) -> Select<dead_letter::Entity> {
        use dead_letter::Column;
        dead_letter::Entity::find()
            .apply_if(self.subaccount.as_ref(), |select, subaccount| {
                select.filter(Column::SubaccountId.eq(subaccount.as_str()))
            })
            .apply_if(self.connection, |select, id| select.filter(Column::ConnectionId.eq(id)))
            .apply_if(self.chat, |select, chat| select.filter(Column::ChatId.eq(chat)))
            .apply_if(self.class.as_deref(), |select, class| select.filter(Column::Class.eq(class)))
            .apply_if(self.kind.as_deref(), |select, kind| select.filter(Column::Kind.eq(kind)))
            .apply_if(self.since, |select, since| select.filter(Column::CreatedAt.gte(since)))
            .apply_if(self.created_before, |select, before| select.filter(Column::CreatedAt.lt(before)))
            .apply_if(self.state, |select, state| select.filter(dead_letters::is(state)))
    }
}

impl Store {
    /// The newest dead letters that fit.
    pub async fn newest_letters(&self, search: &LetterSearch, most: u64) -> Result<Vec<dead_letter::Model>> {
        self.list_all(search.select().order_by_desc(dead_letter::Column::Id).limit(most)).await
    }

    /// The oldest dead letters that fit, after one of them.
    pub async fn oldest_letters(
        &self,
        search: &LetterSearch,
        after: Option<DeadLetterId>,
        most: u64,
    ) -> Result<Vec<dead_letter::Model>> {
        let letters = search
            .select()
            .apply_if(after, |select, after| select.filter(dead_letter::Column::Id.gt(after)))
            .order_by_asc(dead_letter::Column::Id)
            .limit(most);
        self.list_all(letters).await
    }

    /// The dead letters with these ids, in any order.
    pub async fn letters_with_ids(&self, ids: &[DeadLetterId]) -> Result<Vec<dead_letter::Model>> {
        let named = dead_letter::Column::Id.is_in(ids.iter().copied());
        self.list_all(dead_letter::Entity::find().filter(named)).await
    }

    /// The newest events of the inbox that fit. Ids begin with the time, so that the range of `since` is one of the
    /// primary key.
    pub async fn newest_events(&self, search: &EventSearch, most: u64) -> Result<Vec<event::Model>> {
        use event::Column;
        let newest = event::Entity::find()
            .filter(Column::State.is_in(search.states.iter().map(|state| state.as_str())))
            .apply_if(search.account.as_deref(), |select, account| select.filter(Column::Account.eq(account)))
            .apply_if(search.since, |select, since| {
                // Ids are made by the clock of the process that received the event.
                let earliest = first_id_at::<EventId>(since - millis(CLOCK_SKEW));
                select.filter(Column::Id.gte(earliest)).filter(Column::ReceivedAt.gte(since))
            })
            .order_by_desc(Column::Id)
            .limit(most);
        self.list_all(newest).await
    }

    /// An event of the inbox.
    pub async fn event(&self, id: EventId) -> Result<Option<event::Model>> {
        Ok(event::Entity::find_by_id(id).one(&self.reader()).await?)
    }

    /// The newest connections, of a subaccount if it is named; disconnected ones only where they are asked for.
    /// Rows that this version cannot read are left out.
    pub async fn connections_of_all(
        &self,
        subaccount: Option<&SubaccountId>,
        status: Option<ConnectionStatus>,
        most: u64,
    ) -> Result<Vec<Connection>> {
        use instagram_connection::Column;
        let in_state = match status {
            Some(status) => Column::Status.eq(status.as_str()),
            None => connections::is_live(),
        };
        let newest = instagram_connection::Entity::find()
            .apply_if(subaccount, |select, subaccount| {
                select.filter(Column::SubaccountId.eq(subaccount.as_str()))
            })
            .filter(in_state)
            .order_by_desc(Column::Id)
            .limit(most);
        let rows = self.list_all(newest).await?;
        Ok(rows.into_iter().filter_map(|row| Connection::from_row(row).ok()).collect())
    }

    /// What waits in each connection; nothing does in one that is not named.
    pub async fn backlogs(&self) -> Result<HashMap<ConnectionId, Backlog>> {
        use chat::Column;
        let waiting = chat::Entity::find()
            .select_only()
            .column(Column::ConnectionId)
            .column_as(Column::TurnDueAt.count(), "turns")
            .column_as(Column::OutboxDueAt.count(), "outboxes")
            .filter(Column::TurnDueAt.is_not_null().or(Column::OutboxDueAt.is_not_null()))
            .group_by(Column::ConnectionId);
        let rows: Vec<BacklogRow> = self.list_rows(waiting.as_query()).await?;
        let backlog = |row: &BacklogRow| Backlog { turns: row.turns, outboxes: row.outboxes };
        Ok(rows.iter().map(|row| (row.connection_id, backlog(row))).collect())
    }

    /// The circuit breakers that are open now.
    pub async fn open_breaker_rows(&self) -> Result<Vec<BreakerRow>> {
        let closed = breaker::Entity::find()
            .filter(breakers::is_open_or_probed(|| self.clock()))
            .order_by_asc(breaker::Column::Key)
            .into_model();
        Ok(closed.all(&self.reader()).await?)
    }

    /// The newest API keys, of a subaccount if it is named; those that expired or were revoked too.
    pub async fn api_keys_of_all(
        &self,
        subaccount: Option<&SubaccountId>,
        most: u64,
    ) -> Result<Vec<api_key::Model>> {
        let newest = api_key::Entity::find()
            .apply_if(subaccount, |select, subaccount| {
                select.filter(api_key::Column::SubaccountId.eq(subaccount.as_str()))
            })
            .order_by_desc(api_key::Column::Id)
            .limit(most);
        self.list_all(newest).await
    }

    /// An API key by its id, whosever it is.
    pub async fn api_key_with_id(&self, id: ApiKeyId) -> Result<Option<api_key::Model>> {
        Ok(self.list_all(api_key::Entity::find_by_id(id)).await?.into_iter().next())
    }
}
