//! Instants as the log writes them: microseconds since 1970 in UTC, as RFC 3339 with six decimals and `Z`.
//! Written by hand, because a record is written 60,000 times a second and has one spelling only.
//!
//! Invariant: 27 bytes, years 1970 to 9999, and text and number name each other one to one.

/// The first microsecond after 9999-12-31T23:59:59.999999Z.
pub const INSTANT_END_US: i64 = 253_402_300_800_000_000;

/// Length of an instant's text in bytes.
pub const INSTANT_BYTES: usize = 27;

const DAY_S: u64 = 86_400;

/// An instant as text, `2026-07-06T12:34:56.123456Z`; `None` before 1970 and after 9999.
#[must_use]
pub fn instant_text(microseconds: i64) -> Option<[u8; INSTANT_BYTES]> {
    let us = u64::try_from(microseconds)
        .ok()
        .filter(|_| microseconds < INSTANT_END_US)?;
    let (seconds, us) = (us / 1_000_000, us % 1_000_000);
    let (year, month, day) = civil(seconds / DAY_S);
    let second = seconds % DAY_S;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], second / 3600);
    put(&mut text[14..16], second / 60 % 60);
    put(&mut text[17..19], second % 60);
    put(&mut text[20..26], us);
    Some(text)
}

/// Reads what [`instant_text`] wrote; `None` for any other spelling, dates that do not exist included.
#[must_use]
pub fn parse_instant(text: &str) -> Option<i64> {
    let bytes: &[u8; INSTANT_BYTES] = text.as_bytes().try_into().ok()?;
    let (year, month, day) = (
        take(&bytes[0..4])?,
        take(&bytes[5..7])?,
        take(&bytes[8..10])?,
    );
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let second = take(&bytes[11..13])? * 3600 + take(&bytes[14..16])? * 60 + take(&bytes[17..19])?;
    let us = (days(year, month, day) * DAY_S + second) * 1_000_000 + take(&bytes[20..26])?;
    let us = i64::try_from(us).ok()?;
    (instant_text(us)? == *bytes).then_some(us)
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The day since 1970-01-01 of a year (1970 or later), month and day: the inverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Writes a number into all of the digits.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads a number of nothing but digits.
fn take(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;

    #[test]
    fn other_spellings_are_refused() {
        let good = "2024-02-29T23:59:59.999999Z";
        assert_eq!(
            instant_text(parse_instant(good).unwrap()).unwrap(),
            good.as_bytes()
        );
        for wrong in [
            "2023-02-29T00:00:00.000000Z",
            "2024-13-01T00:00:00.000000Z",
            "2024-01-01T24:00:00.000000Z",
            "2024-01-01T00:00:60.000000Z",
            "2024-01-01 00:00:00.000000Z",
            "2024-01-01T00:00:00.00000Z",
            "2024-01-01T00:00:00.000000z",
            "1969-12-31T23:59:59.999999Z",
            "1970-00-01T00:00:00.000000Z",
            "1970-01-00T00:00:00.000000Z",
            "",
        ] {
            assert_eq!(parse_instant(wrong), None, "{wrong}");
        }
        assert_eq!(instant_text(-1), None);
        assert_eq!(instant_text(INSTANT_END_US), None);
        assert_eq!(
            &instant_text(INSTANT_END_US - 1).unwrap(),
            b"9999-12-31T23:59:59.999999Z"
        );
    }

    proptest! {
        #[test]
        fn agrees_with_the_time_crate(us in 0..INSTANT_END_US) {
            let text = instant_text(us).unwrap();
            let text = std::str::from_utf8(&text).unwrap();
            let other = time::OffsetDateTime::parse(text, &Rfc3339).unwrap();
            prop_assert_eq!(other.unix_timestamp_nanos(), i128::from(us) * 1000);
            prop_assert_eq!(parse_instant(text), Some(us));
        }
    }
}
