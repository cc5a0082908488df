//! Rate limits of the REST API: by address before authentication, then by key or token. Each process counts
//! on its own.

mod address;
mod headers;
mod policy;
#[cfg(test)]
mod tests;

pub(crate) use address::network;
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

/// Name of the limit per address.
const ADDRESS: &str = "address";

/// Name of the limit per key or token.
const PRINCIPAL: &str = "principal";

/// How often full buckets are dropped.
const KEEP_SMALL: Duration = Duration::from_mins(1);

/// The limits; cheap to clone. Tests use another clock.
#[derive(Clone)]
pub(crate) struct Limits<C: Clock = DefaultClock> {
    inner: Arc<Inner<C>>,
}

struct Inner<C: Clock> {
    trusted: Vec<IpNet>,
    addresses: Policy<IpAddr, C>,
    principals: Policy<String, C>,
}

/// What one limit decided about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Which limit: `address` or `principal`.
    pub(crate) policy: &'static str,
    /// The burst: calls at once.
    pub(crate) quota: u32,
    /// Sustained calls per second.
    pub(crate) per_second: u32,
    /// Seconds until an empty bucket is full again.
    pub(crate) window: u32,
    /// Calls left right now.
    pub(crate) remaining: u32,
    /// Seconds until one more call is allowed, at least 1.
    pub(crate) reset: u64,
    /// Whether the call is allowed.
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
    /// The client address: the peer's, or what trusted proxies say.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        address::of_client(&self.inner.trusted, peer, headers)
    }

    /// The network of the client, as which it is limited.
    pub(crate) fn network(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        address::network(self.address(peer, headers))
    }

    /// Counts a call from this address.
    pub(crate) fn check_address(&self, address: IpAddr) -> Rate {
        self.inner.addresses.check(&address::network(address))
    }

    /// Counts a call with this key or token.
    pub(crate) fn check_principal(&self, principal: &str) -> Rate {
        self.inner.principals.check(&principal.to_owned())
    }

    /// Periodically drops full buckets, until `shutdown`.
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
    /// The seconds to wait, if the call is rejected.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        (!self.allowed).then_some(self.reset)
    }
}

impl Problem {
    /// The problem for a call above a limit; [`write`] adds the headers.
    pub(crate) fn rate_limited(rate: &Rate) -> Self {
        let whose = if rate.policy == ADDRESS { "this address" } else { "this key or token" };
        let detail = format!(
            "limit {:?}: {whose} may make {} calls per second, {} at once",
            rate.policy, rate.per_second, rate.quota
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests")
            .detail(detail)
            .retry_after(rate.reset)
    }
}
