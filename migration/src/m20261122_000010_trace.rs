//! The trace a row belongs to, and when an event was written, beside when its webhook came.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, DOWN).await
    }
}

// Columns without a default: no row is written anew, however many there are.
// In the order in which the pipeline locks the tables, so that neither waits for the other.
const UP: &[&str] = &[
    "ALTER TABLE chats ADD COLUMN trace_id {uuid}",
    "ALTER TABLE turns ADD COLUMN trace_id {uuid}",
    "ALTER TABLE messages ADD COLUMN trace_id {uuid}",
    "ALTER TABLE events ADD COLUMN trace_id {uuid}",
    "ALTER TABLE events ADD COLUMN stored_at bigint",
];

const DOWN: &[&str] = &[
    "ALTER TABLE chats DROP COLUMN trace_id",
    "ALTER TABLE turns DROP COLUMN trace_id",
    "ALTER TABLE messages DROP COLUMN trace_id",
    "ALTER TABLE events DROP COLUMN stored_at",
    "ALTER TABLE events DROP COLUMN trace_id",
];
