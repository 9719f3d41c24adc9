//! What `surface.md` promises, sentence by sentence: a file a noun, each story on both databases.
//! A story does one thing and asserts the status, the body and the record.

mod audit;
mod command_line;
mod connections;
mod keys;
mod metrics;
mod once;
mod places;
mod problems;
mod queries;
mod retention;
mod rotations;
mod secrets;
mod status;
mod tiles;
mod tokens;
