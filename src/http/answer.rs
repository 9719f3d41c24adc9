//! The body of an answer: whole, or a stream that a reader of the log fills. It keeps its request's place until it was sent.
//!
//! Invariant: a stream that fails is cut off, so that it is not taken for whole.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::limits::{ANSWER_BYTES_SMALL, STREAM_KIB};
use super::shares::Place;

/// A client that takes no piece of a stream for so long is left behind.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);
/// Pieces of a stream that wait for a slow client.
const STREAM_PIECES_MAX: usize = 2;

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
    pub(super) fn kib(&self) -> usize {
        match self {
            Self::Full(Some(bytes)) if bytes.len() > ANSWER_BYTES_SMALL => {
                bytes.len().div_ceil(1 << 10)
            }
            Self::Full(_) => 0,
            Self::Stream(_) => STREAM_KIB,
        }
    }

    pub(super) fn kept_by(self, place: Place) -> Self {
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
