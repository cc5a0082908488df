//! One look at the conversations of a connection.

use super::Interrupted;
use crate::Context;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::event::{self, Container, Event};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_instagram::{Access, GraphError, Kept, ListPage, Listed};
use dmrelay_store::entity::backfill;
use dmrelay_store::{Connection, Looked, NewEvent};

/// Conversations in a page of the list.
const PAGE: u32 = 25;

/// Meta's times are whole seconds.
const SECOND: Millis = 1_000;

/// So far back a conversation is compared that has changed: it may have been passed over while messages came.
const LOOK_BACK: Millis = 3_600_000;

/// The reason of the slow beat.
const BEAT: &str = "beat";

pub(super) struct Look<'a> {
    pub(super) ctx: &'a Context,
    pub(super) connection: &'a Connection,
    pub(super) access: Access,
}

impl Look<'_> {
    /// Looks at what has changed since the last time.
    pub(super) async fn beat(&self, row: &backfill::Model) -> Result<(), Interrupted> {
        let settled = self.settled().await?;
        // What was before the account was connected is history.
        let connected_at = self.connection.row.connected_at.unwrap_or(self.connection.row.created_at);
        let from = (row.seen_until - LOOK_BACK).max(connected_at - SECOND);
        let mut found = 0;
        let mut after: Option<String> = None;
        'list: loop {
            let page = self.list(after.as_deref()).await?;
            for listed in &page.items {
                if listed.updated_at + SECOND <= row.seen_until {
                    break 'list;
                }
                // What has just been written may be on its way.
                if listed.updated_at <= settled && !self.has_last_of(listed).await? {
                    found += self.thread(&listed.id, (from, settled)).await?.found;
                }
            }
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        self.tell(found, BEAT).await?;
        Ok(self.ctx.store.note_seen(self.connection.id, settled).await?)
    }

    /// Reads all conversations that changed since then, page by page: another process goes on where this one ends.
    pub(super) async fn since(&self, row: &backfill::Model, since: Millis) -> Result<(), Interrupted> {
        let interval = self.ctx.options.worker.backfill_interval;
        let reason = row.reason.as_deref().unwrap_or(BEAT);
        let mut cursor = row.cursor.clone();
        loop {
            let settled = self.settled().await?;
            let page = self.list(cursor.as_deref()).await?;
            let mut looked = Looked::default();
            let mut is_last = page.after.is_none();
            for listed in &page.items {
                if listed.updated_at + SECOND <= since {
                    is_last = true;
                    break;
                }
                let one = self.thread(&listed.id, (since, settled)).await?;
                looked.threads += one.threads;
                looked.skipped += one.skipped;
                looked.found += one.found;
            }
            cursor = page.after.filter(|_| !is_last);
            self.tell(looked.found, reason).await?;
            self.ctx.store.note_backfill(row, (looked, cursor.as_deref()), interval).await?;
            if is_last {
                tracing::info!(connection = %self.connection.id, reason, "conversations compared with Meta's");
                return Ok(());
            }
        }
    }

    /// Until when what was written must have come by a webhook.
    async fn settled(&self) -> Result<Millis, Interrupted> {
        Ok(self.ctx.store.now().await? - millis(self.ctx.options.worker.backfill_settle))
    }

    async fn list(&self, after: Option<&str>) -> Result<ListPage, Interrupted> {
        let listed = self.ctx.graph.conversations(&self.access, after, PAGE).await;
        self.pace().await;
        listed.map_err(Interrupted::Graph)
    }

    /// Whether the last message of a conversation is stored: then a webhook has come for it. A conversation that this process has not
    /// read yet is read.
    async fn has_last_of(&self, listed: &Listed) -> Result<bool, Interrupted> {
        let Some(user) = self.ctx.threads.user(&listed.id) else { return Ok(false) };
        let last = self.ctx.store.last_message_at(self.connection.id, &user).await?;
        Ok(last.is_some_and(|last| last.div_euclid(SECOND) * SECOND >= listed.updated_at))
    }

    /// Compares one conversation, and stores what is missing from this time until that. One that Meta cannot show is skipped.
    async fn thread(&self, id: &str, (from, until): (Millis, Millis)) -> Result<Looked, Interrupted> {
        let read = self.ctx.graph.newest_messages(&self.access, id).await;
        self.pace().await;
        let kept = match read {
            Ok(kept) => kept,
            Err(err) => return self.skipped(id, err),
        };
        let account = self.connection.account.as_str();
        let other = kept.iter().flat_map(|one| [&one.from, &one.to]).find(|id| id.as_str() != account);
        if let Some(user) = other.and_then(|id| InstagramUserId::parse(id).ok()) {
            self.ctx.threads.remember(id, user);
        }
        let range: Vec<&Kept> = kept.iter().filter(|one| (from..=until).contains(&one.at)).collect();
        let mids: Vec<String> = range.iter().map(|one| one.mid.clone()).collect();
        let unknown = self.ctx.store.unknown_mids(self.connection.id, &mids).await?;
        let mut events = Vec::new();
        // Oldest first, as they were written.
        for one in range.into_iter().rev().filter(|one| unknown.contains(&one.mid)) {
            match self.event(one, &kept).await {
                Ok(event) => events.extend(event),
                Err(err) => {
                    self.skipped(&one.mid, err)?;
                }
            }
        }
        let stored = self.ctx.store.insert_events(events.into_iter().map(NewEvent::new).collect()).await?;
        self.ctx.metrics.backfill_threads.with_label_values(&["read"]).inc();
        Ok(Looked { threads: 1, skipped: 0, found: i64::try_from(stored.len()).unwrap_or(i64::MAX) })
    }

    /// The event of a message, to be answered only if that is still worth it: it is fresh, and nothing was written to the customer
    /// after it.
    async fn event(&self, one: &Kept, thread: &[Kept]) -> Result<Option<Event>, GraphError> {
        let account = self.connection.account.as_str();
        let item = self.ctx.graph.as_webhook(&self.access, account, one).await;
        if one.text.is_none() {
            self.pace().await;
        }
        let age = self.ctx.database_now() - one.at;
        let is_fresh = age <= millis(self.ctx.options.worker.backfill_answer_max_age);
        // Newest first: what stands before it came after it.
        let mut later = thread.iter().take_while(|other| other.mid != one.mid);
        let is_last_word = later.all(|other| other.from != account);
        let container = if is_fresh && (is_last_word || one.from == account) {
            Container::Messaging
        } else {
            Container::History
        };
        Ok(event::read_back(account, container, &item?))
    }

    /// What is wrong with one conversation or message keeps no other from being read; what is wrong with Meta or the account does.
    fn skipped(&self, id: &str, err: GraphError) -> Result<Looked, Interrupted> {
        match err.class {
            FailureClass::Throttled | FailureClass::Reauth => return Err(Interrupted::Graph(err)),
            // Without an answer: it is not about this one.
            FailureClass::Transient | FailureClass::Ambiguous if !err.is_answered() => {
                return Err(Interrupted::Graph(err));
            }
            _ => {}
        }
        tracing::warn!(connection = %self.connection.id, id, error = %err, "Meta cannot show a conversation or a message; skipped");
        self.ctx.metrics.backfill_threads.with_label_values(&["skipped"]).inc();
        Ok(Looked { threads: 1, skipped: 1, found: 0 })
    }

    async fn tell(&self, found: i64, reason: &str) -> Result<(), Interrupted> {
        if found == 0 {
            return Ok(());
        }
        tracing::warn!(connection = %self.connection.id, found, reason, "messages found that no webhook has brought");
        let counted = u64::try_from(found).unwrap_or(0);
        self.ctx.metrics.backfill_messages.with_label_values(&[reason]).inc_by(counted);
        Ok(self.ctx.store.note_found(self.connection, found, reason).await?)
    }

    /// Meta allows two of these calls a second for each account (Meta, "Conversations API").
    async fn pace(&self) {
        tokio::time::sleep(self.ctx.options.worker.backfill_call_interval).await;
    }
}
