//! What each kind of event does to its conversation.

use super::{Applied, echo, marks};
use crate::Context;
use crate::deliver::count_sent;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::event::{self, Container, Content, Inbound, Postback, Referral};
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::states::{Author, ConnectionStatus, Direction, EventState, MessageStatus};
use dmrelay_domain::trace::TraceId;
use dmrelay_domain::{message, window};
use dmrelay_runtime::metrics::Stage;
use dmrelay_store::entity::message::Model as Message;
use dmrelay_store::{Activity, ActivityKind, ClaimedEvent, Connection, Error, LockedChat, NewMessage, Tx};
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An event being applied: everything it needs, under the chat's lock.
pub(super) struct Scene<'a> {
    pub(super) ctx: &'a Context,
    pub(super) tx: &'a Tx,
    pub(super) event: &'a ClaimedEvent,
    pub(super) connection: &'a Connection,
    /// What is counted once the transaction is committed.
    counted: Mutex<Counted>,
}

/// What an event has brought about, for the metrics.
#[derive(Default)]
struct Counted {
    /// A message waits for its answer.
    asked: bool,
    /// A message of ours is sent, as its echo shows.
    sent: Option<Message>,
}

/// Applies one event in one transaction.
pub(super) async fn apply(ctx: &Context, event: &ClaimedEvent) -> Result<Applied, Error> {
    let tx = ctx.store.begin().await?;
    let item = event::read(event.container, &event.account, &event.raw);
    let Some(connection) = tx.route(&event.account).await?.filter(|c| c.status != ConnectionStatus::Pending)
    else {
        // Nobody connected this account; a late connect takes it.
        return finish(ctx, tx, event, EventState::Unrouted, None).await;
    };
    let (Some(item), Ok(user)) = (item, InstagramUserId::parse(&event.thread)) else {
        return finish(ctx, tx, event, EventState::Unknown, None).await;
    };
    if let Content::Comment(_) | Content::Mention = item.content {
        return finish(ctx, tx, event, EventState::Kept, None).await;
    }
    if let Content::Unknown | Content::Ignored = item.content {
        return finish(ctx, tx, event, EventState::Unknown, None).await;
    }
    let Some(mut chat) = tx.upsert_chat(&connection.row, &user).await? else {
        return Err(Error::Row { table: "chats", what: "an upserted chat is missing".to_owned() });
    };
    let scene = Scene { ctx, tx: &tx, event, connection: &connection, counted: Mutex::default() };
    if item.content.opens_window() {
        let expires = window::expires(event.at, chat.now);
        chat.row.window_expires_at = Some(chat.row.window_expires_at.map_or(expires, |end| end.max(expires)));
    }
    scene.content(&mut chat, item.content).await?;
    tx.save_chat(&chat).await?;
    let (counted, now) = (std::mem::take(&mut *scene.counted()), chat.now);
    let applied = finish(ctx, tx, event, EventState::Processed, Some(Box::new(chat))).await?;
    // Not inside the transaction: SQLite has one connection that writes.
    ctx.touch(&connection).await;
    if let Applied::Done(_) = applied {
        count(ctx, event, &counted, now);
    }
    Ok(applied)
}

/// Counts what the commit has made true.
fn count(ctx: &Context, event: &ClaimedEvent, counted: &Counted, now: Millis) {
    if counted.asked {
        ctx.metrics.stage(Stage::Inbox, event.stored_at - event.received_at);
        ctx.metrics.stage(Stage::Pickup, now - event.stored_at);
    }
    if let Some(sent) = &counted.sent {
        ctx.metrics.reconciliations.with_label_values(&["graph", "happened"]).inc();
        count_sent(&ctx.metrics, sent, now);
    }
}

async fn finish(
    ctx: &Context,
    tx: Tx,
    event: &ClaimedEvent,
    state: EventState,
    chat: Option<Box<LockedChat>>,
) -> Result<Applied, Error> {
    if !tx.finish_event(event.id, state, None).await? {
        return Ok(Applied::Overtaken);
    }
    tx.commit().await?;
    ctx.metrics.ingested.with_label_values(&[state.as_str()]).inc();
    Ok(Applied::Done(chat))
}

impl Scene<'_> {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of ours is sent, as its echo shows.
    pub(super) fn seen_sent(&self, message: Message) {
        self.counted().sent = Some(message);
    }

    async fn content(&self, chat: &mut LockedChat, content: Content) -> Result<(), Error> {
        match content {
            Content::Message(message) => self.message(chat, message).await,
            Content::Unsupported { mid } => {
                let mut new = self.received();
                new.mid = Some(mid);
                "unsupported".clone_into(&mut new.kind);
                self.add(chat, new).await
            }
            Content::Postback(postback) => self.postback(chat, postback).await,
            Content::Referral(referral) => self.note(chat, "referral", Some(&referral)).await,
            Content::Handover => self.note(chat, "handover", None).await,
            Content::Echo(message) => echo::apply(self, chat, message).await,
            Content::Unsend { mid } => marks::unsend(self, chat, &mid).await,
            Content::Edit(edit) => marks::edit(self, chat, &edit).await,
            Content::Reaction(reaction) => marks::reaction(self, chat, &reaction).await,
            Content::Read { mid } => marks::read(self, chat, mid.as_deref()).await,
            Content::Comment(_) | Content::Mention | Content::Ignored | Content::Unknown => Ok(()),
        }
    }

    async fn message(&self, chat: &mut LockedChat, message: Inbound) -> Result<(), Error> {
        let mut new = self.described(&message);
        new.needs_answer = self.ours() && message::asks(&message);
        self.add(chat, new).await
    }

    async fn postback(&self, chat: &mut LockedChat, postback: Postback) -> Result<(), Error> {
        let mut new = self.received();
        "postback".clone_into(&mut new.kind);
        new.text = Some(message::postback_text(&postback));
        new.metadata =
            postback.referral.as_ref().map(|referral| json(&serde_json::json!({ "referral": referral })));
        new.needs_answer = self.ours() && new.text.as_deref().is_some_and(|text| !text.is_empty());
        new.mid = postback.mid;
        self.add(chat, new).await
    }

    /// Something that happened in the conversation and is no message.
    async fn note(
        &self,
        chat: &mut LockedChat,
        kind: &str,
        referral: Option<&Referral>,
    ) -> Result<(), Error> {
        let mut new = self.received();
        new.author = Author::System;
        kind.clone_into(&mut new.kind);
        new.metadata = referral.map(|referral| json(&serde_json::json!({ "referral": referral })));
        self.tx.add_message(chat, new).await?;
        Ok(())
    }

    /// Stores a message of the user and has it answered where it is to be.
    async fn add(&self, chat: &mut LockedChat, new: NewMessage) -> Result<(), Error> {
        let needs_answer = new.needs_answer;
        let kind = new.kind.clone();
        let Some(id) = self.tx.add_received(chat, new).await? else { return Ok(()) };
        if needs_answer {
            if chat.row.first_unanswered_at.is_none() {
                chat.row.trace_id = self.event.trace.map(TraceId::to_uuid);
            }
            chat.await_answer(self.debounce());
            self.counted().asked = true;
        }
        let activity = Activity::of_connection(self.connection, ActivityKind::MessageReceived, "user")
            .about(&id)
            .with("chatId", chat.id().to_string())
            .with("kind", kind);
        self.tx.record_at(&activity, chat.now).await
    }

    /// A message of the user, with what Meta says of it.
    pub(super) fn described(&self, message: &Inbound) -> NewMessage {
        let mut new = self.received();
        new.mid = Some(message.mid.clone());
        new.kind = message::kind_of(message);
        new.text = message::text_of(message);
        new.attachments = (!message.attachments.is_empty()).then(|| json(&message.attachments));
        new.reply_to = message.reply_to.as_ref().map(json);
        new.metadata =
            message.referral.as_ref().map(|referral| json(&serde_json::json!({ "referral": referral })));
        new
    }

    fn received(&self) -> NewMessage {
        let mut new = NewMessage::new(Direction::Inbound, Author::User, MessageStatus::Received);
        new.at = self.event.at;
        new.received_at = self.event.received_at;
        new.trace = self.event.trace;
        new
    }

    /// Whether the thread is ours to answer: not while another app owns it.
    pub(super) fn ours(&self) -> bool {
        self.event.container == Container::Messaging
    }

    fn debounce(&self) -> Duration {
        let millis = self.connection.settings.debounce_ms.unwrap_or(self.ctx.options.worker.debounce_ms);
        Duration::from_millis(millis.into())
    }

    /// How long the agent is silent after a person wrote.
    pub(super) fn takeover(&self) -> Duration {
        let hours = self.connection.settings.takeover_hours.unwrap_or(self.ctx.options.worker.takeover_hours);
        Duration::from_hours(hours.into())
    }
}

/// Our own types always write as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
