//! The guarantees, as invariants.

use crate::services::{By, Said};
use crate::step::End;
use crate::world::{START, World};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{Activity, Effect, Message, Turn};
use dmrelay_domain::states::{
    ActivityKind, Author, ChatMode, ConnectionStatus, Direction, MessageStatus, TurnState,
};

const DAY: Millis = 24 * 3_600_000;

impl World {
    /// Must hold for a send when its claim is committed.
    pub(crate) fn check_effect(&self, effect: &Effect) {
        if let Effect::Ask(_) = effect {
            assert!(self.now < self.last_written + DAY, "the agent is asked what it cannot answer in time");
        }
        let Effect::Send(send) = effect else { return };
        let message = &send.message;
        if message.author != Author::Agent {
            return;
        }
        let later =
            self.db.messages.iter().find(|other| {
                other.seq > message.seq && matches!(other.author, Author::Human | Author::Native)
            });
        assert!(later.is_none(), "the agent talks over a human");
        assert_eq!(self.db.chat.mode, ChatMode::Bot, "the agent speaks in a chat that is not its");
        assert!(!self.db.connection.bot_paused, "a paused agent speaks");
        assert!(self.now < self.last_written + DAY, "the agent speaks after the window has closed");
        let before = self.db.messages.iter().find(|other| {
            other.seq < message.seq && other.turn_id != message.turn_id && other.is_unresolved()
        });
        assert!(before.is_none(), "a reply passes an unresolved one");
    }

    /// Must hold at any time.
    pub(crate) fn check(&self) {
        let open: Vec<_> = self.db.turns.iter().filter(|turn| turn.is_open()).collect();
        assert!(open.len() <= 1, "two turns are open");
        let sending =
            self.db.messages.iter().filter(|message| message.status == MessageStatus::Sending).count();
        assert!(sending <= 1, "two messages are being sent");
        let chat = &self.db.chat;
        let unanswered = self.db.messages.iter().any(Message::is_unanswered);
        let held = open.iter().any(|turn| turn.state == TurnState::Asking) || chat.turn.due_at.is_some();
        assert!(!unanswered || held || chat.mode != ChatMode::Bot, "an unanswered message is nobody's");
        assert!(
            open.iter().all(|turn| turn.state == TurnState::Asking) || chat.turn.due_at.is_some(),
            "an open turn is nobody's"
        );
        let waits = self
            .db
            .messages
            .iter()
            .any(|message| message.status == MessageStatus::Queued || message.is_unresolved());
        assert!(!waits || sending == 1 || chat.outbox.due_at.is_some(), "a queued message is nobody's");
        for number in 1..=self.written {
            let text = format!("m{number}");
            let asked = self.agent.asked(&text);
            assert!(asked <= 1, "the agent was asked {asked} times about {text}");
        }
        for said in self.meta.thread.iter().filter(|said| said.by == By::Api) {
            let count = self.meta.count(By::Api, &said.text);
            assert_eq!(count, 1, "{:?} was said {count} times", said.text);
        }
        self.check_order();
        self.check_announced();
    }

    /// Whatever ends, the log says so.
    fn check_announced(&self) {
        let log = &self.db.activities;
        let count = |kinds: &[ActivityKind], subject: &dyn std::fmt::Display| {
            let subject = subject.to_string();
            let is_about = |one: &&Activity| one.subject.as_deref() == Some(&subject);
            log.iter().filter(is_about).filter(|one| kinds.contains(&one.kind)).count()
        };
        for turn in &self.db.turns {
            let ended = count(&[ActivityKind::TurnEnded], &turn.id);
            assert_eq!(count(&[ActivityKind::TurnStarted], &turn.id), 1, "{turn:?}");
            assert_eq!(ended, usize::from(!turn.is_open()), "{turn:?}");
        }
        for message in self.db.messages.iter().filter(|message| message.direction == Direction::Outbound) {
            let kind = match message.status {
                MessageStatus::Sent => ActivityKind::MessageSent,
                MessageStatus::Failed => ActivityKind::MessageFailed,
                MessageStatus::Unknown if message.deadline.is_none() => ActivityKind::MessageFailed,
                MessageStatus::Suppressed | MessageStatus::Cancelled => ActivityKind::MessageHeldBack,
                _ => continue,
            };
            assert!(count(&[kind], &message.id) > 0, "{kind:?} is not announced: {message:?}");
        }
        for (letter, _) in &self.db.letters {
            let closed = [ActivityKind::DeadLetterReplayed, ActivityKind::DeadLetterDiscarded];
            assert_eq!(count(&[ActivityKind::DeadLetterOpened], &letter.id), 1, "{letter:?}");
            assert_eq!(count(&closed, &letter.id), usize::from(!letter.open), "{letter:?}");
        }
        let last = |kinds: [ActivityKind; 2]| log.iter().rev().find(|one| kinds.contains(&one.kind));
        let mode = last([ActivityKind::BotPaused, ActivityKind::BotResumed]);
        let is_bots = mode.is_none_or(|one| one.kind == ActivityKind::BotResumed);
        assert_eq!(self.db.chat.mode == ChatMode::Bot, is_bots, "{mode:?}");
        let flag = last([ActivityKind::ChatFlagged, ActivityKind::ChatFlagCleared]);
        let flag = flag.filter(|one| one.kind == ActivityKind::ChatFlagged);
        let told = flag.and_then(|one| one.details["flag"].as_str());
        assert_eq!(self.db.chat.flag.as_deref(), told);
    }

    /// Replies leave in the order of their turns.
    fn check_order(&self) {
        let place = |text: &str| {
            let message = self
                .db
                .messages
                .iter()
                .find(|message| message.part.is_some() && message.body.text.as_deref() == Some(text));
            message.map(|message| message.seq)
        };
        // If the call's own response is lost, the same text written by a human at the same time cannot be
        // distinguished.
        let is_ours = |said: &&Said| said.by == By::Api && self.meta.count(By::App, &said.text) == 0;
        let sent = self.meta.thread.iter().filter(is_ours);
        let places: Vec<i64> = sent.filter_map(|said| place(&said.text)).collect();
        assert!(places.is_sorted(), "replies left out of order: {places:?}");
    }

    /// After the faults end, everything settles and nothing is lost.
    pub(crate) fn settle(&mut self) {
        self.db.connection.bot_paused = false;
        self.db.connection.status = Some(ConnectionStatus::Connected);
        self.lose_commit = false;
        for round in 0..400 {
            self.log.push(format!("{} settle {round}", self.now - START));
            while !self.waiting.is_empty() {
                self.deliver(0);
            }
            let mut done = 0;
            while let Some((worker, task)) = self.tasks.take(0) {
                self.run(worker, task, End::Good);
                self.check();
                done += 1;
                assert!(done < 2_000, "the workers never come to rest");
            }
            if self.is_at_rest() {
                return self.check_end();
            }
            self.poll();
            self.check();
            if self.tasks.is_empty() {
                self.wait(if self.db.chat.mode == ChatMode::Bot { 5_000 } else { 3_600_000 });
            }
        }
        panic!("it does not come to rest: {:?}", self.db.chat);
    }

    fn is_at_rest(&self) -> bool {
        let chat = &self.db.chat;
        let open = self.db.turns.iter().any(Turn::is_open);
        let waits = self.db.messages.iter().any(|m| m.status == MessageStatus::Queued || m.is_unresolved());
        let idle = self.tasks.is_empty()
            && self.waiting.is_empty()
            && self.late.is_empty()
            && self.inbox().is_empty();
        idle && !open && !waits && chat.turn.due_at.is_none() && chat.outbox.due_at.is_none()
    }

    /// Each message was answered, or ended in a state that shows a human the reason.
    fn check_end(&self) {
        for said in self.meta.thread.iter().filter(|said| said.by == By::Customer) {
            let row = self.db.messages.iter().find(|message| message.mid.as_deref() == Some(&said.mid));
            let row = row.unwrap_or_else(|| panic!("{} was not stored", said.text));
            let turn = self.db.turns.iter().find(|turn| Some(turn.id) == row.turn_id);
            let state = turn.map(|turn| turn.state);
            let shown = self.db.letters.iter().any(|(letter, _)| {
                Some(letter.reference) == row.turn_id.map(|turn| turn.0) || letter.reference == row.id.0
            });
            let is_human = self.db.chat.mode != ChatMode::Bot || row.error.code.is_some();
            let is_end = match state {
                Some(TurnState::Answered | TurnState::Suppressed) => true,
                Some(TurnState::Failed | TurnState::Unknown) => shown,
                _ => row.is_unsent() || is_human || row.error.class.is_some(),
            };
            assert!(is_end, "{} is neither answered nor shown: {row:?} {state:?}", said.text);
        }
        for message in self.db.messages.iter().filter(|message| message.direction == Direction::Outbound) {
            let text = message.body.text.clone().unwrap_or_default();
            let shown = self.db.letters.iter().any(|(letter, _)| letter.reference == message.id.0);
            match message.status {
                MessageStatus::Sent => {
                    let said = self.meta.thread.iter().find(|said| Some(&said.mid) == message.mid.as_ref());
                    assert!(said.is_some(), "{text:?} counts as sent and was not");
                }
                MessageStatus::Failed | MessageStatus::Unknown => assert!(shown, "{text:?} failed unseen"),
                MessageStatus::Suppressed | MessageStatus::Cancelled => {}
                other => panic!("{text:?} is left {other}"),
            }
        }
        self.check_takeovers();
    }

    /// What a human wrote in the app is attributed to them in the history.
    fn check_takeovers(&self) {
        for said in self.meta.thread.iter().filter(|said| said.by == By::App) {
            let row = self.db.messages.iter().find(|message| message.mid.as_deref() == Some(&said.mid));
            assert!(row.is_some(), "{} is not in the history", said.text);
        }
    }
}
