//! Statements of conversations use their indexes, on an empty database and on a full one: a plan made on
//! empty tables is kept, and must serve full ones.

use super::{Backend, Base, one, receive};
use anyhow::{Context, Result};
use dmrelay_domain::conversation::{Claim, Command, Effect, RecordAnswer, RecordSent};
use dmrelay_domain::ids::WorkerId;
use dmrelay_store::{Attempts, DueWork};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use std::collections::BTreeMap;
use std::time::Duration;

/// Number of rows in full tables.
const FULL: u32 = 20_000;

const LEASE: Duration = Duration::from_secs(30);

/// What PostgreSQL has read of a table: rows read by sequential scans, and per index.
#[derive(Debug, Clone, Default)]
struct Reads {
    scanned: i64,
    by_index: BTreeMap<String, i64>,
}

impl Reads {
    async fn of(base: &Base, table: &str) -> Result<Self> {
        let db = base.store.connection();
        // Other connections report their reads about once a second.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let sql = format!(
            "SELECT indexrelname::text AS name, idx_tup_read AS n FROM pg_stat_user_indexes WHERE relname = '{table}' \
             UNION ALL SELECT '' AS name, seq_tup_read AS n FROM pg_stat_user_tables WHERE relname = '{table}'"
        );
        let mut reads = Self::default();
        for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await? {
            let (name, n): (String, i64) = (row.try_get("", "name")?, row.try_get("", "n")?);
            if name.is_empty() {
                reads.scanned = n;
            } else {
                reads.by_index.insert(name, n);
            }
        }
        Ok(reads)
    }

    fn since(&self, before: &Self) -> Self {
        let rows = |name: &String, n: &i64| n - before.by_index.get(name).copied().unwrap_or_default();
        let by_index = self.by_index.iter().map(|(name, n)| (name.clone(), rows(name, n)));
        Self { scanned: self.scanned - before.scanned, by_index: by_index.filter(|(_, n)| *n > 0).collect() }
    }
}

/// How often indexes of these tables were used, and how many rows were read.
async fn looked_at(base: &Base, tables: &str) -> Result<i64> {
    // What other connections have read is told about once a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let sql = format!(
        "SELECT ((SELECT SUM(idx_scan + idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ({tables})) \
            + (SELECT SUM(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ({tables})))::bigint AS n"
    );
    let db = base.store.connection();
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    Ok(row.context("a row")?.try_get("", "n")?)
}

/// Takes a message through all its commands, and runs the poller.
async fn pass(base: &Base, number: u32) -> Result<()> {
    let (store, worker) = (&base.store, WorkerId::new());
    let user = format!("7{number}");
    let chat = base.open_chat(&user).await?;
    let events = base.wrote("1", &user, &format!("mid-{number}")).await?;
    anyhow::ensure!(store.waiting_events(&events).await?.len() == 1, "the event does not wait");
    store.claim_events(10, LEASE).await?;
    let received = one(store, chat, receive(worker)).await?;
    let ask = received.effects.iter().find_map(|effect| match effect {
        Effect::Ask(ask) => Some(ask.clone()),
        _ => None,
    });
    let ask = ask.context("not asked")?;
    let answer = RecordAnswer {
        turn: ask.turn,
        attempt: 1,
        replies: vec!["answer".to_owned()],
        watermark: None,
        claim: Claim::By(worker),
    };
    let answered = one(store, chat, Command::RecordAnswer(answer)).await?;
    let send = answered.effects.iter().find_map(|effect| match effect {
        Effect::Send(send) => Some(send.clone()),
        _ => None,
    });
    let message = send.context("not sent")?.message.id;
    let sent = RecordSent { message, attempt: 1, mid: format!("out-{number}"), claim: Claim::By(worker) };
    one(store, chat, Command::RecordSent(sent)).await?;
    for work in [DueWork::Turns, DueWork::Outboxes] {
        for attempts in [Attempts::First, Attempts::Later] {
            store.due_chats(work, attempts, (5, 5)).await?;
        }
    }
    store.due_events(5).await?;
    store.orphans().await?;
    Ok(())
}

/// Unrelated chats, messages, turns and events, many of them due.
async fn fill(base: &Base) -> Result<()> {
    let connection = base.connection.id;
    let statements = [
        format!(
            "INSERT INTO chats (id, connection_id, agent_id, instagram_user_id, chat_status, metadata, mode, \
                turn_due_at, turn_reserved_until, created_at, updated_at) \
             SELECT gen_random_uuid(), '{connection}', 'agent', 'u' || n, 'ongoing', '{{}}', 'bot', \
                CASE WHEN n % 2 = 0 THEN 9000000000000 END, 0, 1, 1 FROM generate_series(1, {FULL}) n"
        ),
        "INSERT INTO messages (id, connection_id, chat_id, seq, direction, author, mid, kind, needs_answer, status, at, \
            received_at, created_at) \
         SELECT gen_random_uuid(), connection_id, id, s, 'outbound', 'agent', instagram_user_id || s, 'text', FALSE, \
            'sent', 1, 1, 1 FROM chats CROSS JOIN generate_series(1, 4) s WHERE instagram_user_id LIKE 'u%'"
            .to_owned(),
        "INSERT INTO turns (id, connection_id, chat_id, message_ids, asked_hash, state, attempt, deadline, written_at, \
            received_at, started_at) \
         SELECT gen_random_uuid(), connection_id, id, '[]', '\\x00', 'answered', 1, 1, 1, 1, 1 FROM chats"
            .to_owned(),
        format!(
            "INSERT INTO events (id, key, account, thread, kind, container, at, received_at, state) \
             SELECT gen_random_uuid(), ('\\x' || lpad(to_hex(n), 64, '0'))::bytea, '1', 'u' || n, 'message', \
                'messaging', 1, 1, 'processed' FROM generate_series(1, {FULL}) n"
        ),
    ];
    let tx = base.store.connection().begin().await?;
    for statement in statements {
        tx.execute_unprepared(&statement).await?;
    }
    // What it has read is reported at once, and not among what is measured.
    tx.execute_unprepared("SELECT pg_stat_force_next_flush()").await?;
    tx.commit().await?;
    Ok(())
}

/// Accounts with nothing due cost the poller nothing, however many they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_poller_looks_only_at_accounts_with_work() -> Result<()> {
    let base = Base::start(Backend::Servers).await?;
    for number in 0..8 {
        pass(&base, number).await?;
    }
    let columns = "subaccount_id, agent_id, status, login_kind, credential_version, subscribed_fields, settings, \
         created_at, updated_at";
    let others = format!(
        "INSERT INTO instagram_connections (id, instagram_account_id, {columns}) \
         SELECT gen_random_uuid(), 'other' || n, {columns} FROM instagram_connections CROSS JOIN generate_series(1, 2000) n"
    );
    base.store.connection().execute_unprepared(&others).await?;
    let tables = "'chats', 'instagram_connections'";
    let before = looked_at(&base, tables).await?;
    for work in [DueWork::Turns, DueWork::Outboxes] {
        for attempts in [Attempts::First, Attempts::Later] {
            base.store.due_chats(work, attempts, (5, 5)).await?;
        }
    }
    let looked = looked_at(&base, tables).await? - before;
    assert!(looked < 200, "{looked} looks at indexes, with nothing due");
    Ok(())
}

/// However many events wait for the chats of an account, a chat's are found among them by its own index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taking_in_a_chats_events_does_not_read_those_of_other_chats() -> Result<()> {
    let base = Base::start(Backend::Servers).await?;
    for number in 0..8 {
        pass(&base, number).await?;
    }
    let others = format!(
        "INSERT INTO events (id, key, account, thread, kind, container, at, received_at, due_at, state) \
         SELECT gen_random_uuid(), ('\\x' || lpad(to_hex(n), 64, '0'))::bytea, '1', 'u' || n, 'message', \
            'messaging', 1, 1, 1, 'new' FROM generate_series(1, {FULL}) n"
    );
    base.store.connection().execute_unprepared(&others).await?;
    let chat = base.open_chat("7000").await?;
    base.wrote("1", "7000", "mid-7000").await?;
    let before = looked_at(&base, "'events'").await?;
    let received = one(&base.store, chat, receive(WorkerId::new())).await?;
    assert!(received.effects.iter().any(|effect| matches!(effect, Effect::Ask(_))));
    let looked = looked_at(&base, "'events'").await? - before;
    assert!(looked < 200, "one event took {looked} looks at events");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_go_by_their_indexes_on_an_empty_database_and_on_a_full_one() -> Result<()> {
    let base = Base::start(Backend::Servers).await?;
    // The plans are made here, and kept.
    for number in 0..8 {
        pass(&base, number).await?;
    }
    fill(&base).await?;
    let mut next = 100;
    for analyzed in [false, true] {
        if analyzed {
            base.store.connection().execute_unprepared("ANALYZE").await?;
        }
        for table in ["chats", "messages", "turns", "events"] {
            let before = Reads::of(&base, table).await?;
            for _ in 0..5 {
                next += 1;
                pass(&base, next).await?;
            }
            let reads = Reads::of(&base, table).await?.since(&before);
            // Those that were made on the empty tables may be told of late, and have read next to nothing.
            assert!(reads.scanned < 1_000, "{table} is scanned; analyzed: {analyzed}: {reads:?}");
            let rows: i64 = reads.by_index.values().sum();
            assert!(
                rows < 2_000,
                "five messages read {rows} rows of {table}, analyzed: {analyzed}: {reads:?}"
            );
        }
    }
    Ok(())
}

/// However many conversations there are, only those that wait are read to count them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_who_waits_reads_only_what_waits() -> Result<()> {
    let base = Base::start(Backend::Servers).await?;
    for number in 0..8 {
        pass(&base, number).await?;
    }
    fill(&base).await?;
    let db = base.store.connection();
    for some in [
        "UPDATE chats SET turn_due_at = NULL WHERE instagram_user_id NOT LIKE 'u1%9'",
        "UPDATE turns SET state = 'waiting' WHERE chat_id IN (SELECT id FROM chats WHERE instagram_user_id LIKE 'u2%9')",
        "UPDATE messages m SET status = 'queued', turn_id = t.id FROM turns t WHERE t.chat_id = m.chat_id AND m.seq = 4 \
         AND m.chat_id IN (SELECT id FROM chats WHERE instagram_user_id LIKE 'u3%9')",
        // What these have read is reported at once.
        "SELECT pg_stat_force_next_flush()",
    ] {
        db.execute_unprepared(some).await?;
    }
    for analyzed in [false, true] {
        if analyzed {
            db.execute_unprepared("VACUUM ANALYZE").await?;
        }
        for table in ["chats", "messages", "turns", "events"] {
            let before = Reads::of(&base, table).await?;
            for _ in 0..3 {
                base.store.waiting(LEASE).await?;
            }
            let reads = Reads::of(&base, table).await?.since(&before);
            assert!(reads.scanned < 1_000, "{table} is scanned; analyzed: {analyzed}: {reads:?}");
            let rows: i64 = reads.by_index.values().sum();
            assert!(rows < 40_000, "{rows} rows of {table}, analyzed: {analyzed}: {reads:?}");
        }
    }
    Ok(())
}
