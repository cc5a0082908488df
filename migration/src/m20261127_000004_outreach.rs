//! Conversations that were handed over, and customers who want no broadcasts.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, OUTREACH).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, &["DROP INDEX chats_handed_over"]).await
    }
}

const OUTREACH: &[&str] =
    &["CREATE INDEX chats_handed_over ON chats (connection_id) WHERE flag = 'handover'"];
