//! Broadcasts: their audience, and what became of each recipient. The messages themselves go through the conversations.

use crate::pages::Page;
use crate::query::{literal, rows};
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{BroadcastId, ChatId, ConnectionId, TemplateId};
use dmrelay_domain::states::{BroadcastState, ChatMode, RecipientState, Skipped};
use dmrelay_domain::window::STANDARD;
use dmrelay_entity::broadcast::{self, Column, Entity, Model};
use dmrelay_entity::{broadcast_recipient, chat, chat_tag, chat_triage};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, FromQueryResult,
    IntoActiveModel, QueryFilter, QuerySelect, QueryTrait, Select,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// What a candidate is that is sent the message, as far as the rows tell.
const READY: &str = "ready";

/// Whom a broadcast is for. What is empty or absent does not narrow it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Audience {
    /// With one of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// With none of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_tags: Vec<String>,
    /// Who speaks one of these languages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Who wrote last at this time or later, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Millis>,
    /// Who wrote last before this time, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_before: Option<Millis>,
}

impl Audience {
    /// The chats that a broadcast is for.
    pub(crate) fn chats(&self, connection: ConnectionId) -> Select<chat::Entity> {
        let tagged = |tags: &[String]| {
            let chats = chat_tag::Entity::find().select_only().column(chat_tag::Column::ChatId);
            chats.filter(chat_tag::Column::Tag.is_in(tags.iter().map(String::as_str))).into_query()
        };
        let mut wanted = Condition::all().add(chat::Column::ConnectionId.eq(connection));
        if !self.tags.is_empty() {
            wanted = wanted.add(chat::Column::Id.in_subquery(tagged(&self.tags)));
        }
        if !self.without_tags.is_empty() {
            wanted = wanted.add(chat::Column::Id.not_in_subquery(tagged(&self.without_tags)));
        }
        if !self.languages.is_empty() {
            let languages = self.languages.iter().map(String::as_str);
            let speak = chat_triage::Entity::find()
                .select_only()
                .column(chat_triage::Column::ChatId)
                .filter(chat_triage::Column::Language.is_in(languages));
            wanted = wanted.add(chat::Column::Id.in_subquery(speak.into_query()));
        }
        // The window ends so long after the customer's last word.
        if let Some(since) = self.active_since {
            wanted = wanted.add(chat::Column::WindowExpiresAt.gte(since + STANDARD));
        }
        if let Some(before) = self.active_before {
            wanted = wanted.add(chat::Column::WindowExpiresAt.lt(before + STANDARD));
        }
        chat::Entity::find().filter(wanted)
    }
}

/// A broadcast to be made.
#[derive(Debug, Clone)]
pub struct NewBroadcast {
    /// Its id: whoever makes it again under the same one makes nothing.
    pub id: BroadcastId,
    /// What it is called.
    pub name: String,
    /// Who is to have it.
    pub audience: Audience,
    /// Graph's `message` object, with variables, as JSON.
    pub message: String,
    /// Values for the variables, as JSON.
    pub variables: String,
    /// The saved message that it is made of, and its version.
    pub template: Option<(TemplateId, i32)>,
    /// Time between two messages.
    pub interval: Duration,
    /// When it begins; at once if it is past.
    pub starts_at: Millis,
}

/// How many customers of a broadcast are in each state, and why they were spared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BroadcastCounts {
    /// By state.
    pub states: HashMap<RecipientState, u64>,
    /// Of those that were spared, by reason.
    pub skipped: HashMap<Skipped, u64>,
}

/// Whom a broadcast would reach now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// How many would be sent it.
    pub ready: u64,
    /// How many would be spared, by reason.
    pub spared: HashMap<Skipped, u64>,
    /// How many of those that would be sent it have no name that is known.
    pub unnamed: u64,
}

/// What came of changing the state of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It has the state now.
    Now(Box<Model>),
    /// It cannot have it: this is its state.
    No(Box<Model>),
    /// There is none.
    Missing,
}

#[derive(FromQueryResult)]
struct Counted {
    state: String,
    reason: Option<String>,
    n: i64,
}

#[derive(FromQueryResult)]
struct Reached {
    state: String,
    n: i64,
    unnamed: i64,
}

impl Store {
    /// Makes a broadcast.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_broadcast(
        &self,
        connection: &Connection,
        new: NewBroadcast,
        actor: &Actor,
    ) -> Result<Model> {
        let tx = self.begin().await?;
        let now = tx.now().await?;
        let interval_us = i64::try_from(new.interval.as_micros()).unwrap_or(i64::MAX);
        let row = Model {
            id: new.id,
            connection_id: connection.id,
            name: new.name,
            state: BroadcastState::Scheduled.into(),
            audience: serde_json::to_string(&new.audience).unwrap_or_else(|_| "{}".to_owned()),
            message: new.message,
            variables: new.variables,
            template_id: new.template.map(|(id, _)| id),
            template_version: new.template.map(|(_, version)| version),
            interval_us,
            starts_at: Ord::max(new.starts_at, now),
            collected: false,
            collected_to: None,
            recipients: 0,
            next_us: 0,
            look_at: 0,
            told: 0,
            worker: None,
            reserved_until: 0,
            actor: actor.name.clone(),
            actor_id: actor.id.clone(),
            created_at: now,
            started_at: None,
            finished_at: None,
        };
        row.clone().into_active_model().insert(tx.connection()).await?;
        let created = Activity::of_connection(connection, ActivityKind::BroadcastCreated, actor);
        let created = created.about(&row.id).with("broadcastId", row.id.to_string());
        tx.record_at(&created.with("name", row.name.as_str()), now).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// A page of the broadcasts of these accounts, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn broadcasts(
        &self,
        connections: &[ConnectionId],
        place: (Option<BroadcastId>, u64, u64),
    ) -> Result<Page<Model, BroadcastId>> {
        let select = Entity::find().filter(Column::ConnectionId.is_in(connections.iter().copied()));
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// A broadcast of one of these accounts.
    ///
    /// # Errors
    /// What the database says.
    pub async fn broadcast(&self, connections: &[ConnectionId], id: BroadcastId) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id).filter(Column::ConnectionId.is_in(connections.iter().copied()));
        Ok(one.one(&self.writer()).await?)
    }

    /// A page of what became of a broadcast for each customer, the newest chats first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn recipients(
        &self,
        id: BroadcastId,
        state: Option<RecipientState>,
        place: (Option<ChatId>, u64, u64),
    ) -> Result<Page<broadcast_recipient::Model, ChatId>> {
        use broadcast_recipient::Column as Of;
        let select = broadcast_recipient::Entity::find()
            .filter(Of::BroadcastId.eq(id))
            .apply_if(state, |select, state| select.filter(Of::State.eq(state.as_str())));
        self.newest(select, Of::ChatId, place, |row| row.chat_id).await
    }

    /// How far a broadcast has come.
    ///
    /// # Errors
    /// What the database says.
    pub async fn broadcast_counts(&self, id: BroadcastId) -> Result<BroadcastCounts> {
        use broadcast_recipient::Column as Of;
        let counts = broadcast_recipient::Entity::find()
            .select_only()
            .columns([Of::State, Of::Reason])
            .column_as(Of::ChatId.count(), "n")
            .filter(Of::BroadcastId.eq(id))
            .group_by(Of::State)
            .group_by(Of::Reason);
        let mut all = BroadcastCounts::default();
        for Counted { state, reason, n } in rows(&self.reader(), &counts.into_query()).await? {
            let (Some(state), n) = (RecipientState::parse(&state), u64::try_from(n).unwrap_or(0)) else {
                continue;
            };
            *all.states.entry(state).or_default() += n;
            if let (RecipientState::Skipped, Some(why)) = (state, reason.as_deref().and_then(Skipped::parse))
            {
                *all.skipped.entry(why).or_default() += n;
            }
        }
        Ok(all)
    }

    /// Whom a broadcast would reach now, and why others would be spared.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reach(&self, connection: ConnectionId, audience: &Audience) -> Result<Reach> {
        let nameless = chat::Column::Name.is_null().and(chat::Column::Username.is_null());
        let is_silent = chat::Column::Mode.ne(ChatMode::Bot.as_str());
        let is_busy = chat::Column::FirstUnansweredAt
            .is_not_null()
            .or(chat::Column::TurnDueAt.is_not_null())
            .or(chat::Column::OutboxDueAt.is_not_null());
        let state = self
            .out_of_reach()
            .case(is_silent, literal(Skipped::HumanAnswers.as_str()))
            .case(is_busy, literal(Skipped::AgentAnswers.as_str()))
            .finally(literal(READY));
        let counts = audience
            .chats(connection)
            .select_only()
            .expr_as(state, "state")
            .column_as(chat::Column::Id.count(), "n")
            .expr_as(crate::query::count_if(nameless), "unnamed")
            .group_by(Expr::col("state"));
        let mut reach = Reach::default();
        for Reached { state, n, unnamed } in rows(&self.reader(), &counts.into_query()).await? {
            let n = u64::try_from(n).unwrap_or(0);
            if let Some(why) = Skipped::parse(&state) {
                reach.spared.insert(why, n);
            } else {
                (reach.ready, reach.unnamed) = (n, u64::try_from(unnamed).unwrap_or(0));
            }
        }
        Ok(reach)
    }

    /// Why a chat will not be reached, whatever happens in it but a message of the customer.
    pub(crate) fn out_of_reach(&self) -> CaseStatement {
        let is_closed = chat::Column::WindowExpiresAt
            .is_null()
            .or(chat::Column::WindowExpiresAt.into_expr().lte(self.instant()));
        CaseStatement::new()
            .case(chat::Column::OptedOutAt.is_not_null(), literal(Skipped::OptedOut.as_str()))
            .case(is_closed, literal(Skipped::WindowClosed.as_str()))
    }

    /// Pauses, resumes or ends a broadcast.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_broadcast(
        &self,
        connection: &Connection,
        id: BroadcastId,
        to: BroadcastState,
        actor: &Actor,
    ) -> Result<Changed> {
        use BroadcastState::{Cancelled, Paused, Running, Scheduled};
        let tx = self.begin().await?;
        let of_account = Entity::find_by_id(id).filter(Column::ConnectionId.eq(connection.id));
        let Some(row) = of_account.lock_exclusive().one(tx.connection()).await? else {
            return Ok(Changed::Missing);
        };
        let Some(from) = row.state.known() else { return Ok(Changed::No(Box::new(row))) };
        let to = match to {
            // It goes on where it was.
            Scheduled if row.started_at.is_some() => Running,
            other => other,
        };
        if from == to {
            return Ok(Changed::Now(Box::new(row)));
        }
        let may = match to {
            Paused => matches!(from, Scheduled | Running),
            Scheduled | Running => from == Paused,
            Cancelled => matches!(from, Scheduled | Running | Paused),
            BroadcastState::Done => false,
        };
        if !may {
            return Ok(Changed::No(Box::new(row)));
        }
        let now = tx.now().await?;
        let row = Model { state: to.into(), finished_at: (to == Cancelled).then_some(now), ..row };
        let change = broadcast::ActiveModel {
            id: Set(row.id),
            state: Set(row.state.clone()),
            finished_at: Set(row.finished_at),
            ..Default::default()
        };
        change.update(tx.connection()).await?;
        tx.record_broadcast(connection, &row, (ActivityKind::BroadcastChanged, actor), now).await?;
        tx.commit().await?;
        Ok(Changed::Now(Box::new(row)))
    }
}

impl Tx {
    pub(crate) async fn record_broadcast(
        &self,
        connection: &Connection,
        row: &Model,
        (kind, actor): (ActivityKind, &Actor),
        now: Millis,
    ) -> Result<()> {
        let activity = Activity::of_connection(connection, kind, actor)
            .about(&row.id)
            .with("broadcastId", row.id.to_string())
            .with("name", row.name.as_str())
            .with("state", row.state.to_string())
            .with("percent", row.told.saturating_mul(10));
        self.record_at(&activity, now).await
    }

    /// What broadcasts know of a customer who is erased.
    pub(crate) async fn forget_recipient(&self, chat: ChatId) -> Result<()> {
        let of_chat = broadcast_recipient::Column::ChatId.eq(chat);
        broadcast_recipient::Entity::delete_many().filter(of_chat).exec(self.connection()).await?;
        Ok(())
    }

    /// The broadcasts of an account that is erased.
    pub(crate) async fn forget_broadcasts_of(&self, connection: ConnectionId) -> Result<()> {
        let db = self.connection();
        let of_account =
            Entity::find().select_only().column(Column::Id).filter(Column::ConnectionId.eq(connection));
        let recipients = broadcast_recipient::Column::BroadcastId.in_subquery(of_account.into_query());
        broadcast_recipient::Entity::delete_many().filter(recipients).exec(db).await?;
        Entity::delete_many().filter(Column::ConnectionId.eq(connection)).exec(db).await?;
        Ok(())
    }
}
