//! Replies that wait as if somebody were writing them.

use super::*;
use dmrelay_domain::conversation::{Body, SendByHuman};
use std::time::Duration;

impl Case {
    fn writing(ms_per_character: u32) -> Self {
        let mut case = Self::new();
        case.db.connection.settings.writing_ms_per_character = Some(ms_per_character);
        case
    }

    fn claims(&mut self) -> Applied {
        let claim = self.claim();
        self.apply(Command::ClaimSend(claim))
    }
}

fn waits(applied: &Applied) -> Option<Duration> {
    applied.effects.iter().find_map(|effect| match effect {
        Effect::WriteFor(after) => Some(*after),
        _ => None,
    })
}

#[test]
fn a_reply_is_sent_once_it_could_have_been_written() {
    let mut case = Case::writing(100);
    let ask = case.asked("hi");
    let answered = case.answers(&ask, &["0123456789", "01234"]);
    assert_eq!((sending(&answered), waits(&answered)), (None, Some(Duration::from_secs(1))));
    case.now += 999;
    assert_eq!(waits(&case.claims()), Some(Duration::from_millis(1)));
    case.now += 1;
    let first = sending(&case.claims()).expect("the first is written");
    // The next is being written from then on.
    let sent = case.sent(first, "mid-1");
    assert_eq!((sending(&sent), waits(&sent)), (None, Some(Duration::from_millis(500))));
    // Whatever the customer writes meanwhile does not hurry it.
    let written = case.writes("and?");
    assert_eq!(sending(&written), None);
    case.now += 500;
    assert!(sending(&case.claims()).is_some());
}

#[test]
fn nobody_writes_for_ever_or_past_the_window() {
    let mut case = Case::writing(200);
    let ask = case.asked("hi");
    let answered = case.answers(&ask, &[&"x".repeat(900)]);
    assert_eq!(waits(&answered), Some(Duration::from_secs(10)));
    let mut case = Case::writing(200);
    let ask = case.asked("hi");
    case.now = case.db.chat.window_expires_at.unwrap() - case.db.policy.graph_timeout - 5_000;
    let answered = case.answers(&ask, &[&"x".repeat(900)]);
    assert!(sending(&answered).is_some());
}

#[test]
fn a_colleague_does_not_wait_for_what_the_agent_writes() {
    let mut case = Case::writing(100);
    let ask = case.asked("hi");
    assert_eq!(waits(&case.answers(&ask, &["0123456789"])), Some(Duration::from_secs(1)));
    let id = MessageId::new();
    let body = Body { kind: "text".to_owned(), text: Some("Ada here".to_owned()), ..Body::default() };
    let (idempotency_key, sent_by, trace) = (None, None, None);
    let send = SendByHuman { message: id, body, idempotency_key, actor: "ada".into(), sent_by, trace };
    case.apply(Command::SendByHuman(send));
    let claimed = case.claims();
    assert_eq!(sending(&claimed), Some(id));
    let held = case.db.messages.iter().find(|one| one.status == MessageStatus::Suppressed);
    assert_eq!(held.and_then(|one| one.body.text.as_deref()), Some("0123456789"));
}
