use super::*;
use axum::response::IntoResponse;
use clap::Parser;
use governor::clock::FakeRelativeClock;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    limits: LimitSettings,
}

/// Keys: 2 per second, 5 at once; addresses: 1 per second, 3 at once.
fn limits(clock: &FakeRelativeClock) -> Limits<FakeRelativeClock> {
    let args = [
        "--rate-per-principal=2",
        "--burst-per-principal=5",
        "--rate-per-address=1",
        "--burst-per-address=3",
        "--trusted-proxies=10.0.0.0/8",
    ];
    Limits::with_clock(&Args::parse_from(["test"].into_iter().chain(args)).limits, clock)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Calls until one is rejected: the number of allowed calls, and the rejection.
fn drain(mut call: impl FnMut() -> Rate) -> (u32, Rate) {
    for calls in 0..1_000 {
        let rate = call();
        if !rate.allowed {
            return (calls, rate);
        }
    }
    panic!("no call was rejected");
}

#[test]
fn a_burst_is_allowed_then_calls_are_rejected_with_a_delay() {
    let limits = limits(&FakeRelativeClock::default());
    let left: Vec<_> = (0..5).map(|_| limits.check_principal("key").remaining).collect();
    assert_eq!(left, [4, 3, 2, 1, 0]);
    let expected = Rate {
        policy: "principal",
        quota: 5,
        per_second: 2,
        window: 3,
        remaining: 0,
        reset: 1,
        allowed: false,
    };
    assert_eq!(limits.check_principal("key"), expected);
}

#[test]
fn buckets_refill_steadily_up_to_the_burst() {
    let clock = FakeRelativeClock::default();
    let limits = limits(&clock);
    let calls = || drain(|| limits.check_principal("key")).0;
    assert_eq!(calls(), 5);
    clock.advance(Duration::from_millis(499));
    assert_eq!(calls(), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(calls(), 1);
    clock.advance(Duration::from_secs(2));
    assert_eq!(calls(), 4);
    clock.advance(Duration::from_hours(1));
    assert_eq!(calls(), 5);
}

#[test]
fn waiting_as_told_is_enough() {
    let clock = FakeRelativeClock::default();
    let limits = limits(&clock);
    let (_, refusal) = drain(|| limits.check_address(ip("203.0.113.9")));
    clock.advance(Duration::from_millis(400));
    let again = limits.check_address(ip("203.0.113.9"));
    // 600 ms round up to one second.
    assert_eq!((refusal.retry_after(), again.retry_after()), (Some(1), Some(1)));
    clock.advance(Duration::from_secs(1));
    assert!(limits.check_address(ip("203.0.113.9")).allowed);
}

#[test]
fn principals_and_addresses_are_limited_independently() {
    let limits = limits(&FakeRelativeClock::default());
    assert_eq!(drain(|| limits.check_principal("one")).0, 5);
    assert_eq!(drain(|| limits.check_principal("two")).0, 5);
    assert_eq!(drain(|| limits.check_address(ip("203.0.113.9"))).0, 3);
    assert_eq!(drain(|| limits.check_address(ip("203.0.113.10"))).0, 3);
}

#[test]
fn an_ipv6_subscriber_has_one_bucket_and_mapped_ipv4_is_ipv4() {
    let limits = limits(&FakeRelativeClock::default());
    let mut host = 0_u128;
    let calls = drain(|| {
        host += 1;
        limits.check_address(std::net::Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | host).into())
    });
    assert_eq!(calls.0, 3);
    assert!(limits.check_address(ip("2001:db8:0:1::1")).allowed);
    drain(|| limits.check_address(ip("198.51.100.7")));
    assert!(!limits.check_address(ip("::ffff:198.51.100.7")).allowed);
}

#[test]
fn behind_a_trusted_proxy_the_client_address_is_limited() {
    let limits = limits(&FakeRelativeClock::default());
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", "198.51.100.7".parse().unwrap());
    assert_eq!(limits.address(ip("10.1.2.3"), &headers), ip("198.51.100.7"));
    assert_eq!(limits.address(ip("203.0.113.9"), &headers), ip("203.0.113.9"));
}

#[test]
fn only_full_buckets_are_dropped() {
    let clock = FakeRelativeClock::default();
    let limits = limits(&clock);
    drain(|| limits.check_principal("much"));
    limits.check_principal("little");
    limits.check_address(ip("203.0.113.9"));
    clock.advance(Duration::from_millis(1_500));
    limits.shrink();
    assert_eq!((limits.inner.principals.keys(), limits.inner.addresses.keys()), (1, 1));
    // A remembered bucket still counts: three of the five calls are available again.
    assert_eq!(drain(|| limits.check_principal("much")).0, 3);
    clock.advance(Duration::from_mins(1));
    limits.shrink();
    assert_eq!((limits.inner.principals.keys(), limits.inner.addresses.keys()), (0, 0));
}

#[test]
fn above_the_maximum_newcomers_share_one_bucket() {
    let clock = FakeRelativeClock::default();
    let policy = Policy::with_most("address", (1, 3), clock.clone(), 10);
    for key in 0..10_u32 {
        assert_eq!(policy.check(&key).remaining, 2);
    }
    let mut stranger = 10_u32;
    let calls = drain(|| {
        stranger += 1;
        policy.check(&stranger)
    });
    assert_eq!((calls.0, policy.keys()), (3, 10));
    // Existing callers keep their buckets.
    assert_eq!(drain(|| policy.check(&0)).0, 2);
    clock.advance(Duration::from_secs(10));
    policy.shrink();
    assert_eq!(policy.keys(), 0);
    assert_eq!(drain(|| policy.check(&stranger)).0, 3);
    assert_eq!(policy.keys(), 1);
}

#[tokio::test]
async fn the_cleanup_ends_with_the_process() {
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(limits(&FakeRelativeClock::default()).keep_small(shutdown.clone()));
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}

#[test]
fn the_problem_names_the_limit() {
    let limits = limits(&FakeRelativeClock::default());
    let (_, refusal) = drain(|| limits.check_address(ip("203.0.113.9")));
    let response = Problem::rate_limited(&refusal).into_response();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "1");
    let mut headers = response.headers().clone();
    write(&mut headers, std::slice::from_ref(&refusal));
    assert_eq!(headers.get_all("retry-after").iter().count(), 1);
    assert_eq!(headers["ratelimit"], "\"address\";r=0;t=1");
    let text = format!("{:?}", Problem::rate_limited(&refusal));
    assert!(text.contains("this address may make 1 calls per second, 3 at once"), "{text}");
    let (_, refusal) = drain(|| limits.check_principal("key"));
    let text = format!("{:?}", Problem::rate_limited(&refusal));
    assert!(text.contains("this key or token may make 2 calls per second, 5 at once"), "{text}");
}
