//! Properties of what the ranks of keys seal: open∘seal = id, a flipped byte is refused, a moved thing is refused.
//! Stories of single keys and places are in `stories`.
//!
//! Invariant: each property is asked of the public API, as the rest of Coffer asks it.

use proptest::prelude::*;

use super::*;
use crate::{
    entropy::{Entropy, SeededEntropy},
    model::{ClusterId, DocumentKind, EnvironmentId, ProjectId, SecretId, StreamId},
};

pub(super) const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
pub(super) const PROJECT: ProjectId = ProjectId::from_bytes([2; 16]);
pub(super) const ENVIRONMENT: EnvironmentId = EnvironmentId::from_bytes([3; 16]);
pub(super) const SECRET: SecretId = SecretId::from_bytes([4; 16]);
pub(super) const STREAM: StreamId = StreamId::from_bytes([5; 16]);
pub(super) const OTHER: [u8; 16] = [9; 16];

pub(super) fn keyring(entropy: &dyn Entropy) -> Keyring {
    Keyring::generate(entropy, RootKey::generate(entropy), CLUSTER)
        .unwrap()
        .0
}

pub(super) fn version(number: u64) -> VersionContext<'static> {
    VersionContext {
        secret: SECRET,
        path: "billing/stripe",
        version: number,
    }
}

pub(super) fn document() -> DocumentContext<'static> {
    DocumentContext {
        kind: DocumentKind::Principal,
        project: Some(PROJECT),
        environment: None,
        id: *SECRET.as_bytes(),
        name: "billing",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_sealed_opens_and_nothing_else(
        seed: u64,
        payload in prop::collection::vec(any::<u8>(), 0..600),
        at: prop::sample::Index,
        bit in 0u8..8,
        cut: prop::sample::Index,
    ) {
        let entropy = SeededEntropy::new(seed);
        let ring = keyring(&entropy);
        let (key, _) = ring.generate_environment_key(&entropy, PROJECT, ENVIRONMENT, 1).unwrap();
        let (data, wrapped) = key.new_data_key(&entropy, &version(1)).unwrap();
        let payload_sealed = data.seal(&entropy, &version(1), &payload).unwrap();
        let document_sealed = ring.seal_document(&entropy, &document(), &payload).unwrap();
        let segment_sealed = ring.seal_segment(&entropy, STREAM, 7, 3, &payload).unwrap();
        prop_assert_eq!(payload_sealed.len(), payload.len() + ENVELOPE_OVERHEAD_BYTES);

        type Open<'a> = Box<dyn Fn(&[u8]) -> Result<SecretBytes, CryptoError> + 'a>;
        let prepared = data.prepare(&version(1), &payload_sealed).unwrap();
        let opens: [(Open<'_>, &Vec<u8>); 4] = [
            (Box::new(|bytes| data.open(&version(1), bytes)), &payload_sealed),
            (Box::new(|bytes| prepared.open(bytes)), &payload_sealed),
            (Box::new(|bytes| ring.open_document(&document(), bytes)), &document_sealed),
            (Box::new(|bytes| ring.open_segment(STREAM, 7, 3, bytes)), &segment_sealed),
        ];
        for (open, sealed) in &opens {
            let opened = open(sealed).unwrap();
            prop_assert_eq!(opened.expose(), &payload[..]);
            let mut flipped = (*sealed).clone();
            flipped[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open(&flipped).is_err());
            prop_assert!(open(&sealed[..cut.index(sealed.len())]).is_err());
            prop_assert!(open(&[sealed.as_slice(), &[0]].concat()).is_err());
        }
        prop_assert!(key.open_data_key(&version(1), &wrapped).is_ok());
    }

    #[test]
    fn a_token_reads_back_and_a_changed_one_does_not(seed: u64, at: prop::sample::Index, byte: u8) {
        let token = PlainToken::generate(&SeededEntropy::new(seed), TokenKind::App);
        let text = token.expose().as_bytes().to_vec();
        let again = PlainToken::parse(&text).expect("it was just made");
        prop_assert_eq!(again.expose(), token.expose());
        let mut changed = text.clone();
        changed[at.index(text.len())] = byte;
        prop_assert_eq!(PlainToken::parse(&changed).is_some(), changed == text);
    }
}

/// Every byte, not a sample: each is bound.
#[test]
fn no_byte_of_an_envelope_can_change() {
    let entropy = SeededEntropy::new(1);
    let ring = keyring(&entropy);
    let sealed = ring
        .seal_document(&entropy, &document(), b"may read everything")
        .unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            assert!(
                ring.open_document(&document(), &flipped).is_err(),
                "byte {at}, bit {bit}"
            );
        }
    }
}

#[test]
fn the_check_value_knows_its_root_key() {
    let (root, other) = (
        RootKey::generate(&SeededEntropy::new(1)),
        RootKey::generate(&SeededEntropy::new(2)),
    );
    let value = root.check_value(RootPlace::of(CLUSTER));
    assert!(root.matches(RootPlace::of(CLUSTER), &value));
    assert!(
        !other.matches(RootPlace::of(CLUSTER), &value)
            && !root.matches(RootPlace::of(ClusterId::from_bytes(OTHER)), &value)
    );
    assert!(
        !root.matches(RootPlace::of(CLUSTER), &value[..31])
            && !root.matches(RootPlace::of(CLUSTER), &[])
    );
}

/// CVE-2018-19786: a seal provider that answers with garbage gets an error, and no byte of it is shown.
#[test]
fn garbage_is_no_root_key() {
    for bytes in [
        vec![],
        vec![7; 31],
        vec![7; 33],
        vec![0; 32],
        vec![255; 32],
        vec![7; 64],
    ] {
        let refused = RootKey::from_secret(&SecretBytes::new(bytes))
            .err()
            .expect("garbage is refused");
        assert_eq!(
            refused.to_string(),
            "sealed data does not open with this key at this place"
        );
    }
}

#[test]
fn salts_are_never_drawn_twice() {
    let entropy = crate::entropy::SystemEntropy;
    let ring = keyring(&entropy);
    let salts = (0..20_000)
        .map(|_| ring.seal_document(&entropy, &document(), b"").unwrap()[6..38].to_vec());
    assert_eq!(
        salts.collect::<std::collections::HashSet<_>>().len(),
        20_000
    );
}
