//! The file seal: the root key as 64 lower-case hexadecimal digits and a newline, in a file that only we may read.
//! Everything is checked on the opened file, not on the path, so that nothing can be swapped in between.
//!
//! Invariant: a file that others may read or change, or that is not ours, is refused before a byte of it is read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use zeroize::Zeroizing;

use super::{
    SealError,
    passphrase::{PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN},
};
use crate::{
    crypto::{RootKey, SecretBytes, effective_user, parse_hex_key},
    entropy::Entropy,
};

/// Longest key file, in bytes: 64 digits and a newline.
const KEY_FILE_BYTES_MAX: usize = 65;

/// The root key in a file.
pub(super) fn read(path: &Path) -> Result<RootKey, SealError> {
    let text = read_checked(path, KEY_FILE_BYTES_MAX)?;
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    let key = parse_hex_key(digits).ok_or_else(|| SealError::NotAKey(path.into()))?;
    RootKey::from_secret(&key).map_err(|_| SealError::NotAKey(path.into()))
}

/// The root key in a file, which is made when it is absent: mode 0600, on disk before this returns.
pub(super) fn read_or_create(entropy: &dyn Entropy, path: &Path) -> Result<RootKey, SealError> {
    let refused = |verb, cause| SealError::File {
        verb,
        path: path.into(),
        cause,
    };
    let mut file = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return read(path),
        Err(error) => return Err(refused("create", error)),
    };
    let root = RootKey::generate(entropy);
    let written = file
        .write_all(root.to_hex().expose())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory(path));
    written.map_err(|error| refused("write", error))?;
    Ok(root)
}

/// A passphrase (or another short secret) from a file under the same rules as the key file. One trailing newline is not
/// part of it.
///
/// # Errors
/// The file is not ours alone, or holds no passphrase.
pub fn read_secret_file(path: &Path) -> Result<SecretBytes, SealError> {
    let text = read_checked(path, PASSPHRASE_BYTES_MAX + 2)?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&line.len()) {
        return Err(SealError::NotAPassphrase(path.into()));
    }
    Ok(SecretBytes::new(line.to_vec()))
}

/// At most `max` bytes of a file that is ours alone. What is longer is cut to `max + 1`, which no caller takes.
fn read_checked(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let refused = |verb, cause| SealError::File {
        verb,
        path: path.into(),
        cause,
    };
    let file = open(path)?;
    let meta = file.metadata().map_err(|error| refused("open", error))?;
    if !meta.is_file() {
        return Err(SealError::NotAFile(path.into()));
    }
    if meta.uid() != effective_user() {
        return Err(SealError::NotOurs {
            path: path.into(),
            owner: meta.uid(),
        });
    }
    let mode = meta.mode() & 0o7777;
    if mode & !0o600 != 0 {
        return Err(SealError::TooOpen {
            path: path.into(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(max + 1));
    file.take(max as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| refused("read", error))?;
    Ok(text)
}

/// Opens without following a link, and without waiting for the other end of a pipe.
fn open(path: &Path) -> Result<File, SealError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => SealError::NotAFile(path.into()),
            _ => SealError::File {
                verb: "open",
                path: path.into(),
                cause: error,
            },
        })
}

/// A new name is durable once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
