//! Bodies of requests, read within limits: of one body, of the caller, and of the process. Bytes are counted as they come, so
//! that a body which is only announced takes nothing from others.

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many bytes of bodies may be in memory: those of one caller, and of all. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    most: usize,
    most_of_one: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    in_all: usize,
    /// Of each caller that holds any.
    of: HashMap<String, usize>,
}

/// What a body takes from a budget, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    who: String,
    bytes: usize,
    /// What counts against another budget too.
    outer: Option<Box<Share>>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than one body may be.
    TooLarge,
    /// The caller, or the process, holds too much.
    Exhausted,
    /// It did not come in time.
    TooSlow,
    /// The connection broke, or its coding is wrong.
    Broken,
}

impl Budget {
    /// At most so many bytes in all, and of one caller.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, held: Arc::default() }
    }

    /// Nothing yet, for this caller.
    pub(crate) fn share(&self, who: String) -> Share {
        Share { budget: self.clone(), who, bytes: 0, outer: None }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// What it takes counts against this one too.
    pub(crate) fn within(mut self, outer: Self) -> Self {
        self.outer = Some(Box::new(outer));
        self
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        if let Some(outer) = &mut self.outer {
            outer.grow(bytes)?;
        }
        let mut held = self.budget.lock();
        let own = held.of.get(&self.who).copied().unwrap_or_default();
        if held.in_all + bytes > self.budget.most || own + bytes > self.budget.most_of_one {
            return Err(Unread::Exhausted);
        }
        held.in_all += bytes;
        held.of.insert(self.who.clone(), own + bytes);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.lock();
        held.in_all -= self.bytes;
        if let Some(own) = held.of.get_mut(&self.who) {
            *own -= self.bytes;
            if *own == 0 {
                held.of.remove(&self.who);
            }
        }
    }
}

/// Reads a body of at most `most` bytes within `time`.
///
/// # Errors
/// Why it is not read to its end. What has come of it is dropped.
pub(crate) async fn read(
    (headers, mut body): (&HeaderMap, Body),
    most: usize,
    time: Duration,
    share: &mut Share,
) -> Result<Bytes, Unread> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > most) {
        return Err(Unread::TooLarge);
    }
    let reading = async {
        // Copied: a frame of one byte may hold a whole buffer of the connection.
        let mut whole: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
            if whole.len() + data.len() > most {
                return Err(Unread::TooLarge);
            }
            share.grow(data.len())?;
            // By a quarter at a time: what counts is about what is in memory.
            if whole.capacity() - whole.len() < data.len() {
                whole.reserve_exact(data.len().max(whole.len() / 4));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    };
    tokio::time::timeout(time, reading).await.unwrap_or(Err(Unread::TooSlow))
}

impl Unread {
    /// The problem of a REST call.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::TooLarge => Problem::too_large(),
            Self::Exhausted => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many bodies are being read now")
                    .retry_after(1)
            }
            Self::TooSlow => {
                Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body did not come in time")
            }
            Self::Broken => Problem::malformed("cannot read the body"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use futures::stream;
    use std::convert::Infallible;

    fn chunks(chunks: &[&'static [u8]]) -> Body {
        let chunks: Vec<Result<Bytes, Infallible>> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    async fn read_all(body: Body, most: usize, share: &mut Share) -> Result<Bytes, Unread> {
        read((&HeaderMap::new(), body), most, Duration::from_secs(5), share).await
    }

    #[tokio::test]
    async fn a_body_is_read_within_its_limit() {
        let budget = Budget::new(100, 100);
        let mut share = budget.share("a".to_owned());
        let whole = read_all(chunks(&[b"ab", b"", b"cd"]), 4, &mut share).await;
        assert_eq!(whole.as_deref(), Ok(&b"abcd"[..]));
        assert_eq!(read_all(chunks(&[b"ab", b"cde"]), 4, &mut share).await, Err(Unread::TooLarge));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        let announced = read((&headers, chunks(&[])), 4, Duration::from_secs(5), &mut share).await;
        assert_eq!(announced, Err(Unread::TooLarge));
    }

    #[tokio::test]
    async fn what_is_held_counts_until_it_is_dropped_for_the_caller_and_for_all() {
        let budget = Budget::new(10, 6);
        let mut one = budget.share("a".to_owned());
        assert!(read_all(chunks(&[b"12345"]), 10, &mut one).await.is_ok());
        let mut same = budget.share("a".to_owned());
        assert_eq!(read_all(chunks(&[b"12"]), 10, &mut same).await, Err(Unread::Exhausted));
        let mut other = budget.share("b".to_owned());
        assert!(read_all(chunks(&[b"12345"]), 10, &mut other).await.is_ok());
        let mut third = budget.share("c".to_owned());
        assert_eq!(read_all(chunks(&[b"1"]), 10, &mut third).await, Err(Unread::Exhausted));
        drop((one, same));
        assert!(read_all(chunks(&[b"12345"]), 10, &mut third).await.is_ok());
        drop((other, third));
        let held = budget.lock();
        assert_eq!((held.in_all, held.of.len()), (0, 0));
    }

    #[tokio::test]
    async fn what_is_held_counts_against_both_budgets() {
        let (own, all) = (Budget::new(100, 6), Budget::new(100, 8));
        let share = |who: &str| own.share(who.to_owned()).within(all.share("tenant".to_owned()));
        let (mut one, mut other) = (share("a"), share("b"));
        assert!(read_all(chunks(&[b"12345"]), 10, &mut one).await.is_ok());
        assert_eq!(read_all(chunks(&[b"12345"]), 10, &mut other).await, Err(Unread::Exhausted));
        assert!(read_all(chunks(&[b"123"]), 10, &mut other).await.is_ok());
        drop((one, other));
        assert_eq!((own.lock().in_all, all.lock().in_all), (0, 0));
    }

    /// What stays in memory of frames that are parts of a large buffer.
    #[tokio::test]
    async fn a_small_frame_keeps_no_large_buffer() {
        let buffer = Bytes::from(vec![b'x'; 100_000]);
        let frames: Vec<Result<Bytes, Infallible>> = (0..10).map(|at| Ok(buffer.slice(at..=at))).collect();
        let budget = Budget::new(100, 100);
        let mut share = budget.share("a".to_owned());
        let whole = read_all(Body::from_stream(stream::iter(frames)), 100, &mut share).await;
        assert_eq!(whole.as_deref(), Ok(&b"xxxxxxxxxx"[..]));
        assert!(buffer.is_unique());
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_not_waited_for() {
        let budget = Budget::new(10, 10);
        let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let (headers, mut share) = (HeaderMap::new(), budget.share("a".to_owned()));
        let outcome = read((&headers, body), 10, Duration::from_millis(20), &mut share);
        assert_eq!(outcome.await, Err(Unread::TooSlow));
    }
}
