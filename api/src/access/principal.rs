//! The caller: the holder of an API key, the bootstrap key or a token.

use crate::jwt::{Grants, TokenError};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::http::{HeaderMap, StatusCode, header};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_domain::signature;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// Identifies the caller for rate limits and idempotency.
    pub(crate) id: String,
    /// The caller's readable name, for activities.
    pub(crate) name: String,
    grants: Grants,
}

impl Principal {
    /// The caller's role in a subaccount, if any.
    pub(crate) fn role_in(&self, subaccount: &SubaccountId) -> Option<Role> {
        self.grants.role_in(subaccount)
    }
}

/// Authenticates a caller by `Authorization: Bearer` (RFC 6750).
pub(super) async fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Principal, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, credential)) = bearer else {
        return Err(Problem::unauthenticated("send Authorization: Bearer with an API key or a token"));
    };
    let credential = credential.trim();
    let hash = signature::sha256(credential.as_bytes());
    if state.options.bootstrap_hash.is_some_and(|bootstrap| signature::same(&bootstrap, &hash)) {
        let name = "bootstrap key".to_owned();
        return Ok(Principal { id: "bootstrap".to_owned(), name, grants: Grants::Every(Role::Owner) });
    }
    match &state.tokens {
        // A key of ours has no dots, a signed token has two (RFC 7515).
        Some(tokens) if credential.matches('.').count() == 2 => by_token(tokens, credential).await,
        _ => by_key(state, &hash).await,
    }
}

async fn by_token(tokens: &crate::jwt::Tokens, token: &str) -> Result<Principal, Problem> {
    match tokens.verify(token).await {
        Ok(identity) => Ok(Principal {
            id: format!("jwt:{}", identity.subject),
            name: format!("jwt {}", identity.subject),
            grants: identity.grants,
        }),
        Err(TokenError::Invalid(why)) => Err(Problem::unauthenticated(why)),
        Err(TokenError::Unavailable) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "keys-unavailable",
            "The identity provider's keys are unavailable",
        )
        .retry_after(5)),
    }
}

async fn by_key(state: &ApiState, hash: &[u8; 32]) -> Result<Principal, Problem> {
    let Some(key) = state.store.api_key(hash).await? else {
        return Err(Problem::unauthenticated("the API key is unknown, expired or revoked"));
    };
    if let Err(err) = state.store.touch_api_key(key.id).await {
        tracing::debug!(error = %err, "cannot record the last use of an API key");
    }
    Ok(Principal {
        id: format!("key:{}", key.id),
        name: format!("key {}", key.name),
        grants: Grants::Of([(key.subaccount, key.role)].into()),
    })
}
