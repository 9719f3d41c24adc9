//! Reading a body: so many bytes, in so much time, of so simple a shape, before anything is made of it.
//! The buffer grows as bytes arrive and never by what a client announces, and every byte is accounted for.
//!
//! Invariant: JSON that is too deep or has too many keys is refused before a parser sees it (advisory H1).

use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, JSON_DEPTH_MAX, JSON_KEYS_MAX};
use super::problem::Fault;
use super::shares::Share;
use super::unread::RequestBody;
use crate::model::Refusal;

/// The first buffer, in bytes; also the unit in which the budget is taken.
const PIECE_BYTES: usize = 16 << 10;
const KIB: usize = 1 << 10;

/// A body in memory, wiped when it is dropped; none when nothing was sent.
pub(super) struct ReadBody(Zeroizing<Vec<u8>>);

impl ReadBody {
    pub(super) fn none() -> Self {
        Self(Zeroizing::default())
    }

    /// The body as it came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body as what the route takes; nothing stands for `{}`.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let bytes = if self.0.is_empty() {
            b"{}"
        } else {
            self.0.as_slice()
        };
        check_shape(bytes)?;
        coffer_api::parse_body(bytes).map_err(|error| Refusal::Malformed(error.to_string()))
    }
}

/// Reads a body of at most `limit` bytes; a limit of 0 means that the route takes none, and none is waited for.
pub(super) async fn read(
    body: RequestBody,
    headers: &HeaderMap,
    limit: usize,
    share: &Share,
) -> Result<ReadBody, Fault> {
    if body.is_end_stream() {
        return Ok(ReadBody::none());
    }
    let announced = body.size_hint().lower();
    if limit == 0 || announced > limit as u64 {
        return Err(too_large(limit));
    }
    let read = tokio::time::timeout(BODY_TIME_MAX, collect(body, limit, share));
    let body = read.await.map_err(|_| Fault::Slow)??;
    if !body.0.is_empty() {
        check_content_type(headers)?;
    }
    Ok(body)
}

async fn collect(mut body: RequestBody, limit: usize, share: &Share) -> Result<ReadBody, Fault> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut room = share.room();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Refusal::Malformed("the body ended before its end".to_owned()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(too_large(limit));
        }
        if length > bytes.capacity() {
            let capacity = length.max(2 * bytes.capacity()).max(PIECE_BYTES).min(limit);
            room.grow((capacity - bytes.capacity()).div_ceil(KIB))?;
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(ReadBody(bytes))
}

/// A body where there is none to be.
pub(super) fn none_taken() -> Fault {
    too_large(0)
}

fn too_large(limit: usize) -> Fault {
    Fault::Refused(match limit {
        0 => Refusal::Malformed("this route takes no body".to_owned()),
        BODY_BYTES_MAX => Refusal::TooLarge("a body has at most 1 MiB".to_owned()),
        limit => Refusal::TooLarge(format!("a body has at most {} KiB here", limit / KIB)),
    })
}

/// `application/json`, also with `charset=utf-8`; no compression, which could be a bomb (advisory H3).
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Fault> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return Err(Fault::MediaType);
    };
    let mut parts = kind
        .to_str()
        .map_err(|_| Fault::MediaType)?
        .split(';')
        .map(str::trim);
    let json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let plain = parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"));
    if json && plain && !headers.contains_key(CONTENT_ENCODING) {
        Ok(())
    } else {
        Err(Fault::MediaType)
    }
}

/// Counts depth and keys without making anything of them. What is no JSON is left to the parser.
pub(super) fn check_shape(json: &[u8]) -> Result<(), Refusal> {
    let (mut depth, mut keys) = (0usize, 0usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' => keys += 1,
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            return Err(Refusal::Malformed(format!(
                "the body is nested more than {JSON_DEPTH_MAX} deep"
            )));
        }
        if keys > JSON_KEYS_MAX {
            return Err(Refusal::Malformed(format!(
                "the body has more than {JSON_KEYS_MAX} keys"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use coffer_api::PutSecret;
    use hyper::header::HeaderValue;

    use super::super::limits::BODIES_PER_SOURCE_KIB_MAX;
    use super::super::shares::Shares;
    use super::*;
    use bytes::Bytes;

    async fn sent(body: &[u8], kind: &[&'static str], limit: usize) -> Result<ReadBody, Fault> {
        let mut headers = HeaderMap::new();
        for kind in kind {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let body = RequestBody::from(Bytes::copy_from_slice(body));
        let share = Shares::default().of(IpAddr::from([192, 0, 2, 1]));
        let mut others = share.room();
        others
            .grow(BODIES_PER_SOURCE_KIB_MAX - 64)
            .expect("it is free");
        read(body, &headers, limit, &share).await
    }

    #[tokio::test]
    async fn limits_are_exact() {
        let json = ["application/json"];
        assert!(sent(&[b' '; 100], &json, 100).await.is_ok());
        let refused = sent(&[b' '; 101], &json, 100)
            .await
            .err()
            .expect("too large");
        assert_eq!(refused.status(), 413);
        assert_eq!(
            sent(b"{}", &json, 0)
                .await
                .err()
                .expect("no body here")
                .status(),
            400
        );
        assert!(sent(b"", &[], 0).await.is_ok());
        let busy = sent(&vec![b' '; 65 << 10], &json, BODY_BYTES_MAX)
            .await
            .err()
            .expect("no budget");
        assert_eq!(busy.status(), 429);
    }

    #[tokio::test]
    async fn a_body_is_json_and_says_so() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=utf-8",
        ] {
            assert!(sent(b"{}", &[good], 100).await.is_ok(), "{good}");
        }
        let bad: [&[&'static str]; 6] = [
            &[],
            &["text/plain"],
            &["application/json; charset=latin1"],
            &["application/x-www-form-urlencoded"],
            &["application/json", "application/json"],
            &["application/jsonp"],
        ];
        for bad in bad {
            assert_eq!(
                sent(b"{}", bad, 100).await.err().expect("refused").status(),
                415,
                "{bad:?}"
            );
        }
    }

    /// Advisory H1.
    #[tokio::test]
    async fn depth_and_keys_are_bounded_before_parsing() {
        let parse = |body: String| ReadBody(Zeroizing::new(body.into_bytes())).parse::<PutSecret>();
        let deep =
            |depth: usize| format!("{{\"fields\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let said = |body| format!("{:?}", parse(body).expect_err("refused"));
        assert!(said(deep(32)).contains("nested more than 32"));
        assert!(!said(deep(31)).contains("nested"));
        assert!(said("[".repeat(100_000)).contains("nested"));
        let wide = |keys: usize| {
            let fields: Vec<String> = (0..keys)
                .map(|key| format!("\"k{key}\":\":{{[\\\"\""))
                .collect();
            format!("{{\"fields\":{{{}}}}}", fields.join(","))
        };
        assert_eq!(parse(wide(1_023)).expect("a body").fields.len(), 1_023);
        assert!(said(wide(1_024)).contains("more than 1024 keys"));
        assert!(said("{\"fields\":{\"a\":\"1\",\"a\":\"2\"}}".to_owned()).contains("twice"));
        assert!(said("{\"fields\":{},\"fields\":{}}".to_owned()).contains("twice"));
    }

    #[test]
    fn nothing_stands_for_an_empty_object() {
        let nothing = ReadBody(Zeroizing::default());
        assert!(nothing.parse::<PutSecret>().is_ok());
    }
}
