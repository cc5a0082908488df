//! Saving what has changed: one statement for each table and kind of change, whatever the number of conversations. In
//! this order, because of the unique indexes: what frees a place before what takes it.

use super::columns::{
    ACTIVITIES, CHATS, CLOSED, DROPPED, EVENTS, LETTERS, MESSAGE_BODY, MESSAGE_CHANGES, MESSAGE_INSERT, READ,
    REVIVED, TURN_CHANGES, TURN_INSERT, chat_row, message_body, message_changes, message_row, turn_changes,
    turn_row,
};
use crate::bulk::{Column, Rows};
use crate::{Result, Tx};
use dmrelay_domain::conversation::{Change, Conversation};
use dmrelay_domain::ids::{ActivityId, MessageId, id_at};
use dmrelay_domain::states::{DeadLetterState, MessageStatus};
use dmrelay_domain::text::truncate;
use dmrelay_entity::message;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Value};

/// The length of a dead letter's error, in bytes.
const ERROR_BYTES_MAX: usize = 500;

impl Tx {
    /// Saves what has changed of these conversations.
    pub(super) async fn save(&self, conversations: &[&Conversation]) -> Result<()> {
        self.save_chats(conversations).await?;
        self.save_turns(conversations).await?;
        self.save_messages(conversations).await?;
        self.save_media(conversations).await?;
        self.save_sets(conversations).await?;
        self.save_events(conversations).await?;
        self.save_prompt_echoes(conversations).await?;
        self.save_agent_chats(conversations).await?;
        self.save_activities(conversations).await?;
        self.save_letters(conversations).await
    }

    async fn save_chats(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut rows = Rows::new(CHATS);
        for one in conversations.iter().filter(|one| one.chat.change() == Change::Updated) {
            rows.push(chat_row(one));
        }
        self.update("chats", CHATS, &rows).await
    }

    async fn save_turns(&self, conversations: &[&Conversation]) -> Result<()> {
        // A chat has one open turn at most: it is closed before the next one opens.
        let mut updated = Rows::new(TURN_CHANGES);
        let mut inserted = Rows::new(TURN_INSERT);
        for (one, turn) in conversations.iter().flat_map(|one| one.turns.iter().map(move |turn| (one, turn)))
        {
            match turn.change() {
                Change::Updated => updated.push(turn_changes(turn)),
                Change::Inserted => inserted.push(turn_row(one, turn)),
                Change::None | Change::Deleted => {}
            }
        }
        self.update("turns", TURN_CHANGES, &updated).await?;
        self.insert("turns", TURN_INSERT, &inserted).await
    }

    async fn save_messages(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut deleted: Vec<MessageId> = Vec::new();
        // A chat has one message being sent at most: it is over before the next one begins.
        let (mut updated, mut begun) = (Rows::new(MESSAGE_CHANGES), Rows::new(MESSAGE_CHANGES));
        let (mut bodies, mut inserted) = (Rows::new(MESSAGE_BODY), Rows::new(MESSAGE_INSERT));
        for (one, message) in
            conversations.iter().flat_map(|one| one.messages.iter().map(move |message| (one, message)))
        {
            match message.change() {
                Change::None => {}
                Change::Deleted => deleted.push(message.id),
                Change::Updated => {
                    let sends = message.status == MessageStatus::Sending;
                    (if sends { &mut begun } else { &mut updated }).push(message_changes(one, message));
                    if message.body.change() != Change::None {
                        bodies.push(message_body(message));
                    }
                }
                Change::Inserted => inserted.push(message_row(one, message)),
            }
        }
        if !deleted.is_empty() {
            let delete = message::Entity::delete_many().filter(message::Column::Id.is_in(deleted));
            delete.exec(self.connection()).await?;
        }
        self.update("messages", MESSAGE_CHANGES, &updated).await?;
        self.update("messages", MESSAGE_CHANGES, &begun).await?;
        self.update("messages", MESSAGE_BODY, &bodies).await?;
        self.insert("messages", MESSAGE_INSERT, &inserted).await
    }

    /// What holds of sets of messages, most of which are not loaded.
    async fn save_sets(&self, conversations: &[&Conversation]) -> Result<()> {
        let (mut read, mut dropped) = (Rows::new(READ), Rows::new(DROPPED));
        let mut revived = Rows::new(REVIVED);
        for one in conversations {
            let (chat, changes) = (one.chat.id, &one.changes);
            if let Some((seq, at)) = changes.read_up_to {
                read.push(vec![chat.into(), seq.into(), at.into()]);
            }
            if let Some(error) = &changes.dropped {
                let class = error.class.map(|class| class.as_str().to_owned());
                dropped.push(vec![chat.into(), class.into(), error.code.clone().into(), one.now.into()]);
            }
            if let Some(set) = &changes.revived {
                revived.push(vec![chat.into(), set.class.as_str().into(), set.from.into(), set.until.into()]);
            }
        }
        let sets = [
            (
                &read,
                "read_at = u.at",
                "messages.seq <= u.seq AND messages.direction = 'outbound' AND messages.status = 'sent' \
                 AND messages.read_at IS NULL",
            ),
            (
                &dropped,
                "needs_answer = FALSE, error_class = u.class, error_code = u.code",
                "messages.needs_answer AND messages.turn_id IS NULL AND messages.created_at < u.until",
            ),
            (
                &revived,
                "needs_answer = TRUE, error_class = NULL, error_code = NULL",
                "messages.direction = 'inbound' AND messages.turn_id IS NULL AND NOT messages.needs_answer \
                 AND messages.error_class = u.class AND messages.at >= u.since AND messages.created_at <= u.until \
                 AND messages.kind NOT IN ('unsent', 'stub')",
            ),
        ];
        for (rows, changes, wanted) in sets {
            if rows.is_empty() {
                continue;
            }
            let mut values = Vec::new();
            let table = rows.as_table(self.dialect, "u", &mut values);
            let sql = format!(
                "UPDATE messages SET {changes} FROM {table} WHERE messages.chat_id = u.chat_id AND {wanted}"
            );
            self.execute(&sql, values).await?;
        }
        Ok(())
    }

    async fn save_events(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut rows = Rows::new(EVENTS);
        for (id, state) in conversations.iter().flat_map(|one| &one.changes.events) {
            rows.push(vec![(*id).into(), state.as_str().into()]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let table = rows.as_table(self.dialect, "u", &mut values);
        // The bytes are erased once their meaning is in the other tables. In these words, so that PostgreSQL finds each event
        // by its id, and does not read the index of those that are due.
        let sql = format!(
            "UPDATE events SET due_at = NULL, state = u.state, error = NULL, \
                raw = CASE WHEN u.state = 'unknown' THEN events.raw END FROM {table} \
             WHERE events.id = u.id AND COALESCE(events.due_at, -1) >= 0"
        );
        self.execute(&sql, values).await?;
        Ok(())
    }

    async fn save_activities(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut rows = Rows::new(ACTIVITIES);
        for (one, activity) in
            conversations.iter().flat_map(|one| one.changes.activities.iter().map(move |entry| (one, entry)))
        {
            rows.push(vec![
                id_at::<ActivityId>(one.now).into(),
                one.connection.subaccount.as_str().into(),
                one.connection.id.into(),
                activity.kind.as_str().into(),
                activity.actor.name.as_str().into(),
                activity.actor.id.clone().into(),
                activity.subject.clone().into(),
                serde_json::Value::Object(activity.details.clone()).to_string().into(),
                one.now.into(),
            ]);
        }
        self.insert("activities", ACTIVITIES, &rows).await
    }

    async fn save_letters(&self, conversations: &[&Conversation]) -> Result<()> {
        let (mut inserted, mut closed) = (Rows::new(LETTERS), Rows::new(CLOSED));
        for one in conversations {
            for letter in &one.changes.dead_letters {
                tracing::warn!(
                    kind = letter.kind.as_str(), reference = %letter.reference, class = letter.class.as_str(),
                    attempts = letter.attempts, error = %letter.error, "dead letter"
                );
                inserted.push(vec![
                    letter.id.into(),
                    one.connection.subaccount.as_str().into(),
                    one.connection.id.into(),
                    one.chat.id.into(),
                    letter.kind.as_str().into(),
                    letter.reference.into(),
                    letter.class.as_str().into(),
                    truncate(&letter.error, ERROR_BYTES_MAX).into(),
                    letter.attempts.into(),
                    one.now.into(),
                ]);
            }
            for (letter, state, actor) in &one.changes.closed_letters {
                let at = |wanted: DeadLetterState| Value::BigInt((*state == wanted).then_some(one.now));
                let (replayed, discarded) = (at(DeadLetterState::Replayed), at(DeadLetterState::Discarded));
                closed.push(vec![letter.id.into(), replayed, discarded, actor.as_str().into()]);
            }
        }
        self.insert("dead_letters", LETTERS, &inserted).await?;
        self.update("dead_letters", CLOSED, &closed).await
    }

    /// Writes all columns but the first, by which the rows are found.
    async fn update(&self, table: &str, columns: &[Column], rows: &Rows) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let set: Vec<String> =
            columns[1..].iter().map(|Column(name, _)| format!("{name} = u.{name}")).collect();
        let sql = format!("UPDATE {table} SET {} FROM {source} WHERE {table}.id = u.id", set.join(", "));
        self.execute(&sql, values).await?;
        Ok(())
    }

    async fn insert(&self, table: &str, columns: &[Column], rows: &Rows) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let names: Vec<&str> = columns.iter().map(|Column(name, _)| *name).collect();
        let from: Vec<String> = names.iter().map(|name| format!("u.{name}")).collect();
        let sql =
            format!("INSERT INTO {table} ({}) SELECT {} FROM {source}", names.join(", "), from.join(", "));
        self.execute(&sql, values).await?;
        Ok(())
    }
}
