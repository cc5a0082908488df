//! Turns and answers: what is asked, when, and how the answer is handled.

use super::*;
use dmrelay_domain::conversation::AgentChat;

#[test]
fn edits_count_by_their_number_and_not_by_their_arrival() {
    let mut case = Case::new();
    let edit = |mid: &str, text: &str, number: i64| {
        json!({
            "sender": { "id": "200" }, "recipient": { "id": "17" }, "timestamp": NOW,
            "message_edit": { "mid": mid, "text": text, "num_edit": number },
        })
    };
    case.writes("one");
    case.raw(&edit("in-1", "three", 2));
    case.raw(&edit("in-1", "two", 1));
    assert_eq!(case.by(Author::User), ["three"]);
}

#[test]
fn an_answer_has_a_maximum_number_of_messages_and_the_last_records_the_cut() {
    let mut case = Case::new();
    let long = "word ".repeat(20_000);
    case.answered("hi", &[&long]);
    let replies: Vec<_> = case.db.messages.iter().filter(|message| message.author == Author::Agent).collect();
    assert_eq!(replies.len(), case.db.policy.reply_parts_max);
    let cut = replies.last().and_then(|reply| reply.body.metadata.as_deref()).unwrap_or_default();
    assert!(cut.contains("\"truncated\":true"), "{cut}");
    assert!(replies[..replies.len() - 1].iter().all(|reply| reply.body.metadata.is_none()));
}

#[test]
fn an_outcome_counts_only_for_its_attempt() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let answer = |attempt| RecordAnswer {
        turn: ask.turn,
        attempt,
        replies: vec!["answer".to_owned()],
        watermark: None,
        claim: case.claim(),
    };
    let (early, late) = (answer(ask.attempt), answer(ask.attempt + 1));
    case.db.turns[0].attempt += 1;
    let ignored = case.apply(Command::RecordAnswer(early));
    assert_eq!((ignored.reply, case.by(Author::Agent)), (Reply::Idle, vec![]));
    let sent = case.apply(Command::RecordAnswer(late));
    let message = sending(&sent).expect("nothing is sent");
    case.db.messages.iter_mut().find(|row| row.id == message).unwrap().attempt += 1;
    let ignored = case.sent(message, "mid of the first attempt");
    assert_eq!((ignored.reply, case.message(message).status), (Reply::Idle, MessageStatus::Sending));
}

#[test]
fn no_turn_begins_while_another_is_being_asked() {
    let mut case = Case::new();
    case.writes("one");
    case.writes("two");
    case.db.chat.turn.due_at = Some(case.now);
    let start = StartTurn {
        worker: case.worker,
        turn: TurnId::new(),
        agent_chat: Some(AgentChat { id: "agent".to_owned(), key: None, agent: None }),
        not_before: None,
    };
    let started = case.apply(Command::StartTurn(start));
    assert_eq!((started.reply, case.db.turns.len()), (Reply::Idle, 1));
}

#[test]
fn one_agent_chat_is_opened_at_a_time() {
    let opens = |applied: &Applied| matches!(applied.effects[..], [Effect::OpenAgentChat]);
    let mut case = Case::new();
    case.agent_chat = None;
    assert!(opens(&case.writes("one")));
    let second = case.writes("two");
    assert!(!opens(&second), "{:?}", second.effects);
    let opened = case.apply(Command::StartTurn(case.start(Some("first"))));
    let [Effect::Ask(ask)] = &opened.effects[..] else { panic!("not asked: {:?}", opened.effects) };
    assert_eq!((ask.agent_chat.as_str(), ask.text.as_str()), ("first", "one\ntwo"));
    // One that was opened for nothing does not replace the one in use.
    case.apply(Command::StartTurn(case.start(Some("second"))));
    assert_eq!(case.db.chat.agent_chat_id.as_deref(), Some("first"));
}

#[test]
fn a_runaway_chat_goes_on_once_it_is_released() {
    let mut case = Case::new();
    case.db.policy.turns_per_hour_max = 1;
    let message = case.answered("one", &["answer"]);
    case.sent(message, "out-1");
    case.writes("two");
    assert_eq!((case.db.chat.mode, case.db.chat.flag.as_deref()), (ChatMode::Paused, Some("runaway")));
    case.apply(Command::Release(Release::By("ada".into())));
    assert_eq!((case.db.chat.mode, case.db.chat.flag.as_deref()), (ChatMode::Bot, None));
    let started = case.apply(Command::StartTurn(case.start(Some("agent"))));
    assert!(matches!(started.effects[..], [Effect::Ask(_)]), "{:?}", started.effects);
}

#[test]
fn a_flag_goes_when_its_reason_does() {
    let mut case = Case::new();
    case.db.chat.flag = Some("window_closed".to_owned());
    case.writes("I am back");
    assert_eq!(case.db.chat.flag, None);
    case.db.chat.flag = Some("of a later version".to_owned());
    case.writes("again");
    assert!(case.db.chat.flag.is_some());
}

/// After a restore a question may have been asked before, but not in a chat that was opened since.
#[test]
fn a_new_agent_chat_is_not_verified() {
    let mut case = Case::new();
    (case.agent_chat, case.db.chat.verify) = (None, true);
    case.writes("one");
    let opened = case.apply(Command::StartTurn(case.start(Some("new"))));
    assert!(matches!(opened.effects[..], [Effect::Ask(_)]), "{:?}", opened.effects);
}

/// However often it is put together, and whatever came since.
#[test]
fn a_question_tells_nothing_that_came_after_it() {
    let mut case = Case::new();
    let message = case.answered("Do you ship?", &["Yes."]);
    case.sent(message, "out-1");
    (case.db.chat.agent_chat_id, case.db.chat.recall, case.agent_chat) = (None, true, None);
    case.writes("To Norway?");
    let start = case.start(Some("new"));
    let asked = |applied: &Applied| match &applied.effects[..] {
        [Effect::Ask(ask)] => ask.text.clone(),
        other => panic!("not asked: {other:?}"),
    };
    let text = asked(&case.apply(Command::StartTurn(start.clone())));
    assert_eq!(text, "[Earlier in this conversation:\ncustomer: Do you ship?\nyou: Yes.]\nTo Norway?");
    case.writes("Or Sweden?");
    // Its confirmation was lost: the same command once more.
    assert_eq!(asked(&case.apply(Command::StartTurn(start))), text);
}

/// The answer waits, for a new token, say: it goes out before the next one.
#[test]
fn a_question_tells_what_is_about_to_be_said() {
    let mut case = Case::new();
    case.answered("Do you ship?", &["Yes."]);
    (case.db.chat.agent_chat_id, case.db.chat.recall, case.agent_chat) = (None, true, None);
    case.writes("To Norway?");
    let applied = case.apply(Command::StartTurn(case.start(Some("new"))));
    let asked = applied.effects.iter().find_map(|effect| match effect {
        Effect::Ask(ask) => Some(ask.text.as_str()),
        _ => None,
    });
    assert_eq!(asked, Some("[Earlier in this conversation:\ncustomer: Do you ship?\nyou: Yes.]\nTo Norway?"));
}

#[test]
fn an_agent_chat_is_opened_again_when_the_worker_that_did_is_gone_or_was_refused() {
    let opens = |applied: &Applied| matches!(applied.effects[..], [Effect::OpenAgentChat]);
    let mut case = Case::new();
    case.agent_chat = None;
    assert!(opens(&case.writes("one")));
    case.now += case.db.policy.reservation;
    assert!(opens(&case.apply(Command::StartTurn(case.start(None)))));
    let class = FailureClass::Transient;
    let failure = AgentFailure { class, answered: true, retry_after: None, error: String::new() };
    case.apply(Command::RecordNoAgentChat(failure));
    case.now = case.db.chat.turn.due_at.expect("the turn is due again");
    assert!(opens(&case.apply(Command::StartTurn(case.start(None)))));
}

#[test]
fn a_turn_in_its_backoff_stays_with_the_poller_whatever_arrives() {
    let mut case = Case::new();
    case.timer = true;
    let message = case.answered("hi", &["Hello"]);
    case.sent(message, "out-1");
    let ask = case.asked("and now?");
    let (turn, attempt) = (ask.turn, ask.attempt);
    let class = FailureClass::AgentRefused;
    let failure = AgentFailure { class, answered: true, retry_after: None, error: String::new() };
    case.apply(Command::RecordAgentFailure(RecordAgentFailure { turn, attempt, failure, retry: None }));
    let due = case.db.chat.turn.due_at.expect("asked again later");
    assert!(due > case.now);
    assert!(case.echo("out-1", "Hello").effects.is_empty());
    assert!(case.writes("still there?").effects.is_empty());
    assert_eq!((case.db.chat.turn.due_at, case.db.chat.turn.reserved_until), (Some(due), 0));
}

#[test]
fn the_answer_to_an_unsent_question_is_not_sent() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let answer = RecordAnswer {
        turn: ask.turn,
        attempt: ask.attempt,
        replies: vec!["answer".to_owned()],
        watermark: None,
        claim: case.claim(),
    };
    case.event(true, &json!({ "mid": "in-1", "is_deleted": true }));
    let answered = case.apply(Command::RecordAnswer(answer));
    assert_eq!((sending(&answered), case.db.chat.mode), (None, ChatMode::Bot));
    let reply = case.db.messages.iter().find(|message| message.author == Author::Agent).unwrap();
    assert_eq!((reply.status, reply.body.text.as_deref()), (MessageStatus::Suppressed, None));
}

#[test]
fn an_answer_that_waits_is_erased_with_the_question_that_it_may_quote() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let answer = RecordAnswer {
        turn: ask.turn,
        attempt: ask.attempt,
        replies: vec!["You said hi".to_owned()],
        watermark: None,
        claim: Claim::NotBefore(None),
    };
    case.apply(Command::RecordAnswer(answer.clone()));
    case.event(true, &json!({ "mid": "in-1", "is_deleted": true }));
    // The whole answer becomes known later: it is not said, either.
    let whole = RecordAnswer { replies: vec!["You said hi".to_owned(), "Well".to_owned()], ..answer };
    case.apply(Command::RecordAnswer(whole));
    let replies = case.db.messages.iter().filter(|message| message.author == Author::Agent);
    let replies: Vec<_> = replies.map(|reply| (reply.status, reply.body.text.as_deref())).collect();
    assert_eq!(replies, [(MessageStatus::Suppressed, None)]);
}

#[test]
fn a_question_asked_late_has_its_full_timeout() {
    let mut case = Case::new();
    case.db.policy.agent_timeout = 10_000;
    let ask = case.asked("hi");
    let start = StartTurn {
        worker: case.worker,
        turn: ask.turn,
        agent_chat: Some(AgentChat { id: "agent".to_owned(), key: None, agent: None }),
        not_before: None,
    };
    let before = case.db.turns[0].deadline;
    case.now += 4_000;
    let again = case.apply(Command::StartTurn(start));
    assert!(matches!(again.effects[..], [Effect::Ask(_)]), "{:?}", again.effects);
    assert_eq!(case.db.turns[0].deadline, before + 4_000);
}
