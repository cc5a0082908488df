//! Lists: filters, stable pages while rows are added, and bounded searches.

use super::{Base, HOUR, connect, details, queued, said, text};
use anyhow::Result;
use dmrelay_domain::ids::{ActivityId, ChatId, MessageId, SubaccountId, TurnId};
use dmrelay_domain::states::{Author, ChatMode, MessageStatus, TurnState};
use dmrelay_store::{Activity, ActivityFilter, ActivityKind, ChatCounts, ChatFilter, MessageFilter};
use dmrelay_tests::relay::Backend;
use dmrelay_tests::seed::{self, NewMessage};

on_both_backends!(
    pages_are_stable_while_messages_arrive,
    messages_are_filtered,
    a_word_of_a_later_version_is_listed_as_it_is,
    a_search_takes_its_text_literally,
    a_search_reads_a_limited_number_of_messages,
    chats_are_listed_by_their_last_message,
    chats_are_filtered,
    a_chat_is_counted_and_its_turns_are_found,
    the_log_is_filtered,
    the_log_can_be_followed,
);

async fn listed(base: &Base, filter: &MessageFilter) -> Result<Vec<MessageId>> {
    Ok(base.store.messages(filter).await?.items.iter().map(|listed| listed.message.id).collect())
}

async fn pages_are_stable_while_messages_arrive(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let second = connect(&base.store, "acme", "2").await?;
    let mut ids = Vec::new();
    for n in 0..7 {
        let connection = if n % 3 == 0 { &second } else { &base.connection };
        ids.push(base.add(connection, "9", said(&n.to_string())).await?);
    }
    ids.reverse();
    let connections = vec![base.connection.id, second.id];
    let mut filter = MessageFilter { connections, limit: 3, ..base.messages() };
    let mut seen = Vec::new();
    for (round, total) in [7, 9, 11].into_iter().enumerate() {
        let page = base.store.messages(&filter).await?;
        seen.extend(page.items.iter().map(|listed| listed.message.id));
        assert_eq!((page.total, page.total_is_exact), (total, true));
        assert_eq!(page.next, (round < 2).then(|| seen[seen.len() - 1]), "page {round}");
        filter.before = page.next;
        base.add(&base.connection, "9", said("new")).await?;
        base.add(&second, "8", said("new")).await?;
    }
    assert_eq!(seen, ids);
    let skipped = MessageFilter { before: Some(ids[0]), limit: 2, skip: 1, ..filter };
    assert_eq!(listed(&base, &skipped).await?, ids[2..4]);
    Ok(())
}

async fn a_word_of_a_later_version_is_listed_as_it_is(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    base.add(&base.connection, "7", said("one")).await?;
    base.sql("UPDATE messages SET status = 'pondered'").await?;
    base.add(&base.connection, "7", said("two")).await?;
    base.sql("UPDATE chats SET mode = 'committee'").await?;
    let page = base.store.messages(&base.messages()).await?;
    let statuses: Vec<_> = page.items.iter().map(|listed| listed.message.status.as_str()).collect();
    assert_eq!(statuses, ["received", "pondered"]);
    let chat = base.chat("7").await?;
    assert_eq!((chat.mode.as_str(), chat.mode.known()), ("committee", None));
    // Saving the row keeps the word.
    base.adjust("7", |chat| chat.row.turn_attempts = 1).await?;
    assert_eq!(base.chat("7").await?.mode, chat.mode);
    Ok(())
}

async fn messages_are_filtered(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let foreign = connect(&base.store, "other", "2").await?;
    let at = |at: i64, new: NewMessage| NewMessage { at, ..new };
    let a = base.add(&base.connection, "7", at(100, said("one"))).await?;
    let b = base.add(&base.connection, "7", at(200, queued("two"))).await?;
    let c = base.add(&base.connection, "8", at(300, said("three"))).await?;
    let human = text(Author::Human, MessageStatus::Sent, "four");
    let d = base.add(&base.connection, "8", at(400, human)).await?;
    let stub = NewMessage { kind: "stub".to_owned(), ..said("stub") };
    base.add(&base.connection, "8", stub).await?;
    base.add(&foreign, "7", said("theirs")).await?;

    let all = base.messages();
    let chat = base.chat("7").await?.id;
    let cases = [
        (all.clone(), vec![d, c, b, a]),
        (MessageFilter { user: Some("7".into()), ..all.clone() }, vec![b, a]),
        (MessageFilter { chat: Some(chat), ..all.clone() }, vec![b, a]),
        (MessageFilter { author: Some("human".into()), ..all.clone() }, vec![d]),
        (MessageFilter { direction: Some("outbound".into()), ..all.clone() }, vec![d, b]),
        (MessageFilter { status: Some("queued".into()), ..all.clone() }, vec![b]),
        (MessageFilter { since: Some(200), until: Some(400), ..all.clone() }, vec![c, b]),
        (MessageFilter { connections: Vec::new(), chat: Some(chat), ..all.clone() }, vec![]),
        (MessageFilter { connections: vec![foreign.id], chat: Some(chat), ..all.clone() }, vec![]),
    ];
    for (filter, expected) in cases {
        let page = base.store.messages(&filter).await?;
        let ids: Vec<MessageId> = page.items.iter().map(|listed| listed.message.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
        assert_eq!((page.total, page.next), (expected.len() as u64, None), "{filter:?}");
    }
    Ok(())
}

async fn a_search_takes_its_text_literally(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let odd = base.add(&base.connection, "7", said(r"Save 50%_off\now")).await?;
    let plain = base.add(&base.connection, "7", said("save 50 x off now")).await?;
    let found = async |q: &str| listed(&base, &MessageFilter { q: Some(q.into()), ..base.messages() }).await;
    assert_eq!(found("SAVE 50").await?, [plain, odd]);
    assert_eq!(found("50%").await?, [odd]);
    assert_eq!(found("%_").await?, [odd]);
    assert_eq!(found(r"off\n").await?, [odd]);
    assert!(found("_ff").await?.is_empty());
    assert!(found("%now%").await?.is_empty());
    Ok(())
}

async fn a_search_reads_a_limited_number_of_messages(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let second = connect(&base.store, "acme", "2").await?;
    let mut ids = Vec::new();
    for n in 0..10 {
        let words = if n == 0 || n >= 8 { "a needle" } else { "hay" };
        let connection = if n % 2 == 0 { &second } else { &base.connection };
        ids.push(base.add(connection, "9", said(words)).await?);
    }
    ids.reverse();
    let both = vec![base.connection.id, second.id];
    let q = Some("needle".to_owned());
    let search = MessageFilter { connections: both, q, search_most: 4, limit: 5, ..base.messages() };

    let first = base.store.messages(&search).await?;
    assert_eq!(first.items.iter().map(|listed| listed.message.id).collect::<Vec<_>>(), ids[..2]);
    assert_eq!((first.next, first.total, first.total_is_exact), (Some(ids[3]), 2, false));
    // New messages do not shift the page.
    base.add(&base.connection, "9", said("another needle")).await?;
    let second = base.store.messages(&MessageFilter { before: first.next, ..search.clone() }).await?;
    assert_eq!((second.items.len(), second.next, second.total_is_exact), (0, Some(ids[7]), false));
    let third = base.store.messages(&MessageFilter { before: second.next, ..search.clone() }).await?;
    assert_eq!(third.items.iter().map(|listed| listed.message.id).collect::<Vec<_>>(), ids[9..]);
    assert_eq!(third.next, None);

    // A page that fills up earlier continues at its last message; one that saw everything knows the total.
    let full =
        base.store.messages(&MessageFilter { limit: 1, before: Some(ids[0]), ..search.clone() }).await?;
    assert_eq!((full.items.len(), full.next), (1, Some(ids[4])));
    let whole = base.store.messages(&MessageFilter { search_most: 100, ..search.clone() }).await?;
    assert_eq!((whole.total, whole.total_is_exact, whole.next), (4, true, None));
    // The same within a chat, for its own messages only.
    let chat = Some(base.chat("9").await?.id);
    let in_chat = base.store.messages(&MessageFilter { chat, search_most: 3, ..search }).await?;
    assert_eq!((in_chat.items.len(), in_chat.next), (2, Some(ids[2])));
    Ok(())
}

/// Chats of the users 1 to n, whose last messages arrived in this order.
async fn chats(base: &Base, n: i64) -> Result<()> {
    for user in 1..=n {
        base.add(&base.connection, &user.to_string(), said("hello")).await?;
        base.adjust(&user.to_string(), |chat| chat.row.last_message_at = user * 10).await?;
    }
    Ok(())
}

fn of(base: &Base) -> ChatFilter {
    ChatFilter { connections: base.all(), limit: 50, ..ChatFilter::default() }
}

async fn users(base: &Base, filter: &ChatFilter) -> Result<Vec<String>> {
    Ok(base.store.chats(filter).await?.items.into_iter().map(|chat| chat.instagram_user_id).collect())
}

async fn chats_are_listed_by_their_last_message(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    chats(&base, 5).await?;
    // Two with the same time: the id decides, also at a page boundary between them.
    base.adjust("2", |chat| chat.row.last_message_at = 30).await?;
    let second = connect(&base.store, "acme", "2").await?;
    base.add(&second, "99", said("hello")).await?;
    let mut filter = ChatFilter { connections: vec![base.connection.id, second.id], limit: 2, ..of(&base) };
    let mut seen = Vec::new();
    for round in 0..3 {
        let page = base.store.chats(&filter).await?;
        assert_eq!((page.total, page.total_is_exact), (6, true));
        seen.extend(page.items.iter().map(|chat| chat.instagram_user_id.clone()));
        assert_eq!(page.next.is_some(), round < 2);
        filter.before = page.next;
        // A chat already seen moves to the top; it is not listed again.
        base.adjust("5", |chat| chat.row.last_message_at = 9_999 + round).await?;
    }
    assert_eq!(seen, ["99", "5", "4", "3", "2", "1"]);
    assert_eq!(users(&base, &ChatFilter { skip: 4, limit: 5, ..of(&base) }).await?, ["1"]);
    Ok(())
}

async fn chats_are_filtered(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    chats(&base, 4).await?;
    base.sql("UPDATE chats SET username = 'Ada_L', name = 'Ada' WHERE instagram_user_id = '1'").await?;
    base.sql("UPDATE chats SET username = 'adaxl', name = 'Grace' WHERE instagram_user_id = '2'").await?;
    base.adjust("3", |chat| chat.row.mode = ChatMode::Human.into()).await?;
    base.adjust("4", |chat| chat.row.flag = Some("runaway".into())).await?;
    let foreign = connect(&base.store, "other", "2").await?;
    base.add(&foreign, "1", said("theirs")).await?;
    let q = |q: &str| ChatFilter { q: Some(q.into()), ..of(&base) };
    let cases = [
        (q("ADA"), vec!["2", "1"]),
        (q("ada_"), vec!["1"]),
        (q("grace"), vec!["2"]),
        (q("3"), vec!["3"]),
        (q("nobody"), vec![]),
        (ChatFilter { user: Some("4".into()), ..of(&base) }, vec!["4"]),
        (ChatFilter { mode: Some("human".into()), ..of(&base) }, vec!["3"]),
        (ChatFilter { flag: Some("runaway".into()), ..of(&base) }, vec!["4"]),
        (ChatFilter { connections: Vec::new(), ..of(&base) }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(users(&base, &filter).await?, expected, "{filter:?}");
        assert_eq!(base.store.chats(&filter).await?.total, expected.len() as u64, "{filter:?}");
    }
    let id = base.chat("1").await?.id;
    assert_eq!(base.store.chat_of(&base.all(), id).await?.map(|chat| chat.id), Some(id));
    assert_eq!(base.store.chat_of(&[foreign.id], id).await?, None);
    assert_eq!(base.store.chat_of(&[], id).await?, None);
    Ok(())
}

async fn a_chat_is_counted_and_its_turns_are_found(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let asked = base.add(&base.connection, "7", NewMessage { needs_answer: true, ..said("1") }).await?;
    let failed = base.add(&base.connection, "7", queued("2")).await?;
    base.give_up(failed, MessageStatus::Failed).await?;
    let unknown = base.add(&base.connection, "7", queued("3")).await?;
    base.give_up(unknown, MessageStatus::Unknown).await?;
    base.add(&base.connection, "7", queued("4")).await?;
    base.add(&base.connection, "7", text(Author::Native, MessageStatus::Sent, "5")).await?;
    let chat = base.chat("7").await?.id;
    let row = base.chat("7").await?;
    let turn = seed::add_turn(&base.store, &row, &[asked], TurnState::Asking).await?;
    let counts = ChatCounts { received: 1, sent: 1, failed: 2, waiting: 1, turns: 1 };
    assert_eq!(base.store.chat_counts(chat).await?, counts);
    assert_eq!(base.store.chat_counts(ChatId::new()).await?, ChatCounts::default());
    let found = base.store.turns_of_messages(chat, &[turn, TurnId::new()]).await?;
    assert_eq!(found.iter().map(|turn| turn.id).collect::<Vec<_>>(), [turn]);
    assert!(base.store.turns_of_messages(ChatId::new(), &[turn]).await?.is_empty());
    assert!(base.store.turns_of_messages(chat, &[]).await?.is_empty());
    Ok(())
}

async fn write_down(base: &Base, activities: &[Activity], at: i64) -> Result<()> {
    let tx = base.store.begin().await?;
    for activity in activities {
        tx.record_at(activity, at).await?;
    }
    Ok(tx.commit().await?)
}

async fn the_log_is_filtered(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let foreign = connect(&base.store, "other", "2").await?;
    let of = |kind, actor: &str| Activity::of_connection(&base.connection, kind, actor);
    let key = Activity::of_subaccount(&base.connection.subaccount, ActivityKind::ApiKeyCreated, "ada");
    write_down(&base, &[of(ActivityKind::Connected, "ada").about(&"x")], HOUR).await?;
    write_down(&base, &[of(ActivityKind::BotPaused, "grace"), key], 2 * HOUR).await?;
    write_down(&base, &[Activity::of_connection(&foreign, ActivityKind::Connected, "ada")], HOUR).await?;
    let all = base.log();
    let (connected, paused, key) =
        (ActivityKind::Connected, ActivityKind::BotPaused, ActivityKind::ApiKeyCreated);
    let cases = [
        (all.clone(), vec![key, paused, connected]),
        (ActivityFilter { connections: Some(base.all()), ..all.clone() }, vec![paused, connected]),
        (ActivityFilter { connections: Some(vec![foreign.id]), ..all.clone() }, vec![]),
        (ActivityFilter { connections: Some(Vec::new()), ..all.clone() }, vec![]),
        (ActivityFilter { kinds: vec![connected, key], ..all.clone() }, vec![key, connected]),
        (ActivityFilter { actor: Some("ada".into()), ..all.clone() }, vec![key, connected]),
        (ActivityFilter { subject: Some("x".into()), ..all.clone() }, vec![connected]),
        (ActivityFilter { since: Some(2 * HOUR), ..all.clone() }, vec![key, paused]),
        (ActivityFilter { until: Some(2 * HOUR), ..all.clone() }, vec![connected]),
    ];
    for (filter, expected) in cases {
        let page = base.store.activities(&filter).await?;
        let kinds: Vec<_> = page.items.iter().filter_map(|row| row.kind.known()).collect();
        assert_eq!((kinds, page.total), (expected.clone(), expected.len() as u64), "{filter:?}");
    }
    let first = base.store.activities(&ActivityFilter { limit: 2, ..all.clone() }).await?;
    let rest = base.store.activities(&ActivityFilter { before: first.next, limit: 2, ..all }).await?;
    assert_eq!((first.items.len(), rest.items.len(), rest.total, rest.next), (2, 1, 3, None));
    assert_eq!(details(&rest.items[0])?, serde_json::json!({}));
    Ok(())
}

async fn the_log_can_be_followed(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let of = |n: i64| Activity::of_connection(&base.connection, ActivityKind::MessageSent, "agent").about(&n);
    write_down(&base, &[of(1)], 1_000).await?;
    write_down(&base, &[of(2), of(3), of(4)], 2_000).await?;
    write_down(&base, &[of(5)], 3_000).await?;
    let subaccount = &base.connection.subaccount;
    let from = async |from: i64,
                      after: Option<ActivityId>,
                      most: u64|
           -> Result<(Vec<String>, Option<ActivityId>)> {
        let rows = base.store.activities_from(subaccount, from, after, most).await?;
        let last = rows.last().map(|row| row.id);
        Ok((rows.into_iter().filter_map(|row| row.subject).collect(), last))
    };
    assert_eq!(from(0, None, 9).await?.0, ["1", "2", "3", "4", "5"]);
    let (begun, last) = from(2_000, None, 2).await?;
    assert_eq!(begun, ["2", "3"]);
    assert_eq!(from(2_000, last, 9).await?.0, ["4", "5"]);
    // An earlier entry with the same name does not extend the time range.
    assert_eq!(from(2_001, last, 9).await?.0, ["5"]);
    assert!(base.store.activities_from(&SubaccountId::parse("other")?, 0, None, 9).await?.is_empty());
    // Ids follow the database's clock.
    let now = base.store.now().await?;
    let tx = base.store.begin().await?;
    tx.record(&of(6)).await?;
    tx.commit().await?;
    assert_eq!(from(now, None, 9).await?.0, ["6"]);
    Ok(())
}
