//! Files that a command writes: readable by their owner alone, and there under their name only when they are whole.
//! What is there already is replaced if it is a plain file, and left alone if it is anything else.
//!
//! Invariant: no symbolic link is followed, and no half-written file ever has the asked name.

use crate::failure::{Failure, why};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file on its way; dropped without [`NewFile::keep`] it leaves nothing behind.
pub struct NewFile {
    file: File,
    written: PathBuf,
    wanted: PathBuf,
    kept: bool,
}

impl NewFile {
    /// Begins a file that shall be called `wanted`.
    pub fn create(wanted: &Path) -> Result<Self, Failure> {
        match fs::symlink_metadata(wanted) {
            Ok(there) if !there.is_file() => {
                return Err(Failure::usage(format!(
                    "{} is there and no plain file: name another.",
                    wanted.display()
                )));
            }
            _ => {}
        }
        let name = wanted
            .file_name()
            .ok_or_else(|| Failure::usage("The file to write needs a name."))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let written = wanted.with_file_name(hidden);
        // `create_new` is O_EXCL, under which the last component is never followed when it is a link.
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&written);
        let file = opened.map_err(|error| unwritable(wanted, &error))?;
        Ok(Self {
            file,
            written,
            wanted: wanted.to_owned(),
            kept: false,
        })
    }

    /// Makes it durable, and then renames it into place.
    pub fn keep(mut self) -> Result<(), Failure> {
        let kept = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.written, &self.wanted));
        kept.map_err(|error| unwritable(&self.wanted, &error))?;
        self.kept = true;
        let directory = self
            .wanted
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| unwritable(&self.wanted, &error))
    }

    /// The failure for an error of writing to it.
    pub fn failure(&self, error: &io::Error) -> Failure {
        unwritable(&self.wanted, error)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // It is no use to anybody; if it cannot be removed either, its name says what it is.
            let _ = fs::remove_file(&self.written);
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "{} cannot be written ({}).",
        path.display(),
        why(error.kind())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn whole_and_private_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let wanted = directory.path().join("out");
        let mut file = NewFile::create(&wanted).expect("a file");
        file.write_all(b"whole").expect("written");
        assert!(!wanted.exists());
        file.keep().expect("kept");
        assert_eq!(fs::read(&wanted).expect("there"), b"whole");
        assert_eq!(
            fs::metadata(&wanted).expect("there").permissions().mode() & 0o777,
            0o600
        );

        NewFile::create(&wanted)
            .expect("a file")
            .write_all(b"half")
            .expect("written");
        assert_eq!(fs::read(&wanted).expect("there"), b"whole");
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
    }

    #[test]
    fn links_and_devices_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let link = directory.path().join("link");
        symlink("target", &link).expect("a link");
        assert!(NewFile::create(&link).is_err());
        assert!(NewFile::create(directory.path()).is_err());
        assert!(NewFile::create(Path::new("/dev/null")).is_err());
    }
}
