//! Voice messages and pictures in words, before the agent is asked about them. Nothing waits for it for long: a question whose words do not
//! come in time is asked without them, and a worker that dies over it leaves it at that.

use crate::Context;
use crate::follow::{Hands, follow};
use crate::media::Media;
use dmrelay_domain::conversation::{Command, Understood};
use dmrelay_domain::ids::MessageId;
use dmrelay_media::Fetched;
use dmrelay_store::entity::media::Model;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it is tried to record words.
const RECORD_WITHIN: Duration = Duration::from_secs(30);

/// Puts a customer's medium into words, and lets its question go on. `came` is the medium, if it could be fetched.
pub(crate) async fn put_into_words(ctx: &Arc<Context>, media: &Media, row: &Model, came: Option<Fetched>) {
    let (Some(chat), Some(message)) = (row.chat_id, row.message_id) else { return };
    if !ctx.options.understands.covers(&row.kind) {
        return;
    }
    let words = match came {
        Some(fetched) => words(ctx, media, (row, message), fetched).await,
        None => None,
    };
    let (result, words) = match words {
        Some(words) if words.is_empty() => ("nothing", None),
        Some(words) => ("understood", Some(words)),
        None => ("failed", None),
    };
    ctx.metrics.understood.with_label_values(&[row.kind.as_str(), result]).inc();
    let understood = Understood { message, media: row.id, words };
    let until = Instant::now() + RECORD_WITHIN;
    if let Some(applied) = ctx.record(chat, Command::Understand(understood), until).await {
        follow(ctx, applied, Hands::default()).await;
    }
}

async fn words(
    ctx: &Context,
    media: &Media,
    (row, message): (&Model, MessageId),
    Fetched { bytes, kind }: Fetched,
) -> Option<String> {
    let interpreter = media.interpreter.as_ref()?;
    // What people of the account wrote in Instagram's app needs no words, and what was unsent is not sent anywhere.
    let is_wanted = ctx.store.is_from_customer(message).await.unwrap_or_else(|err| {
        tracing::warn!(media = %row.id, error = %err, "cannot look whose a medium is");
        false
    });
    if !is_wanted {
        return None;
    }
    let words = match interpreter.words(&bytes, kind).await {
        Ok(words) => words?,
        Err(err) => {
            tracing::warn!(media = %row.id, error = %err, "medium not put into words");
            return None;
        }
    };
    if let Err(err) = ctx.store.record_understood(row.id, words.tokens, words.seconds).await {
        tracing::warn!(media = %row.id, error = %err, "cannot count what a medium has cost");
    }
    tracing::info!(media = %row.id, tokens = words.tokens, seconds = words.seconds, "medium put into words");
    Some(words.text)
}
