//! Directives of the agent, and rules of the connection's settings.

use super::*;
use dmrelay_domain::conversation::{Pause, Saved, TakeOver};
use dmrelay_domain::ids::TemplateId;
use dmrelay_domain::outgoing::Template;
use dmrelay_domain::settings::Rule;
use dmrelay_domain::states::ActivityKind;
use std::collections::BTreeMap;

const HANDOVER: &str = "A colleague will be with you.\n```dmrelay\n{\"handover\": \"a refund\"}\n```";

fn saved(name: &str, message: &Value) -> Saved {
    let message = Template::parse(message).unwrap();
    Saved { id: TemplateId::new(), name: name.to_owned(), version: 1, message }
}

fn rule(action: &str) -> Rule {
    Rule { action: action.to_owned(), ..Rule::default() }
}

impl Case {
    fn taps(&mut self, payload: &str) -> Applied {
        self.mids += 1;
        let mid = format!("tap-{}", self.mids);
        self.event(true, &json!({ "mid": mid, "text": "Tap", "quick_reply": { "payload": payload } }))
    }

    fn recorded(&self, kind: ActivityKind) -> usize {
        self.db.activities.iter().filter(|one| one.kind == kind).count()
    }

    fn payloads(&self) -> Vec<Value> {
        let read = |text: &str| serde_json::from_str(text).unwrap();
        self.db.messages.iter().filter_map(|message| message.body.payload.as_deref().map(read)).collect()
    }
}

#[test]
fn what_the_agent_says_before_it_hands_the_chat_over_is_sent() {
    let mut case = Case::new();
    let ask = case.asked("I want my money back");
    // It came while the agent was asked: it is the human's as well.
    case.writes("now");
    let reply = sending(&case.answers(&ask, &[HANDOVER])).expect("the last words");
    assert_eq!(case.by(Author::Agent), ["A colleague will be with you."]);
    assert_eq!((case.db.chat.mode, case.db.chat.mode_reason.as_deref()), (ChatMode::Human, Some("handover")));
    assert_eq!(case.db.chat.flag.as_deref(), Some("handover"));
    assert_eq!(case.db.chat.turn.due_at, None);
    case.sent(reply, "m1");
    assert_eq!(case.message(reply).status, MessageStatus::Sent);
    // A person comes: nobody is waited for any more.
    case.echo("ada", "Ada here");
    assert_eq!((case.db.chat.mode, case.db.chat.flag.as_deref()), (ChatMode::Human, None));
    case.apply(Command::Release(Release::By("ada".into())));
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
}

#[test]
fn a_person_who_takes_the_chat_first_is_not_talked_over_by_last_words() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let first = sending(&case.answers(&ask, &["One.", HANDOVER])).unwrap();
    case.apply(Command::TakeOver(TakeOver { actor: "ada".into(), pause: Pause::Usual }));
    case.sent(first, "m1");
    let said: Vec<MessageStatus> =
        case.db.messages.iter().filter(|one| one.author == Author::Agent).map(|one| one.status).collect();
    assert_eq!(said, [MessageStatus::Sent, MessageStatus::Suppressed]);
    assert_eq!((case.db.chat.mode_reason.as_deref(), case.db.chat.flag.as_deref()), (Some("api"), None));
}

#[test]
fn an_answer_carries_quick_replies_a_template_and_an_image() {
    let mut case = Case::new();
    case.db.chat.name = Some("Ada".to_owned());
    case.db.saved = vec![saved("sizes", &json!("{{name}}, we have S to {{largest}}."))];
    let block = r#"{"quickReplies": ["Red"], "template": "sizes", "variables": {"largest": "XL"}, "image": "https://shop.example/a.png"}"#;
    let ask = case.asked("hi");
    case.answers(
        &ask,
        &["Which?\n```dmrelay\n{\"quickReplies\": [\"Red\"]}\n```", &format!("```dmrelay\n{block}\n```")],
    );
    let reply = json!({"content_type": "text", "title": "Red", "payload": "Red"});
    let choices = json!([reply]);
    assert_eq!(
        case.payloads(),
        [
            json!({"text": "Which?", "quick_replies": choices}),
            json!({"attachment": {"type": "image", "payload": {"url": "https://shop.example/a.png"}}}),
            json!({"text": "Ada, we have S to XL.", "quick_replies": choices}),
        ]
    );
    assert_eq!(case.recorded(ActivityKind::InstructionIgnored), 0);
}

#[test]
fn a_directive_that_cannot_be_followed_costs_nothing_but_itself() {
    for block in [
        "{\"template\": \"none\"}",
        "{\"image\": \"http://shop.example/a.png\"}",
        "{\"quickReplies\": [\"a title that is longer than twenty characters\"]}",
        "{\"dance\": true}",
        "nonsense",
    ] {
        let mut case = Case::new();
        case.answered("hi", &[&format!("Hello.\n```dmrelay\n{block}\n```\n")]);
        assert_eq!(case.by(Author::Agent), ["Hello."], "{block}");
        assert_eq!(case.recorded(ActivityKind::InstructionIgnored), 1, "{block}");
        assert_eq!(case.db.chat.mode, ChatMode::Bot);
    }
}

#[test]
fn a_conversation_that_is_over_begins_anew() {
    let mut case = Case::new();
    case.answered("bye", &["Goodbye.\n```dmrelay\n{\"end\": true}\n```"]);
    assert_eq!((case.db.chat.agent_chat_id.as_deref(), case.db.chat.recall), (None, false));
    case.agent_chat = Some("another");
    assert_eq!(case.asked("hello again").text, "hello again");
}

#[test]
fn a_taken_back_question_hands_nothing_over() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    case.event(true, &json!({ "mid": "in-1", "is_deleted": true }));
    case.answers(&ask, &[HANDOVER]);
    assert_eq!((case.db.chat.mode, case.db.chat.flag.as_deref()), (ChatMode::Bot, None));
}

#[test]
fn a_tap_is_answered_by_its_rule_and_the_agent_learns_of_it() {
    let mut case = Case::new();
    let hours = saved("hours", &json!("We open at nine, {{name}}."));
    let variables = BTreeMap::from([("name".to_owned(), "friend".to_owned())]);
    let send = Rule { template_id: Some(hours.id), variables, ..rule("send") };
    case.db.connection.settings.taps = BTreeMap::from([
        ("HOURS".to_owned(), send),
        ("NOTHING".to_owned(), rule("ignore")),
        ("HUMAN".to_owned(), rule("hand_over")),
    ]);
    case.db.saved = vec![hours];
    let tapped = case.taps("HOURS");
    assert!(!tapped.effects.iter().any(|effect| matches!(effect, Effect::Ask(_))), "{:?}", tapped.effects);
    assert_eq!(case.by(Author::Rule), ["We open at nine, friend."]);
    let claimed = case.apply(Command::ClaimSend(case.claim()));
    case.sent(sending(&claimed).expect("the rule's message"), "m1");
    assert!(case.taps("NOTHING").effects.iter().all(|effect| !matches!(effect, Effect::Ask(_))));
    let asked = case.asked("and on Sundays?").text;
    assert!(asked.contains("automatic reply: We open at nine, friend."), "{asked}");
    case.taps("HUMAN");
    assert_eq!((case.db.chat.mode, case.db.chat.flag.as_deref()), (ChatMode::Human, Some("handover")));
    // Where a human answers, the rules are silent.
    case.taps("HOURS");
    assert_eq!(case.by(Author::Rule).len(), 1);
}

#[test]
fn a_rule_whose_template_is_gone_leaves_it_to_the_agent() {
    let mut case = Case::new();
    let send = Rule { template_id: Some(TemplateId::new()), ..rule("send") };
    case.db.connection.settings.taps = BTreeMap::from([("HOURS".to_owned(), send)]);
    let tapped = case.taps("HOURS");
    assert!(tapped.effects.iter().any(|effect| matches!(effect, Effect::Ask(_))));
    assert_eq!(case.recorded(ActivityKind::InstructionIgnored), 1);
}

#[test]
fn stories_follow_their_rules() {
    let mention = json!({"mid": "s1", "attachments": [{"type": "story_mention", "payload": {"url": "https://cdn.example/s"}}]});
    let reply = json!({"mid": "s2", "text": "wow", "reply_to": {"story": {"id": "1", "url": "https://cdn.example/s"}}});
    let thanks = Rule { text: Some("Thank you!".to_owned()), ..rule("send") };
    for (event, is_mention) in [(mention, true), (reply, false)] {
        let mut case = Case::new();
        let settings = &mut case.db.connection.settings;
        *(if is_mention { &mut settings.story_mention } else { &mut settings.story_reply }) =
            Some(thanks.clone());
        let applied = case.event(true, &event);
        assert!(applied.effects.iter().all(|effect| !matches!(effect, Effect::Ask(_))), "{event}");
        assert_eq!(case.by(Author::Rule), ["Thank you!"]);
        // Told twice, thanked once.
        case.event(true, &event);
        assert_eq!(case.by(Author::Rule), ["Thank you!"]);
    }
}

#[test]
fn a_handover_that_comes_with_the_complete_answer_is_made() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    // The record was read while the agent was still at it.
    let first = sending(&case.answers(&ask, &["A colleague will be with you."])).expect("the first part");
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
    case.answers(&ask, &[HANDOVER]);
    assert_eq!((case.db.chat.mode, case.db.chat.flag.as_deref()), (ChatMode::Human, Some("handover")));
    case.sent(first, "m1");
    assert_eq!(case.by(Author::Agent), ["A colleague will be with you."]);
    assert_eq!(case.message(first).status, MessageStatus::Sent);
}

#[test]
fn an_answer_of_which_nothing_can_be_done_is_replaced_by_the_fallback() {
    let mut case = Case::new();
    case.db.connection.settings.fallback_text = Some("We will get back to you.".to_owned());
    let ask = case.asked("hi");
    let answered = case.answers(&ask, &["```dmrelay\n{\"template\": \"gone\"}\n```"]);
    assert!(sending(&answered).is_some());
    assert_eq!(case.by(Author::Agent), ["We will get back to you."]);
}

#[test]
fn a_wish_holds_whichever_way_it_is_said_until_it_is_taken_back() {
    let mut case = Case::new();
    case.now += 1_000;
    let tap = json!({
        "sender": { "id": "200" }, "recipient": { "id": "17" }, "timestamp": case.now,
        "postback": { "mid": "p1", "title": "Stop", "payload": "X" },
    });
    case.raw(&tap);
    let since = case.db.chat.opted_out_at;
    assert_eq!(since, Some(case.now));
    // What was said before, and comes late, takes nothing back.
    case.now -= 500;
    case.writes("start");
    assert_eq!(case.db.chat.opted_out_at, since);
    case.now += 1_000;
    case.writes("start");
    assert_eq!(case.db.chat.opted_out_at, None);
}
