//! Texts and keys that are sure to be nowhere by chance, and the search for them in every spelling in which they could have
//! slipped out.
//!
//! Invariant: a spelling that stands in the middle of something longer is found like one alone.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// What is looked for.
#[derive(Clone)]
pub struct Canary {
    /// What it was given as.
    pub name: String,
    /// What it is.
    pub bytes: Vec<u8>,
}

impl Canary {
    /// One of its own for each number.
    pub fn new(name: &str, number: u32) -> Self {
        Self::of(name, format!("kanarie{number:03}Kq7Zx{number:03}"))
    }

    /// What is a secret anyway.
    pub fn of(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
        }
    }

    /// What it is, as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("it was made of text")
    }

    /// The bytes as they could stand somewhere: plain, reversed, hexadecimal, as escapes of a URL and of JSON, and base64 of
    /// both alphabets at each of its three offsets.
    fn spellings(&self) -> Vec<(&'static str, Vec<u8>)> {
        let bytes = &self.bytes;
        let each = |spelt: &dyn Fn(&u8) -> String| bytes.iter().map(spelt).collect::<String>();
        let mut all = vec![
            ("plain", bytes.clone()),
            ("reversed", bytes.iter().rev().copied().collect()),
            ("hex", each(&|byte| format!("{byte:02x}")).into()),
            ("hex", each(&|byte| format!("{byte:02X}")).into()),
            ("percent", each(&|byte| format!("%{byte:02x}")).into()),
            ("percent", each(&|byte| format!("%{byte:02X}")).into()),
            ("json", each(&|byte| format!("\\u{byte:04x}")).into()),
        ];
        for before in 0..3 {
            let padded = [&vec![b' '; before][..], bytes].concat();
            for alphabet in [STANDARD, URL_SAFE] {
                let text = alphabet.encode(&padded);
                // Without the characters that depend on what stands before and behind.
                let begin = if before == 0 { 0 } else { before + 1 };
                let end = text.trim_end_matches('=').len() - 1;
                all.push(("base64", text.as_bytes()[begin..end].to_vec()));
            }
        }
        all
    }
}

/// All canaries in all their spellings, looked for at once.
pub struct Search {
    automaton: AhoCorasick,
    /// Of each pattern: whose it is, and how it is spelt.
    patterns: Vec<(String, &'static str)>,
}

/// A canary that is where it should not be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// How it is spelt there.
    pub spelling: &'static str,
    /// Where its first byte stands.
    pub at: usize,
}

impl Search {
    /// For these.
    pub fn of<'a>(canaries: impl IntoIterator<Item = &'a Canary>) -> Self {
        let mut patterns = Vec::new();
        let mut texts = BTreeSet::new();
        let mut spelt = Vec::new();
        for canary in canaries {
            assert!(canary.bytes.len() >= 6, "{} could be chance", canary.name);
            for (spelling, text) in canary.spellings() {
                if texts.insert(text.clone()) {
                    patterns.push((canary.name.clone(), spelling));
                    spelt.push(text);
                }
            }
        }
        let automaton = AhoCorasick::new(spelt).expect("so many patterns can be looked for");
        Self {
            automaton,
            patterns,
        }
    }

    /// Everything that is found in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Vec<Found> {
        let found = self.automaton.find_overlapping_iter(bytes);
        let found = found.map(|found| {
            let (name, spelling) = &self.patterns[found.pattern().as_usize()];
            Found {
                name: name.clone(),
                spelling,
                at: found.start(),
            }
        });
        found.collect()
    }

    /// Whether any is in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.automaton.is_match(bytes)
    }
}

#[test]
fn the_scan_finds_what_it_looks_for() {
    let canary = Canary::new("test", 7);
    let search = Search::of([&canary, &Canary::of("key", [0xfb, 0xff, 0xbe, 1, 2, 3, 4])]);
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}{}behind", canary.text());
        let each = |spelt: &dyn Fn(u8) -> String| text.bytes().map(spelt).collect::<String>();
        for spelt in [
            text.clone(),
            STANDARD.encode(&text),
            each(&|byte| format!("{byte:02X}")),
            each(&|byte| format!("{byte:02x}")),
            each(&|byte| format!("%{byte:02X}")),
            each(&|byte| format!("\\u{byte:04x}")),
            text.chars().rev().collect(),
        ] {
            let found = search.find(spelt.as_bytes());
            assert!(found.iter().any(|found| found.name == "test"), "{spelt}");
        }
    }
    assert!(search.is_in(b"..-_--AQIDBA..") && search.is_in(b"..+/++AQIDBA.."));
    assert!(search.is_in(&[0, 0xfb, 0xff, 0xbe, 1, 2, 3, 4, 0]));
    assert!(!search.is_in(b"kanarie008Kq7Zx008 a2FuYXJpZTAwOEtxN1p4MDA4"));
}
