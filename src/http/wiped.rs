//! The buffers of hyper and rustls, wiped where they pass us. Both keep a connection's read buffer for its whole life, with
//! whatever was read last in it, and hand it out whole for the next read: if nothing has come, what is old is taken out.
//! Both ask for the next bytes as soon as a request was answered, so that a connection that waits holds nothing.
//!
//! Invariant: what a read was given holds nothing while it waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that wipes what it is to be read into before it waits.
pub(super) struct Wiped<S> {
    stream: S,
    /// Where the last buffer began that was wiped, and its length, if nothing was read since. Both libraries ask several
    /// times before anything comes, with the same one.
    wiped: Option<(usize, usize)>,
}

impl<S> Wiped<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            wiped: None,
        }
    }

    pub(super) const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Overwrites the part of a buffer that was not read into yet, also where it was before.
    fn wipe_unfilled(&mut self, buffer: &mut ReadBuf<'_>) {
        let place = (
            buffer.filled().as_ptr_range().end.addr(),
            buffer.remaining(),
        );
        if self.wiped.replace(place) != Some(place) {
            // What was not initialized yet is so by zeros.
            let initialized = buffer.initialized().len() - buffer.filled().len();
            buffer.initialize_unfilled()[..initialized].fill(0);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wiped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            self.wipe_unfilled(buffer);
        } else {
            self.wiped = None;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wiped<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn poll_once<S: AsyncRead + Unpin>(
        stream: &mut Wiped<S>,
        buffer: &mut ReadBuf<'_>,
    ) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, buffer).is_ready())).await
    }

    #[tokio::test]
    async fn what_is_read_into_is_wiped_before_it_waits() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Wiped::new(server);
        let mut bytes = *b"what was read before, and is longer";
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert_eq!(bytes, [0; 35]);

        // The same place again, which now holds what was read meanwhile.
        client.write_all(b"new").await.expect("it is open");
        let mut buffer = ReadBuf::new(&mut bytes);
        assert!(poll_once(&mut server, &mut buffer).await);
        assert_eq!(buffer.filled(), b"new");
        assert!(!poll_once(&mut server, &mut buffer).await, "and behind it");
        assert_eq!(bytes[..4], *b"new\0");
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert_eq!(bytes, [0; 35]);
    }

    #[tokio::test]
    async fn only_the_very_place_that_was_wiped_is_taken_for_clean() {
        let (_client, server) = tokio::io::duplex(64);
        let mut server = Wiped::new(server);
        let mut bytes = *b"a head and what comes after it";
        let (head, _) = bytes.split_at_mut(6);
        assert!(!poll_once(&mut server, &mut ReadBuf::new(head)).await);
        assert_eq!(bytes, *b"\0\0\0\0\0\0 and what comes after it");
        // Longer than before, then from further behind.
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert_eq!(bytes, [0; 30]);
        bytes[20..].fill(b'x');
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes[20..])).await);
        assert_eq!(bytes, [0; 30]);
    }

    #[tokio::test]
    async fn what_was_not_initialized_is_wiped_as_well() {
        let (_client, server) = tokio::io::duplex(64);
        let mut server = Wiped::new(server);
        let mut bytes = [std::mem::MaybeUninit::new(b'x'); 8];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        assert!(!poll_once(&mut server, &mut buffer).await);
        assert_eq!(buffer.initialized(), [0; 8]);
    }
}
