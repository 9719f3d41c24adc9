//! `[audit]`: what the record of a read survives, once the read is answered.
//!
//! Invariant: a word that is not known is refused, never taken for another.

use serde::Deserialize;

/// What the record of a decision without changes survives. A change survives a power cut with either word, and so do
/// its record and every record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: each commit waits for the disk.
    #[default]
    Durable,
    /// The end of the server's process, but neither a power cut nor a crash of the database.
    Process,
}

impl Durability {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Process => "process",
        }
    }
}

/// `[audit]`, as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditSection {
    #[serde(default)]
    pub(super) durability: Durability,
}
