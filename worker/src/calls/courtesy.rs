//! Calls nothing depends on: the customer's profile, mark-seen and typing indicators.

use crate::Context;
use crate::follow::About;
use dmrelay_instagram::SenderAction;
use dmrelay_store::{Call, Connection, Profile};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Fetches the customer's profile from Graph; asked once, failures are ignored.
pub(super) async fn profile(ctx: &Context, connection: &Connection, about: &About) -> Profile {
    let Ok(Some(chat)) = ctx.store.chat(about.chat).await else { return Profile::default() };
    let known = Profile { username: chat.username, name: chat.name, picture: chat.picture };
    if chat.profile_at.is_some() || is_left_alone(ctx, about) {
        return known;
    }
    let Ok(access) = ctx.access(connection) else { return known };
    match ctx.graph.profile(&access, &about.user).await {
        Ok(found) => {
            let found = Profile { username: found.username, name: found.name, picture: found.picture };
            if let Err(err) = ctx.store.save_profile(about.chat, &found).await {
                tracing::debug!(chat = %about.chat, error = %err, "cannot store the profile");
            }
            found
        }
        Err(err) => {
            tracing::debug!(chat = %about.chat, error = %err, "cannot fetch the profile");
            known
        }
    }
}

/// Marks the customer's message as seen and shows typing, unless the answer is already there.
pub(super) fn show_typing(ctx: &Arc<Context>, about: &About, thinking: CancellationToken) {
    if is_left_alone(ctx, about) {
        return;
    }
    let (ctx, about) = (ctx.clone(), about.clone());
    tokio::spawn(async move {
        let Ok(Some(connection)) = ctx.accounts.by_id(about.connection).await else { return };
        if connection.settings.typing == Some(false) {
            return;
        }
        let Ok(access) = ctx.access(&connection) else { return };
        for action in [SenderAction::MarkSeen, SenderAction::TypingOn] {
            if thinking.is_cancelled() {
                return;
            }
            if let Err(err) = ctx.graph.act(&access, &about.user, action).await {
                tracing::debug!(?action, error = %err, "sender action failed");
            }
        }
    });
}

/// Whether Graph asked for a pause, or the operator: then only sends are made, if any.
fn is_left_alone(ctx: &Context, about: &About) -> bool {
    ctx.breakers.is_stopped(Call::Send, &about.route, ctx.database_now())
}
