//! HTTP: one table of routes, and strict parsing before and problem+json behind each operation.
//! It makes operations from requests and answers from replies; what is true is decided behind the door.
//!
//! Invariant: no handler reaches a store, a key or another's request; whatever it can do, the door records.
//!
//! | file | one sentence |
//! |---|---|
//! | [`routes`] | the table: method, path, operation |
//! | [`open`] | the four routes outside the door |
//! | [`app`] | a request from its head to its answer |
//! | `endpoint` | how an operation is asked for and answered |
//! | `secrets` `rotations` `places` `keys` `tokens` `audit` | what each noun's routes take and say |
//! | `url` `headers` `body` `source` | one part of a request each, parsed strictly |
//! | [`reply`] [`problem`] | what is sent back |
//! | `finish` `journal` | what has begun ends; one line in the server's log |
//! | [`server`] [`tls`] | sockets, handshakes, connections |
//! | `activity` `lengths` `linger` `unread` | what is on its way in a connection, and how it ends |
//! | `shares` | what each source may use of all that there is |
//! | [`scrape`] | a listener of its own for what is counted |
//! | [`probe`] | asks a server on this machine whether it is ready |
//! | [`limits`] | every number with its unit |

mod activity;
mod answer;
pub mod app;
mod audit;
mod body;
mod call;
mod connections;
mod endpoint;
mod finish;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod headers;
mod journal;
mod keys;
mod lengths;
pub mod limits;
mod linger;
mod once;
pub mod open;
mod pace;
mod places;
pub mod probe;
pub mod problem;
pub mod reply;
mod rotations;
pub mod routes;
pub mod scrape;
mod secrets;
pub mod server;
mod shares;
mod source;
mod tiles;
pub mod tls;
mod tokens;
mod unread;
mod url;
mod wiped;

pub use app::{App, NodeFacts};
pub use open::OPEN_ROUTES;
pub use routes::ROUTES;
pub use unread::RequestBody;
