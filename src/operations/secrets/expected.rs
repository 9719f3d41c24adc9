//! What a client expects to find: any version, this one by number or by `ETag`, or nothing at all.
//! An `ETag` names the secret by the end of its id, so that a name used again is never "unchanged".
//!
//! Invariant: a mismatch changes nothing (412).

use std::fmt;
use std::str::FromStr;

use crate::model::{Refusal, Secret, SecretId};

/// Bytes of a secret's id in its `ETag`.
const TAIL_BYTES: usize = 8;

/// `"<last 16 hex of the secret's id>.<version>"`, quotes included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Etag {
    tail: [u8; TAIL_BYTES],
    version: u64,
}

impl Etag {
    /// The tag of a version.
    pub fn of(secret: SecretId, version: u64) -> Self {
        let mut tail = [0; TAIL_BYTES];
        tail.copy_from_slice(&secret.as_bytes()[16 - TAIL_BYTES..]);
        Self { tail, version }
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{:016x}.{}\"",
            u64::from_be_bytes(self.tail),
            self.version
        )
    }
}

impl FromStr for Etag {
    type Err = ();

    /// The one spelling that [`Etag`] prints; a weak tag is never one of ours.
    fn from_str(text: &str) -> Result<Self, ()> {
        let inner = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .ok_or(())?;
        let (tail, version) = inner.split_once('.').ok_or(())?;
        let tail = u64::from_str_radix(tail, 16).map_err(|_| ())?.to_be_bytes();
        let etag = Self {
            tail,
            version: version.parse().map_err(|_| ())?,
        };
        (etag.to_string() == text).then_some(etag).ok_or(())
    }
}

/// What a client expects to find before it changes something.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Expected {
    /// Whatever is there.
    #[default]
    Any,
    /// `If-None-Match: *`: no secret.
    Absent,
    /// `If-Match: *`: some secret.
    Present,
    /// `?if_version=`: this is the newest version; 0 means no secret.
    Version(u64),
    /// `If-Match`: one of these is the newest version.
    Etags(Vec<Etag>),
}

impl Expected {
    /// Refuses unless what is there is what was expected.
    pub(super) fn check(&self, found: Option<&Secret>) -> Result<(), Refusal> {
        let newest = found.and_then(|secret| Some((secret.id, secret.versions.last()?.number)));
        let met = match self {
            Self::Any => true,
            Self::Absent | Self::Version(0) => found.is_none(),
            Self::Present => found.is_some(),
            Self::Version(number) => newest.is_some_and(|(_, newest)| newest == *number),
            Self::Etags(etags) => {
                newest.is_some_and(|(id, newest)| etags.contains(&Etag::of(id, newest)))
            }
        };
        met.then_some(()).ok_or(Refusal::PreconditionFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{State, Timestamp, VersionEntry, VersionId};

    fn secret(version: u64) -> Secret {
        let now = Timestamp::from_micros(1);
        let mut secret = Secret::new(
            SecretId::from_bytes([0xab; 16]),
            "a".parse().expect("a path"),
            now,
        );
        let entry = VersionEntry {
            number: version,
            id: VersionId::from_bytes([1; 16]),
            state: State::Current,
            created_at: now,
            valid_until: None,
            digest: [0; 32],
        };
        secret.push_version(now, entry, Vec::new(), None);
        secret
    }

    #[test]
    fn a_tag_has_one_spelling() {
        let etag = Etag::of(SecretId::from_bytes([0xab; 16]), 7);
        assert_eq!(etag.to_string(), "\"abababababababab.7\"");
        assert_eq!(etag.to_string().parse(), Ok(etag));
        let short = Etag::of(SecretId::from_bytes([0; 16]), 1);
        assert_eq!(short.to_string(), "\"0000000000000000.1\"");
        for wrong in [
            "abababababababab.7",
            "W/\"abababababababab.7\"",
            "\"ABABABABABABABAB.7\"",
            "\"abababababababab.07\"",
            "\"abababababababab.+7\"",
            "\"+bababababababab.7\"",
            "\"abababababababab\"",
            "\"ab.7\"",
            "*",
            "\"",
            "",
        ] {
            assert_eq!(Etag::from_str(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn what_is_expected_must_be_there() {
        let found = secret(7);
        let own = Etag::of(found.id, 7);
        let other = Etag::of(SecretId::from_bytes([1; 16]), 7);
        for (expected, present, absent) in [
            (Expected::Any, true, true),
            (Expected::Absent, false, true),
            (Expected::Version(0), false, true),
            (Expected::Present, true, false),
            (Expected::Version(7), true, false),
            (Expected::Version(6), false, false),
            (Expected::Etags(vec![other, own]), true, false),
            (
                Expected::Etags(vec![other, Etag::of(found.id, 6)]),
                false,
                false,
            ),
            (Expected::Etags(Vec::new()), false, false),
        ] {
            assert_eq!(
                expected.check(Some(&found)).is_ok(),
                present,
                "{expected:?}"
            );
            assert_eq!(expected.check(None).is_ok(), absent, "{expected:?}");
        }
    }
}
