//! A request's path and query, percent-decoded exactly once and here alone; what is not canonical is refused.
//! Authorisation, storage and the record use what comes out, so no second spelling of a name exists inside
//! (advisories A1 to A9: case, `..`, `%2F`, `//`, a slash at the end, and their family).
//!
//! Invariant: a decoded path holds only characters that a name may hold, no empty part and no dot part.

use std::borrow::Cow;

use crate::door::Credential;
use crate::model::Refusal;

/// Longest key of a parameter that a problem repeats, in bytes.
const QUOTED_KEY_BYTES_MAX: usize = 32;

/// The decoded path of a request target.
pub(super) fn decode_path(raw: &str) -> Result<Cow<'_, str>, Refusal> {
    let path = decode(raw).ok_or_else(|| malformed(BAD_ESCAPE))?;
    // `%2F` and `%5C` would make two parts of one, or one of two.
    if path.matches('/').count() != raw.matches('/').count() {
        return Err(malformed(BAD_CHARACTER));
    }
    let Some(parts) = path.strip_prefix('/') else {
        return Err(malformed(BAD_PART));
    };
    if parts.is_empty() {
        return Ok(path);
    }
    for part in parts.split('/') {
        if matches!(part, "" | "." | "..") {
            return Err(malformed(BAD_PART));
        }
        if !part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.@:=~+-".contains(&byte))
        {
            return Err(malformed(BAD_CHARACTER));
        }
    }
    Ok(path)
}

const BAD_ESCAPE: &str =
    "the path has a percent sign that is not followed by two hexadecimal digits";
const BAD_PART: &str = "the path has an empty part, a slash at its end, or a part of dots alone";
const BAD_CHARACTER: &str = "the path has a character that no name holds: names are made of A-Z a-z 0-9 _ . @ : = ~ + - and encoded at most once";

/// The parameters of a query, each once, until the route takes them.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, Refusal> {
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
            return Ok(Self::default());
        };
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in raw.split('&') {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| malformed("a parameter of the query has no ="))?;
            let (Some(key), Some(value)) = (decode(key), decode(value)) else {
                return Err(malformed(
                    "a parameter of the query is not percent-encoded UTF-8",
                ));
            };
            if [&key, &value].into_iter().any(|text| is_token(text)) {
                return Err(malformed(
                    "the query holds a token, and URLs are written down by others: revoke it, and send the next one as a header",
                ));
            }
            if parameters.iter().any(|(known, _)| *known == key) {
                return Err(malformed(&named(
                    &key,
                    "the query has the parameter",
                    "twice",
                )));
            }
            parameters.push((key.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, which the route then has taken.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The value of a parameter as what it should be.
    ///
    /// # Errors
    /// 400 naming the parameter and `what` it takes.
    pub fn take_as<T: std::str::FromStr>(
        &mut self,
        key: &'static str,
        what: &str,
    ) -> Result<Option<T>, Refusal> {
        self.take(key)
            .map(|value| {
                canonical_number(&value)
                    .and_then(|value| value.parse().ok())
                    .ok_or_else(|| wrong(key, what))
            })
            .transpose()
    }

    /// `true` or `false`; false when it is absent.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn take_flag(&mut self, key: &'static str) -> Result<bool, Refusal> {
        match self.take(key).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(key, "true or false")),
        }
    }

    /// Refuses what the route has not taken.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(malformed(&named(
                key,
                "this route does not take the parameter",
                "",
            ))),
        }
    }
}

fn is_token(text: &str) -> bool {
    matches!(Credential::of_token(text.as_bytes()), Credential::Token(_))
}

/// The refusal of a parameter's value, which is not repeated.
pub(super) fn wrong(key: &'static str, what: &str) -> Refusal {
    Refusal::Malformed(format!("the parameter `{key}` takes {what}"))
}

/// A number has one spelling: no sign, no zero before it.
pub(super) fn canonical_number(text: &str) -> Option<&str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then_some(text)
}

fn named(key: &str, before: &str, after: &str) -> String {
    let plain = key.len() <= QUOTED_KEY_BYTES_MAX
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let text = if plain && !key.is_empty() {
        format!("{before} `{key}` {after}")
    } else {
        format!("{before} (one with a strange name) {after}")
    };
    text.trim_end().to_owned()
}

fn malformed(why: &str) -> Refusal {
    Refusal::Malformed(why.to_owned())
}

/// Decodes `%XX` once. `+` stands for itself (RFC 3986).
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (digits, tail) = rest.split_first_chunk::<2>()?;
            rest = tail;
            bytes.push(hex(digits[0])? << 4 | hex(digits[1])?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Advisories A5 and A6, before any route is looked for.
    #[test]
    fn spellings_that_are_not_canonical_are_refused() {
        for bad in [
            "",
            "a",
            "//",
            "/a/",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/a/%2e%2e/b",
            "/a/%2E%2E",
            "/a%2fb",
            "/a%2Fb",
            "/a%5Cb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/a%252fb",
            "/a%252Fb",
            "/a%25",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a;b",
            "/a;b=c/d",
            "/a b",
            "/a%20b",
            "/a%0ab",
            "/a%0d%0ab",
            "/a%c0%af",
            "/a%c0%aeb",
            "/a%e0%80%af",
            "/ä",
            "/a%C3%A4",
            "/r%CE%BFot",
            "/a%EF%BC%81",
            "/a%E2%80%8D",
            "/a*b",
            "/a,b",
            "/a?b",
            "/a#b",
            "/a%3Fb",
            "/a%23b",
            "/a%7Fb",
            "/a\u{202e}b",
            "/a|b",
            "/a'b",
            "/a\"b",
            "/a(b)",
            "/a[b]",
            "/a{b}",
            "/a^b",
            "/a$b",
            "/a&b",
            "/a!b",
        ] {
            let said = decode_path(bad).expect_err(bad);
            assert!(
                matches!(&said, Refusal::Malformed(why) if !why.contains(bad) || bad.len() < 3),
                "{bad}: {said:?}"
            );
        }
    }

    #[test]
    fn percent_encoding_is_decoded_once() {
        for (raw, decoded) in [
            ("/", "/"),
            ("/api/v1/secrets/a/b/c", "/api/v1/secrets/a/b/c"),
            ("/%61/b%2Ec", "/a/b.c"),
            ("/a/c%40d%3A1%3D2%7E3%2B4", "/a/c@d:1=2~3+4"),
            ("/a/c@d:1=2~3+4", "/a/c@d:1=2~3+4"),
        ] {
            assert_eq!(decode_path(raw).expect(raw), decoded);
        }
    }

    #[test]
    fn parameters_are_named_once_and_known() {
        let mut query =
            Query::parse(Some("version=7&previous=true&prefix=a%2Fb+c")).expect("a query");
        assert_eq!(query.take_as::<u64>("version", "a number"), Ok(Some(7)));
        assert_eq!(query.take_flag("previous"), Ok(true));
        assert_eq!(query.take_flag("recursive"), Ok(false));
        assert!(query.finish().is_err());
        assert_eq!(query.take("prefix").as_deref(), Some("a/b+c"));
        assert_eq!(query.finish(), Ok(()));
        assert_eq!(Query::parse(Some("")).expect("no query").finish(), Ok(()));
        for bad in [
            "a",
            "a&b=1",
            "a=1&a=2",
            "a=1&%61=2",
            "a=%",
            "a=%zz",
            "a=%ff",
            "&",
            "a=1&",
        ] {
            assert!(Query::parse(Some(bad)).is_err(), "{bad}");
        }
        for bad in [
            "",
            "-1",
            "+1",
            "01",
            "1.0",
            "1e3",
            " 1",
            "99999999999999999999",
            "x",
            "٣",
        ] {
            let mut query = Query(vec![("version".to_owned(), bad.to_owned())]);
            assert!(
                query.take_as::<u64>("version", "a number").is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn nothing_that_may_be_secret_is_repeated() {
        let token = crate::http::headers::tests::token();
        for bad in [
            format!("token={token}"),
            format!("{token}=1"),
            format!("x={token}"),
        ] {
            let said = format!(
                "{:?}",
                Query::parse(Some(&bad)).expect_err("a token in a URL")
            );
            assert!(
                said.contains("revoke it") && !said.contains("cof_"),
                "{said}"
            );
        }
        let query = Query::parse(Some("Hunter2=x")).expect("a query");
        assert!(!format!("{:?}", query.finish()).contains("Hunter2"));
        let query = Query::parse(Some("acess_token=hunter2")).expect("a query");
        let said = format!("{:?}", query.finish());
        assert!(
            said.contains("acess_token") && !said.contains("hunter2"),
            "{said}"
        );
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_canonical(raw in "/[a-z%./0-9A-F]{0,24}") {
            if let Ok(path) = decode_path(&raw) {
                prop_assert_eq!(decode_path(&path).expect("the decoded path is its own spelling"), path.clone());
                prop_assert!(!path.contains("//") && !path.contains('%'));
            }
        }
    }
}
