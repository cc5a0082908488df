//! Turns: one question to the agent each, at most one of a chat unfinished.

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
    "CREATE TABLE turns (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    chat_id {uuid} NOT NULL,
    message_ids text NOT NULL,
    asked_hash {bytes} NOT NULL,
    watermark text,
    agent_chat_id text,
    rollovers integer NOT NULL DEFAULT 0,
    state text NOT NULL,
    attempt integer NOT NULL,
    deadline bigint NOT NULL,
    received_at bigint NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    latency_ms bigint,
    error_class text,
    error text
)",
    "CREATE UNIQUE INDEX turns_one_open ON turns (chat_id) WHERE state IN ('asking', 'reconciling', 'waiting')",
    "CREATE INDEX turns_chat ON turns (chat_id, id DESC)",
];

const DOWN: &[&str] = &["DROP TABLE turns"];
