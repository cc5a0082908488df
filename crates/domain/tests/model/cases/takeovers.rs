//! Echoes and human agents: who wrote a message.

use super::*;
use dmrelay_domain::conversation::{Pause, TakeOver};

#[test]
fn a_message_of_unknown_outcome_does_not_match_a_humans_message_weeks_later() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning"]);
    case.lost(message);
    for _ in 0..20 {
        case.now += 60_000;
        case.looks_up(message, Thread::default());
    }
    assert_eq!(case.message(message).status, MessageStatus::Unknown);
    assert_eq!(case.db.letters.len(), 1);
    case.now += 3 * WEEK;
    case.echo("native", "Good morning");
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    assert_eq!(case.by(Author::Native), ["Good morning"]);
    assert_eq!(case.message(message).status, MessageStatus::Unknown);
}

#[test]
fn a_human_who_writes_the_words_in_flight_takes_over_when_the_send_names_another_mid() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning", "How can I help?"]);
    case.echo("native", "Good morning");
    assert_eq!(case.db.chat.mode, ChatMode::Bot, "it may be ours");
    let applied = case.sent(message, "ours");
    assert_eq!((case.db.chat.mode, sending(&applied)), (ChatMode::Human, None));
    assert_eq!(case.by(Author::Native), ["Good morning"]);
    assert_eq!(case.message(message).mid.as_deref(), Some("ours"));
}

#[test]
fn a_takeover_by_an_echo_of_ours_is_undone_and_what_came_meanwhile_is_asked() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning", "How can I help?"]);
    // Meta changed the text, so the echo is attributed to a human until the send's own response names its
    // mid.
    case.echo("ours", "Good morning!!");
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    assert!(case.writes("my parcel?").effects.is_empty());
    let applied = case.sent(message, "ours");
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
    assert_eq!(case.by(Author::Native), Vec::<&str>::new());
    assert!(sending(&applied).is_some(), "the second reply goes out: {:?}", applied.effects);
    assert!(case.db.chat.turn.due_at.is_some(), "the customer's question is due");
}

#[test]
fn a_takeover_by_two_echoes_of_which_one_was_ours_stays() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning"]);
    case.echo("ours", "Good morning!!");
    case.echo("theirs", "Ada here");
    case.sent(message, "ours");
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    assert_eq!(case.by(Author::Native), ["Ada here"]);
    case.apply(Command::Release(Release::By("ada".into())));
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
}

#[test]
fn a_message_whose_sender_is_the_account_is_its_own_whatever_flags_it_has() {
    let mut case = Case::new();
    case.writes("hi");
    let raw = json!({
        "sender": { "id": "17" }, "recipient": { "id": "200" }, "timestamp": NOW,
        "message": { "mid": "native", "text": "Ada here" },
    });
    case.raw(&raw);
    assert_eq!((case.db.chat.mode, case.by(Author::Native)), (ChatMode::Human, vec!["Ada here"]));
}

#[test]
fn an_echo_that_was_not_ours_after_all_sets_aside_what_came_meanwhile() {
    let mut case = Case::new();
    let message = case.answered("one", &["answer"]);
    case.echo("human", "answer");
    case.writes("two");
    case.writes("three");
    case.sent(message, "own");
    assert_eq!((case.db.chat.mode, case.by(Author::Native)), (ChatMode::Human, vec!["answer"]));
    let unanswered = case.db.messages.iter().filter(|message| message.is_unanswered());
    assert_eq!(unanswered.count(), 0, "the agent would be asked about it once the chat is its again");
}

#[test]
fn an_echo_of_ours_that_was_taken_for_a_humans_becomes_ours_when_the_send_names_it() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.echo("human", "answer");
    case.echo("own", "answer");
    case.sent(message, "own");
    let natives: Vec<_> = case.db.messages.iter().filter(|row| row.author == Author::Native).collect();
    assert_eq!(natives.iter().map(|row| row.mid.as_deref()).collect::<Vec<_>>(), [Some("human")]);
    assert_eq!((case.message(message).mid.as_deref(), case.db.chat.mode), (Some("own"), ChatMode::Human));
}

#[test]
fn a_takeover_until_it_is_released_has_no_end_whoever_writes() {
    let mut case = Case::new();
    case.answered("hi", &["Good morning"]);
    case.apply(Command::TakeOver(TakeOver { actor: "ada".into(), pause: Pause::UntilReleased }));
    case.echo("native", "Ada here");
    assert_eq!((case.db.chat.mode, case.db.chat.resume_at), (ChatMode::Human, None));
    case.now += 4 * WEEK;
    assert_eq!(case.apply(Command::Release(Release::Expired)).reply, Reply::Idle);
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    // Somebody may give it an end after all.
    case.apply(Command::TakeOver(TakeOver { actor: "ada".into(), pause: Pause::For(3_600_000) }));
    assert_eq!(case.db.chat.resume_at, Some(case.now + 3_600_000));
    case.apply(Command::TakeOver(TakeOver { actor: "ada".into(), pause: Pause::UntilReleased }));
    case.apply(Command::Release(Release::By("ada".into())));
    assert_eq!((case.db.chat.mode, case.db.chat.resume_at), (ChatMode::Bot, None));
}
