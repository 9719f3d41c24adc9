//! The way to a host before anything is said: where it is, whether it may be called, TCP, TLS.
//! A name is looked up once and only a checked address is connected to, so a name that changes in between cannot matter.
//!
//! Invariant: nothing connects to an address that the rules were not asked about.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::resolve::Resolver;
use super::{Limits, rules};
use crate::config;
use crate::model::{TokenUrl, UrlHost};

/// Addresses of one name that are tried, at most; all of them are checked.
const ADDRESSES_TRIED_MAX: usize = 4;

/// What the way to a host needs to know.
pub struct Reach {
    pub rules: config::Outbound,
    pub resolver: Resolver,
    pub tls: Option<TlsConnector>,
    pub limits: Limits,
}

impl Reach {
    /// A connection to the URL's host, through TLS if it asks for that; the error is a clause.
    pub async fn connect(&self, url: &TokenUrl) -> Result<Box<dyn Stream>, String> {
        let addresses = self.find(url).await?;
        let bare: Vec<_> = addresses.iter().map(SocketAddr::ip).collect();
        rules::check(&self.rules, url, &bare)?;
        let tcp = self.open(&addresses).await?;
        Ok(if url.is_https() {
            Box::new(self.secure(url, tcp).await?)
        } else {
            Box::new(tcp)
        })
    }

    async fn find(&self, url: &TokenUrl) -> Result<Vec<SocketAddr>, String> {
        let name = match url.host() {
            UrlHost::Address(address) => return Ok(vec![(address, url.port()).into()]),
            UrlHost::Name(name) => name,
        };
        let asked = self.resolver.look_up(&name, url.port());
        match timeout(self.limits.look_up, asked).await {
            Ok(Ok(found)) if !found.is_empty() => Ok(found),
            Ok(Ok(_)) => Err("its host has no address".to_owned()),
            Ok(Err(error)) => Err(format!("its host cannot be looked up: {error}")),
            Err(_) => Err("its host was not looked up in time".to_owned()),
        }
    }

    /// Tries the first addresses one after the other, each for its share of the time.
    async fn open(&self, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
        let tried = addresses.len().min(ADDRESSES_TRIED_MAX);
        let share = self.limits.connect / u32::try_from(tried.max(1)).unwrap_or(1);
        let mut last = "its host has no address".to_owned();
        for address in &addresses[..tried] {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("its host cannot be connected to: {error}"),
                Err(_) => last = "its host was not connected to in time".to_owned(),
            }
        }
        Err(last)
    }

    async fn secure(&self, url: &TokenUrl, tcp: TcpStream) -> Result<impl Stream + use<>, String> {
        let tls = self.tls.as_ref().ok_or(
            "this machine has no certificate authorities to trust; outbound.ca_file can name some",
        )?;
        let name = match url.host() {
            UrlHost::Address(address) => ServerName::from(address),
            UrlHost::Name(name) => ServerName::try_from(name)
                .map_err(|_| "its host's name is none that a certificate can bear")?,
        };
        match timeout(self.limits.handshake, tls.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(format!("its TLS handshake failed: {error}")),
            Err(_) => Err("its TLS handshake was not done in time".to_owned()),
        }
    }
}

/// What bytes go through, TLS or not.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that notes when a byte of the request may have left, and lets no first one leave too late.
pub struct Watched {
    stream: Box<dyn Stream>,
    sent: Arc<AtomicBool>,
    send_by: Instant,
}

impl Watched {
    pub fn new(stream: Box<dyn Stream>, sent: Arc<AtomicBool>, send_by: Instant) -> Self {
        Self {
            stream,
            sent,
            send_by,
        }
    }

    /// Looked at when a byte is about to leave, and not before the way there: a process may be stopped anywhere on it.
    fn leaves(&self) -> io::Result<()> {
        if !self.sent.load(Ordering::SeqCst) && self.send_by <= Instant::now() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.sent.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.leaves()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.leaves()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    /// As the stream below: hyper then writes the body from where it lies, without a copy of its own.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Limits {
    /// The limits of every call outside of tests.
    pub const STANDING: Self = Self {
        look_up: Duration::from_secs(5),
        connect: Duration::from_secs(5),
        handshake: Duration::from_secs(10),
        call: Duration::from_secs(45),
        body_bytes: 256 * 1024,
    };
}
