//! Conversations are loaded, changed and saved the same way on PostgreSQL and SQLite: without loss, in
//! groups, and without waiting for rows locked by others.

mod plans;
mod round_trip;

use crate::base::Base;
use anyhow::{Context, Result};
use dmrelay_domain::conversation::AgentChat;
use dmrelay_domain::conversation::{
    Body, Claim, Command, Effect, Pause, Policy, Receive, RecordAnswer, RecordSent, Release, Reply,
    SendByHuman, StartTurn, TakeOver,
};
use dmrelay_domain::event;
use dmrelay_domain::ids::{ChatId, EventId, InstagramUserId, MessageId, TurnId, WorkerId};
use dmrelay_entity::message;
use dmrelay_store::{
    Applied, ApplyError, Attempts, Batcher, BatcherOptions, ChatIds, DueWork, NewEvent, Outcome, Store,
};
use dmrelay_tests::relay::Backend;
use dmrelay_tests::rest::text_webhook;
use dmrelay_tests::seed;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, TransactionTrait};
use std::time::Duration;

on_both_backends!(
    a_message_passes_through_its_commands,
    a_rejected_command_fails_alone,
    commands_of_a_chat_keep_their_order_in_a_group,
    two_processes_on_the_same_chats_make_progress,
    a_call_of_a_dead_worker_is_found,
    events_of_one_account_leave_room_for_others,
    chats_stay_separate_when_the_cache_is_full,
    a_takeover_undone_in_its_own_transaction_drops_nothing,
);

const LEASE: Duration = Duration::from_secs(30);

impl Base {
    /// A chat of this user, whose window is open.
    async fn open_chat(&self, user: &str) -> Result<ChatId> {
        let mut chat = seed::chat(&self.store, self.connection.id, user).await?;
        chat.window_expires_at = Some(self.store.now().await? + 3_600_000);
        seed::change_chat(&self.store, chat.clone()).await?;
        Ok(chat.id)
    }

    async fn chats(&self, count: usize) -> Result<Vec<ChatId>> {
        let mut chats = Vec::new();
        for user in 0..count {
            chats.push(self.open_chat(&format!("{}", 100 + user)).await?);
        }
        Ok(chats)
    }

    /// Puts the customer's message into the inbox.
    async fn wrote(&self, account: &str, user: &str, mid: &str) -> Result<Vec<EventId>> {
        let webhook = text_webhook(account, user, mid, "hello");
        let events = event::parse(&webhook, 1).events.into_iter().map(NewEvent::new).collect();
        let stored = self.store.insert_events(events).await?;
        Ok(stored.into_iter().map(|event| event.id).collect())
    }
}

fn receive(worker: WorkerId) -> Command {
    let start = Some(StartTurn {
        worker,
        turn: TurnId::new(),
        agent_chat: Some(AgentChat { id: "agent chat".to_owned(), key: None, agent: None }),
        not_before: None,
    });
    Command::Receive(Receive { events: Vec::new(), start, only: None, timer: false })
}

fn by_human(text: &str, key: Option<&str>) -> Command {
    Command::SendByHuman(SendByHuman {
        message: MessageId::new(),
        body: Body { kind: "text".to_owned(), text: Some(text.to_owned()), ..Body::default() },
        idempotency_key: key.map(str::to_owned),
        actor: "ada".into(),
        sent_by: None,
        trace: None,
    })
}

fn policy() -> Policy {
    Policy { debounce: 0, ..Policy::default() }
}

async fn one(store: &Store, chat: ChatId, command: Command) -> Result<Applied> {
    Ok(store.command(policy(), chat, command).await?)
}

/// The echo of a send, whose text is not recognized, and the send's own answer are applied in one group.
async fn a_takeover_undone_in_its_own_transaction_drops_nothing(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, worker) = (&base.store, WorkerId::new());
    let chat = base.open_chat("7").await?;
    base.wrote("1", "7", "mid-1").await?;
    let received = one(store, chat, receive(worker)).await?;
    let [Effect::Ask(ask)] = &received.effects[..] else {
        anyhow::bail!("not asked: {:?}", received.effects);
    };
    let answer = RecordAnswer {
        turn: ask.turn,
        attempt: 1,
        replies: vec!["Good morning".to_owned()],
        watermark: None,
        claim: Claim::By(worker),
    };
    let answered = one(store, chat, Command::RecordAnswer(answer)).await?;
    let send = answered.effects.iter().find_map(|effect| match effect {
        Effect::Send(send) => Some(send.message.id),
        _ => None,
    });
    let message = send.context("not sent")?;
    let only_receive = || Receive { events: Vec::new(), start: None, only: None, timer: false };
    // The customer writes on; nobody asks yet.
    base.wrote("1", "7", "mid-2").await?;
    one(store, chat, Command::Receive(only_receive())).await?;
    let echo = serde_json::json!({"object": "instagram", "entry": [{"time": 1, "id": "1", "messaging": [{
        "sender": {"id": "1"}, "recipient": {"id": "7"}, "timestamp": store.now().await?,
        "message": {"mid": "out-1", "text": "Something else", "is_echo": true},
    }]}]});
    let events = event::parse(echo.to_string().as_bytes(), 1).events.into_iter().map(NewEvent::new);
    store.insert_events(events.collect()).await?;
    let sent = RecordSent { message, attempt: 1, mid: "out-1".to_owned(), claim: Claim::NotBefore(None) };
    let group = vec![(chat, Command::Receive(only_receive())), (chat, Command::RecordSent(sent))];
    for outcome in store.transact(policy(), group).await? {
        outcome.applied()?;
    }
    let second = message::Entity::find()
        .filter(message::Column::Mid.eq("mid-2"))
        .one(store.connection())
        .await?
        .context("the second message")?;
    assert!(second.needs_answer && second.error_code.is_none(), "{second:?}");
    let row = store.chat(chat).await?.context("the chat")?;
    assert_eq!(row.mode.as_str(), "bot");
    Ok(())
}

async fn a_message_passes_through_its_commands(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, worker) = (&base.store, WorkerId::new());
    let user = InstagramUserId::parse("7")?;
    let chat = store.ensure_chats(&[(base.connection.id, user.clone())]).await?[0];
    assert_eq!(store.ensure_chats(&[(base.connection.id, user)]).await?, [chat]);
    base.wrote("1", "7", "mid-1").await?;
    let now = store.now().await?;
    store.connection().execute_unprepared(&format!("UPDATE events SET at = {now}")).await?;

    let received = one(store, chat, receive(worker)).await?;
    let [Effect::Ask(ask)] = &received.effects[..] else {
        anyhow::bail!("not asked: {:?} {:?}", received.reply, received.effects);
    };
    assert_eq!((ask.text.as_str(), ask.attempt, ask.agent_chat.as_str()), ("hello", 1, "agent chat"));
    // The events are ingested once, whoever asks.
    assert_eq!(one(&base.other, chat, receive(worker)).await?.reply, Reply::Idle);
    assert_eq!(store.count_events("processed").await?, 1);

    let answer = RecordAnswer {
        turn: ask.turn,
        attempt: 1,
        replies: vec!["one".to_owned(), "two \"quoted\", {braced} \\ ü 👋".to_owned()],
        watermark: Some("mark".to_owned()),
        claim: Claim::By(worker),
    };
    let answered = one(store, chat, Command::RecordAnswer(answer.clone())).await?;
    let sends = |applied: &Applied| -> Vec<_> {
        let sends = applied.effects.iter().filter_map(|effect| match effect {
            Effect::Send(send) => Some(send.message.clone()),
            _ => None,
        });
        sends.collect()
    };
    let first = sends(&answered).pop().context("no send")?;
    assert_eq!(first.body.text.as_deref(), Some("one"));
    // The same again is already recorded, and nothing overtakes the send in progress.
    assert!(sends(&one(store, chat, Command::RecordAnswer(answer)).await?).is_empty());

    let sent = |message: MessageId, mid: &str| {
        let (mid, claim) = (mid.to_owned(), Claim::By(worker));
        Command::RecordSent(RecordSent { message, attempt: 1, mid, claim })
    };
    let second = sends(&one(store, chat, sent(first.id, "out-1")).await?).pop().context("no send")?;
    assert_eq!(second.body.text.as_deref(), Some("two \"quoted\", {braced} \\ ü 👋"));
    assert!(sends(&one(store, chat, sent(second.id, "out-2")).await?).is_empty());
    let stored = store.message(second.id).await?.context("the message")?;
    assert_eq!((stored.status.as_str(), stored.mid.as_deref(), stored.attempt), ("sent", Some("out-2"), 1));
    assert!(!store.anything_due().await?);
    Ok(())
}

async fn a_rejected_command_fails_alone(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let chats = base.chats(30).await?;
    let batcher =
        Batcher::start(&base.store, policy(), BatcherOptions { lanes: 1, ..BatcherOptions::default() });
    // Two of them use the same key: one of those is rejected.
    let commands = chats.iter().enumerate().map(|(number, chat)| {
        let key = if number < 2 { "same".to_owned() } else { number.to_string() };
        batcher.apply(*chat, by_human("hello", Some(&key)))
    });
    let outcomes = futures::future::join_all(commands).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(matches!(refused[..], [ApplyError::Conflict]), "{refused:?}");
    let (groups, commands) = batcher.counts();
    assert!(groups < commands, "{groups} groups for {commands} commands");
    assert!(batcher.is_healthy());
    let missing = batcher.apply(ChatId::new(), by_human("hello", None)).await;
    assert!(matches!(missing, Err(ApplyError::Missing)), "{missing:?}");
    Ok(())
}

async fn commands_of_a_chat_keep_their_order_in_a_group(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let chat = base.open_chat("7").await?;
    let texts: Vec<String> = (0..20).map(|number| format!("text {number:02}")).collect();
    let commands = texts.iter().map(|text| (chat, by_human(text, None))).collect();
    for outcome in base.store.transact(policy(), commands).await? {
        assert_eq!(outcome.applied()?.reply, Reply::Done);
    }
    let filter = dmrelay_store::MessageFilter {
        connections: vec![base.connection.id],
        limit: 50,
        ..dmrelay_store::MessageFilter::default()
    };
    let mut stored: Vec<_> =
        base.store.messages(&filter).await?.items.into_iter().map(|item| item.message).collect();
    stored.sort_by_key(|message| message.seq);
    let stored: Vec<_> = stored.into_iter().filter_map(|message| message.text).collect();
    assert_eq!(stored, texts);
    Ok(())
}

async fn two_processes_on_the_same_chats_make_progress(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let chats = base.chats(12).await?;
    let batchers =
        [&base.store, &base.other].map(|store| Batcher::start(store, policy(), BatcherOptions::default()));
    let mut commands = Vec::new();
    for round in 0..20 {
        for (number, chat) in chats.iter().enumerate() {
            let command = match (round + number) % 3 {
                0 => Command::TakeOver(TakeOver { actor: "ada".into(), pause: Pause::Usual }),
                1 => Command::Release(Release::By("ada".into())),
                _ => by_human("hello", None),
            };
            commands.push(batchers[(round * 7 + number) % 2].apply(*chat, command));
        }
    }
    let all = tokio::time::timeout(Duration::from_mins(1), futures::future::join_all(commands)).await?;
    let failed: Vec<_> = all.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}");
    Ok(())
}

async fn a_call_of_a_dead_worker_is_found(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (store, worker) = (&base.store, WorkerId::new());
    let chat = base.open_chat("7").await?;
    base.wrote("1", "7", "mid").await?;
    store.heartbeat(&seed::process(worker), LEASE).await?;
    let received = one(store, chat, receive(worker)).await?;
    assert!(matches!(received.effects[..], [Effect::Ask(_)]), "{:?}", received.effects);
    assert!(store.orphans().await?.is_empty());
    // A call of a live worker is orphaned only once its deadline has passed.
    store.connection().execute_unprepared("UPDATE turns SET deadline = 1").await?;
    assert_eq!(store.orphans().await?.len(), 1);
    store.connection().execute_unprepared("UPDATE turns SET deadline = 9000000000000").await?;
    assert!(store.orphans().await?.is_empty());
    store.retire_process(worker).await?;
    let orphans = store.orphans().await?;
    assert_eq!(orphans.len(), 1);
    let (found, orphan) = orphans[0];
    assert_eq!(found, chat);
    one(store, chat, Command::Orphan(orphan)).await?;
    assert!(store.orphans().await?.is_empty());
    assert_eq!(store.due_chats(DueWork::Turns, Attempts::First, (5, 5)).await?.len(), 1);
    Ok(())
}

async fn events_of_one_account_leave_room_for_others(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    for number in 0..100 {
        base.wrote("1", &format!("{}", 1_000 + number), &format!("mid-{number}")).await?;
    }
    base.wrote("2", "7", "other").await?;
    base.wrote("3", "7", "another").await?;
    let claimed = base.store.claim_events(6, LEASE).await?;
    let mut accounts: Vec<_> = claimed.iter().map(|event| event.account.as_str()).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, ["1", "1", "1", "1", "2", "3"]);
    // Each row is claimed once.
    assert_eq!(base.other.claim_events(200, LEASE).await?.len(), 64);
    assert_eq!(base.store.claim_events(200, LEASE).await?.len(), 32);
    Ok(())
}

/// A worker stopped inside a transaction keeps its chats locked: no one else waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_chat_does_not_block_others() -> Result<()> {
    let base = Base::start(Backend::Servers).await?;
    let store = &base.store;
    let chats = base.chats(3).await?;
    store.connection().execute_unprepared("UPDATE chats SET turn_due_at = 1, resume_at = 1").await?;
    let frozen = store.connection().begin().await?;
    let lock = format!("SELECT id FROM chats WHERE id = '{}' FOR UPDATE", chats[0]);
    frozen.execute_unprepared(&lock).await?;

    let soon = Duration::from_secs(2);
    let commands = chats.iter().map(|chat| (*chat, by_human("hello", None))).collect();
    let outcomes = tokio::time::timeout(soon, store.transact(policy(), commands)).await??;
    assert!(matches!(outcomes[0], Outcome::Busy(_)), "{:?}", outcomes[0]);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::Applied(_))));
    store
        .connection()
        .execute_unprepared(&format!("UPDATE chats SET turn_due_at = 1 WHERE id <> '{}'", chats[0]))
        .await?;
    let due = store.due_chats(DueWork::Turns, Attempts::First, (50, 50));
    assert_eq!(tokio::time::timeout(soon, due).await??.len(), 2);
    // The server ends idle transactions, and the chat is free again.
    let batcher = Batcher::start(store, policy(), BatcherOptions::default());
    drop(frozen);
    batcher.apply(chats[0], by_human("hello", None)).await?;
    Ok(())
}

async fn chats_stay_separate_when_the_cache_is_full(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let users: Vec<_> = ["7", "8", "9"]
        .iter()
        .map(|user| Ok((base.connection.id, InstagramUserId::parse(user)?)))
        .collect::<Result<_>>()?;
    let small = ChatIds::with_room_for(2);
    let known = small.of(&base.store, &users[..2]).await?;
    let all = small.of(&base.store, &users).await?;
    assert_eq!((all.len(), &all[..2]), (3, &known[..]));
    assert_eq!(ChatIds::default().of(&base.store, &users).await?, all);
    Ok(())
}
