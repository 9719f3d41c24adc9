//! Where a field's value comes from: typed, a file, standard input, or a prompt without echo.
//! Bytes are taken as they are; those that are valid UTF-8 cross the wire as text.
//!
//! Invariant: no message repeats an argument that may hold a value.

use crate::failure::Failure;
use crate::names;
use crate::sources::{self, Source};
use coffer_api::FieldValue;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use zeroize::Zeroizing;

/// The longest token that standard input may hold; real ones have about sixty characters.
const TOKEN_BYTES_MAX: usize = 256;

/// One argument of `set`.
pub struct FieldArgument {
    /// The field's name.
    pub name: String,
    source: Source,
}

impl FieldArgument {
    /// `FIELD=VALUE`, `FIELD=@FILE`, `FIELD=-` or `FIELD`.
    pub fn parse(argument: &OsStr) -> Result<Self, Failure> {
        let bytes = argument.as_bytes();
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        let source = Source::parse(value)
            .ok_or_else(|| Failure::usage("After FIELD=@ the name of a file is missing."))?;
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
        self.source.takes_stdin()
    }

    /// Gets the value from where it is.
    pub fn value(self) -> Result<FieldValue, Failure> {
        let name = &self.name;
        let instead = format!("give {name}=- and the value on standard input, or {name}=@FILE");
        let bytes = self.source.bytes(name, &instead)?;
        Ok(text_or_bytes(bytes))
    }
}

/// A token on standard input, with or without a newline after it.
pub fn token_from_stdin() -> Result<Zeroizing<String>, Failure> {
    let malformed = || Failure::usage("Standard input does not hold one token.");
    let bytes = sources::read_stdin(TOKEN_BYTES_MAX)?;
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

fn text_or_bytes(mut bytes: Zeroizing<Vec<u8>>) -> FieldValue {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => FieldValue::text(text),
        Err(error) => FieldValue::bytes(error.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::VALUE_BYTES_MAX;

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
