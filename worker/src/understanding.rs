//! Voice messages and pictures in words, before the agent is asked about them. Nothing waits for it for long: a question whose words do not
//! come in time is asked without them, and a worker that dies over it leaves it at that.

use crate::Context;
use crate::follow::{Hands, follow};
use crate::media::Media;
use dmrelay_domain::conversation::{Command, Understood};
use dmrelay_domain::ids::{ConnectionId, MessageId};
use dmrelay_media::Fetched;
use dmrelay_store::entity::media::Model;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long it is tried to record words.
const RECORD_WITHIN: Duration = Duration::from_secs(30);

/// An account's part of those that are put into words at a time.
const ACCOUNT_PART: usize = 4;

/// So many times as many may wait for it.
const WAITING_TIMES: usize = 4;

/// Whose media are put into words now. They do not hold up what is fetched, nor each other's accounts.
pub(crate) struct Desk {
    all: Semaphore,
    waiting: Semaphore,
    accounts: Mutex<HashMap<ConnectionId, Arc<Semaphore>>>,
    /// How many of one account.
    share: usize,
}

impl Desk {
    /// For so many at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        let share = at_a_time.div_ceil(ACCOUNT_PART);
        let waiting = Semaphore::new(at_a_time * (WAITING_TIMES + 1));
        Self { all: Semaphore::new(at_a_time), waiting, accounts: Mutex::default(), share }
    }

    fn of(&self, account: ConnectionId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, share| Arc::strong_count(share) > 1);
        accounts.entry(account).or_insert_with(|| Arc::new(Semaphore::new(self.share))).clone()
    }
}

/// Puts a customer's medium into words in turn with others, and lets its question go on. `came` is the medium, if it could be fetched.
pub(crate) fn begin(ctx: &Arc<Context>, media: &Arc<Media>, row: &Model, came: Option<Fetched>) {
    if row.message_id.is_none() || !ctx.options.understands.covers(&row.kind) {
        return;
    }
    let (ctx, media, row) = (ctx.clone(), media.clone(), row.clone());
    ctx.tasks.clone().spawn(async move {
        let desk = &media.desk;
        // Nobody waits for more than can be worked off.
        let waits = desk.waiting.try_acquire();
        let came = came.filter(|_| waits.is_ok());
        let share = desk.of(row.connection_id);
        let _turn =
            if came.is_some() { Some((share.acquire().await, desk.all.acquire().await)) } else { None };
        // Whoever stops leaves it at that: the question goes on without words.
        ctx.stopping.run_until_cancelled(put_into_words(&ctx, &media, &row, came)).await;
    });
}

async fn put_into_words(ctx: &Arc<Context>, media: &Media, row: &Model, came: Option<Fetched>) {
    let (Some(chat), Some(message)) = (row.chat_id, row.message_id) else { return };
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
