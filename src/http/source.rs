//! Where a request comes from: the peer's own address, unless the peer is a proxy that the configuration trusts.
//! Then it is the right-most address of `X-Forwarded-For` that is no trusted proxy; what a client wrote further left
//! is never looked at (advisory B6).
//!
//! Invariant: who is not a trusted proxy cannot choose the address that is recorded.

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName};

use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that a request is recorded and counted under.
pub(super) fn source_of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(*address));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut nearest = peer;
    let lines: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(|line| line.to_str().unwrap_or(""))
        .collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // A hop that is no address was written by the one before it, and nothing left of it can be believed.
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            return nearest;
        };
        nearest = address.to_canonical();
        if !is_trusted(&nearest) {
            return nearest;
        }
    }
    nearest
}

/// An address as it is counted: whoever has one address of a /64 has all of them.
pub(super) fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn source(peer: &str, lines: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let trusted: Vec<Network> = trusted
            .iter()
            .map(|network| network.parse().expect("a network"))
            .collect();
        source_of(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(
            source("192.0.2.1", &["198.51.100.9"], &proxies),
            "192.0.2.1",
            "not a proxy"
        );
        assert_eq!(
            source("10.0.0.1", &["198.51.100.9"], &[]),
            "10.0.0.1",
            "no proxy is trusted"
        );
        assert_eq!(
            source("10.0.0.1", &["198.51.100.9"], &proxies),
            "198.51.100.9"
        );
        assert_eq!(
            source("10.0.0.1", &["1.1.1.1, 198.51.100.9"], &proxies),
            "198.51.100.9",
            "spoofed"
        );
        assert_eq!(
            source("10.0.0.1", &["1.1.1.1, 198.51.100.9, 10.9.9.9"], &proxies),
            "198.51.100.9"
        );
        assert_eq!(
            source("10.0.0.1", &["1.1.1.1", "198.51.100.9"], &proxies),
            "198.51.100.9",
            "two lines"
        );
        assert_eq!(source("fd00::1", &["2001:db8::7"], &proxies), "2001:db8::7");
        assert_eq!(
            source("::ffff:10.0.0.1", &["198.51.100.9"], &proxies),
            "198.51.100.9",
            "mapped"
        );
        for garbage in ["", "unknown", "1.1.1.1, x", "198.51.100.9:80", "1.1.1.1,"] {
            assert_eq!(
                source("10.0.0.1", &[garbage], &proxies),
                "10.0.0.1",
                "{garbage}"
            );
        }
        assert_eq!(
            source("10.0.0.1", &["10.0.0.2"], &proxies),
            "10.0.0.2",
            "all trusted: the furthest"
        );
    }

    #[test]
    fn mapped_addresses_are_their_own() {
        assert_eq!(network_of(parsed("::ffff:10.0.0.1")), parsed("10.0.0.1"));
        assert_eq!(
            network_of(parsed("2001:db8:0:1:2::3")),
            parsed("2001:db8:0:1::")
        );
    }

    fn parsed(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }
}
