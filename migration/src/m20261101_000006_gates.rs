//! Gates before the services we call, and which process leads the sweep.

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
    "CREATE TABLE gates (
    key text PRIMARY KEY,
    closed_until bigint NOT NULL,
    reason text,
    failures integer NOT NULL,
    probe_until bigint NOT NULL,
    last_success_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE TABLE leaders (
    name text PRIMARY KEY,
    holder {uuid} NOT NULL,
    until bigint NOT NULL
)",
];

const DOWN: &[&str] = &["DROP TABLE leaders", "DROP TABLE gates"];
