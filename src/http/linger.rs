//! Closing a connection so that the client hears the answer: first our side, then wait a little for the client's.
//! A socket closed with unread bytes in it is reset, and the reset overtakes the refusal that a client was to read while
//! it was still sending a body that is too large, or not allowed (RFC 9112, 9.6).
//!
//! Invariant: what comes after the close is thrown away unread, up to a bound in bytes and in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use super::lengths::Lengths;
use super::limits::{LINGER_BYTES_MAX, LINGER_TIME_MAX};
use super::wiped::Wiped;

const PIECE_BYTES: usize = 8 << 10;

/// A TLS connection that lingers when it is shut down, and notes the heads that arrive until then.
pub(super) struct Lingering {
    stream: Wiped<TlsStream<Wiped<TcpStream>>>,
    activity: Arc<Activity>,
    /// The search through the head that arrives.
    lengths: Lengths,
    /// Set when our side is closed.
    until: Option<Pin<Box<Sleep>>>,
    thrown_away: usize,
}

impl Lingering {
    pub(super) const fn new(stream: TlsStream<Wiped<TcpStream>>, activity: Arc<Activity>) -> Self {
        Self {
            stream: Wiped::new(stream),
            activity,
            lengths: Lengths::Before,
            until: None,
            thrown_away: 0,
        }
    }

    /// Bytes have arrived: what comes while no request runs is a head. A head that comes in one piece with what is before
    /// it, unasked, is not seen here; hyper ends the connection after one that says its length twice.
    fn note(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || !self.activity.is_waiting() {
            return;
        }
        if self.activity.head_arrives() {
            self.lengths = Lengths::Before;
        }
        if self.lengths.find(bytes) {
            self.activity.note_length();
        }
    }

    /// Reads below TLS: what still comes is not worth opening.
    fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; PIECE_BYTES];
        let mut buffer = ReadBuf::new(&mut piece);
        let (tcp, _) = self.stream.get_mut().get_mut();
        ready!(Pin::new(tcp.get_mut()).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.note(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.until = Some(Box::pin(sleep(LINGER_TIME_MAX)));
        }
        while self.thrown_away < LINGER_BYTES_MAX {
            match self.poll_throw_away(cx) {
                Poll::Ready(Ok(count)) if count > 0 => self.thrown_away += count,
                Poll::Ready(_) => break,
                Poll::Pending => {
                    let until = self.until.as_mut().expect("set above");
                    return until.as_mut().poll(cx).map(Ok);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
