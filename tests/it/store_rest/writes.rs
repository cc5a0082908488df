//! Writes of the REST API: once per key, none lost when two arrive at once, and each in the activity log.

use super::{Base, HOUR, connect, details, queued, said};
use anyhow::{Context, Result};
use dmrelay_domain::conversation::{Pause, Policy};
use dmrelay_domain::ids::{ChatId, SubaccountId};
use dmrelay_domain::permission::Role;
use dmrelay_domain::states::MessageStatus;
use dmrelay_store::{ActivityKind, Attempts, Begun, DueWork, NewApiKey, WriteKey};
use dmrelay_tests::relay::Backend;
use dmrelay_tests::seed::NewMessage;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    a_write_runs_once_per_key,
    of_concurrent_writes_one_runs,
    a_write_without_a_response_is_taken_over,
    old_keys_are_deleted,
    settings_are_changed_by_name,
    no_change_of_settings_is_lost,
    a_chat_is_taken_over_and_released,
    api_keys_are_created_listed_and_revoked,
);

const LOCK: Duration = Duration::from_secs(30);
const RETENTION: Duration = Duration::from_hours(24);

fn write(key: &str) -> Result<WriteKey> {
    Ok(WriteKey { subaccount: SubaccountId::parse("acme")?, principal: "ada".into(), key: key.into() })
}

fn run(begun: Begun) -> Result<uuid::Uuid> {
    match begun {
        Begun::Run(id) => Ok(id),
        other => anyhow::bail!("not to be run: {other:?}"),
    }
}

async fn a_write_runs_once_per_key(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, key) = (&base.store, write("k")?);
    let id = run(store.begin_write(&key, &[1; 32], LOCK, RETENTION).await?)?;
    assert_eq!(base.other.begin_write(&key, &[1; 32], LOCK, RETENTION).await?, Begun::UnderWay);
    assert_eq!(store.begin_write(&key, &[2; 32], LOCK, RETENTION).await?, Begun::Different);
    // Another caller's key of the same name is a different key.
    run(store
        .begin_write(&WriteKey { principal: "grace".into(), ..key.clone() }, &[1; 32], LOCK, RETENTION)
        .await?)?;
    let subaccount = SubaccountId::parse("other")?;
    run(store.begin_write(&WriteKey { subaccount, ..key.clone() }, &[1; 32], LOCK, RETENTION).await?)?;

    store.finish_write(id, 202, b"sealed").await?;
    // Only the first response counts, and it stays.
    store.finish_write(id, 500, b"later").await?;
    store.forget_write(id).await?;
    let answered = Begun::Answered { id, status: 202, response: b"sealed".to_vec() };
    assert_eq!(base.other.begin_write(&key, &[1; 32], LOCK, RETENTION).await?, answered);
    assert_eq!(store.begin_write(&key, &[2; 32], LOCK, RETENTION).await?, Begun::Different);

    let failed = run(store.begin_write(&write("f")?, &[1; 32], LOCK, RETENTION).await?)?;
    store.forget_write(failed).await?;
    assert_ne!(run(store.begin_write(&write("f")?, &[2; 32], LOCK, RETENTION).await?)?, failed);
    Ok(())
}

async fn of_concurrent_writes_one_runs(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    for round in 0..5 {
        let key = write(&round.to_string())?;
        let begun = (0..20).map(|n| {
            let store = if n % 2 == 0 { &base.store } else { &base.other };
            store.begin_write(&key, &[1; 32], LOCK, RETENTION)
        });
        let begun: Vec<Begun> = futures::future::try_join_all(begun).await?;
        assert_eq!(begun.iter().filter(|begun| matches!(begun, Begun::Run(_))).count(), 1);
        assert_eq!(begun.iter().filter(|begun| **begun == Begun::UnderWay).count(), 19);
    }
    Ok(())
}

async fn a_write_without_a_response_is_taken_over(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, key) = (&base.store, write("k")?);
    let dead = run(store.begin_write(&key, &[1; 32], Duration::ZERO, RETENTION).await?)?;
    assert_eq!(store.begin_write(&key, &[2; 32], LOCK, RETENTION).await?, Begun::Different);
    let begun = (0..10).map(|_| base.other.begin_write(&key, &[1; 32], LOCK, RETENTION));
    let begun: Vec<Begun> = futures::future::try_join_all(begun).await?;
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::Run(dead)).count(), 1);
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::UnderWay).count(), 9);
    Ok(())
}

async fn old_keys_are_deleted(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let store = &base.store;
    let mut first = None;
    for n in 0..25 {
        let id = run(store.begin_write(&write(&n.to_string())?, &[1; 32], LOCK, RETENTION).await?)?;
        store.finish_write(id, 200, b"x").await?;
        first.get_or_insert(id);
    }
    base.sql("UPDATE idempotency_keys SET created_at = created_at - 86400001").await?;
    // This call deletes twenty of them, and the remaining ones count as absent all the same.
    run(store.begin_write(&write("new")?, &[1; 32], LOCK, RETENTION).await?)?;
    assert_eq!(rows(&base).await?, 6);
    let left = run(store.begin_write(&write("24")?, &[2; 32], LOCK, RETENTION).await?)?;
    assert_ne!(Some(left), first);
    assert_eq!(rows(&base).await?, 2);
    // A key in progress does not count as old.
    base.sql("UPDATE idempotency_keys SET created_at = 1").await?;
    assert_eq!(store.begin_write(&write("24")?, &[2; 32], LOCK, RETENTION).await?, Begun::UnderWay);
    Ok(())
}

async fn rows(base: &Base) -> Result<i64> {
    let db = base.store.connection();
    let sql = "SELECT CAST(COUNT(*) AS bigint) AS n FROM idempotency_keys";
    let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?.context("no count")?;
    Ok(row.try_get("", "n")?)
}

async fn settings_are_changed_by_name(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, id) = (&base.store, base.connection.id);
    let mark = store.snapshot_mark().await?;
    let same = store.change_settings(id, &"ada".into(), |_, _| ()).await?.context("the connection")?;
    assert_eq!((same, store.snapshot_mark().await?), (base.connection.clone(), mark));
    assert!(base.logged(ActivityKind::SettingsChanged).await?.is_empty());

    let changed = store
        .change_settings(id, &"key ada".into(), |settings, paused| {
            settings.debounce_ms = Some(7);
            settings.fallback_text = Some("secret words".to_owned());
            *paused = true;
        })
        .await?
        .context("the connection")?;
    assert_eq!((changed.settings.debounce_ms, changed.row.bot_paused), (Some(7), true));
    assert!(changed.row.updated_at > base.connection.row.updated_at);
    assert_ne!(store.snapshot_mark().await?, mark);
    assert_eq!(store.connection_by_id(id).await?, Some(changed));
    let logged = base.logged(ActivityKind::SettingsChanged).await?;
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].actor, "key ada");
    assert_eq!(details(&logged[0])?, json!({ "changed": ["debounceMs", "fallbackText", "botPaused"] }));
    let paused = base.logged(ActivityKind::BotPaused).await?;
    assert_eq!(paused.iter().map(details).collect::<Result<Vec<_>>>()?, [json!({ "account": true })]);
    // Repeating it changes nothing; resetting is a change, and logged.
    store.change_settings(id, &"ada".into(), |_, paused| *paused = true).await?;
    assert!(base.logged(ActivityKind::BotResumed).await?.is_empty());
    store.change_settings(id, &"ada".into(), |_, paused| *paused = false).await?;
    assert_eq!(base.logged(ActivityKind::BotResumed).await?.len(), 1);
    assert_eq!(base.logged(ActivityKind::BotPaused).await?.len(), 1);
    assert_eq!(
        store.change_settings(dmrelay_domain::ids::ConnectionId::new(), &"ada".into(), |_, _| ()).await?,
        None
    );
    Ok(())
}

async fn no_change_of_settings_is_lost(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let ada = "ada".into();
    let changes = (0..20).map(|n| {
        let store = if n % 2 == 0 { &base.store } else { &base.other };
        store.change_settings(base.connection.id, &ada, |settings, paused| {
            settings.debounce_ms = Some(settings.debounce_ms.unwrap_or(0) + 1);
            *paused = !*paused;
        })
    });
    futures::future::try_join_all(changes).await?;
    let after = base.store.connection_by_id(base.connection.id).await?.context("the connection")?;
    assert_eq!((after.settings.debounce_ms, after.row.bot_paused), (Some(20), false));
    assert_eq!(base.logged(ActivityKind::SettingsChanged).await?.len(), 20);
    assert_eq!(base.logged(ActivityKind::BotPaused).await?.len(), 10);
    Ok(())
}

async fn a_chat_is_taken_over_and_released(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let store = &base.store;
    let waiting = NewMessage { needs_answer: true, ..said("question") };
    let asked = base.add(&base.connection, "7", waiting.clone()).await?;
    let reply = base.add(&base.connection, "7", queued("answer")).await?;
    base.adjust("7", super::Adjusted::await_answer).await?;
    let chat = base.chat("7").await?;
    let pause = || (Pause::For(2 * HOUR), Policy::default());
    let foreign = connect(store, "other", "2").await?;
    assert_eq!(store.take_over_chat(&foreign, chat.id, &"eve".into(), pause()).await?, None);
    assert_eq!(store.release_chat(&foreign, chat.id, &"eve".into()).await?, None);
    // The agent has it: nothing to release, and nothing to log.
    let same = store.release_chat(&base.connection, chat.id, &"key ada".into()).await?.context("the chat")?;
    assert_eq!(same.turn_due_at, chat.turn_due_at);

    let since = store.now().await?;
    let taken = store.take_over_chat(&base.connection, chat.id, &"key ada".into(), pause()).await?;
    let taken = taken.context("the chat")?;
    assert_eq!((taken.mode.as_str(), taken.mode_reason.as_deref()), ("human", Some("api")));
    assert!(taken.resume_at.is_some_and(|at| at >= since + 2 * HOUR && at <= since + 3 * HOUR));
    assert_eq!((taken.turn_due_at, taken.first_unanswered_at), (None, None));
    assert_eq!(base.message(reply).await?.status, MessageStatus::Suppressed);
    assert!(!base.message(asked).await?.needs_answer);
    let stored = base.chat("7").await?;
    assert_eq!((&stored.mode, stored.resume_at), (&taken.mode, taken.resume_at));

    base.add(&base.connection, "7", waiting).await?;
    base.adjust("7", super::Adjusted::await_answer).await?;
    assert_eq!(base.chat("7").await?.turn_due_at, None);
    let given =
        store.release_chat(&base.connection, chat.id, &"key ada".into()).await?.context("the chat")?;
    assert_eq!((given.mode.as_str(), given.mode_reason, given.resume_at), ("bot", None, None));
    assert!(given.turn_due_at.is_some());
    assert_eq!(store.due_chats(DueWork::Turns, Attempts::First, (5, 5)).await?.len(), 1);

    let changes = store.mode_changes(chat.id, since, since + HOUR, 10).await?;
    let kinds: Vec<_> = changes.iter().filter_map(|row| row.kind.known()).collect();
    assert_eq!(kinds, [ActivityKind::BotResumed, ActivityKind::BotPaused]);
    assert_eq!(changes[1].actor, "key ada");
    assert_eq!(details(&changes[1])?, json!({ "reason": "api", "chatId": chat.id }));
    assert_eq!(store.mode_changes(chat.id, since, since + HOUR, 1).await?.len(), 1);
    assert!(store.mode_changes(chat.id, since + HOUR, since + 2 * HOUR, 10).await?.is_empty());
    assert!(store.mode_changes(ChatId::new(), 0, since + HOUR, 10).await?.is_empty());
    Ok(())
}

async fn api_keys_are_created_listed_and_revoked(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, acme) = (&base.store, SubaccountId::parse("acme")?);
    let new = |n: u8, expires_at| NewApiKey {
        subaccount: acme.clone(),
        role: Role::Operator,
        name: format!("key {n}"),
        hash: [n; 32],
        expires_at,
        created_by: "key owner".into(),
    };
    let expires = store.now().await? + HOUR;
    let mut ids = Vec::new();
    for n in 1..=3 {
        ids.push(store.create_api_key(&new(n, (n == 1).then_some(expires))).await?);
    }
    // A key with the same hash stays as it is.
    assert_eq!(store.create_api_key(&new(1, None)).await?, ids[0]);
    let found = store.api_key(&[1; 32]).await?.context("the key")?;
    assert_eq!((found.id, found.expires_at), (ids[0], Some(expires)));
    let made = base.logged(ActivityKind::ApiKeyCreated).await?;
    assert_eq!(made.len(), 3);
    assert_eq!((made[0].subject.clone(), made[0].actor.as_str()), (Some(ids[0].to_string()), "key owner"));
    assert_eq!(details(&made[0])?, json!({ "name": "key 1", "role": "operator", "expiresAt": expires }));

    let other = SubaccountId::parse("other")?;
    assert!(!store.revoke_api_key(&other, ids[1], &"key eve".into()).await?);
    assert!(store.revoke_api_key(&acme, ids[1], &"key owner".into()).await?);
    // Repeating it changes nothing, and is logged once.
    assert!(store.revoke_api_key(&acme, ids[1], &"key owner".into()).await?);
    assert_eq!(store.api_key(&[2; 32]).await?, None);
    let revoked = base.logged(ActivityKind::ApiKeyRevoked).await?;
    assert_eq!(revoked.iter().map(|row| row.subject.clone()).collect::<Vec<_>>(), [Some(ids[1].to_string())]);

    let page = store.api_keys(&acme, None, 2, 0).await?;
    assert_eq!(page.items.iter().map(|key| key.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
    assert_eq!((page.total, page.next, page.items[1].revoked_at.is_some()), (3, Some(ids[1]), true));
    assert_eq!(page.items[0].created_by.as_deref(), Some("key owner"));
    let rest = store.api_keys(&acme, page.next, 2, 0).await?;
    assert_eq!((rest.items[0].id, rest.next), (ids[0], None));
    assert_eq!(store.api_keys(&other, None, 2, 0).await?.total, 0);
    Ok(())
}
