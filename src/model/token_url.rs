//! Where an OAuth provider's tokens are asked for: one URL with one spelling.
//! What a parser would repair (an address in decimal, a host in capitals, a default port) is refused instead.
//!
//! Invariant: the host that is checked is the host that is written, so no spelling of an address passes as a name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// The URL of a token endpoint: http or https, a host, no user, no fragment, at most [`TokenUrl::BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenUrl(Url);

/// What a URL names between `//` and the port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UrlHost {
    /// A name, in lower case, to be looked up.
    Name(String),
    /// An address, to be called as it is.
    Address(IpAddr),
}

impl TokenUrl {
    /// The most bytes of a URL.
    pub const BYTES_MAX: usize = 2048;

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it asks for TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host.
    pub fn host(&self) -> UrlHost {
        match self.0.host() {
            Some(url::Host::Domain(name)) => UrlHost::Name(name.to_owned()),
            Some(url::Host::Ipv4(address)) => UrlHost::Address(address.into()),
            Some(url::Host::Ipv6(address)) => UrlHost::Address(address.into()),
            None => unreachable!("a URL without a host was not parsed"),
        }
    }

    /// The port, the scheme's own where none is written.
    pub fn port(&self) -> u16 {
        let port = self.0.port_or_known_default();
        port.expect("http and https have a port of their own")
    }

    /// Host and port as they are written: what a request's `Host` says (RFC 9110, 7.2).
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Path and query: what a request asks for.
    pub fn target(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }
}

impl FromStr for TokenUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.len() > Self::BYTES_MAX {
            return Err("a token URL has at most 2 KiB");
        }
        let url = Url::parse(text).map_err(|_| "a token URL is a whole URL with a host")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("a token URL begins with https:// (or http:// where that is allowed)");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a token URL holds no user and no password");
        }
        if url.fragment().is_some() {
            return Err("a token URL has no fragment");
        }
        if url.as_str() != text {
            return Err(
                "a token URL is written in its one canonical form: host in lower case, addresses as usual, a path, no default port",
            );
        }
        match url.host() {
            Some(url::Host::Domain(name)) if name.ends_with('.') => {
                Err("the host of a token URL does not end in a dot")
            }
            Some(_) => Ok(Self(url)),
            None => Err("a token URL is a whole URL with a host"),
        }
    }
}

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for TokenUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<TokenUrl> for String {
    fn from(url: TokenUrl) -> Self {
        url.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling_is_taken() {
        for good in [
            "https://id.example.com/oauth/token",
            "https://id.example.com:8443/token?tenant=one",
            "http://127.0.0.1:9000/token",
            "https://[2001:db8::1]/token",
            "https://xn--bcher-kva.example/",
        ] {
            let url: TokenUrl = good.parse().expect(good);
            assert_eq!(url.as_str(), good);
            let text = serde_json::to_string(&url).expect("text");
            assert_eq!(serde_json::from_str::<TokenUrl>(&text).ok(), Some(url));
        }
        let url: TokenUrl = "https://h.example:444/a?b=c".parse().expect("a URL");
        assert_eq!(url.host(), UrlHost::Name("h.example".to_owned()));
        assert_eq!((url.port(), url.is_https()), (444, true));
        assert_eq!((url.authority(), url.target()), ("h.example:444", "/a?b=c"));
    }

    #[test]
    fn what_would_be_repaired_is_refused() {
        for bad in [
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.0.1./",
            "https://[::ffff:127.0.0.1]/",
            "https://[0:0:0:0:0:0:0:1]/",
            "https://\u{ff11}27.0.0.1/",
            "https://b\u{fc}cher.example/",
            "https://Id.example.com/",
            "https://id.example.com./",
            "https://id.example.com",
            "https://id.example.com:443/",
            "https://id.example.com/a/../b",
            "https://id.example.com/a b",
            "https://user@id.example.com/",
            "https://user:word@id.example.com/",
            "https://@id.example.com/",
            "https://id.example.com/#",
            "https:/id.example.com/",
            "https:\\\\id.example.com\\",
            " https://id.example.com/",
            "https://id.exa\nmple.com/",
            "ftp://id.example.com/",
            "file:///etc/passwd",
            "https:///token",
            "token",
            "",
        ] {
            assert!(bad.parse::<TokenUrl>().is_err(), "{bad}");
        }
        let long = format!("https://id.example.com/{}", "a".repeat(TokenUrl::BYTES_MAX));
        assert_eq!(
            long.parse::<TokenUrl>(),
            Err("a token URL has at most 2 KiB")
        );
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_printed_as_it_was(rest in "[ -~]{0,32}") {
            let text = format!("https://{rest}");
            if let Ok(url) = text.parse::<TokenUrl>() {
                prop_assert_eq!(url.to_string(), text);
            }
        }
    }
}
