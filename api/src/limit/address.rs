//! Which address a call comes from. `X-Forwarded-For` is believed only as far as trusted proxies wrote it: what
//! stands left of the first stranger may be made up.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Each proxy adds the address it was called from at the right end.
const FORWARDED: &str = "x-forwarded-for";

/// The network that one subscriber has in IPv6, in bits from the left: with fewer he had 2^64 buckets.
const SUBSCRIBER: u32 = 64;

/// The peer, or, where it is a trusted proxy, the right-most address that is none. What cannot be read ends the
/// walk: then it is the last address before it.
pub(super) fn of_client(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    // One list, however many lines it comes in.
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

/// What is limited together: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let host = u128::MAX >> SUBSCRIBER;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// An address, with a port or in brackets as some proxies write it.
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

    /// Whom a call of `peer` with these header lines comes from, where 10.0.0.0/8 and fd00::/8 are trusted.
    fn client(peer: &str, lines: &[&[u8]]) -> IpAddr {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, HeaderValue::from_bytes(line).unwrap());
        }
        of_client(&trusted, ip(peer), &headers)
    }

    #[test]
    fn forwarded_addresses_are_believed_as_far_as_they_are_trusted() {
        let table: &[(&str, &[&[u8]], &str)] = &[
            // Nothing is forwarded.
            ("203.0.113.9", &[], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[b""], "10.0.0.1"),
            // A stranger says what he likes.
            ("203.0.113.9", &[b"198.51.100.7"], "203.0.113.9"),
            ("203.0.113.9", &[b"10.0.0.2"], "203.0.113.9"),
            // A chain of proxies, and a made-up beginning.
            ("10.0.0.1", &[b"198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &[b"198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &[b"192.0.2.1,198.51.100.7 ,10.0.0.3,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &[b"10.0.0.9, 198.51.100.7"], "198.51.100.7"),
            // Proxies all the way: the first of them.
            ("10.0.0.1", &[b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // What cannot be read ends the walk.
            ("10.0.0.1", &[b"198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[b"198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[b"198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[b"198.51.100.7", b"\xff, 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &[b"\xff", b"198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &[b"256.0.0.1"], "10.0.0.1"),
            // Several lines are one list.
            ("10.0.0.1", &[b"192.0.2.1", b"198.51.100.7", b"10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &[b"192.0.2.1, 198.51.100.7", b"10.0.0.3, 10.0.0.2"], "198.51.100.7"),
            // IPv4 in IPv6 is IPv4, as a peer and as an entry.
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
    fn without_trusted_proxies_nothing_is_believed() {
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
