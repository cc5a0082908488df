//! Questions that wait for the words of voice messages and pictures.

use super::*;
use dmrelay_domain::conversation::Understood;
use dmrelay_domain::ids::MediaId;
use dmrelay_domain::media::Understands;

const WAIT: Millis = 20_000;

impl Case {
    fn understanding(debounce: Millis) -> Self {
        let mut case = Self::new();
        case.db.policy.keep_media = true;
        case.db.policy.debounce = debounce;
        case.db.policy.understands = Understands { audio: true, images: true };
        case.db.policy.understanding_wait = WAIT;
        case
    }

    /// The customer sends an attachment; gives its ids.
    fn shows(&mut self, kind: &str) -> (MessageId, MediaId, Applied) {
        self.mids += 1;
        let attachment = json!({ "type": kind, "payload": { "url": "https://lookaside.fbsbx.com/1" } });
        let mid = format!("in-{}", self.mids);
        let applied = self.event(true, &json!({ "mid": mid, "attachments": [attachment] }));
        let message = self.db.messages.iter().find(|one| one.mid.as_deref() == Some(&mid)).unwrap();
        let attachments: Value = serde_json::from_str(message.body.attachments.as_deref().unwrap()).unwrap();
        let media = serde_json::from_value(attachments[0]["mediaId"].clone()).unwrap();
        (message.id, media, applied)
    }

    fn understood(&mut self, (message, media): (MessageId, MediaId), words: Option<&str>) -> Applied {
        let words = words.map(str::to_owned);
        self.apply(Command::Understand(Understood { message, media, words }))
    }

    fn starts(&mut self) -> Applied {
        let start = self.start(self.agent_chat);
        self.apply(Command::StartTurn(start))
    }
}

fn question(applied: &Applied) -> Option<&str> {
    applied.effects.iter().find_map(|effect| match effect {
        Effect::Ask(ask) => Some(ask.text.as_str()),
        _ => None,
    })
}

#[test]
fn a_question_waits_for_the_words_and_no_longer() {
    let mut case = Case::understanding(0);
    let (message, media, applied) = case.shows("audio");
    assert_eq!(question(&applied), None);
    assert_eq!(case.db.chat.turn.due_at, Some(NOW + WAIT));
    case.now += 3_000;
    assert_eq!(question(&case.starts()), None);
    let understood = case.understood((message, media), Some("Is it blue?"));
    assert!(matches!(understood.effects[..], [Effect::WakeTurn(std::time::Duration::ZERO)]));
    assert_eq!(question(&case.starts()), Some("[voice message: Is it blue?]"));
    // Told again, it changes nothing.
    assert_eq!(case.understood((message, media), Some("Is it red?")).reply, Reply::Idle);
}

#[test]
fn nobody_waits_for_words_that_will_not_come_or_come_too_late() {
    let mut case = Case::understanding(0);
    let (message, media, _) = case.shows("image");
    case.understood((message, media), None);
    assert_eq!(question(&case.starts()), Some("[image]"));
    let mut case = Case::understanding(0);
    let (message, media, _) = case.shows("image");
    case.now += WAIT;
    assert_eq!(question(&case.starts()), Some("[image]"));
    // The question is asked: the words are the message's all the same, and nothing is asked again.
    assert!(case.understood((message, media), Some("A vase.")).effects.is_empty());
    let attachments = case.message(message).body.attachments.clone().unwrap_or_default();
    assert!(attachments.contains("\"words\":\"A vase.\""), "{attachments}");
}

#[test]
fn one_of_two_does_not_do_and_the_customers_silence_counts() {
    let mut case = Case::understanding(5_000);
    let (first, photo, _) = case.shows("image");
    case.now += 1_000;
    let (second, voice, _) = case.shows("audio");
    assert_eq!(case.db.chat.turn.due_at, Some(NOW + 6_000));
    case.understood((first, photo), Some("A vase."));
    case.now = NOW + 6_000;
    assert_eq!(question(&case.starts()), None);
    assert_eq!(case.db.chat.turn.due_at, Some(NOW + 1_000 + WAIT));
    // A text that comes meanwhile is silent only later.
    case.now += 1_000;
    case.writes("well?");
    case.understood((second, voice), Some("How much?"));
    assert_eq!(case.db.chat.turn.due_at, Some(NOW + 12_000));
    case.now = NOW + 12_000;
    let asked = case.starts();
    assert_eq!(question(&asked), Some("[image that shows: A vase.]\n[voice message: How much?]\nwell?"));
}

#[test]
fn what_is_not_put_into_words_is_asked_at_once() {
    let mut case = Case::understanding(0);
    assert_eq!(question(&case.shows("video").2), Some("[video]"));
    let mut case = Case::understanding(0);
    case.db.policy.understands.images = false;
    assert_eq!(question(&case.shows("image").2), Some("[image]"));
}

#[test]
fn what_was_unsent_meanwhile_stays_erased() {
    let mut case = Case::understanding(0);
    let (message, media, _) = case.shows("audio");
    case.event(true, &json!({ "mid": "in-1", "is_deleted": true }));
    assert_eq!(case.understood((message, media), Some("secret")).reply, Reply::Idle);
    assert_eq!(case.message(message).body.attachments, None);
}
