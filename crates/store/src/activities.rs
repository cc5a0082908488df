//! The activity log: what happened, for people. Written in the transaction of the fact; never holds the
//! customer's words.

use crate::pages::Page;
use crate::{Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ActivityId, ConnectionId, SubaccountId, first_id_at, id_at};
use dmrelay_domain::states::ActivityKind;
use dmrelay_entity::activity::{self, Column};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use serde_json::{Map, Value};

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct Activity {
    subaccount: SubaccountId,
    connection: Option<ConnectionId>,
    kind: ActivityKind,
    actor: Actor,
    subject: Option<String>,
    details: Map<String, Value>,
}

/// Which entries of the log to list. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct ActivityFilter {
    /// Of this subaccount.
    pub subaccount: SubaccountId,
    /// Of these connections; an empty list means no entry at all.
    pub connections: Option<Vec<ConnectionId>>,
    /// Of one of these kinds; none means every kind.
    pub kinds: Vec<ActivityKind>,
    /// Done by this one: its name or its id.
    pub actor: Option<String>,
    /// Done to this.
    pub subject: Option<String>,
    /// Not older than this.
    pub since: Option<Millis>,
    /// Older than this.
    pub until: Option<Millis>,
    /// Older than this entry.
    pub before: Option<ActivityId>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

impl Activity {
    /// Something about a connection, done by `actor`: a key's name, `agent`, `user` or `system`.
    pub fn of_connection(connection: &Connection, kind: ActivityKind, actor: impl Into<Actor>) -> Self {
        Self { connection: Some(connection.id), ..Self::of_subaccount(&connection.subaccount, kind, actor) }
    }

    /// Something about a subaccount as a whole.
    pub fn of_subaccount(subaccount: &SubaccountId, kind: ActivityKind, actor: impl Into<Actor>) -> Self {
        Self {
            subaccount: subaccount.clone(),
            connection: None,
            kind,
            actor: actor.into(),
            subject: None,
            details: Map::new(),
        }
    }

    /// The same, of a connection of which only the id is known.
    #[must_use]
    pub(crate) fn in_connection(mut self, connection: Option<ConnectionId>) -> Self {
        self.connection = connection;
        self
    }

    /// What it was done to: the id of a chat or a message.
    #[must_use]
    pub fn about(mut self, subject: &impl ToString) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// One more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

impl Store {
    /// A page of the log, newest first.
    pub async fn activities(&self, filter: &ActivityFilter) -> Result<Page<activity::Model, ActivityId>> {
        if filter.connections.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Page::empty());
        }
        let select = activity::Entity::find()
            .filter(Column::SubaccountId.eq(filter.subaccount.as_str()))
            .apply_if(filter.connections.as_ref(), |select, connections| {
                select.filter(Column::ConnectionId.is_in(connections.iter().copied()))
            })
            .apply_if((!filter.kinds.is_empty()).then_some(&filter.kinds), |select, kinds| {
                select.filter(Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
            })
            .apply_if(filter.actor.as_deref(), |select, actor| {
                select.filter(Condition::any().add(Column::Actor.eq(actor)).add(Column::ActorId.eq(actor)))
            })
            .apply_if(filter.subject.as_deref(), |select, subject| select.filter(Column::Subject.eq(subject)))
            .apply_if(filter.since, |select, since| select.filter(Column::At.gte(since)))
            .apply_if(filter.until, |select, until| select.filter(Column::At.lt(until)));
        let place = (filter.before, filter.limit, filter.skip);
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// The entries of a subaccount from a time on and after one of them, oldest first: for following the log.
    /// An entry becomes visible when its transaction ends, so a later one may be seen before it.
    pub async fn activities_from(
        &self,
        subaccount: &SubaccountId,
        from: Millis,
        after: Option<ActivityId>,
        most: u64,
    ) -> Result<Vec<activity::Model>> {
        let select = activity::Entity::find()
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .filter(Column::Id.gte(first_id_at::<ActivityId>(from)))
            .apply_if(after, |select, after| select.filter(Column::Id.gt(after)))
            .order_by_asc(Column::Id)
            .limit(most);
        Ok(select.all(&self.reader()).await?)
    }
}

impl Tx {
    /// Writes an entry of the log.
    pub async fn record(&self, activity: &Activity) -> Result<()> {
        let now = self.now().await?;
        self.record_at(activity, now).await
    }

    /// Writes an entry of the log, with the time the caller has already read from the database.
    pub async fn record_at(&self, activity: &Activity, now: i64) -> Result<()> {
        let row = activity::ActiveModel {
            id: Set(id_at(now)),
            subaccount_id: Set(activity.subaccount.to_string()),
            connection_id: Set(activity.connection),
            kind: Set(activity.kind.into()),
            actor: Set(activity.actor.name.clone()),
            actor_id: Set(activity.actor.id.clone()),
            subject: Set(activity.subject.clone()),
            details: Set(Value::Object(activity.details.clone()).to_string()),
            at: Set(now),
        };
        activity::Entity::insert(row).exec_without_returning(self.connection()).await?;
        Ok(())
    }
}
