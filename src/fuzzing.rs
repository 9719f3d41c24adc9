//! Every parser of the library as a fuzz target: what must hold of it for any bytes whatever.
//! `scripts/torture fuzz` runs them under libFuzzer, the tests over what that kept and over what proptest makes.
//!
//! Invariant: a target draws no random bytes, reads no clock and keeps nothing, so that an input does the same again.

use crate::{config, crypto, door, http, model, operations, outbound, seal};

/// A target's name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Each target's name, which is its corpus' folder in `fuzz/corpus`, and what it does with an input.
pub const TARGETS: &[Target] = &[
    ("config-file", config::fuzzing::file),
    ("config-network", config::fuzzing::network),
    ("crypto-envelope", crypto::fuzzing::envelope),
    ("crypto-token", crypto::fuzzing::token),
    ("door-cursor", door::fuzzing::cursor),
    ("door-document", door::fuzzing::document),
    ("door-kept", door::fuzzing::kept),
    ("door-segment", door::fuzzing::segment),
    ("door-segment-line", door::fuzzing::segment_line),
    ("door-segment-packed", door::fuzzing::segment_packed),
    ("door-spooled", door::fuzzing::spooled),
    ("http-body", http::fuzzing::body),
    ("http-conditions", http::fuzzing::conditions),
    ("http-head-length", http::fuzzing::length_of_head),
    ("http-heads", http::fuzzing::heads),
    ("http-tile", http::fuzzing::tile),
    ("http-url", http::fuzzing::url),
    ("log-bundle", door::fuzzing::log_bundle),
    ("log-filter", door::fuzzing::log_filter),
    ("log-frontier", door::fuzzing::log_frontier),
    ("log-head", door::fuzzing::log_head),
    ("log-key", door::fuzzing::log_key),
    ("log-record", door::fuzzing::log_record),
    ("model-fields", model::fuzzing::fields),
    ("model-instants", model::fuzzing::instants),
    ("model-names", model::fuzzing::names),
    ("model-scopes", model::fuzzing::scopes),
    ("model-token-url", model::fuzzing::token_url),
    ("operations-positions", operations::fuzzing::positions),
    ("outbound-answer", outbound::fuzzing::answer),
    ("outbound-request", outbound::fuzzing::request),
    ("seal-record", seal::fuzzing::record),
    ("seal-root-key", seal::fuzzing::root_key),
];

/// The input as text.
pub(crate) fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// The input as so many lines of text; what is behind belongs to the last.
pub(crate) fn lines<const N: usize>(input: &[u8]) -> Option<[&str; N]> {
    let lines = text(input)?.splitn(N, '\n').collect::<Vec<_>>();
    lines.try_into().ok()
}

#[cfg(test)]
#[path = "../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_that_was_kept_passes() {
        replay::every_input_that_was_kept(TARGETS);
        replay::no_corpus_without_a_target(TARGETS, |name| !name.starts_with("cli-"));
    }

    #[test]
    fn inputs_that_nobody_wrote_pass() {
        replay::inputs_nobody_wrote(TARGETS);
    }
}
