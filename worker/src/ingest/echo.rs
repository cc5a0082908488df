//! Echoes: what the account itself sent. Ours are recognised by their mid; before it is known, by the text
//! of a send that is in flight or of unknown outcome. Any other is a person writing in the Instagram app.

use super::apply::Scene;
use crate::deliver::log_sent;
use dmrelay_domain::event::Inbound;
use dmrelay_domain::states::{Author, ChatMode, Direction, MessageStatus};
use dmrelay_domain::text::same_text;
use dmrelay_store::entity::message;
use dmrelay_store::{Activity, ActivityKind, Error, LockedChat, echo_reason};

pub(super) async fn apply(scene: &Scene<'_>, chat: &mut LockedChat, echo: Inbound) -> Result<(), Error> {
    let tx = scene.tx;
    match tx.message_by_mid(chat.row.connection_id, &echo.mid).await? {
        Some(known) if known.kind != "stub" => return tx.confirm(&known).await,
        _ => {}
    }
    if let Some(ours) = tx.adopt_echo(chat, &echo.mid, |ours| fits(ours, &echo)).await? {
        log_sent(tx, scene.connection, chat, &ours).await?;
        scene.seen_sent(ours);
        // The outbox may go on at once.
        chat.await_delivery();
        return Ok(());
    }
    let mut new = scene.described(&echo);
    new.direction = Direction::Outbound;
    new.author = Author::Native;
    new.status = MessageStatus::Sent;
    let Some(id) = tx.add_received(chat, new).await? else { return Ok(()) };
    let sent = Activity::of_connection(scene.connection, ActivityKind::MessageSent, PERSON)
        .about(&id)
        .with("chatId", chat.id().to_string());
    tx.record_at(&sent, chat.now).await?;
    if !scene.ours() {
        return Ok(());
    }
    if chat.mode() != ChatMode::Human {
        let paused = Activity::of_connection(scene.connection, ActivityKind::BotPaused, PERSON)
            .about(&chat.id())
            .with("chatId", chat.id().to_string())
            .with("reason", "written in the Instagram app");
        tx.record_at(&paused, chat.now).await?;
    }
    tx.take_over(chat, &echo_reason(&echo.mid), scene.takeover()).await
}

/// The actor of what is done in the Instagram app.
const PERSON: &str = "person";

/// Whether an echo can be that of our send: the same words, or an attachment where we sent one.
fn fits(ours: &message::Model, echo: &Inbound) -> bool {
    match (ours.text.as_deref(), echo.text.as_deref()) {
        (Some(ours), Some(theirs)) => same_text(ours, theirs),
        (None, None) => echo.attachments.first().is_some_and(|attachment| attachment.kind == ours.kind),
        _ => false,
    }
}
