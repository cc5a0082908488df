//! What businesses upload to send it: media of no chat, with Meta's id for them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let uploads = [
            "ALTER TABLE media ADD COLUMN attachment_id text",
            "ALTER TABLE media ADD COLUMN sha256 text",
            "CREATE UNIQUE INDEX media_uploads ON media (connection_id, sha256) WHERE sha256 IS NOT NULL",
        ];
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            crate::schema::run(manager, &["ALTER TABLE media ALTER COLUMN chat_id DROP NOT NULL"]).await?;
        } else {
            crate::schema::run(manager, &chat_anew("{uuid}")).await?;
        }
        crate::schema::run(manager, &uploads).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let undo = [
            "DROP INDEX media_uploads",
            "DELETE FROM media WHERE chat_id IS NULL",
            "ALTER TABLE media DROP COLUMN sha256",
            "ALTER TABLE media DROP COLUMN attachment_id",
        ];
        crate::schema::run(manager, &undo).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            return crate::schema::run(manager, &["ALTER TABLE media ALTER COLUMN chat_id SET NOT NULL"])
                .await;
        }
        let nobody = "{uuid} NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'";
        crate::schema::run(manager, &chat_anew(nobody)).await
    }
}

/// Gives the column of the chat another type. SQLite can change none in place.
fn chat_anew(kind: &str) -> [String; 6] {
    [
        format!("ALTER TABLE media ADD COLUMN chat {kind}"),
        "UPDATE media SET chat = chat_id".to_owned(),
        "DROP INDEX media_chat".to_owned(),
        "ALTER TABLE media DROP COLUMN chat_id".to_owned(),
        "ALTER TABLE media RENAME COLUMN chat TO chat_id".to_owned(),
        "CREATE INDEX media_chat ON media (chat_id, message_id)".to_owned(),
    ]
}
