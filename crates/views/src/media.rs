//! Media of customers.

use super::enums;
use super::format::{always, time};
use dmrelay_store::entity::media;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a customer sent besides text, and how far our copy of it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Medium)]
pub struct MediaView {
    /// The id of the medium, as the attachment of the message has it.
    pub media_id: Uuid,
    /// The chat it was sent in; null for what was uploaded.
    pub chat_id: Option<Uuid>,
    /// The message it came with; null for the picture of the customer.
    pub message_id: Option<Uuid>,
    /// Which attachment of the message it is, from 0.
    #[schema(minimum = 0)]
    pub position: i32,
    /// Meta's word for it; or `profile`, the picture of the customer.
    #[schema(schema_with = enums::medium_kind)]
    pub kind: String,
    /// How far the copy is: `pending`, `stored`, `expired` (Meta's link ended before it was fetched), or `failed`.
    #[schema(schema_with = enums::media_state)]
    pub state: String,
    /// What it is by its bytes; null until it is stored.
    #[schema(example = "image/jpeg")]
    pub content_type: Option<String>,
    /// Its size in bytes.
    #[schema(minimum = 0)]
    pub bytes: Option<i64>,
    /// Why it was not fetched, at the last attempt.
    pub error: Option<String>,
    /// Where everybody gets it who has this link, for a while: for `<img>`, `<video>` and `<audio>`. Null until it is stored.
    #[schema(example = "https://dmrelay.example.com/media/0190…?token=…")]
    pub url: Option<String>,
    /// The same for a small picture of at most 480 pixels; null if there is none.
    pub thumbnail_url: Option<String>,
    /// Until when the links are valid.
    #[schema(format = DateTime)]
    pub url_expires_at: Option<String>,
    /// When its message came.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was stored.
    #[schema(format = DateTime)]
    pub stored_at: Option<String>,
}

impl MediaView {
    /// The view of a row, with links that somebody has made.
    pub fn of(
        row: &media::Model,
        (url, thumbnail_url): (Option<String>, Option<String>),
        until: Option<i64>,
    ) -> Self {
        Self {
            media_id: row.id.0,
            chat_id: row.chat_id.map(|id| id.0),
            message_id: row.message_id.map(|id| id.0),
            position: row.position,
            kind: row.kind.clone(),
            state: row.state.to_string(),
            content_type: row.content_type.clone(),
            bytes: row.bytes,
            error: row.error.clone(),
            url_expires_at: until.filter(|_| url.is_some()).and_then(time),
            url,
            thumbnail_url,
            created_at: always(row.created_at),
            stored_at: row.stored_at.and_then(time),
        }
    }
}

/// A file that was uploaded to be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Upload)]
pub struct UploadView {
    /// The id of our copy.
    pub media_id: Uuid,
    /// Meta's id of it: what messages name as `attachment_id`.
    #[schema(example = "1784140000000002")]
    pub attachment_id: String,
    /// The attachment `type` it is sent as: `image`, `video`, `audio` or `file`.
    #[schema(schema_with = enums::upload_kind)]
    pub kind: String,
    /// What it is by its bytes.
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// Its size in bytes.
    #[schema(minimum = 0)]
    pub bytes: i64,
    /// When it was uploaded.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl UploadView {
    /// The view of a row.
    pub fn of(row: &media::Model) -> Self {
        Self {
            media_id: row.id.0,
            attachment_id: row.attachment_id.clone().unwrap_or_default(),
            kind: row.kind.clone(),
            content_type: row.content_type.clone().unwrap_or_default(),
            bytes: row.bytes.unwrap_or_default(),
            created_at: always(row.created_at),
        }
    }
}
