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
    assert_eq!((identity.subject.as_str(), identity.expires_at), ("ann", NOW + 600));
    assert_eq!(identity.grants.role_in(&subaccount("acme")), Some(Role::Operator));
    assert_eq!(identity.grants.role_in(&subaccount("other")), None);
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
        ("exp", json!(1_900_000_600.75)),
        ("nbf", json!(NOW)),
        ("nbf", json!(NOW - 1_000)),
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
    let (tokens, clock) = with_secret();
    let mut claims = claims_with("exp", &json!(NOW + 60));
    claims["nbf"] = json!(NOW + 30);
    let token = Signer::hs256(SECRET.as_bytes()).token(&claims);
    assert!(tokens.verify(&token).await.is_ok(), "30 s before it begins");
    clock.forward(Duration::from_millis(89_999));
    assert!(tokens.verify(&token).await.is_ok(), "almost 30 s after its end");
    clock.forward(Duration::from_millis(1));
    assert_eq!(tokens.verify(&token).await, Err(TokenError::Invalid("it has expired")));
}
