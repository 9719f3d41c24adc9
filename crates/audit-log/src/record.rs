//! One record: who asked for what, when, and what the door decided, as one line of canonical JSON (RFC 8785).
//! The line an auditor reads is the line that was hashed, so a record has exactly one spelling.
//!
//! Invariant: `parse` takes a line only if `write` gives the same bytes again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::canonical::{Cursor, decimal, hex, write_decimal, write_hex, write_string};
use crate::instant::{instant_text, parse_instant};
use crate::metadata::{read_metadata, write_metadata};

/// Longest record in bytes, without its newline.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The number in a record's `format`.
pub const RECORD_FORMAT: u64 = 1;

/// One record of the log. The keys of the line are the fields' names, and `format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Boot id and counter: names one request for good.
    pub id: Cow<'a, str>,
    /// When it was decided: microseconds since 1970, UTC. Never less than that of the record before.
    pub time: i64,
    /// Keeps a record's hash from being found by guessing its content.
    pub salt: [u8; 16],
    /// The stream's id.
    pub stream: Cow<'a, str>,
    /// The position in the stream, from 0.
    pub index: u64,
    /// The change sequence at which the decision stood.
    pub as_of: u64,
    /// Who asked, when that is known.
    pub principal: Option<Cow<'a, str>>,
    /// The id of the token, never the token.
    pub token: Option<Cow<'a, str>>,
    /// The address it came from.
    pub source: Option<Cow<'a, str>>,
    /// What the client called itself.
    pub user_agent: Option<Cow<'a, str>>,
    /// The action of the scopes: `read`, `write` and so on.
    pub action: Cow<'a, str>,
    /// The resource, spelled as in a scope.
    pub resource: Cow<'a, str>,
    /// The version that was read or made.
    pub version: Option<u64>,
    /// Whether the door let it in.
    pub verdict: Verdict,
    /// The scope that decided.
    pub scope: Option<Cow<'a, str>>,
    /// What was answered.
    pub outcome: Outcome<'a>,
    /// The request's id; one request can leave several records.
    pub request: Option<Cow<'a, str>>,
    /// What the client asked to have recorded; an anchor's heads.
    pub metadata: Option<Cow<'a, BTreeMap<String, String>>>,
    /// SHA-256 of a written ciphertext.
    pub digest: Option<[u8; 32]>,
}

/// Whether a request was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Some scope allows it, on the token, its ancestors and the principal.
    Allowed,
    /// None does, or a refusal wins.
    Refused,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// `ok`, or the code of the problem.
    pub code: Cow<'a, str>,
    /// The HTTP status, 100 to 999.
    pub status: u16,
}

/// A record that cannot be written, or a line that is none. It never holds a part of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Past [`RECORD_BYTES_MAX`].
    #[error("the record is longer than {RECORD_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the record is not UTF-8")]
    NotText,
    /// Missing, misplaced, unknown or not canonical at, or just before, this key.
    #[error("the record is not canonical at or before \"{0}\"")]
    NotCanonical(&'static str),
    /// Before 1970 or after 9999.
    #[error("the record's time is not between 1970 and 9999")]
    Time,
    /// Not 100 to 999.
    #[error("the record's status is not between 100 and 999")]
    Status,
}

impl<'a> Record<'a> {
    /// Appends the record's line, without a newline. Allocates nothing but what `out` needs, unless a key of the
    /// metadata is not ASCII.
    ///
    /// # Errors
    /// [`RecordError::TooLong`], [`RecordError::Time`] or [`RecordError::Status`]; `out` is then as it was.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let time = instant_text(self.time).ok_or(RecordError::Time)?;
        if !(100..=999).contains(&self.outcome.status) {
            return Err(RecordError::Status);
        }
        let start = out.len();
        self.write_fields(&time, out);
        if out.len() - start > RECORD_BYTES_MAX {
            out.truncate(start);
            return Err(RecordError::TooLong);
        }
        Ok(())
    }

    /// Reads a line, without its newline. Nothing is copied but strings with escapes and metadata.
    ///
    /// # Errors
    /// [`RecordError`] for anything but the one spelling of a record: an unknown, missing or misplaced key included.
    pub fn parse(line: &'a [u8]) -> Result<Self, RecordError> {
        if line.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong);
        }
        Self::read_fields(&mut Cursor::new(
            std::str::from_utf8(line).map_err(|_| RecordError::NotText)?,
        ))
    }

    /// The record without borrowed parts.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        Record {
            id: owned(self.id),
            time: self.time,
            salt: self.salt,
            stream: owned(self.stream),
            index: self.index,
            as_of: self.as_of,
            principal: self.principal.map(owned),
            token: self.token.map(owned),
            source: self.source.map(owned),
            user_agent: self.user_agent.map(owned),
            action: owned(self.action),
            resource: owned(self.resource),
            version: self.version,
            verdict: self.verdict,
            scope: self.scope.map(owned),
            outcome: Outcome {
                code: owned(self.outcome.code),
                status: self.outcome.status,
            },
            request: self.request.map(owned),
            metadata: self
                .metadata
                .map(|metadata| Cow::Owned(metadata.into_owned())),
            digest: self.digest,
        }
    }

    /// Writes every field in the order RFC 8785 sorts the keys; [`Record::read_fields`] is its mirror.
    fn write_fields(&self, time: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"action\":");
        write_string(&self.action, out);
        write_number_text(",\"as_of\":\"", Some(self.as_of), out);
        write_hex_text(
            ",\"digest\":\"",
            self.digest.as_ref().map(<[u8; 32]>::as_slice),
            out,
        );
        out.extend_from_slice(b",\"format\":1,\"id\":");
        write_string(&self.id, out);
        write_number_text(",\"index\":\"", Some(self.index), out);
        if let Some(metadata) = &self.metadata {
            out.extend_from_slice(b",\"metadata\":");
            write_metadata(metadata, out);
        }
        out.extend_from_slice(b",\"outcome\":{\"code\":");
        write_string(&self.outcome.code, out);
        out.extend_from_slice(b",\"status\":");
        write_decimal(u64::from(self.outcome.status), out);
        out.push(b'}');
        write_text(",\"principal\":", self.principal.as_deref(), out);
        write_text(",\"request\":", self.request.as_deref(), out);
        write_text(",\"resource\":", Some(&self.resource), out);
        write_hex_text(",\"salt\":\"", Some(&self.salt), out);
        write_text(",\"scope\":", self.scope.as_deref(), out);
        write_text(",\"source\":", self.source.as_deref(), out);
        write_text(",\"stream\":", Some(&self.stream), out);
        out.extend_from_slice(b",\"time\":\"");
        out.extend_from_slice(time);
        out.push(b'"');
        write_text(",\"token\":", self.token.as_deref(), out);
        write_text(",\"user_agent\":", self.user_agent.as_deref(), out);
        write_text(",\"verdict\":", Some(self.verdict.as_str()), out);
        write_number_text(",\"version\":\"", self.version, out);
        out.push(b'}');
    }

    /// Reads every field in its one place, in its one spelling.
    fn read_fields(from: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let action = if from.pass("{\"action\":") {
            from.string()
        } else {
            None
        };
        let action = action.ok_or(RecordError::NotCanonical("action"))?;
        let as_of = required(read_number_text(from, "as_of")?, "as_of")?;
        let digest = read_hex_text(from, "digest")?;
        if !from.pass(",\"format\":1") {
            return Err(RecordError::NotCanonical("format"));
        }
        let id = required(read_text(from, "id")?, "id")?;
        let index = required(read_number_text(from, "index")?, "index")?;
        let metadata = if from.pass(",\"metadata\":") {
            Some(Cow::Owned(read_metadata(from)?))
        } else {
            None
        };
        let outcome = read_outcome(from).ok_or(RecordError::NotCanonical("outcome"))?;
        let principal = read_text(from, "principal")?;
        let request = read_text(from, "request")?;
        let resource = required(read_text(from, "resource")?, "resource")?;
        let salt = required(read_hex_text(from, "salt")?, "salt")?;
        let scope = read_text(from, "scope")?;
        let source = read_text(from, "source")?;
        let stream = required(read_text(from, "stream")?, "stream")?;
        let time = required(read_text(from, "time")?, "time")?;
        let time = parse_instant(&time).ok_or(RecordError::NotCanonical("time"))?;
        let token = read_text(from, "token")?;
        let user_agent = read_text(from, "user_agent")?;
        let verdict = read_text(from, "verdict")?.and_then(|verdict| Verdict::parse(&verdict));
        let verdict = required(verdict, "verdict")?;
        let version = read_number_text(from, "version")?;
        if !from.pass("}") || !from.at_end() {
            return Err(RecordError::NotCanonical("version"));
        }
        Ok(Self {
            id,
            time,
            salt,
            stream,
            index,
            as_of,
            principal,
            token,
            source,
            user_agent,
            action,
            resource,
            version,
            verdict,
            scope,
            outcome,
            request,
            metadata,
            digest,
        })
    }
}

impl Verdict {
    /// `allowed` or `refused`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Allowed, Self::Refused]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn required<T>(field: Option<T>, key: &'static str) -> Result<T, RecordError> {
    field.ok_or(RecordError::NotCanonical(key))
}

fn write_text(key: &str, text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        out.extend_from_slice(key.as_bytes());
        write_string(text, out);
    }
}

/// A 64-bit number is a string, because JSON's numbers end at 2^53. The key ends in the string's opening quote.
fn write_number_text(key: &str, number: Option<u64>, out: &mut Vec<u8>) {
    if let Some(number) = number {
        out.extend_from_slice(key.as_bytes());
        write_decimal(number, out);
        out.push(b'"');
    }
}

fn write_hex_text(key: &str, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(bytes) = bytes {
        out.extend_from_slice(key.as_bytes());
        write_hex(bytes, out);
        out.push(b'"');
    }
}

/// Passes `,"key":` if it comes next, and then demands a string.
fn read_text<'a>(
    from: &mut Cursor<'a>,
    key: &'static str,
) -> Result<Option<Cow<'a, str>>, RecordError> {
    if !from.pass_key(key) {
        return Ok(None);
    }
    from.string()
        .map(Some)
        .ok_or(RecordError::NotCanonical(key))
}

fn read_number_text(from: &mut Cursor<'_>, key: &'static str) -> Result<Option<u64>, RecordError> {
    let Some(text) = read_text(from, key)? else {
        return Ok(None);
    };
    decimal(&text)
        .map(Some)
        .ok_or(RecordError::NotCanonical(key))
}

fn read_hex_text<const N: usize>(
    from: &mut Cursor<'_>,
    key: &'static str,
) -> Result<Option<[u8; N]>, RecordError> {
    let Some(text) = read_text(from, key)? else {
        return Ok(None);
    };
    hex(&text).map(Some).ok_or(RecordError::NotCanonical(key))
}

fn read_outcome<'a>(from: &mut Cursor<'a>) -> Option<Outcome<'a>> {
    if !from.pass(",\"outcome\":{\"code\":") {
        return None;
    }
    let code = from.string()?;
    let status = if from.pass(",\"status\":") {
        from.number()?
    } else {
        return None;
    };
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (100..=999).contains(status))?;
    from.pass("}").then_some(Outcome { code, status })
}
