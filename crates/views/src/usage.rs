//! What was used, by account and day.

use super::enums;
use super::format::always;
use dmrelay_domain::clock::Millis;
use dmrelay_store::entity::usage_day;
use dmrelay_store::{BudgetLimits, BudgetUse};
use serde::Serialize;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

/// Milliseconds of an hour, and of a day.
const HOUR: Millis = 3_600_000;
const DAY: Millis = 86_400_000;

const FORM: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// What was used.
#[derive(Debug, Default, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageCounts)]
pub struct UsageCounts {
    /// Messages of customers.
    received: i64,
    /// Messages of the agent that were sent.
    sent_by_agent: i64,
    /// Messages of people that were sent, by the API or in the Instagram app.
    sent_by_people: i64,
    /// Messages that were not sent, or of which nobody knows whether they were.
    failed: i64,
    /// Turns of the agent: questions of one or more messages.
    turns: i64,
    /// How often the agent was asked: a turn that is tried again counts again.
    questions: i64,
    /// Voice messages and pictures that were put into words for the agent.
    understood: i64,
    /// Tokens billed for this, if the service reported them.
    understood_tokens: i64,
    /// Seconds of audio billed for this, if the service reported them.
    understood_seconds: i64,
}

/// What was used for an account on a day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageDay)]
pub struct UsageDayView {
    /// The day, in UTC.
    #[schema(format = Date, example = "2026-11-26")]
    day: String,
    connection_id: Uuid,
    #[schema(example = "17841400000000001")]
    instagram_account_id: String,
    #[serde(flatten)]
    counts: UsageCounts,
}

/// A budget of turns, and what is used of it now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TurnBudget)]
pub struct TurnBudgetView {
    /// `hour` or `day` (UTC).
    #[schema(schema_with = enums::budget_period)]
    period: &'static str,
    /// Turns of this period so far, of all accounts.
    used: i64,
    /// Maximum number of turns per period; null if unlimited. Further questions wait for the next period.
    limit: Option<i64>,
    /// When the period ends.
    #[schema(format = DateTime)]
    resets_at: String,
}

impl UsageCounts {
    /// The counts of a row.
    pub fn of(row: &usage_day::Model) -> Self {
        Self {
            received: row.received,
            sent_by_agent: row.sent_by_agent,
            sent_by_people: row.sent_by_people,
            failed: row.failed,
            turns: row.turns,
            questions: row.questions,
            understood: row.understood,
            understood_tokens: row.understood_tokens,
            understood_seconds: row.understood_seconds,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent_by_agent: self.sent_by_agent + other.sent_by_agent,
            sent_by_people: self.sent_by_people + other.sent_by_people,
            failed: self.failed + other.failed,
            turns: self.turns + other.turns,
            questions: self.questions + other.questions,
            understood: self.understood + other.understood,
            understood_tokens: self.understood_tokens + other.understood_tokens,
            understood_seconds: self.understood_seconds + other.understood_seconds,
        }
    }

    /// The counts with their names, in the order of a table.
    pub fn columns(&self) -> [(&'static str, i64); 9] {
        [
            ("received", self.received),
            ("sentByAgent", self.sent_by_agent),
            ("sentByPeople", self.sent_by_people),
            ("failed", self.failed),
            ("turns", self.turns),
            ("questions", self.questions),
            ("understood", self.understood),
            ("understoodTokens", self.understood_tokens),
            ("understoodSeconds", self.understood_seconds),
        ]
    }
}

impl UsageDayView {
    /// The view of a row.
    pub fn of(row: &usage_day::Model) -> Self {
        Self {
            day: date(row.day),
            connection_id: row.connection_id.0,
            instagram_account_id: row.instagram_account_id.clone(),
            counts: UsageCounts::of(row),
        }
    }
}

impl TurnBudgetView {
    /// The budgets of a subaccount, at this time.
    pub fn of(limits: &BudgetLimits, used: BudgetUse, now: Millis) -> Vec<Self> {
        let budget = |period, length: Millis, used, limit: i64| Self {
            period,
            used,
            limit: (limit > 0).then_some(limit),
            resets_at: always(now - now.rem_euclid(length) + length),
        };
        vec![
            budget("hour", HOUR, used.hour_turns, limits.subaccount_hour),
            budget("day", DAY, used.day_turns, limits.subaccount_day),
        ]
    }
}

/// A day since the Unix epoch, as `2026-11-26`.
pub fn date(day: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(day.saturating_mul(DAY / 1_000)).ok();
    at.and_then(|at| at.date().format(FORM).ok()).unwrap_or_default()
}

/// Parses such a day.
///
/// # Errors
/// What is wrong with the text, in readable form.
pub fn parse_date(text: &str) -> Result<i64, &'static str> {
    let date = Date::parse(text, FORM).map_err(|_| "must be a day like 2026-11-26")?;
    Ok(date.midnight().assume_utc().unix_timestamp().div_euclid(DAY / 1_000))
}

/// The lines of a CSV file (RFC 4180) with a header. No value has a character that needs quotes: days, ids and numbers.
pub fn usage_csv(rows: &[usage_day::Model]) -> String {
    let names = UsageCounts::default().columns().map(|(name, _)| name).join(",");
    let mut csv = format!("day,subaccountId,connectionId,instagramAccountId,{names}\r\n");
    for row in rows {
        let counts = UsageCounts::of(row).columns().map(|(_, count)| count.to_string()).join(",");
        let cells = [
            date(row.day),
            row.subaccount_id.clone(),
            row.connection_id.to_string(),
            row.instagram_account_id.clone(),
            counts,
        ];
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_written() {
        assert_eq!((date(0), date(20_783)), ("1970-01-01".to_owned(), "2026-11-26".to_owned()));
        assert_eq!(parse_date("2026-11-26"), Ok(20_783));
        for text in ["", "2026-11-31", "26.11.2026", "2026-11-26T00:00:00Z"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }
}
