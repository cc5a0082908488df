//! `admin usage`: what was used, by account and day.

use super::common::{EXIT_CODES, LIMIT_MAX, now, subaccount};
use super::output::{self, OfSubaccount, Table, print};
use anyhow::ensure;
use clap::Args;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_store::{Store, UsageFilter, day_of};
use dmrelay_views::{UsageCounts, UsageDayView, date, parse_date, usage_csv};
use std::io::{self, Write as _};

/// Days that are shown unless others are asked for.
const DAYS: i64 = 30;

/// Which days to show.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Usage {
    /// Only this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    /// Only this connection.
    #[arg(long)]
    connection: Option<ConnectionId>,
    /// The first day (UTC), e.g. 2026-11-01; by default 29 days before the last.
    #[arg(long, value_parser = parse_date)]
    from: Option<i64>,
    /// The last day; by default today.
    #[arg(long, value_parser = parse_date)]
    to: Option<i64>,
    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Usage {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let to = match self.to {
            Some(to) => to,
            None => day_of(now(store).await?),
        };
        let from = self.from.unwrap_or(to - DAYS + 1);
        ensure!(from <= to, "--from {} is after {}", date(from), date(to));
        let (subaccount, connection) = (self.subaccount.clone(), self.connection);
        let rows = store.usage(&UsageFilter { subaccount, connection, from, to }, LIMIT_MAX).await?;
        if self.csv {
            return Ok(io::stdout().lock().write_all(usage_csv(&rows).as_bytes())?);
        }
        if self.json {
            let days: Vec<_> =
                rows.iter().map(|row| OfSubaccount::new(&row.subaccount_id, UsageDayView::of(row))).collect();
            return output::print_json(&days);
        }
        let mut table = Table::new(&[
            "DAY",
            "SUBACCOUNT",
            "ACCOUNT",
            "RECEIVED",
            "BY AGENT",
            "BY PEOPLE",
            "FAILED",
            "TURNS",
            "QUESTIONS",
            "UNDERSTOOD",
            "TOKENS",
            "SECONDS",
        ]);
        for row in &rows {
            let counts = UsageCounts::of(row).columns();
            let counts = counts.iter().map(|(_, count)| count.to_string());
            let whose = [date(row.day), row.subaccount_id.clone(), row.instagram_account_id.clone()];
            table.row(whose.into_iter().chain(counts));
        }
        table.print("nothing was used on these days")?;
        Ok(print(format!("{} to {}, days in UTC", date(from), date(to)))?)
    }
}
