//! Stories of keys and places: what is moved does not open, a rewrap leaves the payload alone, a keyring opens whole or not at all.
//! They are told of the public API, as the rest of Coffer uses it.
//!
//! Invariant: each place a thing can be moved to is tried.

use super::{properties::*, *};
use crate::{
    entropy::SeededEntropy,
    model::{
        AttemptId, ClusterId, DocumentKind, EnvironmentId, KeyKind, KeyRow, ProjectId, SecretId,
        StreamId,
    },
};

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
fn a_spooled_answer_opens_as_its_own_attempts_alone() {
    let entropy = SeededEntropy::new(2);
    let ring = keyring(&entropy);
    let (here, there) = (AttemptId::from_bytes([1; 16]), AttemptId::from_bytes(OTHER));
    let sealed = ring.seal_spooled(&entropy, here, b"x").unwrap();
    assert_eq!(ring.open_spooled(here, &sealed).unwrap().expose(), b"x");
    assert!(ring.open_spooled(there, &sealed).is_err());
    let others = keyring(&SeededEntropy::new(3));
    assert!(others.open_spooled(here, &sealed).is_err());
    let document = DocumentContext {
        id: *here.as_bytes(),
        ..document()
    };
    assert!(ring.open_document(&document, &sealed).is_err());
    let sealed = ring.seal_document(&entropy, &document, b"x").unwrap();
    assert!(ring.open_spooled(here, &sealed).is_err());
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

/// Keys are shared by all threads of a server.
#[test]
fn keys_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Keyring>();
    shared::<EnvironmentKey>();
    shared::<DataKey>();
    shared::<Prepared>();
}
