//! Tokens signed with real keys, and an identity provider that publishes them on this machine.

mod accepted;
mod keys;
mod outages;
mod refused;
mod settings;

use super::{Identity, TokenError, Tokens};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use clap::Parser;
use dmrelay_domain::clock::{Clock, Millis, SystemClock};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_runtime::settings::JwtSettings;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const ISSUER: &str = "https://login.example.com/";
const AUDIENCE: &str = "dmrelay";
const SECRET: &str = "a secret of more than thirty-two characters";

/// The time at which the tests begin, in seconds: times in most tokens are relative to it. The library has its own clock.
fn now() -> i64 {
    static NOW: LazyLock<i64> = LazyLock::new(|| SystemClock.now() / 1_000);
    *NOW
}

/// Settings as given on a command line.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    jwt: JwtSettings,
}

/// Settings with an issuer and an audience, plus these.
fn settings(more: &[&str]) -> JwtSettings {
    let args = ["test", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-max-lifetime", "20d"];
    Cli::parse_from(args.iter().chain(more)).jwt
}

/// A clock controlled by the test.
struct TestClock(AtomicI64);

impl TestClock {
    fn start() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now() * 1_000)))
    }

    fn forward(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

fn client(metrics: &Arc<Metrics>) -> Client {
    Client::new(Duration::from_secs(5), Arc::clone(metrics)).unwrap()
}

/// A verifier with these settings, and its clock.
fn tokens(settings: &JwtSettings) -> (Tokens, Arc<TestClock>) {
    let (clock, metrics) = (TestClock::start(), Arc::new(Metrics::new(Process::Both).unwrap()));
    let tokens = Tokens::with_clock(settings, client(&metrics), Arc::clone(&clock) as Arc<dyn Clock>);
    (tokens.unwrap().unwrap(), clock)
}

/// A signer of tokens.
#[derive(Clone)]
struct Signer {
    kid: Option<&'static str>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn rsa(kid: &'static str, pkcs1: &str) -> Self {
        let der = BASE64_STANDARD.decode(pkcs1.split_whitespace().collect::<String>()).unwrap();
        Self { kid: Some(kid), algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der) }
    }

    fn rs256() -> Self {
        Self::rsa("rsa", include_str!("keys/rsa-a.b64"))
    }

    /// The same key id as [`Signer::rs256`], with another key.
    fn rs256_forged() -> Self {
        Self::rsa("rsa", include_str!("keys/rsa-b.b64"))
    }

    /// A P-256 key from any number except 0.
    fn es256(kid: &'static str, number: u8) -> Self {
        // PKCS #8: an EC key on prime256v1, with only the private number.
        let prefix = hex::decode("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420");
        let der = [prefix.unwrap().as_slice(), &[number; 32]].concat();
        Self { kid: Some(kid), algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(&der) }
    }

    fn eddsa(kid: &'static str, number: u8) -> Self {
        let prefix = hex::decode("302e020100300506032b657004220420").unwrap();
        let der = [prefix.as_slice(), &[number; 32]].concat();
        Self { kid: Some(kid), algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(&der) }
    }

    fn hs256(secret: &[u8]) -> Self {
        Self { kid: None, algorithm: Algorithm::HS256, key: EncodingKey::from_secret(secret) }
    }

    fn without_kid(self) -> Self {
        Self { kid: None, ..self }
    }

    fn header(&self) -> Value {
        let mut header = json!({ "typ": "JWT", "alg": self.algorithm });
        if let Some(kid) = self.kid {
            header["kid"] = json!(kid);
        }
        header
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// The public key, as a provider publishes it.
    fn published(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["use"] = json!("sig");
        if let Some(kid) = self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }
}

/// Claims of a valid token for the subaccount `acme`.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now() + 600,
        "role": "operator", "subaccounts": ["acme"],
    })
}

/// The same with one claim changed; `null` removes it.
fn claims_with(name: &str, value: &Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value.clone();
    }
    claims
}

/// A verifier with a shared secret, without an identity provider.
fn with_secret() -> (Tokens, Arc<TestClock>) {
    tokens(&settings(&["--jwt-secret", SECRET]))
}

async fn verify_claims(claims: &Value) -> Result<Identity, TokenError> {
    with_secret().0.verify(&Signer::hs256(SECRET.as_bytes()).token(claims)).await
}
