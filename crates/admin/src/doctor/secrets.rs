//! Checks whether the settings are valid, and the form of the secrets among them.

use super::report::Report;
use crate::settings::Settings;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::Client;
use dmrelay_runtime::settings::{BOOTSTRAP_KEY_BYTES_MIN, InvalidSetting, misspelt_here};
use dmrelay_vault::Vault;

/// Minimum length of a verification token that cannot be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// Settings with their own check.
const TOLD_BELOW: [&str; 3] = ["META_APP_SECRETS", "META_VERIFY_TOKEN", "BOOTSTRAP_API_KEY"];

/// Length of a Meta app secret, in hexadecimal digits.
const APP_SECRET_CHARS: usize = 32;

/// Runs the checks; returns the encryption keys if they are valid.
pub(super) fn check(settings: &Settings<'_>, client: Option<&Client>, report: &mut Report) -> Option<Vault> {
    match settings.checks.read_settings().err().filter(|err| !TOLD_BELOW.contains(&err.name)) {
        Some(err) => report.fail("settings", err),
        None => report.ok("settings", "valid"),
    }
    for what in misspelt_here() {
        report.warn("settings", what);
    }
    app_secrets(settings.graph.app_secrets.get(), report);
    verify_token(settings.graph.verify_token.get(), report);
    bootstrap_key(settings.api.bootstrap_key.get(), report);
    if let Some(client) = client {
        match settings.checks.accepts_tokens(client.clone()) {
            Ok(true) => report.ok("tokens (JWT)", "accepted in addition to API keys"),
            Ok(false) => report.ok("tokens (JWT)", "not accepted: neither JWT_SECRET nor JWKS_URL is given"),
            Err(err) => report.fail("tokens (JWT)", err),
        }
    }
    keys(settings, report)
}

fn app_secrets(secrets: Result<Option<Secret<String>>, InvalidSetting>, report: &mut Report) {
    const CHECK: &str = "META_APP_SECRETS";
    let secrets = match secrets {
        Ok(Some(secrets)) => secrets,
        Ok(None) => {
            let what = "not given: only webhooks of accounts with an app secret of their own are accepted";
            return report.warn(CHECK, what);
        }
        Err(err) => return report.fail(CHECK, err),
    };
    let list: Vec<&str> = secrets.expose().split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    match list.iter().position(|secret| !is_app_secret(secret)) {
        None => report.ok(CHECK, format!("{} given", list.len())),
        Some(at) => report.warn(
            CHECK,
            format!("number {} is not 32 hexadecimal digits: look it up in the app's dashboard", at + 1),
        ),
    }
}

fn is_app_secret(secret: &str) -> bool {
    secret.len() == APP_SECRET_CHARS && secret.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn verify_token(token: Result<Option<Secret<String>>, InvalidSetting>, report: &mut Report) {
    const CHECK: &str = "META_VERIFY_TOKEN";
    match token {
        Ok(Some(token)) if token.expose().len() < TOKEN_CHARS_MIN => {
            report.warn(CHECK, format!("shorter than {TOKEN_CHARS_MIN} characters: use a long random text"));
        }
        Ok(Some(_)) => report.ok(CHECK, "given"),
        Ok(None) => report.warn(CHECK, "not given: the handshake at /webhooks/instagram is refused"),
        Err(err) => report.fail(CHECK, err),
    }
}

fn bootstrap_key(key: Result<Option<Secret<String>>, InvalidSetting>, report: &mut Report) {
    const CHECK: &str = "BOOTSTRAP_API_KEY";
    match key {
        Ok(Some(key)) if key.expose().len() < BOOTSTRAP_KEY_BYTES_MIN => {
            report
                .fail(CHECK, format!("must have at least {BOOTSTRAP_KEY_BYTES_MIN} characters, or be unset"));
        }
        Ok(Some(_)) => report.warn(
            CHECK,
            "given: it has every permission in every subaccount, never expires, and names nobody; create keys with \
             admin keys create, and remove it",
        ),
        Ok(None) => report.ok(CHECK, "not given"),
        Err(err) => report.fail(CHECK, err),
    }
}

fn keys(settings: &Settings<'_>, report: &mut Report) -> Option<Vault> {
    const CHECK: &str = "ENCRYPTION_KEYS";
    let keys = settings.vault.keys.require().map_err(|err| err.to_string());
    match keys.and_then(|keys| Vault::parse(&keys).map_err(|err| err.to_string())) {
        Ok(vault) => {
            let (ids, first) = (vault.key_ids().join(", "), vault.current_key());
            report.ok(CHECK, format!("{ids} ({first} encrypts)"));
            Some(vault)
        }
        Err(err) => {
            report.fail(CHECK, err);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_app_secrets_are_recognized() {
        assert!(is_app_secret("0123456789abcdef0123456789abcdef"));
        for odd in
            ["", "0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdeg"]
        {
            assert!(!is_app_secret(odd), "{odd}");
        }
    }
}
