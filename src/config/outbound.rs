//! `[outbound]`: which hosts may be called that a server on the internet would never be told to call.
//! Without an entry only public addresses are, and only over TLS.
//!
//! Invariant: an entry has one meaning, told by its shape: a name, an address or network, or an origin of plain http.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::{Network, key};
use crate::model::{TokenUrl, UrlHost};

/// The most entries of `outbound.allow`.
const ENTRIES_MAX: usize = 256;

/// What may be called beyond public addresses over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// The exceptions.
    pub allow: Vec<Exception>,
    /// Whether loopback addresses may be called, plain http included: `dev` alone says so.
    pub loopback: bool,
    /// Authorities trusted besides the machine's own, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Something that may be called though it is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// A host of this name may be at any address.
    Host {
        /// In lower case.
        name: String,
        /// On this port alone; on any without.
        port: Option<u16>,
    },
    /// These addresses may be called.
    Network(Network),
    /// This host may be called on this port in plain http, wherever it is.
    Origin {
        /// The host.
        host: UrlHost,
        /// The port, 80 where none was written.
        port: u16,
    },
}

impl FromStr for Exception {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.contains("://") {
            let url = format!("{text}/");
            let url: TokenUrl = url.parse().map_err(drop)?;
            return (!url.is_https() && url.target() == "/")
                .then(|| Self::Origin {
                    host: url.host(),
                    port: url.port(),
                })
                .ok_or(());
        }
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(parse_port(port)?)),
            None => (text, None),
        };
        let url: TokenUrl = format!("https://{name}/").parse().map_err(drop)?;
        match url.host() {
            UrlHost::Name(host) if host == name && name.bytes().all(is_of_a_name) => {
                Ok(Self::Host { name: host, port })
            }
            _ => Err(()),
        }
    }
}

/// No sign that looks like a pattern: there are none.
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

fn parse_port(text: &str) -> Result<u16, ()> {
    let port: u16 = text.parse().map_err(drop)?;
    (port > 0 && port.to_string() == text)
        .then_some(port)
        .ok_or(())
}

/// The section, as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OutboundSection {
    allow: Vec<String>,
    ca_file: Option<String>,
}

impl OutboundSection {
    pub(super) fn outbound(self, at: impl Fn(&str) -> PathBuf) -> Result<Outbound, String> {
        if self.allow.len() > ENTRIES_MAX {
            return Err(key("outbound.allow", "takes at most 256 entries"));
        }
        let entry = |text: &String| {
            text.parse().map_err(|()| {
                let what = "takes host names (with a port or without), addresses, networks and origins, as sso.corp.example, 10.20.0.0/16 or http://127.0.0.1:9000";
                key("outbound.allow", what)
            })
        };
        Ok(Outbound {
            allow: self.allow.iter().map(entry).collect::<Result<_, _>>()?,
            loopback: false,
            ca_file: self.ca_file.as_deref().map(at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_what_it_is_by_its_shape() {
        let host = |name: &str, port| Exception::Host {
            name: name.to_owned(),
            port,
        };
        for (text, meant) in [
            ("sso.corp.example", host("sso.corp.example", None)),
            ("sso.corp.example:443", host("sso.corp.example", Some(443))),
            ("localhost", host("localhost", None)),
        ] {
            assert_eq!(text.parse(), Ok(meant), "{text}");
        }
        for network in ["10.20.0.0/16", "127.0.0.1", "::1", "fd00::/8"] {
            let meant = Exception::Network(network.parse().expect("a network"));
            assert_eq!(network.parse(), Ok(meant), "{network}");
        }
        let origin = "http://127.0.0.1:9000".parse();
        let host = UrlHost::Address([127, 0, 0, 1].into());
        assert_eq!(origin, Ok(Exception::Origin { host, port: 9000 }));
        let host = UrlHost::Name("idp".to_owned());
        assert_eq!(
            "http://idp".parse(),
            Ok(Exception::Origin { host, port: 80 })
        );
        for bad in [
            "",
            "10.20.0.1/16",
            "127.0.0.1:9000",
            "2130706433",
            "Sso.corp.example",
            "sso.corp.example:",
            "sso.corp.example:0",
            "sso.corp.example:080",
            "sso.corp.example/token",
            "*.corp.example",
            "user@corp.example",
            "https://sso.corp.example",
            "http://sso.corp.example/",
            "http://sso.corp.example/token",
            "http://2130706433",
            "http://",
        ] {
            assert_eq!(bad.parse::<Exception>(), Err(()), "{bad}");
        }
    }
}
