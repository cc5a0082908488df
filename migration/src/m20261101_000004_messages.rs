//! Messages of both directions; those to be sent are the outbox.

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
    "CREATE TABLE messages (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    chat_id {uuid} NOT NULL,
    seq bigint NOT NULL,
    direction text NOT NULL,
    author text NOT NULL,
    mid text,
    kind text NOT NULL,
    text text,
    attachments text,
    reply_to text,
    payload text,
    metadata text,
    needs_answer boolean NOT NULL DEFAULT FALSE,
    turn_id {uuid},
    part integer,
    status text NOT NULL,
    error_class text,
    error_code text,
    error_message text,
    attempt integer NOT NULL DEFAULT 0,
    deadline bigint,
    at bigint NOT NULL,
    received_at bigint NOT NULL,
    started_at bigint,
    sent_at bigint,
    confirmed_at bigint,
    read_at bigint,
    idempotency_key text,
    created_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX messages_mid ON messages (connection_id, mid) WHERE mid IS NOT NULL",
    "CREATE UNIQUE INDEX messages_seq ON messages (chat_id, seq)",
    "CREATE UNIQUE INDEX messages_part ON messages (turn_id, part) WHERE part IS NOT NULL",
    "CREATE UNIQUE INDEX messages_idempotency ON messages (connection_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE UNIQUE INDEX messages_one_sending ON messages (chat_id) WHERE status = 'sending'",
    "CREATE INDEX messages_unanswered ON messages (chat_id, at) WHERE needs_answer AND turn_id IS NULL",
    "CREATE INDEX messages_outbox ON messages (chat_id, seq) WHERE status IN ('queued', 'sending', 'unknown')",
    "CREATE INDEX messages_recent ON messages (connection_id, id DESC)",
];

const DOWN: &[&str] = &["DROP TABLE messages"];
