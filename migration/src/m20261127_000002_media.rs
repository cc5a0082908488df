//! Media of customers: where Meta has them, and our copies.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, MEDIA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, &["DROP TABLE media"]).await
    }
}

const MEDIA: &[&str] = &[
    "CREATE TABLE media (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    chat_id {uuid} NOT NULL,
    message_id {uuid},
    position integer NOT NULL,
    kind text NOT NULL,
    url text,
    state text NOT NULL,
    content_type text,
    bytes bigint,
    has_thumbnail boolean NOT NULL DEFAULT FALSE,
    error text,
    attempts integer NOT NULL DEFAULT 0,
    due_at bigint,
    claimed_until bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    stored_at bigint
)",
    "CREATE INDEX media_due ON media (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX media_claimed ON media (claimed_until) WHERE due_at IS NOT NULL",
    "CREATE INDEX media_chat ON media (chat_id, message_id)",
    "CREATE INDEX media_message ON media (message_id)",
];
