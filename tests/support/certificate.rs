//! A certificate that is its own authority, for a server that a test starts.

use std::path::Path;

use coffer::http::tls::CertificateFiles;

/// A certificate that is its own authority, and its key, as files.
pub fn certificate(folder: &Path) -> (CertificateFiles, String) {
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let files = CertificateFiles {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).expect("it is written");
    write_private(&files.key, &made.signing_key.serialize_pem());
    (files, made.cert.pem())
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
}
