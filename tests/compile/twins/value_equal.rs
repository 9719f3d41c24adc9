//! Two versions are.

use coffer::model::VersionId;

pub fn decide(one: &VersionId, other: &VersionId) -> bool {
    one == other
}
