//! What a decision relies on and what a commit touches: the keys of the cache and of the change notes.
//! A ref names a place in the world, whether or not anything is there: absence is relied on too.
//!
//! Invariant: two different things never share a ref (names go in by SHA-256, cut to 128 bits, within their owner's id).

use sha2::{Digest, Sha256};

use super::{EnvironmentId, Name, PrincipalId, ReceiptId, SecretPath, TokenId};

/// The name of something that can change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ref([u8; Ref::BYTES]);

impl Ref {
    /// Bytes of a ref as stored in a change note.
    pub const BYTES: usize = 17;

    /// The cluster's own document: its streams.
    pub const CLUSTER: Self = Self::tagged(1, [0; 16]);
    /// All projects and environments, with their current terms.
    pub const PLACES: Self = Self::tagged(2, [0; 16]);
    /// The list of all tokens.
    pub const TOKENS: Self = Self::tagged(9, [0; 16]);

    /// The names of the secrets of an environment.
    pub fn listing(environment: EnvironmentId) -> Self {
        Self::tagged(3, *environment.as_bytes())
    }

    /// Whatever is at a path, dead or alive, in any case.
    pub fn secret(environment: EnvironmentId, path: &SecretPath) -> Self {
        Self::hashed(4, environment.as_bytes(), path.folded().as_bytes())
    }

    /// A token.
    pub fn token(id: TokenId) -> Self {
        Self::tagged(5, *id.as_bytes())
    }

    /// How many children a token has.
    pub fn children(id: TokenId) -> Self {
        Self::tagged(6, *id.as_bytes())
    }

    /// A principal.
    pub fn principal(id: PrincipalId) -> Self {
        Self::tagged(7, *id.as_bytes())
    }

    /// The application of this name.
    pub fn application(name: &Name) -> Self {
        Self::hashed(8, &[], name.as_str().as_bytes())
    }

    /// A lease of the scheduler.
    pub fn lease(name: &str) -> Self {
        Self::hashed(10, &[], name.as_bytes())
    }

    /// The receipt of a request that is made once.
    pub fn receipt(id: ReceiptId) -> Self {
        Self::tagged(11, *id.as_bytes())
    }

    /// The stored bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The ref with these stored bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    const fn tagged(kind: u8, id: [u8; 16]) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = kind;
        let mut at = 0;
        while at < 16 {
            bytes[at + 1] = id[at];
            at += 1;
        }
        Self(bytes)
    }

    fn hashed(kind: u8, owner: &[u8], name: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(owner)
            .chain_update(name)
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self::tagged(kind, id)
    }
}
