//! `admin timeline`: the timeline of one conversation, from its messages, turns, dead letters, and the events
//! of its account. Message text is shown only on request.

mod step;

use super::common::{EXIT_CODES, LIMIT, now, record_reading, user};
use super::output::{self, Table, harmless, print};
use anyhow::{Context as _, bail};
use clap::Args;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId};
use dmrelay_domain::window::{self, Window};
use dmrelay_store::entity::{activity, chat, dead_letter, message, turn};
use dmrelay_store::{Connection, LetterSearch, MessageFilter, Store};
use step::Step;

/// Which conversation to show, and how far back.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Timeline {
    /// The chat.
    #[arg(long, required_unless_present = "connection", conflicts_with_all = ["connection", "user"])]
    chat: Option<ChatId>,
    /// The connection; requires --user.
    #[arg(long, requires = "user")]
    connection: Option<ConnectionId>,
    /// The customer: the Instagram user's id.
    #[arg(long, requires = "connection", value_parser = user)]
    user: Option<InstagramUserId>,
    /// Maximum number of messages, newest first.
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u64).range(1..=MESSAGES_MAX))]
    limit: u64,
    /// Also show message text. That is recorded in the activity log.
    #[arg(long)]
    text: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Maximum number of messages in a timeline.
const MESSAGES_MAX: u64 = 2_000;

/// Maximum number of turns, and of dead letters, in a timeline.
const ROWS_MAX: u64 = 1_000;

/// The loaded rows.
struct Found {
    messages: Vec<message::Model>,
    turns: Vec<turn::Model>,
    modes: Vec<activity::Model>,
    incidents: Vec<activity::Model>,
    letters: Vec<dead_letter::Model>,
}

impl Timeline {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let chat = self.find(store).await?;
        let connection = store.connection_by_id(chat.connection_id).await?;
        let connection = connection.context("the chat's connection is gone")?;
        let steps = self.gather(store, &chat, &connection).await?.steps(self.text);
        if self.text {
            record_reading(store, &connection, "timeline --text", &chat.id).await?;
        }
        if self.json {
            return output::print_json(&steps);
        }
        print(head(&chat, &connection, now(store).await?))?;
        table(&steps)
    }

    async fn find(&self, store: &Store) -> anyhow::Result<chat::Model> {
        match (self.chat, self.connection, &self.user) {
            (Some(id), _, _) => store.chat(id).await?.with_context(|| format!("no chat has the id {id}")),
            (None, Some(connection), Some(user)) => {
                let chat = store.chat_of_user(connection, user).await?;
                chat.with_context(|| format!("the connection {connection} has no chat with the user {user}"))
            }
            _ => bail!("pass --chat, or --connection and --user"),
        }
    }

    async fn gather(
        &self,
        store: &Store,
        chat: &chat::Model,
        connection: &Connection,
    ) -> anyhow::Result<Found> {
        let filter = MessageFilter {
            connections: vec![connection.id],
            chat: Some(chat.id),
            limit: self.limit,
            ..MessageFilter::default()
        };
        let page = store.messages(&filter).await?;
        let messages: Vec<_> = page.items.into_iter().map(|listed| listed.message).collect();
        // Where older messages are left out, other events of their time are left out too.
        let first = messages.iter().map(|row| row.created_at.min(row.received_at)).min();
        let since = if page.next.is_some() { first.unwrap_or_default() } else { chat.created_at };
        let until = now(store).await?.saturating_add(1);
        let search = LetterSearch {
            subaccount: Some(connection.subaccount.clone()),
            chat: Some(chat.id),
            since: Some(since),
            ..LetterSearch::default()
        };
        Ok(Found {
            messages,
            turns: store.turns_since(chat.id, since, ROWS_MAX).await?,
            modes: store.mode_changes(chat.id, since, until, ROWS_MAX).await?,
            incidents: store.incidents(connection, since, until).await?,
            letters: store.newest_letters(&search, ROWS_MAX).await?,
        })
    }
}

impl Found {
    fn steps(&self, with_text: bool) -> Vec<Step> {
        let moments = dmrelay_views::moments(&self.messages, &self.turns, &self.modes);
        let mut steps: Vec<Step> =
            moments.iter().map(|moment| Step::of_moment(moment, &self.messages, &self.turns)).collect();
        steps.extend(self.incidents.iter().map(Step::of_incident));
        steps.extend(self.letters.iter().flat_map(Step::of_letter));
        // Simultaneous events stay in their usual order.
        steps.sort_by_key(Step::time);
        step::tell_rows_once(&mut steps, &self.messages, with_text);
        step::measure(&mut steps);
        steps
    }
}

fn head(chat: &chat::Model, connection: &Connection, now: Millis) -> String {
    let window = match window::at(chat.window_expires_at, now) {
        Window::Open => "open",
        Window::HumanAgent => "open for human agents only",
        Window::Closed => "closed",
    };
    let mode = chat.mode_reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let head = format!(
        "chat {} of {} / {}, account {} with user {}; mode {}{mode}, window {window}, account {}",
        chat.id,
        connection.subaccount,
        connection.agent,
        connection.account,
        chat.instagram_user_id,
        chat.mode,
        connection.status,
    );
    harmless(&head)
}

fn table(steps: &[Step]) -> anyhow::Result<()> {
    let mut table = Table::new(&["TIME", "AFTER", "WHAT", "WHO", "STATUS", "TRIES", "ERROR", "MORE"]);
    for step in steps {
        table.row(step.cells());
    }
    Ok(table.print("no events")?)
}
