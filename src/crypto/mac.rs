//! Keys that authenticate without hiding: HMAC-SHA-256 (RFC 2104, FIPS 198-1) over tokens, page cursors and world marks.
//! They are random and wrapped, not derived from the root, so that rotating the root ends no session.
//!
//! Invariant: a MAC key is typed by its purpose, and what it made is compared in constant time.

use std::marker::PhantomData;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{HashedToken, KeyKind, LockedKey, PlainToken};

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
