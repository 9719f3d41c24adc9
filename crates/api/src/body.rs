//! Parsing a request's body, with errors fit to be sent back and written down.
//! serde's own texts quote what they choke on, which may be a secret; these name keys and positions only.
//!
//! Invariant: a [`BodyError`] holds no value of the body it speaks of.

use crate::values::{NAMED_TWICE, NOT_A_VALUE, NOT_BASE64, TOO_MANY_FIELDS};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::fmt;

/// Longest key that an error repeats, in bytes.
const QUOTED_KEY_BYTES_MAX: usize = 64;

/// Why a body is not what the route takes, in one sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct BodyError(String);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BodyError {}

/// Reads one JSON object, whole, or says why not. (serde would also take an array of an object's values.)
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    if body
        .trim_ascii_start()
        .first()
        .is_some_and(|first| *first != b'{')
    {
        return Err(BodyError("The body is not a JSON object.".into()));
    }
    serde_json::from_slice(body).map_err(|error| BodyError(sentence(&error)))
}

fn sentence(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.classify() != Category::Data {
        return format!("The body is not JSON: see line {line}, column {column}.");
    }
    let text = error.to_string();
    if let Some(key) = quoted(&text, "unknown field `") {
        return format!("The body has the unknown key `{key}`.");
    }
    if text.starts_with("unknown field") {
        return format!("The body has an unknown key: see line {line}, column {column}.");
    }
    if let Some(key) = quoted(&text, "missing field `") {
        return format!("The body lacks the key `{key}`.");
    }
    if let Some(key) = quoted(&text, "duplicate field `") {
        return format!("The body has the key `{key}` twice.");
    }
    for known in [NOT_BASE64, TOO_MANY_FIELDS, NAMED_TWICE] {
        if text.starts_with(known) {
            return format!("In the body {known}: see line {line}, column {column}.");
        }
    }
    if text.contains(NOT_A_VALUE) {
        return format!("In the body {NOT_A_VALUE}: see line {line}, column {column}.");
    }
    format!("A value of the body has the wrong type or range: see line {line}, column {column}.")
}

/// The key that `text` names after `before`, if it can be repeated as it is.
fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let key = text.strip_prefix(before)?.split('`').next()?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (!key.is_empty() && key.len() <= QUOTED_KEY_BYTES_MAX && key.bytes().all(plain)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CreateToken, DestroySecret, PutSecret};

    fn said<T: DeserializeOwned>(body: &str) -> String {
        parse_body::<T>(body.as_bytes())
            .err()
            .expect("an error")
            .to_string()
    }

    #[test]
    fn errors_name_keys() {
        assert_eq!(
            said::<PutSecret>(r#"{"fieldz":{}}"#),
            "The body has the unknown key `fieldz`."
        );
        assert_eq!(
            said::<CreateToken>(r#"{"scopes":[]}"#),
            "The body lacks the key `ttl`."
        );
        assert_eq!(
            said::<CreateToken>(r#"{"ttl":1,"ttl":2}"#),
            "The body has the key `ttl` twice."
        );
        assert!(said::<PutSecret>(r#"{"a\nb":{}}"#).contains("an unknown key"));
    }

    #[test]
    fn errors_never_repeat_values() {
        for body in [
            r#"{"fields":"hunter2"}"#,
            r#"{"fields":{"a":["hunter2"]}}"#,
            r#"{"fields":{"a":{"hunter2":1}}}"#,
            r#"{"fields":{"a":{"base64":"hunter2!"}}}"#,
            r#"{"fields":{"hunter2":"1","hunter2":"2"}}"#,
            r#"{"generate":{"a":{"length":"hunter2"}}}"#,
            r#"{"generate":{"a":{"length":1},"a":{"length":1}}}"#,
            r#"[{"a":"hunter2"}]"#,
            r#"{"fields":{"a":"hunter2"} hunter2"#,
            r#""hunter2""#,
        ] {
            let text = said::<PutSecret>(body);
            assert!(!text.contains("hunter2"), "{body}: {text}");
        }
    }

    #[test]
    fn no_versions_and_none_named_differ() {
        let all: DestroySecret = parse_body(b"{}").expect("a body");
        let none: DestroySecret = parse_body(br#"{"versions":[]}"#).expect("a body");
        assert_eq!((all.versions, none.versions), (None, Some(vec![])));
    }
}
