//! Paused calls, as a subaccount sees them.

use super::enums;
use super::format::{always, time};
use dmrelay_store::Pause;
use serde::Serialize;
use utoipa::ToSchema;

/// Calls that are paused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pause)]
pub struct PauseView {
    /// `ask`: the agent is asked; `send`: messages are sent; `connect`: accounts are connected.
    #[schema(schema_with = enums::paused_call)]
    call: &'static str,
    /// What is paused: `all` accounts, the `subaccount`, or one `account`.
    #[schema(schema_with = enums::pause_scope)]
    scope: &'static str,
    /// The paused account; null for other scopes.
    #[schema(example = "17841400000000001")]
    instagram_account_id: Option<String>,
    /// Who may resume them: the `operator` of the installation, or the `subaccount`.
    #[schema(schema_with = enums::pause_owner)]
    by: &'static str,
    #[schema(format = DateTime)]
    since: String,
    /// When the pause ends; null if it lasts until resumed.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// Who paused them; null if the operator did.
    actor_id: Option<String>,
    /// Reason; null if none was given or the operator paused them.
    reason: Option<String>,
}

impl PauseView {
    /// The view of a pause: of an operator's, neither who nor why.
    pub fn of(pause: &Pause) -> Self {
        let scope = &pause.key.scope;
        let is_own = scope.is_own();
        Self {
            call: pause.key.call.as_str(),
            scope: scope.as_str(),
            instagram_account_id: scope.account().map(ToString::to_string),
            by: scope.by(),
            since: always(pause.since),
            ends_at: pause.ends_at.and_then(time),
            actor_id: is_own.then(|| pause.actor.clone()),
            reason: pause.reason.clone().filter(|_| is_own),
        }
    }
}
