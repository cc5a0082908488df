//! Broadcasts: once, and never over a conversation.

use super::*;
use dmrelay_domain::conversation::{Broadcast, BroadcastContent, Pause, TakeOver};
use dmrelay_domain::ids::BroadcastId;
use dmrelay_domain::outgoing::Template;
use dmrelay_domain::states::Skipped;
use std::sync::Arc;

impl Case {
    /// A conversation in which a question was answered.
    fn known() -> Self {
        let mut case = Self::new();
        let answer = case.answered("hi", &["Good morning"]);
        case.sent(answer, "m1");
        case
    }

    fn broadcasts(&mut self, message: MessageId, text: &str) -> Reply {
        let content = BroadcastContent {
            message: Template::parse(&json!(text)).unwrap(),
            variables: std::collections::BTreeMap::new(),
            template: None,
        };
        let broadcast = Broadcast { id: BroadcastId::new(), message, content: Arc::new(content) };
        self.apply(Command::Broadcast(broadcast)).reply
    }
}

#[test]
fn a_broadcast_is_queued_once_and_told_to_the_agent() {
    let mut case = Case::known();
    let message = MessageId::new();
    for _ in 0..2 {
        assert_eq!(case.broadcasts(message, "Sale"), Reply::Done);
    }
    assert_eq!(case.by(Author::Broadcast), ["Sale"]);
    let claimed = case.apply(Command::ClaimSend(case.claim()));
    assert_eq!(sending(&claimed), Some(message));
    // Its echo is ours, whenever it comes.
    case.echo("b1", "Sale");
    case.sent(message, "b1");
    assert_eq!((case.message(message).status, case.db.chat.mode), (MessageStatus::Sent, ChatMode::Bot));
    assert!(case.asked("what sale?").text.contains("automatic reply: Sale"));
}

#[test]
fn a_conversation_that_is_under_way_is_spared() {
    let mut waiting = Case::known();
    waiting.asked("and now?");
    let mut with_human = Case::known();
    with_human.apply(Command::TakeOver(TakeOver { actor: "ada".into(), pause: Pause::Usual }));
    let mut closed = Case::known();
    closed.now += 24 * 3_600_000;
    let mut unwilling = Case::known();
    unwilling.writes("STOP");
    let mut unfilled = Case::known();
    for (case, text, why) in [
        (&mut waiting, "Sale", Skipped::AgentAnswers),
        (&mut with_human, "Sale", Skipped::HumanAnswers),
        (&mut closed, "Sale", Skipped::WindowClosed),
        (&mut unwilling, "Sale", Skipped::OptedOut),
        (&mut unfilled, "Sale, {{name}}", Skipped::NotFilled),
    ] {
        assert_eq!(case.broadcasts(MessageId::new(), text), Reply::Skipped(why));
        assert_eq!(case.by(Author::Broadcast), Vec::<&str>::new());
    }
    unfilled.db.connection.status = Some(ConnectionStatus::ReauthRequired);
    assert!(matches!(unfilled.broadcasts(MessageId::new(), "Sale"), Reply::Refused(_)));
}

#[test]
fn it_is_asked_again_just_before_the_broadcast_is_sent() {
    for why in [Skipped::AgentAnswers, Skipped::HumanAnswers, Skipped::WindowClosed, Skipped::OptedOut] {
        let mut case = Case::known();
        let message = MessageId::new();
        assert_eq!(case.broadcasts(message, "Sale"), Reply::Done);
        match why {
            Skipped::AgentAnswers => drop(case.writes("wait")),
            Skipped::OptedOut => drop(case.writes("stop")),
            Skipped::WindowClosed => case.now += 24 * 3_600_000,
            _ => drop(case.echo("ada", "Ada here")),
        }
        let claimed = case.apply(Command::ClaimSend(case.claim()));
        assert_ne!(sending(&claimed), Some(message), "{why}");
        let row = case.message(message);
        assert_eq!(row.status, MessageStatus::Suppressed, "{why}");
        // Nobody is called to look at it, and nothing is flagged.
        assert!(case.db.letters.is_empty() && case.db.chat.flag.is_none(), "{why}");
    }
}
