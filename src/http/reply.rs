//! An answer on its way out: status, headers that every answer carries, and a body that wipes itself.
//!
//! Invariant: no answer leaves without `X-Request-Id`, `no-store` and the other headers that `respond` sets.

use std::io::{self, Write};
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::answer::Body;
use super::problem::Fault;
use super::shares::Place;
use crate::door::RequestId;

const JSON: &str = "application/json";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Room for every header of an answer.
const HEADERS_EXPECTED: usize = 12;
/// What a body's buffer begins with, in bytes: most secrets fit.
const BODY_BYTES_EXPECTED: usize = 512;

/// An answer that is no refusal.
pub struct Reply {
    status: u16,
    content_type: &'static str,
    pub(super) etag: Option<String>,
    pub(super) body: Body,
    /// Whether it was given before, to the same request.
    pub(super) repeats: bool,
}

impl Reply {
    /// A JSON body, in a buffer that leaves no copy behind.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let mut buffer = WipedBuffer(Zeroizing::new(Vec::with_capacity(BODY_BYTES_EXPECTED)));
        serde_json::to_writer(&mut buffer, value)
            .expect("a reply is text and numbers, and a buffer takes all");
        Self::of(status, JSON, Body::full(Bytes::from_owner(buffer.0)))
    }

    /// No body at all, as for 304.
    pub fn empty(status: u16) -> Self {
        Self::of(status, JSON, Body::full(Bytes::new()))
    }

    /// A body that comes in pieces.
    pub const fn stream(content_type: &'static str, body: Body) -> Self {
        Self::of(200, content_type, body)
    }

    const fn of(status: u16, content_type: &'static str, body: Body) -> Self {
        Self {
            status,
            content_type,
            etag: None,
            body,
            repeats: false,
        }
    }

    /// With this `ETag`.
    #[must_use]
    pub fn etag(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Keeps the request's place until the last byte was given to the connection, or nobody wants it any more: a client
    /// that asks and does not read has as much as one that is not answered yet.
    pub(super) fn kept_by(mut self, mut place: Place) -> Result<Self, Fault> {
        place.grow(self.body.kib())?;
        self.body = self.body.kept_by(place);
        Ok(self)
    }

    pub(super) fn answer(self, id: RequestId) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = respond(status, id, self.content_type, self.body);
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
            response.headers_mut().insert(ETAG, etag);
        }
        if self.repeats {
            let headers = response.headers_mut();
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        // No records are records all the same.
        if response.body().is_end_stream() && response.status() != StatusCode::OK {
            response.headers_mut().remove(CONTENT_TYPE);
        }
        response
    }
}

/// The headers that every answer of an API carries (OWASP REST Security; ASVS 3.4), made once and copied.
static EVERY_ANSWER: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(HEADERS_EXPECTED);
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
});

/// A response with the headers that every answer carries.
/// There is no `Access-Control-Allow-Origin`: no page of another origin may read an answer.
pub(super) fn respond(
    status: StatusCode,
    id: RequestId,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut headers = EVERY_ANSWER.clone();
    let id = HeaderValue::try_from(id.to_string())
        .expect("a request's id is hexadecimal digits and a dash");
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_REQUEST_ID, id);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A buffer that wipes what it outgrows.
struct WipedBuffer(Zeroizing<Vec<u8>>);

impl Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.len() + bytes.len();
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const ID: RequestId = RequestId {
        boot: 1,
        counter: 2,
    };

    #[tokio::test]
    async fn a_reply_carries_what_every_answer_carries() {
        let long = "x".repeat(10_000);
        let response = Reply::json(201, &long)
            .etag("\"0123456789abcdef.7\"".to_owned())
            .answer(ID);
        let headers = response.headers();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-request-id", "0000000000000001-2"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000"),
            ("etag", "\"0123456789abcdef.7\""),
        ] {
            assert_eq!(headers[name], value);
        }
        assert!(
            !headers.contains_key("server") && !headers.contains_key("access-control-allow-origin")
        );
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        assert_eq!(body.len(), 10_002);
    }
}
