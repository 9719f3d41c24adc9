//! Durations on the command line: a number and `s`, `m`, `h` or `d`, as whole seconds.
//! A bare number is refused, since nobody can tell its unit.
//!
//! Invariant: what is shown for a duration parses back to the same seconds.

/// Seconds and letter, largest first.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

/// Whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub u64);

impl std::str::FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a duration is a number and s, m, h or d, such as 30d";
        let unit = text.chars().next_back().ok_or(WRONG)?;
        let (seconds, _) = UNITS
            .iter()
            .find(|(_, letter)| *letter == unit)
            .ok_or(WRONG)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WRONG);
        }
        let number: u64 = digits.parse().map_err(|_| "the duration is too long")?;
        number
            .checked_mul(*seconds)
            .map(Self)
            .ok_or("the duration is too long")
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = |(seconds, _): &&(u64, char)| self.0 != 0 && self.0.is_multiple_of(*seconds);
        let (seconds, letter) = UNITS.iter().find(whole).unwrap_or(&(1, 's'));
        write!(f, "{}{letter}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("5m", 300),
            ("24h", 86_400),
            ("30d", 2_592_000),
            ("007m", 420),
        ] {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn nothing_else() {
        for text in [
            "",
            "s",
            "30",
            "1w",
            "-1s",
            "+1s",
            "1.5h",
            "1 h",
            " 1h",
            "1hé",
            "é",
            "1H",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_parses_back() {
        for seconds in [0, 1, 59, 60, 61, 3_600, 86_400, 90_000, 2_592_000] {
            assert_eq!(Seconds(seconds).to_string().parse(), Ok(Seconds(seconds)));
        }
        assert_eq!(Seconds(2_592_000).to_string(), "30d");
    }
}
