//! An answer on its way out: status, headers that every answer carries, and a body that wipes itself.
//! A body is whole, or a stream that a reader of the log fills; a stream that fails is cut off, so that it is not taken for whole.
//!
//! Invariant: no answer leaves without `X-Request-Id`, `no-store` and the other headers that `respond` sets.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::limits::{ANSWER_BYTES_SMALL, STREAM_KIB};
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
/// A client that takes no piece of a stream for so long is left behind.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);
/// Pieces of a stream that wait for a slow client.
const STREAM_PIECES_MAX: usize = 1;

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

/// The body of an answer.
pub enum Body {
    /// All of it; `None` once it was sent.
    Full(Option<Bytes>),
    /// Piece by piece.
    Stream(Stream),
}

/// The reading end of a body that comes in pieces.
pub struct Stream {
    pieces: mpsc::Receiver<Option<Bytes>>,
    held: Weak<OnceLock<Held>>,
    /// The request's, until all of it was read.
    _place: Option<Place>,
    ended: bool,
}

/// A whole body, and the place of its request.
struct Kept {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Something that is kept until a stream's writer has done.
type Held = Box<dyn Send + Sync>;

/// A stream ended before its end: the connection is closed without saying that all was said.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
pub struct CutOff;

/// The writing end of a streamed body. Dropped before [`Pieces::end`], it cuts the answer off.
pub struct Pieces {
    pieces: mpsc::Sender<Option<Bytes>>,
    _held: Arc<OnceLock<Held>>,
}

impl Pieces {
    /// Whether the client is gone.
    pub fn is_for_nobody(&self) -> bool {
        self.pieces.is_closed()
    }

    /// Gives a piece to a client that takes it in time.
    ///
    /// # Errors
    /// The client is gone, or took nothing for a minute.
    pub async fn send(&self, piece: Bytes) -> Result<(), CutOff> {
        self.give(Some(piece)).await
    }

    /// Says that all was said.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn end(self) -> Result<(), CutOff> {
        self.give(None).await
    }

    async fn give(&self, piece: Option<Bytes>) -> Result<(), CutOff> {
        let sent = timeout(PIECE_TIME_MAX, self.pieces.send(piece)).await;
        sent.map_err(|_| CutOff)?.map_err(|_| CutOff)
    }
}

impl Body {
    /// A whole body.
    pub const fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// A body and its writing end.
    pub fn pieces() -> (Pieces, Self) {
        let (sender, pieces) = mpsc::channel(STREAM_PIECES_MAX);
        let held = Arc::default();
        let body = Self::Stream(Stream {
            pieces,
            held: Arc::downgrade(&held),
            _place: None,
            ended: false,
        });
        (
            Pieces {
                pieces: sender,
                _held: held,
            },
            body,
        )
    }

    /// What it may take in memory; little counts as nothing.
    fn kib(&self) -> usize {
        match self {
            Self::Full(Some(bytes)) if bytes.len() > ANSWER_BYTES_SMALL => {
                bytes.len().div_ceil(1 << 10)
            }
            Self::Full(_) => 0,
            Self::Stream(_) => STREAM_KIB,
        }
    }

    fn kept_by(self, place: Place) -> Self {
        match self {
            Self::Full(Some(bytes)) if !bytes.is_empty() => Self::full(Bytes::from_owner(Kept {
                bytes,
                _place: place,
            })),
            Self::Full(empty) => Self::Full(empty),
            Self::Stream(stream) => Self::Stream(Stream {
                _place: Some(place),
                ..stream
            }),
        }
    }

    /// Keeps something until a stream's writer has done; a whole body needs it no more.
    pub(super) fn holding(self, held: impl Send + Sync + 'static) -> Self {
        if let Self::Stream(stream) = &self
            && let Some(place) = stream.held.upgrade()
        {
            let _ = place.set(Box::new(held));
        }
        self
    }
}

impl Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(cx).map(|piece| match piece {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(CutOff))
            }
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(
                bytes
                    .take()
                    .filter(|bytes| !bytes.is_empty())
                    .map(|bytes| Ok(Frame::data(bytes))),
            ),
            Self::Stream(stream) => stream.poll_piece(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(..) => SizeHint::default(),
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_its_end_is_no_whole_body() {
        let (pieces, body) = Body::pieces();
        pieces
            .send(Bytes::from_static(b"all"))
            .await
            .expect("a reader");
        pieces.end().await.expect("a reader");
        assert_eq!(body.collect().await.expect("whole").to_bytes(), "all");

        let (pieces, body) = Body::pieces();
        pieces
            .send(Bytes::from_static(b"half"))
            .await
            .expect("a reader");
        drop(pieces);
        assert!(body.collect().await.is_err());

        let (pieces, _stalled) = Body::pieces();
        let mut given = 0;
        while pieces.send(Bytes::from_static(b"x")).await.is_ok() {
            given += 1;
        }
        assert_eq!(
            given, STREAM_PIECES_MAX,
            "a client that takes nothing is left behind"
        );
    }

    #[tokio::test]
    async fn what_is_held_is_held_until_the_writer_has_done() {
        let held = Arc::new(());
        let (pieces, body) = Body::pieces();
        let body = body.holding(Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 2);
        drop(pieces);
        assert_eq!(Arc::strong_count(&held), 1);
        drop(body);
        drop(Body::full(Bytes::new()).holding(Arc::clone(&held)));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
