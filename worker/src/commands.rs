//! Applies commands and counts their results.

use crate::Context;
use dmrelay_domain::conversation::{Command, Fact, Reply, Sent};
use dmrelay_domain::ids::ChatId;
use dmrelay_domain::states::Author;
use dmrelay_runtime::metrics::{Stage, seconds};
use dmrelay_store::{Applied, ApplyError};
use std::time::{Duration, Instant};

/// First and maximum delay before a command is retried.
const RETRY_DELAY_FIRST: Duration = Duration::from_millis(50);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);

impl Context {
    /// Applies a command; on return it is committed and counted.
    pub(crate) async fn apply(&self, chat: ChatId, command: Command) -> Result<Applied, ApplyError> {
        let applied = self.conversations.apply(chat, command).await?;
        self.note_clock(applied.now);
        self.count(&applied);
        Ok(applied)
    }

    /// Records the outcome of a call, retrying as often as needed: a known outcome must not be lost. `None`
    /// if it could not be recorded in time; the call is then reconciled like one whose response was lost.
    pub(crate) async fn record(&self, chat: ChatId, command: Command, until: Instant) -> Option<Applied> {
        let mut pause = RETRY_DELAY_FIRST;
        loop {
            match self.apply(chat, command.clone()).await {
                Ok(applied) => return Some(applied),
                Err(err @ (ApplyError::Unavailable(_) | ApplyError::Busy)) if Instant::now() < until => {
                    tracing::warn!(%chat, error = %err, "cannot record an outcome; retrying");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_DELAY_MAX);
                }
                Err(err) => {
                    tracing::error!(%chat, error = %err, "outcome not recorded; it will be reconciled");
                    return None;
                }
            }
        }
    }

    fn count(&self, applied: &Applied) {
        for fact in &applied.facts {
            self.count_fact(applied, fact);
        }
    }

    fn count_fact(&self, applied: &Applied, fact: &Fact) {
        let (metrics, chat) = (&self.metrics, applied.chat);
        match fact {
            Fact::Ingested(state) => metrics.ingested.with_label_values(&[state.as_str()]).inc(),
            Fact::Received { late, inbox, pickup } => {
                metrics.event_lateness_seconds.observe(seconds(*late));
                metrics.stage(Stage::Inbox, *inbox);
                metrics.stage(Stage::Pickup, *pickup);
            }
            Fact::Asked { debounce, wait } => {
                self.budgets.count(applied.connection, &applied.route, applied.now);
                metrics.stage(Stage::Debounce, *debounce);
                metrics.stage(Stage::Wait, *wait);
            }
            Fact::Answered { turn, took, replies } => {
                metrics.stage(Stage::Agent, *took);
                tracing::info!(%turn, %chat, replies, took_ms = took, "turn answered");
            }
            Fact::Sent(sent) => {
                self.count_sent(sent);
                let reply_ms = sent.now - sent.received_at;
                tracing::info!(message_id = %sent.message, %chat, reply_ms, "message sent");
            }
            Fact::ReplyFailed(class) => metrics.replies_failed.with_label_values(&[class.as_str()]).inc(),
            Fact::Reconciled { service, result } => {
                metrics.reconciliations.with_label_values(&[service, result]).inc();
                tracing::info!(%chat, service, result, "call reconciled");
            }
            Fact::Rescued => {
                metrics.leases_rescued.inc();
                tracing::warn!(%chat, "rescued the work of a dead worker");
            }
            Fact::Late { what } => {
                tracing::warn!(id = %what, %chat, "outcome ignored: it came too late");
            }
            Fact::Runaway => tracing::warn!(%chat, "chat paused: too many turns in an hour"),
        }
    }

    fn count_sent(&self, sent: &Sent) {
        let metrics = &self.metrics;
        metrics.messages_sent.with_label_values(&[sent.author.as_str()]).inc();
        if sent.author != Author::Agent {
            return;
        }
        metrics.answer_to_sent_seconds.observe(seconds(sent.now - sent.created_at));
        // Later replies of an answer waited for the earlier ones; a fallback answers nothing.
        if sent.part != Some(0) {
            return;
        }
        metrics.reply_seconds.observe(seconds(sent.now - sent.received_at));
        metrics.stage(Stage::Queue, sent.started_at - sent.created_at);
        metrics.stage(Stage::Send, sent.now - sent.started_at);
    }

    /// Counts a unit of work as a job of this kind.
    pub(crate) fn count_job(&self, kind: &str, reply: &Reply, began: Instant) {
        let (outcome, class) = match reply {
            Reply::Done => ("done", "none"),
            Reply::Idle | Reply::Refused(_) | Reply::Skipped(_) => ("idle", "none"),
            Reply::Retry(class) => ("retry", class.as_str()),
            Reply::Dead(class) => ("failed", class.as_str()),
        };
        self.metrics.jobs.with_label_values(&[kind, outcome, class]).inc();
        self.metrics.job_seconds.with_label_values(&[kind]).observe(began.elapsed().as_secs_f64());
    }
}
