//! The certificates of a `dev` server: an authority that is kept, and a server certificate that is made at each start.
//! The authority's own certificate is made anew, from the same key, before its time runs out.
//!
//! Invariant: the authority signs for this machine's own names and addresses, and for no other authority.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use coffer::model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::Failure;

/// The authority's certificate, which clients trust.
pub const CA: &str = "ca.pem";
/// The server's own certificate and key.
pub const CERTIFICATE: &str = "server.pem";
/// See [`CERTIFICATE`].
pub const KEY: &str = "server.key";
const CA_KEY: &str = "ca.key";

const CA_DAYS: i64 = 3_650;
/// The authority's certificate is made anew when it is this old.
const CA_RENEWED_AFTER_DAYS: i64 = 3_285;
const SERVER_DAYS: i64 = 397;

/// Makes sure that `directory` holds a certificate for this address, and all that it needs.
pub fn make(directory: &Path, listen: SocketAddr, now: Timestamp) -> Result<(), Failure> {
    let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.micros()) * 1_000)
        .map_err(|_| Failure::failed("The clock is wrong: set it."))?;
    let made =
        |error: rcgen::Error| Failure::failed(format!("A certificate cannot be made ({error})."));
    let ca_key = authority_key(directory)?;
    let params = authority(now)?;
    let certificate = directory.join(CA);
    if is_old(&certificate, now) {
        let own = params.self_signed(&ca_key).map_err(made)?;
        write(&certificate, own.pem().as_bytes())?;
    }
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().map_err(made)?;
    let own = server(listen, now)?
        .signed_by(&key, &issuer)
        .map_err(made)?;
    write(
        &directory.join(KEY),
        Zeroizing::new(key.serialize_pem()).as_bytes(),
    )?;
    write(&directory.join(CERTIFICATE), own.pem().as_bytes())
}

fn authority(now: OffsetDateTime) -> Result<CertificateParams, Failure> {
    let mut params = params(Vec::new(), "Coffer dev authority", now, CA_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(params)
}

fn server(listen: SocketAddr, now: OffsetDateTime) -> Result<CertificateParams, Failure> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let ip: IpAddr = listen.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        names.push(ip.to_string());
    }
    let mut params = params(names, "Coffer dev server", now, SERVER_DAYS)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn params(
    names: Vec<String>,
    subject: &str,
    now: OffsetDateTime,
    days: i64,
) -> Result<CertificateParams, Failure> {
    let params = CertificateParams::new(names);
    let mut params = params
        .map_err(|error| Failure::failed(format!("A certificate cannot be made ({error}).")))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days);
    Ok(params)
}

/// The authority's key, made at the first start.
fn authority_key(directory: &Path) -> Result<KeyPair, Failure> {
    let path = directory.join(CA_KEY);
    match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|_| {
            Failure::failed(format!(
                "{} is no key: remove it, and have clients trust the new {CA}.",
                path.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = KeyPair::generate()
                .map_err(|error| Failure::failed(format!("A key cannot be made ({error}).")))?;
            write(&path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
            // A certificate of another key would not be this authority's.
            let _ = fs::remove_file(directory.join(CA));
            Ok(key)
        }
        Err(error) => Err(Failure::failed(format!(
            "{} cannot be read ({error}).",
            path.display()
        ))),
    }
}

fn is_old(certificate: &Path, now: OffsetDateTime) -> bool {
    let written = fs::metadata(certificate).and_then(|meta| meta.modified());
    written.map_or(true, |at| {
        now - OffsetDateTime::from(at) > Duration::days(CA_RENEWED_AFTER_DAYS)
    })
}

/// Replaces a file of mode 0600 by renaming.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let written = (|| {
        // What lies there may be somebody else's, with a mode of theirs: the file is always a new one.
        match fs::remove_file(new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(new, path)
    })();
    written.map_err(|error: std::io::Error| {
        Failure::failed(format!("{} cannot be written ({error}).", path.display()))
    })
}
