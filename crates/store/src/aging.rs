//! What a demo needs: time goes by for one conversation.

use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::ChatId;
use dmrelay_entity::{activity, chat, chat_triage, message, turn};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, UpdateMany};
use std::time::Duration;

impl Store {
    /// Moves every time of a conversation back, as if so much time had gone by for it: its window closes, a takeover ends. For demos:
    /// what is under way meanwhile is not moved.
    ///
    /// # Errors
    /// What the database says; then nothing is moved.
    pub async fn let_pass(&self, ChatId(id): ChatId, time: Duration) -> Result<()> {
        let by = millis(time);
        let tx = self.begin().await?;
        let chat = {
            use chat::Column::{
                CreatedAt, FirstUnansweredAt, LastMessageAt, OutboxDueAt, ResumeAt, TurnDueAt,
                WindowExpiresAt,
            };
            let times = [
                CreatedAt,
                FirstUnansweredAt,
                LastMessageAt,
                OutboxDueAt,
                ResumeAt,
                TurnDueAt,
                WindowExpiresAt,
            ];
            earlier(chat::Entity::update_many(), times, by).filter(chat::Column::Id.eq(id))
        };
        chat.exec(tx.connection()).await?;
        let messages = {
            use message::Column::{
                At, ConfirmedAt, CreatedAt, Deadline, ReadAt, ReceivedAt, SentAt, StartedAt,
            };
            let times = [At, ConfirmedAt, CreatedAt, Deadline, ReadAt, ReceivedAt, SentAt, StartedAt];
            earlier(message::Entity::update_many(), times, by).filter(message::Column::ChatId.eq(id))
        };
        messages.exec(tx.connection()).await?;
        let turns = {
            use turn::Column::{Deadline, FinishedAt, ReceivedAt, StartedAt, WrittenAt};
            let times = [Deadline, FinishedAt, ReceivedAt, StartedAt, WrittenAt];
            earlier(turn::Entity::update_many(), times, by).filter(turn::Column::ChatId.eq(id))
        };
        turns.exec(tx.connection()).await?;
        let triage = earlier(chat_triage::Entity::update_many(), [chat_triage::Column::SnoozedUntil], by);
        triage.filter(chat_triage::Column::ChatId.eq(id)).exec(tx.connection()).await?;
        let activities = earlier(activity::Entity::update_many(), [activity::Column::At], by);
        activities.filter(activity::Column::Subject.eq(id.to_string())).exec(tx.connection()).await?;
        tx.commit().await
    }
}

/// Sets columns to times that are so many milliseconds earlier.
fn earlier<E: EntityTrait>(
    update: UpdateMany<E>,
    times: impl IntoIterator<Item = E::Column>,
    by: i64,
) -> UpdateMany<E> {
    times.into_iter().fold(update, |update, time| update.col_expr(time, time.into_expr().sub(by)))
}
