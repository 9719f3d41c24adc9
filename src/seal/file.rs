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
    record::{Provider, SealRecord},
};
use crate::{
    crypto::{RootKey, RootPlace, SecretBytes, effective_user},
    entropy::Entropy,
};

/// Longest key file, in bytes: 64 digits and a newline.
const KEY_FILE_BYTES_MAX: usize = 65;

/// The root key in this file, or a new one when there is no file, and the record to store. A new file has mode 0600 and
/// is on disk when this returns; an old one is never overwritten.
///
/// # Errors
/// The file cannot be written; or it exists and [`open`] would refuse it.
pub fn create(
    entropy: &dyn Entropy,
    place: RootPlace,
    path: &Path,
) -> Result<(RootKey, SealRecord), SealError> {
    let root = read_or_write(entropy, path)?;
    let record = SealRecord::new(&root, place, Provider::File);
    Ok((root, record))
}

/// The root key of the store that this record is from. Reads 65 bytes; no need for a pool.
///
/// # Errors
/// The file is not ours alone or no key file, the record is another provider's, or it is another cluster's key.
pub fn open(record: &SealRecord, place: RootPlace, path: &Path) -> Result<RootKey, SealError> {
    record.expect_file()?;
    record.checked(read(path)?, place)
}

/// A passphrase from a file under the same rules as the key file. One trailing newline is not
/// part of it.
///
/// # Errors
/// The file is not ours alone, or holds no passphrase.
pub fn read_passphrase(path: &Path) -> Result<SecretBytes, SealError> {
    let text = read_checked(path, PASSPHRASE_BYTES_MAX + 2)?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&line.len()) {
        return Err(SealError::NotAPassphrase(path.into()));
    }
    Ok(SecretBytes::new(line.to_vec()))
}

fn read(path: &Path) -> Result<RootKey, SealError> {
    let text = read_checked(path, KEY_FILE_BYTES_MAX)?;
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    RootKey::from_hex(digits).map_err(|_| SealError::NotAKey(path.into()))
}

fn read_or_write(entropy: &dyn Entropy, path: &Path) -> Result<RootKey, SealError> {
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
    file.write_all(root.to_hex().expose())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory(path))
        .map_err(|error| refused("write", error))?;
    Ok(root)
}

/// At most `max` bytes of a file that is ours alone. What is longer is cut to `max + 1`, which no caller takes.
fn read_checked(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let refused = |verb, cause| SealError::File {
        verb,
        path: path.into(),
        cause,
    };
    let file = open_unfollowed(path)?;
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
fn open_unfollowed(path: &Path) -> Result<File, SealError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => SealError::NotAFile(path.into()),
            Some(libc::ENOENT) => SealError::Missing(path.into()),
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
