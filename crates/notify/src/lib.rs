//! Notifications of incidents: signed webhooks (Standard Webhooks 1.0) and e-mails. What to send, when, and what becomes of it is the
//! caller's; here is one attempt.

mod mail;
mod text;
mod webhook;

use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{IncidentId, NotificationId};
use dmrelay_domain::notification::{ConcernedAccount, IncidentKind, NotificationType};
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::public;
use dmrelay_runtime::settings::NotifySettings;
use mail::Mail;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub use webhook::{new_secret, secret_bytes};

/// Sends notifications; cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    client: Client,
    mail: Option<Arc<Mail>>,
    timeout: Duration,
    allows_private: bool,
}

/// What to tell.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Our id of it; the same for every attempt.
    pub id: NotificationId,
    /// What it says.
    pub kind: NotificationType,
    /// When that happened, in milliseconds.
    pub at: Millis,
    /// The incident; `None` for a test.
    pub incident: Option<Incident>,
}

/// An incident as it is told.
#[derive(Debug, Clone)]
pub struct Incident {
    /// Our id.
    pub id: IncidentId,
    /// What it is about.
    pub kind: IncidentKind,
    /// The tenant; `None` if it concerns the installation.
    pub subaccount: Option<String>,
    /// The account, if it concerns one.
    pub account: Option<ConcernedAccount>,
    /// What was found, in words.
    pub detail: String,
    /// Since when it is so, in milliseconds.
    pub since: Millis,
    /// When it was over, in milliseconds.
    pub ended_at: Option<Millis>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Undelivered {
    /// What happened.
    pub what: String,
    /// The HTTP status or SMTP code of the answer, if there was one.
    pub status: Option<u16>,
    /// What that means for further attempts.
    pub next: Next,
}

/// What a failed attempt means for further ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another may succeed.
    Retry,
    /// Another may succeed, after this.
    RetryAfter(Duration),
    /// None will.
    GiveUp,
    /// The receiver wants no more of them.
    Gone,
}

impl Undelivered {
    /// Another attempt may succeed.
    pub fn retry(what: impl Into<String>) -> Self {
        Self { what: what.into(), status: None, next: Next::Retry }
    }

    /// No attempt will.
    pub fn never(what: impl Into<String>) -> Self {
        Self { what: what.into(), status: None, next: Next::GiveUp }
    }
}

/// Timeout of opening a connection to a receiver.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Notifier {
    /// With these settings.
    ///
    /// # Errors
    /// An invalid setting, by name.
    pub fn new(settings: &NotifySettings, metrics: Arc<Metrics>) -> Result<Self, String> {
        let allows_private = settings.notification_private_addresses;
        let client = Client::for_receivers(CONNECT_TIMEOUT, allows_private, metrics)?;
        client.expect_calls(webhook::SERVICE, &[webhook::OPERATION]);
        Ok(Self {
            client,
            mail: Mail::new(settings)?.map(Arc::new),
            timeout: settings.notification_timeout,
            allows_private,
        })
    }

    /// Whether e-mails can be sent.
    pub fn has_mail(&self) -> bool {
        self.mail.is_some()
    }

    /// Timeout of an attempt.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Parses the URL of a receiver.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receiver(&self, url: &str) -> Result<Url, String> {
        public::receiver_url(url, self.allows_private)
    }

    /// Sends a webhook, signed with each of these secrets.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub async fn send_webhook(
        &self,
        url: &str,
        secrets: &[Secret<String>],
        notification: &Notification,
        now: Millis,
    ) -> Result<u16, Undelivered> {
        let url = self.receiver(url).map_err(|err| Undelivered::never(format!("the URL {err}")))?;
        webhook::send(&self.client, (url, secrets), notification, (now, self.timeout)).await
    }

    /// Sends an e-mail.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub async fn send_mail(&self, address: &str, notification: &Notification) -> Result<u16, Undelivered> {
        let Some(mail) = &self.mail else {
            return Err(Undelivered::retry("no mail server is configured (SMTP_URL)"));
        };
        mail.send(address, notification, self.timeout).await
    }
}

/// Parses an e-mail address.
///
/// # Errors
/// What is wrong with it.
pub fn parse_address(text: &str) -> Result<(), String> {
    mail::parse(text).map(|_| ())
}
