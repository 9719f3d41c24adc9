//! The one spelling of JSON that is hashed: RFC 8785 (JCS), written piece by piece and read back by a cursor.
//! A reader that accepted a second spelling would let two lines pass for one record.
//!
//! Invariant: the cursor takes only what the writers below could have written.

use std::borrow::Cow;

/// Writes a JSON string: the two-character escapes where they exist, `\u00xx` for other controls, all else as it is.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if is_plain(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..at]);
        plain_from = at + 1;
        match ESCAPES.iter().find(|(raw, _)| *raw == byte) {
            Some((_, letter)) => out.extend_from_slice(&[b'\\', *letter]),
            None => {
                out.extend_from_slice(b"\\u00");
                write_hex(&[byte], out);
            }
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Writes a number's decimal digits.
pub(crate) fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}

/// Writes bytes as lower-case hex.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]);
    }
}

/// Reads canonical decimal digits: no sign, no leading zero, no overflow.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Reads exactly `N` bytes of lower-case hex.
pub(crate) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

/// A place in a text of canonical JSON.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Passes these bytes if they come next.
    pub(crate) fn pass(&mut self, literal: &str) -> bool {
        let next = self.rest().starts_with(literal.as_bytes());
        self.at += if next { literal.len() } else { 0 };
        next
    }

    /// Passes `,"key":` if it comes next.
    pub(crate) fn pass_key(&mut self, key: &str) -> bool {
        let next = self
            .rest()
            .strip_prefix(b",\"")
            .and_then(|rest| rest.strip_prefix(key.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b"\":"));
        self.at += if next { key.len() + 4 } else { 0 };
        next
    }

    /// Reads a string; borrowed unless it holds an escape.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        if !self.pass("\"") {
            return None;
        }
        let mut owned = String::new();
        loop {
            let plain = self.rest().iter().position(|&b| !is_plain(b))?;
            // A byte that is not plain is ASCII, so that both cuts fall between characters.
            let text = &self.text[self.at..self.at + plain];
            self.at += plain + 1;
            match self.text.as_bytes()[self.at - 1] {
                b'"' if owned.is_empty() => return Some(Cow::Borrowed(text)),
                b'"' => return Some(Cow::Owned(owned + text)),
                b'\\' => {
                    owned.push_str(text);
                    owned.push(self.escape()?);
                }
                _ => return None,
            }
        }
    }

    /// Reads a number without sign, fraction or exponent.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let digits = self
            .rest()
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let number = decimal(&self.text[self.at..self.at + digits])?;
        self.at += digits;
        Some(number)
    }

    /// Reads what follows a backslash; only the escapes that [`write_string`] writes.
    fn escape(&mut self) -> Option<char> {
        let letter = *self.rest().first()?;
        self.at += 1;
        if let Some((raw, _)) = ESCAPES.iter().find(|(_, other)| *other == letter) {
            return Some(char::from(*raw));
        }
        let code = self
            .rest()
            .strip_prefix(b"00")
            .filter(|_| letter == b'u')?
            .first_chunk::<2>()?;
        let raw = hex_digit(code[0])? << 4 | hex_digit(code[1])?;
        let short = ESCAPES.iter().any(|(other, _)| *other == raw);
        self.at += 4;
        (raw < 0x20 && !short).then_some(char::from(raw))
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }
}

/// Bytes with a two-character escape, and its letter.
const ESCAPES: [(u8, u8); 7] = [
    (b'"', b'"'),
    (b'\\', b'\\'),
    (8, b'b'),
    (9, b't'),
    (10, b'n'),
    (12, b'f'),
    (13, b'r'),
];

fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_string_is_spelled_as_rfc_8785_says() {
        // The string of RFC 8785, section 3.2.2.2, and its canonical form.
        assert_eq!(
            written("\u{20ac}$\u{f}\nA'\u{42}\u{22}\u{5c}\\\"/"),
            r#""€$\u000f\nA'B\"\\\\\"/""#
        );
        assert_eq!(
            written("\u{7f}\u{2028}\u{1f600}"),
            "\"\u{7f}\u{2028}\u{1f600}\""
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        for wrong in [
            r#""\/""#,
            r#""\u0041""#,
            r#""\u000A""#,
            r#""\u000a""#,
            r#""\u001F""#,
            r#""\ud83d\ude00""#,
            "\"\n\"",
            "\"",
            "a",
        ] {
            assert_eq!(Cursor::new(wrong).string(), None, "{wrong}");
        }
        for wrong in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            "1.0",
            "18446744073709551616",
            " 1",
        ] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        assert_eq!(hex::<2>("0aff"), Some([10, 255]));
        for wrong in ["0aFF", "0af", "0aff00", "0agg"] {
            assert_eq!(hex::<2>(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn strings_agree_with_serde_json_and_come_back(text in any::<String>(), number in any::<u64>()) {
            let spelled = written(&text);
            prop_assert_eq!(&spelled, &serde_json::to_string(&text).unwrap());
            let mut cursor = Cursor::new(&spelled);
            prop_assert_eq!(cursor.string().unwrap(), text);
            prop_assert!(cursor.at_end());
            let mut digits = Vec::new();
            write_decimal(number, &mut digits);
            let digits = String::from_utf8(digits).unwrap();
            prop_assert_eq!(&digits, &number.to_string());
            prop_assert_eq!(Cursor::new(&digits).number(), Some(number));
        }
    }
}
