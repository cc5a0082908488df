//! The rows of one conversation, loaded and saved as the store does it: a command sees only the rows its
//! needs name.

use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{
    Activity, Change, Chat, Command, ConnectionFacts, Conversation, DeadLetter, Effect, Fact, Letter,
    Message, Needs, Policy, Reply, Saved, TextDigest, Tracked, Turn, UNANSWERED_MAX,
};
use dmrelay_domain::ids::{
    AgentId, ChatId, ConnectionId, EventId, InstagramAccountId, InstagramUserId, SubaccountId,
};
use dmrelay_domain::settings::ConnectionSettings;
use dmrelay_domain::states::{ConnectionStatus, Direction, LoginKind, MessageStatus};
use std::collections::{HashMap, HashSet};

pub(crate) const USER: &str = "200";

/// The stored rows.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) policy: Policy,
    pub(crate) connection: ConnectionFacts,
    pub(crate) chat: Chat,
    pub(crate) turns: Vec<Turn>,
    pub(crate) messages: Vec<Message>,
    pub(crate) letters: Vec<(Letter, DeadLetter)>,
    /// The log.
    pub(crate) activities: Vec<Activity>,
    /// The ingested events.
    pub(crate) done: HashSet<EventId>,
    /// In how many other chats these texts came within moments of the first message.
    pub(crate) prompt_echoes: HashMap<TextDigest, u32>,
    /// The subaccount's saved messages.
    pub(crate) saved: Vec<Saved>,
}

/// What a commit returns to its caller.
pub(crate) struct Applied {
    pub(crate) reply: Reply,
    pub(crate) effects: Vec<Effect>,
    pub(crate) facts: Vec<Fact>,
    /// Everything sent up to this sequence number was read, and when.
    pub(crate) read_up_to: Option<(i64, Millis)>,
}

impl Database {
    pub(crate) fn new(policy: Policy) -> Self {
        let connection = ConnectionFacts {
            id: ConnectionId::new(),
            subaccount: SubaccountId::parse("acme").unwrap(),
            has_own_key: false,
            agent: AgentId::parse("agent").unwrap(),
            account: InstagramAccountId::parse("17").unwrap(),
            login: LoginKind::Instagram,
            status: Some(ConnectionStatus::Connected),
            bot_paused: false,
            settings: ConnectionSettings::default(),
        };
        Self {
            policy,
            connection,
            chat: Chat::new(ChatId::new(), InstagramUserId::parse(USER).unwrap()),
            turns: Vec::new(),
            messages: Vec::new(),
            letters: Vec::new(),
            activities: Vec::new(),
            done: HashSet::new(),
            prompt_echoes: HashMap::new(),
            saved: Vec::new(),
        }
    }

    /// Applies a command in one transaction at `now`.
    pub(crate) fn transact(&mut self, now: Millis, jitter: f64, command: Command) -> Applied {
        let needs = Needs::of(&self.chat, std::iter::once(&command));
        let mut conversation =
            Conversation::new(now, self.policy, self.connection.clone(), Tracked::loaded(self.chat.clone()));
        conversation.jitter = jitter;
        conversation.prompt_echoes.clone_from(&self.prompt_echoes);
        self.load(&mut conversation, &needs);
        self.look_again(&mut conversation, &command);
        let reply = conversation.apply(command);
        self.save(now, conversation, reply)
    }

    fn load(&self, conversation: &mut Conversation, needs: &Needs) {
        for turn in self.turns.iter().filter(|turn| turn.is_open() || needs.turns.contains(&turn.id)) {
            if conversation.turns.iter().all(|known| known.id != turn.id) {
                conversation.turns.push(Tracked::loaded(turn.clone()));
            }
        }
        let asked: Vec<_> = self
            .turns
            .iter()
            .filter(|turn| turn.is_open() && needs.asked)
            .flat_map(|turn| turn.message_ids.clone())
            .collect();
        let mut unanswered: Vec<_> = self.messages.iter().filter(|message| message.is_unanswered()).collect();
        unanswered.sort_by_key(|message| (message.at, message.seq));
        unanswered.truncate(usize::try_from(UNANSWERED_MAX).unwrap());
        let unanswered: Vec<_> = unanswered.iter().map(|message| message.id).collect();
        let history = needs.history.map(|most| self.chat.history_after(most));
        let wanted = |message: &Message| {
            let outbox = [MessageStatus::Queued, MessageStatus::Sending, MessageStatus::Unknown];
            (outbox.contains(&message.status) && message.direction == Direction::Outbound)
                || (needs.unanswered && unanswered.contains(&message.id))
                || asked.contains(&message.id)
                || message.mid.as_ref().is_some_and(|mid| needs.mids.contains(mid))
                || needs.messages.contains(&message.id)
                || history.is_some_and(|after| message.seq > after)
                || needs.recent.is_some_and(|most| message.seq > self.chat.last_seq - most)
        };
        self.add(conversation, wanted);
        for (letter, _) in self.letters.iter().filter(|(letter, _)| needs.letters.contains(&letter.id)) {
            conversation.letters.push(letter.clone());
        }
    }

    fn look_again(&self, conversation: &mut Conversation, command: &Command) {
        let mut look = conversation.second_look(std::iter::once(command));
        let named = |saved: &&Saved| look.saved.iter().any(|key| key.is(saved));
        conversation.saved = self.saved.iter().filter(named).cloned().collect();
        let named = look.messages.clone();
        self.add(conversation, |message| named.contains(&message.id));
        if !named.is_empty() {
            look = conversation.second_look(std::iter::once(command));
        }
        for turn in self.turns.iter().filter(|turn| look.turns.contains(&turn.id)) {
            if conversation.turns.iter().all(|known| known.id != turn.id) {
                conversation.turns.push(Tracked::loaded(turn.clone()));
            }
        }
        if let Some(needs) = look.more_needs() {
            self.load(conversation, &needs);
        }
        if let Some(reason) = &look.reason {
            let others = self.messages.iter().filter(|message| {
                let is_echo = message.mid.as_ref().is_some_and(|mid| format!("echo:{mid}") == *reason);
                message.is_by_human() && !is_echo
            });
            let last = others.max_by_key(|message| message.seq).map(|message| message.id);
            self.add(conversation, |message| Some(message.id) == last);
        }
        self.add(conversation, |message| {
            message.turn_id.is_some_and(|turn| look.turns.contains(&turn))
                || (look.reason.is_some() && message.error.code == look.reason)
                || look.dropped_with.as_ref().is_some_and(|letter| {
                    message.error.class.is_some_and(|class| class.as_str() == letter.class)
                })
        });
    }

    fn add(&self, conversation: &mut Conversation, wanted: impl Fn(&Message) -> bool) {
        for message in self.messages.iter().filter(|message| wanted(message)) {
            if conversation.messages.iter().all(|known| known.id != message.id) {
                conversation.messages.push(Tracked::loaded(message.clone()));
            }
        }
    }

    fn save(&mut self, now: Millis, conversation: Conversation, reply: Reply) -> Applied {
        let changes = conversation.changes;
        self.chat = conversation.chat.into_row();
        for turn in conversation.turns {
            match turn.change() {
                Change::None => {}
                Change::Inserted => self.turns.push(turn.into_row()),
                _ => {
                    let id = turn.id;
                    *self.turns.iter_mut().find(|known| known.id == id).unwrap() = turn.into_row();
                }
            }
        }
        for message in conversation.messages {
            match message.change() {
                Change::None => {}
                Change::Inserted => self.messages.push(message.into_row()),
                Change::Updated => {
                    let id = message.id;
                    *self.messages.iter_mut().find(|known| known.id == id).unwrap() = message.into_row();
                }
                Change::Deleted => self.messages.retain(|known| known.id != message.id),
            }
        }
        if let Some(error) = changes.dropped {
            let later = self.messages.iter_mut().filter(|message| message.is_unanswered());
            // Only earlier rows: a message added by this change is not touched.
            for message in later.filter(|message| message.created_at < now) {
                (message.needs_answer, message.error) = (false, error.clone());
            }
        }
        for letter in changes.dead_letters {
            let row = Letter {
                id: letter.id,
                kind: letter.kind,
                reference: letter.reference,
                class: letter.class.as_str().to_owned(),
                created_at: now,
                open: true,
            };
            self.letters.push((row, letter));
        }
        for (closed, _, _) in changes.closed_letters {
            self.letters.iter_mut().find(|(letter, _)| letter.id == closed.id).unwrap().0.open = false;
        }
        self.activities.extend(changes.activities);
        self.done.extend(changes.events.iter().map(|(event, _)| *event));
        Applied { reply, effects: changes.effects, facts: changes.facts, read_up_to: changes.read_up_to }
    }
}
