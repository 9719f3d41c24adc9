//! What a command prints: lines and tables for people, the API's bodies for programs.
//! Text from elsewhere is printed so that it cannot steer a terminal; only a value that was asked for goes out as it is.
//!
//! Invariant: everything goes through [`Output`], so that a reader who leaves early ends the command quietly.

use crate::failure::Failure;
use std::io::{IsTerminal, Write};

/// What a value looks like where it was not asked for.
pub const MASK: &str = "********";

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// The API's body.
    Json,
}

/// Standard output, as it was asked for.
#[derive(Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// In this format.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether bodies are wanted instead of tables.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person looks at it.
    pub fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Exactly these bytes.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Bytes of JSON: as they came, but on a terminal with what could steer it escaped, which is the same JSON.
    pub fn json_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.is_terminal() {
            return self.bytes(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            if c != '\n' && steers(c) {
                clean.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                clean.push(c);
            }
        }
        self.bytes(clean.as_bytes())
    }

    /// A body, ending in a newline; `{}` for an answer without one.
    pub fn body(&self, body: &[u8]) -> Result<(), Failure> {
        match body.trim_ascii() {
            [] => self.bytes(b"{}\n"),
            body => self.json_bytes(body).and_then(|()| self.bytes(b"\n")),
        }
    }

    /// A body put together from several.
    pub fn json(&self, body: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec(body);
        self.body(&text.map_err(|_| {
            Failure::failed("The result cannot be written as JSON: this is a mistake in coffer.")
        })?)
    }

    /// One line.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{}\n", printable(text)).as_bytes())
    }

    /// Columns under headings, two spaces between.
    pub fn table(&self, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.bytes(table(headings, rows).as_bytes())
    }
}

/// One line on standard error, for what is neither result nor failure.
pub fn note(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// Control characters, and those that reorder text.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes control characters and those that reorder text.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings = headings.iter().map(|heading| heading.to_string()).collect();
    let clean = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = std::iter::once(headings)
        .chain(rows.iter().map(clean))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = width(column).unwrap_or(0) - cell.chars().count() + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["a/b".to_owned(), "1".to_owned()],
            vec!["é".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["PATH", "VERSION"], &rows),
            "PATH  VERSION\na/b   1\né\n"
        );
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31m\n\u{9b}\u{202e}\u{61c}é"),
            "a\\u{1b}[31m\\n\\u{9b}\\u{202e}\\u{61c}é"
        );
    }
}
