//! The canary: every few minutes a customer of a test account writes, by a webhook signed as Meta signs, to the public address; and
//! the answer is awaited. One API process does it for all.

use crate::state::PlatformSecrets;
use dmrelay_domain::clock::{Clock, millis};
use dmrelay_domain::current::Current;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{InstagramAccountId, InstagramUserId};
use dmrelay_domain::signature;
use dmrelay_domain::states::DeadLetterState;
use dmrelay_runtime::http::{self, Client, Method, join};
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::{ApiSettings, InvalidSetting};
use dmrelay_store::{Call, Connection, Fate, Leadership, LetterSearch, PauseKey, Store};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

/// How often the answer is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// When the first message is written after the start, unless the interval is shorter.
const FIRST_AFTER: Duration = Duration::from_secs(10);

/// Dead letters discarded at a time.
const LETTERS_MAX: u64 = 100;

/// Timeout of the webhook: Meta's.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What the canary is, by its settings.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    account: InstagramAccountId,
    user: InstagramUserId,
    text: String,
    url: Url,
    interval: Duration,
    timeout: Duration,
}

/// What a canary needs of its process.
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: Current<PlatformSecrets>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The answer was sent.
    Answered,
    /// Meta's window for an answer is closed at Meta: nobody has really written. Everything before that worked.
    WindowClosed,
    /// An operator has paused its questions or sends.
    Paused,
    /// The account is not connected.
    NotConnected,
    /// The webhook was not acknowledged, for this reason.
    NotAccepted(String),
    /// There was no answer in time; where it waits.
    Late(&'static str),
    /// There will be no answer, for this reason.
    Failed(String),
}

impl Outcome {
    fn is_ok(&self) -> bool {
        matches!(self, Self::Answered | Self::WindowClosed | Self::Paused)
    }

    /// Its word: the label `result`.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::WindowClosed => "window_closed",
            Self::Paused => "paused",
            Self::NotConnected => "not_connected",
            Self::NotAccepted(_) => "not_accepted",
            Self::Late(_) => "late",
            Self::Failed(_) => "failed",
        }
    }

    /// More about it, for the log.
    fn why(&self) -> &str {
        match self {
            Self::NotAccepted(why) | Self::Failed(why) => why,
            Self::Late(stage) => stage,
            _ => "",
        }
    }
}

impl Canary {
    /// The canary of these settings, if there is one.
    ///
    /// # Errors
    /// A setting that it needs is missing or wrong.
    pub(crate) fn of(api: &ApiSettings, secrets: &PlatformSecrets) -> Result<Option<Self>, InvalidSetting> {
        let settings = &api.canary;
        let invalid = |name, what: String| InvalidSetting { name, what };
        let Some(account) = settings.canary_account.as_deref().filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let account =
            InstagramAccountId::parse(account).map_err(|err| invalid("CANARY_ACCOUNT", err.to_string()))?;
        let user = settings.canary_user.as_deref().unwrap_or_default();
        let user = InstagramUserId::parse(user).map_err(|err| invalid("CANARY_USER", err.to_string()))?;
        if secrets.app_secrets.is_empty() {
            let what = "META_APP_SECRETS is needed, to sign its webhooks".to_owned();
            return Err(invalid("CANARY_ACCOUNT", what));
        }
        let at_public_url = || join(&api.public_url, &["webhooks", "instagram"]);
        Ok(Some(Self {
            account,
            user,
            text: settings.canary_text.clone(),
            url: settings.canary_url.clone().unwrap_or_else(at_public_url),
            interval: settings.canary_interval,
            timeout: settings.canary_timeout,
        }))
    }

    /// Writes every interval while this process leads, until `stop`.
    pub(crate) async fn run(self, of: Surroundings, stop: CancellationToken) {
        let leadership = Leadership::new("canary");
        let lease = self.interval * 2 + self.timeout;
        // Once this process listens, and a worker that was started with it works.
        let first = tokio::time::Instant::now() + FIRST_AFTER.min(self.interval);
        let mut ticks = tokio::time::interval_at(first, self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // Without the database there is no answer either, and each process says so.
            if matches!(leadership.hold(&of.store, lease).await, Ok(false)) {
                // Another process tells.
                of.metrics.canary_ok.reset();
                of.metrics.canary_seconds.reset();
                continue;
            }
            if stop.run_until_cancelled(Box::pin(self.once(&of))).await.is_none() {
                break;
            }
        }
        // Best effort: otherwise another process leads when the lease expires.
        let _ = leadership.resign(&of.store).await;
    }

    async fn once(&self, of: &Surroundings) {
        let began = Instant::now();
        let outcome = Box::pin(self.write(of, began)).await;
        let took = began.elapsed();
        let account = &[self.account.as_str()];
        of.metrics.canary_ok.with_label_values(account).set(i64::from(outcome.is_ok()));
        of.metrics.canary_seconds.with_label_values(account).set(took.as_secs_f64());
        of.metrics.canary_runs.with_label_values(&[outcome.as_str()]).inc();
        let (result, took_ms) = (outcome.as_str(), millis(took));
        if outcome.is_ok() {
            tracing::info!(result, took_ms, "canary answered");
        } else {
            tracing::warn!(result, took_ms, why = outcome.why(), account = %self.account, "canary not answered");
        }
    }

    async fn write(&self, of: &Surroundings, began: Instant) -> Outcome {
        let connection = match of.store.live_connection(&self.account).await {
            Ok(Some(connection)) => connection,
            Ok(None) => return Outcome::NotConnected,
            Err(err) => return Outcome::Failed(err.to_string()),
        };
        match self.is_paused(of, &connection).await {
            Ok(false) => {}
            Ok(true) => return Outcome::Paused,
            Err(err) => return Outcome::Failed(err.to_string()),
        }
        // What became of an earlier one only after it was given up.
        Box::pin(self.tidy(of, &connection)).await;
        let mid = format!("canary-{}", Uuid::now_v7());
        if let Err(why) = self.webhook(of, &mid).await {
            return Outcome::NotAccepted(why);
        }
        let mut fate = Fate::Unread;
        while began.elapsed() < self.timeout {
            tokio::time::sleep(LOOK_INTERVAL).await;
            fate = match of.store.fate_of(connection.id, &mid).await {
                Ok(fate) => fate,
                // It may be back in time.
                Err(_) => continue,
            };
            match fate {
                Fate::Unread | Fate::Waiting => {}
                Fate::Answered => return Outcome::Answered,
                Fate::Unanswered(why) => return Outcome::Failed(why),
                Fate::Unsent(why) => return Box::pin(self.unsent(of, &connection, why)).await,
            }
        }
        Outcome::Late(if fate == Fate::Unread {
            "the webhook is stored but not processed"
        } else {
            "it waits for the agent or the send"
        })
    }

    async fn webhook(&self, of: &Surroundings, mid: &str) -> Result<(), String> {
        let now = of.clock.now();
        let body = json!({
            "object": "instagram",
            "entry": [{
                "id": self.account, "time": now,
                "messaging": [{
                    "sender": { "id": self.user }, "recipient": { "id": self.account }, "timestamp": now,
                    "message": { "mid": mid, "text": self.text },
                }],
            }],
        });
        let secrets = of.secrets.get();
        let secret = secrets.app_secrets.first().ok_or("META_APP_SECRETS is empty")?;
        let signature = signature::sign(secret.expose().as_bytes(), body.to_string().as_bytes());
        let call = http::Call {
            method: Method::POST,
            json: Some(body),
            headers: vec![("X-Hub-Signature-256", signature)],
            ..http::Call::get(("canary", "webhook"), self.url.clone(), WEBHOOK_TIMEOUT)
        };
        match of.client.send(call).await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(format!("{} answers with status {}", self.url, answer.status)),
            Err(failure) => Err(format!("{}: {failure}", self.url)),
        }
    }

    /// The answer was not sent. If only because nobody has really written, its dead letter says nothing, and is discarded.
    async fn unsent(&self, of: &Surroundings, connection: &Connection, why: String) -> Outcome {
        if why != FailureClass::WindowClosed.as_str() {
            return Outcome::Failed(why);
        }
        self.tidy(of, connection).await;
        Outcome::WindowClosed
    }

    /// Whether an operator has paused the account's questions or sends.
    async fn is_paused(&self, of: &Surroundings, connection: &Connection) -> dmrelay_store::Result<bool> {
        let stops = |key: &PauseKey| {
            Call::OF_CHATS.contains(&key.call)
                && key.scope.concerns(&connection.subaccount, &connection.account)
        };
        Ok(of.store.pauses().await?.iter().any(|pause| stops(&pause.key)))
    }

    /// Discards the dead letters that say only that nobody has really written. If it cannot, the next run does.
    async fn tidy(&self, of: &Surroundings, connection: &Connection) {
        if let Err(err) = self.discard(of, connection).await {
            tracing::warn!(error = %err, "cannot discard the canary's dead letters");
        }
    }

    async fn discard(&self, of: &Surroundings, connection: &Connection) -> dmrelay_store::Result<()> {
        let Some(chat) = of.store.chat_of_user(connection.id, &self.user).await? else { return Ok(()) };
        let search = LetterSearch {
            chat: Some(chat.id),
            connection: Some(connection.id),
            class: Some(FailureClass::WindowClosed.as_str().to_owned()),
            state: Some(DeadLetterState::Open),
            ..LetterSearch::default()
        };
        for letter in of.store.newest_letters(&search, LETTERS_MAX).await? {
            Box::pin(of.store.discard(&letter, &"canary".into())).await?;
        }
        Ok(())
    }
}
