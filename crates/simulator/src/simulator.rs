//! The handle: all operations on a running simulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::act::{self, Act, Batch};
use crate::cdn::Medium;
use crate::engine::Core;
use crate::faults::{Fault, FaultState};
use crate::record::Record;
use crate::retell::{AgentRule, Chat, ChatStatus};
use crate::server;
use crate::settings::{Options, Settings, WebhookTarget};
use crate::webhook::{self, Handshake, RawWebhook, ReleaseOrder, SentRaw};
use crate::words::Words;
use crate::world::account::{Account, AccountSpec, TokenState};
use crate::world::action::Action;
use crate::world::thread::{Message, Person, ThreadKey};

/// An error of the simulator.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The address is in use, or not local.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The webhook client could not be built.
    #[error("cannot build the webhook client: {0}")]
    Client(#[from] reqwest::Error),
    /// A condition was not met in time.
    #[error("timed out after {within:?} waiting for {what}; reached so far: {reached}")]
    InVain {
        /// The condition.
        what: String,
        /// The timeout.
        within: Duration,
        /// Counts of what reached the simulator.
        reached: String,
    },
}

/// A conversation as stored by Meta.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// Its id in the Conversations API.
    pub conversation_id: String,
    /// The person.
    pub person: Person,
    /// The customer's last action that opened the reply window.
    pub opened_ms: Option<i64>,
    /// All messages, oldest first.
    pub messages: Vec<Message>,
}

/// A customer of an account.
#[derive(Clone, Debug)]
pub struct Customer {
    core: Arc<Core>,
    account: String,
    user: String,
}

impl Customer {
    /// They do something in the app.
    pub fn act(&self, action: Action) {
        act::act(&self.core, Act::new(&self.account, &self.user, action));
    }

    /// What they see, oldest first.
    pub fn conversation(&self) -> Vec<Message> {
        let Some(thread) = thread(&self.core, &self.account, &self.user) else { return Vec::new() };
        thread.messages.into_iter().filter(|message| !message.unsent).collect()
    }

    /// So much time goes by for the conversation: what was written becomes older, and the window closes sooner.
    pub fn let_pass(&self, time: Duration) {
        let by = crate::clock::as_ms(time);
        self.core.change(|world| {
            let thread = world.open_thread(&ThreadKey::new(&self.account, &self.user));
            thread.opened_ms = thread.opened_ms.map(|at| at - by);
            for message in &mut thread.messages {
                message.created_ms -= by;
            }
        });
    }

    /// The address of a medium that they send.
    pub fn medium_url(&self, name: &str) -> String {
        self.core.medium_url(name)
    }

    /// Their id.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Something goes wrong with the account they write to, until the fault with this id is cleared.
    pub fn add_fault(&self, fault: Fault) -> u64 {
        self.core.change(|world| world.faults.add(fault))
    }

    /// Clears a fault.
    pub fn clear_fault(&self, id: u64) {
        self.core.change(|world| world.faults.clear(Some(id)));
    }

    /// Meta delivers webhooks twice with this probability.
    pub fn deliver_twice(&self, probability: f64) {
        self.core.change(|world| world.settings.webhooks.duplicate_probability = probability);
    }

    /// The account's tokens become valid or invalid.
    pub fn set_tokens(&self, state: TokenState) {
        self.core.change(|world| world.set_tokens(&self.account, state));
    }
}

/// A running simulator. It stops when this is dropped; `stop` also waits for its tasks.
#[derive(Debug)]
pub struct Simulator {
    core: Arc<Core>,
    addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulator.
    pub async fn start(options: Options) -> Result<Self, Failed> {
        let listen = |source| Failed::Listen { addr: options.addr, source };
        let listener = TcpListener::bind(options.addr).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let core = Core::new(options.settings, format!("http://{addr}"))?;
        let server = tokio::spawn(server::serve(listener, Arc::clone(&core)));
        Ok(Self { core, addr, server })
    }

    /// A customer of an account, for somebody who plays them while the simulator runs.
    pub fn customer(&self, account: &str, user: &str) -> Customer {
        Customer { core: self.core.clone(), account: account.to_owned(), user: user.to_owned() }
    }

    /// Stops all deliveries and connections.
    pub async fn stop(mut self) {
        self.core.finish().await;
        self.server.abort();
        // The address is free only once the listener is gone.
        let _ = (&mut self.server).await;
    }

    /// Its listen address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL in place of `https://graph.facebook.com`.
    pub fn graph_url(&self) -> String {
        format!("http://{}/graph", self.addr)
    }

    /// Base URL in place of `https://graph.instagram.com`.
    pub fn instagram_url(&self) -> String {
        format!("http://{}/instagram", self.addr)
    }

    /// Base URL in place of `https://api.retellai.com`.
    pub fn retell_url(&self) -> String {
        format!("http://{}/retell", self.addr)
    }

    /// Base URL in place of `https://www.instagram.com` and `https://api.instagram.com`, for logins.
    pub fn instagram_login_url(&self) -> String {
        format!("http://{}/login/instagram", self.addr)
    }

    /// Base URL in place of `https://www.facebook.com`, for logins.
    pub fn facebook_login_url(&self) -> String {
        format!("http://{}/login/facebook", self.addr)
    }

    /// The address of a medium that customers send: `vase` and `voice` are always there.
    pub fn medium_url(&self, name: &str) -> String {
        self.core.medium_url(name)
    }

    /// What the server of media answers for this one.
    pub fn put_medium(&self, name: &str, medium: Medium) {
        self.core.change(|world| world.cdn.media.insert(name.to_owned(), medium));
    }

    /// What the service says that puts media into words.
    pub fn put_words(&self, words: Words) {
        self.core.change(|world| world.words = words);
    }

    /// Base URL of that service.
    pub fn words_url(&self) -> String {
        format!("http://{}/openai/v1", self.addr)
    }

    /// How often a medium was asked for.
    pub fn media_asked(&self, name: &str) -> u32 {
        self.core.read(|world| world.cdn.asked.get(name).copied().unwrap_or_default())
    }

    /// Base URL of the control calls.
    pub fn control_url(&self) -> String {
        format!("http://{}/_sim", self.addr)
    }

    /// The current settings.
    pub fn settings(&self) -> Settings {
        self.core.read(|world| world.settings.clone())
    }

    /// Changes settings.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        self.core.change(|world| change(&mut world.settings));
    }

    /// Adds an account, or replaces it.
    pub fn put_account(&self, account: AccountSpec) {
        let now = self.core.clock.now_ms();
        self.core.change(|world| world.put_account(account, now));
    }

    /// Whether the account's owner lets apps read its messages.
    pub fn set_message_access(&self, account: &str, is_on: bool) {
        self.change_account(account, |account| account.access_off = !is_on);
    }

    /// The account's ice breakers and menu are others, set in the Instagram app, say.
    pub fn set_profile(&self, account: &str, profile: serde_json::Map<String, serde_json::Value>) {
        self.change_account(account, |account| account.profile = profile);
    }

    /// Ends the account's subscription, as Meta does after failed deliveries.
    pub fn unsubscribe(&self, account: &str) {
        self.change_account(account, |account| account.subscribed = None);
    }

    /// What the account's owner has granted.
    pub fn set_permissions(&self, account: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|&name| name.to_owned()).collect();
        self.change_account(account, |account| account.permissions = permissions);
    }

    fn change_account(&self, account: &str, change: impl FnOnce(&mut Account)) {
        self.core.change(|world| world.accounts.get_mut(account).map(change));
    }

    /// When the app's access to the data of an account's Page ends, in milliseconds.
    pub fn end_data_access(&self, account: &str, at_ms: i64) {
        self.core.change(|world| {
            for token in world.tokens.values_mut().filter(|token| token.account == account) {
                token.data_access_ends_ms = Some(at_ms);
            }
        });
    }

    /// Makes an account's tokens expire, revoked, or valid again.
    pub fn set_tokens(&self, account: &str, state: TokenState) {
        self.core.change(|world| world.set_tokens(account, state));
    }

    /// The webhook fields an account is subscribed to; `None` if it is not.
    pub fn subscribed_fields(&self, account: &str) -> Option<Vec<String>> {
        self.core.read(|world| world.accounts.get(account)?.subscribed.clone())
    }

    /// Target of webhooks whose account has no target of its own.
    pub fn set_webhook(&self, target: Option<WebhookTarget>) {
        self.configure(|settings| settings.webhooks.target = target);
    }

    /// Describes a customer, and whether they can be reached. Creates the thread if there is none.
    pub fn set_person(&self, account: &str, user: &str, person: Person) {
        self.core.change(|world| world.open_thread(&ThreadKey::new(account, user)).person = person);
    }

    /// Gives a customer a conversation that Meta has stored before, and that nobody is told of. `opened_ms` is when the customer's last
    /// action opened the reply window.
    pub fn restore_thread(&self, account: &str, user: &str, opened_ms: Option<i64>, messages: Vec<Message>) {
        let key = ThreadKey::new(account, user);
        self.core.change(|world| {
            let thread = world.open_thread(&key);
            thread.opened_ms = thread.opened_ms.max(opened_ms);
            for message in messages {
                world.add_message(&key, message);
            }
        });
    }

    /// Sets the behaviour of an agent.
    pub fn put_agent(&self, agent: &str, rule: AgentRule) {
        self.core.change(|world| world.agents.insert(agent.to_owned(), rule));
    }

    /// A chat as stored by Retell.
    pub fn chat(&self, chat: &str) -> Option<Chat> {
        self.core.read(|world| world.chats.get(chat).cloned())
    }

    /// All chats, newest last.
    pub fn chats(&self) -> Vec<Chat> {
        let mut chats: Vec<Chat> = self.core.read(|world| world.chats.values().cloned().collect());
        chats.sort_by_key(|chat| chat.started_ms);
        chats
    }

    /// Adds a chat with this id, empty; one that has the id is replaced.
    pub fn put_chat(&self, chat: &str, agent: &str) {
        let now = self.core.clock.now_ms();
        self.core.change(|world| world.put_chat(chat, agent, now));
    }

    /// Ends a chat, or makes it fail. False if there is none.
    pub fn set_chat_status(&self, chat: &str, status: ChatStatus) -> bool {
        let now = self.core.clock.now_ms();
        self.core.change(|world| world.set_chat_status(chat, status, now))
    }

    /// Performs an action. Returns the id of the message or comment, if there is one.
    pub fn act(&self, act: Act) -> Option<String> {
        act::act(&self.core, act)
    }

    /// The public replies to a comment, and whether it is hidden. `None` if there is no such comment.
    pub fn comment(&self, id: &str) -> Option<(Vec<String>, bool)> {
        self.core
            .read(|world| world.comments.get(id).map(|comment| (comment.replies.clone(), comment.hidden)))
    }

    /// A customer writes a text. Returns its mid.
    pub fn say(&self, account: &str, user: &str, text: impl Into<String>) -> String {
        self.act(Act::new(account, user, Action::text(text))).unwrap_or_default()
    }

    /// Many texts at once. Returns their mids.
    pub fn say_all(&self, batch: Batch) -> Vec<String> {
        act::say_all(&self.core, batch)
    }

    /// Adds a fault. Returns its number.
    pub fn add_fault(&self, fault: Fault) -> u64 {
        self.core.change(|world| world.faults.add(fault))
    }

    /// All faults with their history.
    pub fn faults(&self) -> Vec<FaultState> {
        self.core.read(|world| world.faults.list())
    }

    /// Clears one fault, or all.
    pub fn clear_faults(&self, id: Option<u64>) {
        self.core.change(|world| world.faults.clear(id));
    }

    /// Holds webhooks from now on.
    pub fn hold_webhooks(&self) {
        self.core.courier.hold();
    }

    /// Releases the held webhooks. Returns their number.
    pub fn release_webhooks(&self, updates_per_post: usize, order: ReleaseOrder) -> usize {
        webhook::release(&self.core, updates_per_post, order)
    }

    /// Meta's verification handshake of a callback URL.
    pub async fn handshake(&self, account: Option<&str>, verify_token: Option<&str>) -> Handshake {
        webhook::handshake(&self.core, account, verify_token).await
    }

    /// POSTs an arbitrary body once, signed as requested.
    pub async fn send_raw(&self, raw: RawWebhook) -> SentRaw {
        webhook::send_raw(&self.core, raw).await
    }

    /// The event of the dashboard's "Test" button.
    pub async fn send_dashboard_test(&self, account: Option<&str>, instagram_login: bool) -> SentRaw {
        let body = webhook::dashboard_test(instagram_login);
        let raw = RawWebhook { account: account.map(str::to_owned), body, ..RawWebhook::default() };
        self.send_raw(raw).await
    }

    /// Moves the simulator's clock, so that windows close and silence ends chats.
    pub fn advance(&self, by: Duration) {
        self.core.clock.advance(by);
    }

    /// The simulator's clock, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.core.clock.now_ms()
    }

    /// Reads the record.
    pub fn record<R>(&self, look: impl FnOnce(&Record) -> R) -> R {
        self.core.read(|world| look(&world.record))
    }

    /// A conversation as stored by Meta.
    pub fn thread(&self, account: &str, user: &str) -> Option<Thread> {
        thread(&self.core, account, user)
    }

    /// Waits until the record satisfies a condition, which is checked after every change, without polling.
    pub async fn wait_for(
        &self,
        what: &str,
        within: Duration,
        mut condition: impl FnMut(&Record) -> bool,
    ) -> Result<(), Failed> {
        let mut changes = self.core.changes.subscribe();
        let watch = async {
            loop {
                if self.record(&mut condition) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(within, watch).await.map_err(|_| Failed::InVain {
            what: what.to_owned(),
            within,
            reached: self.record(|record| format!("{:?}, {} sends", record.calls, record.send_count)),
        })
    }

    /// Counts changes of the simulator's state, for conditions that `wait_for` does not cover.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.core.changes.subscribe()
    }

    /// Resets the record and keeps everything else, e.g. after a warm-up.
    pub fn clear_record(&self) {
        self.core.change(|world| world.record.clear());
    }

    /// Resets accounts, threads, chats, faults, deliveries and the record; keeps the settings.
    pub fn reset(&self) {
        reset(&self.core);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.core.stop.cancel();
        // Otherwise a caller that never hangs up would hold the listener.
        self.server.abort();
    }
}

pub(crate) fn reset(core: &Core) {
    core.clock.reset();
    core.courier.forget();
    core.change(crate::world::World::reset);
}

pub(crate) fn thread(core: &Core, account: &str, user: &str) -> Option<Thread> {
    core.read(|world| {
        let thread = world.thread(account, user)?;
        Some(Thread {
            conversation_id: thread.conversation_id.clone(),
            person: thread.person.clone(),
            opened_ms: thread.opened_ms,
            messages: thread.messages.iter().cloned().collect(),
        })
    })
}
