//! What an inbox shows of each chat beside its row: the last message, how many of the customer's messages a person has not read, and
//! how many failures are open. A fixed number of statements for a page of chats, however many there are.

use crate::query::{insert, rows};
use crate::{Result, Store, Triage, dead_letters};
use dmrelay_domain::ids::{ChatId, MessageId};
use dmrelay_domain::states::{Author, DeadLetterState, MessageStatus};
use dmrelay_entity::chat_read::{Column, Entity};
use dmrelay_entity::{chat, dead_letter, message};
use sea_orm::sea_query::{CaseStatement, Condition, Expr, ExprTrait, Func, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait,
};
use std::collections::HashMap;

/// The last message is looked for among so many; what lies between are notes and what is left of reactions.
const LAST_AMONG: i64 = 20;

/// Unread messages are counted among the newest of a chat, so many.
const UNREAD_AMONG: i64 = 100;

/// What an inbox shows of a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatSummary {
    /// The last message of either side; `None` if there is none among the newest.
    pub last_message: Option<message::Model>,
    /// Messages of the customer that the reader has not read, among the newest 100 of the chat.
    pub unread: u64,
    /// Open dead letters.
    pub open_failures: u64,
    /// What people have decided about it.
    pub triage: Triage,
}

#[derive(FromQueryResult)]
struct Count {
    chat_id: ChatId,
    n: i64,
}

impl Store {
    /// The summaries of these chats, for a reader.
    ///
    /// # Errors
    /// What the database says.
    pub async fn chat_summaries(
        &self,
        chats: &[ChatId],
        reader: &str,
    ) -> Result<HashMap<ChatId, ChatSummary>> {
        let mut summaries: HashMap<ChatId, ChatSummary> =
            chats.iter().map(|id| (*id, ChatSummary::default())).collect();
        if chats.is_empty() {
            return Ok(summaries);
        }
        for message in self.last_messages(chats).await? {
            let summary = summaries.entry(message.chat_id).or_default();
            if summary.last_message.as_ref().is_none_or(|known| known.seq < message.seq) {
                summary.last_message = Some(message);
            }
        }
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        for Count { chat_id, n } in self.unread(chats, reader).await? {
            summaries.entry(chat_id).or_default().unread = count(n);
        }
        for Count { chat_id, n } in self.open_failures(chats).await? {
            summaries.entry(chat_id).or_default().open_failures = count(n);
        }
        for (id, triage) in self.triage(chats).await? {
            summaries.entry(id).or_default().triage = triage;
        }
        Ok(summaries)
    }

    async fn last_messages(&self, chats: &[ChatId]) -> Result<Vec<message::Model>> {
        let newest = message::Entity::find()
            .inner_join(chat::Entity)
            .filter(chat::Column::Id.is_in(chats.iter().copied()))
            .filter(is_recent())
            .filter(is_said());
        self.list_all(newest).await
    }

    async fn unread(&self, chats: &[ChatId], reader: &str) -> Result<Vec<Count>> {
        let of_reader = Condition::all()
            .add(Expr::col((Entity, Column::ChatId)).eq(Expr::col((chat::Entity, chat::Column::Id))))
            .add(Expr::col((Entity, Column::Reader)).eq(reader));
        let read = Func::coalesce([Expr::col((Entity, Column::Seq)), Expr::val(0_i64)]);
        let seq = || Expr::col((message::Entity, message::Column::Seq));
        let counts = message::Entity::find()
            .select_only()
            .column(message::Column::ChatId)
            .column_as(message::Column::Id.count(), "n")
            .inner_join(chat::Entity)
            .filter(chat::Column::Id.is_in(chats.iter().copied()))
            .filter(seq().gt(Expr::col((chat::Entity, chat::Column::LastSeq)).sub(UNREAD_AMONG)))
            .filter(seq().gt(read))
            .filter(message::Column::Author.eq(Author::User.as_str()))
            .filter(is_said())
            .group_by(message::Column::ChatId)
            .into_query()
            .left_join(Entity, of_reader)
            .take();
        self.list_rows(&counts).await
    }

    async fn open_failures(&self, chats: &[ChatId]) -> Result<Vec<Count>> {
        let counts = dead_letter::Entity::find()
            .select_only()
            .column(dead_letter::Column::ChatId)
            .column_as(dead_letter::Column::Id.count(), "n")
            .filter(dead_letter::Column::ChatId.is_in(chats.iter().copied()))
            .filter(dead_letters::is(DeadLetterState::Open))
            .group_by(dead_letter::Column::ChatId)
            .into_query();
        rows(&self.reader(), &counts).await
    }

    /// Up to which message somebody has read a chat; 0 if they have not.
    ///
    /// # Errors
    /// What the database says.
    pub async fn read_up_to(&self, chat: ChatId, reader: &str) -> Result<i64> {
        let read = Entity::find_by_id((chat, reader.to_owned())).one(&self.reader()).await?;
        Ok(read.map_or(0, |read| read.seq))
    }

    /// Somebody has read a chat up to a message, or all that is in it. What was read stays read. False if the chat has no such
    /// message, or is gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn mark_read(
        &self,
        chat: &chat::Model,
        reader: &str,
        up_to: Option<MessageId>,
    ) -> Result<bool> {
        let seq = match up_to {
            None => chat.last_seq,
            Some(id) => {
                let message = self.message(id).await?.filter(|message| message.chat_id == chat.id);
                let Some(message) = message else { return Ok(false) };
                message.seq
            }
        };
        let known = Expr::col((Entity, Column::Seq));
        let further = CaseStatement::new().case(known.clone().lt(seq), seq).finally(known);
        let read = insert::<Entity>([
            (Column::ChatId, chat.id.into()),
            (Column::Reader, reader.into()),
            (Column::Seq, seq.into()),
            (Column::At, self.clock()),
        ])
        .on_conflict(
            OnConflict::columns([Column::ChatId, Column::Reader])
                .value(Column::Seq, further)
                .value(Column::At, self.clock())
                .to_owned(),
        )
        .take();
        let tx = self.begin().await?;
        if !tx.holds_chat(chat.id).await? {
            return Ok(false);
        }
        tx.connection().execute(&read).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The message is among the newest of its chat.
pub(crate) fn is_recent() -> Expr {
    let last = Expr::col((chat::Entity, chat::Column::LastSeq));
    Expr::col((message::Entity, message::Column::Seq)).gt(last.sub(LAST_AMONG))
}

/// The message is one that somebody wrote and the other side has, or will have: no note, nothing that is left of a reaction to a message
/// that has not come, and no reply that was held back or failed.
pub(crate) fn is_said() -> Condition {
    let kind = Expr::col((message::Entity, message::Column::Kind));
    let never_sent = [MessageStatus::Suppressed, MessageStatus::Cancelled, MessageStatus::Failed];
    Condition::all()
        .add(kind.ne("stub"))
        .add(message::Column::Author.ne(Author::System.as_str()))
        .add(message::Column::Status.is_not_in(never_sent.map(MessageStatus::as_str)))
}
