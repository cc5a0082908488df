//! Statements that must mean the same on PostgreSQL and SQLite.

use anyhow::{Context, Result};
use dmrelay_domain::event;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::states::{Author, Direction, MessageStatus, TurnState};
use dmrelay_store::{
    Connection, Gate, GateKey, Leadership, NewEvent, NewMessage, NewTurn, Reply, Store, Verdict,
};
use dmrelay_tests::database::{Database, connect};
use dmrelay_tests::relay::Footing;
use dmrelay_tests::rest::text_webhook;
use sea_orm::ConnectionTrait;
use std::time::Duration;

on_both_footings!(
    an_event_is_stored_once,
    only_one_worker_leases_a_turn,
    an_outcome_counts_only_for_its_attempt,
    a_second_open_turn_or_send_is_refused_by_the_database,
    a_gate_closes_after_five_failures_and_lets_one_probe_through,
    one_process_leads_at_a_time,
    the_sweep_takes_a_share_of_each_connection,
    migrations_can_be_taken_back_and_applied_again,
);

const LEASE: Duration = Duration::from_secs(30);

/// A database with its store.
struct Base {
    store: Store,
    _database: Database,
}

async fn base(footing: Footing) -> Result<Base> {
    let database = Database::start(footing)?;
    Ok(Base { store: database.open().await?, _database: database })
}

async fn connection(store: &Store, account: &str) -> Result<Connection> {
    connect(store, "acme", account).await
}

/// A chat of the connection with one unanswered message, due now.
async fn asking_chat(
    store: &Store,
    connection: &Connection,
    user: &str,
) -> Result<dmrelay_store::LockedChat> {
    let tx = store.begin().await?;
    let mut chat =
        tx.upsert_chat(&connection.row, &InstagramUserId::parse(user)?).await?.context("the chat")?;
    let mut new = NewMessage::new(Direction::Inbound, Author::User, MessageStatus::Received);
    new.mid = Some(format!("mid-{user}"));
    new.needs_answer = true;
    assert!(tx.add_received(&mut chat, new.clone()).await?.is_some());
    assert!(tx.add_received(&mut chat, new).await?.is_none());
    chat.row.window_expires_at = Some(chat.now + 1_000_000);
    chat.await_answer(Duration::ZERO);
    chat.turn_pushed = false;
    tx.save_chat(&chat).await?;
    tx.commit().await?;
    Ok(chat)
}

async fn an_event_is_stored_once(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let events = |mid: &str| {
        event::parse(&text_webhook("1", "2", mid, "x"), 1)
            .events
            .into_iter()
            .map(NewEvent::new)
            .collect::<Vec<_>>()
    };
    assert_eq!(base.store.insert_events(events("a")).await?.len(), 1);
    let mut batch = events("a");
    batch.extend(events("b"));
    batch.extend(events("b"));
    assert_eq!(base.store.insert_events(batch).await?.len(), 1);
    assert_eq!(base.store.count_events("new").await?, 2);
    Ok(())
}

async fn only_one_worker_leases_a_turn(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let connection = connection(&base.store, "1").await?;
    let chat = asking_chat(&base.store, &connection, "2").await?;
    let leases = futures::future::join_all((0..20).map(|_| base.store.lease_turn(chat.id(), LEASE))).await;
    let held: Vec<_> = leases.into_iter().filter_map(|lease| lease.ok().flatten()).collect();
    assert_eq!(held.len(), 1);
    assert!(base.store.renew_turn(chat.id(), held[0].token, LEASE).await?);
    assert!(!base.store.renew_turn(chat.id(), uuid::Uuid::new_v4(), LEASE).await?);
    base.store.release_turn(chat.id(), held[0].token, Duration::ZERO).await?;
    assert!(base.store.lease_turn(chat.id(), LEASE).await?.is_some());
    Ok(())
}

async fn start_turn(store: &Store, chat: &dmrelay_store::LockedChat) -> Result<dmrelay_domain::ids::TurnId> {
    let tx = store.begin().await?;
    let mut chat = tx.lock_chat(chat.id()).await?.context("the chat")?;
    let messages = tx.unanswered(&chat, 50).await?;
    let new = NewTurn {
        messages: messages.iter().map(|message| message.id.into()).collect(),
        asked_hash: [7; 32],
        agent_chat_id: "agent chat".to_owned(),
        watermark: None,
        received_at: chat.now,
        deadline: LEASE,
        trace: None,
    };
    let id = tx.start_turn(&mut chat, &new).await?;
    tx.save_chat(&chat).await?;
    tx.commit().await?;
    Ok(id)
}

async fn an_outcome_counts_only_for_its_attempt(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let connection = connection(&base.store, "1").await?;
    let chat = asking_chat(&base.store, &connection, "2").await?;
    let turn = start_turn(&base.store, &chat).await?;
    let tx = base.store.begin().await?;
    let mut locked = tx.lock_chat(chat.id()).await?.context("the chat")?;
    let reply = vec![Reply { text: "hello".to_owned() }];
    assert!(tx.answer_turn(&mut locked, (turn, 2), reply.clone(), None).await?.is_none());
    // A worker that was taken for dead answers late: its attempt is still the one that counts.
    let verdict =
        Verdict { state: TurnState::Reconciling, class: FailureClass::Ambiguous, error: String::new() };
    assert!(tx.judge_turn((turn, 1), &verdict).await?);
    assert!(tx.answer_turn(&mut locked, (turn, 1), reply.clone(), Some("mark".to_owned())).await?.is_some());
    assert!(tx.answer_turn(&mut locked, (turn, 1), reply, None).await?.is_none());
    assert_eq!((locked.row.turn_due_at, locked.row.agent_watermark.as_deref()), (None, Some("mark")));
    Ok(())
}

async fn a_second_open_turn_or_send_is_refused_by_the_database(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let connection = connection(&base.store, "1").await?;
    let chat = asking_chat(&base.store, &connection, "2").await?;
    start_turn(&base.store, &chat).await?;
    let second = start_turn(&base.store, &chat).await;
    let refused = second.err().and_then(|err| err.downcast::<dmrelay_store::Error>().ok());
    assert!(refused.is_some_and(|err| err.is_conflict() && err.is_refusal()));
    let tx = base.store.begin().await?;
    let mut locked = tx.lock_chat(chat.id()).await?.context("the chat")?;
    let sending = NewMessage::new(Direction::Outbound, Author::Agent, MessageStatus::Sending);
    tx.add_message(&mut locked, sending.clone()).await?;
    assert!(tx.add_message(&mut locked, sending).await.is_err_and(|err| err.is_conflict()));
    Ok(())
}

async fn a_gate_closes_after_five_failures_and_lets_one_probe_through(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let store = &base.store;
    let gate = [GateKey::Agent];
    for _ in 0..4 {
        assert_eq!(store.gate_failed(&gate[0], "x").await?, None);
        assert_eq!(store.pass(&gate).await?, Gate::Open);
    }
    assert!(store.gate_failed(&gate[0], "x").await?.is_some());
    assert!(matches!(store.pass(&gate).await?, Gate::Closed(_)));
    store.connection().execute_unprepared("UPDATE gates SET closed_until = 1").await?;
    assert_eq!(store.pass(&gate).await?, Gate::Open);
    assert!(matches!(store.pass(&gate).await?, Gate::Closed(_)));
    store.gate_passed(&gate).await?;
    assert_eq!(store.pass(&gate).await?, Gate::Open);
    store.close_gate(&gate[0], LEASE, "throttled").await?;
    assert!(matches!(store.pass(&gate).await?, Gate::Closed(_)));
    Ok(())
}

async fn one_process_leads_at_a_time(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let (first, second) = (Leadership::new("sweep"), Leadership::new("sweep"));
    assert!(first.hold(&base.store, LEASE).await?);
    assert!(first.hold(&base.store, LEASE).await?);
    assert!(!second.hold(&base.store, LEASE).await?);
    first.resign(&base.store).await?;
    assert!(second.hold(&base.store, LEASE).await?);
    assert!(!first.hold(&base.store, LEASE).await?);
    Ok(())
}

async fn the_sweep_takes_a_share_of_each_connection(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let (busy, quiet) = (connection(&base.store, "1").await?, connection(&base.store, "2").await?);
    for n in 0..12 {
        asking_chat(&base.store, &busy, &format!("1{n}")).await?;
    }
    asking_chat(&base.store, &quiet, "99").await?;
    let due = base.store.due_turns(5, 100).await?;
    assert_eq!(due.len(), 6);
    // What was dispatched is not dispatched again; the rest is.
    assert_eq!(base.store.due_turns(50, 100).await?.len(), 7);
    assert!(base.store.due_turns(50, 100).await?.is_empty());
    base.store.undispatch_turn(due[0].id).await?;
    base.store.close_gate(&GateKey::Agent, LEASE, "x").await?;
    assert!(base.store.due_turns(50, 100).await?.is_empty());
    // A success that was under way does not open a gate that was told to close.
    base.store.gate_passed(&[GateKey::Agent]).await?;
    assert!(base.store.due_turns(50, 100).await?.is_empty());
    base.store.connection().execute_unprepared("UPDATE gates SET closed_until = 1").await?;
    assert_eq!(base.store.due_turns(50, 100).await?.len(), 1);
    assert!(
        base.store
            .park_connection(&busy, dmrelay_domain::states::ConnectionStatus::ReauthRequired, "190")
            .await?
    );
    assert!(
        !base
            .store
            .park_connection(&busy, dmrelay_domain::states::ConnectionStatus::ReauthRequired, "190")
            .await?
    );
    Ok(())
}

async fn migrations_can_be_taken_back_and_applied_again(footing: Footing) -> Result<()> {
    use sea_orm_migration::MigratorTrait;
    let base = base(footing).await?;
    let db = base.store.connection();
    assert!(dmrelay_migration::pending(db).await?.is_empty());
    dmrelay_migration::Migrator::down(db, None).await?;
    let pending = dmrelay_migration::pending(db).await?.len();
    assert!(pending > 5);
    assert_eq!(dmrelay_migration::migrate(db).await?, pending);
    assert_eq!(dmrelay_migration::migrate(db).await?, 0);
    Ok(())
}
