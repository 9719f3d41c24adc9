//! Which addresses may be called: public ones over TLS, and what the configuration excepts.
//! The lists are IANA's special-purpose registries (RFC 6890), turned round for IPv6: only global unicast is public.
//!
//! Invariant: one address that may not be called refuses the call, whatever the others are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{Exception, Outbound};
use crate::model::{TokenUrl, UrlHost};

/// IPv4 that is not public: network and prefix.
const SPECIAL_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    // Relays of 6to4, gone since RFC 7526.
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

/// All of IPv6 that is public is in here (RFC 4291, 2.4): no loopback, mapped, NAT64, unique or link-local address is.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is not, though it is in there.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    // IETF protocols: Teredo 2001::/32, benchmarking, ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4 holds an IPv4 address, which may be a private one.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Refuses a URL whose host is at these addresses, in a clause.
pub fn check(rules: &Outbound, url: &TokenUrl, addresses: &[IpAddr]) -> Result<(), &'static str> {
    let is_origin = is_origin(rules, url);
    let is_named = is_named(rules, url);
    let may_be = |address: &IpAddr| {
        is_origin || is_named || is_public(*address) || is_excepted(rules, *address)
    };
    if !addresses.iter().all(may_be) {
        return Err(
            "its host is at an address that is not public and that outbound.allow does not name",
        );
    }
    if url.is_https() || is_origin || addresses.iter().all(IpAddr::is_loopback) {
        return Ok(());
    }
    Err("it is plain http to an origin that outbound.allow does not name")
}

/// Whether an address is of the public internet, and stands for no other address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4
            .iter()
            .any(|(network, prefix)| is_in_v4(address, *network, *prefix)),
        IpAddr::V6(address) => {
            is_in_v6(address, GLOBAL_V6) && !SPECIAL_V6.iter().any(|net| is_in_v6(address, *net))
        }
    }
}

fn is_in_v4(address: Ipv4Addr, network: [u8; 4], prefix: u32) -> bool {
    let differs = address.to_bits() ^ u32::from_be_bytes(network);
    differs.leading_zeros() >= prefix
}

fn is_in_v6(address: Ipv6Addr, (network, prefix): (Ipv6Addr, u32)) -> bool {
    let differs = address.to_bits() ^ network.to_bits();
    differs.leading_zeros() >= prefix
}

/// Whether the exception is for the address itself.
fn is_excepted(rules: &Outbound, address: IpAddr) -> bool {
    let mut allowed = rules.allow.iter();
    rules.loopback && address.is_loopback()
        || allowed.any(|exception| {
            matches!(exception, Exception::Network(network) if network.contains(address))
        })
}

/// Whether the exception is for the host's name, whatever its address is.
fn is_named(rules: &Outbound, url: &TokenUrl) -> bool {
    let UrlHost::Name(host) = url.host() else {
        return false;
    };
    rules.allow.iter().any(|exception| match exception {
        Exception::Host { name, port } => {
            *name == host && port.is_none_or(|port| port == url.port())
        }
        Exception::Network(_) | Exception::Origin { .. } => false,
    })
}

/// Whether the exception is for this very origin, in plain http.
fn is_origin(rules: &Outbound, url: &TokenUrl) -> bool {
    !url.is_https()
        && rules.allow.iter().any(|exception| match exception {
            Exception::Origin { host, port } => *host == url.host() && *port == url.port(),
            Exception::Host { .. } | Exception::Network(_) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(allow: &[&str], url: &str, addresses: &[&str]) -> Result<(), &'static str> {
        let allow = allow.iter().map(|text| text.parse().expect("an exception"));
        let rules = Outbound {
            allow: allow.collect(),
            ..Outbound::default()
        };
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        check(&rules, &url.parse().expect("a URL"), &addresses)
    }

    const URL: &str = "https://idp.example/token";
    const PUBLIC: [&str; 5] = [
        "93.184.216.34",
        "1.1.1.1",
        "172.32.0.1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
    ];

    #[test]
    fn only_public_addresses_are_called() {
        for address in PUBLIC {
            assert_eq!(checked(&[], URL, &[address]), Ok(()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:93.184.216.34",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::93.184.216.34",
            "64:ff9b:1::10.0.0.1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(checked(&[], URL, &[address]).is_err(), "{address}");
            // One bad address among good ones.
            let [one, two, ..] = PUBLIC;
            let mixed = checked(&[], URL, &[one, address, two]);
            assert!(mixed.is_err(), "{address} between {one} and {two}");
        }
    }

    #[test]
    fn an_exception_is_for_what_it_names() {
        let private = &["10.20.0.1"];
        for (allow, url, allowed) in [
            ("10.20.0.0/16", URL, true),
            ("10.21.0.0/16", URL, false),
            ("idp.example", URL, true),
            ("idp.example:443", URL, true),
            ("idp.example:8443", URL, false),
            ("other.example", URL, false),
            ("http://idp.example", URL, false),
            ("http://idp.example", "http://idp.example/token", true),
            ("http://idp.example:81", "http://idp.example/token", false),
            ("idp.example", "http://idp.example/token", false),
            ("10.20.0.0/16", "http://idp.example/token", false),
        ] {
            let found = checked(&[allow], url, private);
            assert_eq!(found.is_ok(), allowed, "{allow}: {url}: {found:?}");
        }
        assert!(checked(&["::1", "10.20.0.1"], URL, &["::1", "10.20.0.1"]).is_ok());
        assert!(checked(&["10.20.0.1"], URL, &["10.20.0.1", "10.20.0.2"]).is_err());
        // The address that is mapped is the one that is named.
        assert!(checked(&["10.20.0.0/16"], URL, &["::ffff:10.20.0.1"]).is_ok());
    }

    #[test]
    fn plain_http_is_for_origins_and_loopback() {
        let plain = "http://idp.example/token";
        assert!(checked(&[], plain, &["93.184.216.34"]).is_err());
        assert!(checked(&["127.0.0.0/8"], plain, &["127.0.0.1"]).is_ok());
        assert!(checked(&["127.0.0.0/8"], plain, &["127.0.0.1", "93.184.216.34"]).is_err());
        let rules = Outbound {
            loopback: true,
            ..Outbound::default()
        };
        let url = plain.parse().expect("a URL");
        let at = |text: &str| [text.parse().expect("an address")];
        assert!(check(&rules, &url, &at("127.0.0.1")).is_ok());
        assert!(check(&rules, &url, &at("::1")).is_ok());
        assert!(check(&rules, &url, &at("10.0.0.1")).is_err());
        assert!(check(&rules, &url, &at("::ffff:127.0.0.1")).is_err());
    }
}
