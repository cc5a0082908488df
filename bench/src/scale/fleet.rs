//! What is asked of a stack besides answers: people spread over its accounts, and its workers' metrics.

use crate::http;
use crate::pipeline::Person;
use crate::stack::{Seat, Stack};
use crate::webhook::user_id;
use anyhow::Result;
use std::time::{Duration, Instant};

/// What a scrape of `/metrics` brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scrape {
    pub(super) took: Duration,
    pub(super) bytes: usize,
    pub(super) series: usize,
}

/// So many people, spread over the accounts and over the chats that are there, if any.
pub(super) fn people(seats: &[Seat], users: u16, chats: u64) -> Vec<Person> {
    let accounts = seats.len() as u64;
    // Not a multiple of ten: else few of the accounts would be met.
    let stride = (chats / u64::from(users)).max(2) - 1;
    (0..u64::from(users))
        .map(|user| {
            let chat = user * stride;
            let seat = usize::try_from(chat % accounts).unwrap_or_default();
            Person { account: seats[seat].account.clone(), user: user_id(chat) }
        })
        .collect()
}

/// Asks each worker for its metrics; the one with the most series is told.
pub(super) async fn scrape(stack: &Stack) -> Result<Option<Scrape>> {
    let mut largest: Option<Scrape> = None;
    for metrics in stack.metrics() {
        let began = Instant::now();
        let (_, body) = http::get(metrics, "/metrics").await?;
        let took = began.elapsed();
        let series = body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        let scrape = Scrape { took, bytes: body.len(), series };
        largest = largest.filter(|largest| largest.series >= series).or(Some(scrape));
    }
    Ok(largest)
}

/// The sum of a counter over all workers.
pub(super) async fn counter(stack: &Stack, series: &str) -> Result<f64> {
    let mut sum = 0.0;
    for metrics in stack.metrics() {
        let (_, body) = http::get(metrics, "/metrics").await?;
        let value = body.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
        sum += value.unwrap_or_default();
    }
    Ok(sum)
}
