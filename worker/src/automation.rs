//! A text turned out to be Instagram's own: the takeovers that it caused before are undone.

use crate::Context;
use crate::follow::{self, Hands};
use dmrelay_domain::conversation::{Command, TextDigest};
use dmrelay_domain::ids::ConnectionId;
use std::sync::Arc;

/// Undoes the takeovers that this text caused. What fails is done when the text comes again.
pub(crate) async fn recognize(ctx: &Arc<Context>, connection: ConnectionId, digest: TextDigest) {
    let chats = match ctx.store.unrecognized_echoes(connection, &digest).await {
        Ok(chats) => chats,
        Err(err) => return tracing::warn!(%connection, error = %err, "cannot look for Instagram's own texts"),
    };
    tracing::info!(%connection, chats = chats.len() + 1, "a text is Instagram's own, and not a human's");
    for (chat, mid) in chats {
        match ctx.apply(chat, Command::RecognizeAutomation(mid)).await {
            Ok(applied) => {
                follow::follow(ctx, applied, Hands::default()).await;
                if let Err(err) = ctx.store.echo_recognized(connection, &digest, chat).await {
                    tracing::warn!(%chat, error = %err, "cannot record that a text is Instagram's own");
                }
            }
            Err(err) => {
                tracing::warn!(%chat, error = %err, "cannot undo the takeover by Instagram's own text");
            }
        }
    }
}
