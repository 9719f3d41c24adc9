//! A request's body that its answer may come before. On HTTP/2 what is left of it is taken and thrown away for a while:
//! a stream that is reset can overtake its own answer. On HTTP/1.1 the answer says that the connection closes behind it.
//!
//! Invariant: what is thrown away is bounded in bytes and in time, and none of it is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::Version;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::limits::{LINGER_BYTES_MAX, LINGER_TIME_MAX};

type Source = Either<Incoming, Full<Bytes>>;

/// A request's body: from the network, or a test's own.
pub struct RequestBody {
    source: Source,
    ended: bool,
    rest: Rest,
}

/// What becomes of a body that nobody has read to its end.
enum Rest {
    Nothing,
    ThrownAway,
    Noted(Unread),
}

/// Whether a body was left unread.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(super) fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl RequestBody {
    /// A body that arrives, and where it will be said that it went unread, if its connection must end then.
    pub(super) fn arriving(incoming: Incoming, version: Version) -> (Self, Option<Unread>) {
        let ended = incoming.is_end_stream();
        let (rest, unread) = match version {
            _ if ended => (Rest::Nothing, None),
            Version::HTTP_2 => (Rest::ThrownAway, None),
            _ => {
                let unread = Unread::default();
                (Rest::Noted(unread.clone()), Some(unread))
            }
        };
        let body = Self {
            source: Either::Left(incoming),
            ended,
            rest,
        };
        (body, unread)
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self {
            source: Either::Right(Full::new(bytes)),
            ended: false,
            rest: Rest::Nothing,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = <Source as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.source).poll_frame(cx);
        self.ended |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            return;
        }
        match &self.rest {
            Rest::Nothing => {}
            Rest::Noted(unread) => unread.0.store(true, Ordering::Relaxed),
            Rest::ThrownAway => {
                let nothing = Either::Right(Full::default());
                let source = std::mem::replace(&mut self.source, nothing);
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(timeout(LINGER_TIME_MAX, throw_away(source)));
                }
            }
        }
    }
}

async fn throw_away(mut source: Source) {
    let mut thrown_away = 0;
    while let Some(Ok(frame)) = source.frame().await {
        thrown_away += frame.data_ref().map_or(0, Bytes::len);
        if thrown_away > LINGER_BYTES_MAX {
            return;
        }
    }
}
