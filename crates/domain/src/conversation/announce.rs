//! Announces what has become of turns, replies, the flag and the mode. It compares the conversation before and after a command, so
//! that no command can forget it.

use super::Conversation;
use super::rows::{Message, Turn};
use crate::ids::{MessageId, TurnId};
use crate::states::{ActivityKind, Author, ChatMode, Direction, MessageStatus};

/// Who acts when nobody does.
const SYSTEM: &str = "system";

/// What is announced if it changes.
pub(super) struct Before {
    flag: Option<String>,
    mode: ChatMode,
    open_turns: Vec<TurnId>,
    /// Messages that are to be sent, or may have been.
    waiting: Vec<MessageId>,
    /// How many messages there were.
    messages: usize,
    /// The activities that other commands of the same transaction have recorded.
    recorded: usize,
}

impl Conversation {
    pub(super) fn before(&self) -> Before {
        let open = self.turns.iter().filter(|turn| turn.is_open());
        let waiting = self.live().filter(|message| is_waiting(message));
        Before {
            flag: self.chat.flag.clone(),
            mode: self.chat.mode,
            open_turns: open.map(|turn| turn.id).collect(),
            waiting: waiting.map(|message| message.id).collect(),
            messages: self.messages.len(),
            recorded: self.changes.activities.len(),
        }
    }

    pub(super) fn announce(&mut self, before: &Before) {
        self.announce_turns(before);
        self.announce_replies(before);
        self.announce_mode(before);
        self.announce_flag(before);
    }

    fn announce_turns(&mut self, before: &Before) {
        let started =
            self.turns.iter().filter(|turn| turn.is_open() && !before.open_turns.contains(&turn.id));
        let mut all: Vec<_> =
            started.map(|turn| self.activity(ActivityKind::TurnStarted, SYSTEM, turn.id)).collect();
        let ended = self.turns.iter().filter(|turn| !turn.is_open() && before.open_turns.contains(&turn.id));
        all.extend(ended.map(|turn| self.turn_ended(turn)));
        self.changes.activities.extend(all);
    }

    fn turn_ended(&self, turn: &Turn) -> super::Activity {
        let ended = self.activity(ActivityKind::TurnEnded, SYSTEM, turn.id);
        let ended = ended.with("outcome", turn.state.as_str());
        match turn.error_class {
            Some(class) => ended.with("class", class.as_str()),
            None => ended,
        }
    }

    /// A reply that is held back reaches nobody; one of a human that waits is shown to the others.
    fn announce_replies(&mut self, before: &Before) {
        let mut all = Vec::new();
        let is_reply =
            |message: &Message| message.direction == Direction::Outbound && message.author != Author::System;
        for (index, message) in self.messages.iter().enumerate() {
            if !message.is_live() || !is_reply(message) {
                continue;
            }
            let was_waiting = before.waiting.contains(&message.id);
            let is_new = index >= before.messages;
            match message.status {
                MessageStatus::Suppressed | MessageStatus::Cancelled if was_waiting || is_new => {
                    let held = self.activity(ActivityKind::MessageHeldBack, SYSTEM, message.id);
                    all.push(held.with("status", message.status.as_str()));
                }
                MessageStatus::Queued if is_new && message.author == Author::Human => {
                    let actor = message.actor.clone().unwrap_or_else(|| Author::Human.as_str().into());
                    let queued = self.activity(ActivityKind::MessageQueued, actor, message.id);
                    all.push(match &message.sent_by {
                        Some(person) => queued.with("sentBy", person.as_str()),
                        None => queued,
                    });
                }
                _ => {}
            }
        }
        self.changes.activities.extend(all);
    }

    /// Takeovers and releases are recorded with who did it and why; this is for those that follow from something else.
    fn announce_mode(&mut self, before: &Before) {
        let is_recorded = self.changes.activities[before.recorded..]
            .iter()
            .any(|one| matches!(one.kind, ActivityKind::BotPaused | ActivityKind::BotResumed));
        if self.chat.mode == before.mode || is_recorded {
            return;
        }
        let kind = if self.agent_speaks() { ActivityKind::BotResumed } else { ActivityKind::BotPaused };
        let changed = self.activity(kind, SYSTEM, self.chat.id);
        self.record(changed);
    }

    fn announce_flag(&mut self, before: &Before) {
        if self.chat.flag == before.flag {
            return;
        }
        let (kind, flag) = match (&self.chat.flag, &before.flag) {
            (Some(flag), _) => (ActivityKind::ChatFlagged, Some(flag)),
            (None, flag) => (ActivityKind::ChatFlagCleared, flag.as_ref()),
        };
        let changed = self.activity(kind, SYSTEM, self.chat.id).with("flag", flag.cloned());
        self.record(changed);
    }
}

/// Whether a message is to be sent, or may have been.
fn is_waiting(message: &Message) -> bool {
    message.direction == Direction::Outbound
        && matches!(message.status, MessageStatus::Queued | MessageStatus::Sending | MessageStatus::Unknown)
}
