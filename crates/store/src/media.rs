//! Media of customers: named by their messages, fetched by a worker, deleted with what they came with.

use crate::bulk::{Column as Field, Kind, Rows};
use crate::conversations::mid_key;
use crate::{Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::{Change, Conversation, UNSENT};
use dmrelay_domain::ids::{ChatId, ConnectionId, MediaId, MessageId, first_id_at};
use dmrelay_domain::media::MediaState;
use dmrelay_domain::states::Direction;
use dmrelay_domain::text::truncate;
use dmrelay_entity::media::{Column, Entity, Model};
use dmrelay_entity::message;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany, Value};
use std::collections::HashMap;
use std::time::Duration;

/// Media of one connection that are fetched at a time: nobody's albums stand in the way of others.
const CONNECTION_SHARE: usize = 2;

/// Rows that are looked at for each that is claimed.
const LOOKED_AT: usize = 20;

/// The length of an error, in bytes.
const ERROR_BYTES_MAX: usize = 300;

/// How long until a deletion from the store that failed is tried again.
const DELETE_AGAIN: Duration = Duration::from_mins(5);

const NEW: &[Field] = &[
    Field("id", Kind::Uuid),
    Field("connection_id", Kind::Uuid),
    Field("chat_id", Kind::Uuid),
    Field("message_id", Kind::Uuid),
    Field("position", Kind::BigInt),
    Field("kind", Kind::Text),
    Field("url", Kind::Text),
    Field("now", Kind::BigInt),
];

/// What became of an attempt to fetch a medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaOutcome {
    /// It is in the store.
    Stored {
        /// What it is.
        content_type: &'static str,
        /// Its size, in bytes.
        bytes: u64,
        /// Whether the store has a thumbnail, too.
        has_thumbnail: bool,
    },
    /// It is tried again after this.
    Again(Duration, String),
    /// It is not fetched any more, and is in this state.
    Over(MediaState, String),
}

impl Tx {
    /// Notes the media of new messages, and forgets those of messages that were unsent, or are gone.
    pub(crate) async fn save_media(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut rows = Rows::new(NEW);
        let mut gone: Vec<MessageId> = Vec::new();
        for one in conversations {
            for message in &one.messages {
                let is_gone = match message.change() {
                    Change::Deleted => true,
                    Change::Updated => message.body.change() != Change::None && message.is_unsent(),
                    Change::None | Change::Inserted => false,
                };
                if is_gone {
                    gone.push(message.id);
                }
            }
            for (message, kept) in &one.changes.media {
                rows.push(vec![
                    kept.id.into(),
                    one.connection.id.into(),
                    one.chat.id.into(),
                    (*message).into(),
                    i64::from(kept.position).into(),
                    kept.kind.as_str().into(),
                    kept.url.as_str().into(),
                    one.now.into(),
                ]);
            }
        }
        if !gone.is_empty() {
            self.discard_media(Column::MessageId.is_in(gone)).await?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "INSERT INTO media (id, connection_id, chat_id, message_id, position, kind, url, state, due_at, created_at) \
             SELECT u.id, u.connection_id, u.chat_id, u.message_id, u.position, u.kind, u.url, 'pending', u.now, u.now \
             FROM {source} WHERE TRUE ON CONFLICT (id) DO NOTHING"
        );
        self.execute(&sql, values).await?;
        Ok(())
    }

    /// Media that are to be deleted, as soon as a worker can.
    pub(crate) async fn discard_media(&self, which: Expr) -> Result<()> {
        let discard = discard(self.clock()).filter(which).filter(Column::State.ne(MediaState::Gone.as_str()));
        discard.exec(self.connection()).await?;
        Ok(())
    }

    /// The media of a conversation that is erased.
    pub(crate) async fn discard_media_of(&self, chat: ChatId) -> Result<()> {
        self.discard_media(Column::ChatId.eq(chat)).await
    }
}

/// The kind of a customer's picture.
pub const PROFILE: &str = "profile";

/// How old a customer's picture is when another copy is made of it. Its link at Meta lasts some days.
const PROFILE_AGE: Duration = Duration::from_hours(7 * 24);

impl Store {
    /// Notes the picture of a customer, to be fetched, unless there is a copy that is not old.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_profile_picture(
        &self,
        connection: ConnectionId,
        chat: ChatId,
        url: &str,
    ) -> Result<bool> {
        let sql = format!(
            "INSERT INTO media (id, connection_id, chat_id, position, kind, url, state, due_at, created_at) \
             SELECT $1, $2, c.id, 0, '{PROFILE}', $4, 'pending', {now}, {now} FROM chats c WHERE c.id = $3 \
             AND NOT EXISTS (SELECT 1 FROM media m WHERE m.chat_id = $3 AND m.kind = '{PROFILE}' \
                AND m.state IN ('pending', 'stored') AND m.created_at > {now} - $5)",
            now = self.dialect.clock(),
        );
        let values = vec![
            MediaId::new().into(),
            connection.into(),
            chat.into(),
            url.into(),
            millis(PROFILE_AGE).into(),
        ];
        Ok(self.execute(&sql, values).await? > 0)
    }

    /// The copies of the pictures of these customers.
    ///
    /// # Errors
    /// What the database says.
    pub async fn profile_pictures(&self, chats: &[ChatId]) -> Result<HashMap<ChatId, MediaId>> {
        if chats.is_empty() {
            return Ok(HashMap::new());
        }
        let stored = Entity::find()
            .select_only()
            .columns([Column::ChatId, Column::Id])
            .filter(Column::ChatId.is_in(chats.iter().copied()))
            .filter(Column::MessageId.is_null())
            .filter(Column::State.eq(MediaState::Stored.as_str()))
            .order_by_asc(Column::Id)
            .into_tuple::<(ChatId, MediaId)>();
        // The newest of each.
        Ok(stored.all(&self.reader()).await?.into_iter().collect())
    }

    /// A medium of these connections; none that is to be deleted.
    ///
    /// # Errors
    /// What the database says.
    pub async fn medium(&self, connections: &[ConnectionId], id: MediaId) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id)
            .filter(Column::ConnectionId.is_in(connections.iter().copied()))
            .filter(Column::State.ne(MediaState::Gone.as_str()));
        Ok(one.one(&self.reader()).await?)
    }

    /// A medium whose link somebody has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn linked_medium(&self, id: MediaId) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id).filter(Column::State.ne(MediaState::Gone.as_str()));
        Ok(one.one(&self.reader()).await?)
    }

    /// Claims media that are to be fetched, for this process alone and until `lease` has passed: of each connection a few, those that have
    /// waited longest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_media(&self, lease: Duration, most: usize) -> Result<Vec<Model>> {
        let tx = self.begin().await?;
        let db = tx.connection();
        let busy: Vec<ConnectionId> = Entity::find()
            .select_only()
            .column(Column::ConnectionId)
            .filter(Column::DueAt.is_not_null())
            .filter(Column::State.eq(MediaState::Pending.as_str()))
            .filter(Column::ClaimedUntil.into_expr().gt(self.instant()))
            .into_tuple()
            .all(db)
            .await?;
        let mut shares: HashMap<ConnectionId, usize> = HashMap::new();
        for connection in busy {
            *shares.entry(connection).or_default() += 1;
        }
        let full: Vec<ConnectionId> =
            shares.iter().filter(|(_, share)| **share >= CONNECTION_SHARE).map(|(id, _)| *id).collect();
        let looked_at = u64::try_from(most.saturating_mul(LOOKED_AT)).unwrap_or(u64::MAX);
        let due = Entity::find()
            .filter(Column::State.eq(MediaState::Pending.as_str()))
            .filter(Column::DueAt.into_expr().lte(self.instant()))
            .filter(Column::ClaimedUntil.into_expr().lte(self.instant()))
            .filter(Column::ConnectionId.is_not_in(full))
            .order_by_asc(Column::DueAt)
            .limit(looked_at);
        let mut wanted = Vec::new();
        for row in due.all(db).await? {
            let share = shares.entry(row.connection_id).or_default();
            if wanted.len() < most && *share < CONNECTION_SHARE {
                *share += 1;
                wanted.push(row.id);
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let claim = Entity::update_many()
            .col_expr(Column::ClaimedUntil, tx.clock().add(millis(lease)))
            .col_expr(Column::Attempts, Column::Attempts.into_expr().add(1))
            .filter(Column::Id.is_in(wanted))
            // Another worker may have looked at the same time.
            .filter(Column::ClaimedUntil.into_expr().lte(self.instant()))
            .filter(Column::DueAt.is_not_null());
        let claimed = claim.exec_with_returning(db).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Claims media that are to be deleted from the store, for this process alone and until `lease` has passed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_gone_media(&self, lease: Duration, most: u64) -> Result<Vec<Model>> {
        let due = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::State.eq(MediaState::Gone.as_str()))
            .filter(Column::DueAt.into_expr().lte(self.instant()))
            .filter(Column::ClaimedUntil.into_expr().lte(self.instant()))
            .order_by_asc(Column::DueAt)
            .limit(most);
        let due: Vec<MediaId> = due.into_tuple().all(&self.writer()).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let claim = Entity::update_many()
            .col_expr(Column::ClaimedUntil, self.clock().add(millis(lease)))
            .filter(Column::Id.is_in(due))
            .filter(Column::ClaimedUntil.into_expr().lte(self.instant()));
        Ok(claim.exec_with_returning(&self.writer()).await?)
    }

    /// Whether a medium is still known, in whatever state.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_medium_known(&self, id: MediaId) -> Result<bool> {
        Ok(Entity::find_by_id(id).one(&self.writer()).await?.is_some())
    }

    /// Records what became of an attempt to fetch a medium. False if it is not wanted any more, or another worker has it: then nothing
    /// is recorded.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_medium(&self, claimed: &Model, outcome: &MediaOutcome) -> Result<bool> {
        let set = Entity::update_many().col_expr(Column::ClaimedUntil, 0.into());
        let error = |what: &str| Expr::val(truncate(what, ERROR_BYTES_MAX));
        let over = |state: MediaState| {
            [(Column::State, state.as_str().into()), (Column::DueAt, none()), (Column::Url, text_none())]
        };
        let set = match outcome {
            MediaOutcome::Stored { content_type, bytes, has_thumbnail } => over(MediaState::Stored)
                .into_iter()
                .fold(set, |set, (column, value)| set.col_expr(column, value))
                .col_expr(Column::ContentType, (*content_type).into())
                .col_expr(Column::Bytes, i64::try_from(*bytes).unwrap_or(i64::MAX).into())
                .col_expr(Column::HasThumbnail, (*has_thumbnail).into())
                .col_expr(Column::Error, text_none())
                .col_expr(Column::StoredAt, self.clock()),
            MediaOutcome::Again(wait, what) => set
                .col_expr(Column::DueAt, self.clock().add(millis(*wait)))
                .col_expr(Column::Error, error(what)),
            MediaOutcome::Over(state, what) => over(*state)
                .into_iter()
                .fold(set, |set, (column, value)| set.col_expr(column, value))
                .col_expr(Column::Error, error(what)),
        };
        let record = set
            .filter(Column::Id.eq(claimed.id))
            .filter(Column::State.eq(MediaState::Pending.as_str()))
            .filter(Column::ClaimedUntil.eq(claimed.claimed_until));
        let is_recorded = record.exec(&self.writer()).await?.rows_affected > 0;
        if is_recorded && claimed.kind == PROFILE && matches!(outcome, MediaOutcome::Stored { .. }) {
            // It takes the place of the former one.
            let former = discard(self.clock())
                .filter(Column::ChatId.eq(claimed.chat_id))
                .filter(Column::Kind.eq(PROFILE))
                .filter(Column::Id.lt(claimed.id))
                .filter(Column::State.ne(MediaState::Gone.as_str()));
            former.exec(&self.writer()).await?;
        }
        Ok(is_recorded)
    }

    /// Whether a message is a customer's: not one of ours, and still there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_from_customer(&self, id: MessageId) -> Result<bool> {
        let one = message::Entity::find_by_id(id)
            .filter(message::Column::Direction.eq(Direction::Inbound.as_str()))
            .filter(message::Column::Kind.ne(UNSENT));
        Ok(one.one(&self.writer()).await?.is_some())
    }

    /// What messages of these connections carry besides text, as JSON, by Meta's ids of them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn attachments_of(
        &self,
        connections: &[ConnectionId],
        mids: &[String],
    ) -> Result<HashMap<String, String>> {
        let keys = connections.iter().flat_map(|id| mids.iter().map(|mid| mid_key(*id, mid)));
        let rows: Vec<(Option<String>, Option<String>)> = message::Entity::find()
            .select_only()
            .columns([message::Column::Mid, message::Column::Attachments])
            .filter(message::Column::MidKey.is_in(keys))
            .filter(message::Column::Attachments.is_not_null())
            .into_tuple()
            .all(&self.reader())
            .await?;
        Ok(rows.into_iter().filter_map(|(mid, attachments)| mid.zip(attachments)).collect())
    }

    /// Notes that a medium was put into words, and what that cost.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_understood(&self, id: MediaId, tokens: i32, seconds: i32) -> Result<()> {
        let set = Entity::update_many()
            .col_expr(Column::UnderstoodAt, self.clock())
            .col_expr(Column::Tokens, tokens.into())
            .col_expr(Column::Seconds, seconds.into())
            .filter(Column::Id.eq(id));
        set.exec(&self.writer()).await?;
        Ok(())
    }

    /// A medium is deleted from the store: its row goes. Or it could not be, and is tried again later.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_deleted_medium(&self, id: MediaId, is_deleted: bool) -> Result<()> {
        if is_deleted {
            Entity::delete_by_id(id).exec(&self.writer()).await?;
            return Ok(());
        }
        let again = Entity::update_many()
            .col_expr(Column::ClaimedUntil, 0.into())
            .col_expr(Column::DueAt, self.clock().add(millis(DELETE_AGAIN)))
            .filter(Column::Id.eq(id));
        again.exec(&self.writer()).await?;
        Ok(())
    }

    /// Marks one batch of media for deletion that are older than this, or whose messages were deleted when they had that age. Gives how
    /// many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_media(&self, age: Duration, only_orphans: bool, batch: u64) -> Result<u64> {
        // The ids of messages begin with the time.
        let before = first_id_at::<MessageId>(self.now().await? - millis(age));
        let orphans = if only_orphans {
            " AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = o.message_id)"
        } else {
            ""
        };
        let sql = format!(
            "UPDATE media SET state = {gone}, url = NULL, due_at = {now} WHERE id IN (SELECT o.id FROM media o \
             WHERE o.message_id < $1 AND o.state <> {gone}{orphans} ORDER BY o.message_id LIMIT $2)",
            gone = "'gone'",
            now = self.dialect.clock(),
        );
        self.execute(&sql, vec![before.into(), batch.into()]).await
    }
}

/// Marks media for deletion, as of now.
pub(crate) fn discard(now: Expr) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::State, MediaState::Gone.as_str().into())
        .col_expr(Column::DueAt, now)
        .col_expr(Column::Url, text_none())
}

fn none() -> Expr {
    Expr::val(Value::BigInt(None))
}

fn text_none() -> Expr {
    Expr::val(Value::String(None))
}
