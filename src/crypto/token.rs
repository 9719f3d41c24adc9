//! Tokens: `cof_<kind>_<43 base62>_<6 base62>`, 32 random bytes and a CRC-32 that lets scanners find leaked ones.
//! What is shown once (`PlainToken`) and what is stored (`HashedToken`) are two types.
//!
//! Invariant: a token has exactly one spelling; whatever else parses as nearly one is refused before any look-up.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SecretBytes;
use crate::{entropy::Entropy, model::TokenId};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_BYTES: usize = 32;
/// 62^43 > 2^256 > 62^42.
const RANDOM_DIGITS: usize = 43;
/// 2^256 - 1.
const LARGEST: &[u8; RANDOM_DIGITS] = b"yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";
/// 62^6 > 2^32 > 62^5.
const CHECK_DIGITS: usize = 6;

/// Longest token, in bytes: `cof_root_` and the rest.
pub const TOKEN_BYTES_MAX: usize = 4 + 4 + 1 + RANDOM_DIGITS + 1 + CHECK_DIGITS;

/// What a token was made for; for people and scanners, it decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The first token.
    Root,
    /// An application's.
    App,
    /// A user's.
    User,
}

impl TokenKind {
    /// As it stands in the token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::App => "app",
            Self::User => "usr",
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        [Self::Root, Self::App, Self::User]
            .into_iter()
            .find(|kind| kind.as_str().as_bytes() == text)
    }
}

/// A token as its holder has it. It can be shown once and hashed, not stored.
pub struct PlainToken {
    kind: TokenKind,
    text: SecretBytes,
}

impl PlainToken {
    /// A new token.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy, kind: TokenKind) -> Self {
        let mut random = Zeroizing::new([0; RANDOM_BYTES]);
        entropy.fill(random.as_mut_slice());
        Self::of(kind, &random)
    }

    /// The token of these characters, or nothing: wrong kind, length, alphabet, number or check digits look alike.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (head, check) = text.split_last_chunk::<CHECK_DIGITS>()?;
        let body = head.strip_suffix(b"_")?;
        let (front, number) = body.split_last_chunk::<RANDOM_DIGITS>()?;
        let kind = TokenKind::parse(front.strip_prefix(b"cof_")?.strip_suffix(b"_")?)?;
        if !fits(number) || *check != check_digits(body) {
            return None;
        }
        Some(Self {
            kind,
            text: SecretBytes::new(text.to_vec()),
        })
    }

    /// What it was made for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The token's text, to show once.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.text.expose()).expect("a token is ASCII: generated or checked so")
    }

    fn of(kind: TokenKind, random: &[u8; RANDOM_BYTES]) -> Self {
        let mut text = Vec::with_capacity(TOKEN_BYTES_MAX);
        text.extend_from_slice(b"cof_");
        text.extend_from_slice(kind.as_str().as_bytes());
        text.push(b'_');
        text.extend_from_slice(digits(random).as_slice());
        let check = check_digits(&text);
        text.push(b'_');
        text.extend_from_slice(&check);
        Self {
            kind,
            text: SecretBytes::new(text),
        }
    }
}

/// A token as it is stored: its MAC under the cluster's token key. It cannot be turned back or shown.
#[derive(Clone, Copy)]
pub struct HashedToken([u8; 32]);

impl HashedToken {
    pub(super) fn new(mac: [u8; 32]) -> Self {
        Self(mac)
    }

    /// The token's id: the first sixteen bytes.
    #[must_use]
    pub fn id(&self) -> TokenId {
        TokenId::from_bytes(*self.0.first_chunk().expect("32 bytes begin with 16"))
    }

    /// All of it, for the token's sealed document.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is the MAC in a token's document, in constant time.
    #[must_use]
    pub fn matches(&self, mac: &[u8; 32]) -> bool {
        self.0.ct_eq(mac).into()
    }
}

/// 32 bytes, big-endian, as exactly 43 digits: repeated division by 62 over four-byte limbs.
fn digits(random: &[u8; RANDOM_BYTES]) -> Zeroizing<[u8; RANDOM_DIGITS]> {
    let mut limbs = Zeroizing::new([0u32; RANDOM_BYTES / 4]);
    for (limb, bytes) in limbs.iter_mut().zip(random.chunks_exact(4)) {
        *limb = u32::from_be_bytes(bytes.try_into().expect("chunks of four"));
    }
    let mut out = Zeroizing::new([0; RANDOM_DIGITS]);
    for digit in out.iter_mut().rev() {
        let mut rest = 0u64;
        for limb in limbs.iter_mut() {
            let value = rest << 32 | u64::from(*limb);
            *limb = (value / 62) as u32;
            rest = value % 62;
        }
        *digit = ALPHABET[rest as usize];
    }
    out
}

/// Whether 43 characters are digits of a number below 2^256. The alphabet is in the order of ASCII.
fn fits(number: &[u8; RANDOM_DIGITS]) -> bool {
    number.iter().all(u8::is_ascii_alphanumeric) && number <= LARGEST
}

/// CRC-32 (IEEE) of everything before the last `_`, in base 62, left-padded.
fn check_digits(body: &[u8]) -> [u8; CHECK_DIGITS] {
    let mut sum = crc32fast::hash(body);
    let mut out = [0; CHECK_DIGITS];
    for digit in out.iter_mut().rev() {
        *digit = ALPHABET[(sum % 62) as usize];
        sum /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart from this code: base 62 of 0, 1, 61, 62 and 2^256 - 1; CRC-32 by zlib.
    #[test]
    fn numbers_are_written_in_full() {
        let of = |random: [u8; 32]| PlainToken::of(TokenKind::App, &random).expose().to_owned();
        let mut one = [0; 32];
        one[31] = 1;
        let mut base = [0; 32];
        base[31] = 62;
        assert_eq!(of([0; 32]), format!("cof_app_{:0>43}_{}", "", "3h5Ywa"));
        assert_eq!(of(one), format!("cof_app_{:0>43}_{}", "1", "3Uav4w"));
        assert_eq!(of(base), format!("cof_app_{:0>43}_{}", "10", "3p9jl3"));
        assert_eq!(
            of([255; 32]),
            "cof_app_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1_1nbYum"
        );
    }

    #[test]
    fn a_number_beyond_256_bits_is_refused() {
        let largest = digits(&[255; 32]);
        assert_eq!(*largest, *LARGEST);
        assert!(fits(&largest));
        let mut beyond = *largest;
        *beyond.last_mut().unwrap() += 1;
        assert!(beyond.is_ascii() && !fits(&beyond));
        assert!(!fits(&[b'z'; RANDOM_DIGITS]));
        for place in 0..RANDOM_DIGITS {
            for other in [b'-', b'_', b'/', b':', b'@', b'[', b'`', b'{', 0, 255] {
                let mut number = [b'0'; RANDOM_DIGITS];
                assert!(fits(&number));
                number[place] = other;
                assert!(!fits(&number), "{other} at {place}");
            }
        }
        for (number, taken) in [
            (*largest, true),
            (beyond, false),
            ([b'z'; RANDOM_DIGITS], false),
        ] {
            let mut text = [b"cof_usr_", number.as_slice()].concat();
            let check = check_digits(&text);
            text.push(b'_');
            text.extend(check);
            assert_eq!(PlainToken::parse(&text).is_some(), taken);
        }
    }

    #[test]
    fn what_is_nearly_a_token_is_refused() {
        let token = PlainToken::of(TokenKind::Root, &[42; 32]);
        let text = token.expose();
        assert_eq!(
            PlainToken::parse(text.as_bytes()).map(|token| token.kind()),
            Some(TokenKind::Root)
        );
        let changed = [
            String::new(),
            "cof".into(),
            text[..text.len() - 1].into(),
            format!("{text}0"),
            format!(" {text}"),
            format!("{text}\n"),
            text.replace("cof_", "COF_"),
            text.replace("root", "app"),
            text.replace("root", "rot"),
            text.replace("_root_", "__"),
            text.replace('_', "-"),
            text.to_uppercase(),
            "x".repeat(1 << 20),
        ];
        for near in changed {
            assert!(PlainToken::parse(near.as_bytes()).is_none(), "{near:.80}");
        }
    }
}
