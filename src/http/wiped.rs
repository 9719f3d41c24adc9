//! The buffers of hyper and rustls, wiped where they pass us. Both keep a connection's read buffer for its whole life, with
//! whatever was read last in it, and hand it out whole for the next read: that is when what is old is taken out.
//! Both ask for the next bytes as soon as a request was answered, so that a connection that waits holds nothing.
//!
//! Invariant: what a read is given holds nothing when it begins to wait.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that wipes what it is to be read into.
pub(super) struct Wiped<S>(pub(super) S);

/// Overwrites the part of a buffer that was not read into yet, also where it was before.
pub(super) fn wipe_unfilled(buffer: &mut ReadBuf<'_>) {
    buffer.initialize_unfilled().fill(0);
}

impl<S: AsyncRead + Unpin> AsyncRead for Wiped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        wipe_unfilled(buffer);
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wiped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_is_read_into_is_wiped_before_it_waits() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Wiped(server);
        let mut bytes = *b"what was read before, and is longer";
        let mut buffer = ReadBuf::new(&mut bytes);
        let waits = poll_fn(|cx| {
            let polled = Pin::new(&mut server).poll_read(cx, &mut buffer);
            Poll::Ready(polled.is_pending())
        });
        assert!(waits.await);
        assert_eq!(bytes, [0; 35]);

        client.write_all(b"new").await.expect("it is open");
        let mut bytes = *b"old, and longer than what comes";
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buffer))
            .await
            .expect("it is open");
        assert_eq!(buffer.filled(), b"new");
        assert_eq!(bytes[3..], [0; 28]);
    }
}
