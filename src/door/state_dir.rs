//! What a node keeps outside of the database: its name, its last boot id, its last head, and a lock on them.
//! With it a node knows its own stream again, and notices a database that is older than what it has acknowledged.
//!
//! Invariant: every file is 0600, replaced by renaming, and synced before the rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::kept::Kept;
use crate::model::{BootId, Name};

/// The longest file in it, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// See the module.
pub struct StateDir {
    path: PathBuf,
    /// Held for as long as the process lives.
    _lock: File,
}

impl StateDir {
    /// Opens the directory, makes it when it is absent, and locks it.
    ///
    /// # Errors
    /// One sentence: it cannot be made or read, or another server uses it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let told = |error: io::Error| {
            format!(
                "The state directory {} cannot be used ({error}); check its owner and mode.",
                path.display()
            )
        };
        if !path.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(told)?;
        }
        let mode = fs::metadata(path).map_err(told)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(format!(
                "Others may write to the state directory {}: set its mode to 0700.",
                path.display()
            ));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path.join("lock"))
            .map_err(told)?;
        lock.try_lock().map_err(|_| {
            format!("Another coffer-server uses the state directory {}; stop it first, or give each server its own.", path.display())
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The node's name, if it was given one.
    ///
    /// # Errors
    /// The file cannot be read, or holds no name.
    pub fn node(&self) -> io::Result<Option<Name>> {
        self.read("node")
    }

    /// Keeps the node's name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_node(&self, name: &Name) -> io::Result<()> {
        self.write("node", name.as_str())
    }

    /// The boot id of the last run.
    ///
    /// # Errors
    /// The file cannot be read, or holds no id.
    pub fn boot(&self) -> io::Result<Option<BootId>> {
        self.read("boot")
    }

    /// Keeps this run's boot id.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_boot(&self, boot: BootId) -> io::Result<()> {
        self.write("boot", &boot.to_string())
    }

    /// The last head that was kept.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub(super) fn head(&self) -> io::Result<Option<Kept>> {
        Self::head_in(&self.path)
    }

    /// The same of the state directory there, for who does not hold its lock.
    pub(super) fn head_in(path: &Path) -> io::Result<Option<Kept>> {
        let text = read_bounded(&path.join("head"))?;
        text.map(|text| Kept::parse(&text).ok_or_else(|| not_ours("head")))
            .transpose()
    }

    /// Keeps a head.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep_head(&self, kept: &Kept) -> io::Result<()> {
        self.write("head", &kept.to_text())
    }

    /// A folder in it, made when it is absent, for nobody but the server's own user.
    pub(super) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Always: the run that made it may have died before. What is put there is no safer than the folder itself.
        File::open(&self.path)?.sync_all()?;
        if fs::symlink_metadata(&path)?.is_dir() {
            return Ok(path);
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{name} is no folder"),
        ))
    }

    /// Where this server's local socket is.
    pub fn socket(&self) -> PathBuf {
        Self::socket_in(&self.path)
    }

    /// Where the local socket of a server with this state directory is, for who does not hold the lock.
    pub fn socket_in(path: &Path) -> PathBuf {
        path.join("unseal.sock")
    }

    fn read<T: FromStr>(&self, name: &str) -> io::Result<Option<T>> {
        let Some(text) = read_bounded(&self.path.join(name))? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| not_ours(name))
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        Self::replace(&self.path, name, text.as_bytes())
    }

    /// Puts a file of this name, whole or not at all.
    pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = folder.join(format!("{name}.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, folder.join(name))?;
        File::open(folder)?.sync_all()
    }
}

fn not_ours(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{name} was not written by coffer-server"),
    )
}

fn read_bounded(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if found.len() > FILE_BYTES_MAX => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a state file is too long",
        )),
        Ok(_) => fs::read_to_string(path).map(Some),
    }
}
