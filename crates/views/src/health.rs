//! The health of a connection.

use super::enums;
use super::format::always;
use dmrelay_domain::states::CheckState;
use dmrelay_store::entity::connection_check::Model;
use serde::Serialize;
use utoipa::ToSchema;

/// The health of a connection: its checks, and the worst of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectionHealth)]
pub struct HealthView {
    /// `ok`, `unknown`, `warning` or `failing`: of the checks, the worst. `unknown` until the first check.
    #[schema(schema_with = enums::check_state)]
    pub state: &'static str,
    /// The checks, the worst first.
    pub checks: Vec<CheckView>,
}

/// A check of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectionCheck)]
pub struct CheckView {
    /// What is checked.
    #[schema(schema_with = enums::check_name)]
    pub check: String,
    /// What was found.
    #[schema(schema_with = enums::check_state)]
    pub state: String,
    /// Since when it is in this state.
    #[schema(format = DateTime)]
    pub since: String,
    /// When it was checked last.
    #[schema(format = DateTime)]
    pub checked_at: String,
    /// What was found, and what to do.
    #[schema(
        example = "Meta rejects the token (190/463). Log in again to reconnect the account. Messages wait until then."
    )]
    pub message: String,
}

/// The worst of these checks. Those that Meta does not tell do not count beside others.
pub fn worst(checks: &[Model]) -> CheckState {
    let known =
        checks.iter().filter_map(|row| row.state.known()).filter(|state| *state != CheckState::Unknown);
    known.reduce(CheckState::worse).unwrap_or(CheckState::Unknown)
}

impl HealthView {
    /// The view of these rows, the worst first.
    pub fn of(rows: &[Model]) -> Self {
        let mut rows: Vec<&Model> = rows.iter().collect();
        let rank = |row: &Model| match row.state.known() {
            Some(CheckState::Failing) => 0,
            Some(CheckState::Warning) => 1,
            Some(CheckState::Unknown) | None => 2,
            Some(CheckState::Ok) => 3,
        };
        rows.sort_by(|a, b| (rank(a), a.name.as_str()).cmp(&(rank(b), b.name.as_str())));
        let state = worst(&rows.iter().map(|row| (*row).clone()).collect::<Vec<_>>());
        let checks = rows.into_iter().map(|row| CheckView {
            check: row.name.to_string(),
            state: row.state.to_string(),
            since: always(row.since),
            checked_at: always(row.checked_at),
            message: row.detail.clone(),
        });
        Self { state: state.as_str(), checks: checks.collect() }
    }
}
