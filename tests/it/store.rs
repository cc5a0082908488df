//! Statements that must behave the same on PostgreSQL and SQLite.

use anyhow::Result;
use dmrelay_domain::event;
use dmrelay_domain::ids::{ChatId, EventId};
use dmrelay_domain::states::EventState;
use dmrelay_entity::event as events;
use dmrelay_store::{Admit, Attempts, BreakerKey, Connection, DueWork, Kept, Leadership, NewEvent, Store};
use dmrelay_tests::database::{Database, connect};
use dmrelay_tests::relay::Backend;
use dmrelay_tests::rest::text_webhook;
use dmrelay_tests::seed;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

on_both_backends!(
    an_event_is_stored_once,
    events_are_deleted_after_their_retention,
    a_breaker_opens_after_five_failures_and_admits_one_probe,
    one_process_leads_at_a_time,
    the_poller_takes_a_fair_share_of_each_connection,
    migrations_can_be_reverted_and_reapplied,
);

const LEASE: Duration = Duration::from_secs(30);

/// A database with its store.
struct Base {
    store: Store,
    _database: Database,
}

async fn base(backend: Backend) -> Result<Base> {
    let database = Database::start(backend)?;
    Ok(Base { store: database.open().await?, _database: database })
}

async fn connection(store: &Store, account: &str) -> Result<Connection> {
    connect(store, "acme", account).await
}

/// A chat of the connection whose turn is due now.
async fn due_chat(store: &Store, connection: &Connection, user: &str) -> Result<ChatId> {
    let mut chat = seed::chat(store, connection.id, user).await?;
    chat.turn_due_at = Some(store.now().await?);
    seed::change_chat(store, chat.clone()).await?;
    Ok(chat.id)
}

async fn an_event_is_stored_once(backend: Backend) -> Result<()> {
    let base = base(backend).await?;
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

async fn events_are_deleted_after_their_retention(backend: Backend) -> Result<()> {
    const HOUR: i64 = 3_600_000;
    let base = base(backend).await?;
    let store = &base.store;
    let now = store.now().await?;
    // By age in hours: events with this final state, and whether they must remain.
    let cases = [
        (200, EventState::Processed, false),
        (100, EventState::Processed, true),
        (100, EventState::Unrouted, false),
        (1, EventState::Unrouted, true),
        (200, EventState::Dead, true),
        (200, EventState::New, true),
    ];
    let mut wanted = BTreeSet::new();
    for (number, (age, state, stays)) in cases.into_iter().enumerate() {
        let parsed = event::parse(&text_webhook("1", "2", &format!("m{number}"), "x"), 1).events;
        let ids = store.insert_events(parsed.into_iter().map(NewEvent::new).collect()).await?;
        let at = now - age * HOUR;
        let id = id_of(at);
        let change = events::Entity::update_many()
            .col_expr(events::Column::Id, Expr::value(id))
            .col_expr(events::Column::State, Expr::value(state.as_str()))
            .col_expr(events::Column::ReceivedAt, Expr::value(at))
            .col_expr(events::Column::DueAt, Expr::value((state == EventState::New).then_some(at)))
            .filter(events::Column::Id.eq(ids[0].id));
        change.exec(store.connection()).await?;
        wanted.extend(stays.then_some(id));
    }
    assert_eq!(store.forget_events(&Kept::default()).await?, 2);
    let left = events::Entity::find().all(store.connection()).await?;
    assert_eq!(left.into_iter().map(|event| event.id).collect::<BTreeSet<_>>(), wanted);
    assert_eq!(store.forget_events(&Kept::default()).await?, 0);
    Ok(())
}

/// The id of an event that arrived then.
fn id_of(at: i64) -> EventId {
    let at = Duration::from_millis(u64::try_from(at).unwrap_or_default());
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, at.as_secs(), at.subsec_nanos())).into()
}

async fn a_breaker_opens_after_five_failures_and_admits_one_probe(backend: Backend) -> Result<()> {
    let base = base(backend).await?;
    let store = &base.store;
    let gate = [BreakerKey::Agent];
    for _ in 0..4 {
        assert_eq!(store.record_failure(&gate[0], "x", Duration::ZERO).await?, None);
        assert_eq!(store.admit(&gate).await?, Admit::Now);
    }
    assert!(store.record_failure(&gate[0], "x", Duration::ZERO).await?.is_some());
    assert!(matches!(store.admit(&gate).await?, Admit::NotBefore(_)));
    store.connection().execute_unprepared("UPDATE gates SET closed_until = 1").await?;
    assert_eq!(store.admit(&gate).await?, Admit::Now);
    assert!(matches!(store.admit(&gate).await?, Admit::NotBefore(_)));
    store.record_success(&gate).await?;
    assert_eq!(store.admit(&gate).await?, Admit::Now);
    store.open_breaker(&gate[0], LEASE, "throttled").await?;
    assert!(matches!(store.admit(&gate).await?, Admit::NotBefore(_)));
    Ok(())
}

async fn one_process_leads_at_a_time(backend: Backend) -> Result<()> {
    let base = base(backend).await?;
    let (first, second) = (Leadership::new("sweep"), Leadership::new("sweep"));
    assert!(first.hold(&base.store, LEASE).await?);
    assert!(first.hold(&base.store, LEASE).await?);
    assert!(!second.hold(&base.store, LEASE).await?);
    first.resign(&base.store).await?;
    assert!(second.hold(&base.store, LEASE).await?);
    assert!(!first.hold(&base.store, LEASE).await?);
    Ok(())
}

async fn the_poller_takes_a_fair_share_of_each_connection(backend: Backend) -> Result<()> {
    let base = base(backend).await?;
    let store = &base.store;
    let (busy, quiet) = (connection(store, "1").await?, connection(store, "2").await?);
    for n in 0..12 {
        due_chat(store, &busy, &format!("1{n}")).await?;
    }
    due_chat(store, &quiet, "99").await?;
    let due = async |each| store.due_chats(DueWork::Turns, Attempts::First, (each, 100)).await;
    let first = due(5).await?;
    assert_eq!(first.len(), 6);
    // Dispatched work is not dispatched again; the rest is.
    assert_eq!(due(50).await?.len(), 7);
    assert!(due(50).await?.is_empty());
    store.reserve_chat(DueWork::Turns, first[0].id, Duration::ZERO).await?;
    store.open_breaker(&BreakerKey::Agent, LEASE, "x").await?;
    assert!(due(50).await?.is_empty());
    // A success of a call in progress does not close a breaker that was opened on request.
    store.record_success(&[BreakerKey::Agent]).await?;
    assert!(due(50).await?.is_empty());
    store.connection().execute_unprepared("UPDATE gates SET closed_until = 1").await?;
    assert_eq!(due(50).await?.len(), 1);
    // Retries are a separate list.
    store
        .connection()
        .execute_unprepared("UPDATE chats SET turn_reserved_until = 0, turn_attempts = 1")
        .await?;
    assert!(due(50).await?.is_empty());
    assert_eq!(store.due_chats(DueWork::Turns, Attempts::Later, (5, 100)).await?.len(), 6);
    // Behind a tripped breaker, one chat of a connection probes whether the service has recovered.
    let tripped =
        "UPDATE gates SET failures = 5; UPDATE chats SET turn_reserved_until = 0, turn_attempts = 0";
    store.connection().execute_unprepared(tripped).await?;
    assert_eq!(due(50).await?.len(), 2);
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

async fn migrations_can_be_reverted_and_reapplied(backend: Backend) -> Result<()> {
    use sea_orm_migration::MigratorTrait;
    let base = base(backend).await?;
    let db = base.store.connection();
    assert!(dmrelay_migration::pending(db).await?.is_empty());
    dmrelay_migration::Migrator::down(db, None).await?;
    let pending = dmrelay_migration::pending(db).await?.len();
    assert_eq!(pending, dmrelay_migration::Migrator::migrations().len());
    assert_eq!(dmrelay_migration::migrate(db).await?, pending);
    assert_eq!(dmrelay_migration::migrate(db).await?, 0);
    Ok(())
}
