//! What businesses upload to send it: media of a connection and of no chat.

use crate::{Error, Result, Store};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{ConnectionId, MediaId};
use dmrelay_domain::media::MediaState;
use dmrelay_entity::Word;
use dmrelay_entity::media::{ActiveModel, Column, Entity, Model};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Value};
use std::time::Duration;

/// How long an upload may take. Whatever became of one that took longer, its objects are deleted.
const UPLOAD_TIME: Duration = Duration::from_hours(1);

/// An upload that begins.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Meta's word for it.
    pub kind: &'static str,
    /// What it is by its bytes.
    pub content_type: &'static str,
    /// Its size, in bytes.
    pub bytes: usize,
    /// Whether the store gets a thumbnail, too.
    pub has_thumbnail: bool,
}

impl Store {
    /// Notes an upload before anything is stored: if nothing comes of it, its objects are deleted after a while.
    ///
    /// # Errors
    /// What the database says.
    pub async fn begin_upload(&self, upload: &Upload) -> Result<Model> {
        let now = self.now().await?;
        let row = ActiveModel {
            id: Set(MediaId::new()),
            connection_id: Set(upload.connection),
            chat_id: Set(None),
            message_id: Set(None),
            position: Set(0),
            kind: Set(upload.kind.to_owned()),
            state: Set(Word::from(MediaState::Gone)),
            content_type: Set(Some(upload.content_type.to_owned())),
            bytes: Set(i64::try_from(upload.bytes).ok()),
            has_thumbnail: Set(upload.has_thumbnail),
            attempts: Set(0),
            due_at: Set(Some(now + millis(UPLOAD_TIME))),
            claimed_until: Set(0),
            created_at: Set(now),
            ..ActiveModel::default()
        };
        Ok(Entity::insert(row).exec_with_returning(&self.writer()).await?)
    }

    /// An upload is complete. `None` if it took too long.
    ///
    /// # Errors
    /// What the database says; [`Error::is_conflict`] if the same was uploaded meanwhile.
    pub async fn keep_upload(&self, id: MediaId, sha256: &str, attachment: &str) -> Result<Option<Model>> {
        let keep = Entity::update_many()
            .col_expr(Column::State, MediaState::Stored.as_str().into())
            .col_expr(Column::DueAt, Expr::val(Value::BigInt(None)))
            .col_expr(Column::Sha256, sha256.into())
            .col_expr(Column::AttachmentId, attachment.into())
            .col_expr(Column::StoredAt, self.clock())
            .filter(Column::Id.eq(id))
            .filter(Column::State.eq(MediaState::Gone.as_str()))
            .filter(Column::ClaimedUntil.eq(0));
        let kept = keep.exec_with_returning(&self.writer()).await.map_err(Error::from)?;
        Ok(kept.into_iter().next())
    }

    /// What was uploaded with these bytes.
    ///
    /// # Errors
    /// What the database says.
    pub async fn uploaded(&self, connection: ConnectionId, sha256: &str) -> Result<Option<Model>> {
        let one = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::Sha256.eq(sha256))
            .filter(Column::State.eq(MediaState::Stored.as_str()));
        Ok(one.one(&self.writer()).await?)
    }

    /// Stops reusing an upload: the same file is uploaded again. Messages sent with it keep showing it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_digest(&self, id: MediaId) -> Result<()> {
        let forget = Entity::update_many()
            .col_expr(Column::Sha256, Expr::val(Value::String(None)))
            .filter(Column::Id.eq(id));
        forget.exec(&self.writer()).await?;
        Ok(())
    }

    /// What was uploaded, by Meta's ids for it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn uploads(&self, connection: ConnectionId, attachments: &[&str]) -> Result<Vec<Model>> {
        if attachments.is_empty() {
            return Ok(Vec::new());
        }
        let all = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::AttachmentId.is_in(attachments.iter().copied()))
            .filter(Column::State.eq(MediaState::Stored.as_str()));
        Ok(all.all(&self.reader()).await?)
    }

    /// An upload is deleted, as soon as a worker can. False if there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn discard_upload(&self, connections: &[ConnectionId], id: MediaId) -> Result<bool> {
        let discard = crate::media::discard(self.clock())
            .col_expr(Column::Sha256, Expr::val(Value::String(None)))
            .filter(Column::Id.eq(id))
            .filter(Column::ConnectionId.is_in(connections.iter().copied()))
            .filter(Column::AttachmentId.is_not_null())
            .filter(Column::State.eq(MediaState::Stored.as_str()));
        Ok(discard.exec(&self.writer()).await?.rows_affected > 0)
    }
}
