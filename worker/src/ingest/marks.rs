//! What is said of a message that was there before: taken back, changed, reacted to, read. Where the
//! message has not come yet, a stub keeps what was said until it does.

use super::apply::Scene;
use dmrelay_domain::event::{Edit, Reaction};
use dmrelay_store::entity::message;
use dmrelay_store::{Error, LockedChat};
use serde_json::{Value, json};

pub(super) async fn unsend(scene: &Scene<'_>, chat: &mut LockedChat, mid: &str) -> Result<(), Error> {
    let message = find(scene, chat, mid).await?;
    scene.tx.unsend(&message).await?;
    if let Some(turn) = message.turn_id {
        scene.tx.suppress_replies_to_nothing(turn).await?;
    }
    Ok(())
}

pub(super) async fn edit(scene: &Scene<'_>, chat: &mut LockedChat, edit: &Edit) -> Result<(), Error> {
    let message = find(scene, chat, &edit.mid).await?;
    scene.tx.edit(&message, edit.text.as_deref()).await
}

pub(super) async fn reaction(
    scene: &Scene<'_>,
    chat: &mut LockedChat,
    reaction: &Reaction,
) -> Result<(), Error> {
    let message = find(scene, chat, &reaction.mid).await?;
    let metadata = message.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut metadata: Value = metadata.unwrap_or_else(|| json!({}));
    metadata["reaction"] = json!(reaction.emoji);
    scene.tx.set_metadata(message.id, &metadata.to_string()).await
}

pub(super) async fn read(scene: &Scene<'_>, chat: &mut LockedChat, mid: Option<&str>) -> Result<(), Error> {
    let Some(mid) = mid else { return Ok(()) };
    let message = find(scene, chat, mid).await?;
    scene.tx.mark_read(chat, &message, scene.event.at).await
}

async fn find(scene: &Scene<'_>, chat: &mut LockedChat, mid: &str) -> Result<message::Model, Error> {
    match scene.tx.message_by_mid(chat.row.connection_id, mid).await? {
        Some(message) => Ok(message),
        None => scene.tx.add_stub(chat, mid, scene.event.at).await,
    }
}
