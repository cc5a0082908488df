//! Dead letters: listed, replayed once, refused if they would fail again, and discarded.

use super::{Base, HOUR, connect, details, queued, said, text};
use anyhow::{Context, Result};
use dmrelay_domain::event;
use dmrelay_domain::ids::{DeadLetterId, MessageId, TurnId};
use dmrelay_domain::states::{
    Author, ChatMode, ConnectionStatus, DeadLetterKind, DeadLetterState, MessageStatus, TurnState,
};
use dmrelay_store::entity::{dead_letter, message};
use dmrelay_store::{ActivityKind, Attempts, DeadLetterFilter, DueWork, NewEvent, Replay};
use dmrelay_tests::relay::Backend;
use dmrelay_tests::seed::{self, NewMessage};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use std::time::Duration;

on_both_backends!(
    a_failed_reply_is_sent_again_with_the_later_parts,
    concurrent_replays_run_once,
    replays_that_would_fail_again_are_refused,
    a_human_agents_message_may_be_late_and_alongside_the_agent,
    a_failed_turn_is_asked_again,
    a_message_never_asked_about_is_asked,
    a_dead_event_is_applied_again,
    dead_letters_are_listed_and_discarded,
);

const LEASE: Duration = Duration::from_secs(30);

async fn replay(base: &Base, letter: &dead_letter::Model) -> Result<Replay> {
    Ok(base.store.replay(letter, &base.connection, &"key ada".into()).await?)
}

fn refused(replay: Replay) -> Result<&'static str> {
    match replay {
        Replay::Refused(why) => Ok(why),
        other => anyhow::bail!("not refused: {other:?}"),
    }
}

/// A turn about one message of the user.
async fn turn(base: &Base, user: &str, state: TurnState) -> Result<(MessageId, TurnId)> {
    let asks = NewMessage { needs_answer: true, at: 100, ..said("question") };
    let asked = base.add(&base.connection, user, asks).await?;
    let chat = base.chat(user).await?;
    Ok((asked, seed::add_turn(&base.store, &chat, &[asked], state).await?))
}

/// A chat whose three-part answer failed at its second part.
async fn failed_reply(base: &Base) -> Result<(Vec<MessageId>, dead_letter::Model)> {
    let (_, turn) = turn(base, "7", TurnState::Answered).await?;
    let mut parts = Vec::new();
    for (part, text) in (0..).zip(["a", "b", "c"]) {
        let reply = NewMessage { part: Some((turn, part)), ..queued(text) };
        parts.push(base.add(&base.connection, "7", reply).await?);
    }
    base.sql("UPDATE messages SET status = 'sent' WHERE text = 'a'").await?;
    let letter = base.give_up(parts[1], MessageStatus::Failed).await?;
    assert_eq!(base.message(parts[2]).await?.status, MessageStatus::Cancelled);
    base.adjust("7", |chat| {
        chat.row.outbox_due_at = None;
        chat.row.outbox_attempts = 4;
    })
    .await?;
    Ok((parts, letter))
}

async fn a_failed_reply_is_sent_again_with_the_later_parts(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (parts, letter) = failed_reply(&base).await?;
    let before = base.message(parts[1]).await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    let after = base.message(parts[1]).await?;
    assert_eq!((after.status.as_str(), after.attempt), ("queued", before.attempt + 1));
    assert_eq!((after.error_class, after.error_code, after.error_message), (None, None, None));
    assert_eq!(base.message(parts[0]).await?.status, MessageStatus::Sent);
    assert_eq!(base.message(parts[2]).await?.status, MessageStatus::Queued);
    let chat = base.chat("7").await?;
    assert_eq!((chat.outbox_due_at.is_some(), chat.outbox_attempts), (true, 0));
    assert_eq!(base.store.due_chats(DueWork::Outboxes, Attempts::First, (5, 5)).await?.len(), 1);

    let logged = base.logged(ActivityKind::DeadLetterReplayed).await?;
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].subject, Some(letter.id.to_string()));
    assert_eq!(logged[0].connection_id, Some(base.connection.id));
    let expected = serde_json::json!({
        "class": "invalid", "kind": "message", "chatId": chat.id, "reference": parts[1],
    });
    assert_eq!(details(&logged[0])?, expected);

    let closed = base.store.dead_letter(&base.all(), letter.id).await?.context("the letter")?;
    assert_eq!((closed.replayed_at.is_some(), closed.closed_by.as_deref()), (true, Some("key ada")));
    assert_eq!(replay(&base, &letter).await?, Replay::NotOpen);
    assert!(!base.store.discard(&letter, &"key ada".into()).await?);
    Ok(())
}

async fn concurrent_replays_run_once(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (parts, letter) = failed_reply(&base).await?;
    let attempt = base.message(parts[1]).await?.attempt;
    let ada = "key ada".into();
    let replays = (0..12).map(|n| {
        let store = if n % 2 == 0 { &base.store } else { &base.other };
        store.replay(&letter, &base.connection, &ada)
    });
    let outcomes: Vec<Replay> = futures::future::try_join_all(replays).await?;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Replay::Replayed).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Replay::NotOpen).count(), 11);
    assert_eq!(base.message(parts[1]).await?.attempt, attempt + 1);
    assert_eq!(base.logged(ActivityKind::DeadLetterReplayed).await?.len(), 1);
    Ok(())
}

async fn replays_that_would_fail_again_are_refused(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let (parts, letter) = failed_reply(&base).await?;
    base.adjust("7", |chat| chat.row.window_expires_at = Some(chat.now - 1)).await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("window"));
    base.adjust("7", |chat| {
        chat.row.window_expires_at = Some(chat.now + HOUR);
        chat.row.mode = ChatMode::Human.into();
    })
    .await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("human agent"));
    base.adjust("7", |chat| chat.row.mode = ChatMode::Paused.into()).await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("paused"));
    base.adjust("7", |chat| chat.row.mode = ChatMode::Bot.into()).await?;
    for status in [ConnectionStatus::Disconnecting, ConnectionStatus::Disconnected] {
        base.sql(&format!("UPDATE instagram_connections SET status = '{status}'")).await?;
        assert!(refused(replay(&base, &letter).await?)?.contains("not connected"));
    }
    base.sql("UPDATE instagram_connections SET status = 'connected'").await?;
    base.sql("UPDATE turns SET withdrawn = 'unsent'").await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("took the message back"));
    base.sql("UPDATE turns SET withdrawn = NULL").await?;
    base.sql("UPDATE messages SET status = 'unknown', deadline = 1 WHERE text = 'b'").await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("failed state"));
    let foreign = connect(&base.store, "other", "2").await?;
    assert_eq!(base.store.replay(&letter, &foreign, &"key eve".into()).await?, Replay::NotOpen);

    // Nothing was changed, and once it can succeed it does: also if the outcome was unknown.
    assert!(base.logged(ActivityKind::DeadLetterReplayed).await?.is_empty());
    assert_eq!(base.message(parts[2]).await?.status, MessageStatus::Cancelled);
    base.sql("UPDATE messages SET deadline = NULL WHERE text = 'b'").await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);

    base.sql("UPDATE messages SET status = 'failed' WHERE text = 'c'").await?;
    let gone = base.add(&base.connection, "7", queued("gone")).await?;
    let letter = base.give_up(gone, MessageStatus::Failed).await?;
    base.sql("DELETE FROM messages WHERE text = 'gone'").await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("no longer stored"));
    Ok(())
}

async fn a_human_agents_message_may_be_late_and_alongside_the_agent(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let human = text(Author::Human, MessageStatus::Queued, "sorry");
    let id = base.add(&base.connection, "7", human).await?;
    let letter = base.give_up(id, MessageStatus::Failed).await?;
    base.adjust("7", |chat| {
        chat.row.mode = ChatMode::Human.into();
        chat.row.window_expires_at = Some(chat.now - HOUR);
    })
    .await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("window"));
    let id = base.connection.id;
    base.store.change_settings(id, &"ada".into(), |settings, _| settings.human_agent = Some(true)).await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    Ok(())
}

/// The messages waiting for the agent, oldest first.
async fn waiting(base: &Base) -> Result<Vec<MessageId>> {
    let rows = message::Entity::find()
        .filter(message::Column::NeedsAnswer.eq(true))
        .filter(message::Column::TurnId.is_null())
        .order_by_asc(message::Column::At)
        .all(base.store.connection())
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn a_failed_turn_is_asked_again(backend: Backend) -> Result<()> {
    for state in [TurnState::Failed, TurnState::Unknown] {
        let base = Base::start(backend).await?;
        let (asked, turn) = turn(&base, "7", state).await?;
        // It arrived while the agent was being asked, and was dropped with the question.
        let dropped = base.add(&base.connection, "7", NewMessage { at: 200, ..said("and this") }).await?;
        let taken_back = base.add(&base.connection, "7", NewMessage { at: 300, ..said("oops") }).await?;
        base.sql("UPDATE messages SET error_class = 'invalid' WHERE text IN ('and this', 'oops')").await?;
        base.sql("UPDATE messages SET kind = 'unsent' WHERE text = 'oops'").await?;
        let chat = base.chat("7").await?.id;
        let place = (base.connection.subaccount.as_str(), base.connection.id);
        let subject = (DeadLetterKind::Turn, turn);
        let letter = seed::add_letter(&base.store, place, Some(chat), subject, "invalid").await?;
        let later = base.add(&base.connection, "7", NewMessage { at: 400, ..said("not asked") }).await?;
        base.sql("UPDATE messages SET error_class = 'invalid', created_at = created_at + 60000 WHERE text = 'not asked'").await?;

        assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
        assert_eq!(waiting(&base).await?, [asked, dropped], "{state}, without {taken_back} and {later}");
        let chat = base.chat("7").await?;
        assert!(chat.turn_due_at.is_some() && chat.first_unanswered_at.is_some());
        assert_eq!(base.store.due_chats(DueWork::Turns, Attempts::First, (5, 5)).await?.len(), 1);
        assert_eq!(replay(&base, &letter).await?, Replay::NotOpen);
    }
    Ok(())
}

async fn a_message_never_asked_about_is_asked(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let mut dropped = Vec::new();
    for at in [100, 200] {
        dropped.push(base.add(&base.connection, "7", NewMessage { at, ..said("question") }).await?);
    }
    base.sql("UPDATE messages SET error_class = 'window_closed'").await?;
    let chat = base.chat("7").await?.id;
    let place = (base.connection.subaccount.as_str(), base.connection.id);
    let subject = (DeadLetterKind::Message, dropped[0]);
    let letter = seed::add_letter(&base.store, place, Some(chat), subject, "window_closed").await?;
    base.adjust("7", |chat| chat.row.mode = ChatMode::Human.into()).await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("human agent"));
    base.adjust("7", |chat| chat.row.mode = ChatMode::Bot.into()).await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    for id in dropped {
        let message = base.message(id).await?;
        assert_eq!((message.needs_answer, message.turn_id, message.error_class), (true, None, None));
    }
    let due = base.store.due_chats(DueWork::Turns, Attempts::First, (5, 5)).await?;
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [chat]);
    Ok(())
}

async fn a_dead_event_is_applied_again(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let webhook = dmrelay_tests::rest::text_webhook("1", "7", "mid", "hello");
    let events = event::parse(&webhook, 1).events.into_iter().map(NewEvent::new).collect();
    base.store.insert_events(events).await?;
    let claimed = base.store.claim_events(5, LEASE).await?;
    let event = claimed.first().context("nothing to claim")?.id;
    let fail = async || {
        let next = base.store.next_event("1", "7").await?.context("no event waits")?;
        // Two workers that fail at the same event count as one.
        let failed = base.store.fail_event(&next, Duration::ZERO, 2, "odd").await?;
        assert!(!base.store.fail_event(&next, Duration::ZERO, 2, "odd").await?);
        anyhow::Ok(failed)
    };
    assert!(!fail().await?);
    assert!(fail().await?);
    assert!(base.store.next_event("1", "7").await?.is_none());
    assert_eq!(base.store.count_events("dead").await?, 1);
    let letter = base.newest_letter().await?;
    assert_eq!((letter.reference, letter.attempts), (event.0, 2));
    assert_eq!(base.store.foresee_replay(&letter, &base.connection).await?, Replay::Replayed);
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    let again = base.store.claim_events(5, LEASE).await?;
    assert_eq!(again.iter().map(|event| (event.id, event.failures)).collect::<Vec<_>>(), [(event, 0)]);
    Ok(())
}

async fn dead_letters_are_listed_and_discarded(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let foreign = connect(&base.store, "other", "2").await?;
    let mut letters = Vec::new();
    for user in ["7", "8", "9"] {
        let id = base.add(&base.connection, user, queued("x")).await?;
        letters.push(base.give_up(id, MessageStatus::Failed).await?);
    }
    // To look what a replay would do holds nobody up, not even the next who looks.
    for _ in 0..3 {
        assert_eq!(base.store.foresee_replay(&letters[2], &base.connection).await?, Replay::Replayed);
    }
    assert!(base.store.discard(&letters[2], &"key ada".into()).await?);
    assert!(!base.store.discard(&letters[2], &"key ada".into()).await?);
    assert_eq!(replay(&base, &letters[2]).await?, Replay::NotOpen);
    let logged = base.logged(ActivityKind::DeadLetterDiscarded).await?;
    assert_eq!(
        logged.iter().map(|row| row.subject.clone()).collect::<Vec<_>>(),
        [Some(letters[2].id.to_string())]
    );
    let place = (base.connection.subaccount.as_str(), base.connection.id);
    let subject = (DeadLetterKind::Turn, TurnId::new());
    let turn = seed::add_letter(&base.store, place, None, subject, "gone").await?.id;
    base.sql("UPDATE dead_letters SET created_at = created_at + 1000 WHERE class = 'gone'").await?;
    let (a, b, c) = (letters[0].id, letters[1].id, letters[2].id);

    let open = base.letters(DeadLetterState::Open);
    let cases = [
        (open.clone(), vec![turn, b, a]),
        (base.letters(DeadLetterState::Discarded), vec![c]),
        (base.letters(DeadLetterState::Replayed), vec![]),
        (DeadLetterFilter { class: Some("gone".into()), ..open.clone() }, vec![turn]),
        (DeadLetterFilter { kind: Some("message".into()), ..open.clone() }, vec![b, a]),
        (DeadLetterFilter { chat: letters[0].chat_id, ..open.clone() }, vec![a]),
        (DeadLetterFilter { created_before: Some(letters[2].created_at + 1), ..open.clone() }, vec![b, a]),
        (DeadLetterFilter { connections: vec![foreign.id], ..open.clone() }, vec![]),
        (DeadLetterFilter { connections: Vec::new(), ..open.clone() }, vec![]),
        (DeadLetterFilter { subaccount: foreign.subaccount.clone(), ..open.clone() }, vec![]),
    ];
    for (filter, expected) in cases {
        let page = base.store.dead_letter_page(&filter).await?;
        let ids: Vec<DeadLetterId> = page.items.iter().map(|letter| letter.id).collect();
        assert_eq!((ids, page.total), (expected.clone(), expected.len() as u64), "{filter:?}");
    }
    let first = base.store.dead_letter_page(&DeadLetterFilter { limit: 2, ..open.clone() }).await?;
    let rest = base.store.dead_letter_page(&DeadLetterFilter { before: first.next, ..open }).await?;
    assert_eq!((first.next, rest.items.len(), rest.total), (Some(b), 1, 3));
    assert_eq!(base.store.dead_letter(&[foreign.id], a).await?, None);
    assert_eq!(base.store.dead_letter_counts().await?.iter().map(|(_, n)| n).sum::<i64>(), 3);
    Ok(())
}
