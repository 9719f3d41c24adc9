//! Where the root key comes from: one file a provider.
//! A provider makes a root key with its record, which the store keeps, and gives the key back from the record.
//!
//! Invariant: no root key leaves here unless the record's key check value says it is this cluster's.

mod file;
mod passphrase;
mod record;

use std::path::PathBuf;

use crate::{
    crypto::{RootKey, SecretBytes},
    entropy::Entropy,
    model::ClusterId,
};

pub use file::read_secret_file;
pub use record::SealRecord;

/// Where the root key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// In a file of its own.
    File {
        /// The file.
        path: PathBuf,
    },
    /// In the store, wrapped under a passphrase.
    Passphrase,
}

impl Seal {
    /// The provider's name, as in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Passphrase => "passphrase",
        }
    }
}

/// Makes the root key file of a new cluster, or takes the one that is there, and the record to store.
///
/// # Errors
/// The file is not ours alone, is not a key file, or cannot be written.
pub fn create_with_file(
    entropy: &dyn Entropy,
    cluster: ClusterId,
    path: &std::path::Path,
) -> Result<(RootKey, SealRecord), SealError> {
    let root = file::read_or_create(entropy, path)?;
    let record = SealRecord::file(&root, cluster);
    Ok((root, record))
}

/// The root key from its file. Reads 65 bytes; no need for a pool.
///
/// # Errors
/// The file is not ours alone or no key file, the record is another provider's or damaged, or it is another cluster's key.
pub fn open_with_file(
    record: &SealRecord,
    cluster: ClusterId,
    path: &std::path::Path,
) -> Result<RootKey, SealError> {
    record.expect_file()?;
    record
        .checked(file::read(path)?, cluster)
        .ok_or(SealError::WrongKey)
}

/// A random root key wrapped under a passphrase, and the record to store. Takes about 150 ms and 64 MiB: run it on a pool.
///
/// # Errors
/// The passphrase is too short or too long.
pub fn create_with_passphrase(
    entropy: &dyn Entropy,
    cluster: ClusterId,
    passphrase: &SecretBytes,
) -> Result<(RootKey, SealRecord), SealError> {
    passphrase::create(entropy, cluster, passphrase)
}

/// The root key by its passphrase. Takes what the record's parameters ask for, at most 512 MiB: run it on a pool.
///
/// # Errors
/// The passphrase is wrong, or the record is another provider's, damaged, or asks for too little or too much work.
pub fn open_with_passphrase(
    record: &SealRecord,
    cluster: ClusterId,
    passphrase: &SecretBytes,
) -> Result<RootKey, SealError> {
    passphrase::open(record, cluster, passphrase)
}

/// Why there is no root key: one sentence each, and nothing secret in any.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A file cannot be read or written.
    #[error("cannot {verb} {path}: {cause}.", path = .path.display())]
    File {
        /// `open`, `read`, `create` or `write`.
        verb: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// Not a regular file, but a directory, a link or a device.
    #[error("{path} is not a regular file: give the path of the file itself, no link or device.", path = .0.display())]
    NotAFile(PathBuf),
    /// Others may read or write it.
    #[error("{path} has mode {mode:04o} and may be read or changed by others: run chmod 600 on it.", path = .path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to user {owner}, not to the user this server runs as: run chown on it.", path = .path.display())]
    NotOurs {
        /// Which file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// Not 64 hexadecimal digits, or a key of equal bytes.
    #[error("{path} is not a root key file: it must hold 64 lower-case hexadecimal digits and a newline.", path = .0.display())]
    NotAKey(PathBuf),
    /// A file that holds a passphrase is empty or too long.
    #[error("{path} must hold a passphrase of {min} to {max} bytes.", path = .0.display(), min = passphrase::PASSPHRASE_BYTES_MIN, max = passphrase::PASSPHRASE_BYTES_MAX)]
    NotAPassphrase(PathBuf),
    /// Too short or too long to be made into a seal.
    #[error("the passphrase must have {min} to {max} bytes.", min = passphrase::PASSPHRASE_BYTES_MIN, max = passphrase::PASSPHRASE_BYTES_MAX)]
    PassphraseLength,
    /// The key belongs to another cluster.
    #[error(
        "this root key is not the key of this store: point the seal at the key the store was made with."
    )]
    WrongKey,
    /// It does not unwrap the root key.
    #[error("the passphrase is wrong, or the seal record was damaged.")]
    WrongPassphrase,
    /// The store was sealed by another provider.
    #[error(
        "this store is sealed by {stored}, but the configuration says {configured}: set seal.kind to {stored}."
    )]
    OtherSeal {
        /// What the record says.
        stored: &'static str,
        /// What was asked for.
        configured: &'static str,
    },
    /// The record is no record.
    #[error("the seal record of this store is damaged: restore it from a backup.")]
    Damaged,
    /// The record's parameters are below the floor or above the ceiling.
    #[error(
        "the seal record asks for Argon2id parameters outside the permitted range: it was tampered with, restore it from a backup."
    )]
    Parameters,
    /// Argon2id found no memory.
    #[error("there is not enough memory to check the passphrase: allow the server {0} MiB more.")]
    NoMemory(u32),
}
