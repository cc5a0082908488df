//! `admin chats`: finds conversations of all subaccounts, for `admin timeline` and `admin erase`.

use super::common::{EXIT_CODES, Listing, now, subaccount};
use super::output::{self, OfSubaccount, Table, or_nothing};
use super::times::{self, span};
use anyhow::ensure;
use clap::Args;
use clap::builder::PossibleValuesParser;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::ChatMode;
use dmrelay_store::entity::chat;
use dmrelay_store::{ChatFilter, Connection, Store};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;

/// Maximum number of accounts that are searched.
const ACCOUNTS_MAX: u64 = 10_000;

/// How long a search may take.
const SEARCH_TIME: Duration = Duration::from_secs(30);

/// Which conversations to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Chats {
    /// Only customers whose handle, name or id contains this text, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only chats of this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    /// Only chats of this connection.
    #[arg(long, conflicts_with = "subaccount")]
    connection: Option<ConnectionId>,
    /// Only chats in this mode.
    #[arg(long, value_parser = PossibleValuesParser::new(ChatMode::ALL.iter().map(|mode| mode.as_str())))]
    mode: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

/// A conversation as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    id: String,
    connection_id: String,
    account: Option<&'a str>,
    instagram_user_id: &'a str,
    username: Option<&'a str>,
    name: Option<&'a str>,
    mode: &'a str,
    flag: Option<&'a str>,
    last_message_at: String,
    /// When the next question is asked, or was due.
    turn_due_at: Option<String>,
    /// When the next send is made, or was due.
    send_due_at: Option<String>,
}

impl Chats {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let connections = self.connections(store).await?;
        let filter = ChatFilter {
            connections: connections.keys().copied().collect(),
            q: self.search.clone(),
            mode: self.mode.clone(),
            search_time: SEARCH_TIME,
            limit: self.listing.limit,
            ..ChatFilter::default()
        };
        let chats = store.chats(&filter).await?.items;
        if self.listing.json {
            let views: Vec<_> = chats.iter().map(|chat| view(chat, &connections)).collect();
            return output::print_json(&views);
        }
        let now = now(store).await?;
        let mut table =
            Table::new(&["CHAT", "SUBACCOUNT", "ACCOUNT", "CUSTOMER", "MODE", "FLAG", "LAST MESSAGE", "DUE"]);
        for chat in &chats {
            table.row(cells(chat, connections.get(&chat.connection_id), now));
        }
        table.print("no chats")?;
        Ok(output::print_if_cut(chats.len(), self.listing.limit)?)
    }

    async fn connections(&self, store: &Store) -> anyhow::Result<HashMap<ConnectionId, Connection>> {
        let found = match self.connection {
            Some(id) => store.connection_by_id(id).await?.into_iter().collect(),
            None => store.connections_of_all(self.subaccount.as_ref(), None, ACCOUNTS_MAX).await?,
        };
        let of = self.subaccount.as_ref().map(|id| format!(" of subaccount {id}")).unwrap_or_default();
        ensure!(!found.is_empty() || self.connection.is_none(), "no connection has this id");
        ensure!(!found.is_empty(), "no account{of} is connected; --connection finds chats of former ones");
        Ok(found.into_iter().map(|connection| (connection.id, connection)).collect())
    }
}

fn view<'a>(
    chat: &'a chat::Model,
    connections: &'a HashMap<ConnectionId, Connection>,
) -> OfSubaccount<'a, View<'a>> {
    let connection = connections.get(&chat.connection_id);
    let subaccount = connection.map_or("", |connection| connection.row.subaccount_id.as_str());
    OfSubaccount::new(
        subaccount,
        View {
            id: chat.id.to_string(),
            connection_id: chat.connection_id.to_string(),
            account: connection.map(|connection| connection.row.instagram_account_id.as_str()),
            instagram_user_id: &chat.instagram_user_id,
            username: chat.username.as_deref(),
            name: chat.name.as_deref(),
            mode: chat.mode.as_str(),
            flag: chat.flag.as_deref(),
            last_message_at: times::shown(chat.last_message_at),
            turn_due_at: chat.turn_due_at.map(times::shown),
            send_due_at: chat.outbox_due_at.map(times::shown),
        },
    )
}

fn cells(chat: &chat::Model, connection: Option<&Connection>, now: Millis) -> [String; 8] {
    let account = connection.map(|connection| {
        connection.row.username.as_ref().unwrap_or(&connection.row.instagram_account_id).clone()
    });
    let customer = match &chat.username {
        Some(username) => format!("{username} ({})", chat.instagram_user_id),
        None => chat.instagram_user_id.clone(),
    };
    let due = |what: &str, at: Option<Millis>| {
        at.map(|at| match at - now {
            left if left > 0 => format!("{what} in {}", span(left)),
            late => format!("{what} for {}", span(-late)),
        })
    };
    let due: Vec<String> =
        [due("question", chat.turn_due_at), due("send", chat.outbox_due_at)].into_iter().flatten().collect();
    [
        chat.id.to_string(),
        or_nothing(connection.map(|connection| &connection.row.subaccount_id)),
        or_nothing(account),
        customer,
        chat.mode.to_string(),
        or_nothing(chat.flag.as_ref()),
        times::shown(chat.last_message_at),
        due.join(", "),
    ]
}
