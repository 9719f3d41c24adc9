//! Reads a text line by line, counting, and never holds more of it than one line may have.
//! A line ends in exactly one newline; the text ends right after the last one.
//!
//! Invariant: every byte read is part of a line that was handed out, or of a newline.

use std::io::{BufRead, ErrorKind, Read};

use crate::damage::Damage;

/// Longest line with one field, in bytes.
const FIELD_LINE_BYTES_MAX: usize = 1024;

pub(crate) struct Lines<R> {
    reader: R,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            line: 0,
            text: Vec::new(),
        }
    }

    /// The number of the line handed out last, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next line without its newline, and its number.
    pub(crate) fn next_numbered(&mut self, bytes_max: usize) -> Result<(u64, &[u8]), Damage> {
        self.line += 1;
        let line = self.line;
        self.text.clear();
        let limit = bytes_max as u64 + 1;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.text);
        let read = read.map_err(|error| Damage::Unreadable {
            line,
            kind: error.kind(),
        })?;
        match self.text.split_last() {
            Some((b'\n', text)) => Ok((line, text)),
            _ if read as u64 == limit => Err(Damage::LongLine { line }),
            _ => Err(Damage::Short { line }),
        }
    }

    /// The next line without its newline.
    pub(crate) fn next(&mut self, bytes_max: usize) -> Result<&[u8], Damage> {
        self.next_numbered(bytes_max).map(|(_, text)| text)
    }

    /// What follows this word on the next line; `None` when the line does not begin with it or is no text.
    pub(crate) fn next_field(&mut self, word: &str) -> Result<Option<&str>, Damage> {
        let text = self.next(FIELD_LINE_BYTES_MAX)?;
        Ok(std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.strip_prefix(word)))
    }

    /// That nothing is left.
    pub(crate) fn end(&mut self) -> Result<(), Damage> {
        let line = self.line + 1;
        let mut next = [0; 1];
        loop {
            match self.reader.read(&mut next) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(Damage::Trailing { line }),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(Damage::Unreadable {
                        line,
                        kind: error.kind(),
                    });
                }
            }
        }
    }

    /// The damage that the line handed out last is not what belongs there.
    pub(crate) fn unexpected(&self, expected: &'static str) -> Damage {
        Damage::Unexpected {
            line: self.line,
            expected,
        }
    }
}
