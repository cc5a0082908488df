//! Saving and loading a conversation loses nothing, whatever it contains.

use super::{Backend, Base};
use anyhow::{Context, Result, ensure};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::conversation::{Body, Conversation, Message, MessageError, Policy, Tracked, Turn};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{MessageId, TurnId, WorkerId};
use dmrelay_domain::states::{AgentChatStatus, Author, ChatMode, Direction, MessageStatus, TurnState};
use dmrelay_domain::trace::TraceId;
use dmrelay_tests::seed;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

on_both_backends!(a_conversation_is_saved_and_loaded_without_loss);

/// Texts that a careless statement would change.
const TEXTS: [&str; 10] = [
    "",
    "NULL",
    "null",
    "a\"b\\c",
    "{1,2}",
    "it's; DROP TABLE chats",
    "\n\t\r",
    "ü 👋🏽 \u{301}",
    "\u{feff}x",
    " , ",
];

fn text(rng: &mut StdRng) -> String {
    let parts = rng.random_range(0..4);
    (0..parts).map(|_| TEXTS[rng.random_range(0..TEXTS.len())]).collect()
}

fn maybe<T>(rng: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    rng.random_bool(0.6).then(|| make(rng))
}

fn number(rng: &mut StdRng) -> i64 {
    rng.random_range(-5..2_000_000_000_000)
}

fn any<T: Copy>(rng: &mut StdRng, all: &[T]) -> T {
    all[rng.random_range(0..all.len())]
}

fn message(rng: &mut StdRng, seq: i64, turns: &[TurnId]) -> Message {
    let mut new = Message::new(any(rng, Direction::ALL), any(rng, Author::ALL), any(rng, MessageStatus::ALL));
    // At most one message of a chat is being sent.
    if new.status == MessageStatus::Sending {
        new.status = MessageStatus::Sent;
    }
    new.id = MessageId::new();
    new.seq = seq;
    let id = new.id;
    new.mid = maybe(rng, |rng| format!("{id}{}", text(rng)));
    new.body = Tracked::loaded(Body {
        kind: text(rng),
        text: maybe(rng, text),
        attachments: maybe(rng, text),
        reply_to: maybe(rng, text),
        payload: maybe(rng, text),
        metadata: maybe(rng, text),
    });
    new.needs_answer = rng.random();
    new.turn_id = maybe(rng, |rng| any(rng, turns));
    new.part = new.turn_id.and_then(|_| maybe(rng, |_| i32::try_from(seq).unwrap_or_default()));
    new.error = MessageError {
        class: maybe(rng, |rng| any(rng, FailureClass::ALL)),
        code: maybe(rng, text),
        message: maybe(rng, text),
    };
    new.attempt = rng.random_range(0..9);
    new.worker = maybe(rng, |_| WorkerId::new());
    new.deadline = maybe(rng, number);
    new.lookups = rng.random_range(0..9);
    (new.at, new.received_at, new.created_at) = (number(rng), number(rng), number(rng));
    new.started_at = maybe(rng, number);
    new.sent_at = maybe(rng, number);
    new.confirmed_at = maybe(rng, number);
    new.idempotency_key = maybe(rng, |rng| format!("{id}{}", text(rng)));
    new.actor = maybe(rng, |rng| Actor { name: text(rng), id: maybe(rng, text) });
    new.sent_by = maybe(rng, text);
    new.trace = maybe(rng, |_| TraceId::random());
    new
}

fn turn(rng: &mut StdRng, state: TurnState) -> Turn {
    Turn {
        id: TurnId::new(),
        message_ids: (0..rng.random_range(0..3)).map(|_| MessageId::new()).collect(),
        asked_seq: number(rng),
        asked_hash: (0..rng.random_range(0..40)).map(|_| rng.random()).collect(),
        watermark: maybe(rng, text),
        agent_chat_id: maybe(rng, text),
        rollovers: rng.random_range(0..3),
        state,
        attempt: rng.random_range(1..9),
        worker: maybe(rng, |_| WorkerId::new()),
        deadline: number(rng),
        lookups: rng.random_range(0..9),
        seen: maybe(rng, text),
        withdrawn: maybe(rng, text),
        written_at: number(rng),
        received_at: number(rng),
        started_at: number(rng),
        finished_at: maybe(rng, number),
        latency_ms: maybe(rng, number),
        error_class: maybe(rng, |rng| any(rng, FailureClass::ALL)),
        error: maybe(rng, text),
        trace: maybe(rng, |_| TraceId::random()),
    }
}

fn change_chat(rng: &mut StdRng, one: &mut Conversation) {
    let chat = &mut one.chat;
    chat.mode = any(rng, ChatMode::ALL);
    chat.mode_reason = maybe(rng, text);
    chat.resume_at = maybe(rng, number);
    chat.flag = maybe(rng, text);
    chat.window_expires_at = maybe(rng, number);
    chat.agent_chat_id = maybe(rng, text);
    chat.agent_watermark = maybe(rng, text);
    chat.opening_until = number(rng);
    chat.note_seq = number(rng);
    chat.notice_at = number(rng);
    (chat.agent_chat_status, chat.recall) = (any(rng, AgentChatStatus::ALL), rng.random());
    (chat.agent_seq, chat.human_seq) = (number(rng), number(rng));
    chat.verify = rng.random();
    chat.renew = rng.random();
    chat.first_unanswered_at = maybe(rng, number);
    for work in [0, 1] {
        let (due, attempts, reserved) = (maybe(rng, number), rng.random_range(0..9), number(rng));
        let work = if work == 0 { &mut chat.turn } else { &mut chat.outbox };
        (work.due_at, work.attempts, work.reserved_until) = (due, attempts, reserved);
    }
    (chat.hour_started_at, chat.hour_turns) = (number(rng), rng.random_range(0..99));
    (chat.last_seq, chat.last_message_at) = (number(rng), number(rng));
    chat.trace = maybe(rng, |_| TraceId::random());
}

async fn a_conversation_is_saved_and_loaded_without_loss(backend: Backend) -> Result<()> {
    let base = Base::start(backend).await?;
    let states = [TurnState::Answered, TurnState::Failed, TurnState::Unknown, TurnState::Suppressed];
    for seed in 0..60 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let row = seed::chat(&base.store, base.connection.id, &format!("{}", 500 + seed)).await?;
        let empty = dmrelay_store::round_trip(&base.store, conversation(&base, &row)).await?;
        let mut one = empty.context("the chat")?;
        change_chat(rng, &mut one);
        one.turns.push(Tracked::inserted(turn(rng, TurnState::Asking)));
        for _ in 0..rng.random_range(0..3) {
            let state = any(rng, &states);
            one.turns.push(Tracked::inserted(turn(rng, state)));
        }
        let turns: Vec<TurnId> = one.turns.iter().map(|turn| turn.id).collect();
        for seq in 1..rng.random_range(2..8) {
            one.messages.push(Tracked::inserted(message(rng, seq, &turns)));
        }
        // Once inserted, once updated: both write the same columns.
        for round in ["inserted", "updated"] {
            let loaded = dmrelay_store::round_trip(&base.store, one.clone()).await?.context("the chat")?;
            ensure!(*loaded.chat == *one.chat, "{round} with seed {seed}: {:?} {:?}", loaded.chat, one.chat);
            for turn in &one.turns {
                let found = loaded.turns.iter().find(|found| found.id == turn.id).context("a turn")?;
                ensure!(found == turn, "{round} with seed {seed}: {found:?} {turn:?}");
            }
            for message in &one.messages {
                let found =
                    loaded.messages.iter().find(|found| found.id == message.id).context("a message")?;
                ensure!(found == message, "{round} with seed {seed}: {found:?} {message:?}");
            }
            one = loaded;
            change_chat(rng, &mut one);
            for message in &mut one.messages {
                message.attempt += 1;
                message.error.message = maybe(rng, text);
                message.body.text = maybe(rng, text);
            }
            for turn in &mut one.turns {
                turn.error = maybe(rng, text);
                turn.lookups += 1;
            }
        }
    }
    Ok(())
}

fn conversation(base: &super::Base, row: &dmrelay_store::entity::chat::Model) -> Conversation {
    let connection = &base.connection;
    let facts = dmrelay_domain::conversation::ConnectionFacts {
        id: connection.id,
        subaccount: connection.subaccount.clone(),
        has_own_key: false,
        agent: connection.agent.clone(),
        account: connection.account.clone(),
        login: connection.login,
        status: Some(connection.status),
        bot_paused: false,
        settings: connection.settings.clone(),
    };
    let user = dmrelay_domain::ids::InstagramUserId::parse(&row.instagram_user_id);
    let chat = dmrelay_domain::conversation::Chat::new(row.id, user.unwrap_or_else(|err| panic!("{err}")));
    Conversation::new(0, Policy::default(), facts, Tracked::loaded(chat))
}
