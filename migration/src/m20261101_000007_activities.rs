//! What happened, for people; and what failed for good, to be replayed.

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
    "CREATE TABLE activities (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    connection_id {uuid},
    kind text NOT NULL,
    actor text NOT NULL,
    subject text,
    details text NOT NULL,
    at bigint NOT NULL
)",
    "CREATE INDEX activities_recent ON activities (subaccount_id, id DESC)",
    "CREATE TABLE dead_letters (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    connection_id {uuid},
    chat_id {uuid},
    kind text NOT NULL,
    reference {uuid} NOT NULL,
    class text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    created_at bigint NOT NULL,
    replayed_at bigint
)",
    "CREATE INDEX dead_letters_open ON dead_letters (subaccount_id, id DESC) WHERE replayed_at IS NULL",
];

const DOWN: &[&str] = &["DROP TABLE dead_letters", "DROP TABLE activities"];
