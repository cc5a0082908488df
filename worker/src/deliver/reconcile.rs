//! Finding out whether a send happened: its echo may have told already; else the conversation as Meta holds
//! it. That it happened is believed at any time; that it did not, only after the call must have ended.

use super::{Outbox, Step, count_sent, log_sent};
use crate::handler::Outcome;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::retry;
use dmrelay_domain::states::{ConnectionStatus, MessageStatus};
use dmrelay_domain::text::same_text;
use dmrelay_domain::window::{self, Window};
use dmrelay_instagram::{GraphError, ThreadMessage};
use dmrelay_store::entity::message;
use dmrelay_store::{Claimed, Error, GateKey, again_on_contention};
use std::time::Duration;

/// How much Meta's clock may be behind the database's, where a message of ours is looked for. Those that were
/// recorded are not taken again, however new.
const SKEW_MS: i64 = 60_000;

/// How far back the list must reach to tell that there is no such message; Meta's times are whole seconds.
const REACH_MS: i64 = 5_000;

/// Meta gives details for so many of a conversation's newest messages.
const DETAILED: usize = 20;

/// How long to wait where Graph is asked too often without saying for how long.
const THROTTLED: Duration = Duration::from_secs(10);

impl Outbox<'_> {
    /// Finds out what became of a message of unknown outcome.
    pub(super) async fn reconcile(&self, message: &message::Model) -> Result<Step, Error> {
        let thread = match self.ctx.graph.thread(&self.access, &self.user).await {
            Ok(thread) => thread,
            Err(err) => return self.unreadable(message, &err).await,
        };
        let shown = thread.is_some();
        let thread = thread.unwrap_or_default();
        let started = message.started_at.unwrap_or(message.created_at);
        if let Some(mid) = self.find(message, &thread, started).await? {
            return again_on_contention!(self.happened(message, &mid).await);
        }
        let over = self.ctx.store.now().await? >= message.deadline.unwrap_or(0);
        if !over {
            return self.later(FailureClass::Ambiguous, retry::RECONCILE).await;
        }
        // A list that does not reach back to the send cannot tell that it did not happen.
        let reaches =
            shown && (thread.len() < DETAILED || thread.iter().any(|seen| seen.at < started - REACH_MS));
        if !reaches {
            let why = ("unknown", "the conversation does not tell whether it was sent");
            return self.give_up(message, MessageStatus::Unknown, FailureClass::Ambiguous, why).await;
        }
        self.ctx.metrics.reconciliations.with_label_values(&["graph", "did_not_happen"]).inc();
        if self.often_enough(message).await? {
            let code = message.error_code.as_deref().unwrap_or_default();
            let why = (code, "refused as temporarily unavailable again and again while other sends succeed");
            return self.give_up(message, MessageStatus::Failed, FailureClass::Gone, why).await;
        }
        let claimed = Claimed { message: message.clone() };
        let code = message.error_code.clone().unwrap_or_default();
        self.ctx.store.requeue(&claimed, FailureClass::Ambiguous, &code, "it was not sent").await?;
        tracing::info!(message_id = %message.id, attempt = message.attempt, "the send did not happen, it is repeated");
        Ok(Step::Next)
    }

    /// The newest-first list's message that is ours, has these words, is not older than the send, and is
    /// nobody's yet.
    async fn find(
        &self,
        message: &message::Model,
        thread: &[ThreadMessage],
        started: i64,
    ) -> Result<Option<String>, Error> {
        let fits = |seen: &&ThreadMessage| {
            let ours = seen.from.as_deref().is_some_and(|from| from != self.user.as_str());
            let words = match (message.text.as_deref(), seen.text.as_deref()) {
                (Some(ours), Some(theirs)) => same_text(ours, theirs),
                (None, None) => true,
                _ => false,
            };
            ours && words && seen.at >= started - SKEW_MS
        };
        // Oldest first: of two that fit, the earlier is the earlier attempt's.
        let candidates: Vec<String> = thread.iter().rev().filter(fits).map(|seen| seen.mid.clone()).collect();
        let known = self.ctx.store.known_mids(self.connection.id.0, &candidates).await?;
        Ok(candidates.into_iter().find(|mid| !known.contains(mid)))
    }

    async fn happened(&self, message: &message::Model, mid: &str) -> Result<Step, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else {
            return Ok(Step::Later(Outcome::Idle, Duration::ZERO));
        };
        if tx.adopt(&mut chat, (message.id, message.attempt), mid, false).await? {
            chat.row.outbox_attempts = 0;
            tx.save_chat(&chat).await?;
            log_sent(&tx, &self.connection, &chat, message).await?;
            tx.commit().await?;
            count_sent(&self.ctx.metrics, message, chat.now);
        }
        self.ctx.metrics.reconciliations.with_label_values(&["graph", "happened"]).inc();
        tracing::info!(message_id = %message.id, attempt = message.attempt, "the send happened, found in the conversation");
        Ok(Step::Next)
    }

    /// The conversation cannot be read now; nothing is decided without it.
    async fn unreadable(&self, message: &message::Model, err: &GraphError) -> Result<Step, Error> {
        tracing::warn!(chat = %self.leased.chat.id(), class = err.class.as_str(), code = %err.code, "conversation not read");
        match err.class {
            FailureClass::Throttled => {
                let pause = err.retry_after.unwrap_or(THROTTLED);
                let account = GateKey::GraphAccount(self.connection.account.clone());
                self.ctx.gates.close(&account, pause, &err.code).await?;
                Ok(Step::Later(Outcome::Retry(err.class), pause))
            }
            FailureClass::Reauth => {
                let status = ConnectionStatus::ReauthRequired;
                self.ctx.store.park_connection(&self.connection, status, &err.code).await?;
                Ok(Step::Later(Outcome::Retry(err.class), Duration::ZERO))
            }
            class => {
                let now = self.ctx.store.now().await?;
                let over = now >= message.deadline.unwrap_or(0);
                let refused = class.is_final() || class == FailureClass::Restricted;
                let closed = window::at(self.leased.chat.row.window_expires_at, now) != Window::Open;
                if over && (refused || closed) {
                    let why = (
                        err.code.as_str(),
                        "the conversation that would tell whether it was sent cannot be read",
                    );
                    return self.give_up(message, MessageStatus::Unknown, FailureClass::Ambiguous, why).await;
                }
                self.later(class, retry::CALLS).await
            }
        }
    }

    /// Code 2 is also what Graph says where the user has blocked the account: repeated a few times only,
    /// once other sends have shown that the service is there.
    async fn often_enough(&self, message: &message::Model) -> Result<bool, Error> {
        let code_2 = message.error_code.as_deref().is_some_and(|code| code == "2" || code.starts_with("2/"));
        if !code_2 || message.attempt < self.ctx.options.worker.graph_code_2_attempts {
            return Ok(false);
        }
        let success = self.ctx.store.last_success(&self.app_gate()).await?;
        Ok(success.is_some_and(|at| at > message.created_at))
    }
}
