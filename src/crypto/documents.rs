//! What the keyring seals: security documents under the system key, audit segments and their summaries under the audit key.
//! The term in an envelope's head selects the key; the context, which contains that term, proves the choice.
//!
//! Invariant: a document opens only as its kind, at its place, under its id and name.

use super::{
    Algorithm, Context, CryptoError, Keyring, Label, SecretBytes, envelope, open_envelope,
    seal_envelope,
};
use crate::{
    entropy::Entropy,
    model::{AttemptId, ClusterId, DocumentKind, EnvironmentId, ProjectId, StreamId},
};

/// The place of a security document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentContext<'a> {
    /// What it is of.
    pub kind: DocumentKind,
    /// The project it belongs to, if to one.
    pub project: Option<ProjectId>,
    /// The environment it belongs to, if to one.
    pub environment: Option<EnvironmentId>,
    /// Its id.
    pub id: [u8; 16],
    /// The canonical name or path it is looked up by; may be empty.
    pub name: &'a str,
}

impl<'a> DocumentContext<'a> {
    fn context(&self, cluster: ClusterId, term: u32) -> Context<'a> {
        Context::new(Label::System, cluster, self.kind.as_str())
            .place(self.project, self.environment)
            .object(&self.id, self.name)
            .term(term)
    }
}

impl Keyring {
    /// Seals a security document under the newest system key.
    ///
    /// # Errors
    /// A name or a document beyond the limits.
    pub fn seal_document(
        &self,
        entropy: &dyn Entropy,
        place: &DocumentContext<'_>,
        document: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let system = self.system.newest();
        let context = place.context(self.cluster, system.term);
        seal_envelope(
            &system.key,
            Algorithm::Aes256Gcm,
            &context,
            entropy,
            document,
        )
    }

    /// Opens a security document.
    ///
    /// # Errors
    /// Another place, an unknown term, or damage.
    pub fn open_document(
        &self,
        place: &DocumentContext<'_>,
        sealed: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        let system = self.system.of(envelope::term(sealed)?)?;
        open_envelope(
            &system.key,
            &place.context(self.cluster, system.term),
            sealed,
        )
    }

    /// Seals what a node spools in its own folder, under the newest system key.
    ///
    /// # Errors
    /// Bytes beyond the limits.
    pub fn seal_spooled(
        &self,
        entropy: &dyn Entropy,
        id: AttemptId,
        spooled: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let system = self.system.newest();
        let context = spool_context(self.cluster, id, system.term);
        let algorithm = Algorithm::Aes256Gcm;
        seal_envelope(&system.key, algorithm, &context, entropy, spooled)
    }

    /// Opens what was spooled for this attempt.
    ///
    /// # Errors
    /// Another attempt or cluster, an unknown term, or damage.
    pub fn open_spooled(&self, id: AttemptId, sealed: &[u8]) -> Result<SecretBytes, CryptoError> {
        let system = self.system.of(envelope::term(sealed)?)?;
        let context = spool_context(self.cluster, id, system.term);
        open_envelope(&system.key, &context, sealed)
    }

    /// Seals a segment: `count` records of a stream from `first_index`.
    ///
    /// # Errors
    /// A segment beyond the limits.
    pub fn seal_segment(
        &self,
        entropy: &dyn Entropy,
        stream: StreamId,
        first_index: u64,
        count: u32,
        segment: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.seal_audit(entropy, "segment", (stream, first_index, count), segment)
    }

    /// Opens a segment.
    ///
    /// # Errors
    /// Another place or count, an unknown term, or damage.
    pub fn open_segment(
        &self,
        stream: StreamId,
        first_index: u64,
        count: u32,
        sealed: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        self.open_audit("segment", (stream, first_index, count), sealed)
    }

    /// Seals the summary of a segment, by itself, so that queries skip segments without opening them.
    ///
    /// # Errors
    /// A summary beyond the limits.
    pub fn seal_summary(
        &self,
        entropy: &dyn Entropy,
        stream: StreamId,
        first_index: u64,
        count: u32,
        summary: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.seal_audit(
            entropy,
            "segment-summary",
            (stream, first_index, count),
            summary,
        )
    }

    /// Opens a summary.
    ///
    /// # Errors
    /// Another place or count, an unknown term, or damage.
    pub fn open_summary(
        &self,
        stream: StreamId,
        first_index: u64,
        count: u32,
        sealed: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        self.open_audit("segment-summary", (stream, first_index, count), sealed)
    }

    fn seal_audit(
        &self,
        entropy: &dyn Entropy,
        kind: &str,
        (stream, first, count): (StreamId, u64, u32),
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let (audit, count) = (self.audit.newest(), count.to_string());
        let context = audit_context(self.cluster, kind, stream, &count)
            .version(first)
            .term(audit.term);
        seal_envelope(
            &audit.key,
            Algorithm::Aes256Gcm,
            &context,
            entropy,
            plaintext,
        )
    }

    fn open_audit(
        &self,
        kind: &str,
        (stream, first, count): (StreamId, u64, u32),
        sealed: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        let (audit, count) = (self.audit.of(envelope::term(sealed)?)?, count.to_string());
        let context = audit_context(self.cluster, kind, stream, &count)
            .version(first)
            .term(audit.term);
        open_envelope(&audit.key, &context, sealed)
    }
}

fn spool_context(cluster: ClusterId, id: AttemptId, term: u32) -> Context<'static> {
    Context::new(Label::System, cluster, "spool")
        .object(id.as_bytes(), "")
        .term(term)
}

/// A segment's object id is its stream and, as its name, the number of its records in decimal.
fn audit_context<'a>(
    cluster: ClusterId,
    kind: &'a str,
    stream: StreamId,
    count: &'a str,
) -> Context<'a> {
    Context::new(Label::Audit, cluster, kind).object(stream.as_bytes(), count)
}
