//! Conversations that were handed over; broadcasts, and customers who want none; comments.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::schema::run(manager, OUTREACH).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let undo = [
            "DROP TABLE comments",
            "DROP TABLE broadcast_recipients",
            "DROP TABLE broadcasts",
            "ALTER TABLE chat_triage DROP COLUMN language",
            "ALTER TABLE chats DROP COLUMN opted_out_at",
            "DROP INDEX chats_handed_over",
        ];
        crate::schema::run(manager, &undo).await
    }
}

const OUTREACH: &[&str] = &[
    "CREATE INDEX chats_handed_over ON chats (connection_id) WHERE flag = 'handover'",
    "ALTER TABLE chats ADD COLUMN opted_out_at bigint",
    "ALTER TABLE chat_triage ADD COLUMN language text",
    "CREATE TABLE broadcasts (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    audience text NOT NULL,
    message text NOT NULL,
    variables text NOT NULL,
    template_id {uuid},
    template_version integer,
    interval_us bigint NOT NULL,
    starts_at bigint NOT NULL,
    collected boolean NOT NULL,
    collected_to {uuid},
    recipients bigint NOT NULL,
    next_us bigint NOT NULL,
    look_at bigint NOT NULL,
    told integer NOT NULL,
    worker {uuid},
    reserved_until bigint NOT NULL,
    actor text NOT NULL,
    actor_id text,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint
)",
    "CREATE INDEX broadcasts_connection ON broadcasts (connection_id, id)",
    "CREATE INDEX broadcasts_due ON broadcasts (connection_id, starts_at, id) WHERE state IN ('scheduled', 'running')",
    "CREATE TABLE broadcast_recipients (
    broadcast_id {uuid} NOT NULL,
    chat_id {uuid} NOT NULL,
    state text NOT NULL,
    reason text,
    message_id {uuid},
    tries integer NOT NULL,
    due_at bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (broadcast_id, chat_id)
)",
    "CREATE INDEX broadcast_recipients_pending ON broadcast_recipients (broadcast_id, due_at, chat_id) WHERE state = 'pending'",
    "CREATE INDEX broadcast_recipients_queued ON broadcast_recipients (broadcast_id) WHERE state = 'queued'",
    "CREATE INDEX broadcast_recipients_state ON broadcast_recipients (broadcast_id, state, reason)",
    "CREATE TABLE comments (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    kind text NOT NULL,
    comment_id text NOT NULL,
    media_id text,
    parent_id text,
    is_live boolean NOT NULL,
    instagram_user_id text,
    username text,
    text text,
    state text NOT NULL,
    reason text,
    rule text,
    reply text,
    mid text,
    recipient_id text,
    chat_id {uuid},
    public_reply text,
    hidden text,
    attempts integer NOT NULL,
    due_at bigint,
    claimed_until bigint NOT NULL,
    commented_at bigint,
    received_at bigint NOT NULL,
    replied_at bigint
)",
    "CREATE UNIQUE INDEX comments_meta ON comments (connection_id, kind, comment_id)",
    "CREATE INDEX comments_newest ON comments (connection_id, id)",
    "CREATE INDEX comments_due ON comments (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX comments_replied ON comments (connection_id, replied_at) WHERE replied_at IS NOT NULL",
    "CREATE INDEX comments_user ON comments (connection_id, instagram_user_id) WHERE instagram_user_id IS NOT NULL",
    // What is erased of a customer.
    "CREATE INDEX broadcast_recipients_chat ON broadcast_recipients (chat_id)",
];
