//! `dev.env`: where a `dev` server is, whom to trust and with which token, for a shell to read.
//! It is there only while the server is ready: at a start it is put aside, and its token used again if it still lives.
//!
//! Invariant: the file is 0600 and replaced by renaming, and its token is printed nowhere.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use coffer::crypto::PlainToken;
use zeroize::Zeroizing;

use super::{Failure, certificates};

const CURRENT: &str = "dev.env";
const LAST: &str = "dev.env.last";

/// Puts the last server's file aside, and gives the token in it, if there is one.
pub fn put_aside(data: &Path) -> Result<Option<PlainToken>, Failure> {
    let (current, last) = (data.join(CURRENT), data.join(LAST));
    let refused = |path: &PathBuf, error: std::io::Error| {
        Failure::failed(format!("{} cannot be used ({error}).", path.display()))
    };
    match fs::rename(&current, &last) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused(&current, error)),
        _ => {}
    }
    match fs::read_to_string(&last).map(Zeroizing::new) {
        Ok(text) => {
            Ok(value_of(&text, "COFFER_TOKEN")
                .and_then(|token| PlainToken::parse(token.as_bytes())))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(&last, error)),
    }
}

/// Says that the server is ready.
pub fn write(data: &Path, address: SocketAddr, token: &PlainToken) -> Result<PathBuf, Failure> {
    let path = data.join(CURRENT);
    let ca = data.join(certificates::CA);
    let ca = ca.to_str().ok_or_else(|| {
        Failure::failed("The data directory's name is not UTF-8: choose another.")
    })?;
    let text = format!(
        "COFFER_ADDR=https://{address}\nCOFFER_CACERT={}\nCOFFER_TOKEN={}\n",
        quoted(ca),
        token.expose()
    );
    certificates::write(&path, Zeroizing::new(text).as_bytes())?;
    Ok(path)
}

/// The address in the file of a server that is ready.
pub fn address(data: &Path) -> Option<SocketAddr> {
    let text = Zeroizing::new(fs::read_to_string(data.join(CURRENT)).ok()?);
    value_of(&text, "COFFER_ADDR")?
        .strip_prefix("https://")?
        .parse()
        .ok()
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// A path as a shell reads it; plain when it can be, for readers that are no shell.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@:,=".contains(&byte);
    if path.bytes().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use coffer::crypto::TokenKind;
    use coffer::entropy::SystemEntropy;

    use super::*;

    #[test]
    fn a_token_is_found_again() {
        let data = tempfile::tempdir().expect("a directory");
        assert!(put_aside(data.path()).expect("nothing yet").is_none());
        let token = PlainToken::generate(&SystemEntropy, TokenKind::Root);
        let address = "127.0.0.1:8200".parse().expect("an address");
        let path = write(data.path(), address, &token).expect("written");
        assert_eq!(
            fs::metadata(&path).expect("there").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(super::address(data.path()), Some(address));
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text.lines().count(), 3, "{text}");
        for _ in 0..2 {
            let again = put_aside(data.path()).expect("readable").expect("a token");
            assert_eq!(again.expose(), token.expose());
            assert!(!path.exists());
        }
    }

    #[test]
    fn paths_are_quoted_only_when_a_shell_needs_it() {
        assert_eq!(quoted("/a/b.c-d_1"), "/a/b.c-d_1");
        assert_eq!(quoted("/a b/$c'd"), r"'/a b/$c'\''d'");
    }
}
