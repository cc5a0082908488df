//! What Instagram sends on its own: instant replies, away messages, answers to frequently asked questions. Meta tells of
//! it by an echo like that of a human's message, and nothing in it says who wrote it. It is recognized by the texts that the
//! business lists, and by what no human does: the same text in several chats, each within moments of the message that
//! opened the conversation.

use super::Conversation;
use super::command::Received;
use super::effect::{Effect, Reply};
use super::evidence::fingerprint;
use super::receive::{described, is_ours};
use super::rows::Message;
use super::takeover::ModeReason;
use crate::clock::Millis;
use crate::event::Inbound;
use crate::states::{ActivityKind, Author, ChatMode, Direction, MessageStatus};
use crate::text::same_text;

/// How long nobody of the account has written when a message opens a conversation.
const QUIET: Millis = 3_600_000;

/// How far Meta's times of a message and of what it causes may be out of order.
const OUT_OF_ORDER: Millis = 1_000;

/// Number of newest messages that are loaded to find the one that opened the conversation, or one told in another form.
pub(super) const RECENT_MAX: i64 = 10;

/// The actor of what Instagram sends on its own, in the activity log.
const ACTOR: &str = "instagram";

/// SHA-256 of a text, as [`fingerprint`] folds it.
pub type TextDigest = [u8; 32];

/// An echo that came within moments of the message that opened its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptEcho {
    /// Its text.
    pub digest: TextDigest,
    /// Its mid.
    pub mid: String,
    /// Whether it is recognized as Instagram's own.
    pub recognized: bool,
}

impl Conversation {
    /// The text of an echo that may be Instagram's own, as far as this can be decided without earlier messages: not while a
    /// human has the chat for another reason than such an echo.
    pub(super) fn may_be_automatic(&self, event: &Received, echo: &Inbound) -> Option<TextDigest> {
        let is_known = self.live().any(|known| known.mid.as_deref() == Some(&echo.mid) && !known.is_stub());
        let is_humans = self.chat.mode != ChatMode::Bot && self.echo_of_mode().is_none();
        if self.policy.automation_chats == 0 || !is_ours(event) || is_known || is_humans {
            return None;
        }
        if self.own_send(event, echo).is_some() {
            return None;
        }
        echo.text.as_deref().map(fingerprint)
    }

    /// The mid of the message in the Instagram app that took the chat over.
    fn echo_of_mode(&self) -> Option<&str> {
        ModeReason::echo_of(self.chat.mode_reason.as_deref()?)
    }

    /// Stores an echo as Instagram's own if it is. It is nobody's turn then: the agent answers.
    pub(super) fn is_automatic(&mut self, event: &Received, echo: &Inbound) -> bool {
        let Some(text) = echo.text.as_deref() else { return false };
        if self.connection.settings.automatic_texts.iter().any(|listed| same_text(listed, text)) {
            self.add_automatic(event, echo);
            return true;
        }
        let Some(digest) = self.may_be_automatic(event, echo).filter(|_| self.follows_an_opening(event.at))
        else {
            return false;
        };
        let recognized = self.is_recognized(digest, &echo.mid);
        if recognized {
            self.add_automatic(event, echo);
        }
        recognized
    }

    /// Takes note of an echo that came within moments of the first message. Whether that shows that its text is
    /// Instagram's own.
    fn is_recognized(&mut self, digest: TextDigest, mid: &str) -> bool {
        let chats = self.prompt_echoes.get(&digest).copied().unwrap_or_default();
        let recognized = chats.saturating_add(1) >= self.policy.automation_chats;
        self.changes.prompt_echoes.push(PromptEcho { digest, mid: mid.to_owned(), recognized });
        if recognized {
            self.changes.effects.push(Effect::RecognizeAutomation(digest));
        }
        recognized
    }

    /// The messages in the app that came after a message of this time, which arrives only now, in a chat that one of them
    /// took over: the mid, the time and the text of each.
    pub(super) fn overtaking_echoes(&self, message_at: Millis) -> Vec<(String, Millis, TextDigest)> {
        if self.policy.automation_chats == 0 || self.echo_of_mode().is_none() {
            return Vec::new();
        }
        let moments = message_at - OUT_OF_ORDER..=message_at + self.policy.automation_within;
        let echoes = self.live().filter(|echo| echo.author == Author::Native && moments.contains(&echo.at));
        let told =
            |echo: &Message| Some((echo.mid.clone()?, echo.at, fingerprint(echo.body.text.as_deref()?)));
        echoes.filter_map(|echo| told(echo)).collect()
    }

    /// A message of this time has arrived: echoes that overtook it are looked at again.
    pub(super) fn reconsider_echoes(&mut self, message_at: Millis) {
        for (mid, at, digest) in self.overtaking_echoes(message_at) {
            if self.follows_an_opening(at) && self.is_recognized(digest, &mid) {
                self.recognize_automation(&mid);
            }
        }
    }

    /// Whether an echo of this time came within moments of the customer's message that opened the conversation: before
    /// it nobody of the account has said anything for a while, and after it neither the agent nor a human.
    fn follows_an_opening(&self, at: Millis) -> bool {
        let said = || self.live().filter(|message| !message.is_stub());
        let moments = at - self.policy.automation_within..=at + OUT_OF_ORDER;
        let of_customer = said().filter(|message| message.author == Author::User).map(|message| message.at);
        let Some(opening) = of_customer.filter(|at| moments.contains(at)).min() else { return false };
        let was_sent = |message: &Message| {
            matches!(message.status, MessageStatus::Sent | MessageStatus::Sending | MessageStatus::Unknown)
        };
        let speaks_between = |message: &Message| match message.author {
            Author::Agent | Author::Human | Author::Rule | Author::Broadcast => {
                was_sent(message) && (opening - QUIET..at).contains(&message.at)
            }
            Author::Native | Author::Automation => (opening - QUIET..opening).contains(&message.at),
            // Several messages in a row, but not for long.
            Author::User => (opening - QUIET..*moments.start()).contains(&message.at),
            Author::System => false,
        };
        !said().any(|message| speaks_between(message))
    }

    fn add_automatic(&mut self, event: &Received, echo: &Inbound) {
        let mut new = described(event, echo);
        (new.direction, new.author, new.status) =
            (Direction::Outbound, Author::Automation, MessageStatus::Sent);
        new.sent_at = Some(event.at);
        let Some(id) = self.add_received(new) else { return };
        let sent = self.activity(ActivityKind::MessageSent, ACTOR, id);
        self.record(sent);
    }

    /// The echo with this mid, taken for a human's, is Instagram's own: the takeover that it caused is undone.
    pub(super) fn recognize_automation(&mut self, mid: &str) -> Reply {
        let known = self.live_mut().find(|message| message.mid.as_deref() == Some(mid));
        let Some(known) = known.filter(|known| known.author == Author::Native) else { return Reply::Idle };
        known.body.touch();
        known.author = Author::Automation;
        let (id, seq) = (known.id, known.seq);
        self.undo_takeover(&ModeReason::Echo(mid.to_owned()), seq);
        let recognized = self.activity(ActivityKind::AutomationRecognized, ACTOR, id);
        self.record(recognized);
        Reply::Done
    }
}
