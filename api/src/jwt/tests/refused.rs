//! Rejected tokens, and the reasons given.

use super::keys::{Provider, with_provider};
use super::*;

const NOT_SIGNED: &str = "it is not a signed token";
const ALGORITHM: &str = "its signature algorithm is not accepted";
const SIGNATURE: &str = "its signature is not valid";
const IDS: &str = "its subaccounts claim contains an invalid id";

fn encoded(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn invalid_claims_are_rejected() {
    let (no_end, no_role) = ("it has no expiry (exp)", "it names an unknown role");
    let (no_audience, no_subject) = ("it has no audience (aud)", "its subject (sub) is missing or unusable");
    let cases = [
        ("iss", json!("https://login.example.com"), "it comes from another issuer (iss)"),
        ("iss", Value::Null, "it has no issuer (iss)"),
        ("iss", json!({ ISSUER: true }), "it has no issuer (iss)"),
        ("iss", json!([ISSUER]), "it has no issuer (iss)"),
        ("aud", json!("dmrelay2"), "it is for another audience (aud)"),
        ("aud", json!(["a", "b"]), "it is for another audience (aud)"),
        ("aud", json!([]), "it is for another audience (aud)"),
        ("aud", Value::Null, no_audience),
        ("aud", json!([AUDIENCE, 5]), no_audience),
        ("aud", json!({ AUDIENCE: true }), no_audience),
        ("exp", json!(now() - 60), "it has expired"),
        ("exp", json!(0), "it has expired"),
        ("exp", json!(-5), no_end),
        ("exp", Value::Null, no_end),
        ("exp", json!((now() + 600).to_string()), no_end),
        ("exp", json!(true), no_end),
        ("exp", json!(1e300), no_end),
        ("exp", json!(u64::MAX), no_end),
        ("exp", json!(now() + 21 * 86_400), "it lives too long (JWT_MAX_LIFETIME)"),
        ("iat", json!(now() - 20 * 86_400), "it lives too long (JWT_MAX_LIFETIME)"),
        ("iat", json!(now() + 300), "it is issued in the future (iat)"),
        ("iat", json!("0"), "its iat claim is not a time"),
        ("nbf", json!(now() + 90), "it is not valid yet"),
        ("nbf", json!(i64::MAX), "it is not valid yet"),
        ("nbf", json!("0"), "its nbf claim is not a time"),
        ("sub", Value::Null, no_subject),
        ("sub", json!(""), no_subject),
        ("sub", json!("  "), no_subject),
        ("sub", json!(5), no_subject),
        ("sub", json!("x".repeat(129)), no_subject),
        ("sub", json!("ann\nmallory"), no_subject),
        ("sub", json!("ann\u{202e}"), no_subject),
        ("role", Value::Null, "it has no role claim"),
        ("role", json!("root"), no_role),
        ("role", json!("Owner"), no_role),
        ("role", json!(["owner"]), no_role),
        ("subaccounts", Value::Null, "it has no subaccounts claim"),
        ("subaccounts", json!("acme"), "its subaccounts claim is neither a list nor an object"),
        ("subaccounts", json!(["acme", "../x"]), IDS),
        ("subaccounts", json!(["*", ""]), IDS),
        ("subaccounts", json!(["acme", 5]), IDS),
        ("subaccounts", json!({ "a b": "viewer" }), IDS),
        ("subaccounts", json!({ "*": "viewer" }), IDS),
        ("subaccounts", json!({ "acme": "king" }), no_role),
        ("subaccounts", json!({ "acme": ["viewer"] }), no_role),
    ];
    for (name, value, why) in cases {
        let outcome = verify_claims(&claims_with(name, &value)).await;
        assert_eq!(outcome, Err(TokenError::Invalid(why)), "{name} {value}");
    }
}

#[tokio::test]
async fn null_is_not_absent() {
    let cases = [
        ("nbf", "its nbf claim is not a time"),
        ("exp", "it has no expiry (exp)"),
        ("role", "it names an unknown role"),
    ];
    for (name, why) in cases {
        let mut claims = claims();
        claims[name] = Value::Null;
        claims["subaccounts"] = json!({ "acme": "viewer" });
        assert_eq!(verify_claims(&claims).await, Err(TokenError::Invalid(why)), "{name}");
    }
    assert_eq!(verify_claims(&json!(["no", "object"])).await, Err(TokenError::Invalid(NOT_SIGNED)));
}

#[tokio::test]
async fn malformed_tokens_are_rejected() {
    let good = Signer::hs256(SECRET.as_bytes()).token(&claims());
    let cases = [
        (String::new(), NOT_SIGNED),
        ("..".to_owned(), NOT_SIGNED),
        ("dmr_0123456789".to_owned(), NOT_SIGNED),
        (good.rsplit_once('.').unwrap().0.to_owned(), NOT_SIGNED),
        (format!("{good}.more"), NOT_SIGNED),
        (format!("={good}"), NOT_SIGNED),
        (format!("{}.e30.e30", encoded("[]")), NOT_SIGNED),
        (format!("{}.e30.e30", encoded(r#"{"alg":"HS256","alg":"none"}"#)), NOT_SIGNED),
        (format!("{}.e30.e30", encoded(r#"{"alg":["HS256"]}"#)), NOT_SIGNED),
        (format!("{}.e30.e30", encoded("{}")), NOT_SIGNED),
        (format!("{good}="), NOT_SIGNED),
        (format!("{good}{}", "A".repeat(8 * 1024)), "it is too long"),
    ];
    let (tokens, _) = with_secret();
    assert!(tokens.verify(&good).await.is_ok());
    for (token, why) in cases {
        assert_eq!(tokens.verify(&token).await, Err(TokenError::Invalid(why)), "{token}");
    }
}

#[tokio::test]
async fn a_token_of_eight_kibibytes_is_read() {
    let signer = Signer::hs256(SECRET.as_bytes());
    let token = |padding: usize| signer.token(&claims_with("padding", &json!("x".repeat(padding))));
    let padding = (5_000..6_144).rev().find(|padding| token(*padding).len() <= 8 * 1024).unwrap();
    let (tokens, _) = with_secret();
    assert!(tokens.verify(&token(padding)).await.is_ok());
    assert_eq!(tokens.verify(&token(padding + 3)).await, Err(TokenError::Invalid("it is too long")));
}

#[tokio::test]
async fn the_algorithm_none_is_rejected() {
    let provider = Provider::start(&[&Signer::rs256()]).await;
    let (published, _) = with_provider(&provider, &[]);
    for tokens in [with_secret().0, published] {
        for word in ["none", "None", "NONE", ""] {
            let header = json!({ "alg": word, "typ": "JWT" }).to_string();
            for signature in ["", "e30"] {
                let token = format!("{}.{}.{signature}", encoded(&header), encoded(&claims().to_string()));
                assert_eq!(tokens.verify(&token).await, Err(TokenError::Invalid(NOT_SIGNED)), "{word:?}");
            }
        }
    }
    assert_eq!(provider.hits(), 0, "nothing is fetched for such a token");
}

#[tokio::test]
async fn a_public_key_is_not_a_shared_secret() {
    let rsa = Signer::rs256();
    let provider = Provider::start(&[&rsa]).await;
    let (tokens, _) = with_provider(&provider, &[]);
    assert!(tokens.verify(&rsa.token(&claims())).await.is_ok());
    let modulus = rsa.published()["n"].as_str().unwrap().to_owned();
    let secrets =
        [BASE64_URL_SAFE_NO_PAD.decode(&modulus).unwrap(), modulus.into_bytes(), rsa.key.as_bytes().to_vec()];
    for secret in secrets {
        let forged = Signer { kid: Some("rsa"), ..Signer::hs256(&secret) }.token(&claims());
        assert_eq!(tokens.verify(&forged).await, Err(TokenError::Invalid(ALGORITHM)));
    }
}

#[tokio::test]
async fn with_a_secret_only_that_secret_verifies() {
    let (tokens, _) = with_secret();
    for signer in [Signer::rs256(), Signer::es256("ec", 1), Signer::eddsa("ed", 1)] {
        assert_eq!(tokens.verify(&signer.token(&claims())).await, Err(TokenError::Invalid(ALGORITHM)));
    }
    let other = Signer::hs256(b"another secret of more than thirty-two characters").token(&claims());
    assert_eq!(tokens.verify(&other).await, Err(TokenError::Invalid(SIGNATURE)));
}

#[tokio::test]
async fn a_signature_covers_header_and_claims() {
    let token = Signer::hs256(SECRET.as_bytes()).token(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let owner = encoded(&claims_with("role", &json!("owner")).to_string());
    let header = encoded(r#"{"alg":"HS256"}"#);
    let (tokens, _) = with_secret();
    let changed = [
        format!("{}.{owner}.{}", parts[0], parts[2]),
        format!("{header}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][..20]),
    ];
    for token in changed {
        assert_eq!(tokens.verify(&token).await, Err(TokenError::Invalid(SIGNATURE)), "{token}");
    }
}

#[tokio::test]
async fn critical_extensions_are_rejected() {
    let signer = Signer::hs256(SECRET.as_bytes());
    let why = "it needs an extension that is not supported";
    for (crit, why) in [(json!(["b64"]), why), (json!([]), why), (json!("exp"), NOT_SIGNED)] {
        let mut header = signer.header();
        header["crit"] = crit.clone();
        let outcome = with_secret().0.verify(&signer.sign(&header, &claims())).await;
        assert_eq!(outcome, Err(TokenError::Invalid(why)), "{crit}");
    }
}

#[tokio::test]
async fn tokens_for_another_purpose_are_rejected() {
    let signer = Signer::hs256(SECRET.as_bytes());
    for (typ, accepted) in [
        (json!(null), true),
        (json!("JWT"), true),
        (json!("at+jwt"), true),
        (json!("application/at+JWT"), true),
        (json!("id+jwt"), false),
        (json!("logout+jwt"), false),
        (json!(""), false),
    ] {
        let mut header = signer.header();
        header["typ"] = typ.clone();
        let outcome = with_secret().0.verify(&signer.sign(&header, &claims())).await;
        let why = outcome.as_ref().err();
        let refused = TokenError::Invalid("its type (typ) is not accepted");
        assert_eq!(why, (!accepted).then_some(&refused), "{typ}");
    }
}

#[tokio::test]
async fn a_key_in_the_token_is_not_trusted() {
    let forger = Signer::rs256_forged();
    let mut header = forger.header();
    header["jwk"] = forger.published();
    header["jku"] = json!("http://127.0.0.1:1/keys");
    let provider = Provider::start(&[&Signer::rs256()]).await;
    let (tokens, _) = with_provider(&provider, &[]);
    let token = forger.sign(&header, &claims());
    assert_eq!(tokens.verify(&token).await, Err(TokenError::Invalid(SIGNATURE)));
}
