//! Records of the log as the server sends them: one line of JSON each.
//! They are shown and not believed: only `audit verify` says whether to.
//!
//! Invariant: a record that is printed as JSON is the line that came, byte for byte.

use crate::failure::Failure;
use crate::output::Output;
use serde_json::Value;

/// One line of the log, as it came and as it reads.
pub struct Record {
    line: String,
    keys: Value,
}

impl Record {
    /// Reads a line, without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, Failure> {
        let unknown = || {
            Failure::failed(
                "The server's records are not understood: is it newer than this command?",
            )
        };
        let line = std::str::from_utf8(line).map_err(|_| unknown())?.to_owned();
        let keys = serde_json::from_str(&line).map_err(|_| unknown())?;
        Ok(Self { line, keys })
    }

    /// Prints it: as it came for `-o json`, else as it reads.
    pub fn print(&self, output: Output) -> Result<(), Failure> {
        if output.is_json() {
            output.body(self.line.as_bytes())
        } else {
            output.line(&self.shown())
        }
    }

    /// The text of a key, empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.keys
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Time, who, what, and what came of it.
    pub(crate) fn shown(&self) -> String {
        let version = match self.text("version") {
            "" => String::new(),
            version => format!(" version {version}"),
        };
        let outcome = self.keys.get("outcome");
        let status = outcome
            .and_then(|outcome| outcome.get("status"))
            .map(Value::to_string)
            .unwrap_or_default();
        let code = outcome
            .and_then(|outcome| outcome.get("code"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let who = if self.text("principal").is_empty() {
            "-"
        } else {
            self.text("principal")
        };
        let (time, action, resource, verdict) = (
            self.text("time"),
            self.text("action"),
            self.text("resource"),
            self.text("verdict"),
        );
        format!("{time}  {who}  {action} {resource}{version}  {verdict}  {status} {code}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_in_one_line() {
        let line = r#"{"action":"read","outcome":{"code":"ok","status":200},"principal":"root","resource":"a/b/c","time":"T","verdict":"allowed","version":"3"}"#;
        let record = Record {
            line: line.into(),
            keys: serde_json::from_str(line).expect("JSON"),
        };
        assert_eq!(
            record.shown(),
            "T  root  read a/b/c version 3  allowed  200 ok"
        );
    }
}
