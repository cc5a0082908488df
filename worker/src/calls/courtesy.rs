//! Calls nothing depends on: the customer's profile, mark-seen and typing indicators.

use crate::Context;
use crate::follow::About;
use dmrelay_domain::clock::Millis;
use dmrelay_instagram::SenderAction;
use dmrelay_store::{Call, Connection, Profile};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How long what Graph said of a customer is taken for true.
const PROFILE_AGE: Millis = 7 * 24 * 3_600_000;

/// Fetches the customer's profile from Graph when a chat with the agent is opened, once a week at most; failures are ignored.
pub(super) async fn profile(ctx: &Context, connection: &Connection, about: &About) -> Profile {
    let Ok(Some(chat)) = ctx.store.chat(about.chat).await else { return Profile::default() };
    let known = Profile { username: chat.username, name: chat.name, picture: chat.picture };
    let is_fresh = chat.profile_at.is_some_and(|at| ctx.database_now() - at < PROFILE_AGE);
    if is_fresh || is_left_alone(ctx, about) {
        return known;
    }
    let Ok(access) = ctx.access(connection) else { return known };
    match ctx.graph.profile(&access, &about.user).await {
        Ok(found) => {
            let found = Profile { username: found.username, name: found.name, picture: found.picture };
            if let Err(err) = ctx.store.save_profile(about.chat, &found).await {
                tracing::debug!(chat = %about.chat, error = %err, "cannot store the profile");
            }
            if let (Some(_), Some(url)) = (&ctx.media, &found.picture) {
                match ctx.store.note_profile_picture(about.connection, about.chat, url).await {
                    Ok(true) => ctx.media_came.notify_one(),
                    Ok(false) => {}
                    Err(err) => {
                        tracing::debug!(chat = %about.chat, error = %err, "cannot note the customer's picture");
                    }
                }
            }
            found
        }
        Err(err) => {
            tracing::debug!(chat = %about.chat, error = %err, "cannot fetch the profile");
            known
        }
    }
}

/// Marks the customer's message as seen and shows typing, unless the answer is already there: again and again, since Instagram shows it for a
/// while only.
pub(super) fn show_typing(ctx: &Arc<Context>, about: &About, thinking: CancellationToken) {
    show(ctx, about, SenderAction::MarkSeen, thinking);
}

/// Shows typing while a reply is written.
pub(crate) fn show_writing(ctx: &Arc<Context>, about: &About, writing: CancellationToken) {
    show(ctx, about, SenderAction::TypingOn, writing);
}

fn show(ctx: &Arc<Context>, about: &About, first: SenderAction, thinking: CancellationToken) {
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
        let mut action = first;
        while !thinking.is_cancelled() {
            let shown = ctx.graph.act(&access, &about.user, action).await;
            if let Err(err) = &shown {
                tracing::debug!(?action, error = %err, "sender action failed");
            }
            if action == SenderAction::MarkSeen {
                action = SenderAction::TypingOn;
                continue;
            }
            let pause = tokio::time::sleep(ctx.options.worker.typing_interval);
            // Where it fails once, it is left.
            if shown.is_err()
                || thinking.run_until_cancelled(pause).await.is_none()
                || is_left_alone(&ctx, &about)
            {
                return;
            }
        }
    });
}

/// Whether Graph asked for a pause, or the operator: then only sends are made, if any.
fn is_left_alone(ctx: &Context, about: &About) -> bool {
    ctx.breakers.is_stopped(Call::Send, &about.route, ctx.database_now())
}
