//! Fuzz targets of what is written down: records, heads, keys and bundles, documents, cursors, and what a spool holds.
//!
//! Invariant: what is accepted is written again as the same bytes.

use coffer_audit_log::{
    Checkpoint, ClusterId, Frontier, Hash, Origin, Record, StreamId, VerifierKey, leaf_hash,
    open_note, verify,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::kept::Kept;
use super::{Lease, Spooled, cursors, documents};
use crate::crypto::{Keyring, RootKey};
use crate::entropy::SeededEntropy;
use crate::fuzzing::{lines, text};
use crate::model::{
    self, AttemptId, Cluster, Connection, Environment, Fields, Principal, Project, Receipt, Secret,
    Timestamp, Token,
};
use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::LazyLock;

pub(crate) use super::log::fuzzing::log_filter;
pub(crate) use super::segments::fuzzing::{segment, segment_line, segment_packed};

/// A bundle that is true, and the key that it verifies under.
const BUNDLE: &[u8] = include_bytes!("../../tests/vectors/audit/example.bundle");
static KEY: LazyLock<VerifierKey> = LazyLock::new(|| {
    let key = include_str!("../../tests/vectors/audit/example.vkey");
    key.trim_end().parse().expect("the key of the vectors")
});

/// A line of the log, which must be what `serde_json` takes it for and have one spelling.
pub(crate) fn log_record(input: &[u8]) {
    let Ok(record) = Record::parse(input) else {
        return;
    };
    let mut again = Vec::new();
    record
        .write(&mut again)
        .expect("what was read can be written");
    assert_eq!(again, input, "a record has one spelling");
    let json: serde_json::Value = serde_json::from_slice(input).expect("a record is JSON");
    assert_eq!(json["action"], *record.action);
    assert_eq!(json["resource"], *record.resource);
    assert_eq!(json["stream"], *record.stream);
    assert_eq!(json["index"], record.index.to_string());
    assert_eq!(json["outcome"]["status"], record.outcome.status);
    assert_eq!(json["outcome"]["code"], *record.outcome.code);
    let text = |key: &str| json.get(key).and_then(|text| text.as_str());
    assert_eq!(text("principal"), record.principal.as_deref());
    assert_eq!(text("user_agent"), record.user_agent.as_deref());
    let metadata = json.get("metadata").and_then(|of| of.as_object());
    assert_eq!(
        metadata.map(serde_json::Map::len),
        record.metadata.as_ref().map(|of| of.len())
    );
    // The server's own reader of instants agrees with the log's.
    let time = text("time").and_then(|time| time.parse::<Timestamp>().ok());
    assert_eq!(time.map(Timestamp::micros), Some(record.time));
    assert_eq!(record.clone().into_owned(), record);
}

/// A head, signed and not, and the names and hashes in it.
pub(crate) fn log_head(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    if let Ok(head) = Checkpoint::parse(text) {
        assert_eq!(head.text(), text, "a head has one spelling");
    }
    one_spelling::<ClusterId>(text);
    one_spelling::<StreamId>(text);
    one_spelling::<Origin>(text);
    one_spelling::<Hash>(text);
    if let Ok(head) = open_note(text, &KEY) {
        let bundle = std::str::from_utf8(BUNDLE).expect("a bundle is text");
        assert!(bundle.contains(text), "nobody signed this");
        assert!(text.starts_with(&head.text()));
    }
}

/// The public key that an auditor holds.
pub(crate) fn log_key(input: &[u8]) {
    let Some(key) = text(input).and_then(one_spelling::<VerifierKey>) else {
        return;
    };
    let again = VerifierKey::new(key.name(), key.public_key());
    assert_eq!(again.as_ref(), Ok(&key));
    assert!(!key.signed(input, &[0; 64]));
}

/// A bundle, of which one alone verifies.
pub(crate) fn log_bundle(input: &[u8]) {
    if verify(input, &KEY).is_ok() {
        assert_eq!(input, BUNDLE, "nobody signed this");
    }
}

/// A tree's right edge, and the tree with one more record.
pub(crate) fn log_frontier(input: &[u8]) {
    let Ok(mut frontier) = Frontier::from_bytes(input) else {
        return;
    };
    assert_eq!(frontier.to_bytes(), input, "an edge has one spelling");
    if frontier.size() < u64::MAX {
        let before = frontier.clone();
        frontier.push(leaf_hash(input));
        assert_eq!(frontier.size(), before.size() + 1);
        assert_ne!(frontier.root(), before.root());
    }
}

/// A document of each kind.
pub(crate) fn document(input: &[u8]) {
    decoded::<Cluster>(input);
    decoded::<Project>(input);
    decoded::<Environment>(input);
    decoded::<Secret>(input);
    decoded::<Principal>(input);
    decoded::<Token>(input);
    decoded::<Lease>(input);
    decoded::<Connection>(input);
    decoded::<Receipt>(input);
}

/// A document that is read is written and read again as the same.
fn decoded<T: Serialize + DeserializeOwned>(input: &[u8]) {
    let Ok(document) = documents::decode::<T>(input) else {
        return;
    };
    let written = documents::encode(&document).expect("it is JSON");
    let again = documents::decode::<T>(&written).expect("its own JSON");
    assert_eq!(*documents::encode(&again).expect("it is JSON"), *written);
}

/// A listing, another one, a position and a cursor: a line each.
pub(crate) fn cursor(input: &[u8]) {
    static RING: LazyLock<Keyring> = LazyLock::new(|| {
        let entropy = SeededEntropy::new(11);
        let root = RootKey::generate(&entropy);
        let made = Keyring::generate(&entropy, root, model::ClusterId::from_bytes([2; 16]));
        made.expect("keys can be wrapped").0
    });
    let Some([listing, other, position, cursor]) = lines::<4>(input) else {
        return;
    };
    let key = RING.cursor_mac();
    let own = cursors::sign(key, listing, position);
    assert_eq!(cursors::open(key, listing, &own).as_deref(), Some(position));
    assert_eq!(cursors::open(key, other, &own).is_some(), listing == other);
    if let Some(position) = cursors::open(key, listing, cursor) {
        assert_eq!(
            cursors::sign(key, listing, &position),
            cursor,
            "nobody signed this"
        );
    }
}

/// What a node keeps of its own log.
pub(crate) fn kept(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    if let Some(kept) = Kept::parse(text) {
        assert_eq!(kept.to_text(), text, "what is kept has one spelling");
    }
}

/// A spooled answer, opened.
pub(crate) fn spooled(input: &[u8]) {
    let attempt = AttemptId::from_bytes([7; 16]);
    let read = |input: &[u8]| Spooled::of(attempt, Fields::decode(input)?);
    let Some(spooled) = read(input) else {
        return;
    };
    let written = spooled.fields().expose_encoded();
    let again = read(&written).expect("its own fields");
    assert_eq!(*again.fields().expose_encoded(), *written);
    assert_eq!(
        again.answer.access_token.expose(),
        spooled.answer.access_token.expose()
    );
    assert_eq!(again.refreshing, spooled.refreshing);
}

/// What the text says, which is printed as it was read.
fn one_spelling<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let read = text.parse::<T>().ok()?;
    assert_eq!(read.to_string(), text);
    Some(read)
}
