//! Addresses that tenants supply: only those of the public internet are called, so that nobody reaches through dmrelay what is behind
//! it. The addresses that a name resolves to are checked when the connection is made, and that connection is made to them: a name that
//! resolves to something else a moment later gains nothing.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Parses the URL of a receiver that a tenant names: `https` at a public host, without a user and a password. With `allows_private`,
/// which is for development, also `http` and any address.
///
/// # Errors
/// What is wrong with it.
pub fn receiver_url(text: &str, allows_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|err| format!("must be a URL: {err}"))?;
    let is_allowed = url.scheme() == "https" || (allows_private && url.scheme() == "http");
    if !is_allowed || !url.has_host() {
        return Err("must begin with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment (#)".to_owned());
    }
    let is_private = match url.host() {
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(name)) => is_local_name(name),
        None => true,
    };
    if is_private && !allows_private {
        return Err("must be at a public address: not this machine or a private network".to_owned());
    }
    Ok(url)
}

/// Names that no public name server answers for (RFC 6761, RFC 8375, RFC 9476, ICANN's `internal`).
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local =
        ["localhost", "local", "internal", "home.arpa", "localdomain", "alt", "onion", "test", "invalid"];
    !name.contains('.') || local.iter().any(|end| name == *end || name.ends_with(&format!(".{end}")))
}

/// Whether an address is one of the public internet (IANA's registries of special-purpose addresses, RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, private ones, loopback; multicast and what is reserved.
    let is_whole_block = matches!(a, 0 | 10 | 127 | 224..=255);
    // Shared by the customers of a provider (RFC 6598); link-local; private ones; benchmarks.
    let is_wide =
        matches!((a, b), (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18 | 19));
    // Protocol assignments, 6to4 relays, documentation.
    let is_small = matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113));
    !(is_whole_block || is_wide || is_small)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3. In it: protocol assignments with Teredo, documentation, and 6to4, which wraps any IPv4 address.
    match address.segments() {
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

/// Resolves names to their public addresses.
pub(crate) struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // A name that cannot be resolved and one of a private address look alike: whoever asks learns nothing of private names.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
            let public: Vec<SocketAddr> = found.into_iter().filter(|one| is_public(one.ip())).collect();
            if public.is_empty() {
                return Err(format!("{} has no public address", name.as_str()).into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// The resolver, as the HTTP client takes it.
pub(crate) fn resolver() -> Arc<PublicAddresses> {
    Arc::new(PublicAddresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "100.63.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fec0::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn receivers_are_at_public_https_addresses() {
        for good in ["https://hooks.example.com/a?b=c", "https://1.1.1.1/", "https://example.com:8443/x"] {
            assert!(receiver_url(good, false).is_ok(), "{good}");
        }
        for bad in [
            "hooks.example.com",
            "http://hooks.example.com/",
            "ftp://hooks.example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://localhost/",
            "https://redis/",
            "https://metadata.google.internal/",
            "https://printer.local./",
            "https://user:password@example.com/",
            "https://example.com/#x",
            "",
        ] {
            assert!(receiver_url(bad, false).is_err(), "{bad}");
        }
        // For development.
        assert!(receiver_url("http://127.0.0.1:9000/", true).is_ok());
        assert!(receiver_url("file:///etc/passwd", true).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_has_no_public_address() {
        let name: Name = "localhost".parse().unwrap();
        let err = PublicAddresses.resolve(name).await.err().unwrap();
        assert!(err.to_string().contains("has no public address"), "{err}");
    }
}
