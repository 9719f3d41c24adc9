//! A secret that an option names and never holds: `@FILE`, `-` for standard input, a prompt when the option is left out.
//! One newline at the end is the file's and not the secret's; no provider makes a secret that ends in one.
//!
//! Invariant: what was typed in its place is refused, and repeated in no message.

use crate::failure::Failure;
use crate::sources::Source;
use coffer_api::SecretText;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use zeroize::Zeroizing;

/// One such secret, not yet read.
pub struct Hidden {
    option: &'static str,
    name: &'static str,
    source: Source,
}

impl Hidden {
    /// What `option` says of the secret that a prompt calls `name`.
    pub fn parse(
        option: &'static str,
        name: &'static str,
        argument: Option<&OsStr>,
    ) -> Result<Self, Failure> {
        match Source::parse(argument.map(OsStr::as_bytes)) {
            None => Err(Failure::usage(format!(
                "After {option} @ the name of a file is missing."
            ))),
            Some(Source::Typed(_)) => Err(Failure::usage(format!(
                "A secret does not belong among arguments, where others see it: give {option} @FILE, or {option} - and the {name} on standard input."
            ))),
            Some(source) => Ok(Self {
                option,
                name,
                source,
            }),
        }
    }

    /// Whether it takes all of standard input.
    pub fn takes_stdin(&self) -> bool {
        self.source.takes_stdin()
    }

    /// Gets it from where it is.
    pub fn text(self) -> Result<SecretText, Failure> {
        let Self {
            option,
            name,
            source,
        } = self;
        let instead =
            format!("give {option} @FILE, or {option} - and the {name} on standard input");
        let mut bytes = source.bytes(name, &instead)?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let length = line.strip_suffix(b"\r").unwrap_or(line).len();
        bytes.truncate(length);
        if bytes.is_empty() {
            return Err(Failure::usage(format!("The {name} is empty.")));
        }
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(SecretText::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(Failure::usage(format!("The {name} is no text.")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(argument: Option<&str>) -> Result<Hidden, Failure> {
        Hidden::parse("--client-secret", "client secret", argument.map(OsStr::new))
    }

    #[test]
    fn what_is_typed_is_refused_without_repeating_it() {
        for typed in ["hunter2", "-hunter2", "=hunter2", "", "@"] {
            let failure = hidden(Some(typed)).err().expect(typed);
            assert_eq!(failure.exit() as u8, 2, "{typed}");
            assert!(failure.text().contains("--client-secret @"), "{typed}");
            assert!(!failure.text().contains("hunter2"), "{typed}");
        }
        assert!(hidden(Some("-")).expect("a source").takes_stdin());
        assert!(!hidden(Some("@-")).expect("a source").takes_stdin());
        assert!(!hidden(None).expect("a source").takes_stdin());
    }

    #[test]
    fn one_newline_of_a_file_is_not_the_secrets() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("f");
        let argument = format!("@{}", path.display());
        let read = || hidden(Some(&argument)).expect("a source").text();
        for (bytes, secret) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s3cret\n\n", "s3cret\n"),
            (" s3 cret ", " s3 cret "),
        ] {
            std::fs::write(&path, bytes).expect("written");
            assert_eq!(read().expect("a secret").expose(), secret, "{bytes:?}");
        }
        for bytes in [&b""[..], b"\n", b"\r\n", b"hunter2\xff", &[b'x'; 65 * 1024]] {
            std::fs::write(&path, bytes).expect("written");
            let failure = read().expect_err("refused");
            assert_eq!(failure.exit() as u8, 2);
            assert!(!failure.text().contains("hunter2"), "{}", failure.text());
        }
    }
}
