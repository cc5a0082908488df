//! Fills a database with what months of conversations leave behind.

use anyhow::{Context, Result};
use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_as, raw_sql};

/// A UUIDv7 of the time `at` (milliseconds) that is always the same for the same `salt`; made for the seed, then
/// dropped.
const IDS: &str = "CREATE FUNCTION seed_id(at bigint, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(at), 12, '0') || '7' || substr(md5(salt), 1, 3) || '8' || substr(md5(salt), 4, 15))::uuid $$";

/// The chats, with the times of a message and of its answer: all of 90 days, until an hour ago; and that of an event, for events
/// are kept for seven days only.
const CHATS: &str = "CREATE TABLE seed AS SELECT i, seed_id(opened, 'chat' || i) AS id, opened, answered, received, k.id AS connection, k.agent_id AS agent,
        k.subaccount_id AS subaccount, k.instagram_account_id AS account, '2000000000' || lpad(i::text, 6, '0') AS person
    FROM (SELECT i, t.now - 3600000 - (({chats} - i)::float8 / {chats} * 7776000000)::bigint AS opened,
            t.now - 3590000 - (({chats} - i)::float8 / {chats} * 7776000000)::bigint AS answered,
            t.now - 3600000 - (({chats} - i)::float8 / {chats} * 560000000)::bigint AS received
        FROM generate_series(0, {chats} - 1) i, (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now) t) c
    JOIN (SELECT row_number() OVER (ORDER BY instagram_account_id) - 1 AS n, COUNT(*) OVER () AS of, *
        FROM instagram_connections WHERE status = 'connected') k ON k.n = c.i % k.of";

/// What each table gets, in the order in which it would have come.
const ROWS: [(&str, &str); 5] = [
    (
        "chats",
        "INSERT INTO chats (id, connection_id, agent_id, instagram_user_id, chat_status, metadata, username, name, profile_at,
            mode, window_expires_at, last_seq, last_message_at, created_at, updated_at)
        SELECT id, connection, agent, person, 'ongoing', '{\"instagram_user_id\":\"' || person || '\",\"channel\":\"instagram\"}',
            'customer_' || i, 'Customer ' || i, opened, 'bot', opened + 86400000, 2, answered, opened, answered
        FROM seed ORDER BY i",
    ),
    (
        "messages",
        "INSERT INTO messages (id, connection_id, chat_id, seq, direction, author, mid, mid_key, kind, text, needs_answer, turn_id, part,
            status, attempt, at, received_at, started_at, sent_at, confirmed_at, created_at, trace_id)
        SELECT seed_id(at, 'message' || i || way), connection, id, 1 + way, (ARRAY['inbound', 'outbound'])[1 + way],
            (ARRAY['user', 'agent'])[1 + way], 'aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQx' || repeat(md5(i::text || way), 3) || 'ZDZD',
            md5(i::text || way)::uuid,
            'text', (ARRAY['Hello! Do you have this one in blue, and could I pick it up on Saturday?',
                'Yes, it is there in blue. We hold it for you until Saturday evening; please bring the number of your order.'])[1 + way],
            way = 0, seed_id(opened, 'turn' || i), NULLIF(way, 0) - 1, (ARRAY['received', 'sent'])[1 + way], way, at, opened,
            CASE WHEN way = 1 THEN at END, CASE WHEN way = 1 THEN at END, CASE WHEN way = 1 THEN at END, at,
            seed_id(opened, 'trace' || i)
        FROM (SELECT *, CASE way WHEN 0 THEN opened ELSE answered END AS at FROM seed, generate_series(0, 1) way) m ORDER BY i, way",
    ),
    (
        "turns",
        "INSERT INTO turns (id, connection_id, chat_id, message_ids, asked_hash, agent_chat_id, state, attempt, deadline,
            written_at, received_at, started_at, finished_at, latency_ms, trace_id)
        SELECT seed_id(opened, 'turn' || i), connection, id, '[\"' || seed_id(opened, 'message' || i || 0) || '\"]', decode(md5(i::text) || md5(i::text), 'hex'),
            'chat_' || md5(i::text), 'answered', 1, opened + 150000, opened, opened, opened, answered, answered - opened, seed_id(opened, 'trace' || i)
        FROM seed ORDER BY i",
    ),
    (
        "activities",
        "INSERT INTO activities (id, subaccount_id, connection_id, kind, actor, subject, details, at)
        SELECT seed_id(opened + way, 'activity' || i || way), subaccount, connection,
            (ARRAY['INSTAGRAM_MESSAGE_RECEIVED', 'INSTAGRAM_MESSAGE_SENT'])[1 + way], (ARRAY['user', 'agent'])[1 + way],
            seed_id(opened + way, 'message' || i || way)::text, '{\"chatId\":\"' || id || '\",\"kind\":\"text\"}', opened + way
        FROM seed, generate_series(0, 1) way ORDER BY i, way",
    ),
    (
        "events",
        "INSERT INTO events (id, key, account, thread, kind, container, at, received_at, ready_at, attempts, state, trace_id)
        SELECT seed_id(at, 'event' || i), sha256(i::text::bytea), account, person, 'message', 'messaging', at, at, at, 1, 'processed',
            seed_id(at, 'trace' || i)
        FROM (SELECT *, received AS at FROM seed) e ORDER BY i",
    ),
];

/// Makes `chats` chats of the accounts that are connected, each with a message, its answer, the turn between them, the event
/// and the two entries of the log. Indexes are made afterwards, which is faster.
pub(super) async fn chats(connection: &mut PgConnection, chats: u64) -> Result<()> {
    run(connection, "SET synchronous_commit = off").await?;
    run(connection, IDS).await?;
    run(connection, &CHATS.replace("{chats}", &chats.to_string())).await?;
    for (table, rows) in ROWS {
        let indexes: Vec<(String, String)> = query_as(
            "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = $1 AND schemaname = 'public' \
             AND indexname NOT LIKE '%_pkey'",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
        for (name, _) in &indexes {
            run(connection, &format!("DROP INDEX {name}")).await?;
        }
        run(connection, rows).await.with_context(|| format!("{table} cannot be filled"))?;
        for (_, definition) in &indexes {
            run(connection, definition).await?;
        }
    }
    run(connection, "DROP TABLE seed").await?;
    run(connection, "DROP FUNCTION seed_id").await?;
    // Rows that are new look to every reader as if they had to be checked; nothing of that is to be measured.
    run(connection, "VACUUM ANALYZE").await?;
    run(connection, "CHECKPOINT").await
}

/// Makes so many more accounts: connected, and never written to.
pub(super) async fn accounts(connection: &mut PgConnection, accounts: u64) -> Result<()> {
    let rows = format!(
        "INSERT INTO instagram_connections (id, subaccount_id, agent_id, status, login_kind, instagram_account_id, username,
            credential_version, subscribed_fields, settings, connected_at, last_event_at, created_at, updated_at)
        SELECT gen_random_uuid(), 'bench', 'agent_quiet_' || i, 'connected', 'instagram', (27841400000000000 + i)::text,
            'quiet_shop_' || i, 1, '[\"messages\"]', '{{}}', t.now, t.now, t.now, t.now
        FROM generate_series(1, {accounts}) i, (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now) t"
    );
    run(connection, &rows).await?;
    run(connection, "VACUUM ANALYZE instagram_connections").await
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *connection).await?;
    Ok(())
}
