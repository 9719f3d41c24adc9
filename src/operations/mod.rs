//! What Coffer can do: one file a noun, one type a verb, each a decision in four beats (find, refuse, change, reply).
//! An operation is given a view and gives back changes as values; it cannot commit, and so cannot skip its record.
//!
//! Invariant: nothing here names a store, a connection or a wire format.

pub mod audit;
pub mod connections;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generate;
pub mod keys;
pub mod leases;
pub mod once;
mod page;
pub mod places;
pub mod rotations;
pub mod secrets;
pub mod status;
pub mod sweep;
pub mod tokens;
pub mod turned_away;

pub use generate::Generate;
pub use page::PageSize;

use crate::door::Caller;
use crate::model::{Action, Lacking, Refusal, Resource, Verdict};

/// Refuses unless the caller may do this as well: for operations whose access depends on what is asked for.
/// 403 or 404 is decided as the door decides it, by scopes on that resource alone.
fn demand(caller: &Caller, action: Action, resource: &Resource) -> Result<(), Refusal> {
    match caller {
        Caller::System(_) => Ok(()),
        Caller::Unknown => Err(Refusal::Hidden),
        Caller::Bearer(bearer) => match bearer.grant.decide(action, *resource) {
            Verdict::Allowed(_) => Ok(()),
            Verdict::RefusedBy(_) | Verdict::Other => {
                Err(Refusal::Forbidden(Lacking::Action(action)))
            }
            Verdict::Nothing => Err(Refusal::Hidden),
        },
    }
}
