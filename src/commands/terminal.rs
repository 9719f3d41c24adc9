//! Secrets from and to a person: a passphrase without echo, or a line of standard input when that is no terminal.
//! What is read never grows in memory, so that no copy is left behind.
//!
//! Invariant: a secret is shown on a terminal or written to a new file of mode 0600, and nowhere else.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use coffer::crypto::SecretBytes;
use coffer::seal::passphrase::{PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN};
use zeroize::Zeroizing;

use super::Failure;

/// A passphrase, asked for once.
pub fn passphrase(prompt: &str) -> Result<SecretBytes, Failure> {
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(prompt);
        let typed = typed
            .map_err(|error| Failure::failed(format!("The terminal cannot be read ({error}).")))?;
        return Ok(SecretBytes::from(typed));
    }
    let mut bytes = Zeroizing::new([0; PASSPHRASE_BYTES_MAX + 2]);
    let mut length = 0;
    while length < bytes.len() {
        match io::stdin().read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::failed(format!(
                    "Standard input cannot be read ({error})."
                )));
            }
        }
    }
    let line = &bytes[..length];
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Failure::usage(
            "The seal needs its passphrase: give it on standard input, or run this on a terminal.",
        ));
    }
    Ok(SecretBytes::new(line.to_vec()))
}

/// A new passphrase: asked for twice on a terminal, where a mistake cannot be seen.
pub fn new_passphrase() -> Result<SecretBytes, Failure> {
    let first = passphrase("New passphrase: ")?;
    if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&first.len()) {
        return Err(Failure::usage(format!(
            "A passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes."
        )));
    }
    if io::stdin().is_terminal() && passphrase("Once more: ")?.expose() != first.expose() {
        return Err(Failure::usage(
            "The two are not the same: nothing was done.",
        ));
    }
    Ok(first)
}

/// Where a secret goes that is shown once. It is made ready before the secret is.
pub enum Outlet {
    /// Standard output, which is a terminal.
    Terminal,
    /// A new file of ours.
    File(PathBuf, File),
}

impl Outlet {
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return if io::stdout().is_terminal() {
                Ok(Self::Terminal)
            } else {
                Err(Failure::usage(
                    "The first token is shown on a terminal only: run this on one, or name a new file with --token-file.",
                ))
            };
        };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = file.map_err(|error| {
            Failure::usage(format!(
                "The token file {} cannot be made ({error}): name a file that does not exist yet.",
                path.display()
            ))
        })?;
        Ok(Self::File(path.to_owned(), file))
    }

    /// Shows the secret.
    pub fn give(self, secret: &str) -> Result<(), Failure> {
        match self {
            Self::Terminal => writeln!(io::stdout(), "{secret}").map_err(|error| {
                Failure::failed(format!("The token could not be shown ({error}), and is lost: empty the store and begin again."))
            }),
            Self::File(path, mut file) => {
                let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
                written.map_err(|error| {
                    Failure::failed(format!(
                        "The token could not be written to {} ({error}), and is lost: empty the store and begin again.",
                        path.display()
                    ))
                })
            }
        }
    }

    /// Takes back what was made ready.
    pub fn close(self) {
        if let Self::File(path, _) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}
