//! The schema.
//!
//! Indexes that lookups of the pipeline use lead with the column that tells rows apart: on an empty table all indexes that
//! lead with the connection look alike to PostgreSQL, and a plan made then may be kept.

use crate::records::{ACCESS, LOGINS, NOTIFICATIONS, PRIVACY, PROVIDERS, RECORDS};
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statements in [
            CONNECTIONS,
            EVENTS,
            CHATS,
            MESSAGES,
            TURNS,
            COORDINATION,
            RECORDS,
            ACCESS,
            PROVIDERS,
            LOGINS,
            NOTIFICATIONS,
            PRIVACY,
        ] {
            crate::schema::run(manager, statements).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drops: Vec<String> = TABLES.iter().map(|table| format!("DROP TABLE {table}")).collect();
        let drops: Vec<&str> = drops.iter().map(String::as_str).collect();
        crate::schema::run(manager, &drops).await
    }
}

const TABLES: [&str; 39] = [
    "sessions",
    "chat_notes",
    "chat_tags",
    "chat_triage",
    "chat_reads",
    "notifications",
    "notification_targets",
    "incidents",
    "backfills",
    "connection_checks",
    "connect_sessions",
    "meta_apps",
    "usage_days",
    "budgets",
    "pauses",
    "write_probes",
    "turn_counts",
    "turn_holds",
    "provider_keys",
    "erasures",
    "agent_chat_deletions",
    "erased_users",
    "erased_traces",
    "agent_chats",
    "account_signs",
    "prompt_echoes",
    "idempotency_keys",
    "api_keys",
    "dead_letters",
    "activities",
    "processes",
    "leaders",
    "gates",
    "turns",
    "messages",
    "chats",
    "events",
    "agents",
    "instagram_connections",
];

const CONNECTIONS: &[&str] = &[
    "CREATE TABLE instagram_connections (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    agent_id text NOT NULL,
    status text NOT NULL,
    status_reason text,
    login_kind text NOT NULL,
    instagram_account_id text NOT NULL,
    page_id text,
    app_user_id text,
    username text,
    access_token {bytes},
    token_proof {bytes},
    token_expires_at bigint,
    token_check_at bigint,
    credential_version bigint NOT NULL,
    verify_token {bytes},
    app_secret {bytes},
    subscribed_fields text NOT NULL,
    settings text NOT NULL,
    bot_paused boolean NOT NULL DEFAULT FALSE,
    last_event_at bigint,
    connected_at bigint,
    check_at bigint,
    permissions text,
    inbox_profile text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX instagram_connections_live_account
    ON instagram_connections (instagram_account_id) WHERE status <> 'disconnected'",
    "CREATE INDEX instagram_connections_paused ON instagram_connections (id) WHERE bot_paused",
    "CREATE INDEX instagram_connections_agent ON instagram_connections (subaccount_id, agent_id)",
    // How far Meta's copy of the conversations of each has been compared with ours.
    "CREATE TABLE backfills (
    connection_id {uuid} PRIMARY KEY,
    due_at bigint NOT NULL,
    seen_until bigint NOT NULL,
    reason text,
    since bigint,
    cursor text,
    threads bigint NOT NULL,
    skipped bigint NOT NULL,
    found bigint NOT NULL,
    requested_at bigint,
    finished_at bigint,
    last_found_at bigint
)",
    "CREATE INDEX backfills_due ON backfills (due_at)",
    // The health of each, as it was found last.
    "CREATE TABLE connection_checks (
    connection_id {uuid} NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    detail text NOT NULL,
    since bigint NOT NULL,
    checked_at bigint NOT NULL,
    PRIMARY KEY (connection_id, name)
)",
    "CREATE TABLE agents (
    id text PRIMARY KEY,
    subaccount_id text NOT NULL,
    created_at bigint NOT NULL
)",
];

const EVENTS: &[&str] = &[
    "CREATE TABLE events (
    id {uuid} PRIMARY KEY,
    key {bytes} NOT NULL,
    account text NOT NULL,
    thread text NOT NULL,
    kind text NOT NULL,
    container text NOT NULL,
    raw {bytes},
    at bigint NOT NULL,
    received_at bigint NOT NULL,
    ready_at bigint,
    due_at bigint,
    claimed_until bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    dispatch_no integer NOT NULL DEFAULT 0,
    state text NOT NULL,
    error text,
    trace_id {uuid}
){more_room}",
    "CREATE UNIQUE INDEX events_key ON events (key)",
    "CREATE INDEX events_conversation ON events (thread, account, at, id) WHERE state = 'new'",
    "CREATE INDEX events_due ON events (account, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX events_unrouted ON events (account) WHERE state = 'unrouted'",
    "CREATE TABLE account_signs (
    account text NOT NULL,
    sign text NOT NULL,
    count bigint NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    detail text,
    PRIMARY KEY (account, sign)
)",
];

const CHATS: &[&str] = &[
    "CREATE TABLE chats (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    agent_id text NOT NULL,
    instagram_user_id text NOT NULL,
    chat_status text NOT NULL,
    metadata text NOT NULL,
    username text,
    name text,
    picture text,
    profile_at bigint,
    agent_chat_id text,
    agent_watermark text,
    recall boolean NOT NULL DEFAULT FALSE,
    renew boolean NOT NULL DEFAULT FALSE,
    opening_until bigint NOT NULL DEFAULT 0,
    note_seq bigint NOT NULL DEFAULT 0,
    notice_at bigint NOT NULL DEFAULT 0,
    erased_at bigint NOT NULL DEFAULT 0,
    agent_seq bigint NOT NULL DEFAULT 0,
    human_seq bigint NOT NULL DEFAULT 0,
    verify boolean NOT NULL DEFAULT FALSE,
    mode text NOT NULL,
    mode_reason text,
    resume_at bigint,
    flag text,
    window_expires_at bigint,
    first_unanswered_at bigint,
    turn_due_at bigint,
    turn_attempts integer NOT NULL DEFAULT 0,
    turn_reserved_until bigint NOT NULL DEFAULT 0,
    outbox_due_at bigint,
    outbox_attempts integer NOT NULL DEFAULT 0,
    outbox_reserved_until bigint NOT NULL DEFAULT 0,
    hour_started_at bigint NOT NULL DEFAULT 0,
    hour_turns integer NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    last_message_at bigint NOT NULL DEFAULT 0,
    trace_id {uuid},
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
){room}",
    "CREATE UNIQUE INDEX chats_user ON chats (instagram_user_id, connection_id)",
    // First attempts and later ones apart, so that a long queue of either does not hide the other.
    "CREATE INDEX chats_turn_due ON chats (connection_id, turn_due_at)
    WHERE turn_due_at IS NOT NULL AND turn_attempts = 0",
    "CREATE INDEX chats_turn_retry ON chats (connection_id, turn_due_at)
    WHERE turn_due_at IS NOT NULL AND turn_attempts > 0",
    "CREATE INDEX chats_outbox_due ON chats (connection_id, outbox_due_at)
    WHERE outbox_due_at IS NOT NULL AND outbox_attempts = 0",
    "CREATE INDEX chats_outbox_retry ON chats (connection_id, outbox_due_at)
    WHERE outbox_due_at IS NOT NULL AND outbox_attempts > 0",
    "CREATE INDEX chats_resume ON chats (resume_at) WHERE resume_at IS NOT NULL",
    "CREATE INDEX chats_recent ON chats (connection_id, last_message_at DESC, id)",
    // Up to where each reader has read each.
    "CREATE TABLE chat_reads (
    chat_id {uuid} NOT NULL,
    reader text NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (chat_id, reader)
)",
    // What people decide about each, apart from what the pipeline writes.
    "CREATE TABLE chat_triage (
    chat_id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    assignee text,
    snoozed_until bigint,
    snoozed_seq bigint NOT NULL
)",
    "CREATE TABLE chat_tags (
    chat_id {uuid} NOT NULL,
    tag text NOT NULL,
    connection_id {uuid} NOT NULL,
    PRIMARY KEY (chat_id, tag)
)",
    "CREATE INDEX chat_triage_assignee ON chat_triage (assignee) WHERE assignee IS NOT NULL",
    "CREATE INDEX chat_triage_connection ON chat_triage (connection_id)",
    "CREATE INDEX chat_tags_tag ON chat_tags (tag)",
    "CREATE TABLE chat_notes (
    id {uuid} PRIMARY KEY,
    chat_id {uuid} NOT NULL,
    text text NOT NULL,
    author text NOT NULL,
    author_id text,
    created_at bigint NOT NULL
)",
    "CREATE INDEX chat_notes_chat ON chat_notes (chat_id, id DESC)",
];

const MESSAGES: &[&str] = &[
    "CREATE TABLE messages (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    chat_id {uuid} NOT NULL,
    seq bigint NOT NULL,
    direction text NOT NULL,
    author text NOT NULL,
    mid text,
    mid_key {uuid},
    kind text NOT NULL,
    text text,
    attachments text,
    reply_to text,
    payload text,
    metadata text,
    needs_answer boolean NOT NULL DEFAULT FALSE,
    turn_id {uuid},
    part integer,
    status text NOT NULL,
    error_class text,
    error_code text,
    error_message text,
    attempt integer NOT NULL DEFAULT 0,
    worker {uuid},
    deadline bigint,
    lookups integer NOT NULL DEFAULT 0,
    at bigint NOT NULL,
    received_at bigint NOT NULL,
    started_at bigint,
    sent_at bigint,
    confirmed_at bigint,
    read_at bigint,
    idempotency_key text,
    actor text,
    actor_id text,
    sent_by text,
    trace_id {uuid},
    created_at bigint NOT NULL
){room}",
    "CREATE UNIQUE INDEX messages_mid ON messages (mid_key) WHERE mid_key IS NOT NULL",
    "CREATE UNIQUE INDEX messages_seq ON messages (chat_id, seq)",
    "CREATE UNIQUE INDEX messages_part ON messages (turn_id, part) WHERE part IS NOT NULL",
    "CREATE UNIQUE INDEX messages_idempotency ON messages (connection_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE UNIQUE INDEX messages_one_sending ON messages (chat_id) WHERE status = 'sending'",
    "CREATE INDEX messages_unanswered ON messages (chat_id, at) WHERE needs_answer AND turn_id IS NULL",
    "CREATE INDEX messages_outbox ON messages (chat_id, seq) WHERE status IN ('queued', 'sending', 'unknown')",
    "CREATE INDEX messages_recent ON messages (connection_id, id DESC)",
    // What goes on while the agent of an account is paused: messages of human agents, and sends being looked up.
    "CREATE INDEX messages_goes_on ON messages (connection_id, chat_id)
    WHERE status IN ('queued', 'sending', 'unknown') AND NOT (status = 'queued' AND author = 'agent')
    AND NOT (status = 'unknown' AND deadline IS NULL)",
];

const TURNS: &[&str] = &[
    "CREATE TABLE turns (
    id {uuid} PRIMARY KEY,
    connection_id {uuid} NOT NULL,
    chat_id {uuid} NOT NULL,
    message_ids text NOT NULL,
    asked_seq bigint NOT NULL DEFAULT 0,
    asked_hash {bytes} NOT NULL,
    watermark text,
    agent_chat_id text,
    rollovers integer NOT NULL DEFAULT 0,
    state text NOT NULL,
    attempt integer NOT NULL,
    worker {uuid},
    deadline bigint NOT NULL,
    lookups integer NOT NULL DEFAULT 0,
    seen text,
    withdrawn text,
    written_at bigint NOT NULL,
    received_at bigint NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    latency_ms bigint,
    error_class text,
    error text,
    trace_id {uuid}
){room}",
    "CREATE UNIQUE INDEX turns_one_open ON turns (chat_id) WHERE state IN ('asking', 'reconciling', 'waiting')",
    "CREATE INDEX turns_asking ON turns (deadline) WHERE state = 'asking'",
    "CREATE INDEX turns_chat ON turns (chat_id, id DESC)",
    "CREATE INDEX turns_goes_on ON turns (connection_id, chat_id) WHERE state IN ('asking', 'reconciling')",
    "CREATE TABLE prompt_echoes (
    connection_id {uuid} NOT NULL,
    digest {bytes} NOT NULL,
    chat_id {uuid} NOT NULL,
    mid text NOT NULL,
    recognized boolean NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (connection_id, digest, chat_id)
)",
];

const COORDINATION: &[&str] = &[
    "CREATE TABLE gates (
    key text PRIMARY KEY,
    closed_until bigint NOT NULL,
    reason text,
    failures integer NOT NULL,
    probe_until bigint NOT NULL,
    last_success_at bigint NOT NULL,
    reset_at bigint NOT NULL DEFAULT 0,
    updated_at bigint NOT NULL
)",
    // How often the agent was asked, in the hour and on the day (UTC) of the last time; both since the epoch.
    "CREATE TABLE turn_counts (
    connection_id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    hour bigint NOT NULL,
    hour_turns bigint NOT NULL,
    day bigint NOT NULL,
    day_turns bigint NOT NULL
)",
    // Whose turns a used-up budget holds back: few rows, of seconds.
    "CREATE TABLE turn_holds (
    key text PRIMARY KEY,
    until bigint NOT NULL
)",
    // The budgets of the workers' settings, for those who ask the API.
    "CREATE TABLE budgets (
    name text PRIMARY KEY,
    turns bigint NOT NULL
)",
    // Counted from messages and turns, and kept after they are deleted; days (UTC) since the epoch.
    "CREATE TABLE usage_days (
    connection_id {uuid} NOT NULL,
    day bigint NOT NULL,
    subaccount_id text NOT NULL,
    instagram_account_id text NOT NULL,
    received bigint NOT NULL,
    sent_by_agent bigint NOT NULL,
    sent_by_people bigint NOT NULL,
    failed bigint NOT NULL,
    turns bigint NOT NULL,
    questions bigint NOT NULL,
    PRIMARY KEY (connection_id, day)
)",
    "CREATE INDEX usage_days_subaccount ON usage_days (subaccount_id, day)",
    "CREATE INDEX usage_days_day ON usage_days (day)",
    // Calls that the operator has paused: few rows.
    "CREATE TABLE pauses (
    key text PRIMARY KEY,
    reason text,
    actor text NOT NULL,
    since bigint NOT NULL,
    ends_at bigint
)",
    "CREATE TABLE leaders (
    name text PRIMARY KEY,
    holder {uuid} NOT NULL,
    until bigint NOT NULL
)",
    // What is written here is rolled back: see `Store::probe_write`.
    "CREATE TABLE write_probes (
    filler text NOT NULL
)",
    "CREATE TABLE processes (
    id {uuid} PRIMARY KEY,
    kind text NOT NULL,
    version text NOT NULL,
    keys text NOT NULL,
    alive_until bigint NOT NULL,
    started_at bigint NOT NULL
)",
];
