//! Fuzz targets of what is sealed and shown: envelopes that nobody sealed, and texts that are nearly tokens.
//!
//! Invariant: no key in here is used anywhere else.

use std::sync::LazyLock;

use super::envelope::{ENVELOPE_OVERHEAD_BYTES, term};
use super::{DocumentContext, Keyring, PlainToken, RootKey};
use crate::entropy::SeededEntropy;
use crate::model::{ClusterId, DocumentKind};

const PAYLOAD: &[u8] = b"may read everything";
const CONTEXT: DocumentContext<'static> = DocumentContext {
    kind: DocumentKind::Principal,
    project: None,
    environment: None,
    id: [4; 16],
    name: "billing",
};

/// A ring of keys, and what it has sealed.
static SEALED: LazyLock<(Keyring, Vec<u8>)> = LazyLock::new(|| {
    let entropy = SeededEntropy::new(7);
    let root = RootKey::generate(&entropy);
    let made = Keyring::generate(&entropy, root, ClusterId::from_bytes([1; 16]));
    let (ring, _) = made.expect("keys can be wrapped");
    let sealed = ring.seal_document(&entropy, &CONTEXT, PAYLOAD);
    (ring, sealed.expect("it is short"))
});

/// As an envelope by itself, and as changes to one that is true: the place of a byte, and what it becomes.
pub(crate) fn envelope(input: &[u8]) {
    let (ring, sealed) = &*SEALED;
    let opened = ring.open_document(&CONTEXT, input);
    assert_eq!(opened.is_ok(), input == sealed, "nobody sealed this");
    if let Ok(term) = term(input) {
        assert!(input.len() >= ENVELOPE_OVERHEAD_BYTES);
        assert_eq!(input[2..6], term.to_be_bytes());
    }
    let mut changed = sealed.clone();
    for change in input.chunks_exact(2) {
        let at = usize::from(change[0]);
        match changed.get_mut(at) {
            Some(byte) => *byte = change[1],
            None => changed.push(change[1]),
        }
    }
    match ring.open_document(&CONTEXT, &changed) {
        Ok(opened) => {
            assert_eq!(&changed, sealed);
            assert_eq!(opened.expose(), PAYLOAD);
        }
        Err(_) => assert_ne!(&changed, sealed),
    }
}

/// A token, which has one spelling, and none that is nearly it.
pub(crate) fn token(input: &[u8]) {
    let Some(token) = PlainToken::parse(input) else {
        return;
    };
    assert_eq!(token.expose().as_bytes(), input);
    let begin = format!("cof_{}_", token.kind().as_str());
    assert!(token.expose().starts_with(&begin));
    assert_eq!(input.len(), begin.len() + 43 + 1 + 6);
    for at in 0..input.len() {
        let mut near = input.to_vec();
        near[at] ^= 1;
        assert!(PlainToken::parse(&near).is_none(), "{at}");
        near.remove(at);
        assert!(PlainToken::parse(&near).is_none(), "{at}");
    }
}
