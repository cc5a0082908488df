//! What rules of the connection's settings, and directives of the agent, make of a conversation besides answers.

use super::Conversation;
use super::command::Received;
use super::compose::SavedKey;
use super::outbox::{SendDecision, may_send};
use super::receive::STORY_MENTION;
use super::rows::{Body, Message, MessageError};
use super::takeover::ModeReason;
use crate::clock::Millis;
use crate::event::{Content, ReplyTo};
use crate::outgoing::Outgoing;
use crate::settings::{Rule, RuleAction, Wish};
use crate::states::{ActivityKind, Author, ChatMode, Direction, MessageStatus};
use crate::text::{one_line, truncate};
use crate::window::{self, Window};

/// The flag of a chat that was handed over and waits for a human agent.
pub const HANDOVER: &str = "handover";

/// Who acts when a rule does.
pub(super) const ACTOR: &str = "rule";

/// Maximum length of why a chat was handed over, in bytes.
const WHY_BYTES_MAX: usize = 200;

/// What becomes of a customer's message.
pub(super) enum Fate {
    /// The agent is asked.
    Asked,
    /// Nothing more.
    Ignored,
    /// A rule answers it.
    Answered(Box<Body>),
    /// A human agent answers it.
    HandedOver,
}

impl Conversation {
    /// The rule for an event, if there is one.
    pub(super) fn rule(&self, content: &Content) -> Option<&Rule> {
        let settings = &self.connection.settings;
        match content {
            Content::Postback(postback) => settings.tap(postback.payload.as_deref()?),
            Content::StoryMention { .. } => settings.story_mention.as_ref(),
            Content::Message(message) => {
                if let Some(payload) = &message.quick_reply {
                    return settings.tap(payload);
                }
                if message.attachments.iter().any(|one| one.kind == STORY_MENTION) {
                    return settings.story_mention.as_ref();
                }
                let is_story = matches!(message.reply_to, Some(ReplyTo::Story { .. }));
                settings.story_reply.as_ref().filter(|_| is_story)
            }
            _ => None,
        }
    }

    /// The saved message that the rule for an event sends.
    pub(super) fn saved_by_rule(&self, content: &Content) -> Option<SavedKey> {
        let rule = self.rule(content).filter(|rule| rule.action() == RuleAction::Send)?;
        rule.template_id.map(SavedKey::Id)
    }

    /// What a customer says about broadcasts, if that changes anything.
    pub(super) fn wish(&self, content: &Content, at: Millis) -> Option<Wish> {
        let text = match content {
            Content::Message(message) => message.text.as_deref(),
            Content::Postback(postback) => postback.title.as_deref(),
            _ => None,
        };
        self.connection.settings.wish(text?).filter(|wish| match wish {
            Wish::Stop => true,
            // Who gets broadcasts may well mean something else by a word that asks for them; and what was said before is over.
            Wish::Start => self.chat.opted_out_at.is_some_and(|since| at > since),
        })
    }

    /// Heeds what a customer said about broadcasts, for good.
    pub(super) fn heed(&mut self, wish: Wish, at: Millis) {
        let (kind, opted_out_at) = match wish {
            Wish::Stop => (ActivityKind::OptedOut, Some(at)),
            Wish::Start => (ActivityKind::OptedIn, None),
        };
        if self.chat.opted_out_at.is_some() != opted_out_at.is_some() {
            self.chat.opted_out_at = opted_out_at;
            let heeded = self.activity(kind, "user", self.chat.id);
            self.record(heeded);
        }
    }

    /// What becomes of a customer's message by the rules. Where a human agent answers, or nobody does, it waits like any other.
    pub(super) fn fate(&mut self, content: &Content, wish: Option<Wish>) -> Fate {
        if !self.may_start() {
            return Fate::Asked;
        }
        let settings = &self.connection.settings;
        let told = wish.and_then(|wish| match wish {
            Wish::Stop => settings.stop_text.as_ref(),
            Wish::Start => settings.start_text.as_ref(),
        });
        if let Some(text) = told {
            return Fate::Answered(Box::new(Body::text(text.clone())));
        }
        // A reply that could not be sent would answer nothing.
        if window::at(self.chat.window_expires_at, self.now) != Window::Open {
            return Fate::Asked;
        }
        let Some(rule) = self.rule(content) else { return Fate::Asked };
        match rule.action() {
            RuleAction::AskAgent => Fate::Asked,
            RuleAction::Ignore => Fate::Ignored,
            RuleAction::HandOver => Fate::HandedOver,
            RuleAction::Send => match self.body_of(&rule.clone()) {
                Ok(body) => Fate::Answered(Box::new(body)),
                // The customer is not left without an answer.
                Err(why) => {
                    self.ignore(ACTOR, &why);
                    Fate::Asked
                }
            },
        }
    }

    fn body_of(&self, rule: &Rule) -> Result<Body, String> {
        match (&rule.text, rule.template_id) {
            (_, Some(id)) => self.saved_body(&SavedKey::Id(id), &rule.variables),
            (Some(text), None) => {
                let text = Outgoing::text(text).map_err(|err| format!("the rule's text: {err}"))?;
                Ok(Body::of(&text))
            }
            (None, None) => Err("the rule has neither a text nor a template".to_owned()),
        }
    }

    /// A directive, or a rule, that cannot be followed is told of.
    pub(super) fn ignore(&mut self, actor: &str, why: &str) {
        let ignored = self.activity(ActivityKind::InstructionIgnored, actor, self.chat.id);
        self.record(ignored.with("reason", why));
    }

    /// Sends the customer a message of a rule, if that is possible now.
    pub(super) fn say(&mut self, author: Author, body: Body, event: &Received) -> bool {
        let mut new = Message::new(Direction::Outbound, author, MessageStatus::Queued);
        new.body = super::Tracked::loaded(body);
        (new.at, new.received_at, new.trace) = (self.now, event.arrived_at, event.trace);
        // Not later, either: by then it answers nothing any more.
        new.seq = self.chat.last_seq + 1;
        if !self.agent_speaks() || !matches!(may_send(self, &new), SendDecision::Send { .. }) {
            return false;
        }
        self.add_message(new);
        if author != Author::Agent {
            self.tell_agent();
        }
        self.continue_outbox();
        true
    }

    /// The newest message is news to the agent: the next question tells of it.
    pub(super) fn tell_agent(&mut self) {
        self.chat.note_seq = self.chat.last_seq;
    }

    /// A human agent is to answer from now on. What the agent says after `parting` in this conversation is still sent.
    pub(super) fn hand_over(&mut self, actor: &str, why: &str, parting: i64) {
        if self.chat.mode == ChatMode::Human {
            return;
        }
        let reason = ModeReason::Handover.to_string();
        let mut paused =
            self.activity(ActivityKind::BotPaused, actor, self.chat.id).with("reason", reason.as_str());
        if !why.is_empty() {
            paused = paused.with("why", truncate(&one_line(why), WHY_BYTES_MAX));
        }
        self.record(paused);
        for message in self.live_mut().filter(|message| message.seq <= parting) {
            if message.status == MessageStatus::Queued && message.is_by_machine() {
                message.status = MessageStatus::Suppressed;
                message.error.code = Some(reason.clone());
            }
        }
        self.drop_unanswered(&MessageError { code: Some(reason.clone()), ..MessageError::default() });
        let pause: Millis = self.takeover_pause();
        self.chat.mode = ChatMode::Human;
        self.chat.resume_at = Some(self.now + pause);
        self.chat.human_seq = self.chat.human_seq.max(parting);
        self.chat.flag = Some(HANDOVER.to_owned());
        self.withdraw_open_turn(&reason);
        self.chat.mode_reason = Some(reason);
    }
}
