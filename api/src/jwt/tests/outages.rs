//! When keys are fetched, how often, and what happens without them.

use super::keys::{Provider, with_provider};
use super::*;
use futures::FutureExt;
use futures::future::join_all;

const UNKNOWN: TokenError = TokenError::Invalid("its key is unknown");
const HOUR: Duration = Duration::from_hours(1);

/// A token that outlives every test.
fn lasting(signer: &Signer) -> String {
    signer.token(&claims_with("exp", &json!(now() + 1_000_000)))
}

#[tokio::test]
async fn keys_are_cached() {
    let signer = Signer::es256("first", 1);
    let provider = Provider::start(&[&signer]).await;
    let (tokens, clock) = with_provider(&provider, &["--jwks-cache", "10m"]);
    assert_eq!(provider.hits(), 0, "nothing is fetched before a token comes");
    for _ in 0..3 {
        assert!(tokens.verify(&lasting(&signer)).await.is_ok());
    }
    clock.forward(Duration::from_secs(599));
    assert!(tokens.verify(&lasting(&signer)).await.is_ok());
    assert_eq!(provider.hits(), 1);
    clock.forward(Duration::from_secs(1));
    assert!(tokens.verify(&lasting(&signer)).await.is_ok());
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_dropped() {
    let (old, new) = (Signer::rs256(), Signer::es256("new", 1));
    let provider = Provider::start(&[&old]).await;
    let (tokens, clock) = with_provider(&provider, &[]);
    assert!(tokens.verify(&lasting(&old)).await.is_ok());
    provider.publish(&[&new]);
    clock.forward(Duration::from_secs(30));
    assert!(tokens.verify(&lasting(&new)).await.is_ok());
    assert_eq!(tokens.verify(&lasting(&old)).await, Err(UNKNOWN));
    assert_eq!(provider.hits(), 2);
    provider.publish(&[]);
    clock.forward(HOUR);
    assert_eq!(tokens.verify(&lasting(&new)).await, Err(UNKNOWN), "no keys is an answer too");
}

#[tokio::test]
async fn fetches_for_unknown_keys_are_limited() {
    let (known, unknown) = (Signer::es256("known", 1), Signer::es256("unknown", 2));
    let provider = Provider::start(&[&known]).await;
    let (tokens, clock) = with_provider(&provider, &["--jwks-min-interval", "30s"]);
    for _ in 0..10 {
        assert_eq!(tokens.verify(&lasting(&unknown)).await, Err(UNKNOWN));
    }
    assert_eq!(provider.hits(), 1);
    clock.forward(Duration::from_millis(29_999));
    assert_eq!(tokens.verify(&lasting(&unknown)).await, Err(UNKNOWN));
    assert_eq!(provider.hits(), 1);
    clock.forward(Duration::from_millis(1));
    assert_eq!(tokens.verify(&lasting(&unknown)).await, Err(UNKNOWN));
    assert_eq!(tokens.verify(&lasting(&unknown)).await, Err(UNKNOWN));
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn concurrent_calls_share_one_fetch() {
    let signer = Signer::es256("first", 1);
    let provider = Provider::start(&[&signer]).await;
    // Even without a minimum interval between fetches.
    let (tokens, _) = with_provider(&provider, &["--jwks-min-interval", "0s"]);
    provider.hold();
    let token = lasting(&signer);
    let verified = join_all((0..50).map(|_| tokens.verify(&token)));
    let outcomes = async {
        provider.until_hit(1).await;
        provider.resume();
    };
    let (outcomes, ()) = tokio::join!(verified, outcomes);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(provider.hits(), 1);
}

#[tokio::test]
async fn a_disconnected_caller_does_not_abort_the_fetch() {
    let signer = Signer::es256("first", 1);
    let provider = Provider::start(&[&signer]).await;
    let (tokens, _) = with_provider(&provider, &[]);
    provider.hold();
    let token = lasting(&signer);
    let impatient = tokens.verify(&token);
    tokio::select! {
        outcome = impatient => panic!("nothing was published yet: {outcome:?}"),
        () = provider.until_hit(1) => {}
    }
    provider.resume();
    assert!(tokens.verify(&token).await.is_ok());
    assert_eq!(provider.hits(), 1);
}

#[tokio::test]
async fn without_any_keys_verification_is_unavailable() {
    let signer = Signer::es256("first", 1);
    let (tokens, _) = tokens(&settings(&["--jwks-url", "http://127.0.0.1:1/keys"]));
    assert_eq!(tokens.verify(&lasting(&signer)).await, Err(TokenError::Unavailable), "nobody listens");

    let provider = Provider::start(&[]).await;
    let (tokens, clock) = with_provider(&provider, &[]);
    let set = json!({ "keys": [signer.published()] }).to_string();
    let garbage = [
        (500, set.clone()),
        (302, set.clone()),
        (404, String::new()),
        (200, String::new()),
        (200, "<html>".to_owned()),
        (200, "[]".to_owned()),
        (200, r#"{"keys":{}}"#.to_owned()),
        (200, set[..set.len() - 1].to_owned()),
        (200, format!("{set}{}", " ".repeat(512 * 1024))),
        (200, format!("{set}{}", " ".repeat(10 * 1024 * 1024))),
    ];
    for (number, (status, body)) in garbage.into_iter().enumerate() {
        let what: String = body.chars().take(20).collect();
        provider.answers(status, body);
        assert_eq!(tokens.verify(&lasting(&signer)).await, Err(TokenError::Unavailable), "{status} {what}");
        assert_eq!(tokens.verify(&lasting(&signer)).await, Err(TokenError::Unavailable), "{status} {what}");
        assert_eq!(provider.hits(), number + 1, "one attempt in five seconds");
        clock.forward(Duration::from_secs(5));
    }
    provider.publish(&[&signer]);
    assert!(tokens.verify(&lasting(&signer)).await.is_ok(), "it came back");
}

#[tokio::test]
async fn cached_keys_outlast_an_outage_of_a_day() {
    let (known, unknown) = (Signer::es256("known", 1), Signer::es256("unknown", 2));
    let provider = Provider::start(&[&known]).await;
    let (tokens, clock) = with_provider(&provider, &[]);
    assert!(tokens.verify(&lasting(&known)).await.is_ok());
    provider.answers(503, "");
    for hours in 1..24 {
        clock.forward(HOUR);
        assert!(tokens.verify(&lasting(&known)).await.is_ok(), "{hours} h");
        // An unknown key waits for the fetch, and so do later calls.
        assert_eq!(tokens.verify(&lasting(&unknown)).await, Err(UNKNOWN), "{hours} h");
        assert_eq!(provider.hits(), hours + 1, "each hour it is tried once");
    }
    clock.forward(HOUR);
    assert_eq!(tokens.verify(&lasting(&known)).await, Err(TokenError::Unavailable));
    provider.publish(&[&known]);
    clock.forward(Duration::from_secs(5));
    assert!(tokens.verify(&lasting(&known)).await.is_ok());
}

#[tokio::test]
async fn an_unresponsive_provider_delays_only_one_call() {
    let known = Signer::es256("known", 1);
    let provider = Provider::start(&[&known]).await;
    let (tokens, clock) = with_provider(&provider, &["--jwks-timeout", "100ms"]);
    assert!(tokens.verify(&lasting(&known)).await.is_ok());
    provider.hold();
    clock.forward(HOUR);
    assert!(tokens.verify(&lasting(&known)).await.is_ok(), "after the timeout, with the keys at hand");
    assert_eq!(provider.hits(), 2);
    clock.forward(HOUR);
    for _ in 0..3 {
        let outcome = tokens.verify(&lasting(&known)).now_or_never();
        assert!(outcome.expect("answered without waiting").is_ok());
    }
    provider.until_hit(3).await;
    assert_eq!(provider.hits(), 3);
}

#[tokio::test]
async fn a_clock_set_back_does_not_keep_keys_for_ever() {
    let (old, new) = (Signer::es256("old", 1), Signer::es256("new", 2));
    let provider = Provider::start(&[&old]).await;
    let (tokens, clock) = with_provider(&provider, &[]);
    assert!(tokens.verify(&lasting(&old)).await.is_ok());
    clock.0.fetch_sub(86_400_000, Ordering::SeqCst);
    provider.publish(&[&new]);
    assert_eq!(tokens.verify(&lasting(&old)).await, Err(UNKNOWN));
    assert!(tokens.verify(&lasting(&new)).await.is_ok());
}

#[tokio::test]
async fn fetches_are_counted() {
    let signer = Signer::es256("first", 1);
    let provider = Provider::start(&[&signer]).await;
    let (clock, metrics) = (TestClock::start(), Arc::new(Metrics::new(Process::Both).unwrap()));
    let settings = settings(&["--jwks-url", provider.url()]);
    let tokens = Tokens::with_clock(&settings, client(&metrics), clock).unwrap().unwrap();
    assert!(tokens.verify(&lasting(&signer)).await.is_ok());
    let text = String::from_utf8(metrics.render()).unwrap();
    let series = r#"dmrelay_outgoing_seconds_count{operation="keys",service="jwks",status="2xx"} 1"#;
    assert!(text.contains(series), "{text}");
}
