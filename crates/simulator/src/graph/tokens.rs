//! The account of a token; refreshing and exchanging tokens (Meta, "Business Login for Instagram").

use serde_json::json;

use super::call::Call;
use super::errors::GraphError;
use super::{Host, Outcome};
use crate::ids;
use crate::world::World;
use crate::world::account::{Account, LONG_TOKEN_SECONDS, LoginKind, Token, TokenState};

/// The account of the call's token, if the token works on this host.
pub(crate) fn account_of<'world>(
    world: &'world World,
    call: &Call,
    now: i64,
) -> Result<&'world Account, GraphError> {
    let cannot_parse = || GraphError::new(190, "Invalid OAuth access token - Cannot parse access token");
    let given = call.token.as_ref().ok_or_else(|| {
        // Graph API, "Error handling": what a call without a token is told.
        GraphError::new(
            2_500,
            "An active access token must be used to query information about the current user.",
        )
    })?;
    let token = world.tokens.get(given).ok_or_else(cannot_parse)?;
    let account = world.accounts.get(&token.account).ok_or_else(cannot_parse)?;
    let host = match account.login {
        LoginKind::Instagram => Host::Instagram,
        LoginKind::Facebook => Host::Facebook,
    };
    if host != call.host {
        return Err(cannot_parse());
    }
    let expired = token.expires_ms.is_some_and(|expires| expires <= now);
    match token.state {
        TokenState::Valid if !expired => Ok(account),
        TokenState::Valid | TokenState::Expired => Err(GraphError::sub(
            190,
            463,
            "Error validating access token: Session has expired on Tuesday, 01-Dec-25 06:00:00 PST. The current time \
             is Tuesday, 01-Dec-25 06:07:02 PST.",
        )),
        TokenState::Revoked => Err(GraphError::sub(
            190,
            460,
            "Error validating access token: The session has been invalidated because the user changed their password \
             or Facebook has changed the session for security reasons.",
        )),
        TokenState::AppRemoved => Err(GraphError::sub(
            190,
            458,
            "Error validating access token: The user has not authorized application.",
        )),
    }
}

/// `GET /refresh_access_token`: at least 24 hours old and not expired. Assumption: the old token keeps working.
pub(crate) fn refresh(world: &mut World, call: &Call, now: i64) -> Result<Outcome, GraphError> {
    if call.query("grant_type") != Some("ig_refresh_token") || call.host != Host::Instagram {
        return Err(GraphError::app_restricted(call.method.as_str()));
    }
    let issued =
        call.token.as_ref().and_then(|token| world.tokens.get(token)).map_or(now, |token| token.issued_ms);
    if now - issued < world.settings.graph.refresh_min_age_ms {
        // Assumption: which code this is.
        return Err(GraphError::new(100, "(#100) The access token is less than 24 hours old"));
    }
    issue(world, call, now)
}

/// `GET /access_token?grant_type=ig_exchange_token`.
pub(crate) fn exchange(world: &mut World, call: &Call, now: i64) -> Result<Outcome, GraphError> {
    let asked =
        call.query("grant_type") == Some("ig_exchange_token") && call.query("client_secret").is_some();
    if !asked || call.host != Host::Instagram {
        return Err(GraphError::app_restricted(call.method.as_str()));
    }
    let apps = world.settings.login.apps.iter().filter(|app| app.login_kind == LoginKind::Instagram);
    let mut secrets = apps.map(|app| app.app_secret.as_str()).peekable();
    if secrets.peek().is_some() && !secrets.any(|secret| call.query("client_secret") == Some(secret)) {
        // Assumption: which code this is.
        return Err(GraphError::new(101, "Error validating client secret."));
    }
    issue(world, call, now)
}

fn issue(world: &mut World, call: &Call, now: i64) -> Result<Outcome, GraphError> {
    let account = account_of(world, call, now)?.id.clone();
    let access_token = format!("IGAA{}", ids::letters(120));
    let expires_ms = Some(now + LONG_TOKEN_SECONDS * 1000);
    world.tokens.insert(
        access_token.clone(),
        Token { account, state: TokenState::Valid, issued_ms: now, expires_ms, data_access_ends_ms: None },
    );
    let body =
        json!({"access_token": access_token, "token_type": "bearer", "expires_in": LONG_TOKEN_SECONDS});
    Ok(body.into())
}
