//! The caller: the holder of an API key, the bootstrap key or a token.

use crate::jwt::{Grants, Identity, TokenError};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::http::{HeaderMap, StatusCode, header};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::api_key;
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_domain::permission::{Permission, Role};
use dmrelay_domain::signature;
use std::collections::BTreeSet;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// Identifies the caller for rate limits, idempotency, logs and activities: `key:` and the key's id, `jwt:` and the token's
    /// subject, or `session:` and the session's subject, in its subaccount.
    pub(crate) id: String,
    /// The caller's readable name, for activities.
    pub(crate) name: String,
    /// How long the credential holds.
    pub(crate) credential: Credential,
    grants: Grants,
    /// The agents that a token names.
    agents: BTreeSet<String>,
}

/// What a caller has shown, and what ends it.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// A key of the settings.
    OfSettings,
    /// An API key, by its hash: until it expires or is revoked.
    Key([u8; 32]),
    /// A token: until this time, in milliseconds.
    Token(i64),
    /// A session, by the hash of its token: until it ends.
    Session([u8; 32]),
}

impl Principal {
    /// The caller, for activities.
    pub(crate) fn actor(&self) -> Actor {
        Actor::new(self.name.as_str(), self.id.as_str())
    }

    /// The caller's role in a subaccount, if any.
    pub(crate) fn role_in(&self, subaccount: &SubaccountId) -> Option<Role> {
        self.grants.role_in(subaccount)
    }

    /// Whether the caller's token names the agent as one that it may connect accounts to.
    pub(crate) fn may_bind(&self, agent: &AgentId) -> bool {
        self.agents.contains(agent.as_str())
    }
}

impl Credential {
    /// Whether it still lets its holder read this subaccount.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn still_reads(
        &self,
        state: &ApiState,
        subaccount: &SubaccountId,
    ) -> dmrelay_store::Result<bool> {
        match self {
            Self::OfSettings => Ok(true),
            Self::Token(until) => Ok(state.clock.now() < *until),
            Self::Key(hash) => {
                let key = state.store.api_key(hash).await?;
                Ok(key.is_some_and(|key| key.subaccount == *subaccount && key.role.may(Permission::Read)))
            }
            Self::Session(hash) => {
                let session = state.store.session(hash).await?;
                Ok(session.is_some_and(|session| session.subaccount == *subaccount))
            }
        }
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
    Principal::of_credential(state, credential.trim()).await
}

impl Principal {
    /// The holder of an API key, the bootstrap key or a token.
    ///
    /// # Errors
    /// 401 if it is none that holds.
    pub(crate) async fn of_credential(state: &ApiState, credential: &str) -> Result<Self, Problem> {
        let hash = signature::sha256(credential.as_bytes());
        if state.secrets.get().bootstrap_hash.is_some_and(|bootstrap| signature::same(&bootstrap, &hash)) {
            let name = "bootstrap key".to_owned();
            let (id, grants) = ("bootstrap".to_owned(), Grants::Every(Role::Owner));
            return Ok(Principal {
                id,
                name,
                credential: Credential::OfSettings,
                grants,
                agents: BTreeSet::new(),
            });
        }
        match &*state.tokens.get() {
            // A key of ours has no dots, a signed token has two (RFC 7515).
            Some(tokens) if credential.matches('.').count() == 2 => by_token(tokens, credential).await,
            _ if api_key::is_session(credential) => by_session(state, &hash).await,
            _ => by_key(state, &hash).await,
        }
    }

    /// The person of a session, their subaccount and their role there.
    ///
    /// # Errors
    /// 401 if it is unknown or has ended.
    pub(crate) async fn of_session(
        state: &ApiState,
        token: &str,
    ) -> Result<(Self, SubaccountId, Role), Problem> {
        let principal = by_session(state, &signature::sha256(token.as_bytes())).await?;
        let only = principal.only_subaccount().and_then(|only| Some((principal.role_in(&only)?, only)));
        let (role, only) = only.ok_or_else(|| Problem::unauthenticated("the session has no subaccount"))?;
        Ok((principal, only, role))
    }

    /// The holder of a token.
    pub(crate) fn of_identity(identity: Identity) -> Self {
        Self {
            id: format!("jwt:{}", identity.subject),
            name: format!("jwt {}", identity.subject),
            credential: Credential::Token(identity.expires_at.saturating_mul(1_000)),
            grants: identity.grants,
            agents: identity.agents,
        }
    }

    /// The one subaccount in which the caller has a role, if it is one.
    pub(crate) fn only_subaccount(&self) -> Option<SubaccountId> {
        match &self.grants {
            Grants::Of(roles) if roles.len() == 1 => roles.keys().next().cloned(),
            Grants::Of(_) | Grants::Every(_) => None,
        }
    }
}

async fn by_token(tokens: &crate::jwt::Tokens, token: &str) -> Result<Principal, Problem> {
    match tokens.verify(token).await {
        Ok(identity) => Ok(Principal::of_identity(identity)),
        Err(TokenError::Invalid(why)) => Err(Problem::unauthenticated(why)),
        Err(TokenError::Unavailable) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "keys-unavailable",
            "The identity provider's keys are unavailable",
        )
        .retry_after(5)),
    }
}

async fn by_session(state: &ApiState, hash: &[u8; 32]) -> Result<Principal, Problem> {
    let Some(session) = state.store.session(hash).await? else {
        return Err(Problem::unauthenticated("the session is unknown or has ended"));
    };
    Ok(Principal {
        // Subjects of different subaccounts are different people.
        id: format!("session:{}:{}", session.subaccount, session.subject),
        name: session.name,
        credential: Credential::Session(*hash),
        grants: Grants::Of([(session.subaccount, session.role)].into()),
        agents: BTreeSet::new(),
    })
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
        credential: Credential::Key(*hash),
        grants: Grants::Of([(key.subaccount, key.role)].into()),
        agents: BTreeSet::new(),
    })
}
