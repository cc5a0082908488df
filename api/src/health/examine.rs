//! What is asked of Meta.

use crate::connect::{NEEDED_FIELD, apps};
use crate::state::ApiState;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::{CheckName, CheckState, ConnectionStatus, LoginKind};
use dmrelay_instagram::{Access, GraphError, MetaApp, TokenFacts, used_permissions};
use dmrelay_store::{Connection, Finding, Result};

/// What Meta has told.
pub(super) struct Examination {
    pub(super) found: Vec<Finding>,
    pub(super) token_ends_at: Option<Millis>,
}

/// So much earlier than the last event a gap may have begun: events of conversations come in any order.
pub(super) const GAP_MARGIN: Millis = 300_000;

/// The code with which Graph rejects tokens.
const TOKEN_CODE: &str = "190";

const LOG_IN: &str = "Log in again to reconnect the account. Messages wait until then.";

pub(super) async fn examine(state: &ApiState, connection: &Connection) -> Result<Examination> {
    let mut examination = Examination { found: Vec::new(), token_ends_at: connection.row.token_expires_at };
    let access = match dmrelay_app::access(&state.vault, connection) {
        Ok(access) => access,
        Err(err) => {
            tracing::error!(connection = %connection.id, error = %err, "cannot decrypt a stored access token");
            let what = "The stored token cannot be decrypted. Reconnect the account.";
            examination.found.push(finding(CheckName::Token, CheckState::Failing, what));
            return Ok(examination);
        }
    };
    let token = token(state, connection, &access).await?;
    let is_accepted = token.state == CheckState::Ok;
    examination.found.push(token);
    if !is_accepted {
        return Ok(examination);
    }
    examination.found.push(webhooks(state, connection, &access).await?);
    examination.found.push(message_access(state, &access).await);
    let facts = facts(state, connection, &access).await;
    if let Some(facts) = &facts
        && facts.ends_at != connection.row.token_expires_at
    {
        state.store.note_token_end(connection, facts.ends_at).await?;
        examination.token_ends_at = facts.ends_at;
    }
    examination.found.push(permissions(connection, facts.as_ref()));
    Ok(examination)
}

fn finding(name: CheckName, state: CheckState, detail: impl Into<String>) -> Finding {
    Finding { name, state, detail: detail.into() }
}

/// Whether Meta accepts the token, and whose it is.
async fn token(state: &ApiState, connection: &Connection, access: &Access) -> Result<Finding> {
    let found = |state, detail: String| finding(CheckName::Token, state, detail);
    let err = match state.graph.identify(access).await {
        Ok(account) if account.instagram_account_id == connection.account.as_str() => {
            // A rejection that is over. Others than of the token itself would come back with the next send.
            let was_token =
                connection.row.status_reason.as_deref().is_some_and(|reason| reason.starts_with(TOKEN_CODE));
            if connection.status == ConnectionStatus::ReauthRequired && was_token {
                let goes_on = state.store.unpark_connection(connection).await?;
                tracing::info!(connection = %connection.id, goes_on, "Meta accepts the token again");
            }
            return Ok(found(CheckState::Ok, "Meta accepts the token.".to_owned()));
        }
        Ok(account) => {
            let what =
                format!("The token belongs to another account, {}. {LOG_IN}", account.instagram_account_id);
            return Ok(found(CheckState::Failing, what));
        }
        Err(err) => err,
    };
    if err.class == FailureClass::Reauth {
        let status = ConnectionStatus::ReauthRequired;
        if state.store.park_connection(connection, status, &err.code).await? {
            tracing::error!(connection = %connection.id, error = %err, "Meta rejected the token");
        }
        return Ok(found(CheckState::Failing, format!("Meta rejects the token ({}). {LOG_IN}", err.code)));
    }
    Ok(match state_of(&err) {
        CheckState::Unknown => found(CheckState::Unknown, unasked(&err)),
        state => found(state, format!("Meta does not show the account: {} ({}).", err.message, err.code)),
    })
}

/// Whether the webhook fields that dmrelay needs are subscribed. Missing ones are subscribed again.
async fn webhooks(state: &ApiState, connection: &Connection, access: &Access) -> Result<Finding> {
    let found = |state, detail: String| finding(CheckName::Webhooks, state, detail);
    let wanted = match connection.login {
        LoginKind::Instagram => &state.options.graph.subscribed_fields,
        LoginKind::Facebook => &state.options.graph.subscribed_page_fields,
    };
    let missing_of = |fields: &[String]| -> Vec<String> {
        wanted.iter().filter(|field| !fields.contains(field)).cloned().collect()
    };
    let fields = match state.graph.subscriptions(access).await {
        Ok(fields) => fields,
        Err(err) if state_of(&err) == CheckState::Unknown => {
            return Ok(found(CheckState::Unknown, unasked(&err)));
        }
        Err(err) => {
            let what = format!("Meta does not show the subscription: {} ({}).", err.message, err.code);
            return Ok(found(CheckState::Warning, what));
        }
    };
    let missing = missing_of(&fields);
    if missing.is_empty() {
        return Ok(found(CheckState::Ok, "All webhook fields are subscribed.".to_owned()));
    }
    let again = async {
        state.graph.subscribe(access, wanted).await?;
        state.graph.subscriptions(access).await
    };
    let (still, why) = match again.await {
        Ok(fields) => {
            let still = missing_of(&fields);
            if still.is_empty() {
                state.store.note_resubscribed(connection, &fields, &missing).await?;
                // Nobody knows since when they were missing.
                let since = connection.row.quiet_since() - GAP_MARGIN;
                state.store.request_backfill(connection.id, since, "resubscribed").await?;
                tracing::warn!(connection = %connection.id, ?missing, "webhook fields were not subscribed, and are again");
                return Ok(found(CheckState::Ok, "All webhook fields are subscribed again.".to_owned()));
            }
            (still, "Meta accepts the subscription but does not list it".to_owned())
        }
        Err(err) => (missing, format!("{} ({})", err.message, err.code)),
    };
    let is_deaf = still.iter().any(|field| field == NEEDED_FIELD);
    let state = if is_deaf { CheckState::Failing } else { CheckState::Warning };
    Ok(found(state, format!("These webhook fields cannot be subscribed: {}. {why}.", still.join(", "))))
}

/// Whether the account's own switch lets apps read its messages.
async fn message_access(state: &ApiState, access: &Access) -> Finding {
    let found = |state, detail: String| finding(CheckName::MessageAccess, state, detail);
    match state.graph.probe_messages(access).await {
        Ok(()) => found(CheckState::Ok, "Its messages can be read.".to_owned()),
        Err(err) if err.is_access_off() => {
            let what = "The account does not let apps read its messages. Turn on \"Allow access to messages\" in the Instagram app: \
                        Settings, Messages and story replies, Message controls, Connected tools.";
            found(CheckState::Failing, what.to_owned())
        }
        Err(err) => match state_of(&err) {
            CheckState::Unknown => found(CheckState::Unknown, unasked(&err)),
            state => found(state, format!("Its messages cannot be read: {} ({}).", err.message, err.code)),
        },
    }
}

/// What Meta tells about the token of a Page, where its app is known.
async fn facts(state: &ApiState, connection: &Connection, access: &Access) -> Option<TokenFacts> {
    if connection.login != LoginKind::Facebook {
        return None;
    }
    for app in facebook_apps(state, connection).await {
        match state.graph.token_facts(&app, &access.token).await {
            Ok(facts) if facts.is_valid => return Some(facts),
            // Then nothing that is told of it is true; the check of the token asks with it.
            Ok(_) => {}
            // It may be another app's.
            Err(err) => {
                tracing::debug!(connection = %connection.id, error = %err, "Graph does not tell about a token");
            }
        }
    }
    None
}

async fn facebook_apps(state: &ApiState, connection: &Connection) -> Vec<MetaApp> {
    let own = apps::own(state, &connection.subaccount, LoginKind::Facebook).await.ok().flatten();
    let platform = state.secrets.get();
    own.map(|own| own.app).into_iter().chain(platform.meta_app(LoginKind::Facebook).cloned()).collect()
}

/// Whether everything is granted without which no message is received or answered.
fn permissions(connection: &Connection, facts: Option<&TokenFacts>) -> Finding {
    let found = |state, detail: String| finding(CheckName::Permissions, state, detail);
    let stored = connection.row.permissions.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let Some(granted) = facts.map(|facts| facts.scopes.clone()).or(stored) else {
        let what = "The permissions of this token are unknown: Meta did not report them.".to_owned();
        return found(CheckState::Unknown, what);
    };
    let needed = used_permissions(connection.login);
    let missing: Vec<&str> =
        needed.filter(|name| !granted.iter().any(|one| one == **name)).copied().collect();
    if missing.is_empty() {
        return found(CheckState::Ok, "All required permissions are granted.".to_owned());
    }
    let what = format!("Not granted: {}. Log in again and grant all permissions.", missing.join(", "));
    found(CheckState::Failing, what)
}

/// What a failed call says about the account: nothing, where Meta is unreachable.
fn state_of(err: &GraphError) -> CheckState {
    match err.class {
        FailureClass::Transient | FailureClass::Ambiguous | FailureClass::Throttled => CheckState::Unknown,
        FailureClass::Restricted | FailureClass::Reauth => CheckState::Failing,
        _ => CheckState::Warning,
    }
}

fn unasked(err: &GraphError) -> String {
    format!("Meta did not answer the check ({}).", err.code)
}
