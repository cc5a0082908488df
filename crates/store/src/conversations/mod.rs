//! Conversations: locked, loaded, decided and saved, many in one transaction.

mod batcher;
mod cache;
mod columns;
mod load;
mod rows;
mod save;

pub use batcher::{ApplyError, Batcher, BatcherOptions};
pub use cache::{ChatIds, ChatOfUser};
pub(crate) use columns::mid_key;
pub use load::EVENTS_MAX;

use crate::{Error, Result, Store, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{
    Command, Conversation, Effect, Fact, Needs, Policy, Reply, Route, SecondLook,
};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId};
use rand::RngExt;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a command has brought about. It is committed.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The conversation.
    pub chat: ChatId,
    /// Its customer.
    pub user: InstagramUserId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Who is called for it.
    pub route: Route,
    /// What became of the command.
    pub reply: Reply,
    /// To be done now.
    pub effects: Vec<Effect>,
    /// For metrics and logs.
    pub facts: Vec<Fact>,
    /// The database's clock when it was decided.
    pub now: Millis,
    /// When the transaction began, before the database's clock was read: the deadlines that it wrote down count from no
    /// earlier than this.
    pub began: Instant,
}

/// What became of a command of a group.
#[derive(Debug)]
pub enum Outcome {
    /// It is committed.
    Applied(Box<Applied>),
    /// There is no such chat, or this version cannot read it.
    Missing,
    /// Another transaction has the chat.
    Busy(Box<Command>),
}

/// How often a group is tried again that has lost against another transaction.
const CONTENTION_TRIES: u32 = 5;

/// How long until then, at first.
const CONTENTION_PAUSE: Duration = Duration::from_millis(10);

/// A command in its place in the group.
type Placed = (usize, Command);

impl Store {
    /// Locks and loads these conversations, applies their commands in their order, and saves what has changed: one
    /// transaction with a fixed number of statements, however many conversations are in it. A chat that another
    /// transaction has locked is passed over. Contention is retried here, and nowhere else.
    ///
    /// # Errors
    /// What the database says; then nothing of it has happened, or, if the connection was lost, nobody knows.
    pub async fn transact(&self, policy: Policy, commands: Vec<(ChatId, Command)>) -> Result<Vec<Outcome>> {
        let mut tries = 0;
        loop {
            match self.try_transact(policy, commands.clone(), true).await {
                Err(err) if err.is_contention() && tries < CONTENTION_TRIES => {
                    tries += 1;
                    tokio::time::sleep(CONTENTION_PAUSE * tries).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// What these commands would come to now. Nothing is changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn preview(&self, policy: Policy, commands: Vec<(ChatId, Command)>) -> Result<Vec<Outcome>> {
        self.try_transact(policy, commands, false).await
    }

    async fn try_transact(
        &self,
        policy: Policy,
        commands: Vec<(ChatId, Command)>,
        keep: bool,
    ) -> Result<Vec<Outcome>> {
        let began = Instant::now();
        let count = commands.len();
        let mut by_chat: HashMap<ChatId, Vec<Placed>> = HashMap::with_capacity(count);
        for (place, (chat, command)) in commands.into_iter().enumerate() {
            by_chat.entry(chat).or_default().push((place, command));
        }
        let tx = self.begin_grouped().await?;
        let wanted: Vec<ChatId> = by_chat.keys().copied().collect();
        let mut conversations = tx.lock_conversations(&wanted, policy).await?;
        let mut outcomes: Vec<Outcome> = (0..count).map(|_| Outcome::Missing).collect();
        tx.pass_over_locked(&conversations, &mut by_chat, &mut outcomes).await?;
        if conversations.is_empty() {
            return Ok(outcomes);
        }
        tx.prepare(&mut conversations, &mut by_chat).await?;
        for (chat, commands) in by_chat {
            let Some(conversation) = conversations.get_mut(&chat) else { continue };
            conversation.jitter = rand::rng().random_range(0.0..1.0);
            for (place, command) in commands {
                outcomes[place] = Outcome::Applied(Box::new(apply(conversation, command, began)));
            }
        }
        if keep {
            let mut changed: Vec<&Conversation> = conversations.values().collect();
            changed.sort_by_key(|one| one.chat.id);
            tx.save(&changed).await?;
            tx.commit().await?;
        } else {
            // Dropped, it would go on holding its locks until somebody uses the connection again.
            tx.rollback().await?;
        }
        Ok(outcomes)
    }

    /// The chats of these users of these connections, made if they are not there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ensure_chats(&self, users: &[(ConnectionId, InstagramUserId)]) -> Result<Vec<ChatId>> {
        let missing = || Error::Row { table: "chats", what: "a connection is gone".to_owned() };
        let is = |chat| match chat {
            ChatOfUser::Is(id) => Ok(id),
            ChatOfUser::Erased | ChatOfUser::Gone => Err(missing()),
        };
        cache::ensure(self, users).await?.into_iter().map(is).collect()
    }
}

/// Applies a command to a loaded conversation. The rows it has changed are saved later, together with those of others.
fn apply(conversation: &mut Conversation, command: Command, began: Instant) -> Applied {
    let reply = conversation.apply(command);
    let connection = &conversation.connection;
    Applied {
        chat: conversation.chat.id,
        user: conversation.chat.user.clone(),
        connection: connection.id,
        route: connection.route(),
        reply,
        effects: std::mem::take(&mut conversation.changes.effects),
        facts: std::mem::take(&mut conversation.changes.facts),
        now: conversation.now,
        began,
    }
}

impl Tx {
    /// Commands of chats that were not locked get their outcome, and leave the group.
    async fn pass_over_locked(
        &self,
        locked: &HashMap<ChatId, Conversation>,
        by_chat: &mut HashMap<ChatId, Vec<Placed>>,
        outcomes: &mut [Outcome],
    ) -> Result<()> {
        let passed: Vec<ChatId> = by_chat.keys().filter(|id| !locked.contains_key(id)).copied().collect();
        if passed.is_empty() {
            return Ok(());
        }
        let existing = self.existing_chats(&passed).await?;
        for id in passed {
            for (place, command) in by_chat.remove(&id).into_iter().flatten() {
                if existing.contains(&id) {
                    outcomes[place] = Outcome::Busy(Box::new(command));
                }
            }
        }
        Ok(())
    }

    /// Loads what the commands need; those that take in events are given the events that wait.
    async fn prepare(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        by_chat: &mut HashMap<ChatId, Vec<Placed>>,
    ) -> Result<()> {
        let receives =
            |commands: &[Placed]| commands.iter().any(|(_, command)| matches!(command, Command::Receive(_)));
        let receiving: Vec<&Conversation> = by_chat
            .iter()
            .filter(|(_, commands)| receives(commands))
            .filter_map(|(id, _)| conversations.get(id))
            .collect();
        if !receiving.is_empty() {
            let mut events = self.waiting_events(&receiving).await?;
            for (id, commands) in by_chat.iter_mut() {
                // The first takes all it may; those after it find what it left.
                let mut left = events.remove(id).unwrap_or_default();
                for (_, command) in commands {
                    let Command::Receive(receive) = command else { continue };
                    receive.events = match receive.only {
                        Some(only) => left.extract_if(.., |event| event.id == only).collect(),
                        None => std::mem::take(&mut left),
                    };
                }
            }
        }
        let needs: HashMap<ChatId, Needs> = by_chat
            .iter()
            .filter_map(|(id, commands)| {
                let one = conversations.get(id)?;
                Some((*id, Needs::of(&one.chat, commands.iter().map(|(_, command)| command))))
            })
            .collect();
        self.load(conversations, &needs).await?;
        // A message that a letter names shows its turn only once it is loaded.
        let mut looked: HashMap<ChatId, SecondLook> = HashMap::new();
        for _ in 0..2 {
            let looks: HashMap<ChatId, SecondLook> = by_chat
                .iter()
                .filter_map(|(id, commands)| {
                    let look =
                        conversations.get(id)?.second_look(commands.iter().map(|(_, command)| command));
                    // What was looked for and is not there will not be there the next time.
                    (!look.is_empty() && looked.get(id) != Some(&look)).then_some((*id, look))
                })
                .collect();
            if looks.is_empty() {
                break;
            }
            self.look_again(conversations, &looks).await?;
            looked = looks;
        }
        Ok(())
    }
}

/// Saves a conversation whose chat is stored, and loads it again: for tests of the mapping.
///
/// # Errors
/// What the database says.
#[doc(hidden)]
pub async fn round_trip(store: &Store, conversation: Conversation) -> Result<Option<Conversation>> {
    let chat = conversation.chat.id;
    let needs = Needs {
        messages: conversation.messages.iter().map(|message| message.id).collect(),
        turns: conversation.turns.iter().map(|turn| turn.id).collect(),
        ..Needs::default()
    };
    let tx = store.begin_grouped().await?;
    tx.save(&[&conversation]).await?;
    tx.commit().await?;
    let tx = store.begin_grouped().await?;
    let mut loaded = tx.lock_conversations(&[chat], conversation.policy).await?;
    tx.load(&mut loaded, &HashMap::from([(chat, needs)])).await?;
    Ok(loaded.remove(&chat))
}

impl Outcome {
    /// What was applied.
    ///
    /// # Errors
    /// [`Error::Row`] if there was nothing to apply it to, or somebody else had it.
    pub fn applied(self) -> Result<Applied> {
        match self {
            Self::Applied(applied) => Ok(*applied),
            Self::Missing => Err(Error::Row { table: "chats", what: "there is no such chat".to_owned() }),
            Self::Busy(_) => {
                Err(Error::Row { table: "chats", what: "another transaction has the chat".to_owned() })
            }
        }
    }
}
