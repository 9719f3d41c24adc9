//! The place of a sealed thing, as the bytes that key derivation and AEAD are bound to.
//! Whoever moves a ciphertext to another row, tenant, path, version or term moves it out of its context, and it does not open.
//!
//! Invariant: two different contexts never encode to the same bytes (every part carries its length; their number is fixed).

use super::CryptoError;
use crate::model::{ClusterId, EnvironmentId, ProjectId};

/// Longest encoded context. The longest real one (a document named `project/environment/path`) has some 750 bytes.
pub(super) const CONTEXT_BYTES_MAX: usize = 1_024;

/// Which rank of key seals: the first part of every context, so that ranks stay apart even if two keys were equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// A seal's key (such as a passphrase's) wraps the root key.
    Seal,
    /// The root key wraps the keys below it.
    Root,
    /// The system key seals security documents.
    System,
    /// An environment key wraps data keys.
    Environment,
    /// A data key seals the payload of a version.
    Data,
    /// The audit key seals segments and their summaries.
    Audit,
}

impl Label {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Root => "root",
            Self::System => "system",
            Self::Environment => "environment",
            Self::Data => "data",
            Self::Audit => "audit",
        }
    }
}

/// Where a sealed thing belongs. What is absent is encoded as a part of length 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    label: &'a str,
    cluster: ClusterId,
    project: Option<ProjectId>,
    environment: Option<EnvironmentId>,
    kind: &'a str,
    id: Option<[u8; 16]>,
    name: &'a str,
    version: Option<u64>,
    term: Option<u32>,
}

impl<'a> Context<'a> {
    /// A thing of this kind in this cluster, sealed by this rank; everything else absent.
    pub(super) const fn new(label: Label, cluster: ClusterId, kind: &'a str) -> Self {
        Self {
            label: label.as_str(),
            cluster,
            project: None,
            environment: None,
            kind,
            id: None,
            name: "",
            version: None,
            term: None,
        }
    }

    pub(super) const fn place(
        mut self,
        project: Option<ProjectId>,
        environment: Option<EnvironmentId>,
    ) -> Self {
        (self.project, self.environment) = (project, environment);
        self
    }

    /// The object id: a UUID and, after it, the canonical path or name (may be empty).
    pub(super) const fn object(mut self, id: &[u8; 16], name: &'a str) -> Self {
        (self.id, self.name) = (Some(*id), name);
        self
    }

    /// The object's own version: of a secret, of a wrapped key (its term), or a segment's first index.
    pub(super) const fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// The term of the key that seals, from 1. Absent when that key has none (a data key, a passphrase's key).
    pub(super) const fn term(mut self, term: u32) -> Self {
        self.term = Some(term);
        self
    }

    /// What the envelope's head carries as term: 0 when absent, and then only.
    pub(super) fn header_term(&self) -> Result<u32, CryptoError> {
        match self.term {
            None => Ok(0),
            Some(0) => Err(CryptoError),
            Some(term) => Ok(term),
        }
    }

    pub(super) fn encode(&self) -> Result<EncodedContext, CryptoError> {
        if self.id.is_none() && !self.name.is_empty() {
            return Err(CryptoError);
        }
        let version = self.version.map(u64::to_be_bytes);
        let term = self.term.map(u32::to_be_bytes);
        let mut out = EncodedContext {
            bytes: [0; CONTEXT_BYTES_MAX],
            length: 0,
        };
        out.part(&[self.label.as_bytes()])?;
        out.part(&[self.cluster.as_bytes()])?;
        out.part(&[self.project.as_ref().map_or(&[], |id| id.as_bytes())])?;
        out.part(&[self.environment.as_ref().map_or(&[], |id| id.as_bytes())])?;
        out.part(&[self.kind.as_bytes()])?;
        out.part(&[self.id.as_ref().map_or(&[], |id| id), self.name.as_bytes()])?;
        out.part(&[version.as_ref().map_or(&[], |bytes| bytes)])?;
        out.part(&[term.as_ref().map_or(&[], |bytes| bytes)])?;
        Ok(out)
    }
}

/// A context as bytes, on the stack.
pub(super) struct EncodedContext {
    bytes: [u8; CONTEXT_BYTES_MAX],
    length: usize,
}

impl EncodedContext {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// One part, given in pieces: u16 length, then the pieces.
    fn part(&mut self, pieces: &[&[u8]]) -> Result<(), CryptoError> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let head = u16::try_from(length)
            .map_err(|_| CryptoError)?
            .to_be_bytes();
        self.push(&head)?;
        pieces.iter().try_for_each(|piece| self.push(piece))
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), CryptoError> {
        let end = self.length + piece.len();
        self.bytes
            .get_mut(self.length..end)
            .ok_or(CryptoError)?
            .copy_from_slice(piece);
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
impl<'a> Context<'a> {
    /// A context with any label, for the vector files.
    pub(super) const fn labelled(label: &'a str, cluster: ClusterId, kind: &'a str) -> Self {
        let mut context = Self::new(Label::Seal, cluster, kind);
        context.label = label;
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_borders() {
        let id = [1; 16];
        let context = Context::new(Label::Data, ClusterId::from_bytes([2; 16]), "version")
            .object(&id, "a/b")
            .version(7);
        let mut expected = b"\x00\x04data\x00\x10".to_vec();
        expected.extend([2; 16]);
        expected.extend(b"\x00\x00\x00\x00\x00\x07version\x00\x13");
        expected.extend([1; 16]);
        expected.extend(b"a/b\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00");
        assert_eq!(context.encode().unwrap().bytes(), expected);
    }

    #[test]
    fn absent_is_not_zero() {
        let base = Context::new(Label::Data, ClusterId::from_bytes([0; 16]), "version");
        assert_ne!(
            base.encode().unwrap().bytes(),
            base.version(0).encode().unwrap().bytes()
        );
        assert_eq!(base.header_term(), Ok(0));
        assert_eq!(base.term(0).header_term(), Err(CryptoError));
    }

    #[test]
    fn too_long_a_name_is_refused() {
        let long = "x".repeat(CONTEXT_BYTES_MAX);
        assert!(
            Context::new(Label::Data, ClusterId::from_bytes([0; 16]), "version")
                .object(&[0; 16], &long)
                .encode()
                .is_err()
        );
    }
}
