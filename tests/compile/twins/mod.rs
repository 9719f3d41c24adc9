//! What is like each case and compiles: as a part of these tests, so that it does.

#![allow(dead_code, reason = "they are here to be compiled")]

mod connection;
mod cx_clock;
mod cx_store;
mod decision_changes;
mod decision_commit;
mod environment_key_bytes;
mod fields_clone;
mod fields_debug;
mod keyring_debug;
mod ledger;
mod opened_debug;
mod queue;
mod shared;
mod token_debug;
mod token_stored;
mod transaction;
mod value_content;
mod value_debug;
mod value_display;
mod value_equal;
mod value_matched;
mod value_serialize;
mod view_made;
mod view_source;
mod view_store;
mod view_writer;
