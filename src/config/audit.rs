//! How the log is kept: what its records survive, and for how long they are whole.
//!
//! Invariant: nothing is pruned sooner than a day after it was recorded.

use serde::Deserialize;

use super::key;
use crate::model::Ttl;

/// How long records are kept whole, unless the file says otherwise.
pub const RETENTION_DEFAULT: Ttl = Ttl::days(90);
/// A hundred years; more is for ever.
const RETENTION_DAYS_MAX: u64 = 36_500;

/// `[audit]`, as it is written. Only what is durable before it is said: a weaker word is not known yet, and so refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditSection {
    #[serde(default, rename = "durability")]
    _durability: Durability,
    retention: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Durability {
    #[default]
    Durable,
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
