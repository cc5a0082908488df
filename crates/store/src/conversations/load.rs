//! Loading conversations: one statement locks the chats, then one reads each kind of row, whatever the number of
//! conversations. Rows are read by statements that begin after the locks are held, so that they are the newest.

use super::columns::mid_key;
use super::rows::{ConnectionRow, chat_of, letter_of, message_of, turn_of};
use crate::bulk::{Column, Kind, Rows};
use crate::dialect::Dialect;
use crate::{Result, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{
    Body, Conversation, Needs, Policy, Received, Saved, SavedKey, SecondLook, Tracked, UNANSWERED_MAX,
};
use dmrelay_domain::event;
use dmrelay_domain::ids::{ChatId, ConnectionId, DeadLetterId, MessageId, TurnId};
use dmrelay_domain::outgoing::{Outgoing, Template};
use dmrelay_domain::states::CommentState;
use dmrelay_entity::{chat, comment, dead_letter, event as event_row, message, template, turn};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Value};
use std::collections::{HashMap, HashSet};

/// How many events of one conversation are taken in by one transaction.
pub const EVENTS_MAX: usize = 50;

/// Kinds of events that name whoever caused them, and yet are of no conversation.
const APART: &str = "('comment', 'mention')";

/// How late the echo of a private reply may come, after its call could take effect.
const ECHO_LATE: Millis = 60_000;

/// How many messages of a chat that share a reason or a failure are looked at.
const SECOND_LOOK_MAX: i64 = 500;

const IDS: &[Column] = &[Column("id", Kind::Uuid)];
const CHAT_IDS: &[Column] = &[Column("chat_id", Kind::Uuid)];
const MIDS: &[Column] = &[Column("mid_key", Kind::Uuid)];
const HISTORIES: &[Column] =
    &[Column("chat_id", Kind::Uuid), Column("after", Kind::BigInt), Column("most", Kind::BigInt)];
const THREADS: &[Column] =
    &[Column("chat_id", Kind::Uuid), Column("account", Kind::Text), Column("thread", Kind::Text)];
const REASONS: &[Column] = &[Column("chat_id", Kind::Uuid), Column("reason", Kind::Text)];
const FAILURES: &[Column] =
    &[Column("chat_id", Kind::Uuid), Column("class", Kind::Text), Column("until", Kind::BigInt)];

/// For which chat a row was looked up.
#[derive(FromQueryResult)]
struct Of {
    of_chat: ChatId,
}

/// For each row of `source` the rows of a table that meet the condition, as `alias`.
///
/// A join would leave it to PostgreSQL to read a whole partial index instead, which looks cheap while hardly anything is in
/// it, and the plan is kept. `OFFSET 0` (or a limit) makes it look up each row of the source.
fn of_each(dialect: Dialect, source: &str, (table, alias): (&str, &str), condition: &str) -> String {
    match dialect {
        Dialect::Postgres => format!(
            "{source} CROSS JOIN LATERAL (SELECT {{{table}.*}} FROM {table} WHERE {condition} OFFSET 0) {alias}"
        ),
        Dialect::Sqlite => format!(
            "{source} CROSS JOIN {table} {alias} ON {alias}.id IN (SELECT id FROM {table} WHERE {condition})"
        ),
    }
}

/// The messages that [`of_each`] finds, as `m`.
fn messages_of_each(dialect: Dialect, source: &str, condition: &str) -> String {
    of_each(dialect, source, ("messages", "m"), condition)
}

impl Tx {
    /// Locks these chats in the order of their ids, passing over those that another transaction has locked.
    pub(super) async fn lock_conversations(
        &self,
        wanted: &[ChatId],
        policy: Policy,
    ) -> Result<HashMap<ChatId, Conversation>> {
        let mut values = Vec::new();
        let table = Rows::of_each(IDS, wanted.iter().copied()).as_table(self.dialect, "u", &mut values);
        let lock = match self.dialect {
            Dialect::Postgres => "FOR UPDATE OF c SKIP LOCKED",
            Dialect::Sqlite => "",
        };
        let sql = format!(
            "SELECT {{c:chats.*}}, k.id AS k_id, k.subaccount_id AS k_subaccount_id, k.agent_id AS k_agent_id, \
                k.instagram_account_id AS k_instagram_account_id, k.login_kind AS k_login_kind, \
                k.status AS k_status, k.bot_paused AS k_bot_paused, k.settings AS k_settings, {{now}} AS now, \
                EXISTS (SELECT 1 FROM provider_keys p WHERE p.subaccount_id = k.subaccount_id) AS k_has_own_key \
             FROM {table} JOIN chats c ON c.id = u.id JOIN instagram_connections k ON k.id = c.connection_id \
             ORDER BY c.id {lock}"
        );
        let mut found = HashMap::with_capacity(wanted.len());
        for row in self.rows(&sql, values).await? {
            let connection = ConnectionRow::from_query_result(&row, "")?;
            let now = connection.now;
            let chat = chat::Model::from_query_result(&row, "")?;
            let id = chat.id;
            if let (Some(chat), Some(facts)) = (chat_of(chat), connection.facts()) {
                found.insert(id, Conversation::new(now, policy, facts, Tracked::loaded(chat)));
            } else {
                tracing::warn!(chat = %id, "a chat that this version cannot read is left alone");
            }
        }
        Ok(found)
    }

    /// Which of these chats there are, locked or not.
    pub(super) async fn existing_chats(&self, wanted: &[ChatId]) -> Result<HashSet<ChatId>> {
        let found = chat::Entity::find()
            .select_only()
            .column(chat::Column::Id)
            .filter(chat::Column::Id.is_in(wanted.iter().copied()));
        let ids: Vec<ChatId> = found.into_tuple().all(self.connection()).await?;
        Ok(ids.into_iter().collect())
    }

    /// The events that wait for these conversations, in Meta's order.
    pub(super) async fn waiting_events(
        &self,
        conversations: &[&Conversation],
    ) -> Result<HashMap<ChatId, Vec<Received>>> {
        let mut threads = Rows::new(THREADS);
        for one in conversations {
            let (account, user) = (one.connection.account.as_str(), one.chat.user.as_str());
            threads.push(vec![one.chat.id.into(), account.into(), user.into()]);
        }
        let mut values: Vec<Value> = vec![(EVENTS_MAX as u64).into()];
        let table = threads.as_table(self.dialect, "u", &mut values);
        let columns = "{e:events.*}";
        let sql = match self.dialect {
            // No word of `due_at` being there: the index of what is due must not be read for this.
            Dialect::Postgres => format!(
                "SELECT {columns}, u.chat_id AS of_chat FROM {table} CROSS JOIN LATERAL (SELECT {{events.*}} FROM events \
                 WHERE account = u.account AND thread = u.thread AND state = 'new' AND kind NOT IN {APART} \
                    AND (attempts = 0 OR due_at <= {{now}}) \
                 ORDER BY at, id LIMIT $1) e ORDER BY e.at, e.id"
            ),
            Dialect::Sqlite => format!(
                "SELECT {columns}, u.chat_id AS of_chat FROM {table} CROSS JOIN events e ON e.id IN (SELECT id FROM events \
                 WHERE account = u.account AND thread = u.thread AND state = 'new' AND kind NOT IN {APART} \
                    AND (attempts = 0 OR due_at <= {{now}}) \
                 ORDER BY at, id LIMIT $1) ORDER BY e.at, e.id"
            ),
        };
        let mut waiting: HashMap<ChatId, Vec<Received>> = HashMap::new();
        for row in self.rows(&sql, values).await? {
            let of = Of::from_query_result(&row, "")?.of_chat;
            let model = event_row::Model::from_query_result(&row, "")?;
            if let Some(event) = received(&model) {
                waiting.entry(of).or_default().push(event);
            }
        }
        Ok(waiting)
    }

    /// Loads what the commands of each conversation need.
    pub(super) async fn load(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        needs: &HashMap<ChatId, Needs>,
    ) -> Result<()> {
        self.load_turns(conversations, needs.values().flat_map(|needs| &needs.turns).copied()).await?;
        let mut asked = Vec::new();
        for (id, needs) in needs {
            if needs.asked {
                let turns = conversations.get(id).into_iter().flat_map(|one| &one.turns);
                asked.extend(turns.filter(|turn| turn.is_open()).flat_map(|turn| &turn.message_ids).copied());
            }
            asked.extend(needs.messages.iter().copied());
        }
        let rows = self.load_messages(conversations, needs, asked).await?;
        add_messages(conversations, rows);
        let letters: Vec<DeadLetterId> = needs.values().flat_map(|needs| &needs.letters).copied().collect();
        if !letters.is_empty() {
            self.load_letters(conversations, letters).await?;
        }
        Ok(())
    }

    /// The open turns of these conversations, and those that are named.
    async fn load_turns(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        named: impl Iterator<Item = TurnId>,
    ) -> Result<()> {
        let mut values = Vec::new();
        let open =
            Rows::of_each(CHAT_IDS, conversations.keys().copied()).as_table(self.dialect, "u", &mut values);
        let named = Rows::of_each(IDS, named).as_table(self.dialect, "n", &mut values);
        // The states in words, so that they match the partial index.
        let is_open = "chat_id = u.chat_id AND state IN ('asking', 'reconciling', 'waiting')";
        let open = of_each(self.dialect, &open, ("turns", "t"), is_open);
        let sql = format!(
            "SELECT {{t:turns.*}} FROM {open} UNION ALL SELECT {{t:turns.*}} FROM {named} JOIN turns t ON t.id = n.id"
        );
        add_turns(conversations, self.query::<turn::Model>(&sql, values).await?);
        Ok(())
    }

    async fn load_messages(
        &self,
        conversations: &HashMap<ChatId, Conversation>,
        needs: &HashMap<ChatId, Needs>,
        named: Vec<MessageId>,
    ) -> Result<Vec<message::Model>> {
        let mut values: Vec<Value> = vec![UNANSWERED_MAX.into()];
        let dialect = self.dialect;
        let outbox_of =
            Rows::of_each(CHAT_IDS, conversations.keys().copied()).as_table(dialect, "o", &mut values);
        let unanswered = needs.iter().filter(|(_, needs)| needs.unanswered).map(|(id, _)| *id);
        let unanswered = Rows::of_each(CHAT_IDS, unanswered).as_table(dialect, "a", &mut values);
        let named = Rows::of_each(IDS, named.into_iter()).as_table(dialect, "n", &mut values);
        let (mut mids, mut histories) = (Rows::new(MIDS), Rows::new(HISTORIES));
        for (id, needs) in needs {
            let Some(one) = conversations.get(id) else { continue };
            for mid in &needs.mids {
                mids.push(vec![mid_key(one.connection.id, mid).into()]);
            }
            let told = needs.history.map(|most| (one.chat.history_after(most), most));
            let recent = needs.recent.map(|most| (one.chat.last_seq - most, most));
            for (after, most) in told.into_iter().chain(recent) {
                histories.push(vec![(*id).into(), after.into(), most.into()]);
            }
        }
        let mids = mids.as_table(dialect, "i", &mut values);
        let histories = histories.as_table(dialect, "h", &mut values);
        // One partial index for each branch, in the words of the index, and never an OR.
        let outbox = "chat_id = o.chat_id AND status IN ('queued', 'sending', 'unknown')";
        let outbox = messages_of_each(dialect, &outbox_of, outbox);
        let waiting = "chat_id = a.chat_id AND needs_answer AND turn_id IS NULL ORDER BY at, seq LIMIT $1";
        let unanswered = messages_of_each(dialect, &unanswered, waiting);
        let by_mid = messages_of_each(dialect, &mids, "mid_key = i.mid_key");
        let histories = messages_of_each(dialect, &histories, "chat_id = h.chat_id AND seq > h.after");
        let sql = format!(
            "SELECT {{m:messages.*}} FROM {outbox} \
             UNION ALL SELECT {{m:messages.*}} FROM {unanswered} \
             UNION ALL SELECT {{m:messages.*}} FROM {named} JOIN messages m ON m.id = n.id \
             UNION ALL SELECT {{m:messages.*}} FROM {by_mid} \
             UNION ALL SELECT {{m:messages.*}} FROM {histories}"
        );
        self.query(&sql, values).await
    }

    async fn load_letters(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        letters: Vec<DeadLetterId>,
    ) -> Result<()> {
        let found = dead_letter::Entity::find().filter(dead_letter::Column::Id.is_in(letters));
        for row in found.all(self.connection()).await? {
            let Some(chat) = row.chat_id else { continue };
            // A letter of a connection that is not the chat's is nobody's here.
            let one = conversations.get_mut(&chat);
            let one = one.filter(|one| Some(one.connection.id) == row.connection_id);
            if let (Some(one), Some(letter)) = (one, letter_of(&row)) {
                one.letters.push(letter);
            }
        }
        Ok(())
    }

    /// The saved messages that are to be sent.
    async fn load_saved(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        looks: &HashMap<ChatId, SecondLook>,
    ) -> Result<()> {
        let (mut ids, mut names) = (HashSet::new(), HashSet::new());
        for key in looks.values().flat_map(|look| &look.saved) {
            match key {
                SavedKey::Id(id) => _ = ids.insert(*id),
                SavedKey::Name(name) => _ = names.insert(name.as_str()),
            }
        }
        if ids.is_empty() && names.is_empty() {
            return Ok(());
        }
        let tenants = looks.keys().filter_map(|id| conversations.get(id));
        let tenants: HashSet<String> = tenants.map(|one| one.connection.subaccount.to_string()).collect();
        let wanted =
            Condition::any().add(template::Column::Id.is_in(ids)).add(template::Column::Name.is_in(names));
        let wanted =
            template::Entity::find().filter(template::Column::SubaccountId.is_in(tenants)).filter(wanted);
        for row in wanted.all(self.connection()).await? {
            let Ok(message) = serde_json::from_str(&row.message) else { continue };
            let message = Template::stored(message);
            let saved = Saved { id: row.id, name: row.name, version: row.version, message };
            for (id, look) in looks {
                let of_tenant = conversations.get_mut(id);
                let of_tenant =
                    of_tenant.filter(|one| one.connection.subaccount.as_str() == row.subaccount_id);
                if let Some(one) = of_tenant.filter(|_| look.saved.iter().any(|key| key.is(&saved))) {
                    one.saved.push(saved.clone());
                }
            }
        }
        Ok(())
    }

    /// The private replies to comments whose echoes these may be.
    async fn load_private_replies(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        looks: &HashMap<ChatId, SecondLook>,
    ) -> Result<()> {
        let wanting: Vec<ChatId> =
            looks.iter().filter(|(_, look)| look.private_replies).map(|(id, _)| *id).collect();
        let first = wanting.first().and_then(|id| conversations.get(id));
        let Some((now, policy)) = first.map(|one| (one.now, one.policy)) else { return Ok(()) };
        let accounts: HashSet<ConnectionId> =
            wanting.iter().filter_map(|id| conversations.get(id)).map(|one| one.connection.id).collect();
        let since = now - policy.graph_timeout - policy.reconcile_grace - ECHO_LATE;
        let state = |state: CommentState| comment::Column::State.eq(state.as_str());
        // Once Meta has answered, it takes a moment until the message is in its conversation.
        let is_nowhere = state(CommentState::Replied).and(comment::Column::ChatId.is_null());
        let open = state(CommentState::Sending).or(state(CommentState::Unknown)).or(is_nowhere);
        let replies = comment::Entity::find()
            .filter(comment::Column::ConnectionId.is_in(accounts))
            .filter(comment::Column::RepliedAt.gt(since))
            .filter(open);
        for row in replies.all(self.connection()).await? {
            let reply = row.reply.as_deref().and_then(|json| serde_json::from_str(json).ok());
            let Some(outgoing) = reply.and_then(|json| Outgoing::from_json(&json).ok()) else { continue };
            let body = Body::of(&outgoing);
            // Of one without a text, any picture of a colleague's could be the echo. Whom it is for is not told by the comment: Meta
            // names its author otherwise.
            if body.text.is_none() {
                continue;
            }
            for id in &wanting {
                let is_theirs = |one: &&mut Conversation| one.connection.id == row.connection_id;
                if let Some(one) = conversations.get_mut(id).filter(is_theirs) {
                    one.private_replies.push(body.clone());
                }
            }
        }
        Ok(())
    }

    /// Loads what only the loaded rows have shown to be needed.
    pub(super) async fn look_again(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        looks: &HashMap<ChatId, SecondLook>,
    ) -> Result<()> {
        let more: HashMap<ChatId, Needs> =
            looks.iter().filter_map(|(id, look)| Some((*id, look.more_needs()?))).collect();
        if !more.is_empty() {
            self.load(conversations, &more).await?;
        }
        self.load_private_replies(conversations, looks).await?;
        self.count_prompt_echoes(conversations, looks).await?;
        self.load_saved(conversations, looks).await?;
        let turns: Vec<TurnId> = looks.values().flat_map(|look| &look.turns).copied().collect();
        self.load_turns(conversations, turns.iter().copied()).await?;
        let (mut values, dialect) = (vec![SECOND_LOOK_MAX.into()], self.dialect);
        let mut asked: Vec<MessageId> = looks.values().flat_map(|look| &look.messages).copied().collect();
        for one in conversations.values() {
            let wanted = one.turns.iter().filter(|turn| turns.contains(&turn.id));
            asked.extend(wanted.flat_map(|turn| &turn.message_ids).copied());
        }
        let named = Rows::of_each(IDS, asked.into_iter()).as_table(dialect, "n", &mut values);
        let replies = Rows::of_each(IDS, turns.into_iter()).as_table(dialect, "r", &mut values);
        let (mut reasons, mut failures) = (Rows::new(REASONS), Rows::new(FAILURES));
        for (id, look) in looks {
            if let Some(reason) = &look.reason {
                reasons.push(vec![(*id).into(), reason.as_str().into()]);
            }
            if let Some(letter) = &look.dropped_with {
                failures.push(vec![(*id).into(), letter.class.as_str().into(), letter.created_at.into()]);
            }
        }
        let reasons = reasons.as_table(dialect, "w", &mut values);
        // Whose takeover is undone, what another human agent wrote last counts again.
        let by_human = format!(
            "{reasons} JOIN messages m ON m.chat_id = w.chat_id AND m.seq = (SELECT MAX(o.seq) FROM messages o \
                WHERE o.chat_id = w.chat_id AND o.author IN ('human', 'native') \
                AND (o.mid IS NULL OR 'echo:' || o.mid <> w.reason))"
        );
        let failures = failures.as_table(dialect, "f", &mut values);
        let with_reason = "chat_id = w.chat_id AND error_code = w.reason ORDER BY seq DESC LIMIT $1";
        let by_reason = messages_of_each(dialect, &reasons, with_reason);
        let with_failure = "chat_id = f.chat_id AND error_class = f.class AND created_at <= f.until \
             AND direction = 'inbound' ORDER BY seq DESC LIMIT $1";
        let by_failure = messages_of_each(dialect, &failures, with_failure);
        let sql = format!(
            "SELECT {{m:messages.*}} FROM {named} JOIN messages m ON m.id = n.id \
             UNION ALL SELECT {{m:messages.*}} FROM {replies} JOIN messages m ON m.turn_id = r.id AND m.part IS NOT NULL \
             UNION ALL SELECT {{m:messages.*}} FROM {by_reason} \
             UNION ALL SELECT {{m:messages.*}} FROM {by_failure} \
             UNION ALL SELECT {{m:messages.*}} FROM {by_human}"
        );
        let rows = self.query(&sql, values).await?;
        add_messages(conversations, rows);
        Ok(())
    }
}

/// None if its container is one of a later version.
fn received(row: &event_row::Model) -> Option<Received> {
    let container = row.container.known()?;
    let item = event::read(container, &row.account, row.raw.as_deref().unwrap_or_default())?;
    Some(Received {
        id: row.id,
        container,
        item,
        at: row.at,
        arrived_at: row.received_at,
        ready_at: row.ready_at.unwrap_or(row.received_at),
        trace: row.trace_id,
    })
}

fn add_turns(conversations: &mut HashMap<ChatId, Conversation>, rows: Vec<turn::Model>) {
    for row in rows {
        let Some(one) = conversations.get_mut(&row.chat_id) else { continue };
        if one.turns.iter().any(|known| known.id == row.id) {
            continue;
        }
        one.turns.extend(turn_of(row).map(Tracked::loaded));
    }
}

fn add_messages(conversations: &mut HashMap<ChatId, Conversation>, rows: Vec<message::Model>) {
    for row in rows {
        let Some(one) = conversations.get_mut(&row.chat_id) else { continue };
        if one.messages.iter().any(|known| known.id == row.id) {
            continue;
        }
        one.messages.extend(message_of(row).map(Tracked::loaded));
    }
}
