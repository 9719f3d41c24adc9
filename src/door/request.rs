//! What the door is told of a request besides its operation: the bearer's token, where it came from, its id.
//! Everything in here may be recorded, but the token.
//!
//! Invariant: a request's id is given once, however often it is decided.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use crate::crypto::PlainToken;

/// What the `Authorization` header held.
pub enum Credential {
    /// Nothing.
    Missing,
    /// Something that is no token of ours; no look-up is spent on it.
    Malformed,
    /// A well-formed token.
    Token(PlainToken),
    /// A part of the system asks; no parser can make this.
    System(&'static str),
}

impl Credential {
    /// What a bearer shows, parsed; no look-up is made.
    pub fn of_token(text: &[u8]) -> Self {
        PlainToken::parse(text).map_or(Self::Malformed, Self::Token)
    }
}

/// One request.
pub struct Request {
    /// What it shows.
    pub credential: Credential,
    /// Names it in answers, logs and records.
    pub id: RequestId,
    /// The address it came from.
    pub source: Option<IpAddr>,
    /// What the client calls itself, cut to [`Request::USER_AGENT_BYTES_MAX`].
    pub user_agent: Option<String>,
    /// `Coffer-Metadata`, as sent.
    pub metadata: Option<BTreeMap<String, String>>,
}

impl Request {
    /// The most bytes of a user agent that are recorded.
    pub const USER_AGENT_BYTES_MAX: usize = 256;
}

/// Boot id and counter, as text: `BOOT-COUNTER`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestId {
    /// The first eight bytes of the boot id.
    pub boot: u64,
    /// Counts this boot's requests.
    pub counter: u64,
}

/// As it is written, and in no other way.
impl FromStr for RequestId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (boot, counter) = text.split_once('-').ok_or(())?;
        let number = |digits: &str| u64::from_str_radix(digits, 16).map_err(|_| ());
        let id = Self {
            boot: number(boot)?,
            counter: number(counter)?,
        };
        (id.to_string() == text).then_some(id).ok_or(())
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = [0; 16 + 1 + 16];
        let digit = |value: u64| b"0123456789abcdef"[(value & 15) as usize];
        for (at, place) in text[..16].iter_mut().rev().enumerate() {
            *place = digit(self.boot >> (4 * at));
        }
        text[16] = b'-';
        let digits = (u64::BITS - self.counter.leading_zeros())
            .div_ceil(4)
            .max(1) as usize;
        for (at, place) in text[17..17 + digits].iter_mut().rev().enumerate() {
            *place = digit(self.counter >> (4 * at));
        }
        let text = std::str::from_utf8(&text[..17 + digits]).expect("digits and a dash");
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn an_id_has_one_spelling() {
        for (boot, counter) in [(0xab, 0), (u64::MAX, 0x10), (0, u64::MAX)] {
            let id = RequestId { boot, counter };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in [
            "",
            "-",
            "1",
            "ab-1",
            "00000000000000ab-01",
            "00000000000000AB-1",
            "00000000000000ab-+1",
            "00000000000000ab-1-1",
            "00000000000000ab-10000000000000000",
        ] {
            assert_eq!(wrong.parse::<RequestId>(), Err(()), "{wrong}");
        }
    }
}
