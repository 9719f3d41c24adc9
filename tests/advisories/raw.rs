//! Bytes over TLS as an attacker sends them: no client of HTTP in between that would put a path or a length right.
//!
//! Invariant: what is sent is what the test wrote, byte for byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use coffer::http::tls;
use hyper::body::Body;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::client::Token;
use crate::support::vault::TestVault;

/// Where requests come from, unless a test says otherwise.
pub const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Another address of this machine, as if it were somebody else's.
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection that speaks HTTP/1.1.
pub struct Raw(TlsStream<TcpStream>);

/// The head of an answer, and what of its body has come.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// All of it as text.
    pub text: String,
}

impl Raw {
    /// Connects to a vault.
    pub async fn connect(v: &TestVault) -> Self {
        Self::connect_from(v, HERE).await
    }

    /// Connects from this address of the machine's own.
    pub async fn connect_from(v: &TestVault, from: Ipv4Addr) -> Self {
        Self(tls(v, from, b"http/1.1").await)
    }

    /// Sends bytes; `false` when the server has gone away.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        // Whoever has closed the connection already needs not be told.
        let _ = self.0.shutdown().await;
    }

    /// The head of an answer that has no body.
    pub async fn head(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(self.0.read_u8().await.expect("the server goes on"));
        }
        String::from_utf8(bytes).expect("a head is text")
    }

    /// Everything until the server closes the connection; nothing when it says nothing.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        let mut bytes = Vec::new();
        // A server that closes without a word of TLS is an end like any other.
        let _ = self.0.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
        Some(RawAnswer { status, text })
    }
}

/// A connection that speaks HTTP/2.
pub async fn http2<B>(v: &TestVault) -> SendRequest<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = TokioIo::new(tls(v, HERE, b"h2").await);
    let connected = http2::handshake(TokioExecutor::new(), stream).await;
    let (sender, connection) = connected.expect("it speaks HTTP/2");
    // It ends with its last request; how does not matter.
    tokio::spawn(async { drop(connection.await) });
    sender
}

/// What a client trusts and speaks.
pub fn client(v: &TestVault, protocol: &[u8]) -> Arc<ClientConfig> {
    let chain = tls::read_chain(&v.authority()).expect("a certificate");
    let mut trusted = RootCertStore::empty();
    for certificate in chain {
        trusted.add(certificate).expect("it can be trusted");
    }
    let config = ClientConfig::builder_with_provider(tls::provider());
    let config = config.with_safe_default_protocol_versions();
    let config = config.expect("TLS 1.3 and 1.2");
    let mut config = config.with_root_certificates(trusted).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

/// A connection over TLS, as whoever speaks this protocol.
pub async fn tls(v: &TestVault, from: Ipv4Addr, protocol: &[u8]) -> TlsStream<TcpStream> {
    let address: SocketAddr = v.address();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("a port is free");
    let stream = socket.connect(address).await.expect("it listens");
    let name = ServerName::from(address.ip());
    let connector = TlsConnector::from(client(v, protocol));
    let stream = connector.connect(name, stream).await;
    stream.expect("the handshake succeeds")
}

/// A request's head, without the empty line at its end.
pub fn head(method: &str, target: &str, token: &Token) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: story\r\nconnection: close\r\nauthorization: Bearer {}\r\n",
        token.text
    )
}

/// Sends one request with this target as it is, and gives the answer.
pub async fn request(v: &TestVault, method: &str, target: &str, token: &Token) -> RawAnswer {
    let mut raw = Raw::connect(v).await;
    let head = head(method, target, token);
    raw.send(format!("{head}\r\n").as_bytes()).await;
    let answer = raw.answer().await;
    answer.unwrap_or_else(|| panic!("no answer to {method} {target}"))
}
