//! A tree head as auditors, witnesses and other logs read it: a C2SP tlog-checkpoint inside a C2SP signed-note.
//! One cluster has one key; the origin in the signed text keeps one stream's head from passing for another's.
//!
//! Invariant: an opened note has one spelling, one signature, and a key of the cluster its origin names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::canonical::decimal;
use crate::key::VerifierKey;
use crate::name::Origin;
use crate::tree::Hash;

/// Longest note in bytes.
pub const NOTE_BYTES_MAX: usize = 1024;

/// What a tree head says: the stream, how many records it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose head it is.
    pub origin: Origin,
    /// How many records the tree has.
    pub size: u64,
    /// The root of the tree at that size.
    pub root: Hash,
}

/// A note that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not five canonical lines: origin, size, root, an empty one and one signature.
    #[error("a tree head is five lines: origin, size, root, an empty line and one signature")]
    Form,
    /// Signed under another name or by a key of another id.
    #[error("the tree head is signed under another key")]
    OtherKey,
    /// The origin is of another cluster than the key.
    #[error("the tree head belongs to another cluster than the key")]
    OtherCluster,
    /// The signature does not hold.
    #[error("the tree head's signature does not hold")]
    Signature,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Reads what [`Checkpoint::text`] wrote. Nothing is verified.
    ///
    /// # Errors
    /// [`NoteError::Form`] unless the text is exactly such a one.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Form)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Form);
        };
        Ok(Self {
            origin: origin.parse().map_err(|_| NoteError::Form)?,
            size: decimal(size).ok_or(NoteError::Form)?,
            root: root.parse().map_err(|_| NoteError::Form)?,
        })
    }
}

/// Puts a signature under its text. `text` is [`Checkpoint::text`], `signature` is Ed25519 over exactly its bytes.
#[must_use]
pub fn signed_note(text: &str, name: &str, key_id: u32, signature: &[u8; 64]) -> String {
    let mut stamped = [0; 68];
    stamped[..4].copy_from_slice(&key_id.to_be_bytes());
    stamped[4..].copy_from_slice(signature);
    format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(stamped))
}

/// Opens a signed head: checks its spelling, its name, its key id and its signature, and gives what it says.
///
/// # Errors
/// [`NoteError`], at the first thing that is not as it must be.
pub fn open_note(note: &str, key: &VerifierKey) -> Result<Checkpoint, NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Form);
    }
    let (text, signature) = note.split_once("\n\n\u{2014} ").ok_or(NoteError::Form)?;
    let text = &note[..=text.len()];
    let (name, stamped) = signature
        .strip_suffix('\n')
        .and_then(|line| line.split_once(' '))
        .ok_or(NoteError::Form)?;
    let stamped = STANDARD.decode(stamped).map_err(|_| NoteError::Form)?;
    let (id, signature) = stamped.split_first_chunk::<4>().ok_or(NoteError::Form)?;
    let signature: &[u8; 64] = signature.try_into().map_err(|_| NoteError::Form)?;
    let checkpoint = Checkpoint::parse(text)?;
    if name != key.name() || u32::from_be_bytes(*id) != key.id() {
        return Err(NoteError::OtherKey);
    }
    if checkpoint.origin.cluster.key_name() != name {
        return Err(NoteError::OtherCluster);
    }
    if !key.signed(text.as_bytes(), signature) {
        return Err(NoteError::Signature);
    }
    Ok(checkpoint)
}
