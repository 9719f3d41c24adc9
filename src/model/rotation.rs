//! A secret's rotation by schedule: how often, how long the old value stays readable, and what the new one is made of.
//! The policy lives in the secret's own sealed document.
//!
//! Invariant: a generated value has at least 128 bits (NIST SP 800-63B, ASVS 11.5.1).

use serde::{Deserialize, Serialize};

use super::{FieldName, Timestamp, Ttl};

/// How a secret rotates.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationPolicy {
    /// From one rotation to the next.
    pub every: Ttl,
    /// How long the old value stays readable as `previous`.
    pub grace: Ttl,
    /// The field that is made anew.
    pub field: FieldName,
    /// Characters of a new value.
    pub length: u32,
    /// What they are drawn from.
    pub alphabet: Alphabet,
    /// When it rotates next.
    pub next_at: Timestamp,
    /// When it last rotated by schedule or by `rotate`.
    pub last_at: Option<Timestamp>,
}

impl RotationPolicy {
    /// The shortest period.
    pub const EVERY_MIN: Ttl = Ttl::seconds(60);
    /// The grace unless one is given, or half the period when that is shorter.
    pub const GRACE_DEFAULT: Ttl = Ttl::days(1);

    /// The first due time after `now`; missed periods count once.
    pub fn next_after(&self, now: Timestamp) -> Timestamp {
        let due = self.next_at.after(self.every);
        if due > now {
            due
        } else {
            now.after(self.every)
        }
    }
}

/// The characters a generated value is drawn from: printable ASCII, each once, no space.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alphabet(Box<str>);

impl Alphabet {
    /// Characters of a value unless a length is given: 190 bits of the default alphabet.
    pub const LENGTH_DEFAULT: u32 = 32;
    /// The longest generated value, in characters.
    pub const LENGTH_MAX: u32 = 4096;
    const ALPHANUMERIC: &'static str =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const BITS_MIN: f64 = 128.0;

    /// The characters.
    pub fn characters(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Refuses a length that gives less than 128 bits, or too long a value.
    pub fn check_length(&self, length: u32) -> Result<(), String> {
        if length > Self::LENGTH_MAX {
            return Err(format!(
                "a generated value has at most {} characters",
                Self::LENGTH_MAX
            ));
        }
        let bits = f64::from(u32::try_from(self.0.len()).unwrap_or(0)).log2();
        if f64::from(length) * bits < Self::BITS_MIN {
            let least = (Self::BITS_MIN / bits).ceil();
            return Err(format!(
                "a generated value needs at least 128 bits: {least} characters of this alphabet"
            ));
        }
        Ok(())
    }
}

impl Default for Alphabet {
    fn default() -> Self {
        Self(Self::ALPHANUMERIC.into())
    }
}

impl TryFrom<String> for Alphabet {
    type Error = &'static str;

    /// `alphanumeric`, `hex`, `base64url`, or at least ten different printable ASCII characters.
    fn try_from(text: String) -> Result<Self, &'static str> {
        let characters = match text.as_str() {
            "alphanumeric" => Self::ALPHANUMERIC,
            "hex" => "0123456789abcdef",
            "base64url" => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            literal => literal,
        };
        let mut seen = [false; 128];
        for byte in characters.bytes() {
            if !byte.is_ascii_graphic() || std::mem::replace(&mut seen[usize::from(byte)], true) {
                return Err(
                    "an alphabet is alphanumeric, hex, base64url, or printable ASCII characters, each once",
                );
            }
        }
        if characters.len() < 10 {
            return Err("an alphabet is alphanumeric, hex, base64url, or at least ten characters");
        }
        Ok(Self(characters.into()))
    }
}

impl From<Alphabet> for String {
    fn from(alphabet: Alphabet) -> String {
        alphabet.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_values_are_refused() {
        let hex = Alphabet::try_from("hex".to_owned()).expect("an alphabet");
        assert!(hex.check_length(32).is_ok());
        assert!(hex.check_length(31).is_err());
        assert!(Alphabet::default().check_length(21).is_err());
        assert!(Alphabet::default().check_length(22).is_ok());
        assert!(Alphabet::try_from("aab0123456789".to_owned()).is_err());
        assert!(Alphabet::try_from("abc".to_owned()).is_err());
    }
}
