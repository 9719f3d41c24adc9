//! Bytes over TLS as an attacker sends them: no client of HTTP in between that would put a path or a length right.
//!
//! Invariant: what is sent is what the test wrote, byte for byte.

use std::net::SocketAddr;
use std::sync::Arc;

use coffer::http::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::client::Token;
use crate::support::vault::TestVault;

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
        let chain = tls::read_chain(&v.authority()).expect("a certificate");
        let mut trusted = RootCertStore::empty();
        for certificate in chain {
            trusted.add(certificate).expect("it can be trusted");
        }
        let config = ClientConfig::builder_with_provider(tls::provider());
        let config = config.with_safe_default_protocol_versions();
        let config = config.expect("TLS 1.3 and 1.2");
        let mut config = config.with_root_certificates(trusted).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let address: SocketAddr = v.address();
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::from(address.ip());
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await;
        Self(stream.expect("the handshake succeeds"))
    }

    /// Sends bytes; `false` when the server has gone away.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// Everything until the server closes the connection; nothing when it says nothing.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        let mut bytes = Vec::new();
        // A server that closes without a word of TLS is an end like any other.
        let _ = self.0.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(RawAnswer { status, text })
    }
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
