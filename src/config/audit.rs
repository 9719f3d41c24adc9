//! `[audit]`: what the record of a read survives, once the read is answered, and how long records are kept whole.
//!
//! Invariant: a word that is not known is refused, never taken for another; nothing is pruned before it is a day old.

use serde::Deserialize;

use super::key;
use crate::model::Ttl;

/// How long records are kept whole, unless the file says otherwise.
pub const RETENTION_DEFAULT: Ttl = Ttl::days(90);
/// A hundred years; more is for ever.
const RETENTION_DAYS_MAX: u64 = 36_500;

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
    retention: Option<String>,
}

impl AuditSection {
    /// How long records are kept whole; for ever without.
    pub(super) fn retention(&self) -> Result<Option<Ttl>, String> {
        let days = match self.retention.as_deref() {
            None => return Ok(Some(RETENTION_DEFAULT)),
            Some("forever") => return Ok(None),
            Some(text) => text.strip_suffix('d').and_then(|days| days.parse().ok()),
        };
        let days = days.filter(|days| (1..=RETENTION_DAYS_MAX).contains(days));
        let wrong = || {
            key(
                "audit.retention",
                "takes a number of days from 1d to 36500d, as 90d, or forever",
            )
        };
        days.map(|days| Some(Ttl::days(days))).ok_or_else(wrong)
    }
}
