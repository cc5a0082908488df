//! The API keys of a subaccount.

use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::api_key::{self, NAME_MAX};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ApiKeyId, SubaccountId};
use dmrelay_domain::permission::Role;
use dmrelay_store::NewApiKey;
use std::time::Duration;

/// A key that somebody wants.
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// The word of its role.
    pub(crate) role: String,
    /// When it expires; by default after the usual time.
    pub(crate) expires_at: Option<Result<Millis, &'static str>>,
}

/// Makes a key, and gives its id and the key, which nobody can see again. `role` is the maker's.
///
/// # Errors
/// 422 if something of it is not valid; 403 if it would grant more than the maker has; 409 if there are too many.
pub(crate) async fn create(
    state: &ApiState,
    (subaccount, role, actor): (&SubaccountId, Role, &Actor),
    wanted: Wanted,
) -> Result<(ApiKeyId, String), Problem> {
    let (granted, expires_at) = check(&wanted, state)?;
    // Only owners get here today. If others may create keys one day, they must not grant more than they have.
    if granted as u8 > role as u8 {
        return Err(Problem::forbidden());
    }
    let most = state.options.limits.api_keys_per_subaccount;
    if state.store.live_api_keys(subaccount).await? >= most {
        return Err(too_many(most));
    }
    let (key, hash) = api_key::generate();
    let new = NewApiKey {
        subaccount: subaccount.clone(),
        role: granted,
        name: wanted.name,
        hash,
        expires_at: Some(expires_at),
        created_by: actor.clone(),
    };
    let id = state.store.create_api_key(&new).await?;
    // Others may have been created since it was counted.
    if state.store.live_api_keys(&new.subaccount).await? > most {
        state.store.revoke_api_key(&new.subaccount, id, &new.created_by).await?;
        return Err(too_many(most));
    }
    Ok((id, key))
}

/// Revokes a key.
///
/// # Errors
/// 404 if the subaccount has none with this id.
pub(crate) async fn revoke(
    state: &ApiState,
    (subaccount, actor): (&SubaccountId, &Actor),
    id: ApiKeyId,
) -> Result<(), Problem> {
    if state.store.revoke_api_key(subaccount, id, actor).await? {
        Ok(())
    } else {
        Err(Problem::not_found("this subaccount has no key with that keyId"))
    }
}

fn too_many(most: u64) -> Problem {
    let title = "The subaccount has too many API keys";
    Problem::new(StatusCode::CONFLICT, "too-many-keys", title)
        .detail(format!("it has {most}; revoke one first"))
}

/// Checks the name of a key, or of a person.
pub(crate) fn checked_name(name: &str) -> Result<(), String> {
    if api_key::is_name(name) {
        Ok(())
    } else {
        Err(format!("must be 1 to {NAME_MAX} bytes of printable text"))
    }
}

/// Checks the name of a person.
pub(crate) fn checked_person(name: &str) -> Result<(), String> {
    checked_name(name)?;
    if api_key::is_name_of_person(name) { Ok(()) } else { Err("is a reserved name".to_owned()) }
}

/// How long a session lasts, of which this many seconds were asked for.
pub(crate) fn checked_ttl(state: &ApiState, seconds: Option<u64>) -> Result<Duration, String> {
    let limits = &state.options.limits;
    let most = limits.session_time_max;
    match seconds.map(Duration::from_secs) {
        None => Ok(limits.session_time.min(most)),
        Some(time) if time.is_zero() || time > most => {
            Err(format!("must be 1 to {} seconds (SESSION_TIME_MAX)", most.as_secs()))
        }
        Some(time) => Ok(time),
    }
}

/// Checks a secret of the caller's; its length is in the document.
pub(crate) fn checked_secret(text: &str) -> Result<(), String> {
    if text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("must be printable characters of ASCII, without spaces".to_owned())
    }
}

/// When a key is to expire.
pub(crate) fn checked_expiry(state: &ApiState, at: Result<Millis, &str>) -> Result<Millis, String> {
    let (at, now) = (at?, state.clock.now());
    let most = state.options.limits.api_key_max_lifetime;
    if at <= now {
        return Err("must be in the future".to_owned());
    }
    if at > now.saturating_add(millis(most)) {
        return Err(format!("must be within {} days", most.as_secs() / 86_400));
    }
    Ok(at)
}

fn check(wanted: &Wanted, state: &ApiState) -> Result<(Role, Millis), Problem> {
    let now = state.clock.now();
    let (usual, most) = (state.options.limits.api_key_lifetime, state.options.limits.api_key_max_lifetime);
    let mut errors = ValidationErrors::default();
    errors.check("/name", checked_name(&wanted.name));
    let role = Role::parse(&wanted.role).ok_or("must be viewer, operator, admin or owner");
    let role = errors.check("/role", role);
    let expires_at = wanted.expires_at;
    let expires_at = expires_at.and_then(|at| errors.check("/expiresAt", checked_expiry(state, at)));
    errors.end()?;
    let expires_at = expires_at.unwrap_or_else(|| now.saturating_add(millis(usual.min(most))));
    Ok((role.ok_or_else(Problem::forbidden)?, expires_at))
}
