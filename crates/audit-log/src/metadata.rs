//! A record's metadata: a JSON object of strings, its keys sorted as RFC 8785 says.
//! Two keys that are equal would let two readers see two values, so each stands there once.
//!
//! Invariant: keys ascend strictly by UTF-16 code units.

use std::collections::BTreeMap;

use crate::canonical::{Cursor, write_string};
use crate::record::RecordError;

/// Writes the object.
pub(crate) fn write_metadata(metadata: &BTreeMap<String, String>, out: &mut Vec<u8>) {
    let mut separator = b'{';
    let mut pair = |(key, value): (&String, &String)| {
        out.push(separator);
        write_string(key, out);
        out.push(b':');
        write_string(value, out);
        separator = b',';
    };
    if metadata.keys().all(|key| key.is_ascii()) {
        metadata.iter().for_each(&mut pair);
    } else {
        // RFC 8785 sorts by UTF-16 code units, which differs from the map's order beyond U+FFFF.
        let mut pairs: Vec<_> = metadata.iter().collect();
        pairs.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        pairs.into_iter().for_each(&mut pair);
    }
    if metadata.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
}

/// Reads the object; only what [`write_metadata`] writes.
pub(crate) fn read_metadata(
    from: &mut Cursor<'_>,
) -> Result<BTreeMap<String, String>, RecordError> {
    const WRONG: RecordError = RecordError::NotCanonical("metadata");
    let mut metadata = BTreeMap::new();
    if from.pass("{}") {
        return Ok(metadata);
    }
    let mut last: Option<String> = None;
    loop {
        if !from.pass(if last.is_none() { "{" } else { "," }) {
            return Err(WRONG);
        }
        let key = from.string().ok_or(WRONG)?.into_owned();
        let value = if from.pass(":") {
            from.string().ok_or(WRONG)?
        } else {
            return Err(WRONG);
        };
        if last.is_some_and(|last| last.encode_utf16().ge(key.encode_utf16())) {
            return Err(WRONG);
        }
        last = Some(key.clone());
        metadata.insert(key, value.into_owned());
        if from.pass("}") {
            return Ok(metadata);
        }
    }
}
