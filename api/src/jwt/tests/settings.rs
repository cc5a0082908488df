//! Invalid settings are rejected at startup.

use super::*;

/// The rejected variable.
fn refused(args: &[&str]) -> Option<&'static str> {
    let settings = Cli::parse_from([&["test"], args].concat()).jwt;
    let client = client(&Arc::new(Metrics::new(Process::Both).unwrap()));
    Tokens::new(&settings, client).err().map(|err| err.name)
}

const PARTIES: [&str; 4] = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE];

#[tokio::test]
async fn jwt_authentication_is_optional() {
    let client = client(&Arc::new(Metrics::new(Process::Both).unwrap()));
    assert!(Tokens::new(&settings(&[]), client).unwrap().is_none());
}

#[tokio::test]
async fn a_secret_of_32_characters_or_keys_and_not_both() {
    let (url, short) = (["--jwks-url", "https://login.example.com/keys"], "x".repeat(31));
    let long = format!("{short}x");
    let refused = |args: &[&str]| refused(&[&PARTIES, args].concat());
    assert_eq!(refused(&["--jwt-secret", &short]), Some("JWT_SECRET"));
    assert_eq!(refused(&["--jwt-secret", &long]), None);
    assert_eq!(refused(&url), None);
    assert_eq!(refused(&["--jwt-secret", &long, url[0], url[1]]), Some("JWT_SECRET"));
}

#[tokio::test]
async fn issuer_and_audience_are_required() {
    let secret = ["--jwt-secret", SECRET];
    let refused = |args: &[&str]| refused(&[&secret, args].concat());
    assert_eq!(refused(&PARTIES[2..]), Some("JWT_ISSUER"));
    assert_eq!(refused(&PARTIES[..2]), Some("JWT_AUDIENCE"));
    assert_eq!(refused(&["--jwt-issuer", "", "--jwt-audience", AUDIENCE]), Some("JWT_ISSUER"));
    assert_eq!(refused(&PARTIES), None);
}

#[tokio::test]
async fn only_known_algorithms_are_accepted() {
    let url = ["--jwks-url", "https://login.example.com/keys"];
    let refused = |words| refused(&[&PARTIES, url.as_slice(), &["--jwt-algorithms", words]].concat());
    assert_eq!(refused("RS256, EdDSA"), None);
    for words in ["none", "HS256", "RS256,none", "rs256", "RS256,", ""] {
        assert_eq!(refused(words), Some("JWT_ALGORITHMS"), "{words:?}");
    }
}

#[tokio::test]
async fn keys_come_over_tls_or_from_this_machine() {
    let refused = |url| refused(&[&PARTIES, ["--jwks-url", url].as_slice()].concat());
    let good = [
        "https://a.example/keys",
        "http://127.0.0.1:8080/keys",
        "http://localhost/keys",
        "http://[::1]:1/keys",
    ];
    for url in good {
        assert_eq!(refused(url), None, "{url}");
    }
    let bad = ["http://a.example/keys", "http://10.0.0.1/keys", "http://localhost.example/", "file:///keys"];
    for url in bad {
        assert_eq!(refused(url), Some("JWKS_URL"), "{url}");
    }
}
