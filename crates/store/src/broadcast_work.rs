//! How broadcasts are carried out: claimed by a worker, written down customer by customer, and followed to their end.

use crate::broadcasts::Audience;
use crate::bulk::{Column as Field, Kind, Rows};
use crate::query::literal;
use crate::{ActivityKind, Connection, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{BroadcastId, ChatId, ConnectionId, MessageId, WorkerId};
use dmrelay_domain::states::{BroadcastState, MessageStatus, RecipientState, Skipped};
use dmrelay_entity::broadcast::{self, Column, Entity, Model};
use dmrelay_entity::{broadcast_recipient, chat, message};
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Recipients that are written down in one go.
const PAGE: u64 = 1_000;

/// What became of an attempt to tell a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The message is in the outbox.
    Queued,
    /// They are spared.
    Skipped(Skipped),
    /// Not now; it is tried again after this.
    Later(Skipped, Duration),
}

/// A customer who is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRecipient {
    /// The conversation.
    pub chat: ChatId,
    /// The id of the message, the same for each attempt.
    pub message: MessageId,
    /// How often it was tried in vain.
    pub tries: i32,
}

const DUE: &[Field] = &[Field("chat_id", Kind::Uuid), Field("message_id", Kind::Uuid)];

impl Store {
    /// Claims broadcasts that have something to do, for this worker alone and until `lease` has passed: one of each account, which is the
    /// one that was to begin first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_broadcasts(
        &self,
        worker: WorkerId,
        lease: Duration,
        most: usize,
    ) -> Result<Vec<Model>> {
        let tx = self.begin().await?;
        let now = tx.now().await?;
        let active = || {
            let active = [BroadcastState::Scheduled, BroadcastState::Running].map(BroadcastState::as_str);
            Column::State.into_expr().is_in(crate::query::literals(active))
        };
        let due: Vec<(BroadcastId, ConnectionId)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::ConnectionId])
            .filter(active())
            .filter(Column::StartsAt.lte(now))
            .order_by_asc(Column::StartsAt)
            .order_by_asc(Column::Id)
            .into_tuple()
            .all(tx.connection())
            .await?;
        let mut accounts = HashSet::new();
        let first_of_each =
            due.into_iter().filter(|(_, account)| accounts.insert(*account)).map(|(id, _)| id);
        // Somebody may have paused or ended one meanwhile.
        let free = Entity::find()
            .filter(Column::Id.is_in(first_of_each))
            .filter(active())
            .filter(Column::ReservedUntil.lte(now))
            .filter(Column::LookAt.lte(now))
            .order_by_asc(Column::LookAt)
            .limit(most as u64)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        let mut claimed = free.all(tx.connection()).await?;
        for row in &mut claimed {
            (row.worker, row.reserved_until) = (Some(worker), now + millis(lease));
            row.state = BroadcastState::Running.into();
            row.started_at.get_or_insert(now);
            let change = broadcast::ActiveModel {
                id: Set(row.id),
                worker: Set(row.worker),
                reserved_until: Set(row.reserved_until),
                state: Set(row.state.clone()),
                started_at: Set(row.started_at),
                ..Default::default()
            };
            change.update(tx.connection()).await?;
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// Whether a broadcast still is this worker's to send.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_broadcast_ours(&self, id: BroadcastId, worker: WorkerId) -> Result<bool> {
        let one = Entity::find_by_id(id)
            .filter(Column::Worker.eq(worker))
            .filter(Column::State.eq(BroadcastState::Running.as_str()))
            .filter(Column::ReservedUntil.into_expr().gt(self.clock()));
        Ok(one.one(&self.writer()).await?.is_some())
    }

    /// Gives a broadcast back; its next message may be sent at `next_us`, and it is looked at again after `wait`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_back_broadcast(
        &self,
        id: BroadcastId,
        worker: WorkerId,
        (next_us, wait): (i64, Duration),
    ) -> Result<()> {
        let give = Entity::update_many()
            .col_expr(Column::ReservedUntil, literal(0_i64))
            .col_expr(Column::NextUs, Expr::val(next_us))
            .col_expr(Column::LookAt, self.clock().add(millis(wait)))
            .filter(Column::Id.eq(id))
            .filter(Column::Worker.eq(worker));
        give.exec(&self.writer()).await?;
        Ok(())
    }

    /// Stores the next page of a broadcast's recipients. Gives whether it was the last.
    ///
    /// # Errors
    /// What the database says.
    pub async fn collect_recipients(&self, row: &Model, worker: WorkerId) -> Result<bool> {
        let tx = self.begin().await?;
        let ours = Entity::find_by_id(row.id).filter(Column::Worker.eq(worker)).lock_exclusive();
        let Some(row) = ours.one(tx.connection()).await?.filter(|row| !row.collected) else {
            return Ok(true);
        };
        let audience: Audience = serde_json::from_str(&row.audience).unwrap_or_default();
        let now = tx.now().await?;
        let page: Vec<(ChatId, Option<String>)> = audience
            .chats(row.connection_id)
            .select_only()
            .column(chat::Column::Id)
            .expr_as(self.out_of_reach().finally(Expr::cust("NULL")), "why")
            .apply_if(row.collected_to, |select, after| select.filter(chat::Column::Id.gt(after)))
            .order_by_asc(chat::Column::Id)
            .limit(PAGE)
            .into_tuple()
            .all(tx.connection())
            .await?;
        let recipient = |(chat, why): &(ChatId, Option<String>)| {
            let why = why.as_deref().and_then(Skipped::parse);
            let state = if why.is_some() { RecipientState::Skipped } else { RecipientState::Pending };
            broadcast_recipient::ActiveModel {
                broadcast_id: Set(row.id),
                chat_id: Set(*chat),
                state: Set(state.into()),
                reason: Set(why.map(Into::into)),
                message_id: Set(None),
                tries: Set(0),
                due_at: Set(now),
                at: Set(now),
            }
        };
        if !page.is_empty() {
            let once = OnConflict::new().do_nothing().to_owned();
            let insert =
                broadcast_recipient::Entity::insert_many(page.iter().map(recipient)).on_conflict(once);
            insert.exec_without_returning(tx.connection()).await?;
        }
        let is_last = (page.len() as u64) < PAGE;
        let change = broadcast::ActiveModel {
            id: Set(row.id),
            collected: Set(is_last),
            collected_to: Set(page.last().map(|(chat, _)| *chat).or(row.collected_to)),
            recipients: Set(row.recipients + i64::try_from(page.len()).unwrap_or(0)),
            ..Default::default()
        };
        change.update(tx.connection()).await?;
        tx.commit().await?;
        Ok(is_last)
    }

    /// The customers that are told next, each with the id of their message, which from now on stays the same.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due_recipients(&self, id: BroadcastId, most: u64) -> Result<Vec<DueRecipient>> {
        use broadcast_recipient::Column as Of;
        let of = broadcast_recipient::Entity::find()
            .filter(Of::BroadcastId.eq(id))
            .filter(Of::State.into_expr().eq(literal(RecipientState::Pending.as_str())));
        let due: Vec<ChatId> = of
            .clone()
            .select_only()
            .column(Of::ChatId)
            .filter(Of::DueAt.into_expr().lte(self.clock()))
            .order_by_asc(Of::DueAt)
            .order_by_asc(Of::ChatId)
            .limit(most)
            .into_tuple()
            .all(&self.writer())
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut new = Rows::new(DUE);
        for chat in &due {
            new.push(vec![(*chat).into(), MessageId::new().into()]);
        }
        let mut values = vec![id.into()];
        let source = new.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "UPDATE broadcast_recipients SET message_id = u.message_id FROM {source} \
             WHERE broadcast_recipients.broadcast_id = $1 AND broadcast_recipients.chat_id = u.chat_id \
                AND broadcast_recipients.message_id IS NULL"
        );
        self.execute(&sql, values).await?;
        let named = of.filter(Of::ChatId.is_in(due)).all(&self.writer()).await?;
        let due = |row: broadcast_recipient::Model| {
            Some(DueRecipient { chat: row.chat_id, message: row.message_id?, tries: row.tries })
        };
        Ok(named.into_iter().filter_map(due).collect())
    }

    /// How long until the next customer is due; `None` if nobody waits.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next_recipient(&self, id: BroadcastId) -> Result<Option<Duration>> {
        use broadcast_recipient::Column as Of;
        let next: Option<i64> = broadcast_recipient::Entity::find()
            .select_only()
            .column(Of::DueAt)
            .filter(Of::BroadcastId.eq(id))
            .filter(Of::State.into_expr().eq(literal(RecipientState::Pending.as_str())))
            .order_by_asc(Of::DueAt)
            .limit(1)
            .into_tuple()
            .one(&self.writer())
            .await?;
        let now = self.now().await?;
        Ok(next.map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0))))
    }

    /// Deletes one batch of what became of customers of broadcasts that ended so long ago, and then the broadcasts. Gives how many rows.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_broadcasts(&self, age: Duration, batch: u64) -> Result<u64> {
        use broadcast_recipient::Column as Of;
        let ended = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::FinishedAt.into_expr().lt(self.clock().sub(millis(age))))
            .order_by_asc(Column::Id)
            .limit(1)
            .into_tuple::<BroadcastId>();
        let Some(id) = ended.one(&self.writer()).await? else { return Ok(0) };
        let some: Vec<ChatId> = broadcast_recipient::Entity::find()
            .select_only()
            .column(Of::ChatId)
            .filter(Of::BroadcastId.eq(id))
            .limit(batch)
            .into_tuple()
            .all(&self.writer())
            .await?;
        if some.is_empty() {
            return Ok(Entity::delete_by_id(id).exec(&self.writer()).await?.rows_affected);
        }
        let delete = broadcast_recipient::Entity::delete_many()
            .filter(Of::BroadcastId.eq(id))
            .filter(Of::ChatId.is_in(some));
        Ok(delete.exec(&self.writer()).await?.rows_affected)
    }

    /// Records what became of attempts to tell customers.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_told(&self, id: BroadcastId, told: &[(ChatId, Told)]) -> Result<()> {
        use broadcast_recipient::Column as Of;
        let mut outcomes: Vec<Told> = Vec::new();
        for (_, outcome) in told {
            if !outcomes.contains(outcome) {
                outcomes.push(*outcome);
            }
        }
        for outcome in outcomes {
            let chats = told.iter().filter(|(_, other)| *other == outcome).map(|(chat, _)| *chat);
            let (state, reason, wait) = match outcome {
                Told::Queued => (RecipientState::Queued, None, Duration::ZERO),
                Told::Skipped(why) => (RecipientState::Skipped, Some(why), Duration::ZERO),
                Told::Later(why, wait) => (RecipientState::Pending, Some(why), wait),
            };
            let tried = i32::from(matches!(outcome, Told::Later(..)));
            let change = broadcast_recipient::Entity::update_many()
                .col_expr(Of::State, literal(state.as_str()))
                .col_expr(Of::Reason, Expr::val(reason.map(Skipped::as_str)))
                .col_expr(Of::DueAt, self.clock().add(millis(wait)))
                .col_expr(Of::Tries, Of::Tries.into_expr().add(tried))
                .col_expr(Of::At, self.clock())
                .filter(Of::BroadcastId.eq(id))
                .filter(Of::State.eq(RecipientState::Pending.as_str()))
                .filter(Of::ChatId.is_in(chats));
            change.exec(&self.writer()).await?;
        }
        Ok(())
    }

    /// Records of messages on their way what has become of them. Gives how many still are.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle_recipients(&self, id: BroadcastId) -> Result<u64> {
        use broadcast_recipient::Column as Of;
        let queued = broadcast_recipient::Entity::find()
            .filter(Of::BroadcastId.eq(id))
            .filter(Of::State.into_expr().eq(literal(RecipientState::Queued.as_str())))
            .all(&self.writer())
            .await?;
        if queued.is_empty() {
            return Ok(0);
        }
        let ids = queued.iter().filter_map(|recipient| recipient.message_id);
        let messages =
            message::Entity::find().filter(message::Column::Id.is_in(ids)).all(&self.writer()).await?;
        let messages: HashMap<MessageId, message::Model> =
            messages.into_iter().map(|row| (row.id, row)).collect();
        let mut over: HashMap<(RecipientState, Option<String>), Vec<ChatId>> = HashMap::new();
        let mut on_their_way = 0;
        for recipient in queued {
            let message = recipient.message_id.and_then(|id| messages.get(&id));
            match message.map_or(Some((RecipientState::Skipped, Some(Skipped::Gone.to_string()))), outcome_of)
            {
                Some(outcome) => over.entry(outcome).or_default().push(recipient.chat_id),
                None => on_their_way += 1,
            }
        }
        for ((state, reason), chats) in over {
            let change = broadcast_recipient::Entity::update_many()
                .col_expr(Of::State, literal(state.as_str()))
                .col_expr(Of::Reason, Expr::val(reason))
                .col_expr(Of::At, self.clock())
                .filter(Of::BroadcastId.eq(id))
                .filter(Of::ChatId.is_in(chats));
            change.exec(&self.writer()).await?;
        }
        Ok(on_their_way)
    }

    /// Ends a broadcast if everybody has had it, or was spared; tells of each tenth of the way. Gives whether it is over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn advance_broadcast(&self, connection: &Connection, id: BroadcastId) -> Result<bool> {
        let counts = self.broadcast_counts(id).await?;
        let of = |state| counts.states.get(&state).copied().unwrap_or(0);
        let left = of(RecipientState::Pending) + of(RecipientState::Queued);
        let all: u64 = counts.states.values().sum();
        let tx = self.begin().await?;
        let running = Entity::find_by_id(id).filter(Column::State.eq(BroadcastState::Running.as_str()));
        let row = running.lock_exclusive().one(tx.connection()).await?;
        let Some(row) = row.filter(|row| row.collected) else { return Ok(false) };
        let now = tx.now().await?;
        let is_over = left == 0;
        let tenths = ((all - left) * 10).checked_div(all).unwrap_or(10);
        let told = i32::try_from(tenths).unwrap_or(10);
        if !is_over && told <= row.told {
            return Ok(false);
        }
        let state = if is_over { BroadcastState::Done } else { BroadcastState::Running };
        let row = Model { state: state.into(), told, finished_at: is_over.then_some(now), ..row };
        let change = broadcast::ActiveModel {
            id: Set(row.id),
            state: Set(row.state.clone()),
            told: Set(told),
            finished_at: Set(row.finished_at),
            ..Default::default()
        };
        change.update(tx.connection()).await?;
        let kind = if is_over { ActivityKind::BroadcastChanged } else { ActivityKind::BroadcastProgress };
        tx.record_broadcast(connection, &row, (kind, &Actor::from("system")), now).await?;
        tx.commit().await?;
        Ok(is_over)
    }
}

/// What a message's state means for its recipient; `None` while it may still change on its own.
fn outcome_of(message: &message::Model) -> Option<(RecipientState, Option<String>)> {
    match message.status.known()? {
        MessageStatus::Sent => Some((RecipientState::Sent, None)),
        MessageStatus::Unknown if message.deadline.is_none() => Some((RecipientState::Unknown, None)),
        MessageStatus::Failed => Some((RecipientState::Failed, None)),
        MessageStatus::Suppressed | MessageStatus::Cancelled => {
            let why = message.error_code.as_deref().and_then(Skipped::parse).unwrap_or(Skipped::HumanAnswers);
            Some((RecipientState::Skipped, Some(why.to_string())))
        }
        MessageStatus::Received | MessageStatus::Queued | MessageStatus::Sending | MessageStatus::Unknown => {
            None
        }
    }
}
