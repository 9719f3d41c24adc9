//! The Merkle tree over a stream's records, hashed as RFC 6962 section 2.1 says, and its compact right edge.
//! The leaf and node prefixes keep a node from being passed off as a record (second preimage).
//!
//! Invariant: a frontier holds exactly one hash for each set bit of its size, the largest subtree first.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash: of a record, of a node or of a whole tree. Its text is standard base64, 44 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// A text or a byte string that is no hash or no frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Not 44 characters of canonical base64.
    #[error("a hash is 32 bytes in canonical base64")]
    Hash,
    /// Not a size and one hash for each of its set bits.
    #[error("a frontier is a size and one hash for each of its set bits")]
    Frontier,
}

/// The hash of one record: SHA-256 of `0x00` and its exact bytes.
#[must_use]
pub fn leaf_hash(record: &[u8]) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0])
            .chain_update(record)
            .finalize()
            .into(),
    )
}

/// The hash of two subtrees: SHA-256 of `0x01`, the left and the right.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut node = [1; 1 + 2 * HASH_BYTES];
    node[1..=HASH_BYTES].copy_from_slice(&left.0);
    node[1 + HASH_BYTES..].copy_from_slice(&right.0);
    Hash(Sha256::digest(node).into())
}

/// The root of a tree without records: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// A tree's right edge: all that is needed to go on appending and to know the root. At most 64 hashes.
///
/// A batch clones it, pushes onto the clone, and replaces the old one when the commit's outcome is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    edge: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one record by its [`leaf_hash`].
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.edge.pop().expect("a set bit of the size has its hash");
            node = node_hash(&left, &node);
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// Appends the full subtree over the next 2^`level` records, by its hash; false, and nothing is appended, when no
    /// such subtree begins here.
    #[must_use]
    pub fn push_subtree(&mut self, level: u8, hash: Hash) -> bool {
        let records = 1_u64.checked_shl(u32::from(level));
        let grown = records
            .filter(|records| self.size.is_multiple_of(*records))
            .and_then(|records| self.size.checked_add(records));
        let Some(grown) = grown else {
            return false;
        };
        let mut node = hash;
        for _ in 0..(self.size >> level).trailing_ones() {
            let left = self.edge.pop().expect("a set bit of the size has its hash");
            node = node_hash(&left, &node);
        }
        self.edge.push(node);
        self.size = grown;
        true
    }

    /// How many records the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev();
        match subtrees.next() {
            None => empty_root(),
            Some(&last) => subtrees.fold(last, |right, left| node_hash(left, &right)),
        }
    }

    /// The frontier of the largest earlier tree of at most `size` records whose subtrees this one still has: whoever
    /// knows no tree of that size reads records from its end on. It is the empty one's when there is none.
    #[must_use]
    pub fn below(&self, size: u64) -> Self {
        let (mut below, mut rest) = (Self::new(), self.size);
        for hash in &self.edge {
            let records = 1 << rest.ilog2();
            if records > size - below.size {
                break;
            }
            below.edge.push(*hash);
            below.size += records;
            rest -= records;
        }
        below
    }

    /// The frontier as bytes: the size as u64 big-endian, then its hashes, the largest subtree first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + HASH_BYTES * self.edge.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for hash in &self.edge {
            bytes.extend_from_slice(&hash.0);
        }
        bytes
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`TreeError::Frontier`] when the length does not follow from the size. That the hashes are true is for the
    /// caller to check, by comparing [`Frontier::root`] with a signed head.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TreeError> {
        let (size, hashes) = bytes.split_first_chunk::<8>().ok_or(TreeError::Frontier)?;
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = hashes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() != size.count_ones() as usize {
            return Err(TreeError::Frontier);
        }
        Ok(Self {
            size,
            edge: hashes.iter().map(|hash| Hash(*hash)).collect(),
        })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = TreeError;

    fn from_str(text: &str) -> Result<Self, TreeError> {
        // The engine refuses missing padding and stray bits, so that a hash has one spelling.
        let bytes = STANDARD.decode(text).map_err(|_| TreeError::Hash)?;
        bytes.try_into().map(Self).map_err(|_| TreeError::Hash)
    }
}
