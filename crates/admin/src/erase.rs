//! `admin erase`: forgets a customer, an account or a whole subaccount; and what became of such requests.

use super::common::{EXIT_CODES, Listing, operator, subaccount, user};
use super::output::{self, Table, print};
use super::times;
use anyhow::bail;
use clap::Args;
use dmrelay_domain::ids::{InstagramAccountId, InstagramUserId, SubaccountId};
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_store::{AGENT_CALLS_SETTLED, Connection, Erased, NewErasure, Store};
use serde::Serialize;
use std::time::Duration;

/// What to erase.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Erase {
    /// The subaccount; without --account and --user, everything it has.
    #[arg(long, value_parser = subaccount)]
    subaccount: SubaccountId,
    /// Only this Instagram account.
    #[arg(long, value_parser = account)]
    account: Option<InstagramAccountId>,
    /// Only this customer, by their Instagram user id.
    #[arg(long, value_parser = user)]
    user: Option<InstagramUserId>,
    /// Erase it. Without this, only what would be erased is printed.
    #[arg(long)]
    yes: bool,
}

/// Which requests to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Erasures {
    #[command(flatten)]
    listing: Listing,
}

/// A request as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    erasure_id: String,
    subaccount_id: String,
    connection_id: Option<String>,
    code: Option<String>,
    actor: String,
    state: String,
    users: i64,
    due_at: String,
    finished_at: Option<String>,
}

fn account(text: &str) -> Result<InstagramAccountId, String> {
    InstagramAccountId::parse(text).map_err(|err| err.to_string())
}

impl Erase {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let mut connections = store.connections(&self.subaccount, None).await?;
        if let Some(account) = &self.account {
            connections.retain(|connection| connection.account == *account);
            if connections.is_empty() {
                bail!("{} has no connection of the account {account}", self.subaccount);
            }
        }
        match &self.user {
            Some(user) => self.erase_user(store, &connections, user).await,
            None => self.erase_accounts(store, &connections).await,
        }
    }

    async fn erase_user(
        &self,
        store: &Store,
        connections: &[Connection],
        user: &InstagramUserId,
    ) -> anyhow::Result<()> {
        let mut chats = 0;
        for connection in connections {
            chats += u32::from(store.chat_of_user(connection.id, user).await?.is_some());
        }
        if !self.yes {
            return Ok(print(format!(
                "{user} has {chats} conversations in {} accounts of {}; erase them with --yes",
                connections.len(),
                self.subaccount
            ))?);
        }
        let mut all = Erased::default();
        for connection in connections {
            let erased = store.erase_user(connection, user, &operator(), AGENT_CALLS_SETTLED).await?;
            all.messages += erased.messages;
            all.turns += erased.turns;
            all.dead_letters += erased.dead_letters;
            all.events += erased.events;
            all.agent_chats += erased.agent_chats;
        }
        let Erased { messages, turns, dead_letters, events, agent_chats, .. } = all;
        Ok(print(format!(
            "erased {user}: {messages} messages, {turns} turns, {dead_letters} dead letters, {events} events; \
             {agent_chats} agent chats are deleted at their provider within minutes, by a worker"
        ))?)
    }

    async fn erase_accounts(&self, store: &Store, connections: &[Connection]) -> anyhow::Result<()> {
        if !self.yes {
            let what = if self.account.is_some() {
                "the account"
            } else {
                "everything of the subaccount, with its API keys"
            };
            let mut table = Table::new(&["ACCOUNT", "AGENT", "STATUS", "CONNECTION"]);
            for one in connections {
                table.row([
                    one.account.to_string(),
                    one.agent.to_string(),
                    one.status.to_string(),
                    one.id.to_string(),
                ]);
            }
            table.print("no accounts")?;
            return Ok(print(format!("erase {what} with --yes: it is disconnected and cannot be restored"))?);
        }
        if self.account.is_none() {
            store.disconnect_all(&self.subaccount, &operator()).await?;
            let tx = store.begin().await?;
            let id = tx.request_erasure(&self.request(None)).await?;
            tx.commit().await?;
            return Ok(print(format!("a worker erases {} now ({id}); see admin erasures", self.subaccount))?);
        }
        for connection in connections {
            let tx = store.begin().await?;
            if connection.status != ConnectionStatus::Disconnected {
                tx.mark_disconnecting(connection.id, "its data is to be erased").await?;
            }
            let id = tx.request_erasure(&self.request(Some(connection))).await?;
            tx.commit().await?;
            print(format!(
                "a worker erases the account {} now ({id}); see admin erasures",
                connection.account
            ))?;
        }
        Ok(())
    }

    fn request(&self, connection: Option<&Connection>) -> NewErasure {
        NewErasure {
            subaccount: self.subaccount.clone(),
            connection: connection.map(|connection| connection.id),
            actor: operator(),
            code: None,
            grace: Duration::ZERO,
        }
    }
}

impl Erasures {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let rows = store.erasures(self.listing.limit).await?;
        let views = rows.iter().map(|row| View {
            erasure_id: row.id.to_string(),
            subaccount_id: row.subaccount_id.clone(),
            connection_id: row.connection_id.map(|id| id.to_string()),
            code: row.code.clone(),
            actor: row.actor.clone(),
            state: row.state.to_string(),
            users: row.users,
            due_at: times::shown(row.due_at),
            finished_at: row.finished_at.map(times::shown),
        });
        if self.listing.json {
            return output::print_json(&views.collect::<Vec<_>>());
        }
        let mut table =
            Table::new(&["STATE", "SUBACCOUNT", "CONNECTION", "USERS", "DUE", "FINISHED", "BY", "CODE"]);
        for view in views {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                view.state,
                view.subaccount_id,
                or_dash(view.connection_id),
                view.users.to_string(),
                view.due_at,
                or_dash(view.finished_at),
                view.actor,
                or_dash(view.code),
            ]);
        }
        table.print("no erasures")?;
        let (waiting, given_up) = store.agent_chats_to_delete().await?;
        if waiting > 0 {
            print(format!("{waiting} agent chats are still to be deleted at their provider"))?;
        }
        if given_up > 0 {
            print(format!(
                "{given_up} agent chats could not be deleted at their provider: delete them there \
                 (SELECT agent_chat_id, error FROM agent_chat_deletions WHERE due_at IS NULL)"
            ))?;
        }
        Ok(output::print_if_cut(rows.len(), self.listing.limit)?)
    }
}
