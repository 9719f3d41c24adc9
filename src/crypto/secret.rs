//! Secret bytes of any length: values, tokens, opened documents.
//! They are opened by one greppable word, `expose`, and wiped when dropped.
//!
//! Invariant: no Debug, Display, Clone, Serialize, PartialEq or AsRef, so that no secret is printed, copied or compared by accident.

use zeroize::Zeroizing;

/// Bytes that wipe themselves. Build them from a buffer that never grew: a `Vec` that grows leaves copies behind.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over; they are wiped on drop, unused capacity included.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every caller is counted by a test.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}
