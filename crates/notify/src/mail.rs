//! E-mails, through the operator's mail server.

use crate::{Next, Notification, Undelivered, text};
use dmrelay_runtime::http::is_near;
use dmrelay_runtime::settings::NotifySettings;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::Error as SmtpError;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::error::Error as StdError;
use std::time::Duration;
use url::Url;

/// The mail server and the sender.
pub(crate) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// That no human wrote this, so that no vacation responder answers (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Parses an e-mail address without a name.
pub(crate) fn parse(text: &str) -> Result<Address, String> {
    text.parse().map_err(|err| format!("must be an e-mail address: {err}"))
}

impl Mail {
    /// `None` without a mail server.
    pub(crate) fn new(settings: &NotifySettings) -> Result<Option<Self>, String> {
        let Some(url) = settings.smtp_url.get().map_err(|err| err.to_string())? else { return Ok(None) };
        check(url.expose()).map_err(|err| format!("SMTP_URL: {err}"))?;
        let from = settings.sender().map_err(|err| err.to_string())?;
        let from: Mailbox = from.parse().map_err(|err| format!("SMTP_FROM: {err}"))?;
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
        // What it says of the URL may contain the password.
        let builder = builder.map_err(|_| "SMTP_URL: cannot be used".to_owned())?;
        let transport = builder.timeout(Some(settings.notification_timeout)).build();
        Ok(Some(Self { transport, from }))
    }

    /// Makes one attempt. Gives the code of the server's answer.
    pub(crate) async fn send(
        &self,
        address: &str,
        notification: &Notification,
        timeout: Duration,
    ) -> Result<u16, Undelivered> {
        let to = parse(address).map_err(Undelivered::never)?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(text::subject(notification))
            .message_id(Some(format!("<{}@{}>", notification.id, self.from.email.domain())))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(text::text(notification))
            .map_err(|err| Undelivered::never(err.to_string()))?;
        match tokio::time::timeout(timeout, self.transport.send(message)).await {
            Err(_) => Err(Undelivered::retry("the mail server did not answer in time")),
            Ok(Err(err)) => Err(undelivered(&err)),
            Ok(Ok(answer)) => Ok(answer.code().into()),
        }
    }
}

/// Passwords and what is wrong go over no public network in the clear.
fn check(url: &str) -> Result<(), String> {
    let form = "must be smtps://user:password@host, or smtp://user:password@host?tls=required";
    let url = Url::parse(url).map_err(|_| form.to_owned())?;
    let is_encrypted = match url.scheme() {
        "smtps" => true,
        "smtp" => url.query_pairs().any(|(name, value)| name == "tls" && value == "required"),
        _ => return Err(form.to_owned()),
    };
    if url.host_str().is_none_or(str::is_empty) {
        return Err(form.to_owned());
    }
    if is_encrypted || is_near(&url) {
        return Ok(());
    }
    Err(format!("{form}: without TLS only to this machine or a private network"))
}

/// What is wrong with the recipient's address for good (RFC 3463, X.1.X "Addressing status"). Whatever else is refused may be accepted once
/// the operator has set it right: the login, the sender, the server's own limits.
const ADDRESS_STATUS: &str = "5.1.";

/// The sender's address has statuses of the same kind: X.1.7 and X.1.8.
fn is_about_recipient(answer: &str) -> bool {
    let mut words = answer.split_whitespace().filter(|word| word.starts_with(ADDRESS_STATUS));
    words.next().is_some_and(|status| !matches!(status, "5.1.7" | "5.1.8"))
}

/// Whoever is notified learns what the server has answered, and of what is between us and it only that it does not work.
fn undelivered(err: &SmtpError) -> Undelivered {
    let Some(status) = err.status().map(u16::from) else {
        tracing::warn!(error = %err, "the mail server cannot be used");
        let what = if err.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        return Undelivered::retry(format!("the mail server {what}"));
    };
    let what = err.to_string();
    let is_final = err.is_permanent() && is_about_recipient(&what);
    Undelivered { what, status: Some(status), next: if is_final { Next::GiveUp } else { Next::Retry } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_told_nothing_in_the_clear_over_public_networks() {
        for good in [
            "smtps://user:secret@mail.example.com",
            "smtp://user:secret@mail.example.com:587?tls=required",
            "smtp://127.0.0.1:2525",
            "smtp://mailpit:1025",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "smtp://user:secret@mail.example.com",
            "smtp://mail.example.com?tls=opportunistic",
            "https://mail.example.com",
            "mail.example.com",
            "smtp://",
            "",
        ] {
            let err = check(bad).unwrap_err();
            assert!(!err.contains("secret"), "{err}");
        }
    }

    #[test]
    fn only_a_wrong_recipient_is_given_up_at_once() {
        assert!(is_about_recipient("permanent error (550): 5.1.1 there is nobody of that name"));
        for other in [
            "permanent error (550): 5.1.8 Sender address rejected",
            "permanent error (552): 5.3.4 too big",
            "no",
        ] {
            assert!(!is_about_recipient(other), "{other}");
        }
    }

    #[test]
    fn addresses_are_one_address() {
        assert!(parse("ops@example.com").is_ok());
        for bad in ["ops", "ops@", "a@b.c, d@e.f", "Ops <ops@example.com>", "ops@example.com\r\nBcc: x@y.z"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
