//! The tables beside the conversations: the log, dead letters, keys, and what is erased.

pub(crate) const RECORDS: &[&str] = &[
    "CREATE TABLE activities (
    id {uuid} NOT NULL,
    subaccount_id text NOT NULL,
    connection_id {uuid},
    kind text NOT NULL,
    actor text NOT NULL,
    actor_id text,
    subject text,
    details text NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (subaccount_id, id)
)",
    "CREATE INDEX activities_of_mode ON activities (subject, id)
    WHERE kind IN ('INSTAGRAM_BOT_PAUSED', 'INSTAGRAM_BOT_RESUMED')",
    "CREATE TABLE dead_letters (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    connection_id {uuid},
    chat_id {uuid},
    kind text NOT NULL,
    reference {uuid} NOT NULL,
    class text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    created_at bigint NOT NULL,
    replayed_at bigint,
    discarded_at bigint,
    closed_by text
)",
    "CREATE INDEX dead_letters_open ON dead_letters (subaccount_id, id DESC)
    WHERE replayed_at IS NULL AND discarded_at IS NULL",
    "CREATE INDEX dead_letters_all ON dead_letters (subaccount_id, id DESC)",
    "CREATE INDEX dead_letters_of_chat ON dead_letters (chat_id)
    WHERE chat_id IS NOT NULL AND replayed_at IS NULL AND discarded_at IS NULL",
];

pub(crate) const ACCESS: &[&str] = &[
    "CREATE TABLE api_keys (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    role text NOT NULL,
    name text NOT NULL,
    hash {bytes} NOT NULL,
    created_by text,
    created_at bigint NOT NULL,
    last_used_at bigint,
    expires_at bigint,
    revoked_at bigint
)",
    "CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash)",
    "CREATE INDEX api_keys_subaccount ON api_keys (subaccount_id, id DESC)",
    // Short-lived tokens for one person each.
    "CREATE TABLE sessions (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    subject text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    hash {bytes} NOT NULL,
    key_hash {bytes},
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
)",
    "CREATE UNIQUE INDEX sessions_hash ON sessions (hash)",
    "CREATE INDEX sessions_live ON sessions (subaccount_id, expires_at) WHERE revoked_at IS NULL",
    "CREATE INDEX sessions_age ON sessions (expires_at)",
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
    "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
];

pub(crate) const PROVIDERS: &[&str] = &[
    "CREATE TABLE provider_keys (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    key {bytes} NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX provider_keys_subaccount ON provider_keys (subaccount_id)",
];

/// How people connect accounts by logging in at Meta.
pub(crate) const LOGINS: &[&str] = &[
    "CREATE TABLE meta_apps (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    login_kind text NOT NULL,
    app_id text NOT NULL,
    app_secret {bytes} NOT NULL,
    verify_token {bytes} NOT NULL,
    config_id text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX meta_apps_subaccount ON meta_apps (subaccount_id, login_kind)",
    "CREATE TABLE connect_sessions (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    agent_id text NOT NULL,
    login_kind text NOT NULL,
    own_app boolean NOT NULL,
    instagram_account_id text,
    return_url text,
    page_choice text NOT NULL,
    request text NOT NULL,
    actor text NOT NULL,
    actor_id text,
    key_hash {bytes},
    may_bind boolean NOT NULL,
    secret_hash {bytes} NOT NULL,
    pages {bytes},
    status text NOT NULL,
    error text,
    error_detail text,
    connection_id {uuid},
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE UNIQUE INDEX connect_sessions_secret ON connect_sessions (secret_hash)",
    "CREATE INDEX connect_sessions_subaccount ON connect_sessions (subaccount_id, expires_at)",
    "CREATE INDEX connect_sessions_age ON connect_sessions (expires_at)",
];

/// What is wrong, and who is told.
pub(crate) const NOTIFICATIONS: &[&str] = &[
    // An empty subaccount is the operator of the installation.
    "CREATE TABLE incidents (
    id {uuid} PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    subaccount_id text NOT NULL,
    connection_id {uuid},
    instagram_account_id text,
    username text,
    detail text NOT NULL,
    since bigint NOT NULL,
    began_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    ended_at bigint
)",
    "CREATE UNIQUE INDEX incidents_open ON incidents (kind, subject) WHERE ended_at IS NULL",
    "CREATE INDEX incidents_subaccount ON incidents (subaccount_id, id DESC)",
    "CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE TABLE notification_targets (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    channel text NOT NULL,
    address text NOT NULL,
    name text,
    secret {bytes},
    former_secret {bytes},
    former_until bigint,
    kinds text NOT NULL,
    resolved boolean NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason text,
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
)",
    "CREATE INDEX notification_targets_subaccount ON notification_targets (subaccount_id, id)",
    "CREATE TABLE notifications (
    id {uuid} PRIMARY KEY,
    target_id {uuid} NOT NULL,
    subaccount_id text NOT NULL,
    incident_id {uuid},
    type text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    log text NOT NULL,
    due_at bigint NOT NULL,
    claimed_until bigint NOT NULL,
    created_at bigint NOT NULL,
    finished_at bigint
)",
    "CREATE UNIQUE INDEX notifications_once ON notifications (incident_id, target_id, type) WHERE incident_id IS NOT NULL",
    "CREATE INDEX notifications_due ON notifications (target_id, due_at) WHERE state = 'pending'",
    "CREATE INDEX notifications_claimed ON notifications (claimed_until) WHERE state = 'pending'",
    "CREATE INDEX notifications_tests ON notifications (created_at) WHERE incident_id IS NULL",
    "CREATE INDEX notifications_subaccount ON notifications (subaccount_id, id DESC)",
    "CREATE INDEX notifications_target ON notifications (target_id, id DESC)",
];

pub(crate) const PRIVACY: &[&str] = &[
    // What was received of a user until then is not taken in any more. The key is a digest of the user's id.
    "CREATE TABLE erased_users (
    connection_id {uuid} NOT NULL,
    user_key {uuid} NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (user_key, connection_id)
)",
    // What is still to be erased of somebody in the large tables, and how far that is.
    "CREATE TABLE erased_traces (
    id {uuid} PRIMARY KEY,
    subaccount_id text NOT NULL,
    connection_id {uuid} NOT NULL,
    account text NOT NULL,
    instagram_user_id text NOT NULL,
    chat_id {uuid},
    until bigint NOT NULL,
    events_after {uuid},
    events_started boolean NOT NULL DEFAULT FALSE,
    log_after {uuid},
    log_started boolean NOT NULL DEFAULT FALSE,
    served_at bigint NOT NULL DEFAULT 0
)",
    "CREATE INDEX erased_traces_connection ON erased_traces (connection_id)",
    "CREATE TABLE agent_chats (
    agent_chat_id text PRIMARY KEY,
    chat_id {uuid} NOT NULL,
    subaccount_id text NOT NULL,
    key_id {uuid},
    replaced_at bigint,
    created_at bigint NOT NULL
)",
    "CREATE INDEX agent_chats_chat ON agent_chats (chat_id)",
    "CREATE INDEX agent_chats_replaced ON agent_chats (replaced_at) WHERE replaced_at IS NOT NULL",
    "CREATE TABLE agent_chat_deletions (
    agent_chat_id text PRIMARY KEY,
    subaccount_id text NOT NULL,
    key_id {uuid},
    due_at bigint,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    created_at bigint NOT NULL
)",
    "CREATE INDEX agent_chat_deletions_due ON agent_chat_deletions (due_at) WHERE due_at IS NOT NULL",
    "CREATE TABLE erasures (
    id {uuid} PRIMARY KEY,
    code text,
    subaccount_id text NOT NULL,
    connection_id {uuid},
    actor text NOT NULL,
    actor_id text,
    state text NOT NULL,
    due_at bigint NOT NULL,
    trace_id {uuid},
    users bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    finished_at bigint
)",
    "CREATE INDEX erasures_code ON erasures (code) WHERE code IS NOT NULL",
    "CREATE INDEX erasures_due ON erasures (due_at) WHERE finished_at IS NULL",
];
