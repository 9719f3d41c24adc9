//! Where the root key comes from: one file a provider.
//! A provider makes a root key with its record, which the store keeps, and gives the key back from the record.
//!
//! Invariant: no root key leaves here unless the record's key check value says it is this cluster's.

pub mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod passphrase;
mod record;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use record::SealRecord;

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
    /// What the configuration names is not there.
    #[error("{path}, which `seal` of the configuration names, is not there: put its copy back; only `init` makes a root key, for a cluster that is new.", path = .0.display())]
    Missing(PathBuf),
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
