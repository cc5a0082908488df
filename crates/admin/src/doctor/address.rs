//! Checks whether Meta can reach the API: the form of `PUBLIC_URL`, and the verification handshake.

use super::report::Report;
use crate::settings::Settings;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::{self, Call, Client};
use std::time::Duration;
use url::{Host, Url};

const CHECK: &str = "PUBLIC_URL";
const CALLBACK: &str = "callback";

/// Timeout of the handshake.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Host names that exist only on private networks (RFC 6761, RFC 6762, RFC 8375, RFC 9476).
const PRIVATE: [&str; 10] =
    ["localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid", "onion", "alt"];

/// Checks whether Meta accepts the address.
pub(super) fn check_form(url: &Url, report: &mut Report) {
    let shown = url.origin().ascii_serialization();
    match unfit(url) {
        None => report.ok(CHECK, shown),
        Some(why) => report.fail(CHECK, format!("{shown}: {why}")),
    }
}

/// Why Meta does not accept an address, if it does not.
fn unfit(url: &Url) -> Option<&'static str> {
    if url.scheme() != "https" {
        return Some("must be https: Meta delivers webhooks only over https");
    }
    match url.host() {
        Some(Host::Domain(name)) if is_public(name) => {}
        Some(Host::Domain(_)) => return Some("must have a public host name"),
        _ => return Some("must have a host name, not an address: certificates are issued for names"),
    }
    if url.port().is_some() {
        return Some("must have no port, or 443");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("must have no user and no password");
    }
    (url.query().is_some() || url.fragment().is_some()).then_some("must have no query and no fragment")
}

fn is_public(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let private = |suffix: &&str| name == *suffix || name.ends_with(&format!(".{suffix}"));
    name.contains('.') && !PRIVATE.iter().any(private)
}

/// Performs the handshake as Meta does.
pub(super) async fn check_callback(settings: &Settings<'_>, client: &Client, report: &mut Report) {
    let token = match settings.graph.verify_token.get() {
        Ok(Some(token)) => token,
        Ok(None) => return report.warn(CALLBACK, "not checked: META_VERIFY_TOKEN is not given"),
        Err(err) => return report.fail(CALLBACK, err),
    };
    let challenge = format!("{:016x}", rand::random::<u64>());
    match client.send(handshake(&settings.api.public_url, &token, &challenge)).await {
        Ok(answer) if answer.status == 200 && answer.body == challenge.as_bytes() => {
            report.ok(CALLBACK, "the handshake at /webhooks/instagram succeeds");
        }
        Ok(answer) if answer.status == 403 => {
            report.fail(CALLBACK, "the handshake is refused: the running API has another META_VERIFY_TOKEN");
        }
        Ok(answer) if answer.status == 200 => {
            report.fail(CALLBACK, "the response does not come from dmrelay, or a proxy changes it");
        }
        Ok(answer) => report.fail(CALLBACK, format!("answered with status {}, not 200", answer.status)),
        Err(err) => report.fail(CALLBACK, format!("PUBLIC_URL cannot be reached from here: {err}")),
    }
}

fn handshake(public: &Url, token: &Secret<String>, challenge: &str) -> Call {
    let mut url = http::join(public, &["webhooks", "instagram"]);
    url.query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", challenge)
        .append_pair("hub.verify_token", token.expose());
    Call::get(("callback", "handshake"), url, CALL_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_takes_public_https_addresses_only() {
        for (url, why) in [
            ("https://relay.example.com", None),
            ("https://relay.example.com:443/dm", None),
            ("http://relay.example.com", Some("https")),
            ("https://192.0.2.1", Some("not an address")),
            ("https://[2001:db8::1]", Some("not an address")),
            ("https://localhost", Some("public host name")),
            ("https://relay", Some("public host name")),
            ("https://relay.local", Some("public host name")),
            ("https://api.relay.internal.", Some("public host name")),
            ("https://relay.example.com:8443", Some("port")),
            ("https://user@relay.example.com", Some("no user")),
            ("https://relay.example.com?x=1", Some("no query")),
            ("https://relay.example.com/#x", Some("no query")),
        ] {
            let found = unfit(&Url::parse(url).unwrap());
            match why {
                None => assert_eq!(found, None, "{url}"),
                Some(part) => assert!(found.is_some_and(|found| found.contains(part)), "{url}: {found:?}"),
            }
        }
    }
}
