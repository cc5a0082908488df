//! How often somebody may call the REST API: by address before it is looked at who calls, then by key or token.
//! Each process counts for itself.

mod address;
mod headers;
mod policy;
#[cfg(test)]
mod tests;

pub(crate) use headers::write;

use crate::problem::Problem;
use axum::http::{HeaderMap, StatusCode};
use dmrelay_runtime::settings::LimitSettings;
use governor::clock::{Clock, DefaultClock};
use ipnet::IpNet;
use policy::Policy;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The name of the limit by address.
const ADDRESS: &str = "address";

/// The name of the limit by key or token.
const PRINCIPAL: &str = "principal";

/// How often keys that are full again are dropped.
const KEEP_SMALL: Duration = Duration::from_mins(1);

/// The limits; cheap to clone. The clock is another one only in tests.
#[derive(Clone)]
pub(crate) struct Limits<C: Clock = DefaultClock> {
    inner: Arc<Inner<C>>,
}

struct Inner<C: Clock> {
    trusted: Vec<IpNet>,
    addresses: Policy<IpAddr, C>,
    principals: Policy<String, C>,
}

/// What one limit says about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Which limit: `address` or `principal`.
    pub(crate) policy: &'static str,
    /// Calls at once.
    pub(crate) quota: u32,
    /// Calls a second, over time.
    pub(crate) per_second: u32,
    /// The seconds in which an empty bucket is full again.
    pub(crate) window: u32,
    /// Calls that may follow at once.
    pub(crate) remaining: u32,
    /// The seconds until there is room for one more, at least 1.
    pub(crate) reset: u64,
    /// Whether the call may be made.
    pub(crate) allowed: bool,
}

impl Limits {
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        Self::with_clock(settings, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(settings: &LimitSettings, clock: &C) -> Self {
        let addresses =
            Policy::new(ADDRESS, settings.rate_per_address, settings.burst_per_address, clock.clone());
        let principals =
            Policy::new(PRINCIPAL, settings.rate_per_principal, settings.burst_per_principal, clock.clone());
        let trusted = settings.trusted_proxies.clone();
        Self { inner: Arc::new(Inner { trusted, addresses, principals }) }
    }
}

impl<C: Clock> Limits<C> {
    /// The address that calls: the peer's, or what trusted proxies say.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        address::of_client(&self.inner.trusted, peer, headers)
    }

    /// Counts a call of this address.
    pub(crate) fn check_address(&self, address: IpAddr) -> Rate {
        self.inner.addresses.check(&address::network(address))
    }

    /// Counts a call of this key or token.
    pub(crate) fn check_principal(&self, principal: &str) -> Rate {
        self.inner.principals.check(&principal.to_owned())
    }

    /// Drops what need not be remembered, now and then, until `shutdown`.
    pub(crate) async fn keep_small(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(KEEP_SMALL) => self.shrink(),
            }
        }
    }

    fn shrink(&self) {
        self.inner.addresses.shrink();
        self.inner.principals.shrink();
    }
}

impl Rate {
    /// The seconds to wait, where the call is refused.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        (!self.allowed).then_some(self.reset)
    }
}

impl Problem {
    /// A call above a limit; the headers are [`write`]'s.
    pub(crate) fn rate_limited(rate: &Rate) -> Self {
        let whose = if rate.policy == ADDRESS { "this address" } else { "this key or token" };
        let detail = format!(
            "limit {:?}: {whose} may make {} calls a second, and {} at once",
            rate.policy, rate.per_second, rate.quota
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many calls")
            .detail(detail)
            .retry_after(rate.reset)
    }
}
