//! The bound of what a view is asked for is public.

use coffer::door::REFS_MAX;

pub fn decide() -> usize {
    REFS_MAX
}
