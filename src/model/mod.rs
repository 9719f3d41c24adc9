//! The nouns of Coffer, without I/O: names, scopes, documents, records and refusals.
//! Everything here is parsed once at an edge and true from then on.
//!
//! Invariant: nothing in this module knows a key, a connection or the clock.

mod action;
mod changes;
mod connection;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod grant;
mod ids;
mod names;
mod pattern;
mod places;
mod principal;
mod receipt;
mod reference;
mod refresh;
mod refusal;
mod resource;
mod rotation;
mod rows;
mod scope;
mod secret;
mod time;
mod token;
mod token_url;
mod values;

pub use action::{Action, Actions};
pub use changes::{Changes, MaybeChanges};
pub use connection::{Connection, ProviderClient, Reason, SealedRow, Standing, TokenSet};
pub use exchange::{ClientAuth, Exchange, LifetimeSource, RefusedClass, TokenAnswer};
pub use grant::{Grant, Verdict};
pub use ids::{
    AttemptId, BootId, ClusterId, EnvironmentId, PrincipalId, ProjectId, ReceiptId, SecretId,
    StreamId, TokenId, VersionId,
};
pub use names::{EnvironmentName, FieldName, Name, SecretName, SecretPath};
pub use pattern::Pattern;
pub use places::{Cluster, Environment, Project, StreamEntry};
pub use principal::{Principal, PrincipalKind};
pub use receipt::{Kept, KeptAnswer, Receipt};
pub use reference::Ref;
pub use refresh::{
    Attempt, CALL_TTL, DOUBT_TTL, Holder, INTENT_TTL, Refreshing, Runner, refresh_at, retry_at,
};
pub use refusal::{Lacking, Patience, Refusal, TokenProblem};
pub use resource::Resource;
pub use rotation::{Alphabet, RotationPolicy};
pub use rows::{
    DataKeyRow, DocumentKind, DocumentRow, KeyKind, KeyRow, SeenSegment, SegmentRow, StreamRow,
    SummaryRow, VersionRow, WorldRow,
};
pub use scope::{Scope, ScopeError};
pub use secret::{Secret, State, VersionEntry};
pub use time::{Timestamp, Ttl};
pub use token::Token;
pub use token_url::{TokenUrl, UrlHost};
pub use values::{Fields, Value};
