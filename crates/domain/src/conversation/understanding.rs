//! Media in words: the agent reads text only, so that voice messages are transcribed and pictures described before it is asked. A question
//! waits for that, but not for long.

use super::Conversation;
use super::effect::{Effect, Reply};
use crate::clock::{Millis, duration};
use crate::ids::{MediaId, MessageId};
use crate::media;
use crate::states::{ActivityKind, Direction};

/// What a medium says or shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// The message it came with.
    pub message: MessageId,
    /// The medium.
    pub media: MediaId,
    /// In words. `None`: that was looked for in vain, and nobody needs to wait for it any more.
    pub words: Option<String>,
}

impl Conversation {
    /// Until when a question of these messages waits for the words of their media.
    pub(super) fn words_awaited_until(&self, question: &[MessageId]) -> Option<Millis> {
        let understands = self.policy.understands;
        let awaits = |json: &str| media::awaits_words(json, understands);
        let wait = self.policy.understanding_wait;
        // However much more comes: whoever wrote first is not kept waiting by it.
        let most = self.chat.first_unanswered_at.map_or(Millis::MAX, |first| first + 2 * wait);
        self.live()
            .filter(|message| question.contains(&message.id))
            .filter(|message| message.body.attachments.as_deref().is_some_and(awaits))
            .map(|message| (message.created_at + wait).min(most))
            .filter(|until| *until > self.now)
            .max()
    }

    /// Notes what a medium says. A question that waited for it is due as soon as the customer has been silent long enough.
    pub(super) fn understand(&mut self, understood: Understood) -> Reply {
        let Understood { message: id, media, words } = understood;
        let words = words.unwrap_or_default();
        let Some(message) = self.message(id).filter(|message| message.direction == Direction::Inbound) else {
            return Reply::Idle;
        };
        let attachments = message.body.attachments.as_deref();
        let Some(attachments) = attachments.and_then(|json| media::with_words(json, media, &words)) else {
            return Reply::Idle;
        };
        message.body.attachments = Some(attachments);
        if !words.trim().is_empty() {
            let understood = self.activity(ActivityKind::MessageUnderstood, "system", id);
            self.record(understood);
        }
        self.no_longer_wait();
        Reply::Done
    }

    /// The turn that waited for words is due as it would have been without them.
    fn no_longer_wait(&mut self) {
        let question = self.question(None);
        let waits = self.agent_speaks() && self.open_turn().is_none() && self.chat.turn.attempts == 0;
        let (Some(due), Some(first)) = (self.chat.turn.due_at, self.chat.first_unanswered_at) else { return };
        if !waits || due <= self.now || self.words_awaited_until(&question).is_some() {
            return;
        }
        let came =
            self.live().filter(|message| question.contains(&message.id)).map(|message| message.created_at);
        let Some(last) = came.max() else { return };
        let debounce = self.debounce();
        let silent = (last + debounce).min(first + 4 * debounce).max(self.now);
        if silent < due {
            self.chat.turn.schedule(silent);
            self.changes.effects.push(Effect::WakeTurn(duration(silent - self.now)));
        }
    }
}
