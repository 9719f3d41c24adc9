//! What a value or a secret is taken from: an argument, a file, standard input, or a prompt without echo.
//! Bytes are taken as they are; what they mean is for the caller to say.
//!
//! Invariant: no message repeats what was typed, and every buffer is wiped when it is dropped.

use crate::failure::{Failure, why};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The largest value, as on the server.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Where the bytes are.
pub enum Source {
    /// In the argument itself.
    Typed(Zeroizing<Vec<u8>>),
    /// In this file, all of it.
    File(PathBuf),
    /// On standard input, all of it.
    Stdin,
    /// In somebody's head.
    Prompt,
}

impl Source {
    /// `@FILE`, `-`, nothing for a prompt, or else what was typed; `None` when a file's name is missing.
    pub fn parse(argument: Option<&[u8]>) -> Option<Self> {
        match argument {
            None => Some(Self::Prompt),
            Some(b"-") => Some(Self::Stdin),
            Some(b"@") => None,
            Some([b'@', path @ ..]) => Some(Self::File(OsString::from_vec(path.to_vec()).into())),
            Some(typed) => Some(Self::Typed(Zeroizing::new(typed.to_vec()))),
        }
    }

    /// Whether it takes all of standard input.
    pub fn takes_stdin(&self) -> bool {
        matches!(self, Self::Stdin)
    }

    /// Gets the bytes. `name` is what a prompt asks for; `instead` what to do where there is no terminal for it.
    pub fn bytes(self, name: &str, instead: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match self {
            Self::Typed(bytes) => bounded(bytes, "The value"),
            Self::File(path) => {
                let unreadable = |error: std::io::Error| {
                    Failure::usage(format!(
                        "{} cannot be read ({}).",
                        path.display(),
                        why(error.kind())
                    ))
                };
                let file = std::fs::File::open(&path).map_err(unreadable)?;
                bounded(
                    read(file, VALUE_BYTES_MAX).map_err(unreadable)?,
                    &path.display().to_string(),
                )
            }
            Self::Stdin => bounded(read_stdin(VALUE_BYTES_MAX)?, "Standard input"),
            Self::Prompt => prompt(name, instead),
        }
    }
}

/// Standard input, and at most one byte more than `bytes_max` of it.
pub fn read_stdin(bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read(std::io::stdin().lock(), bytes_max).map_err(|error| {
        Failure::usage(format!("Standard input cannot be read ({}).", error.kind()))
    })
}

fn prompt(name: &str, instead: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match rpassword::prompt_password(format!("{name}: ")) {
        Ok(text) => Ok(Zeroizing::new(text.into_bytes())),
        Err(_) => Err(Failure::usage(format!(
            "There is no terminal to ask on: {instead}."
        ))),
    }
}

/// At most one byte more than `bytes_max`, into a buffer that need not grow, so that no copy stays behind.
fn read(source: impl Read, bytes_max: usize) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; bytes_max + 1]);
    let mut source = source.take(bytes_max as u64 + 1);
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(buffer)
}

fn bounded(bytes: Zeroizing<Vec<u8>>, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{what} is longer than a value can be, {VALUE_BYTES_MAX} bytes."
        )));
    }
    Ok(bytes)
}
