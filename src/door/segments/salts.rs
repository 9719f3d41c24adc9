//! Salts: each is derived from a seed that its batch has for itself, so what is stored needs the seed alone.
//! They are half of what would be left of a record once it is compressed.
//!
//! Invariant: a line from which its salt was taken is, with the salt put back, the line that was hashed.

use memchr::memmem;
use sha2::{Digest, Sha256};

/// What the salts of a batch are made from.
pub(super) type Seed = [u8; 32];

/// What stands before a salt. A record's own is the last such place in its line: no text after it can hold a quotation
/// mark without a backslash, and metadata stand before it.
const BEFORE: &[u8] = b"\"salt\":\"";
/// In hexadecimal.
const SALT_BYTES: usize = 32;

/// A salt that only who opens the segment can know: SHA-256 of the seed and the index, cut to 128 bits.
pub(super) fn salt(seed: &Seed, index: u64) -> [u8; 16] {
    let hash = Sha256::new()
        .chain_update(seed)
        .chain_update(index.to_be_bytes())
        .finalize();
    let mut salt = [0; 16];
    salt.copy_from_slice(&hash[..16]);
    salt
}

/// Takes the salt out of the line that begins at `start` and is the last.
pub(super) fn take_out(lines: &mut Vec<u8>, start: usize) {
    if let Some(at) = place(&lines[start..]) {
        lines.drain(start + at..start + at + SALT_BYTES);
    }
}

/// Writes a line with its salt put back; false when it is none from which one was taken.
pub(super) fn put_back(line: &[u8], salt: [u8; 16], out: &mut Vec<u8>) -> bool {
    let Some((before, after)) = place(line).and_then(|at| line.split_at_checked(at)) else {
        return false;
    };
    out.extend_from_slice(before);
    for byte in salt {
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    out.extend_from_slice(after);
    after.first() == Some(&b'"')
}

/// Where a line's salt begins, or was.
fn place(line: &[u8]) -> Option<usize> {
    let last = memmem::find_iter(line, BEFORE).last()?;
    Some(last + BEFORE.len())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use coffer_audit_log::{Outcome, Record, Verdict};
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("\"salt\":\"".to_owned()),
            Just("\\\"salt\":\"\\".to_owned()),
            Just("salt".to_owned()),
            "[ -~]{0,12}",
            ".{0,6}",
        ]
    }

    proptest! {
        #[test]
        fn a_salt_that_was_taken_is_put_back(texts in prop::collection::vec(text(), 9), with in any::<bool>(), seed in any::<[u8; 32]>(), index in any::<u64>()) {
            let metadata: BTreeMap<String, String> =
                [("salt".to_owned(), String::new()), (texts[0].clone(), texts[1].clone())].into();
            let cow = |at: usize| Cow::Borrowed(texts[at].as_str());
            let some = |at: usize| with.then(|| cow(at));
            let record = Record {
                id: cow(2),
                time: 1,
                salt: salt(&seed, index),
                stream: cow(3),
                index,
                as_of: 1,
                principal: some(4),
                token: some(5),
                source: some(6),
                user_agent: some(7),
                action: cow(8),
                resource: cow(0),
                version: None,
                verdict: Verdict::Allowed,
                scope: some(1),
                outcome: Outcome { code: cow(2), status: 200 },
                request: some(3),
                metadata: with.then_some(Cow::Borrowed(&metadata)),
                digest: None,
            };
            let mut lines = b"before\n".to_vec();
            record.write(&mut lines).expect("a record");
            let whole = lines[7..].to_vec();
            take_out(&mut lines, 7);
            prop_assert_eq!(lines.len(), 7 + whole.len() - SALT_BYTES);
            let mut again = Vec::new();
            prop_assert!(put_back(&lines[7..], salt(&seed, index), &mut again));
            prop_assert_eq!(again, whole);
        }
    }
}
