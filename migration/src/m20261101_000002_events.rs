//! The inbox: what Meta sent, each event once.

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
    "CREATE TABLE events (
    id {uuid} PRIMARY KEY,
    key {bytes} NOT NULL,
    account text NOT NULL,
    thread text NOT NULL,
    kind text NOT NULL,
    container text NOT NULL,
    raw {bytes},
    at bigint NOT NULL,
    received_at bigint NOT NULL,
    due_at bigint,
    claimed_until bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    dispatch_no integer NOT NULL DEFAULT 0,
    state text NOT NULL,
    error text
)",
    "CREATE UNIQUE INDEX events_key ON events (key)",
    "CREATE INDEX events_conversation ON events (account, thread, at, id) WHERE due_at IS NOT NULL",
    "CREATE INDEX events_due ON events (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX events_unrouted ON events (account) WHERE state = 'unrouted'",
];

const DOWN: &[&str] = &["DROP TABLE events"];
