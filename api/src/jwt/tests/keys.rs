//! Which of the published keys verifies a token.

use super::super::jwk::Key;
use super::*;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use tokio::sync::Semaphore;

const UNKNOWN: &str = "its key is unknown";
const SIGNATURE: &str = "its signature is not valid";

/// An identity provider whose keys and timing the test controls.
#[derive(Clone)]
pub(super) struct Provider {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
    hits: Arc<AtomicUsize>,
    /// Each response takes one permit.
    permits: Arc<Semaphore>,
}

impl Provider {
    pub(super) async fn start(signers: &[&Signer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            answer: Arc::default(),
            hits: Arc::default(),
            permits: Arc::new(Semaphore::new(1_000)),
        };
        provider.publish(signers);
        let served = provider.clone();
        let answer = move || async move {
            served.hits.fetch_add(1, Ordering::SeqCst);
            served.permits.acquire().await.unwrap().forget();
            let (status, body) = served.answer.lock().unwrap().clone();
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let app = Router::new().route("/keys", get(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        provider
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.published()).collect();
        self.answers(200, json!({ "keys": keys }).to_string());
    }

    pub(super) fn answers(&self, status: u16, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// Leaves calls without a response until [`Provider::resume`].
    pub(super) fn hold(&self) {
        self.permits.forget_permits(usize::MAX);
    }

    pub(super) fn resume(&self) {
        self.permits.add_permits(1_000);
    }

    /// Waits for this many calls.
    pub(super) async fn until_hit(&self, times: usize) {
        let hit = async {
            while self.hits() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), hit).await.expect("no call came");
    }
}

pub(super) fn with_provider(provider: &Provider, more: &[&str]) -> (Tokens, Arc<TestClock>) {
    tokens(&settings(&[&["--jwks-url", provider.url()], more].concat()))
}

#[tokio::test]
async fn every_kind_of_key_verifies_its_tokens() {
    let signers = [Signer::rs256(), Signer::es256("ec", 1), Signer::eddsa("ed", 1)];
    let provider = Provider::start(&signers.each_ref()).await;
    let (tokens, _) = with_provider(&provider, &[]);
    for signer in &signers {
        let identity = tokens.verify(&signer.token(&claims())).await;
        assert_eq!(identity.map(|identity| identity.subject), Ok("ann".to_owned()), "{:?}", signer.kid);
    }
    assert_eq!(provider.hits(), 1);
}

#[tokio::test]
async fn another_key_with_the_same_id_does_not_verify() {
    let provider =
        Provider::start(&[&Signer::rs256(), &Signer::es256("ec", 1), &Signer::eddsa("ed", 1)]).await;
    let (tokens, _) = with_provider(&provider, &[]);
    for forger in [Signer::rs256_forged(), Signer::es256("ec", 2), Signer::eddsa("ed", 2)] {
        let outcome = tokens.verify(&forger.token(&claims())).await;
        assert_eq!(outcome, Err(TokenError::Invalid(SIGNATURE)), "{:?}", forger.kid);
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_algorithm() {
    let provider = Provider::start(&[&Signer::rs256()]).await;
    let (tokens, _) = with_provider(&provider, &[]);
    let crossed = Signer::es256("rsa", 1).token(&claims());
    assert_eq!(tokens.verify(&crossed).await, Err(TokenError::Invalid(UNKNOWN)));
}

#[tokio::test]
async fn only_configured_algorithms_are_accepted() {
    let signers = [Signer::rs256(), Signer::es256("ec", 1)];
    let provider = Provider::start(&signers.each_ref()).await;
    let (tokens, _) = with_provider(&provider, &["--jwt-algorithms", "ES256"]);
    assert!(tokens.verify(&signers[1].token(&claims())).await.is_ok());
    let why = "its signature algorithm is not accepted";
    assert_eq!(tokens.verify(&signers[0].token(&claims())).await, Err(TokenError::Invalid(why)));
}

#[tokio::test]
async fn without_a_key_id_exactly_one_key_must_fit() {
    let (first, second) = (Signer::es256("first", 1), Signer::es256("second", 2));
    let provider = Provider::start(&[&Signer::rs256(), &first]).await;
    let (tokens, clock) = with_provider(&provider, &[]);
    let token = first.clone().without_kid().token(&claims());
    assert!(tokens.verify(&token).await.is_ok());
    provider.publish(&[&Signer::rs256(), &first, &second]);
    clock.forward(Duration::from_mins(10));
    let token = first.clone().without_kid().token(&claims_with("exp", &json!(now() + 6_000)));
    let why = "it does not name the key that signed it";
    assert_eq!(tokens.verify(&token).await, Err(TokenError::Invalid(why)));
    let named = first.token(&claims_with("exp", &json!(now() + 6_000)));
    assert!(tokens.verify(&named).await.is_ok());
}

#[tokio::test]
async fn unusable_keys_are_skipped() {
    let (good, number) = (Signer::es256("good", 1), |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let mut modulus = vec![0xff; 255];
    let rsa = |modulus: &[u8], exponent: &[u8]| json!({ "kty": "RSA", "n": number(modulus), "e": number(exponent) });
    let with = |name: &str, value: Value| {
        let mut jwk = good.published();
        jwk[name] = value;
        jwk
    };
    let short = rsa(&modulus, &[1, 0, 1]);
    let padded = rsa(&[&[0; 8], modulus.as_slice()].concat(), &[1, 0, 1]);
    modulus.push(0xff);
    assert!(Key::read(&rsa(&modulus, &[1, 0, 1])).is_some(), "2048 bits");
    assert!(Key::read(&good.published()).is_some());
    let unusable = [
        short,
        padded,
        rsa(&modulus, &[1]),
        rsa(&modulus, &[2]),
        rsa(&modulus, &[]),
        rsa(&modulus, &[1, 0, 0, 0, 1]),
        rsa(&[0xff; 513], &[1, 0, 1]),
        rsa(&[], &[1, 0, 1]),
        json!({ "kty": "oct", "alg": "HS256", "k": number(SECRET.as_bytes()) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": number(&[1; 31]) }),
        json!({ "kty": "OKP", "crv": "X25519", "x": number(&[1; 32]) }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
        with("use", json!("enc")),
        with("use", json!(5)),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES384")),
        with("alg", json!("RS256")),
        with("crv", json!("P-384")),
        with("x", json!(number(&[1; 32]))),
        with("x", json!("not base64!")),
        with("y", json!(null)),
        json!("no object"),
        json!(null),
    ];
    for jwk in &unusable {
        assert!(Key::read(jwk).is_none(), "{jwk}");
    }
    let provider = Provider::start(&[]).await;
    let keys = [unusable.as_slice(), &[good.published()]].concat();
    provider.answers(200, json!({ "keys": keys }).to_string());
    let (tokens, _) = with_provider(&provider, &[]);
    assert!(tokens.verify(&good.token(&claims())).await.is_ok());
}

#[tokio::test]
async fn at_most_a_hundred_keys_are_accepted() {
    let mut keys: Vec<Value> = (0..101).map(|_| Signer::eddsa("many", 1).published()).collect();
    for (number, key) in keys.iter_mut().enumerate() {
        key["kid"] = json!(format!("key {number}"));
    }
    let provider = Provider::start(&[]).await;
    provider.answers(200, json!({ "keys": keys }).to_string());
    let (tokens, _) = with_provider(&provider, &[]);
    assert!(tokens.verify(&Signer::eddsa("key 99", 1).token(&claims())).await.is_ok());
    let last = tokens.verify(&Signer::eddsa("key 100", 1).token(&claims())).await;
    assert_eq!(last, Err(TokenError::Invalid(UNKNOWN)));
}
