//! Dead letters: listed, replayed once, refused where it would fail again, and discarded.

use super::{Base, HOUR, base, connect, details, queued, said, text};
use anyhow::{Context, Result};
use dmrelay_domain::event;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::TurnId;
use dmrelay_domain::states::{Author, ChatMode, ConnectionStatus, EventState, MessageStatus, TurnState};
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{
    ActivityKind, Claim, DeadLetter, DeadLetterFilter, DeadLetterState, NewEvent, NewMessage, NewTurn,
    Replay, Reply, Subject, Verdict,
};
use dmrelay_tests::relay::Footing;
use std::time::Duration;
use uuid::Uuid;

on_both_footings!(
    a_failed_reply_is_sent_again_with_what_came_after_it,
    two_replays_at_once_do_it_once,
    what_would_fail_again_is_refused,
    a_persons_message_may_be_late_and_beside_the_agent,
    a_failed_turn_is_asked_again,
    what_was_never_asked_is_asked,
    a_dead_event_is_applied_again,
    dead_letters_are_listed_and_discarded,
);

const LEASE: Duration = Duration::from_secs(30);

async fn replay(base: &Base, letter: &dead_letter::Model) -> Result<Replay> {
    Ok(base.store.replay(letter, &base.connection, "key ada").await?)
}

fn refused(replay: Replay) -> Result<&'static str> {
    match replay {
        Replay::Refused(why) => Ok(why),
        other => anyhow::bail!("not refused: {other:?}"),
    }
}

/// A turn about one message of the user.
async fn turn(base: &Base, user: &str) -> Result<(Uuid, TurnId)> {
    let asks = NewMessage { needs_answer: true, at: 100, ..said("question") };
    let asked = base.add(&base.connection, user, asks).await?;
    let chat = base.chat(user).await?;
    let tx = base.store.begin().await?;
    let mut chat = tx.lock_chat(chat.id.into()).await?.context("the chat")?;
    let new = NewTurn {
        messages: vec![asked.into()],
        asked_hash: [7; 32],
        agent_chat_id: "agent chat".to_owned(),
        watermark: None,
        received_at: chat.now,
        deadline: LEASE,
        trace: None,
    };
    let turn = tx.start_turn(&mut chat, &new).await?;
    tx.save_chat(&chat).await?;
    tx.commit().await?;
    Ok((asked, turn))
}

/// The turn is answered with these replies; gives their ids.
async fn answered(base: &Base, user: &str, turn: TurnId, replies: &[&str]) -> Result<Vec<Uuid>> {
    let chat = base.chat(user).await?.id;
    let replies = replies.iter().map(|text| Reply { text: (*text).to_owned() }).collect();
    let tx = base.store.begin().await?;
    let mut locked = tx.lock_chat(chat.into()).await?.context("the chat")?;
    assert!(tx.answer_turn(&mut locked, (turn, 1), replies, None).await?.is_some());
    locked.outbox_pushed = false;
    tx.save_chat(&locked).await?;
    tx.commit().await?;
    let filter = dmrelay_store::MessageFilter { author: Some("agent".into()), ..base.messages() };
    let mut ids: Vec<Uuid> =
        base.store.messages(&filter).await?.items.iter().map(|listed| listed.message.id).collect();
    ids.reverse();
    Ok(ids)
}

/// A chat whose answer of three parts failed at its second.
async fn failed_reply(base: &Base) -> Result<(Vec<Uuid>, dead_letter::Model)> {
    let (_, turn) = turn(base, "7").await?;
    let parts = answered(base, "7", turn, &["a", "b", "c"]).await?;
    base.sql("UPDATE messages SET status = 'sent' WHERE text = 'a'").await?;
    let letter = base.give_up(parts[1], MessageStatus::Failed).await?;
    assert_eq!(base.message(parts[2]).await?.status, "cancelled");
    base.adjust("7", |chat| {
        chat.row.outbox_due_at = None;
        chat.row.outbox_attempts = 4;
    })
    .await?;
    Ok((parts, letter))
}

async fn a_failed_reply_is_sent_again_with_what_came_after_it(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let (parts, letter) = failed_reply(&base).await?;
    let before = base.message(parts[1]).await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    let after = base.message(parts[1]).await?;
    assert_eq!((after.status.as_str(), after.attempt), ("queued", before.attempt + 1));
    assert_eq!((after.error_class, after.error_code, after.error_message), (None, None, None));
    assert_eq!(base.message(parts[0]).await?.status, "sent");
    assert_eq!(base.message(parts[2]).await?.status, "queued");
    let chat = base.chat("7").await?;
    assert_eq!((chat.outbox_due_at.is_some(), chat.outbox_attempts), (true, 0));
    assert_eq!(base.store.due_outboxes(5, 5).await?.len(), 1);

    // An outcome of the time before does not count any more.
    let tx = base.store.begin().await?;
    assert!(!tx.give_up(&before, MessageStatus::Failed, FailureClass::Invalid, ("", "")).await?);
    drop(tx);
    let logged = base.logged(ActivityKind::DeadLetterReplayed).await?;
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].subject, Some(letter.id.to_string()));
    assert_eq!(logged[0].connection_id, Some(base.connection.id.0));
    let expected = serde_json::json!({
        "class": "invalid", "kind": "message", "chatId": chat.id, "reference": parts[1],
    });
    assert_eq!(details(&logged[0])?, expected);

    let closed = base.store.dead_letter(&base.all(), letter.id).await?.context("the letter")?;
    assert_eq!((closed.replayed_at.is_some(), closed.closed_by.as_deref()), (true, Some("key ada")));
    assert_eq!(replay(&base, &letter).await?, Replay::NotOpen);
    assert!(!base.store.discard(&letter, "key ada").await?);
    Ok(())
}

async fn two_replays_at_once_do_it_once(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let (parts, letter) = failed_reply(&base).await?;
    let attempt = base.message(parts[1]).await?.attempt;
    let replays = (0..12).map(|n| {
        let store = if n % 2 == 0 { &base.store } else { &base.other };
        store.replay(&letter, &base.connection, "key ada")
    });
    let outcomes: Vec<Replay> = futures::future::try_join_all(replays).await?;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Replay::Replayed).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Replay::NotOpen).count(), 11);
    assert_eq!(base.message(parts[1]).await?.attempt, attempt + 1);
    assert_eq!(base.logged(ActivityKind::DeadLetterReplayed).await?.len(), 1);
    Ok(())
}

async fn what_would_fail_again_is_refused(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let (parts, letter) = failed_reply(&base).await?;
    base.adjust("7", |chat| chat.row.window_expires_at = Some(chat.now - 1)).await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("window"));
    base.adjust("7", |chat| {
        chat.row.window_expires_at = Some(chat.now + HOUR);
        chat.row.mode = ChatMode::Human.to_string();
    })
    .await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("person"));
    base.adjust("7", |chat| chat.row.mode = ChatMode::Paused.to_string()).await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("paused"));
    base.adjust("7", |chat| chat.row.mode = ChatMode::Bot.to_string()).await?;
    for status in [ConnectionStatus::Disconnecting, ConnectionStatus::Disconnected] {
        base.sql(&format!("UPDATE instagram_connections SET status = '{status}'")).await?;
        assert!(refused(replay(&base, &letter).await?)?.contains("not connected"));
    }
    base.sql("UPDATE instagram_connections SET status = 'connected'").await?;
    base.sql("UPDATE messages SET kind = 'unsent' WHERE author = 'user'").await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("took the message back"));
    base.sql("UPDATE messages SET kind = 'text'").await?;
    base.sql("UPDATE messages SET status = 'unknown', deadline = 1 WHERE text = 'b'").await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("failed state"));
    let foreign = connect(&base.store, "other", "2").await?;
    assert_eq!(base.store.replay(&letter, &foreign, "key eve").await?, Replay::NotOpen);

    // Nothing of it was done, and once it can pass it does: also where nobody knows whether it was sent.
    assert!(base.logged(ActivityKind::DeadLetterReplayed).await?.is_empty());
    assert_eq!(base.message(parts[2]).await?.status, "cancelled");
    base.sql("UPDATE messages SET deadline = NULL WHERE text = 'b'").await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);

    base.sql("UPDATE messages SET status = 'failed' WHERE text = 'c'").await?;
    let gone = base.add(&base.connection, "7", queued("gone")).await?;
    let letter = base.give_up(gone, MessageStatus::Failed).await?;
    base.sql("DELETE FROM messages WHERE text = 'gone'").await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("no longer stored"));
    Ok(())
}

async fn a_persons_message_may_be_late_and_beside_the_agent(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let human = text(Author::Human, MessageStatus::Queued, "sorry");
    let id = base.add(&base.connection, "7", human).await?;
    let letter = base.give_up(id, MessageStatus::Failed).await?;
    base.adjust("7", |chat| {
        chat.row.mode = ChatMode::Human.to_string();
        chat.row.window_expires_at = Some(chat.now - HOUR);
    })
    .await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("window"));
    let id = base.connection.id;
    base.store.change_settings(id, "ada", |settings, _| settings.human_agent = Some(true)).await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    Ok(())
}

async fn a_failed_turn_is_asked_again(footing: Footing) -> Result<()> {
    for state in [TurnState::Failed, TurnState::Unknown] {
        let base = base(footing).await?;
        let (asked, turn) = turn(&base, "7").await?;
        // It came while the agent was asked, and was dropped with the question.
        let later = NewMessage { needs_answer: true, at: 200, ..said("and this") };
        let dropped = base.add(&base.connection, "7", later).await?;
        let taken_back = base.add(&base.connection, "7", NewMessage { at: 300, ..said("oops") }).await?;
        let chat = base.chat("7").await?.id;
        let tx = base.store.begin().await?;
        let mut locked = tx.lock_chat(chat.into()).await?.context("the chat")?;
        let class = FailureClass::Invalid;
        let verdict = Verdict { state, class, error: "bad".to_owned() };
        assert!(tx.judge_turn((turn, 1), &verdict).await?);
        let letter = DeadLetter::of(&base.connection, Subject::Turn(turn.0), class, "bad");
        tx.bury(&letter.in_chat(chat, 1), locked.now).await?;
        tx.drop_unanswered(&mut locked, class).await?;
        locked.row.turn_due_at = None;
        tx.save_chat(&locked).await?;
        tx.commit().await?;
        let letter = base.newest_letter().await?;
        base.add(&base.connection, "7", NewMessage { at: 400, ..said("not asked") }).await?;
        base.sql("UPDATE messages SET kind = 'unsent', error_class = 'invalid' WHERE text = 'oops'").await?;

        assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
        let tx = base.store.begin().await?;
        let locked = tx.lock_chat(chat.into()).await?.context("the chat")?;
        let waiting: Vec<Uuid> = tx.unanswered(&locked, 9).await?.iter().map(|row| row.id).collect();
        drop(tx);
        assert_eq!(waiting, [asked, dropped], "{state}, without {taken_back}");
        assert!(locked.row.turn_due_at.is_some_and(|due| due <= locked.now));
        assert!(locked.row.first_unanswered_at.is_some());
        assert!(base.store.lease_turn(chat.into(), LEASE).await?.is_some());
        assert_eq!(replay(&base, &letter).await?, Replay::NotOpen);
    }
    Ok(())
}

async fn what_was_never_asked_is_asked(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let class = FailureClass::WindowClosed;
    let mut dropped = Vec::new();
    for at in [100, 200] {
        let asks = NewMessage { needs_answer: true, at, ..said("question") };
        dropped.push(base.add(&base.connection, "7", asks).await?);
    }
    let chat = base.chat("7").await?.id;
    let tx = base.store.begin().await?;
    let mut locked = tx.lock_chat(chat.into()).await?.context("the chat")?;
    let letter = DeadLetter::of(&base.connection, Subject::Message(dropped[0]), class, "too late");
    tx.bury(&letter.in_chat(chat, 0), locked.now).await?;
    tx.drop_unanswered(&mut locked, class).await?;
    tx.save_chat(&locked).await?;
    tx.commit().await?;
    let letter = base.newest_letter().await?;
    base.adjust("7", |chat| chat.row.mode = ChatMode::Human.to_string()).await?;
    assert!(refused(replay(&base, &letter).await?)?.contains("person"));
    base.adjust("7", |chat| chat.row.mode = ChatMode::Bot.to_string()).await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    for id in dropped {
        let message = base.message(id).await?;
        assert_eq!((message.needs_answer, message.turn_id, message.error_class), (true, None, None));
    }
    let due = base.store.due_turns(5, 5).await?;
    assert_eq!(due.iter().map(|due| due.id.0).collect::<Vec<_>>(), [chat]);
    Ok(())
}

async fn a_dead_event_is_applied_again(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let webhook = dmrelay_tests::rest::text_webhook("1", "7", "mid", "hello");
    let events = event::parse(&webhook, 1).events.into_iter().map(NewEvent::new).collect();
    base.store.insert_events(events).await?;
    let Claim::Event(claimed) = base.store.claim_event("1", "7", LEASE).await? else {
        anyhow::bail!("nothing to claim");
    };
    let tx = base.store.begin().await?;
    assert!(tx.finish_event(claimed.id, EventState::Dead, Some("odd")).await?);
    let subject = Subject::Event(claimed.id.0);
    tx.bury(&DeadLetter::of(&base.connection, subject, FailureClass::Bug, "odd"), claimed.now).await?;
    tx.commit().await?;
    let letter = base.newest_letter().await?;
    assert_eq!(replay(&base, &letter).await?, Replay::Replayed);
    let Claim::Event(again) = base.store.claim_event("1", "7", LEASE).await? else {
        anyhow::bail!("it does not wait");
    };
    assert_eq!((again.id, again.attempt, again.raw), (claimed.id, 1, claimed.raw));
    Ok(())
}

async fn dead_letters_are_listed_and_discarded(footing: Footing) -> Result<()> {
    let base = base(footing).await?;
    let foreign = connect(&base.store, "other", "2").await?;
    let mut letters = Vec::new();
    for user in ["7", "8", "9"] {
        let id = base.add(&base.connection, user, queued("x")).await?;
        letters.push(base.give_up(id, MessageStatus::Failed).await?);
    }
    assert!(base.store.discard(&letters[2], "key ada").await?);
    assert!(!base.store.discard(&letters[2], "key ada").await?);
    assert_eq!(replay(&base, &letters[2]).await?, Replay::NotOpen);
    let logged = base.logged(ActivityKind::DeadLetterDiscarded).await?;
    assert_eq!(
        logged.iter().map(|row| row.subject.clone()).collect::<Vec<_>>(),
        [Some(letters[2].id.to_string())]
    );
    let turn = DeadLetter::of(&base.connection, Subject::Turn(Uuid::now_v7()), FailureClass::Gone, "x");
    let tx = base.store.begin().await?;
    tx.bury(&turn, letters[2].created_at + 1).await?;
    tx.commit().await?;
    let turn = base.newest_letter().await?.id;
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
        let ids: Vec<Uuid> = page.items.iter().map(|letter| letter.id).collect();
        assert_eq!((ids, page.total), (expected.clone(), expected.len() as u64), "{filter:?}");
    }
    let first = base.store.dead_letter_page(&DeadLetterFilter { limit: 2, ..open.clone() }).await?;
    let rest = base.store.dead_letter_page(&DeadLetterFilter { before: first.next, ..open }).await?;
    assert_eq!((first.next, rest.items.len(), rest.total), (Some(b), 1, 3));
    assert_eq!(base.store.dead_letter(&[foreign.id], a).await?, None);
    assert_eq!(base.store.dead_letter_counts().await?.iter().map(|(_, n)| n).sum::<i64>(), 3);
    Ok(())
}
