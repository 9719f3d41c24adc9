//! What was kept of fuzzing, run by the tests: each file of a target's corpus and each finding, as it is and a little changed.
//! The library and the command line both have this file among their tests, for the targets that each has.
//!
//! Invariant: a target without a corpus fails, and so does a corpus without a target.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Changes of one file, at most.
const CHANGES_MAX: usize = 4;

/// A target: its name, and what it demands of any input.
pub type Target = (&'static str, fn(&[u8]));

fn folder(name: &str) -> PathBuf {
    let crate_ = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = match crate_.join("fuzz").is_dir() {
        true => crate_,
        false => crate_.parent().expect("it is in the repository"),
    };
    root.join("fuzz").join(name)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|entries| {
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.collect::<Vec<_>>()
    });
    let mut paths = entries.unwrap_or_default();
    paths.sort();
    paths
}

fn kept(name: &str) -> Vec<Vec<u8>> {
    let kept = ["corpus", "findings"].map(|kind| entries(&folder(kind).join(name)));
    let read = |path: &PathBuf| fs::read(path).expect("a kept file can be read");
    kept.iter().flatten().map(read).collect()
}

/// Runs each target over all that is kept of it.
pub fn every_input_that_was_kept(targets: &[Target]) {
    for (name, run) in targets {
        let corpus = kept(name);
        assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
        corpus.iter().for_each(|input| run(input));
    }
}

/// That every folder of a corpus or of findings is one of these targets', as far as it begins so.
pub fn no_corpus_without_a_target(targets: &[Target], is_ours: impl Fn(&str) -> bool) {
    let names: BTreeSet<&str> = targets.iter().map(|(name, _)| *name).collect();
    for path in ["corpus", "findings"]
        .iter()
        .flat_map(|kind| entries(&folder(kind)))
    {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a target's name is text");
        assert!(
            !is_ours(name) || names.contains(name),
            "{name} is no target"
        );
    }
}

/// Runs each target over random bytes and over kept files that are changed at random.
pub fn inputs_nobody_wrote(targets: &[Target]) {
    for (_, run) in targets {
        run(b"");
    }
    for (name, run) in targets {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::default()
        });
        let input = (prop::sample::select(kept(name)), changes());
        let input = input.prop_map(|(input, changes)| changes.iter().fold(input, changed));
        let input = prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..64), 9 => input];
        let outcome = runner.run(&input, |input| {
            run(&input);
            Ok(())
        });
        if let Err(found) = outcome {
            panic!("{name}: {found}");
        }
    }
}

/// A change: what, where, and with which byte.
type Change = (u8, prop::sample::Index, u8);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(
        (0..5_u8, any::<prop::sample::Index>(), any::<u8>()),
        0..=CHANGES_MAX,
    )
}

fn changed(mut input: Vec<u8>, (what, at, byte): &Change) -> Vec<u8> {
    let at = at.index(input.len() + 1);
    match (what, input.get_mut(at)) {
        (0, Some(there)) => *there ^= 1 << (byte % 8),
        (1, Some(there)) => *there = *byte,
        (2, Some(_)) => drop(input.remove(at)),
        (3, _) => input.truncate(at),
        _ => input.insert(at, *byte),
    }
    input
}
