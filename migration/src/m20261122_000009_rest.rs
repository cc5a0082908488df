//! What the REST API for frontends needs: who sent a message, a bot that is paused, keys with their maker,
//! discarded dead letters, and writes that are answered once.

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

// Where a table is big, an operator may have made its index before, without keeping writers waiting.
const UP: &[&str] = &[
    "ALTER TABLE instagram_connections ADD COLUMN bot_paused boolean NOT NULL DEFAULT FALSE",
    "ALTER TABLE instagram_connections ADD COLUMN token_check_at bigint",
    "ALTER TABLE messages ADD COLUMN actor text",
    // What goes on while the bot of an account is paused: people's messages, and sends being found out.
    "CREATE INDEX IF NOT EXISTS messages_goes_on ON messages (connection_id, chat_id)
    WHERE status IN ('queued', 'sending', 'unknown') AND NOT (status = 'queued' AND author = 'agent')
    AND NOT (status = 'unknown' AND deadline IS NULL)",
    "CREATE INDEX IF NOT EXISTS turns_goes_on ON turns (connection_id, chat_id) WHERE state IN ('asking', 'reconciling')",
    "ALTER TABLE dead_letters ADD COLUMN discarded_at bigint",
    "ALTER TABLE dead_letters ADD COLUMN closed_by text",
    "DROP INDEX dead_letters_open",
    "CREATE INDEX IF NOT EXISTS dead_letters_open ON dead_letters (subaccount_id, id DESC)
    WHERE replayed_at IS NULL AND discarded_at IS NULL",
    "CREATE INDEX IF NOT EXISTS dead_letters_all ON dead_letters (subaccount_id, id DESC)",
    "ALTER TABLE api_keys ADD COLUMN created_by text",
    "CREATE INDEX IF NOT EXISTS api_keys_subaccount ON api_keys (subaccount_id, id DESC)",
    "CREATE INDEX IF NOT EXISTS activities_of_mode ON activities (subject, id)
    WHERE kind IN ('INSTAGRAM_BOT_PAUSED', 'INSTAGRAM_BOT_RESUMED')",
    "CREATE TABLE idempotency_keys (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint {bytes} NOT NULL,
    status integer,
    response {bytes},
    locked_until bigint NOT NULL,
    created_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX idempotency_keys_key ON idempotency_keys (subaccount_id, principal, key)",
    "CREATE INDEX IF NOT EXISTS idempotency_keys_age ON idempotency_keys (created_at)",
];

const DOWN: &[&str] = &[
    "DROP TABLE idempotency_keys",
    "DROP INDEX activities_of_mode",
    "DROP INDEX api_keys_subaccount",
    "ALTER TABLE api_keys DROP COLUMN created_by",
    "DROP INDEX dead_letters_all",
    "DROP INDEX dead_letters_open",
    "CREATE INDEX dead_letters_open ON dead_letters (subaccount_id, id DESC) WHERE replayed_at IS NULL",
    "ALTER TABLE dead_letters DROP COLUMN closed_by",
    "ALTER TABLE dead_letters DROP COLUMN discarded_at",
    "DROP INDEX turns_goes_on",
    "DROP INDEX messages_goes_on",
    "ALTER TABLE messages DROP COLUMN actor",
    "ALTER TABLE instagram_connections DROP COLUMN token_check_at",
    "ALTER TABLE instagram_connections DROP COLUMN bot_paused",
];
