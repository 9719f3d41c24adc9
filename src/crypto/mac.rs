//! Keys that authenticate without hiding: HMAC-SHA-256 (RFC 2104, FIPS 198-1) over tokens, page cursors and world marks.
//! They are random and wrapped, not derived from the root, so that rotating the root ends no session.
//!
//! Invariant: a MAC key is typed by its purpose, and what it made is compared in constant time.

use std::marker::PhantomData;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{HashedToken, LockedKey, PlainToken};
use crate::model::KeyKind;

/// What a MAC key is for.
pub trait MacPurpose: sealed::Sealed {
    /// How its wrapped form is named.
    const KIND: KeyKind;
}

mod sealed {
    pub trait Sealed {}
}

/// Tokens as they are stored.
pub enum TokenMac {}
/// Page cursors that clients hold.
pub enum CursorMac {}
/// Marks of the change sequence.
pub enum MarkMac {}

macro_rules! purposes {
    ($($purpose:ident)*) => {$(
        impl sealed::Sealed for $purpose {}
        impl MacPurpose for $purpose {
            const KIND: KeyKind = KeyKind::$purpose;
        }
    )*};
}
purposes!(TokenMac CursorMac MarkMac);

/// A MAC key of one purpose.
pub struct MacKey<P: MacPurpose> {
    key: LockedKey,
    purpose: PhantomData<fn() -> P>,
}

impl<P: MacPurpose> MacKey<P> {
    pub(super) fn new(key: LockedKey) -> Self {
        Self {
            key,
            purpose: PhantomData,
        }
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose())
            .expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

impl MacKey<TokenMac> {
    /// The form of a token that is stored and looked up.
    #[must_use]
    pub fn hash(&self, token: &PlainToken) -> HashedToken {
        HashedToken::new(self.mac(&[token.expose().as_bytes()]))
    }
}

impl MacKey<CursorMac> {
    /// The MAC of a cursor's bytes.
    #[must_use]
    pub fn sign(&self, cursor: &[u8]) -> [u8; 32] {
        self.mac(&[cursor])
    }

    /// Whether `mac` is this cursor's, in constant time.
    #[must_use]
    pub fn verify(&self, cursor: &[u8], mac: &[u8]) -> bool {
        self.sign(cursor).as_slice().ct_eq(mac).into()
    }
}

impl MacKey<MarkMac> {
    /// The mark after `previous`: over previous mark ‖ seq u64 ‖ nonce ‖ refs. All but the last have fixed lengths, so
    /// nothing can slide from one part into the next.
    #[must_use]
    pub fn mark(&self, previous: &[u8; 32], seq: u64, nonce: &[u8; 16], refs: &[u8]) -> [u8; 32] {
        self.mac(&[previous, &seq.to_be_bytes(), nonce, refs])
    }

    /// Whether `mark` follows `previous`, in constant time.
    #[must_use]
    pub fn verify(
        &self,
        previous: &[u8; 32],
        seq: u64,
        nonce: &[u8; 16],
        refs: &[u8],
        mark: &[u8],
    ) -> bool {
        self.mark(previous, seq, nonce, refs)
            .as_slice()
            .ct_eq(mark)
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, with its key padded by zeroes to our 32 bytes: HMAC pads it so itself.
    #[test]
    fn hmac_is_hmac() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = MacKey::<CursorMac>::new(LockedKey::copy_of(&key));
        let made = mac.sign(b"what do ya want for nothing?");
        assert_eq!(made[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert!(mac.verify(b"what do ya want for nothing?", &made));
        assert!(!mac.verify(b"what do ya want for nothing!", &made));
        assert!(!mac.verify(b"what do ya want for nothing?", &made[..31]) && !mac.verify(b"", &[]));
    }

    #[test]
    fn every_part_of_a_mark_counts() {
        let key = MacKey::<MarkMac>::new(LockedKey::copy_of(&[3; 32]));
        let mark = key.mark(&[1; 32], 7, &[2; 16], b"refs");
        assert!(key.verify(&[1; 32], 7, &[2; 16], b"refs", &mark));
        assert!(!key.verify(&[0; 32], 7, &[2; 16], b"refs", &mark));
        assert!(!key.verify(&[1; 32], 8, &[2; 16], b"refs", &mark));
        assert!(!key.verify(&[1; 32], 7, &[3; 16], b"refs", &mark));
        assert!(!key.verify(&[1; 32], 7, &[2; 16], b"ref", &mark));
    }
}
