//! The headers that mean something to Coffer, each read strictly: the token, the conditions, what to record.
//! A header that may come once and comes twice is refused, so that no two readers see two values (advisory F10).
//!
//! Invariant: no refusal here repeats a header's value.

use std::collections::BTreeMap;
use std::fmt;

use hyper::Version;
use hyper::header::{
    AUTHORIZATION, HOST, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, USER_AGENT,
};
use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use super::limits::{METADATA_BYTES_MAX, METADATA_KEYS_MAX};
use super::problem::Fault;
use super::url::Query;
use crate::door::{Credential, Request};
use crate::model::Refusal;
use crate::operations::secrets::{Etag, Expected};

/// Tags of one condition.
const ETAGS_MAX: usize = 16;
const COFFER_METADATA: HeaderName = HeaderName::from_static("coffer-metadata");

/// What `Authorization` shows. Only one header, only `Bearer`, one space, and a token of the one spelling.
pub(super) fn credential(headers: &HeaderMap) -> Credential {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (shown.next(), shown.next());
    match (first, second) {
        (None, _) => Credential::Missing,
        (Some(_), Some(_)) => Credential::Malformed,
        (Some(value), None) => match value.as_bytes().split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                Credential::of_token(token)
            }
            _ => Credential::Malformed,
        },
    }
}

/// HTTP/1.1 names its host once (RFC 9112, 3.2); no version names two.
pub(super) fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Fault> {
    let mut named = headers.get_all(HOST).iter();
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(Fault::Ambiguous("The header Host comes twice.")),
        (None, None) if version == Version::HTTP_11 => {
            Err(Fault::Ambiguous("HTTP/1.1 demands the header Host."))
        }
        _ => Ok(()),
    }
}

/// What the client calls itself, cut at a character's end; absent when it is no text.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    // A header's text is ASCII: any byte is a character's end.
    Some(text[..text.len().min(Request::USER_AGENT_BYTES_MAX)].to_owned())
}

/// `Coffer-Metadata`: a JSON object of strings, to be recorded as sent.
pub(super) fn metadata(headers: &HeaderMap) -> Result<Option<BTreeMap<String, String>>, Refusal> {
    let Some(value) = single(headers, &COFFER_METADATA)? else {
        return Ok(None);
    };
    if value.len() > METADATA_BYTES_MAX {
        return Err(malformed(
            "the header Coffer-Metadata has at most 512 bytes",
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(value);
    let metadata = json
        .deserialize_map(Strings)
        .and_then(|metadata| json.end().map(|()| metadata));
    metadata.map(Some).map_err(|_| {
        malformed(
            "the header Coffer-Metadata holds a JSON object of at most 8 strings, no key twice or beginning with `coffer.`",
        )
    })
}

struct Strings;

impl<'de> Visitor<'de> for Strings {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut strings = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            // What the door itself says beside it has keys of this beginning.
            if key.starts_with("coffer.") {
                return Err(A::Error::custom("a key of the server"));
            }
            if strings.insert(key, value).is_some() || strings.len() > METADATA_KEYS_MAX {
                return Err(A::Error::custom("a key twice, or too many"));
            }
        }
        Ok(strings)
    }
}

/// What a write expects to find, from `If-Match`, `If-None-Match: *` or `?if_version=`: one of the three.
pub(super) fn expected(headers: &HeaderMap, query: &mut Query) -> Result<Expected, Refusal> {
    let if_match = single(headers, &IF_MATCH)?;
    let if_none_match = single(headers, &IF_NONE_MATCH)?;
    let if_version = query.take_as::<u64>("if_version", "a version's number, or 0 for none")?;
    match (if_match, if_none_match, if_version) {
        (None, None, None) => Ok(Expected::Any),
        (Some(b"*"), None, None) => Ok(Expected::Present),
        (Some(tags), None, None) => etags(tags, false).map(Expected::Etags).ok_or_else(|| {
            malformed("the header If-Match takes ETags as this server gives them, or *")
        }),
        (None, Some(b"*"), None) => Ok(Expected::Absent),
        (None, Some(_), None) => Err(malformed("the header If-None-Match takes * on a write")),
        (None, None, Some(0)) => Ok(Expected::Absent),
        (None, None, Some(version)) => Ok(Expected::Version(version)),
        _ => Err(malformed(
            "send one condition only: If-Match, If-None-Match or `if_version`",
        )),
    }
}

/// The versions that the client already has, from `If-None-Match` on a read.
pub(super) fn known_versions(headers: &HeaderMap) -> Result<Vec<Etag>, Refusal> {
    let Some(value) = single(headers, &IF_NONE_MATCH)? else {
        return Ok(Vec::new());
    };
    etags(value, true).ok_or_else(|| {
        malformed("the header If-None-Match takes ETags as this server gives them on a read")
    })
}

/// A list of tags. On a read a weak one is as good, since proxies weaken them (RFC 9110, 13.1.2).
fn etags(value: &[u8], weak: bool) -> Option<Vec<Etag>> {
    let text = std::str::from_utf8(value).ok()?;
    let tag = |tag: &str| {
        let tag = tag.trim_matches([' ', '\t']);
        tag.strip_prefix("W/")
            .filter(|_| weak)
            .unwrap_or(tag)
            .parse()
            .ok()
    };
    let tags: Vec<Etag> = text.split(',').map(tag).collect::<Option<_>>()?;
    (tags.len() <= ETAGS_MAX).then_some(tags)
}

/// The value of a header that may come once.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::Malformed(format!("the header {name} comes twice"))),
        (first, None) => Ok(first.map(hyper::header::HeaderValue::as_bytes)),
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::Malformed(why.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// A well-formed token, of the random number zero.
    pub(in crate::http) fn token() -> String {
        let body = format!("cof_app_{}", "0".repeat(43));
        let mut check = crc32fast::hash(body.as_bytes());
        let mut digits = [0; 6];
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                [(check % 62) as usize];
            check /= 62;
        }
        format!("{body}_{}", String::from_utf8_lossy(&digits))
    }

    fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value).expect("a header"));
        }
        headers
    }

    /// Advisory F10.
    #[test]
    fn only_a_whole_token_is_a_token() {
        let token = token();
        let shown = |values: &[&str]| {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            credential(&headers(&AUTHORIZATION, &values))
        };
        for good in [format!("Bearer {token}"), format!("bearer {token}")] {
            assert!(matches!(shown(&[&good]), Credential::Token(_)), "{good}");
        }
        assert!(matches!(shown(&[]), Credential::Missing));
        let good = format!("Bearer {token}");
        assert!(matches!(shown(&[&good, &good]), Credential::Malformed));
        let mega = format!("Bearer {}", "a".repeat(1 << 20));
        for bad in [
            "",
            "null",
            "Bearer",
            "Bearer ",
            "Bearer null",
            "Basic YTpi",
            &token,
            &mega,
            &format!("Bearer  {token}"),
            &format!("Bearer {token} "),
            &format!("Bearer {token},{token}"),
            &format!("Bearer {}", token.to_lowercase()),
            &format!("Bearer {}x", &token[..token.len() - 1]),
            &format!("Bearer {}", token.replace("cof_", "cov_")),
            &format!("Bearer\t{token}"),
        ] {
            let short: String = bad.chars().take(40).collect();
            assert!(matches!(shown(&[bad]), Credential::Malformed), "{short}");
        }
    }

    #[test]
    fn metadata_is_a_small_object_of_strings() {
        let read = |values: &[&[u8]]| metadata(&headers(&COFFER_METADATA, values));
        assert_eq!(read(&[]), Ok(None));
        let known = read(&[br#"{"pipeline":"42","who":"\u00e9"}"#])
            .expect("metadata")
            .expect("some");
        assert_eq!(
            (known["pipeline"].as_str(), known["who"].as_str()),
            ("42", "é")
        );
        let nine: Vec<String> = (0..9).map(|key| format!("\"k{key}\":\"\"")).collect();
        let nine = format!("{{{}}}", nine.join(","));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(505));
        for bad in [
            "",
            "x",
            "[]",
            "\"a\"",
            "null",
            "{",
            "{} {}",
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":["hunter2"]}"#,
            r#"{"a":"1","a":"2"}"#,
            r#"{"coffer.token":"1"}"#,
            &nine,
            &long,
        ] {
            let said = format!("{:?}", read(&[bad.as_bytes()]).expect_err(bad));
            assert!(!said.contains("hunter2"));
        }
        assert!(read(&[b"{}", b"{}"]).is_err());
        assert!(read(&[b"{\"a\":\"\xff\"}"]).is_err());
    }

    #[test]
    fn a_write_has_one_condition() {
        let tag = br#""0123456789abcdef.7""#.as_slice();
        let of = |name: &HeaderName, value: &[u8], query: &str| {
            expected(
                &headers(name, &[value]),
                &mut Query::parse(Some(query)).expect("a query"),
            )
        };
        let known: Etag = "\"0123456789abcdef.7\"".parse().expect("a tag");
        assert_eq!(of(&IF_MATCH, tag, ""), Ok(Expected::Etags(vec![known])));
        assert_eq!(of(&IF_MATCH, b"*", ""), Ok(Expected::Present));
        assert_eq!(of(&IF_NONE_MATCH, b"*", ""), Ok(Expected::Absent));
        assert_eq!(of(&USER_AGENT, b"", "if_version=0"), Ok(Expected::Absent));
        assert_eq!(
            of(&USER_AGENT, b"", "if_version=7"),
            Ok(Expected::Version(7))
        );
        assert_eq!(of(&USER_AGENT, b"", ""), Ok(Expected::Any));
        assert!(of(&IF_MATCH, tag, "if_version=7").is_err());
        assert!(of(&IF_NONE_MATCH, tag, "").is_err());
        assert!(expected(&headers(&IF_MATCH, &[tag, tag]), &mut Query::default()).is_err());
        for bad in [
            "",
            "7",
            "\"\"",
            "\"0123456789abcdef\"",
            "\"0123456789ABCDEF.7\"",
            "\"0123456789abcdef.07\"",
            "\"0123456789abcdef.+7\"",
            "\"0123456789abcdef.\"",
            "\"0123456789abcde.7\"",
            "0123456789abcdef.7",
            "\"0123456789abcdef.7\",\"x\"",
            "*, *",
        ] {
            assert!(of(&IF_MATCH, bad.as_bytes(), "").is_err(), "{bad}");
        }
        assert!(
            of(&IF_MATCH, br#"W/"0123456789abcdef.7""#, "").is_err(),
            "a weak tag guards nothing"
        );
        let read = headers(
            &IF_NONE_MATCH,
            &[br#""0123456789abcdef.6", W/"0123456789abcdef.7""#],
        );
        assert_eq!(
            known_versions(&read).map(|tags| tags.contains(&known)),
            Ok(true)
        );
        let many = vec!["\"0123456789abcdef.7\""; 17].join(",");
        assert!(known_versions(&headers(&IF_NONE_MATCH, &[many.as_bytes()])).is_err());
    }

    #[test]
    fn a_user_agent_is_cut() {
        let long = "x".repeat(1_000);
        let cut = user_agent(&headers(&USER_AGENT, &[long.as_bytes()])).expect("text");
        assert_eq!(cut.len(), Request::USER_AGENT_BYTES_MAX);
        assert_eq!(user_agent(&headers(&USER_AGENT, &[b"\xff\xfe"])), None);
    }
}
