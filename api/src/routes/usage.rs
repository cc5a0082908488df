//! `GET …/usage`: what was used, by account and day.

use crate::access::Tenant;
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Json, Response};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_store::{UsageFilter, day_of};
use dmrelay_views::{TurnBudgetView, UsageCounts, UsageDayView, date, enums, parse_date, usage_csv};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Days that are shown unless others are asked for, and the most at a time.
const DAYS: i64 = 30;
const DAYS_MAX: i64 = 92;

/// Rows of one answer.
const ROWS_MAX: u64 = 10_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The first day (UTC); by default 29 days before `to`. At most 92 days; a longer range is refused.
    #[param(format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// The last day; by default today.
    #[param(format = Date, example = "2026-11-26")]
    to: Option<String>,
    /// Only this connection.
    connection_id: Option<Uuid>,
    /// `json` (the default) or `csv`.
    #[param(schema_with = enums::usage_format)]
    format: Option<String>,
}

/// What a subaccount has used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    /// The first day, in UTC.
    #[schema(format = Date)]
    from: String,
    /// The last day.
    #[schema(format = Date)]
    to: String,
    /// The sums of all days.
    totals: UsageCounts,
    /// Accounts and days on which something was used, latest first.
    days: Vec<UsageDayView>,
    /// How often the agent may be asked in this hour and today, and how often it was; empty until a worker has recorded the limits.
    budgets: Vec<TurnBudgetView>,
}

/// Shows what the subaccount has used, by account and day
///
/// Messages, turns of the agent, and questions to it; and how much of the budgets of turns is used. Today is counted every few
/// minutes, yesterday until the day after it ends. The counts stay when messages are erased or past their retention. A message
/// that is sent later than on the day after it was written counts as neither sent nor failed.
#[utoipa::path(get, path = "/usage", tag = "Usage", operation_id = "getUsage", params(Query),
    responses((status = 200, description = "The usage; with `format=csv` the days as text/csv", body = Usage)))]
pub(super) async fn usage(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let now = state.store.now().await?;
    let mut errors = ValidationErrors::default();
    let mut day = |name: &str, text: Option<&str>| errors.check_parameter(name, parse_date(text?));
    let (from, to) = (day("from", query.from.as_deref()), day("to", query.to.as_deref()));
    let to = to.unwrap_or_else(|| day_of(now));
    let from = from.unwrap_or(to - DAYS + 1);
    if from > to {
        errors.parameter("from", "must not be after to");
    } else if to - from >= DAYS_MAX {
        errors.parameter("from", format!("must be at most {} days before to", DAYS_MAX - 1));
    }
    let is_csv = match query.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            errors.parameter("format", "must be json or csv");
            false
        }
    };
    errors.end()?;
    let subaccount = Some(tenant.subaccount.clone());
    let connection = query.connection_id.map(ConnectionId);
    let filter = UsageFilter { subaccount, connection, from, to };
    let rows = state.store.usage(&filter, ROWS_MAX + 1).await?;
    let mut errors = ValidationErrors::default();
    if rows.len() as u64 > ROWS_MAX {
        errors.parameter(
            "from",
            format!("gives more than {ROWS_MAX} rows; ask for fewer days, or one connectionId"),
        );
    }
    errors.end()?;
    if is_csv {
        let name = format!("attachment; filename=\"usage-{}-{}.csv\"", date(from), date(to));
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ];
        return Ok((headers, usage_csv(&rows)).into_response());
    }
    let budgets = match state.store.budget_limits().await? {
        Some(limits) => {
            let used = state.store.budget_use(&tenant.subaccount).await?;
            TurnBudgetView::of(&limits, used, now)
        }
        None => Vec::new(),
    };
    let totals = rows.iter().fold(UsageCounts::default(), |sum, row| sum.plus(UsageCounts::of(row)));
    let days = rows.iter().map(UsageDayView::of).collect();
    Ok(Json(Usage { from: date(from), to: date(to), totals, days, budgets }).into_response())
}
