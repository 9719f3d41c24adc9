//! The image without Docker: what the Dockerfile and the compose file must say, and the built server run as they say it,
//! in namespaces of its own. `scripts/test` lints the Dockerfile besides.
//!
//! Invariant: paths, user, environment and limits come from those files, so that nothing here can agree with itself alone.

mod dockerfile;
mod image;
mod rules;
mod running;
