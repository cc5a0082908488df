//! The rows a command needs to load.

use super::automation::{RECENT_MAX, TextDigest};
use super::command::{Command, Orphan, Received};
use super::compose::{SavedKey, named};
use super::receive::STORY_MENTION;
use super::rows::{Chat, Letter};
use super::{Conversation, ModeReason};
use crate::event::{Content, Inbound, ReplyTo};
use crate::ids::{DeadLetterId, MessageId, TurnId};
use crate::states::{DeadLetterKind, MessageStatus, TurnState};

/// Maximum number of unanswered messages of a chat loaded at a time.
pub const UNANSWERED_MAX: i64 = 200;

/// Number of newest messages loaded to tell the agent what it missed.
pub(super) const HISTORY_MAX: i64 = 60;

/// The rows a command reads. The open turn and the outbox are always loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The messages the agent has not been asked about.
    pub unanswered: bool,
    /// The messages the open turn asks about.
    pub asked: bool,
    /// What the agent missed: this number of newest messages.
    pub history: Option<i64>,
    /// This number of newest messages.
    pub recent: Option<i64>,
    /// Messages by mid.
    pub mids: Vec<String>,
    /// Messages by id.
    pub messages: Vec<MessageId>,
    /// Turns by id, open or not.
    pub turns: Vec<TurnId>,
    /// Dead letters.
    pub letters: Vec<DeadLetterId>,
}

impl Needs {
    /// The combined needs of these commands, applied in sequence.
    pub fn of<'a>(chat: &Chat, commands: impl Iterator<Item = &'a Command> + Clone) -> Self {
        let mut needs = Self::default();
        let several = commands.clone().count() > 1;
        for command in commands.clone() {
            needs.add(command);
        }
        // Echoes may have overtaken the message that they follow.
        let receives = commands.clone().into_iter().any(|command| matches!(command, Command::Receive(_)));
        if receives && chat.mode_reason.as_deref().and_then(ModeReason::echo_of).is_some() {
            needs.recent = Some(RECENT_MAX);
        }
        let starts = commands.into_iter().any(Command::may_ask);
        // An earlier command of the same change may produce what the agent missed.
        let is_news = chat.human_seq > chat.agent_seq || chat.note_seq > chat.agent_seq;
        if starts && (several || chat.recall || is_news) {
            needs.history = Some(HISTORY_MAX);
        }
        needs
    }

    fn add(&mut self, command: &Command) {
        match command {
            Command::Receive(receive) => {
                for event in &receive.events {
                    self.add_event(&event.item.content);
                    if let (Content::Message(Inbound { reply_to: Some(ReplyTo::Mid(mid)), .. }), true) =
                        (&event.item.content, receive.start.is_some())
                    {
                        self.mids.push(mid.clone());
                    }
                }
                self.unanswered |= receive.start.is_some();
                self.asked |= receive.start.is_some();
            }
            Command::StartTurn(_)
            | Command::RecordNoAgentChat(_)
            | Command::TakeOver(_)
            | Command::Release(_)
            | Command::Distrust => {
                (self.unanswered, self.asked) = (true, true);
            }
            Command::RecordAgentFailure(failure) => {
                (self.unanswered, self.asked) = (true, true);
                self.turns.push(failure.turn);
            }
            Command::RecordAnswer(answer) => self.turns.push(answer.turn),
            Command::ResolveTurn(resolve) => {
                self.asked = true;
                self.turns.push(resolve.turn);
            }
            Command::RecordSent(sent) => {
                self.mids.push(sent.mid.clone());
                self.messages.push(sent.message);
            }
            Command::RecordSendFailure(failure) => self.messages.push(failure.message),
            Command::ResolveSend(resolve) => {
                self.messages.push(resolve.message);
                let seen = resolve.thread.iter().flat_map(|thread| &thread.messages);
                self.mids.extend(seen.map(|message| message.mid.clone()));
            }
            Command::SendByHuman(send) => {
                (self.unanswered, self.asked) = (true, true);
                self.messages.push(send.message);
            }
            Command::React(react) => self.messages.push(react.message),
            Command::Understand(understood) => {
                (self.unanswered, self.asked) = (true, true);
                self.messages.push(understood.message);
            }
            Command::Broadcast(broadcast) => self.messages.push(broadcast.message),
            Command::PrivateReply(reply) => self.mids.push(reply.mid.clone()),
            Command::Replay(close) | Command::Discard(close) => self.letters.push(close.letter),
            Command::RecognizeAutomation(mid) => self.mids.push(mid.clone()),
            Command::ClaimSend(_) => {}
            Command::Orphan(Orphan::Turn(turn, _)) => self.turns.push(*turn),
            Command::Orphan(Orphan::Send(message, _)) => self.messages.push(*message),
        }
    }

    fn add_event(&mut self, content: &Content) {
        match content {
            Content::Message(message) => {
                self.mids.push(message.mid.clone());
                if message.attachments.iter().any(|one| one.kind == STORY_MENTION) {
                    self.recent = Some(RECENT_MAX);
                }
            }
            Content::Echo(message) => {
                self.mids.push(message.mid.clone());
                // It may turn out to be a human's, which causes a takeover.
                (self.unanswered, self.asked) = (true, true);
            }
            Content::Unsupported(message) => self.mids.push(message.mid.clone()),
            Content::Unsend { mid } | Content::Feedback { mid, .. } => self.mids.push(mid.clone()),
            Content::StoryMention { mid, .. } => {
                self.mids.extend(mid.clone());
                // One of these may tell of the same.
                self.recent = Some(RECENT_MAX);
            }
            Content::Edit(edit) => self.mids.push(edit.mid.clone()),
            Content::Reaction(reaction) => self.mids.push(reaction.mid.clone()),
            Content::Postback(postback) => self.mids.extend(postback.mid.clone()),
            Content::Read { mid } => self.mids.extend(mid.clone()),
            Content::Referral(_)
            | Content::Handover
            | Content::Comment(_)
            | Content::Mention(_)
            | Content::PolicyEnforcement { .. }
            | Content::Ignored
            | Content::Unknown => {}
        }
    }
}

/// Further rows that are needed depending on the loaded ones; rarely any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecondLook {
    /// Turns, with the messages they ask about and their replies.
    pub turns: Vec<TurnId>,
    /// Messages by id.
    pub messages: Vec<MessageId>,
    /// What a takeover sets aside: the unanswered messages, and those of the open turn.
    pub takeover: bool,
    /// The messages suppressed or dropped for this reason.
    pub reason: Option<String>,
    /// The messages dropped together with the object of a dead letter.
    pub dropped_with: Option<Letter>,
    /// The saved messages that are to be sent.
    pub saved: Vec<SavedKey>,
    /// The messages that those of a question reply to, by mid.
    pub quoted: Vec<String>,
    /// An echo may be that of a private reply to a comment which is being sent: those of the account are needed.
    pub private_replies: bool,
    /// Texts that may be Instagram's own: in how many other chats they came, and the newest messages of this one.
    pub automatic: Vec<TextDigest>,
}

impl SecondLook {
    /// Whether nothing more is needed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of it is needed like the rows of the first look.
    pub fn more_needs(&self) -> Option<Needs> {
        let needs = Needs {
            unanswered: self.takeover,
            asked: self.takeover,
            mids: self.quoted.clone(),
            recent: (!self.automatic.is_empty()).then_some(RECENT_MAX),
            ..Needs::default()
        };
        (needs != Needs::default()).then_some(needs)
    }
}

impl Command {
    /// Whether a turn may begin by it.
    fn may_ask(&self) -> bool {
        match self {
            Self::Receive(receive) => receive.start.is_some(),
            Self::StartTurn(_) | Self::RecordNoAgentChat(_) => true,
            Self::RecordAgentFailure(failure) => failure.retry.is_some(),
            _ => false,
        }
    }
}

impl Conversation {
    /// What these commands need beyond the loaded rows.
    pub fn second_look<'a>(&self, commands: impl Iterator<Item = &'a Command>) -> SecondLook {
        let mut look = SecondLook::default();
        for command in commands {
            if command.may_ask() {
                look.quoted = self.not_loaded_quotes();
            }
            match command {
                Command::Receive(receive) => {
                    for event in &receive.events {
                        self.look_behind_event(event, &mut look);
                    }
                }
                Command::RecordAnswer(answer) => {
                    self.look_behind_answer(answer.turn, &mut look);
                    look.saved.extend(named(answer.replies.iter().map(String::as_str)));
                }
                Command::ResolveTurn(resolve) => {
                    let entries = resolve.record.iter().flat_map(|record| record.entries.iter().flatten());
                    look.saved.extend(named(entries.map(|entry| entry.text.as_str())));
                }
                Command::RecordSent(sent) => {
                    self.look_behind_mid(&sent.mid, &mut look);
                    look.takeover |= self.echo_was_taken(sent.message, Some(&sent.mid));
                }
                Command::RecordSendFailure(failure) => {
                    look.takeover |= self.echo_was_taken(failure.message, None);
                }
                Command::ResolveSend(resolve) => {
                    for message in resolve.thread.iter().flat_map(|thread| &thread.messages) {
                        self.look_behind_mid(&message.mid, &mut look);
                    }
                }
                Command::RecognizeAutomation(mid) => self.look_behind_mid(mid, &mut look),
                Command::PrivateReply(reply) => self.look_behind_mid(&reply.mid, &mut look),
                Command::Replay(close) => self.look_behind_letter(close.letter, &mut look),
                _ => {}
            }
        }
        look.saved.retain(|key| !self.saved.iter().any(|saved| key.is(saved)));
        look.saved.sort_unstable();
        look.saved.dedup();
        look.automatic.sort_unstable();
        look.automatic.dedup();
        look
    }

    /// What the unanswered messages reply to, and is not loaded.
    fn not_loaded_quotes(&self) -> Vec<String> {
        let asked = self.live().filter(|message| message.needs_answer && message.part.is_none());
        let mut mids: Vec<String> = asked.filter_map(|message| message.quoted_mid()).collect();
        mids.retain(|mid| self.message_by_mid(mid).is_none());
        mids.sort_unstable();
        mids.dedup();
        mids
    }

    /// Whether the echo matched to this send now turns out to be a human's, which causes a takeover.
    fn echo_was_taken(&self, message: MessageId, own_mid: Option<&str>) -> bool {
        self.live().any(|row| {
            row.id == message && row.status == MessageStatus::Sent && row.mid.as_deref() != own_mid
        })
    }

    fn look_behind_event(&self, event: &Received, look: &mut SecondLook) {
        look.saved.extend(self.saved_by_rule(&event.item.content));
        match &event.item.content {
            // Whether anything the turn asks about is still unanswered.
            Content::Unsend { mid } => {
                look.turns.extend(self.message_by_mid(mid).and_then(|message| message.turn_id));
            }
            Content::Message(_) => {
                for (mid, _, digest) in self.overtaking_echoes(event.at) {
                    self.look_behind_mid(&mid, look);
                    look.automatic.push(digest);
                }
            }
            Content::Echo(message) => {
                self.look_behind_mid(&message.mid, look);
                look.automatic.extend(self.may_be_automatic(event, message));
                look.private_replies |= self.is_nobodys_yet(event, message);
            }
            _ => {}
        }
    }

    /// A complete answer adds what a partial one lacked.
    fn look_behind_answer(&self, turn: TurnId, look: &mut SecondLook) {
        let answered =
            |row: &&super::Tracked<super::Turn>| row.id == turn && row.state == TurnState::Answered;
        look.turns.extend(self.turns.iter().find(answered).map(|turn| turn.id));
    }

    /// A message attributed to a human may turn out to be ours.
    fn look_behind_mid(&self, mid: &str, look: &mut SecondLook) {
        let reason = ModeReason::Echo(mid.to_owned()).to_string();
        if self.chat.mode_reason.as_deref() == Some(&reason) {
            look.reason = Some(reason);
        }
    }

    fn look_behind_letter(&self, id: DeadLetterId, look: &mut SecondLook) {
        let Some(letter) = self.letters.iter().find(|letter| letter.id == id) else { return };
        match letter.kind {
            DeadLetterKind::Event => {}
            DeadLetterKind::Turn => {
                look.turns.push(letter.reference.into());
                look.dropped_with = Some(letter.clone());
            }
            DeadLetterKind::Message => {
                let id = MessageId(letter.reference);
                match self.messages.iter().find(|message| message.id == id) {
                    Some(message) => look.turns.extend(message.turn_id),
                    None => look.messages.push(id),
                }
                look.dropped_with = Some(letter.clone());
            }
        }
    }
}
