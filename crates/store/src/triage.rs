//! What people decide about chats: who looks after one, its tags, until when it is out of sight, and notes. Nothing of it reaches the
//! customer or the agent. It is in tables of its own, so that it never waits for the pipeline, nor the pipeline for it.

use crate::pages::Page;
use crate::query::literal;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, NoteId, id_at};
use dmrelay_entity::{chat, chat_note, chat_tag, chat_triage};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
};
use std::collections::BTreeSet;

/// What people have decided about a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Triage {
    /// Who looks after it.
    pub assignee: Option<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// The customer's language, as a tag of BCP 47.
    pub language: Option<String>,
    /// Until when it is in no folder, in milliseconds.
    pub snoozed_until: Option<Millis>,
    /// The number of the last message when that was decided: a later one ends it.
    pub snoozed_seq: i64,
}

/// Maximum number of tags of a chat.
pub const TAGS_MAX: usize = 20;

impl Triage {
    /// Adds tags, as many as there is room for.
    pub fn add_tags(&mut self, tags: impl IntoIterator<Item = String>) {
        for tag in tags {
            if self.tags.len() < TAGS_MAX {
                self.tags.insert(tag);
            }
        }
    }
}

/// Which chats by who looks after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// To nobody.
    Nobody,
    /// To this one.
    To(String),
}

/// Stands for the number of the last message by the time that a snooze is written down.
const LAST_SEQ: i64 = i64::MAX;

impl Triage {
    /// Takes the chat out of sight until then, or until the next message; `None` ends that.
    pub fn snooze(&mut self, until: Option<Millis>) {
        (self.snoozed_until, self.snoozed_seq) = (until, LAST_SEQ);
    }

    /// Whether the chat is out of sight.
    pub fn is_snoozed(&self, chat: &chat::Model, now: Millis) -> bool {
        self.snoozed_until.is_some_and(|until| now < until) && chat.last_seq <= self.snoozed_seq
    }
}

impl Store {
    /// Changes what was decided about a chat. `None` if the chat is gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_triage(
        &self,
        connection: &Connection,
        id: ChatId,
        actor: &Actor,
        change: impl FnOnce(&mut Triage) + Send,
    ) -> Result<Option<Triage>> {
        let tx = self.begin().await?;
        let db = tx.connection();
        if !tx.holds_chat(id).await? {
            return Ok(None);
        }
        let of_chat = chat::Entity::find_by_id(id).filter(chat::Column::ConnectionId.eq(connection.id));
        let Some(chat) = of_chat.one(db).await? else { return Ok(None) };
        let now = tx.now().await?;
        let empty = chat_triage::ActiveModel {
            chat_id: Set(id),
            connection_id: Set(connection.id),
            assignee: Set(None),
            snoozed_until: Set(None),
            snoozed_seq: Set(0),
            language: Set(None),
        };
        let once = OnConflict::column(chat_triage::Column::ChatId).do_nothing().to_owned();
        chat_triage::Entity::insert(empty).on_conflict(once).exec_without_returning(db).await?;
        // Whoever changes it at the same time waits here.
        let row = chat_triage::Entity::find_by_id(id).lock_exclusive().one(db).await?;
        let tags = chat_tag::Entity::find().filter(chat_tag::Column::ChatId.eq(id)).all(db).await?;
        let before = triage_of(row, tags.into_iter().map(|tag| tag.tag));
        let mut triage = before.clone();
        change(&mut triage);
        if triage.snoozed_seq == LAST_SEQ {
            triage.snoozed_seq = triage.snoozed_until.map_or(before.snoozed_seq, |_| chat.last_seq);
        }
        if triage == before {
            return Ok(Some(triage));
        }
        tx.put_triage(connection, id, &triage).await?;
        let activity = Activity::of_connection(connection, ActivityKind::ChatTriaged, actor)
            .about(&id)
            .with("chatId", id.to_string())
            .with("assignee", triage.assignee.as_deref())
            .with("language", triage.language.as_deref())
            .with("tags", triage.tags.iter().map(String::as_str).collect::<Vec<_>>())
            .with("snoozedUntil", triage.snoozed_until);
        tx.record_at(&activity, now).await?;
        tx.commit().await?;
        Ok(Some(triage))
    }

    /// Writes a note about a chat. `None` if the chat is gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn add_note(
        &self,
        connection: &Connection,
        chat: ChatId,
        text: &str,
        actor: &Actor,
    ) -> Result<Option<chat_note::Model>> {
        let tx = self.begin().await?;
        if !tx.holds_chat(chat).await? {
            return Ok(None);
        }
        let now = tx.now().await?;
        let note = chat_note::ActiveModel {
            id: Set(id_at(now)),
            chat_id: Set(chat),
            text: Set(text.to_owned()),
            author: Set(actor.name.clone()),
            author_id: Set(actor.id.clone()),
            created_at: Set(now),
        };
        let note = note.insert(tx.connection()).await?;
        tx.record_note(connection, &note, ActivityKind::ChatNoteAdded, actor).await?;
        tx.commit().await?;
        Ok(Some(note))
    }

    /// Deletes a note about a chat. False if there is no such note.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_note(
        &self,
        connection: &Connection,
        chat: ChatId,
        id: NoteId,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let note = chat_note::Entity::find_by_id(id).filter(chat_note::Column::ChatId.eq(chat));
        let Some(note) = note.one(tx.connection()).await? else { return Ok(false) };
        chat_note::Entity::delete_by_id(id).exec(tx.connection()).await?;
        tx.record_note(connection, &note, ActivityKind::ChatNoteRemoved, actor).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A page of a chat's notes, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn notes(
        &self,
        chat: ChatId,
        place: (Option<NoteId>, u64, u64),
    ) -> Result<Page<chat_note::Model, NoteId>> {
        let select = chat_note::Entity::find().filter(chat_note::Column::ChatId.eq(chat));
        self.newest(select, chat_note::Column::Id, place, |note| note.id).await
    }

    /// What was decided about these chats; of which nothing was, nothing is given.
    pub(crate) async fn triage(&self, chats: &[ChatId]) -> Result<Vec<(ChatId, Triage)>> {
        let tags = chat_tag::Entity::find().filter(chat_tag::Column::ChatId.is_in(chats.iter().copied()));
        let tags = tags.all(&self.reader()).await?;
        let rows =
            chat_triage::Entity::find().filter(chat_triage::Column::ChatId.is_in(chats.iter().copied()));
        let of = |row: chat_triage::Model| {
            let id = row.chat_id;
            let tags = tags.iter().filter(|tag| tag.chat_id == id).map(|tag| tag.tag.clone());
            (id, triage_of(Some(row), tags))
        };
        Ok(rows.all(&self.reader()).await?.into_iter().map(of).collect())
    }

    /// The chat of the outer statement is out of sight.
    pub(crate) fn is_snoozed(&self) -> Expr {
        let id = Expr::col((chat_triage::Entity, chat_triage::Column::ChatId));
        let seq = Expr::col((chat_triage::Entity, chat_triage::Column::SnoozedSeq));
        let snoozed = chat_triage::Entity::find()
            .select_only()
            .expr(literal(1))
            .filter(id.eq(Expr::col((chat::Entity, chat::Column::Id))))
            .filter(chat_triage::Column::SnoozedUntil.into_expr().gt(self.instant()))
            .filter(seq.gte(Expr::col((chat::Entity, chat::Column::LastSeq))));
        Expr::exists(snoozed.into_query())
    }
}

impl Tx {
    /// Whether a chat is there. Nobody erases it until the end of the transaction.
    pub(crate) async fn holds_chat(&self, id: ChatId) -> Result<bool> {
        let chat = chat::Entity::find_by_id(id).lock_shared().one(self.connection()).await?;
        Ok(chat.is_some())
    }

    async fn put_triage(&self, connection: &Connection, id: ChatId, triage: &Triage) -> Result<()> {
        let db = self.connection();
        let put = chat_triage::Entity::update_many()
            .col_expr(chat_triage::Column::Assignee, Expr::val(triage.assignee.as_deref()))
            .col_expr(chat_triage::Column::Language, Expr::val(triage.language.as_deref()))
            .col_expr(chat_triage::Column::SnoozedUntil, Expr::val(triage.snoozed_until))
            .col_expr(chat_triage::Column::SnoozedSeq, triage.snoozed_seq.into())
            .filter(chat_triage::Column::ChatId.eq(id));
        put.exec(db).await?;
        chat_tag::Entity::delete_many().filter(chat_tag::Column::ChatId.eq(id)).exec(db).await?;
        if triage.tags.is_empty() {
            return Ok(());
        }
        let tag = |tag: &String| chat_tag::ActiveModel {
            chat_id: Set(id),
            tag: Set(tag.clone()),
            connection_id: Set(connection.id),
        };
        chat_tag::Entity::insert_many(triage.tags.iter().map(tag)).exec_without_returning(db).await?;
        Ok(())
    }

    /// Logs that a note was written or deleted, without what it says.
    async fn record_note(
        &self,
        connection: &Connection,
        note: &chat_note::Model,
        kind: ActivityKind,
        actor: &Actor,
    ) -> Result<()> {
        let activity = Activity::of_connection(connection, kind, actor)
            .about(&note.chat_id)
            .with("chatId", note.chat_id.to_string())
            .with("noteId", note.id.to_string());
        self.record(&activity).await
    }

    /// Erases what people have decided and written about a chat.
    pub(crate) async fn erase_triage(&self, id: ChatId) -> Result<()> {
        let db = self.connection();
        chat_triage::Entity::delete_by_id(id).exec(db).await?;
        chat_tag::Entity::delete_many().filter(chat_tag::Column::ChatId.eq(id)).exec(db).await?;
        chat_note::Entity::delete_many().filter(chat_note::Column::ChatId.eq(id)).exec(db).await?;
        Ok(())
    }
}

/// The chat of the outer statement is assigned so.
pub(crate) fn is_assigned(assigned: &Assigned) -> Expr {
    use chat_triage::Column;
    let of = |which: Expr| chat_triage::Entity::find().select_only().column(Column::ChatId).filter(which);
    match assigned {
        Assigned::To(who) => chat::Column::Id.in_subquery(of(Column::Assignee.eq(who.as_str())).into_query()),
        Assigned::Nobody => chat::Column::Id.not_in_subquery(of(Column::Assignee.is_not_null()).into_query()),
    }
}

/// The chat of the outer statement has this tag.
pub(crate) fn has_tag(tag: &str) -> Expr {
    let tags = chat_tag::Entity::find()
        .select_only()
        .column(chat_tag::Column::ChatId)
        .filter(chat_tag::Column::Tag.eq(tag));
    chat::Column::Id.in_subquery(tags.into_query())
}

fn triage_of(row: Option<chat_triage::Model>, tags: impl Iterator<Item = String>) -> Triage {
    let mut triage = Triage { tags: tags.collect(), ..Triage::default() };
    if let Some(row) = row {
        (triage.assignee, triage.language) = (row.assignee, row.language);
        (triage.snoozed_until, triage.snoozed_seq) = (row.snoozed_until, row.snoozed_seq);
    }
    triage
}
