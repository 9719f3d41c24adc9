//! Properties of what the ranks of keys seal: open∘seal = id, a flipped byte is refused, a moved thing is refused.
//! Stories of single keys stand beside them.
//!
//! Invariant: each property is asked of the public API, as the rest of Coffer asks it.

use proptest::prelude::*;

use super::*;
use crate::{
    entropy::{Entropy, SeededEntropy},
    model::{
        ClusterId, DocumentKind, EnvironmentId, KeyKind, KeyRow, ProjectId, SecretId, StreamId,
    },
};

const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
const PROJECT: ProjectId = ProjectId::from_bytes([2; 16]);
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_bytes([3; 16]);
const SECRET: SecretId = SecretId::from_bytes([4; 16]);
const STREAM: StreamId = StreamId::from_bytes([5; 16]);
const OTHER: [u8; 16] = [9; 16];

fn keyring(entropy: &dyn Entropy) -> Keyring {
    Keyring::generate(entropy, RootKey::generate(entropy), CLUSTER)
        .unwrap()
        .0
}

fn version(number: u64) -> VersionContext<'static> {
    VersionContext {
        secret: SECRET,
        path: "billing/stripe",
        version: number,
    }
}

fn document() -> DocumentContext<'static> {
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
fn a_moved_document_or_segment_is_refused() {
    let entropy = SeededEntropy::new(2);
    let ring = keyring(&entropy);
    let here = document();
    let sealed = ring.seal_document(&entropy, &here, b"x").unwrap();
    let elsewhere = [
        DocumentContext {
            kind: DocumentKind::Token,
            ..here
        },
        DocumentContext {
            project: None,
            ..here
        },
        DocumentContext {
            project: Some(ProjectId::from_bytes(OTHER)),
            ..here
        },
        DocumentContext {
            environment: Some(ENVIRONMENT),
            ..here
        },
        DocumentContext {
            project: None,
            environment: Some(EnvironmentId::from_bytes(*PROJECT.as_bytes())),
            ..here
        },
        DocumentContext { id: OTHER, ..here },
        DocumentContext {
            name: "billinh",
            ..here
        },
        DocumentContext { name: "", ..here },
    ];
    for place in elsewhere {
        assert!(ring.open_document(&place, &sealed).is_err(), "{place:?}");
    }
    assert!(
        keyring(&SeededEntropy::new(3))
            .open_document(&here, &sealed)
            .is_err()
    );

    let segment = ring.seal_segment(&entropy, STREAM, 7, 3, b"x").unwrap();
    let summary = ring.seal_summary(&entropy, STREAM, 7, 3, b"x").unwrap();
    assert!(
        ring.open_segment(STREAM, 7, 3, &segment).is_ok()
            && ring.open_summary(STREAM, 7, 3, &summary).is_ok()
    );
    assert!(
        ring.open_segment(STREAM, 7, 3, &summary).is_err()
            && ring.open_summary(STREAM, 7, 3, &segment).is_err()
    );
    for (stream, first, count) in [
        (StreamId::from_bytes(OTHER), 7, 3),
        (STREAM, 8, 3),
        (STREAM, 7, 4),
        (STREAM, 7, 33),
    ] {
        assert!(ring.open_segment(stream, first, count, &segment).is_err());
    }
}

#[test]
fn a_moved_version_is_refused_and_a_rewrap_leaves_the_payload_alone() {
    let entropy = SeededEntropy::new(4);
    let ring = keyring(&entropy);
    let (old, stored) = ring
        .generate_environment_key(&entropy, PROJECT, ENVIRONMENT, 1)
        .unwrap();
    let (new, _) = ring
        .generate_environment_key(&entropy, PROJECT, ENVIRONMENT, 2)
        .unwrap();
    let (other, _) = ring
        .generate_environment_key(&entropy, PROJECT, EnvironmentId::from_bytes(OTHER), 1)
        .unwrap();
    let (data, wrapped) = old.new_data_key(&entropy, &version(1)).unwrap();
    let sealed = data.seal(&entropy, &version(1), b"sk_live").unwrap();

    for place in [
        version(2),
        VersionContext {
            path: "billing/strip",
            ..version(1)
        },
        VersionContext {
            secret: SecretId::from_bytes(OTHER),
            ..version(1)
        },
    ] {
        assert!(
            data.open(&place, &sealed).is_err() && old.open_data_key(&place, &wrapped).is_err(),
            "{place:?}"
        );
        assert!(data.prepare(&place, &sealed).is_err());
    }
    let again = data.seal(&entropy, &version(1), b"sk_live").unwrap();
    let prepared = data.prepare(&version(1), &sealed).unwrap();
    assert!(
        prepared.open(&again).is_err(),
        "a prepared key is for one payload"
    );

    assert!(
        new.open_data_key(&version(1), &wrapped).is_err()
            && other.open_data_key(&version(1), &wrapped).is_err()
    );
    assert!(
        other.rewrap(&entropy, &old, &version(1), &wrapped).is_err(),
        "nothing crosses environments"
    );
    let rewrapped = new.rewrap(&entropy, &old, &version(1), &wrapped).unwrap();
    assert!(old.open_data_key(&version(1), &rewrapped).is_err());
    let opened = new
        .open_data_key(&version(1), &rewrapped)
        .unwrap()
        .open(&version(1), &sealed)
        .unwrap();
    assert_eq!(opened.expose(), b"sk_live");

    let read = ring
        .open_environment_key(PROJECT, ENVIRONMENT, &stored)
        .unwrap();
    assert_eq!(
        (
            read.term(),
            read.open_data_key(&version(1), &wrapped).is_ok()
        ),
        (1, true)
    );
    let environment = EnvironmentId::from_bytes(OTHER);
    let foreign = KeyRow {
        environment: OTHER,
        ..stored.clone()
    };
    assert!(
        ring.open_environment_key(PROJECT, environment, &stored)
            .is_err()
    );
    assert!(
        ring.open_environment_key(PROJECT, environment, &foreign)
            .is_err()
    );
    assert!(
        ring.open_environment_key(PROJECT, ENVIRONMENT, &foreign)
            .is_err()
    );
    assert!(
        ring.open_environment_key(ProjectId::from_bytes(OTHER), ENVIRONMENT, &stored)
            .is_err()
    );
    for moved in [
        KeyRow {
            term: 0,
            ..stored.clone()
        },
        KeyRow {
            term: 2,
            ..stored.clone()
        },
        KeyRow {
            kind: KeyKind::System,
            ..stored.clone()
        },
        KeyRow {
            wrapped: rewrapped,
            ..stored
        },
    ] {
        assert!(
            ring.open_environment_key(PROJECT, ENVIRONMENT, &moved)
                .is_err(),
            "{moved:?}"
        );
    }
    assert!(
        ring.generate_environment_key(&entropy, PROJECT, ENVIRONMENT, 0)
            .is_err()
    );
}

#[test]
fn a_keyring_opens_again_whole_or_not_at_all() {
    let root = || RootKey::generate(&SeededEntropy::new(5));
    let entropy = SeededEntropy::new(6);
    let (ring, wrapped) = Keyring::generate(&entropy, root(), CLUSTER).unwrap();
    let again = Keyring::open(root(), CLUSTER, &wrapped).unwrap();
    let token = PlainToken::generate(&entropy, TokenKind::Root);
    let hashed = ring.token_mac().hash(&token);
    assert!(hashed.matches(again.token_mac().hash(&token).bytes()));
    assert!(!hashed.matches(&[0; 32]) && hashed.id().as_bytes()[..] == hashed.bytes()[..16]);
    assert_eq!(ring.signer().public_key(), again.signer().public_key());
    let sealed = ring.seal_document(&entropy, &document(), b"x").unwrap();
    assert!(again.open_document(&document(), &sealed).is_ok());

    assert!(Keyring::open(RootKey::generate(&entropy), CLUSTER, &wrapped).is_err());
    assert!(Keyring::open(root(), ClusterId::from_bytes(OTHER), &wrapped).is_err());
    for at in 0..wrapped.len() {
        let mut missing = wrapped.clone();
        missing.remove(at);
        assert!(Keyring::open(root(), CLUSTER, &missing).is_err());
        let doubled = [&wrapped[..], &wrapped[at..=at]].concat();
        assert!(Keyring::open(root(), CLUSTER, &doubled).is_err());
        for other in (0..wrapped.len()).filter(|other| *other != at) {
            let mut swapped = wrapped.clone();
            swapped[at].wrapped = wrapped[other].wrapped.clone();
            assert!(Keyring::open(root(), CLUSTER, &swapped).is_err());
        }
    }
}

#[test]
fn a_later_term_seals_and_an_earlier_one_still_opens() {
    let root = || RootKey::generate(&SeededEntropy::new(7));
    let entropy = SeededEntropy::new(8);
    let (first, mut wrapped) = Keyring::generate(&entropy, root(), CLUSTER).unwrap();
    let old = first.seal_document(&entropy, &document(), b"old").unwrap();
    wrapped.push(first.generate_next(&entropy, KeyKind::System).unwrap());
    let ring = Keyring::open(root(), CLUSTER, &wrapped).unwrap();
    let new = ring.seal_document(&entropy, &document(), b"new").unwrap();
    assert_eq!(
        (&old[2..6], &new[2..6]),
        (&[0, 0, 0, 1][..], &[0, 0, 0, 2][..])
    );
    assert_eq!(
        ring.open_document(&document(), &old).unwrap().expose(),
        b"old"
    );
    assert_eq!(
        ring.open_document(&document(), &new).unwrap().expose(),
        b"new"
    );
    assert!(
        first.open_document(&document(), &new).is_err(),
        "an unknown term is not tried"
    );
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
