//! TLS 1.3, and 1.2 with forward secrecy and AEAD only, by rustls over aws-lc-rs; hybrid post-quantum key exchange first.
//! Certificate and key can be replaced while the server runs; connections that stand keep what they have.
//!
//! Invariant: a pair whose key does not belong to its certificate is never served.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

/// Protocols offered, the best first (ALPN).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The provider of every TLS connection. Its TLS 1.2 suites are all ECDHE with an AEAD; a test holds it to that.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The files of a certificate chain and its key, PEM both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key; nobody but owner and group may read it.
    pub key: PathBuf,
}

/// Why there is no certificate to serve, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}.", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no {what} in PEM.", path = .path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// Everybody may read the key.
    #[error("{path} may be read by everybody: run chmod 600 on it.", path = .0.display())]
    TooOpen(PathBuf),
    /// They are not a pair, or of a kind that rustls does not serve.
    #[error("the key in {key} does not belong to the certificate in {certificate}, or is of a kind that cannot be used.", key = .0.key.display(), certificate = .0.certificate.display())]
    NotAPair(CertificateFiles),
}

/// A certificate that can be replaced.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    now: ArcSwap<CertifiedKey>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// They are not what they should be.
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, TlsError> {
        let now = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Self { files, now }))
    }

    /// Reads the files again, for connections made from now on. On an error what is served stays.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self) -> Result<(), TlsError> {
        self.now.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// What a listener needs to know of TLS.
    pub fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder
            .with_protocol_versions(&VERSIONS)
            .expect("the provider has suites for 1.3 and 1.2");
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        // Measured: resuming a session saves nothing, so none is kept (limits: 191 against 203 µs).
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now.load_full())
    }
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.key)?;
    let not_a_pair = |_| TlsError::NotAPair(files.clone());
    let pair = CertifiedKey::from_der(chain, key, &provider()).map_err(not_a_pair)?;
    pair.keys_match().map_err(not_a_pair)?;
    Ok(pair)
}

/// A certificate chain from a PEM file.
///
/// # Errors
/// It cannot be read or holds none.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = std::fs::read(path).map_err(|cause| TlsError::File {
        path: path.into(),
        cause,
    })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError::NotPem {
            path: path.into(),
            what: "certificate",
        })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let refused = |cause| TlsError::File {
        path: path.into(),
        cause,
    };
    let mut file = std::fs::File::open(path).map_err(refused)?;
    if file.metadata().map_err(refused)?.mode() & 0o007 != 0 {
        return Err(TlsError::TooOpen(path.into()));
    }
    let mut text = zeroize::Zeroizing::new(Vec::new());
    io::Read::read_to_end(&mut file, &mut text).map_err(refused)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NotPem {
        path: path.into(),
        what: "private key",
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_suite_is_forward_secret_and_authenticated() {
        for suite in &provider().cipher_suites {
            let name = format!("{:?}", suite.suite());
            let aead = name.contains("_GCM_") || name.contains("CHACHA20_POLY1305");
            assert!(
                aead && (name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_")),
                "{name}"
            );
        }
        let first = provider().kx_groups.first().expect("a group").name();
        assert_eq!(format!("{first:?}"), "X25519MLKEM768");
    }

    fn files(directory: &Path) -> CertificateFiles {
        let pair =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let files = CertificateFiles {
            certificate: directory.join("c.pem"),
            key: directory.join("k.pem"),
        };
        std::fs::write(&files.certificate, pair.cert.pem()).expect("written");
        std::fs::write(&files.key, pair.signing_key.serialize_pem()).expect("written");
        std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).expect("changed");
        files
    }

    #[test]
    fn what_is_no_pair_is_refused_and_what_is_served_stays() {
        let (one, two) = (
            tempfile::tempdir().expect("a directory"),
            tempfile::tempdir().expect("a directory"),
        );
        let (mine, other) = (files(one.path()), files(two.path()));
        let served = Certificates::load(mine.clone()).expect("a pair");
        let _ = served.server_config();
        let mixed = CertificateFiles {
            certificate: mine.certificate.clone(),
            key: other.key,
        };
        assert!(matches!(
            Certificates::load(mixed),
            Err(TlsError::NotAPair(_))
        ));
        let swapped = CertificateFiles {
            certificate: mine.key.clone(),
            key: mine.certificate.clone(),
        };
        assert!(matches!(
            Certificates::load(swapped),
            Err(TlsError::NotPem { .. })
        ));
        std::fs::set_permissions(&mine.key, PermissionsExt::from_mode(0o644)).expect("changed");
        assert!(matches!(served.reload(), Err(TlsError::TooOpen(_))));
        std::fs::remove_file(&mine.key).expect("removed");
        assert!(matches!(served.reload(), Err(TlsError::File { .. })));
        assert!(served.now.load().keys_match().is_ok());
    }
}
