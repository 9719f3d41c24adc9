//! `health`: whether the server on this machine is ready, for containers that have neither shell nor curl.
//! It asks `/health/ready` over TLS and trusts exactly the certificate that the server is configured with.
//!
//! Invariant: exit code 0 only for the configured certificate and a 2xx; everything else is 5.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use coffer::http::tls::{provider, read_chain};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{ConfigFile, Failure, UNAVAILABLE, dev, runtime};

/// For everything together.
const TIME_MAX: Duration = Duration::from_secs(5);
const ASK: &[u8] = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// `HTTP/1.1 2`
const READY: &[u8] = b"HTTP/1.1 2";

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Health {
    /// The server's configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "COFFER_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory of a `dev` server.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Health {
    pub fn run(self) -> Result<(), Failure> {
        let (address, certificate) = match self.config {
            Some(config) => {
                let config = ConfigFile { config }.read()?;
                (config.listen, config.certificate)
            }
            None => dev::DataDir::find(self.data)?.listening()?,
        };
        let not_ready = |why: &str| {
            Failure::new(
                UNAVAILABLE,
                format!("The server at {address} is not ready: {why}."),
            )
        };
        let chain = read_chain(&certificate).map_err(Failure::usage)?;
        let own = chain
            .into_iter()
            .next()
            .ok_or_else(|| not_ready("it has no certificate"))?;
        let asked = runtime(None)?
            .block_on(async { timeout(TIME_MAX, ask(reachable(address), own)).await });
        match asked {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(not_ready(
                "it is sealed, stopping, or its store does not record",
            )),
            Ok(Err(_)) => Err(not_ready("it does not answer with its certificate")),
            Err(_) => Err(not_ready("it does not answer in time")),
        }
    }
}

/// An address to connect to for one to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(address: SocketAddr, own: CertificateDer<'static>) -> std::io::Result<bool> {
    let verifier = Arc::new(Pinned {
        own,
        provider: provider(),
    });
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?;
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(ServerName::IpAddress(address.ip().into()), stream)
        .await?;
    stream.write_all(ASK).await?;
    let mut answer = [0; READY.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer == READY)
}

/// Trusts one certificate, whatever its names and dates: the one in the server's own file.
#[derive(Debug)]
struct Pinned {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.own {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        let reach = |address: &str| reachable(address.parse().expect("an address")).to_string();
        assert_eq!(reach("0.0.0.0:8200"), "127.0.0.1:8200");
        assert_eq!(reach("[::]:8200"), "[::1]:8200");
        assert_eq!(reach("192.0.2.1:8200"), "192.0.2.1:8200");
    }
}
