//! What the environment says: `COFFER_ADDR`, `COFFER_TOKEN` and `COFFER_CACERT`, and the HTTPS client made from it.
//! When `COFFER_CACERT` is set, its certificates are the only ones that are trusted.
//!
//! Invariant: nothing goes out in the clear, through a proxy, or to another address than the named one.

use crate::failure::{Exit, Failure, why};
use reqwest::header::HeaderValue;
use std::env::VarError;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CACERT_BYTES_MAX: u64 = 1024 * 1024;

/// `COFFER_TOKEN`, if it is set.
pub fn token() -> Result<Option<Zeroizing<String>>, Failure> {
    match std::env::var("COFFER_TOKEN") {
        Ok(token) if !token.is_empty() => Ok(Some(Zeroizing::new(token))),
        Err(VarError::NotUnicode(_)) => Err(malformed_token()),
        _ => Ok(None),
    }
}

/// The failure of a command that needs a token.
pub fn no_token() -> Failure {
    Failure::new(Exit::NotAllowed, "There is no token: set COFFER_TOKEN.")
}

/// `COFFER_ADDR` as `https://host[:port]`.
pub fn address() -> Result<String, Failure> {
    const WANTED: &str =
        "COFFER_ADDR must be an https URL without a path, such as https://127.0.0.1:8200";
    let text = match std::env::var("COFFER_ADDR") {
        Ok(text) if !text.is_empty() => text,
        Err(VarError::NotUnicode(_)) => return Err(Failure::usage(format!("{WANTED}."))),
        _ => {
            return Err(Failure::usage(format!(
                "There is no address: set COFFER_ADDR. {WANTED}."
            )));
        }
    };
    let wanted = || Failure::usage(format!("{WANTED}."));
    let url = reqwest::Url::parse(&text).map_err(|_| wanted())?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if url.scheme() != "https" || !url.has_host() || !bare || url.path() != "/" {
        return Err(wanted());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The header for a token.
pub fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed_token());
    }
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| malformed_token())?;
    value.set_sensitive(true);
    Ok(value)
}

fn malformed_token() -> Failure {
    Failure::new(
        Exit::NotAllowed,
        "COFFER_TOKEN is not a token: it holds spaces or other characters that no token has.",
    )
}

/// No proxy, no redirect, no repetition of its own: what is asked goes to the named address once, or not at all.
/// No `read_timeout` either: it ends the wait for an answer's head too, whatever longer time a request was given.
pub fn http() -> Result<reqwest::Client, Failure> {
    // A second installation fails, and leaves the same provider in place.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = std::env::var_os("COFFER_CACERT").filter(|path| !path.is_empty()) {
        builder = builder.tls_certs_only(certificates(Path::new(&path))?);
    }
    builder.build().map_err(|_| {
        Failure::failed(
            "TLS cannot be set up: is there a certificate authority to trust? See COFFER_CACERT.",
        )
    })
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!(
            "COFFER_CACERT names {}, which {why}.",
            path.display()
        ))
    };
    let mut pem = vec![];
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(CACERT_BYTES_MAX).read_to_end(&mut pem));
    read.map_err(|error| wrong(&format!("cannot be read ({})", why(error.kind()))))?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(wrong("holds no PEM certificate")),
    }
}
