//! What putting media into words has cost.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, UNDERSTANDING).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let undo = [
            "ALTER TABLE usage_days DROP COLUMN understood_seconds",
            "ALTER TABLE usage_days DROP COLUMN understood_tokens",
            "ALTER TABLE usage_days DROP COLUMN understood",
            "DROP INDEX media_understood",
            "ALTER TABLE media DROP COLUMN seconds",
            "ALTER TABLE media DROP COLUMN tokens",
            "ALTER TABLE media DROP COLUMN understood_at",
        ];
        crate::schema::run(manager, &undo).await
    }
}

const UNDERSTANDING: &[&str] = &[
    "ALTER TABLE media ADD COLUMN understood_at bigint",
    "ALTER TABLE media ADD COLUMN tokens integer",
    "ALTER TABLE media ADD COLUMN seconds integer",
    "CREATE INDEX media_understood ON media (connection_id, understood_at) WHERE understood_at IS NOT NULL",
    "ALTER TABLE usage_days ADD COLUMN understood bigint NOT NULL DEFAULT 0",
    "ALTER TABLE usage_days ADD COLUMN understood_tokens bigint NOT NULL DEFAULT 0",
    "ALTER TABLE usage_days ADD COLUMN understood_seconds bigint NOT NULL DEFAULT 0",
];
