//! One certificate for every server of a run, and the client that trusts nothing else.
//! TLS 1.3 over aws-lc-rs on both sides, so that the bare route and Coffer pay the same for it.
//!
//! Invariant: the certificate lives in the run's own directory and is trusted by this process alone.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::failure::{Context, Result};

/// The name in the certificate, and in `Host`.
pub const HOST: &str = "localhost";
const PROTOCOL: &[u8] = b"http/1.1";

/// The files that the servers are given.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM.
    pub chain: PathBuf,
    /// PEM, 0600.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes a certificate (ECDSA P-256) in `directory`.
    pub fn make(directory: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned(), "127.0.0.1".to_owned()])
            .context("no certificate could be made")?;
        let files = Self {
            chain: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
        };
        std::fs::write(&files.chain, made.cert.pem()).context("the certificate")?;
        let mut key = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&files.key)
            .context("the certificate's key")?;
        std::io::Write::write_all(&mut key, made.signing_key.serialize_pem().as_bytes())
            .context("the certificate's key")?;
        Ok(files)
    }

    /// What the bare server listens with.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_file(&self.key).context("the certificate's key")?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .context("TLS 1.3")?
            .with_no_client_auth()
            .with_single_cert(self.chain()?, key)
            .context("the certificate")?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// A client that trusts this certificate.
    pub fn client(&self) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        for certificate in self.chain()? {
            roots.add(certificate).context("the certificate")?;
        }
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .context("TLS 1.3")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Client(TlsConnector::from(Arc::new(config))))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        CertificateDer::pem_file_iter(&self.chain)
            .and_then(Iterator::collect)
            .context("the certificate")
    }
}

/// Opens connections.
#[derive(Clone)]
pub struct Client(TlsConnector);

impl Client {
    /// One connection, its handshake done.
    pub async fn connect(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        stream.set_nodelay(true).context("no connection")?;
        // A constant that is a DNS name.
        let name = ServerName::try_from(HOST).expect("localhost is a DNS name");
        self.0.connect(name, stream).await.context("no TLS")
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
