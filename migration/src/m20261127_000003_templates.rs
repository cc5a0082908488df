//! Saved messages, with variables: what they say now, and what each version said.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, TEMPLATES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, &["DROP TABLE template_versions", "DROP TABLE templates"]).await
    }
}

const TEMPLATES: &[&str] = &[
    "CREATE TABLE templates (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    message text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX templates_name ON templates (subaccount_id, name)",
    "CREATE TABLE template_versions (
    template_id {uuid} NOT NULL,
    version integer NOT NULL,
    message text NOT NULL,
    author text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (template_id, version)
)",
];
