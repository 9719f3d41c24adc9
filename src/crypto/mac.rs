//! Keys that authenticate without hiding: HMAC-SHA-256 (RFC 2104, FIPS 198-1) over tokens, page cursors, world marks and
//! requests. They are random and wrapped, not derived from the root, so that rotating the root ends no session; the one for
//! requests is derived from the one for tokens, so that a cluster which was founded without it has it too.
//!
//! Invariant: a MAC key is typed by its purpose, and what it made is compared in constant time.

use std::marker::PhantomData;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{HashedToken, LockedKey, PlainToken};
use crate::model::{KeyKind, ReceiptId, TokenId};

/// What a computation here uses of the stack at most, in bytes, also in a build that is not optimised.
const STACK_BYTES: usize = 4096;

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
/// Requests that are made once. It has no wrapped form.
pub enum ReceiptMac {}

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
pub struct MacKey<P> {
    key: LockedKey,
    purpose: PhantomData<fn() -> P>,
}

impl<P> MacKey<P> {
    pub(super) fn new(key: LockedKey) -> Self {
        Self {
            key,
            purpose: PhantomData,
        }
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mac = self.computed(parts);
        wipe_stack();
        mac
    }

    /// A call of its own, so that what it leaves on the stack lies where [`wipe_stack`] reaches.
    #[inline(never)]
    fn computed(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose())
            .expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// Overwrites what the call before has left on the stack: the last block of what is hashed holds the end of a token, of a
/// request's key or of a body, and is moved while the hash is finished, so that what is wiped on drop is not all of it.
#[inline(never)]
fn wipe_stack() {
    std::hint::black_box([0u8; STACK_BYTES]);
}

impl MacKey<TokenMac> {
    /// The form of a token that is stored and looked up.
    #[must_use]
    pub fn hash(&self, token: &PlainToken) -> HashedToken {
        HashedToken::new(self.mac(&[token.expose().as_bytes()]))
    }

    /// The key for requests: HKDF-Expand (RFC 5869, 2.3) of this one. No token begins as its label does.
    pub(super) fn derive_receipts(&self) -> MacKey<ReceiptMac> {
        MacKey::new(LockedKey::copy_of(&self.mac(&[b"coffer/receipts", &[1]])))
    }
}

impl MacKey<ReceiptMac> {
    /// What the receipt of a request is found by: over the token that was shown, and the key that the client chose.
    #[must_use]
    pub fn name(&self, token: TokenId, key: &str) -> ReceiptId {
        let mac = self.mac(&[b"name", token.as_bytes(), key.as_bytes()]);
        let mut id = [0; 16];
        id.copy_from_slice(&mac[..16]);
        ReceiptId::from_bytes(id)
    }

    /// Tells a request from any other, and nothing of it to who lacks the key: over its parts, each with its length.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        let lengths: Vec<[u8; 8]> = parts
            .iter()
            .map(|part| (part.len() as u64).to_be_bytes())
            .collect();
        let mut said: Vec<&[u8]> = vec![b"what"];
        for (length, part) in lengths.iter().zip(parts) {
            said.extend([length.as_slice(), part]);
        }
        self.mac(&said)
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
    fn every_part_of_a_request_counts() {
        let key = MacKey::<TokenMac>::new(LockedKey::copy_of(&[3; 32])).derive_receipts();
        let same = [
            key.fingerprint(&[b"a", b"bc"]),
            key.fingerprint(&[b"a", b"bc"]),
        ];
        assert_eq!(same[0], same[1]);
        for other in [&[b"ab".as_slice(), b"c"], &[b"a", b"bd"], &[b"abc", b""]] {
            assert_ne!(key.fingerprint(other), same[0]);
        }
        let token = |byte| TokenId::from_bytes([byte; 16]);
        assert_eq!(key.name(token(1), "k"), key.name(token(1), "k"));
        assert_ne!(key.name(token(1), "k"), key.name(token(2), "k"));
        assert_ne!(key.name(token(1), "k"), key.name(token(1), "l"));
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
