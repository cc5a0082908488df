//! Echoes: what the account itself sent. Ours are recognised by their mid; before it is known, by the text
//! of a send that is in flight or of unknown outcome. Any other is a person writing in the Instagram app.

use super::apply::Scene;
use dmrelay_domain::event::Inbound;
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_domain::text::same_text;
use dmrelay_store::entity::message;
use dmrelay_store::{Activity, ActivityKind, Error, LockedChat, echo_reason};

pub(super) async fn apply(scene: &Scene<'_>, chat: &mut LockedChat, echo: Inbound) -> Result<(), Error> {
    let tx = scene.tx;
    match tx.message_by_mid(chat.row.connection_id, &echo.mid).await? {
        Some(known) if known.kind != "stub" => return tx.confirm(&known).await,
        _ => {}
    }
    if tx.adopt_echo(chat, &echo.mid, |ours| fits(ours, &echo)).await? {
        scene.ctx.metrics.reconciliations.with_label_values(&["graph", "happened"]).inc();
        // The outbox may go on at once.
        chat.await_delivery();
        return Ok(());
    }
    let mut new = scene.described(&echo);
    new.direction = Direction::Outbound;
    new.author = Author::Native;
    new.status = MessageStatus::Sent;
    if tx.add_received(chat, new).await? && scene.ours() {
        tx.take_over(chat, &echo_reason(&echo.mid), scene.takeover()).await?;
        let activity = Activity::of_connection(scene.connection, ActivityKind::BotPaused, "person")
            .about(&chat.id())
            .with("reason", "written in the Instagram app");
        tx.record_at(&activity, chat.now).await?;
    }
    Ok(())
}

/// Whether an echo can be that of our send: the same words, or an attachment where we sent one.
fn fits(ours: &message::Model, echo: &Inbound) -> bool {
    match (ours.text.as_deref(), echo.text.as_deref()) {
        (Some(ours), Some(theirs)) => same_text(ours, theirs),
        (None, None) => echo.attachments.first().is_some_and(|attachment| attachment.kind == ours.kind),
        _ => false,
    }
}
