//! Instagram connections, and which subaccount an agent belongs to.

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
    "CREATE TABLE instagram_connections (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    agent_id text NOT NULL,
    status text NOT NULL,
    status_reason text,
    login_kind text NOT NULL,
    instagram_account_id text NOT NULL,
    page_id text,
    username text,
    access_token {bytes},
    token_expires_at bigint,
    credential_version bigint NOT NULL,
    verify_token {bytes},
    app_secret {bytes},
    subscribed_fields text NOT NULL,
    settings text NOT NULL,
    last_event_at bigint,
    connected_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX instagram_connections_live_account
    ON instagram_connections (instagram_account_id) WHERE status <> 'disconnected'",
    "CREATE INDEX instagram_connections_agent ON instagram_connections (subaccount_id, agent_id)",
    "CREATE TABLE agents (
    id text PRIMARY KEY,
    subaccount_id text NOT NULL,
    created_at bigint NOT NULL
)",
];

const DOWN: &[&str] = &["DROP TABLE agents", "DROP TABLE instagram_connections"];
