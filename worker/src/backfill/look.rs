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

/// The reason of the regular looks.
const BEAT: &str = "beat";

pub(super) struct Look<'a> {
    pub(super) ctx: &'a Context,
    pub(super) connection: &'a Connection,
    pub(super) access: Access,
}

impl Look<'_> {
    /// Looks at what has changed since the last time: one page of the list. Where more has changed, and once in [`LOOK_BACK`], all of it
    /// is read instead: a conversation whose last message is stored may lack one before.
    pub(super) async fn recent(&self, row: &backfill::Model) -> Result<(), Interrupted> {
        let settled = self.settled().await?;
        let last_read = row.requested_at.unwrap_or_else(|| self.connection.row.connected_since());
        if last_read < settled - LOOK_BACK {
            return self.read_all(last_read - LOOK_BACK).await;
        }
        // What was before the account was connected is history.
        let from = (row.seen_until - LOOK_BACK).max(self.connection.row.connected_since() - SECOND);
        let (mut looked, mut seen_until) = (Looked::default(), settled);
        let page = self.list(None).await?;
        let mut is_all = page.after.is_none();
        for listed in &page.items {
            if listed.updated_at + SECOND <= row.seen_until {
                is_all = true;
                break;
            }
            // What has just been written may be on its way.
            if listed.updated_at <= settled && !self.has_last_of(listed).await? {
                let one = self.thread(&listed.id, (from, settled)).await?;
                // Once more the next time, for a while: Meta may show it then.
                if one.skipped > 0 && listed.updated_at > settled - LOOK_BACK {
                    seen_until = seen_until.min(listed.updated_at - SECOND);
                }
                looked = looked.and(one);
            }
        }
        self.tell(looked.found, BEAT).await?;
        if !is_all {
            return self.read_all(last_read - millis(self.ctx.options.worker.backfill_settle)).await;
        }
        Ok(self.ctx.store.note_seen(self.connection.id, seen_until).await?)
    }

    /// Has everything read that changed since then, page by page.
    async fn read_all(&self, since: Millis) -> Result<(), Interrupted> {
        let since = since.max(self.connection.row.connected_since() - SECOND);
        Ok(self.ctx.store.request_backfill(self.connection.id, since, BEAT).await?)
    }

    /// Reads one page of the conversations that changed since then. The next is read when it is this connection's turn again, by
    /// whichever process claims it.
    pub(super) async fn since(&self, row: &backfill::Model, since: Millis) -> Result<(), Interrupted> {
        let worker = &self.ctx.options.worker;
        let reason = row.reason.as_deref().unwrap_or(BEAT);
        // Zero: what was before is asked for.
        let since = if since > 0 { since.max(self.connection.row.connected_since() - SECOND) } else { since };
        let settled = self.settled().await?;
        let page = self.list(row.cursor.as_deref()).await?;
        let mut looked = Looked::default();
        let mut is_last = page.after.is_none();
        for listed in &page.items {
            if listed.updated_at + SECOND <= since {
                is_last = true;
                break;
            }
            looked = looked.and(self.thread(&listed.id, (since, settled)).await?);
        }
        let cursor = page.after.filter(|_| !is_last);
        self.tell(looked.found, reason).await?;
        let times = (worker.backfill_interval, worker.backfill_settle);
        self.ctx.store.note_backfill(row, (looked, cursor.as_deref()), times).await?;
        if is_last {
            tracing::info!(connection = %self.connection.id, reason, "conversations compared with Meta's");
        }
        Ok(())
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
        let (mut events, mut skipped) = (Vec::new(), 0);
        // Oldest first, as they were written.
        for one in range.into_iter().rev().filter(|one| unknown.contains(&one.mid)) {
            match self.event(one, &kept).await {
                Ok(event) => events.extend(event),
                Err(err) => {
                    skipped += self.skipped(&one.mid, err)?.skipped;
                }
            }
        }
        let stored = self.ctx.store.insert_events(events.into_iter().map(NewEvent::new).collect()).await?;
        self.ctx.metrics.backfill_threads.with_label_values(&["read"]).inc();
        Ok(Looked { threads: 1, skipped, found: i64::try_from(stored.len()).unwrap_or(i64::MAX) })
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
        // What the account wrote before it was connected may be the agent's own, of a former connection: it silences nobody.
        let is_ours = one.from == account && one.at >= self.connection.row.connected_since();
        let is_to_answer = one.from != account && is_last_word;
        let container =
            if is_fresh && (is_to_answer || is_ours) { Container::Messaging } else { Container::History };
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
