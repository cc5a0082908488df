//! Saving what has changed: one statement for each table and kind of change, whatever the number of conversations. In
//! this order, because of the unique indexes: what frees a place before what takes it.

use crate::activities::id_at;
use crate::bulk::{Column, Kind, Rows};
use crate::{Result, Tx};
use dmrelay_domain::conversation::{Change, Conversation, Message, Tracked, Turn};
use dmrelay_domain::states::{DeadLetterState, MessageStatus};
use dmrelay_domain::text::truncate;
use dmrelay_domain::trace::TraceId;
use sea_orm::Value;

/// The length of a dead letter's error, in bytes.
const ERROR_BYTES_MAX: usize = 500;

const CHATS: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("mode", Kind::Text),
    Column("mode_reason", Kind::Text),
    Column("resume_at", Kind::BigInt),
    Column("flag", Kind::Text),
    Column("window_expires_at", Kind::BigInt),
    Column("agent_chat_id", Kind::Text),
    Column("agent_watermark", Kind::Text),
    Column("agent_seq", Kind::BigInt),
    Column("human_seq", Kind::BigInt),
    Column("verify", Kind::Bool),
    Column("first_unanswered_at", Kind::BigInt),
    Column("turn_due_at", Kind::BigInt),
    Column("turn_attempts", Kind::Int),
    Column("turn_reserved_until", Kind::BigInt),
    Column("outbox_due_at", Kind::BigInt),
    Column("outbox_attempts", Kind::Int),
    Column("outbox_reserved_until", Kind::BigInt),
    Column("hour_started_at", Kind::BigInt),
    Column("hour_turns", Kind::Int),
    Column("last_seq", Kind::BigInt),
    Column("last_message_at", Kind::BigInt),
    Column("trace_id", Kind::Uuid),
    Column("updated_at", Kind::BigInt),
];

/// What may change of a turn; the rest is written once.
const TURN_CHANGES: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("message_ids", Kind::Text),
    Column("asked_seq", Kind::BigInt),
    Column("asked_hash", Kind::Bytes),
    Column("watermark", Kind::Text),
    Column("agent_chat_id", Kind::Text),
    Column("rollovers", Kind::Int),
    Column("state", Kind::Text),
    Column("attempt", Kind::Int),
    Column("worker", Kind::Uuid),
    Column("deadline", Kind::BigInt),
    Column("lookups", Kind::Int),
    Column("seen", Kind::Text),
    Column("withdrawn", Kind::Text),
    Column("finished_at", Kind::BigInt),
    Column("latency_ms", Kind::BigInt),
    Column("error_class", Kind::Text),
    Column("error", Kind::Text),
];

const TURN_FIXED: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("chat_id", Kind::Uuid),
    Column("received_at", Kind::BigInt),
    Column("started_at", Kind::BigInt),
    Column("trace_id", Kind::Uuid),
];

/// What may change of a message, apart from what it says.
const MESSAGE_CHANGES: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("mid", Kind::Text),
    Column("needs_answer", Kind::Bool),
    Column("turn_id", Kind::Uuid),
    Column("status", Kind::Text),
    Column("error_class", Kind::Text),
    Column("error_code", Kind::Text),
    Column("error_message", Kind::Text),
    Column("attempt", Kind::Int),
    Column("worker", Kind::Uuid),
    Column("deadline", Kind::BigInt),
    Column("lookups", Kind::Int),
    Column("started_at", Kind::BigInt),
    Column("sent_at", Kind::BigInt),
    Column("confirmed_at", Kind::BigInt),
];

/// What a message says, and what a stub learns when its message comes.
const MESSAGE_BODY: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("kind", Kind::Text),
    Column("text", Kind::Text),
    Column("attachments", Kind::Text),
    Column("reply_to", Kind::Text),
    Column("payload", Kind::Text),
    Column("metadata", Kind::Text),
    Column("direction", Kind::Text),
    Column("author", Kind::Text),
    Column("at", Kind::BigInt),
    Column("received_at", Kind::BigInt),
    Column("trace_id", Kind::Uuid),
];

const MESSAGE_FIXED: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("chat_id", Kind::Uuid),
    Column("seq", Kind::BigInt),
    Column("part", Kind::Int),
    Column("idempotency_key", Kind::Text),
    Column("actor", Kind::Text),
    Column("created_at", Kind::BigInt),
];

const IDS: &[Column] = &[Column("id", Kind::Uuid)];
const EVENTS: &[Column] = &[Column("id", Kind::Uuid), Column("state", Kind::Text)];
const READ: &[Column] =
    &[Column("chat_id", Kind::Uuid), Column("seq", Kind::BigInt), Column("at", Kind::BigInt)];
const DROPPED: &[Column] = &[
    Column("chat_id", Kind::Uuid),
    Column("class", Kind::Text),
    Column("code", Kind::Text),
    Column("until", Kind::BigInt),
];
const REVIVED: &[Column] = &[
    Column("chat_id", Kind::Uuid),
    Column("class", Kind::Text),
    Column("since", Kind::BigInt),
    Column("until", Kind::BigInt),
];
const ACTIVITIES: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("connection_id", Kind::Uuid),
    Column("kind", Kind::Text),
    Column("actor", Kind::Text),
    Column("subject", Kind::Text),
    Column("details", Kind::Text),
    Column("at", Kind::BigInt),
];
const LETTERS: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("subaccount_id", Kind::Text),
    Column("connection_id", Kind::Uuid),
    Column("chat_id", Kind::Uuid),
    Column("kind", Kind::Text),
    Column("reference", Kind::Uuid),
    Column("class", Kind::Text),
    Column("error", Kind::Text),
    Column("attempts", Kind::Int),
    Column("created_at", Kind::BigInt),
];
const CLOSED: &[Column] = &[
    Column("id", Kind::Uuid),
    Column("replayed_at", Kind::BigInt),
    Column("discarded_at", Kind::BigInt),
    Column("closed_by", Kind::Text),
];

impl Tx {
    /// Saves what has changed of these conversations.
    pub(super) async fn save(&self, conversations: &[&Conversation]) -> Result<()> {
        self.save_chats(conversations).await?;
        self.save_turns(conversations).await?;
        self.save_messages(conversations).await?;
        self.save_sets(conversations).await?;
        self.save_events(conversations).await?;
        self.save_activities(conversations).await?;
        self.save_letters(conversations).await
    }

    async fn save_chats(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut rows = Rows::new(CHATS);
        for one in conversations.iter().filter(|one| one.chat.change() == Change::Updated) {
            let chat = &one.chat;
            rows.push(vec![
                chat.id.0.into(),
                chat.mode.as_str().into(),
                chat.mode_reason.clone().into(),
                chat.resume_at.into(),
                chat.flag.clone().into(),
                chat.window_expires_at.into(),
                chat.agent_chat_id.clone().into(),
                chat.agent_watermark.clone().into(),
                chat.agent_seq.into(),
                chat.human_seq.into(),
                chat.verify.into(),
                chat.first_unanswered_at.into(),
                chat.turn.due_at.into(),
                chat.turn.attempts.into(),
                chat.turn.reserved_until.into(),
                chat.outbox.due_at.into(),
                chat.outbox.attempts.into(),
                chat.outbox.reserved_until.into(),
                chat.hour_started_at.into(),
                chat.hour_turns.into(),
                chat.last_seq.into(),
                chat.last_message_at.into(),
                chat.trace.map(TraceId::to_uuid).into(),
                one.now.into(),
            ]);
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
                Change::Inserted => {
                    let mut row = turn_changes(turn);
                    row.extend([
                        one.connection.id.0.into(),
                        one.chat.id.0.into(),
                        turn.received_at.into(),
                        turn.started_at.into(),
                        turn.trace.map(TraceId::to_uuid).into(),
                    ]);
                    inserted.push(row);
                }
                Change::None | Change::Deleted => {}
            }
        }
        self.update("turns", TURN_CHANGES, &updated).await?;
        self.insert("turns", TURN_INSERT, &inserted).await
    }

    async fn save_messages(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut deleted = Rows::new(IDS);
        // A chat has one message being sent at most: it is over before the next one begins.
        let (mut updated, mut begun) = (Rows::new(MESSAGE_CHANGES), Rows::new(MESSAGE_CHANGES));
        let (mut bodies, mut inserted) = (Rows::new(MESSAGE_BODY), Rows::new(MESSAGE_INSERT));
        for (one, message) in
            conversations.iter().flat_map(|one| one.messages.iter().map(move |message| (one, message)))
        {
            match message.change() {
                Change::None => {}
                Change::Deleted => deleted.push(vec![message.id.0.into()]),
                Change::Updated => {
                    let sends = message.status == MessageStatus::Sending;
                    (if sends { &mut begun } else { &mut updated }).push(message_changes(message));
                    if message.body.change() != Change::None {
                        bodies.push(message_body(message));
                    }
                }
                Change::Inserted => inserted.push(message_row(one, message)),
            }
        }
        if !deleted.is_empty() {
            let mut values = Vec::new();
            let table = deleted.as_table(self.dialect, "u", &mut values);
            self.execute(&format!("DELETE FROM messages WHERE id IN (SELECT u.id FROM {table})"), values)
                .await?;
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
            let (chat, changes) = (one.chat.id.0, &one.changes);
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
            rows.push(vec![id.0.into(), state.as_str().into()]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let table = rows.as_table(self.dialect, "u", &mut values);
        // The bytes are erased once their meaning is in the other tables.
        let sql = format!(
            "UPDATE events SET due_at = NULL, state = u.state, raw = NULL, error = NULL FROM {table} \
             WHERE events.id = u.id AND events.due_at IS NOT NULL"
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
                id_at(one.now).into(),
                one.connection.subaccount.as_str().into(),
                one.connection.id.0.into(),
                activity.kind.as_str().into(),
                activity.actor.as_str().into(),
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
                    id_at(one.now).into(),
                    one.connection.subaccount.as_str().into(),
                    one.connection.id.0.into(),
                    one.chat.id.0.into(),
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
                closed.push(vec![letter.id.0.into(), replayed, discarded, actor.as_str().into()]);
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

/// The columns of these lists, one after another.
const fn joined<const N: usize>(lists: &[&[Column]]) -> [Column; N] {
    let mut all = [Column("", Kind::Text); N];
    let (mut list, mut place) = (0, 0);
    while list < lists.len() {
        let mut column = 0;
        while column < lists[list].len() {
            all[place] = lists[list][column];
            (place, column) = (place + 1, column + 1);
        }
        list += 1;
    }
    all
}

const TURN_INSERT: &[Column] =
    &joined::<{ TURN_CHANGES.len() + TURN_FIXED.len() }>(&[TURN_CHANGES, TURN_FIXED]);

const MESSAGE_INSERT: &[Column] = &joined::<
    { MESSAGE_CHANGES.len() + MESSAGE_BODY_ONLY.len() + MESSAGE_FIXED.len() },
>(&[MESSAGE_CHANGES, MESSAGE_BODY_ONLY, MESSAGE_FIXED]);

/// [`MESSAGE_BODY`] without the id.
const MESSAGE_BODY_ONLY: &[Column] = {
    let (_, rest) = MESSAGE_BODY.split_at(1);
    rest
};

fn turn_changes(turn: &Turn) -> Vec<Value> {
    vec![
        turn.id.0.into(),
        serde_json::to_string(&turn.message_ids).unwrap_or_else(|_| "[]".to_owned()).into(),
        turn.asked_seq.into(),
        turn.asked_hash.clone().into(),
        turn.watermark.clone().into(),
        turn.agent_chat_id.clone().into(),
        turn.rollovers.into(),
        turn.state.as_str().into(),
        turn.attempt.into(),
        turn.worker.map(|worker| worker.0).into(),
        turn.deadline.into(),
        turn.lookups.into(),
        turn.seen.clone().into(),
        turn.withdrawn.clone().into(),
        turn.finished_at.into(),
        turn.latency_ms.into(),
        turn.error_class.map(|class| class.as_str().to_owned()).into(),
        turn.error.clone().into(),
    ]
}

fn message_changes(message: &Message) -> Vec<Value> {
    vec![
        message.id.0.into(),
        message.mid.clone().into(),
        message.needs_answer.into(),
        message.turn_id.map(|turn| turn.0).into(),
        message.status.as_str().into(),
        message.error.class.map(|class| class.as_str().to_owned()).into(),
        message.error.code.clone().into(),
        message.error.message.clone().into(),
        message.attempt.into(),
        message.worker.map(|worker| worker.0).into(),
        message.deadline.into(),
        message.lookups.into(),
        message.started_at.into(),
        message.sent_at.into(),
        message.confirmed_at.into(),
    ]
}

fn message_body(message: &Message) -> Vec<Value> {
    let body = &message.body;
    vec![
        message.id.0.into(),
        body.kind.as_str().into(),
        body.text.clone().into(),
        body.attachments.clone().into(),
        body.reply_to.clone().into(),
        body.payload.clone().into(),
        body.metadata.clone().into(),
        message.direction.as_str().into(),
        message.author.as_str().into(),
        message.at.into(),
        message.received_at.into(),
        message.trace.map(TraceId::to_uuid).into(),
    ]
}

fn message_row(one: &Conversation, message: &Tracked<Message>) -> Vec<Value> {
    let mut row = message_changes(message);
    row.extend(message_body(message).into_iter().skip(1));
    row.extend([
        one.connection.id.0.into(),
        one.chat.id.0.into(),
        message.seq.into(),
        message.part.into(),
        message.idempotency_key.clone().into(),
        message.actor.clone().into(),
        message.created_at.into(),
    ]);
    row
}
