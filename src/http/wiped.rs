//! The buffers of hyper and rustls, wiped where they pass us. Both keep a connection's read buffer for its whole life, with
//! whatever was read last in it, and hand it out whole for the next read: if nothing has come, what is old is taken out.
//! Both ask for the next bytes as soon as a request was answered, so that a connection that waits holds nothing.
//!
//! Invariant: what was read into a buffer is no longer there while the next read into the same place waits.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that wipes what it is to be read into before it waits.
pub(super) struct Wiped<S> {
    stream: S,
    place: Place,
}

/// Addresses that were wiped, and those among them that were read into since. Only the latter are wiped again: a read
/// mostly brings little into a large buffer.
#[derive(Default)]
struct Place {
    wiped: Range<usize>,
    read: Range<usize>,
}

impl Place {
    /// Notes what was read. Anywhere else, the whole place will be wiped.
    fn read(&mut self, came: Range<usize>) {
        if !within(&came, &self.wiped) {
            *self = Self::default();
        } else if self.read.is_empty() {
            self.read = came;
        } else {
            self.read = self.read.start.min(came.start)..self.read.end.max(came.end);
        }
    }

    /// Which part of what can be read into next is to be wiped; taken as done.
    fn wipe(&mut self, free: &Range<usize>) -> Range<usize> {
        if !within(free, &self.wiped) {
            self.wiped = free.clone();
            self.read = 0..0;
            return free.clone();
        }
        let stale = self.read.start.max(free.start)..self.read.end.min(free.end);
        if stale.is_empty() {
            return free.start..free.start;
        }
        // What was read before this place is still in use: it is wiped when it is free.
        if stale.end == self.read.end {
            self.read.end = stale.start;
        }
        stale
    }
}

fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

impl<S> Wiped<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            place: Place {
                wiped: 0..0,
                read: 0..0,
            },
        }
    }

    pub(super) const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Overwrites what was read before where a buffer was not read into yet.
    fn wipe_unfilled(&mut self, buffer: &mut ReadBuf<'_>) {
        let free = free(buffer);
        let stale = self.place.wipe(&free);
        let (from, to) = (stale.start - free.start, stale.end - free.start);
        // What hyper calls uninitialized was so once: it is zeroed here as far as it is stale.
        buffer.initialize_unfilled_to(to)[from..].fill(0);
    }
}

/// The addresses that a read would fill.
fn free(buffer: &ReadBuf<'_>) -> Range<usize> {
    let start = buffer.filled().as_ptr_range().end.addr();
    start..start + buffer.remaining()
}

impl<S: AsyncRead + Unpin> AsyncRead for Wiped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = free(buffer).start;
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            self.wipe_unfilled(buffer);
        } else {
            self.place.read(start..free(buffer).start);
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
    async fn what_is_in_use_is_wiped_when_it_is_free() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Wiped::new(server);
        let mut bytes = *b"what was read before, and is longer";
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        client.write_all(b"head").await.expect("it is open");
        assert!(poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);

        // The head stays, and the next bytes go behind it, and then behind those.
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes[4..])).await);
        client.write_all(b"body").await.expect("it is open");
        assert!(poll_once(&mut server, &mut ReadBuf::new(&mut bytes[4..])).await);
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes[8..])).await);
        assert_eq!(bytes[..9], *b"headbody\0");

        // The body is free, then all of it.
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes[4..])).await);
        assert_eq!(bytes[..9], *b"head\0\0\0\0\0");
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert_eq!(bytes, [0; 35]);
    }

    #[tokio::test]
    async fn another_place_is_wiped_whole() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Wiped::new(server);
        let mut bytes = *b"a head and what comes after it";
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes[..6])).await);
        assert_eq!(bytes, *b"\0\0\0\0\0\0 and what comes after it");
        // Longer than before; then what was read into one place while another was the last one.
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert_eq!(bytes, [0; 30]);
        let mut other = *b"elsewhere";
        client.write_all(b"new").await.expect("it is open");
        assert!(poll_once(&mut server, &mut ReadBuf::new(&mut other)).await);
        assert_eq!(other, *b"newewhere");
        client.write_all(b"newer").await.expect("it is open");
        assert!(poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut other)).await);
        assert!(!poll_once(&mut server, &mut ReadBuf::new(&mut bytes)).await);
        assert_eq!((bytes, other), ([0; 30], [0; 9]));
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
