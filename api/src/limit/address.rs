//! The client address of a call. `X-Forwarded-For` is trusted only as far as trusted proxies wrote it:
//! anything left of the first untrusted address may be forged.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Each proxy appends the address it was called from.
const FORWARDED: &str = "x-forwarded-for";

/// Prefix length of one subscriber's IPv6 network; with longer prefixes a client would have 2^64 buckets.
const SUBSCRIBER: u32 = 64;

/// The peer or, if that is a trusted proxy, the right-most untrusted address. An unparsable entry ends the
/// search at the last address before it.
pub(super) fn of_client(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    // Several header lines form one list.
    for line in headers.get_all(FORWARDED).iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        for entry in line.rsplit(',') {
            if !is_trusted(&client) {
                return client;
            }
            let Some(address) = parse(entry.trim()) else { return client };
            client = address;
        }
    }
    client
}

/// The unit of rate limiting: an IPv4 address, or the /64 of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let host = u128::MAX >> SUBSCRIBER;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Parses an address, with a port or in brackets as some proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| entry.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The client of a call from `peer` with these header lines, with 10.0.0.0/8 and fd00::/8 trusted.
    fn client(peer: &str, lines: &[&[u8]]) -> IpAddr {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, HeaderValue::from_bytes(line).unwrap());
        }
        of_client(&trusted, ip(peer), &headers)
    }

    #[test]
    fn forwarded_addresses_are_trusted_up_to_the_first_untrusted_proxy() {
        let table: &[(&str, &[&[u8]], &str)] = &[
            // No header.
            ("203.0.113.9", &[], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[b""], "10.0.0.1"),
            // An untrusted peer may claim anything.
            ("203.0.113.9", &[b"198.51.100.7"], "203.0.113.9"),
            ("203.0.113.9", &[b"10.0.0.2"], "203.0.113.9"),
            // A chain of proxies with a forged beginning.
            ("10.0.0.1", &[b"198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &[b"198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &[b"192.0.2.1,198.51.100.7 ,10.0.0.3,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &[b"10.0.0.9, 198.51.100.7"], "198.51.100.7"),
            // Only trusted proxies: the first of them.
            ("10.0.0.1", &[b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // An unparsable entry ends the search.
            ("10.0.0.1", &[b"198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[b"198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[b"198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[b"198.51.100.7", b"\xff, 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &[b"\xff", b"198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &[b"256.0.0.1"], "10.0.0.1"),
            // Several lines form one list.
            ("10.0.0.1", &[b"192.0.2.1", b"198.51.100.7", b"10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &[b"192.0.2.1, 198.51.100.7", b"10.0.0.3, 10.0.0.2"], "198.51.100.7"),
            // IPv4-mapped IPv6 addresses are IPv4, as a peer and as an entry.
            ("::ffff:203.0.113.9", &[b"198.51.100.7"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &[b"::ffff:198.51.100.7, ::ffff:10.0.0.2"], "198.51.100.7"),
            // IPv6, ports, brackets.
            ("fd00::1", &[b"2001:db8::5, fd00::2"], "2001:db8::5"),
            ("fd00::1", &[b"[2001:db8::5]:4711, [fd00::2]"], "2001:db8::5"),
            ("10.0.0.1", &[b"198.51.100.7:4711, 10.0.0.2:80"], "198.51.100.7"),
            ("10.0.0.1", &[b"[198.51.100.7"], "10.0.0.1"),
        ];
        for (peer, lines, expected) in table {
            assert_eq!(client(peer, lines), ip(expected), "{peer} with {lines:?}");
        }
    }

    #[test]
    fn without_trusted_proxies_the_header_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, HeaderValue::from_static("198.51.100.7"));
        assert_eq!(of_client(&[], ip("10.0.0.1"), &headers), ip("10.0.0.1"));
    }

    #[test]
    fn the_64_of_an_ipv6_address_is_limited_together() {
        for (address, expected) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("198.51.100.7", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(network(ip(address)), ip(expected), "{address}");
        }
    }
}
