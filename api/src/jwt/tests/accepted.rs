//! What valid tokens grant.

use super::super::Grants;
use super::*;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;

fn subaccount(id: &str) -> SubaccountId {
    SubaccountId::parse(id).unwrap()
}

#[tokio::test]
async fn a_valid_token_gives_subject_grants_and_expiry() {
    let identity = verify_claims(&claims()).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.expires_at), ("ann", now() + 600));
    assert_eq!(identity.grants.role_in(&subaccount("acme")), Some(Role::Operator));
    assert_eq!(identity.grants.role_in(&subaccount("other")), None);
}

#[tokio::test]
async fn a_person_is_called_what_a_person_can_be_called() {
    for (name, other, known) in [
        (" Ann ", "ann@example.com", Some("Ann")),
        // The agent, and what happens by itself, are called that.
        ("System", "ann@example.com", Some("ann@example.com")),
        ("agent", "bot", None),
        ("a\u{7}", "", None),
    ] {
        let mut claims = claims();
        (claims["name"], claims["email"]) = (json!(name), json!(other));
        assert_eq!(verify_claims(&claims).await.unwrap().name.as_deref(), known, "{name}");
    }
}

#[tokio::test]
async fn grants_are_a_list_or_a_star_or_an_object() {
    let cases = [
        (json!(["acme", "beta"]), Some(Role::Operator), None),
        (json!(["*"]), Some(Role::Operator), Some(Role::Operator)),
        (json!(["*", "acme"]), Some(Role::Operator), Some(Role::Operator)),
        (json!([]), None, None),
        (json!({ "acme": "viewer", "beta": "owner" }), Some(Role::Viewer), None),
        (json!({ "acme": "viewer", "other": "owner" }), Some(Role::Viewer), Some(Role::Owner)),
        (json!({}), None, None),
    ];
    for (subaccounts, in_acme, in_other) in cases {
        let grants = verify_claims(&claims_with("subaccounts", &subaccounts)).await.unwrap().grants;
        let roles = (grants.role_in(&subaccount("acme")), grants.role_in(&subaccount("other")));
        assert_eq!(roles, (in_acme, in_other), "{subaccounts}");
        let every = subaccounts.as_array().is_some_and(|ids| ids.contains(&json!("*")));
        assert_eq!(matches!(grants, Grants::Every(_)), every, "{subaccounts}");
    }
}

#[tokio::test]
async fn an_object_of_roles_needs_no_role_claim() {
    let mut claims = claims_with("role", &Value::Null);
    claims["subaccounts"] = json!({ "acme": "admin" });
    let grants = verify_claims(&claims).await.unwrap().grants;
    assert_eq!(grants.role_in(&subaccount("acme")), Some(Role::Admin));
}

#[tokio::test]
async fn the_settings_name_the_claims() {
    let names = ["--jwt-role-claim", "https://example.com/role", "--jwt-subaccounts-claim", "tenants"];
    let (tokens, _) = tokens(&settings(&[&["--jwt-secret", SECRET], names.as_slice()].concat()));
    let mut claims = claims_with("role", &json!(17));
    claims["https://example.com/role"] = json!("viewer");
    claims["tenants"] = json!(["beta"]);
    let identity = tokens.verify(&Signer::hs256(SECRET.as_bytes()).token(&claims)).await.unwrap();
    assert_eq!(identity.grants.role_in(&subaccount("beta")), Some(Role::Viewer));
    assert_eq!(identity.grants.role_in(&subaccount("acme")), None);
}

#[tokio::test]
async fn other_valid_tokens_are_accepted() {
    let cases = [
        ("aud", json!(["somebody", AUDIENCE])),
        ("exp", json!(f64::from(i32::try_from(now()).unwrap()) + 600.75)),
        ("nbf", json!(now())),
        ("nbf", json!(now() - 1_000)),
        ("sub", json!("x".repeat(128))),
        ("sub", json!("auth0|5f7c Zoë 東京")),
        ("unknown", json!({ "any": [1, 2] })),
    ];
    for (name, value) in cases {
        let outcome = verify_claims(&claims_with(name, &value)).await;
        assert!(outcome.is_ok(), "{name} {value}: {outcome:?}");
    }
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway() {
    let (tokens, _) = tokens(&settings(&["--jwt-secret", SECRET, "--jwt-leeway", "10m"]));
    let verify = async |claims: Value| tokens.verify(&Signer::hs256(SECRET.as_bytes()).token(&claims)).await;
    assert!(verify(claims_with("nbf", &json!(now() + 300))).await.is_ok(), "before it begins");
    assert!(verify(claims_with("exp", &json!(now() - 300))).await.is_ok(), "after its end");
    let why = TokenError::Invalid("it has expired");
    assert_eq!(verify(claims_with("exp", &json!(now() - 700))).await, Err(why));
    let why = TokenError::Invalid("it is not valid yet");
    assert_eq!(verify(claims_with("nbf", &json!(now() + 900))).await, Err(why));
}
