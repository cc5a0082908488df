//! The rate limit headers: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and
//! `Retry-After`.

use super::Rate;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The limits of the caller.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The remaining quota.
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Writes one header of each name. Items that an inner layer wrote for other limits stay in the list.
pub(crate) fn write(headers: &mut HeaderMap, rates: &[Rate]) {
    for rate in rates {
        let Rate { policy, quota, window, remaining, reset, .. } = rate;
        join(headers, &POLICY, policy, &format!("\"{policy}\";q={quota};w={window}"));
        join(headers, &LIMIT, policy, &format!("\"{policy}\";r={remaining};t={reset}"));
    }
    if let Some(seconds) = rates.iter().filter_map(Rate::retry_after).max() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Adds an item to a list, replacing the item of the same limit.
fn join(headers: &mut HeaderMap, name: &HeaderName, policy: &str, item: &str) {
    let own = format!("\"{policy}\";");
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let others = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.starts_with(&own));
    let list = others.chain([item]).collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::try_from(list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(policy: &'static str, remaining: u32, retry_after: Option<u64>) -> Rate {
        let (reset, allowed) = (retry_after.unwrap_or(1), retry_after.is_none());
        Rate { policy, quota: 200, per_second: 50, window: 4, remaining, reset, allowed }
    }

    fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut all: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn one_limit() {
        let mut headers = HeaderMap::new();
        write(&mut headers, &[rate("principal", 199, None)]);
        assert_eq!(
            texts(&headers),
            [("ratelimit", "\"principal\";r=199;t=1"), ("ratelimit-policy", "\"principal\";q=200;w=4")]
        );
    }

    #[test]
    fn two_limits_share_one_list_per_header() {
        let expected = [
            ("ratelimit", "\"principal\";r=199;t=1, \"address\";r=7;t=1"),
            ("ratelimit-policy", "\"principal\";q=200;w=4, \"address\";q=200;w=4"),
        ];
        let both = [rate("principal", 199, None), rate("address", 7, None)];
        let mut at_once = HeaderMap::new();
        write(&mut at_once, &both);
        assert_eq!(texts(&at_once), expected);
        let mut one_by_one = HeaderMap::new();
        write(&mut one_by_one, &both[..1]);
        write(&mut one_by_one, &both[1..]);
        assert_eq!(texts(&one_by_one), expected);
    }

    #[test]
    fn writing_a_limit_again_replaces_it() {
        let mut headers = HeaderMap::new();
        write(&mut headers, &[rate("address", 7, None), rate("principal", 199, None)]);
        write(&mut headers, &[rate("address", 6, None)]);
        assert_eq!(headers[&LIMIT], "\"principal\";r=199;t=1, \"address\";r=6;t=1");
        assert_eq!(headers.get_all(&LIMIT).iter().count(), 1);
    }

    #[test]
    fn a_rejected_call_gets_retry_after() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("9"));
        write(&mut headers, &[rate("address", 7, None), rate("principal", 0, Some(3))]);
        assert_eq!(headers[header::RETRY_AFTER], "3");
        assert_eq!(headers[&LIMIT], "\"address\";r=7;t=1, \"principal\";r=0;t=3");
    }

    #[test]
    fn without_limits_no_header_is_written() {
        let mut headers = HeaderMap::new();
        write(&mut headers, &[]);
        assert!(headers.is_empty());
    }
}
