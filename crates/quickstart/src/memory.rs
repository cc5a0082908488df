//! What the simulated Meta and Retell have forgotten since the last start, they are told again: the tokens of connected accounts, their
//! customers with what was said, and the agent's chats. So yesterday's customer can still be answered.

use anyhow::Context as _;
use dmrelay_domain::ids::ChatId;
use dmrelay_domain::states::{Author as Wrote, ConnectionStatus, LoginKind, MessageStatus};
use dmrelay_domain::window::STANDARD;
use dmrelay_simulator::{AccountSpec, Author, Message, Simulator};
use dmrelay_store::entity::{chat, message};
use dmrelay_store::{ChatFilter, Connection, MessageFilter, Store};
use dmrelay_vault::Vault;

/// Conversations of an account that are restored, the most recent ones.
const CHATS_MAX: u64 = 200;

/// Messages of each, the newest ones.
const MESSAGES_MAX: u64 = 50;

/// Restores what the database knows of all connected accounts.
pub(crate) async fn restore(simulator: &Simulator, store: &Store, vault: &Vault) -> anyhow::Result<()> {
    let connections =
        store.connections_of_all(None, None, CHATS_MAX).await.context("cannot list the accounts")?;
    for connection in connections.iter().filter(|one| one.status == ConnectionStatus::Connected) {
        restore_account(simulator, vault, connection);
        let filter =
            ChatFilter { connections: vec![connection.id], limit: CHATS_MAX, ..ChatFilter::default() };
        for chat in store.chats(&filter).await.context("cannot list the conversations")?.items {
            let messages = newest(store, connection, chat.id).await?;
            restore_chat(simulator, connection, &chat, messages);
        }
    }
    Ok(())
}

/// An account whose token cannot be read is left to whoever connects it again.
fn restore_account(simulator: &Simulator, vault: &Vault, connection: &Connection) {
    let Ok(access) = dmrelay_app::access(vault, connection) else { return };
    let username = connection.row.username.as_deref().unwrap_or(connection.account.as_str());
    let mut account = AccountSpec::new(connection.account.as_str(), username, access.token.expose());
    if let (LoginKind::Facebook, Some(page)) = (connection.login, &connection.page) {
        account = account.facebook_login(page.as_str());
    }
    account.subscribed_fields = serde_json::from_str(&connection.row.subscribed_fields).ok();
    simulator.put_account(account);
}

fn restore_chat(simulator: &Simulator, connection: &Connection, chat: &chat::Model, messages: Vec<Message>) {
    let opened_at = chat.window_expires_at.map(|end| end - STANDARD);
    simulator.restore_thread(connection.account.as_str(), &chat.instagram_user_id, opened_at, messages);
    if let Some(id) = &chat.agent_chat_id {
        simulator.put_chat(id, &chat.agent_id);
    }
}

/// The newest messages that Meta has, oldest first.
async fn newest(store: &Store, connection: &Connection, chat: ChatId) -> anyhow::Result<Vec<Message>> {
    let filter = MessageFilter {
        connections: vec![connection.id],
        chat: Some(chat),
        limit: MESSAGES_MAX,
        ..MessageFilter::default()
    };
    let page = store.messages(&filter).await.context("cannot list the messages")?;
    Ok(page.items.iter().rev().filter_map(|listed| known(&listed.message)).collect())
}

fn known(message: &message::Model) -> Option<Message> {
    let is_at_meta = matches!(message.status.known(), Some(MessageStatus::Received | MessageStatus::Sent));
    let mid = message.mid.as_deref().filter(|_| is_at_meta)?;
    let author = match message.author.known()? {
        Wrote::User => Author::Customer,
        Wrote::Agent | Wrote::Human | Wrote::Rule | Wrote::Broadcast => Author::Api,
        Wrote::Native | Wrote::Automation => Author::App,
        Wrote::System => return None,
    };
    Some(Message::known(mid, author, message.sent_at.unwrap_or(message.at), message.text.clone()))
}
