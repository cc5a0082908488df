// PostgreSQL: the tables, and every statement that is used.

import pg from 'pg';
import { config } from './config.js';

export const pool = new pg.Pool({ connectionString: config.databaseUrl, max: config.databaseConnections });

pool.on('error', (err) => console.error('idle database connection:', err.message));

const UNIQUE_VIOLATION = '23505';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS chats (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL,
    user_id text NOT NULL,
    agent_chat_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, user_id)
  );
  CREATE TABLE IF NOT EXISTS messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id bigint NOT NULL REFERENCES chats (id),
    mid text UNIQUE,
    direction text NOT NULL,
    text text NOT NULL,
    status text NOT NULL,
    reply_to bigint,
    sent_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX IF NOT EXISTS messages_chat ON messages (chat_id, id);
  CREATE INDEX IF NOT EXISTS messages_reply_to ON messages (reply_to) WHERE reply_to IS NOT NULL;
  CREATE TABLE IF NOT EXISTS activities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id bigint NOT NULL REFERENCES chats (id),
    message_id bigint,
    kind text NOT NULL,
    detail jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX IF NOT EXISTS activities_chat ON activities (chat_id, id);
`;

export async function createTables() {
  const client = await pool.connect();
  try {
    // Api and worker may start at the same time.
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock(7261340)');
    await client.query(SCHEMA);
    await client.query('COMMIT');
  } finally {
    client.release();
  }
}

// Each statement is prepared once on each connection, under its name.
const statement = (name, text) => (...values) => pool.query({ name, text, values });

export const ping = statement('ping', 'SELECT 1');

const findChat = statement('find_chat', `
  SELECT id, agent_chat_id FROM chats WHERE account_id = $1 AND user_id = $2`);

const addChat = statement('add_chat', `
  INSERT INTO chats (account_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`);

// The chat with this user.
export async function openChat(user) {
  for (;;) {
    const { rows } = await findChat(config.accountId, user);
    if (rows.length > 0) return rows[0];
    await addChat(config.accountId, user);
  }
}

export const setAgentChat = statement('set_agent_chat', 'UPDATE chats SET agent_chat_id = $2 WHERE id = $1');

const addIncoming = statement('add_incoming', `
  INSERT INTO messages (chat_id, mid, direction, text, status, sent_at) VALUES ($1, $2, 'in', $3, 'received', $4)
  ON CONFLICT (mid) DO NOTHING RETURNING id, status`);

const findMessage = statement('find_message', 'SELECT id, status FROM messages WHERE mid = $1');

// Stores what the user wrote; gives the row that is there already if this is a repetition.
export async function storeIncoming(chat, { mid, text, at }) {
  const { rows } = await addIncoming(chat, mid, text, new Date(at));
  return rows[0] ?? (await findMessage(mid)).rows[0];
}

const addReplies = statement('add_replies', `
  WITH answered AS (UPDATE messages SET status = 'answered' WHERE id = $2)
  INSERT INTO messages (chat_id, direction, text, status, reply_to)
  SELECT $1, 'out', text, 'pending', $2 FROM unnest($3::text[]) WITH ORDINALITY AS reply (text, place) ORDER BY place
  RETURNING id, text`);

// Stores what the agent said, to be sent.
export async function storeReplies(chat, incoming, texts) {
  return (await addReplies(chat, incoming, texts)).rows;
}

const findPending = statement('find_pending', `
  SELECT id, text FROM messages WHERE reply_to = $1 AND status = 'pending' ORDER BY id`);

export async function pendingReplies(incoming) {
  return (await findPending(incoming)).rows;
}

// If the echo was faster, its row gives way to the reply's.
const markSent = statement('mark_sent', `
  WITH echo AS (DELETE FROM messages WHERE mid = $2 RETURNING id),
  reply AS (
    UPDATE messages SET mid = $2, sent_at = now(),
      status = CASE WHEN EXISTS (SELECT FROM echo) THEN 'confirmed' ELSE 'sent' END
    WHERE id = $1 RETURNING id, chat_id
  )
  INSERT INTO activities (chat_id, message_id, kind, detail)
  SELECT chat_id, id, 'reply_sent', jsonb_build_object('mid', $2::text) FROM reply`);

export async function replySent(reply, mid) {
  try {
    await markSent(reply, mid);
  } catch (err) {
    if (err.code !== UNIQUE_VIOLATION) throw err;
    // The echo was stored meanwhile.
    await markSent(reply, mid);
  }
}

const addEcho = statement('add_echo', `
  INSERT INTO messages (chat_id, mid, direction, text, status, sent_at)
  SELECT id, $3, 'out', $4, 'confirmed', $5 FROM chats WHERE account_id = $1 AND user_id = $2
  ON CONFLICT (mid) DO UPDATE SET status = 'confirmed'`);

// Confirms a reply, or stores what a person wrote in the Instagram app.
export async function storeEcho({ user, mid, text, at }) {
  const store = () => addEcho(config.accountId, user, mid, text, new Date(at));
  const { rowCount } = await store();
  if (rowCount === 0) {
    await openChat(user);
    await store();
  }
}

export const storeFailure = statement('store_failure', `
  INSERT INTO activities (chat_id, kind, detail)
  SELECT id, 'reply_failed', $3 FROM chats WHERE account_id = $1 AND user_id = $2`);
