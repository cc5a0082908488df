//! Chats: one per Instagram user and connection, with what is due in them and who works on it.

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

const UP: &[&str] = &[
    "CREATE TABLE chats (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    agent_id text NOT NULL,
    instagram_user_id text NOT NULL,
    chat_status text NOT NULL,
    metadata text NOT NULL,
    username text,
    name text,
    picture text,
    profile_at bigint,
    agent_chat_id text,
    agent_watermark text,
    mode text NOT NULL,
    mode_reason text,
    resume_at bigint,
    flag text,
    window_expires_at bigint,
    first_unanswered_at bigint,
    turn_due_at bigint,
    turn_attempts integer NOT NULL DEFAULT 0,
    turn_lease {uuid},
    turn_lease_until bigint NOT NULL DEFAULT 0,
    turn_dispatched_until bigint NOT NULL DEFAULT 0,
    outbox_due_at bigint,
    outbox_attempts integer NOT NULL DEFAULT 0,
    outbox_lease {uuid},
    outbox_lease_until bigint NOT NULL DEFAULT 0,
    outbox_dispatched_until bigint NOT NULL DEFAULT 0,
    dispatch_no bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    last_message_at bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX chats_user ON chats (connection_id, instagram_user_id)",
    "CREATE INDEX chats_turn_due ON chats (connection_id, turn_due_at) WHERE turn_due_at IS NOT NULL",
    "CREATE INDEX chats_outbox_due ON chats (connection_id, outbox_due_at) WHERE outbox_due_at IS NOT NULL",
    "CREATE INDEX chats_resume ON chats (resume_at) WHERE resume_at IS NOT NULL",
    "CREATE INDEX chats_recent ON chats (connection_id, last_message_at DESC, id)",
];

const DOWN: &[&str] = &["DROP TABLE chats"];
