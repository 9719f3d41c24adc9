//! Where a field's value comes from: typed, a file, standard input, or a prompt without echo.
//! Bytes are taken as they are; those that are valid UTF-8 cross the wire as text.
//!
//! Invariant: no message repeats an argument that may hold a value.

use crate::failure::Failure;
use crate::names;
use coffer_api::FieldValue;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The largest value, as on the server.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The longest token that standard input may hold; real ones have about sixty characters.
const TOKEN_BYTES_MAX: usize = 256;

/// One argument of `set`.
pub struct FieldArgument {
    /// The field's name.
    pub name: String,
    source: Source,
}

enum Source {
    Typed(Vec<u8>),
    File(PathBuf),
    Stdin,
    Prompt,
}

impl FieldArgument {
    /// `FIELD=VALUE`, `FIELD=@FILE`, `FIELD=-` or `FIELD`.
    pub fn parse(argument: &OsStr) -> Result<Self, Failure> {
        let bytes = argument.as_bytes();
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        let source = match value {
            None => Source::Prompt,
            Some(b"-") => Source::Stdin,
            Some(b"@") => {
                return Err(Failure::usage(
                    "After FIELD=@ the name of a file is missing.",
                ));
            }
            Some([b'@', path @ ..]) => Source::File(OsString::from_vec(path.to_vec()).into()),
            Some(typed) => Source::Typed(typed.to_vec()),
        };
        let name = names::field(std::str::from_utf8(name).unwrap_or_default())?;
        Ok(Self { name, source })
    }

    /// The field `value`, prompted for.
    pub fn prompted() -> Self {
        Self {
            name: "value".into(),
            source: Source::Prompt,
        }
    }

    /// Whether it takes all of standard input.
    pub fn takes_stdin(&self) -> bool {
        matches!(self.source, Source::Stdin)
    }

    /// Gets the value from where it is.
    pub fn value(self) -> Result<FieldValue, Failure> {
        let bytes = match self.source {
            Source::Typed(bytes) => bounded(Zeroizing::new(bytes), "The value")?,
            Source::File(path) => {
                let unreadable = |error: std::io::Error| {
                    Failure::usage(format!(
                        "{} cannot be read ({}).",
                        path.display(),
                        error.kind()
                    ))
                };
                let file = std::fs::File::open(&path).map_err(unreadable)?;
                bounded(
                    read(file, VALUE_BYTES_MAX).map_err(unreadable)?,
                    &path.display().to_string(),
                )?
            }
            Source::Stdin => bounded(read_stdin(VALUE_BYTES_MAX)?, "Standard input")?,
            Source::Prompt => Zeroizing::new(prompt(&self.name)?.into_bytes()),
        };
        Ok(text_or_bytes(bytes))
    }
}

/// A token on standard input, with or without a newline after it.
pub fn token_from_stdin() -> Result<Zeroizing<String>, Failure> {
    let malformed = || Failure::usage("Standard input does not hold one token.");
    let bytes = read_stdin(TOKEN_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let token = text.strip_suffix('\n').unwrap_or(text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if token.is_empty()
        || token.len() > TOKEN_BYTES_MAX
        || !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(malformed());
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn prompt(name: &str) -> Result<String, Failure> {
    rpassword::prompt_password(format!("{name}: ")).map_err(|_| {
        Failure::usage(format!("There is no terminal to ask on: give {name}=- and the value on standard input, or {name}=@FILE."))
    })
}

fn read_stdin(bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read(std::io::stdin().lock(), bytes_max).map_err(|error| {
        Failure::usage(format!("Standard input cannot be read ({}).", error.kind()))
    })
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

fn text_or_bytes(mut bytes: Zeroizing<Vec<u8>>) -> FieldValue {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => FieldValue::text(text),
        Err(error) => FieldValue::bytes(error.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(argument: &str) -> Result<FieldArgument, Failure> {
        FieldArgument::parse(OsStr::new(argument))
    }

    #[test]
    fn typed_values_are_taken_byte_for_byte() {
        for (argument, value) in [
            ("a=x", "x"),
            ("a=", ""),
            ("a=b=c", "b=c"),
            ("a= x\n", " x\n"),
            ("a=--", "--"),
        ] {
            let field = parsed(argument).expect("a field");
            assert_eq!(field.name, "a");
            assert_eq!(field.value().expect("a value").expose(), value.as_bytes());
        }
        let raw = FieldArgument::parse(OsStr::from_bytes(b"a=\xff\x01")).expect("a field");
        let value = raw.value().expect("a value");
        assert!(value.expose_text().is_none());
        assert_eq!(value.expose(), b"\xff\x01");
    }

    #[test]
    fn files_are_taken_byte_for_byte_up_to_the_limit() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("f");
        let argument = format!("a=@{}", path.display());
        for bytes in [&b"line\n"[..], b"", b"\0\xff", &vec![b'x'; VALUE_BYTES_MAX]] {
            std::fs::write(&path, bytes).expect("written");
            let value = parsed(&argument)
                .expect("a field")
                .value()
                .expect("a value");
            assert_eq!(value.expose(), bytes);
        }
        std::fs::write(&path, vec![b'x'; VALUE_BYTES_MAX + 1]).expect("written");
        assert!(parsed(&argument).expect("a field").value().is_err());
        assert!(
            parsed("a=@/nowhere/at/all")
                .expect("a field")
                .value()
                .is_err()
        );
    }

    #[test]
    fn what_is_no_field_is_refused_without_repeating_it() {
        for bad in ["=hunter2", "hunter2!", "a b=hunter2", "a=@", ""] {
            let failure = parsed(bad).err().expect(bad);
            assert!(!failure.text().contains("hunter2"), "{bad}");
        }
        assert!(parsed("a=-").expect("a field").takes_stdin());
        assert!(!parsed("a").expect("a field").takes_stdin());
    }
}
