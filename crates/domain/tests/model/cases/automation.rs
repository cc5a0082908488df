//! What Instagram sends on its own, and what was taken back while it was thought a human's.

use super::*;
use dmrelay_domain::conversation::{Body, PrivateReply, fingerprint};

const INSTANT: &str = "Thanks! We reply soon.";
const AWAY: &str = "We are closed.";

impl Case {
    /// This text came in so many other chats within moments of the first message.
    fn came_elsewhere(&mut self, text: &str, chats: u32) {
        self.db.prompt_echoes.insert(fingerprint(text), chats);
    }

    fn recognizes(&mut self, mid: &str) {
        self.apply(Command::RecognizeAutomation(mid.to_owned()));
    }

    fn modes(&self) -> (ChatMode, Option<&str>) {
        (self.db.chat.mode, self.db.chat.mode_reason.as_deref())
    }
}

#[test]
fn the_third_chat_shows_that_a_text_is_instagrams_own() {
    for (chats, mode) in [(1, ChatMode::Human), (2, ChatMode::Bot)] {
        let mut case = Case::new();
        case.came_elsewhere(INSTANT, chats);
        case.writes("hi");
        let applied = case.echo("auto", INSTANT);
        assert_eq!(case.db.chat.mode, mode);
        let recognizes = |effect: &Effect| matches!(effect, Effect::RecognizeAutomation(_));
        assert_eq!(applied.effects.iter().any(recognizes), mode == ChatMode::Bot);
    }
}

#[test]
fn what_comes_later_or_between_others_words_is_a_humans() {
    // A moment too late.
    let mut case = Case::new();
    case.came_elsewhere(INSTANT, 9);
    case.writes("hi");
    case.now += 6_000;
    case.echo("late", INSTANT);
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    // The agent has answered: the conversation is open.
    let mut case = Case::new();
    case.came_elsewhere(INSTANT, 9);
    let message = case.answered("hi", &["answer"]);
    case.sent(message, "ours");
    case.now += 2_000;
    case.echo("between", INSTANT);
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    // Nobody has written to the account.
    let mut case = Case::new();
    case.came_elsewhere(INSTANT, 9);
    case.echo("first", INSTANT);
    assert_eq!(case.db.chat.mode, ChatMode::Human);
}

#[test]
fn two_automatic_texts_are_undone_in_either_order() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut case = Case::new();
        case.writes("hi");
        case.echo("a", INSTANT);
        case.echo("b", AWAY);
        let [first, second] = order;
        case.recognizes(first);
        assert_eq!(case.db.chat.mode, ChatMode::Human, "{order:?}");
        case.recognizes(second);
        assert_eq!(case.modes(), (ChatMode::Bot, None), "{order:?}");
        assert_eq!(case.db.turns[0].withdrawn, None, "{order:?}");
    }
}

#[test]
fn a_human_who_wrote_as_well_keeps_the_chat() {
    let mut case = Case::new();
    case.writes("hi");
    case.echo("a", INSTANT);
    case.now += 60_000;
    case.echo("ada", "Ada here");
    case.recognizes("a");
    assert_eq!(case.modes(), (ChatMode::Human, Some("echo:ada")));
    assert_eq!(case.by(Author::Automation), [INSTANT]);
}

#[test]
fn echoes_that_overtake_the_message_are_recognized_when_it_comes() {
    let mut case = Case::new();
    case.came_elsewhere(INSTANT, 2);
    case.came_elsewhere(AWAY, 2);
    case.echo("a", INSTANT);
    case.echo("b", AWAY);
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    case.writes("hi");
    assert_eq!(case.modes(), (ChatMode::Bot, None));
    assert!(case.db.turns.iter().any(|turn| turn.state == TurnState::Asking));
}

#[test]
fn our_own_message_taken_for_instagrams_is_ours_once_its_send_names_it() {
    let mut case = Case::new();
    case.db.connection.settings.automatic_texts = vec!["Good morning!!".to_owned()];
    let message = case.answered("hi", &["Good morning"]);
    case.echo("ours", "Good morning!!");
    assert_eq!(case.by(Author::Automation), ["Good morning!!"]);
    case.sent(message, "ours");
    assert_eq!(case.by(Author::Automation), Vec::<&str>::new());
    assert_eq!((case.message(message).status, case.db.chat.mode), (MessageStatus::Sent, ChatMode::Bot));
}

#[test]
fn what_was_taken_back_is_not_said_when_the_takeover_is_undone() {
    // The answer waits, a takeover suppresses it, the question is taken back, the takeover is undone.
    let mut case = Case::new();
    let ask = case.asked("hi");
    let claim = Claim::NotBefore(None);
    let (turn, attempt, replies) = (ask.turn, ask.attempt, vec!["You said hi".to_owned()]);
    case.apply(Command::RecordAnswer(RecordAnswer { turn, attempt, replies, watermark: None, claim }));
    case.echo("auto", INSTANT);
    case.event(true, &json!({ "mid": "in-1", "is_deleted": true }));
    case.recognizes("auto");
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
    let reply = case.db.messages.iter().find(|message| message.author == Author::Agent).unwrap();
    assert_eq!((reply.status, reply.body.text.as_deref()), (MessageStatus::Suppressed, None));
    // The same, while the agent is being asked.
    for takeover_first in [true, false] {
        let mut case = Case::new();
        let ask = case.asked("hi");
        let unsend = json!({ "mid": "in-1", "is_deleted": true });
        if takeover_first {
            case.echo("auto", INSTANT);
            case.event(true, &unsend);
        } else {
            case.event(true, &unsend);
            case.echo("auto", INSTANT);
        }
        case.recognizes("auto");
        let (turn, attempt, claim) = (ask.turn, ask.attempt, case.claim());
        let replies = vec!["You said hi".to_owned()];
        let answer = RecordAnswer { turn, attempt, replies, watermark: None, claim };
        let applied = case.apply(Command::RecordAnswer(answer));
        assert_eq!((sending(&applied), case.by(Author::Agent)), (None, vec![]), "{takeover_first}");
    }
}

#[test]
fn a_story_mention_in_both_forms_keeps_what_was_told_of_it_before() {
    for taken_back in [false, true] {
        let mut case = Case::new();
        let item = |key: &str, value: Value| {
            let mut raw = json!({"sender": {"id": "200"}, "recipient": {"id": "17"}, "timestamp": NOW});
            raw[key] = value;
            raw
        };
        case.raw(&item("referral", json!({"source": "STORY_MENTION"})));
        if taken_back {
            case.event(true, &json!({"mid": "m", "is_deleted": true}));
        } else {
            case.raw(&item("reaction", json!({"mid": "m", "action": "react", "emoji": "x"})));
        }
        let story = json!({"type": "story_mention", "payload": {"url": "https://s"}});
        case.event(true, &json!({"mid": "m", "attachments": [story]}));
        let [told] = &case.db.messages[..] else { panic!("{:?}", case.db.messages) };
        assert_eq!((told.mid.as_deref(), told.is_unsent()), (Some("m"), taken_back));
        assert_eq!(
            told.body.metadata.as_deref().is_some_and(|known| known.contains("reaction")),
            !taken_back
        );
    }
    // Two of them are two.
    let mut case = Case::new();
    for mid in ["m", "n"] {
        let referral = json!({"mid": mid, "source": "STORY_MENTION"});
        case.raw(&json!({"sender": {"id": "200"}, "recipient": {"id": "17"}, "timestamp": NOW, "referral": referral}));
    }
    assert_eq!(case.db.messages.iter().filter(|message| message.author == Author::User).count(), 2);
}

#[test]
fn a_read_that_overtakes_a_message_of_the_app_counts() {
    let mut case = Case::new();
    let read = json!({"sender": {"id": "200"}, "recipient": {"id": "17"}, "timestamp": NOW, "read": {"mid": "native"}});
    case.raw(&read);
    let applied = case.echo("native", "Ada here");
    assert_eq!(applied.read_up_to.map(|(_, at)| at), Some(NOW));
}

#[test]
fn a_private_reply_whose_echo_came_first_keeps_its_comment() {
    let mut case = Case::new();
    let said = |metadata: Option<&str>| {
        let text = Some("It is 20 EUR.".to_owned());
        let body =
            Body { kind: "text".to_owned(), text, metadata: metadata.map(str::to_owned), ..Body::default() };
        Command::PrivateReply(PrivateReply { mid: "ours".to_owned(), body, author: Author::Rule, at: NOW })
    };
    // As the echo of a call under way is recorded.
    case.apply(said(None));
    let comment = r#"{"comment":{"id":"c"}}"#;
    for _ in 0..2 {
        case.apply(said(Some(comment)));
        let [reply] = &case.db.messages[..] else { panic!("{:?}", case.db.messages) };
        assert_eq!((reply.author, reply.body.metadata.as_deref()), (Author::Rule, Some(comment)));
    }
    // What became of it meanwhile stays.
    case.raw(&json!({
        "sender": {"id": "200"}, "recipient": {"id": "17"}, "timestamp": NOW,
        "reaction": {"mid": "ours", "action": "react", "emoji": "x"},
    }));
    let known = case.db.messages[0].body.metadata.clone();
    assert!(known.as_deref().is_some_and(|known| known.contains("reaction")), "{known:?}");
    case.apply(said(Some(comment)));
    assert_eq!(case.db.messages[0].body.metadata, known);
}
