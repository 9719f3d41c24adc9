//! The shapes that Coffer's server, command line and Rust clients exchange, one file a noun, and nothing that does I/O.
//! Requests refuse keys they do not know; replies keep quiet about keys that newer servers add.
//!
//! Invariant: no type here prints a secret value or a token, and no [`BodyError`] repeats one.
//!
//! On the wire: times are RFC 3339 UTC with microseconds, versions are numbers, ids are strings, durations are whole
//! seconds, and `path` is always the whole resource, `project/environment/path`.

mod audit;
mod body;
mod connections;
mod keys;
#[cfg(feature = "openapi")]
pub mod openapi;
mod places;
mod problem;
mod rotations;
mod secrets;
mod status;
mod tokens;
mod values;

pub use audit::{AuditHead, AuditHeads, AuditKey};
pub use body::{BodyError, parse_body};
pub use connections::{
    AccessToken, ClientAuth, Connection, ConnectionList, ConnectionState, ImportConnection,
};
pub use keys::{DestroyTerm, Keys, Term, TermState};
pub use places::{CreatePlace, Environments, Place, Projects};
pub use problem::{PROBLEM_JSON, PROBLEMS, Problem};
pub use rotations::{Rotation, SetRotation};
pub use secrets::{
    DeletedSecret, DestroySecret, DestroyedVersions, Generate, History, PatchSecret, PutSecret,
    Secret, SecretEntry, SecretList, UndeleteSecret, VersionEntry, VersionState, WrittenSecret,
};
pub use status::Status;
pub use tokens::{CreateToken, CreatedToken, TokenEntry, TokenList, TokenSelf};
pub use values::{FIELDS_MAX, FieldPatches, FieldValue, Fields, SecretText};

/// Every route of this release lies below this path.
pub const API_ROOT: &str = "/api/v1";
