//! Whose certificates are believed: the machine's own authorities and those of `outbound.ca_file`.
//! TLS 1.3, and 1.2 with forward secrecy and AEAD only, as the server itself speaks it.
//!
//! Invariant: nothing turns the check of a certificate or of its name off.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The TLS side of every call; `None` when this machine trusts nobody and no file names an authority.
///
/// # Errors
/// One sentence: the file cannot be read or holds no certificate.
pub fn connector(ca_file: Option<&Path>) -> Result<Option<TlsConnector>, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    // What of the machine's own cannot be read or parsed is not trusted; the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Ok(None);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites for 1.3 and 1.2");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A connection is for one call, hours before the next: nothing is kept of it.
    config.resumption = Resumption::disabled();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let said = |what: &str| format!("The file of outbound.ca_file, {}, {what}.", path.display());
    let text = std::fs::read(path).map_err(|error| said(&format!("cannot be read: {error}")))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.ok().filter(|found| !found.is_empty());
    for certificate in certificates.ok_or_else(|| said("holds no certificate in PEM"))? {
        let added = roots.add(certificate);
        added.map_err(|_| said("holds a certificate that cannot be an authority"))?;
    }
    Ok(())
}
