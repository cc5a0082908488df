//! API keys, as hashes.

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
    "CREATE TABLE api_keys (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    role text NOT NULL,
    name text NOT NULL,
    hash {bytes} NOT NULL,
    created_at bigint NOT NULL,
    last_used_at bigint,
    expires_at bigint,
    revoked_at bigint
)",
    "CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash)",
];

const DOWN: &[&str] = &["DROP TABLE api_keys"];
