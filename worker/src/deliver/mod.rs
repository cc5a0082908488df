//! `deliver`: sends what a chat's outbox holds, one message at a time and in order. A send whose outcome is
//! unknown is looked up before anything else of the chat is sent.

mod reconcile;
mod send;
mod timing;

pub(crate) use timing::count_sent;

use crate::Context;
use crate::handler::Outcome;
use crate::lease::{Leasable, Renewal};
use dmrelay_domain::clock::millis;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, InstagramUserId};
use dmrelay_domain::retry;
use dmrelay_domain::states::{Author, MessageStatus};
use dmrelay_domain::trace::TraceId;
use dmrelay_instagram::Access;
use dmrelay_runtime::span_of;
use dmrelay_store::entity::message;
use dmrelay_store::{
    Acceptance, Activity, ActivityKind, Claimed, Connection, DeadLetter, Error, GateKey, Leased, LockedChat,
    Subject, Tx, again_on_contention,
};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// The most messages one job sends; what is left is dispatched again.
const MOST: usize = 50;

/// How long a chat waits whose connection's token cannot be opened.
const UNUSABLE: Duration = Duration::from_mins(1);

/// The outbox of a chat, leased.
pub(super) struct Outbox<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) leased: &'a Leased,
    pub(super) connection: Connection,
    pub(super) access: Access,
    pub(super) user: InstagramUserId,
}

/// How the outbox goes on after one message.
pub(super) enum Step {
    /// With the next message.
    Next,
    /// Later; the lease is to be given back with this delay.
    Later(Outcome, Duration),
}

/// Sends what is due of a chat.
pub(crate) async fn run(ctx: &Arc<Context>, chat: ChatId) -> Result<Outcome, Error> {
    let Some(leased) = ctx.store.lease_outbox(chat, ctx.options.worker.lease).await? else {
        return Ok(Outcome::Idle);
    };
    let _renewal = Renewal::start(ctx, Leasable::Outbox, chat, leased.token);
    let outcome = work(ctx, &leased).await;
    if outcome.is_err() {
        // Best effort: without it the lease runs out by itself.
        let _ = ctx.store.release_outbox(chat, leased.token, retry::CALLS.bound(1)).await;
    }
    outcome
}

async fn work(ctx: &Arc<Context>, leased: &Leased) -> Result<Outcome, Error> {
    let chat = leased.chat.id();
    let Some(outbox) = Outbox::open(ctx, leased).await? else {
        ctx.store.release_outbox(chat, leased.token, UNUSABLE).await?;
        return Ok(Outcome::Retry(FailureClass::Reauth));
    };
    for _ in 0..MOST {
        let Some(message) = ctx.store.outbox_head(chat, outbox.connection.row.bot_paused).await? else {
            return again_on_contention!(outbox.finish().await);
        };
        let trace = TraceId::of(message.trace_id);
        let span = span_of!(trace, "deliver", message_id = %message.id);
        if let Step::Later(outcome, delay) = outbox.step(&message).instrument(span).await? {
            ctx.store.release_outbox(chat, leased.token, delay).await?;
            return Ok(outcome);
        }
    }
    ctx.store.release_outbox(chat, leased.token, Duration::ZERO).await?;
    Ok(Outcome::Done)
}

impl<'a> Outbox<'a> {
    /// Nothing where the connection cannot be used now.
    async fn open(ctx: &'a Arc<Context>, leased: &'a Leased) -> Result<Option<Self>, Error> {
        let id = leased.chat.row.connection_id.into();
        let Some(connection) = ctx.store.connection_by_id(id).await? else { return Ok(None) };
        let access = match ctx.access(&connection) {
            Ok(access) => access,
            Err(err) => {
                tracing::error!(connection = %connection.id, error = %err, "the connection's token cannot be opened");
                return Ok(None);
            }
        };
        let user = InstagramUserId::parse(&leased.chat.row.instagram_user_id)
            .map_err(|err| Error::Row { table: "chats", what: err.to_string() })?;
        Ok(Some(Self { ctx, leased, connection, access, user }))
    }

    pub(super) fn gates(&self) -> [GateKey; 2] {
        [self.app_gate(), GateKey::GraphAccount(self.connection.account.clone())]
    }

    pub(super) fn app_gate(&self) -> GateKey {
        GateKey::GraphApp(self.connection.login)
    }

    async fn step(&self, message: &message::Model) -> Result<Step, Error> {
        match MessageStatus::parse(&message.status) {
            Some(MessageStatus::Queued) => self.send(message).await,
            Some(MessageStatus::Sending) => {
                // Nobody else holds the lease: whoever began this send is gone.
                self.ctx.metrics.leases_rescued.inc();
                tracing::warn!(message_id = %message.id, "send taken over from a worker that is gone");
                self.ctx
                    .store
                    .doubt(message, FailureClass::Ambiguous, "", "the worker that sent is gone")
                    .await?;
                self.reconcile(message).await
            }
            _ => self.reconcile(message).await,
        }
    }

    /// Nothing waits any more, unless something came just now.
    async fn finish(&self) -> Result<Outcome, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else { return Ok(Outcome::Idle) };
        let waits = tx.outbox_waits(&chat).await?;
        chat.row.outbox_due_at = waits.then_some(chat.now);
        chat.row.outbox_attempts = 0;
        tx.save_chat(&chat).await?;
        tx.end_outbox_lease(&chat, self.leased.token).await?;
        tx.commit().await?;
        Ok(Outcome::Done)
    }

    /// One more failure in a row; gives how many.
    pub(super) async fn failed_again(&self) -> Result<u32, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else { return Ok(1) };
        chat.row.outbox_attempts = chat.row.outbox_attempts.saturating_add(1);
        tx.save_chat(&chat).await?;
        tx.commit().await?;
        Ok(u32::try_from(chat.row.outbox_attempts).unwrap_or(1))
    }

    /// Records that Graph accepted the message.
    pub(super) async fn sent(&self, claimed: &Claimed, mid: &str) -> Result<Step, Error> {
        again_on_contention!(self.record_sent(claimed, mid).await)?;
        Ok(Step::Next)
    }

    async fn record_sent(&self, claimed: &Claimed, mid: &str) -> Result<(), Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else { return Ok(()) };
        let acceptance = tx.record_sent(&mut chat, claimed, mid).await?;
        match acceptance {
            Acceptance::News => log_sent(&tx, &self.connection, &chat, &claimed.message).await?,
            Acceptance::Known => {}
            Acceptance::Late => {
                tracing::error!(message_id = %claimed.message.id, "sent, but the message had moved on: it may be said twice");
            }
        }
        chat.row.outbox_attempts = 0;
        tx.save_chat(&chat).await?;
        tx.commit().await?;
        if acceptance == Acceptance::News {
            count_sent(&self.ctx.metrics, &claimed.message, chat.now);
        }
        let waited = chat.now.saturating_sub(claimed.message.received_at);
        tracing::info!(chat = %chat.id(), reply_ms = waited, "sent");
        Ok(())
    }

    /// Ends a message for good, with a dead letter.
    pub(super) async fn give_up(
        &self,
        message: &message::Model,
        status: MessageStatus,
        class: FailureClass,
        (code, error): (&str, &str),
    ) -> Result<Step, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(mut chat) = tx.lock_chat(self.leased.chat.id()).await? else { return Ok(Step::Next) };
        let given_up = tx.give_up(message, status, class, (code, error)).await?;
        if given_up {
            let letter = DeadLetter::of(
                &self.connection,
                Subject::Message(message.id),
                class,
                &format!("{code}: {error}"),
            )
            .in_chat(chat.row.id, message.attempt);
            tx.bury(&letter, chat.now).await?;
            let activity = Activity::of_connection(&self.connection, ActivityKind::MessageFailed, "system")
                .about(&message.id)
                .with("chatId", chat.id().to_string())
                .with("class", class.as_str());
            tx.record_at(&activity, chat.now).await?;
            if class == FailureClass::WindowClosed {
                chat.row.flag = Some(class.to_string());
            }
            chat.row.outbox_attempts = 0;
            tx.save_chat(&chat).await?;
        }
        tx.commit().await?;
        if given_up && status == MessageStatus::Unknown {
            self.ctx.metrics.reconciliations.with_label_values(&["graph", "unknown"]).inc();
        }
        if given_up && message.author == Author::Agent.as_str() {
            self.ctx.metrics.replies_failed.with_label_values(&[class.as_str()]).inc();
        }
        Ok(Step::Next)
    }

    /// From `now` on the database's clock until `until`.
    pub(super) async fn until(&self, until: i64) -> Result<Duration, Error> {
        let now = self.ctx.store.now().await?;
        Ok(dmrelay_domain::clock::duration(until - now).max(Duration::from_millis(50)))
    }

    /// Whether the chat's connection lets people answer for seven days.
    pub(super) fn human_agent(&self) -> bool {
        self.connection.settings.human_agent.unwrap_or(false)
    }

    /// Whether the standard window is over, so that only a tagged answer passes.
    pub(super) fn needs_tag(&self, message: &message::Model) -> bool {
        let sent_at = message.started_at.unwrap_or(self.leased.chat.now);
        self.human_agent()
            && message.author == Author::Human.as_str()
            && self
                .leased
                .chat
                .row
                .window_expires_at
                .is_none_or(|end| end <= sent_at + millis(self.ctx.options.graph_timeout))
    }
}

/// That a message was sent, for the log of activities: by whom, where a person sent it.
pub(crate) async fn log_sent(
    tx: &Tx,
    connection: &Connection,
    chat: &LockedChat,
    message: &message::Model,
) -> Result<(), Error> {
    let actor = message.actor.as_deref().unwrap_or(&message.author);
    let activity = Activity::of_connection(connection, ActivityKind::MessageSent, actor)
        .about(&message.id)
        .with("chatId", chat.id().to_string());
    tx.record_at(&activity, chat.now).await
}
