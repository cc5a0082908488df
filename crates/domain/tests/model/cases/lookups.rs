//! Reconciliation: what counts as evidence, and what does not.

use super::*;

#[test]
fn an_empty_or_short_list_is_inconclusive() {
    let known = seen("in-1", NOW, true, "hi");
    let odd = seen("other", NOW + 1_000, false, "something else");
    let cases = [
        ("an empty list", vec![], MessageStatus::Unknown, 0),
        (
            "a list with something of ours that is not attributed",
            vec![odd, known.clone()],
            MessageStatus::Unknown,
            0,
        ),
        ("a list that shows what is known, and nothing else", vec![known], MessageStatus::Sending, 1),
    ];
    for (name, messages, status, sends) in cases {
        let mut case = Case::new();
        let message = case.answered("hi", &["answer"]);
        case.lost(message);
        case.now += 60_000;
        let applied = case.looks_up(message, Thread { messages, complete: true });
        assert_eq!(case.message(message).status, status, "{name}");
        assert_eq!(sending(&applied).iter().count(), sends, "{name}");
    }
}

#[test]
fn typographic_quotes_from_meta_still_match() {
    let mut case = Case::new();
    let message = case.answered("hi", &["It's \"fine\""]);
    case.lost(message);
    let theirs = seen("out", NOW, false, "It\u{2019}s \u{201c}fine\u{201d}");
    case.looks_up(message, Thread { messages: vec![theirs], complete: true });
    assert_eq!(
        (case.message(message).status, case.message(message).mid.as_deref()),
        (MessageStatus::Sent, Some("out"))
    );
}

#[test]
fn replaying_an_unknown_send_reconciles_first() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.lost(message);
    for _ in 0..20 {
        case.now += 60_000;
        case.looks_up(message, Thread::default());
    }
    let letter = case.db.letters[0].0.id;
    let replayed = case.apply(Command::Replay(CloseLetter { letter, actor: "ada".into() }));
    assert_eq!(replayed.reply, Reply::Done);
    let claim = case.claim();
    let claimed = case.apply(Command::ClaimSend(claim));
    let [Effect::LookUpSend(SendLookup { message: looked_up, .. })] = &claimed.effects[..] else {
        panic!("not looked up: {:?}", claimed.effects);
    };
    assert_eq!(*looked_up, message);
    let thread = Thread { messages: vec![seen("out", NOW, false, "answer")], complete: true };
    let found = case.looks_up(message, thread);
    assert_eq!((case.message(message).status, sending(&found)), (MessageStatus::Sent, None));
}

#[test]
fn a_read_before_the_deadline_is_no_evidence_of_absence() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.lost(message);
    let thread = || Thread { messages: vec![seen("in-1", NOW, true, "hi")], complete: true };
    case.now += 600_000;
    case.looked_up(message, thread(), false);
    assert_eq!(
        case.message(message).status,
        MessageStatus::Unknown,
        "it may have been sent since it was read"
    );
    let sent_again = case.looks_up(message, thread());
    assert_eq!(sending(&sent_again), Some(message));
}

#[test]
fn a_growing_record_is_not_final_and_a_complete_answer_adds_the_rest() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let (turn, attempt) = (ask.turn, ask.attempt);
    case.ask_fails(&ask, false);
    let entry =
        |role, text: &str, id: &str| RecordEntry { role, text: text.to_owned(), id: Some(id.to_owned()) };
    let question = entry(Role::User, &ask.text, "1");
    let (first, second) = (entry(Role::Agent, "one moment", "2"), entry(Role::Agent, "done", "3"));
    let resolve = |case: &mut Case, entries: &[&RecordEntry]| {
        let record = Ok(Record { entries: Some(entries.iter().map(|entry| (*entry).clone()).collect()) });
        let claim = case.claim();
        case.apply(Command::ResolveTurn(ResolveTurn { turn, attempt, settled: false, record, claim }));
        case.by(Author::Agent).len()
    };
    assert_eq!(resolve(&mut case, &[&question, &first]), 0, "it may not be all");
    assert_eq!(resolve(&mut case, &[&question, &first, &second]), 0, "it has grown");
    assert_eq!(resolve(&mut case, &[&question, &first, &second]), 2);
    let claim = case.claim();
    let replies = ["one moment", "done", "bye"].map(str::to_owned).to_vec();
    case.apply(Command::RecordAnswer(RecordAnswer { turn, attempt, replies, watermark: None, claim }));
    assert_eq!(case.by(Author::Agent), ["one moment", "done", "bye"]);
}

#[test]
fn work_of_a_dead_worker_is_reconciled_for_its_attempt() {
    let mut case = Case::new();
    case.writes("hi");
    let turn = case.db.turns[0].id;
    let late = case.apply(Command::Orphan(Orphan::Turn(turn, 0)));
    assert_eq!((late.reply, case.db.turns[0].state), (Reply::Idle, TurnState::Asking));
    let orphan = case.apply(Command::Orphan(Orphan::Turn(turn, 1)));
    assert_eq!((orphan.reply, case.db.turns[0].state), (Reply::Done, TurnState::Reconciling));
}

#[test]
fn nothing_is_reconciled_with_a_rejected_token() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.lost(message);
    case.now += 60_000;
    case.db.connection.status = Some(ConnectionStatus::ReauthRequired);
    let claim = case.claim();
    let claimed = case.apply(Command::ClaimSend(claim));
    assert_eq!((claimed.reply, claimed.effects.len()), (Reply::Idle, 0));
    case.db.connection.status = Some(ConnectionStatus::Connected);
    let claimed = case.apply(Command::ClaimSend(claim));
    assert!(matches!(claimed.effects[..], [Effect::LookUpSend(_)]), "{:?}", claimed.effects);
}

#[test]
fn a_record_read_before_the_deadline_does_not_show_that_nothing_was_asked() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let (turn, attempt) = (ask.turn, ask.attempt);
    case.ask_fails(&ask, false);
    case.now += 600_000;
    let claim = case.claim();
    let empty = |settled| {
        let record = Ok(Record { entries: Some(Vec::new()) });
        Command::ResolveTurn(ResolveTurn { turn, attempt, settled, record, claim })
    };
    case.apply(empty(false));
    assert_eq!(case.db.turns[0].state, TurnState::Reconciling, "it may have been asked since it was read");
    case.apply(empty(true));
    assert_eq!(case.db.turns[0].state, TurnState::Waiting, "it is asked again");
}

#[test]
fn a_call_answered_with_an_error_is_reconciled_soon() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    case.ask_fails(&ask, true);
    let soon = case.now + case.db.policy.reconcile_settle;
    assert_eq!((case.db.chat.turn.due_at, case.db.turns[0].deadline), (Some(soon), soon));
    case.now = soon;
    let start = StartTurn { worker: case.worker, turn: TurnId::new(), agent_chat: None, not_before: None };
    let looked_up = case.apply(Command::StartTurn(start));
    let [Effect::LookUpTurn(lookup)] = &looked_up.effects[..] else { panic!("{:?}", looked_up.effects) };
    assert!(lookup.settled, "its absence counts already");
}
