//! Instants and spans, in the units they are stored in.
//! Text is RFC 3339 in UTC with exactly six decimals.
//!
//! Invariant: no arithmetic here wraps; it saturates.

use std::fmt;
use std::str::FromStr;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use serde::{Deserialize, Serialize};

/// Of an instant's text, all but its decimals and its `Z`.
const SECONDS_BYTES: usize = 19;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant this many microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant `ttl` later; the end of time when that is beyond it.
    pub const fn after(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(ttl.micros()))
    }

    /// The instant this many microseconds later.
    pub const fn after_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// RFC 3339 in UTC, with `T` and ending with `Z`; of decimals, what is finer than a microsecond is left out. A leap second
/// is none of ours: it would become another second.
impl FromStr for Timestamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(drop)?;
        if !text.ends_with('Z') {
            return Err(());
        }
        let micros = at.unix_timestamp_nanos().div_euclid(1000);
        let at = i64::try_from(micros).map(Self).map_err(drop)?;
        let is_as_shown = text.get(..SECONDS_BYTES) == at.to_string().get(..SECONDS_BYTES);
        is_as_shown.then_some(at).ok_or(())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000) else {
            return f.write_str("9999-12-31T23:59:59.999999Z");
        };
        // Written digit by digit: every answer to a read has one, and a format's general way costs as much as opening it.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let year = u32::try_from(at.year()).unwrap_or(0);
        for (places, number) in [
            (0..4, year),
            (5..7, u32::from(u8::from(at.month()))),
            (8..10, u32::from(at.day())),
            (11..13, u32::from(at.hour())),
            (14..16, u32::from(at.minute())),
            (17..19, u32::from(at.second())),
            (20..26, at.microsecond()),
        ] {
            let mut rest = number;
            for place in text[places].iter_mut().rev() {
                *place = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// A span of whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(u64);

impl Ttl {
    /// The longest span that is accepted anywhere: a hundred years of 365 days.
    pub const MAX: Self = Self(100 * 365 * 86_400);

    /// A span of this many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// A span of this many days of 86,400 seconds.
    pub const fn days(days: u64) -> Self {
        Self(days * 86_400)
    }

    /// Whole seconds.
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// Microseconds, saturating.
    pub const fn micros(self) -> i64 {
        if self.0 > i64::MAX as u64 / 1_000_000 {
            i64::MAX
        } else {
            (self.0 * 1_000_000) as i64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_six_decimals() {
        assert_eq!(
            Timestamp::from_micros(1).to_string(),
            "1970-01-01T00:00:00.000001Z"
        );
    }

    #[test]
    fn text_is_read_in_utc_alone() {
        let read = |text: &str| text.parse::<Timestamp>().map(|at| at.to_string());
        for (text, known) in [
            ("2026-07-06T12:34:56Z", "2026-07-06T12:34:56.000000Z"),
            ("2026-07-06T12:34:56.5Z", "2026-07-06T12:34:56.500000Z"),
            (
                "2026-07-06T12:34:56.1234567Z",
                "2026-07-06T12:34:56.123456Z",
            ),
        ] {
            assert_eq!(read(text), Ok(known.to_owned()));
        }
        for wrong in [
            "",
            "2026-07-06",
            "2026-07-06T12:34:56",
            "2026-07-06T12:34:56+00:00",
            "2026-07-06T12:34:56.Z",
            "2026-02-30T12:34:56Z",
            "2016-12-31T23:59:60Z",
            "2026-07-06t12:34:56Z",
            "2026-07-06 12:34:56Z",
            "2026-07-06T12:34:56z",
        ] {
            assert_eq!(read(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn spans_saturate() {
        assert_eq!(
            Timestamp::from_micros(i64::MAX - 1)
                .after(Ttl::MAX)
                .micros(),
            i64::MAX
        );
        assert_eq!(Ttl::seconds(u64::MAX).micros(), i64::MAX);
    }
}
