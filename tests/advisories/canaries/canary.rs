//! A text that is sure to be nowhere by chance, and the spellings in which it could have slipped out.
//!
//! Invariant: a spelling that stands in the middle of something longer is found like one alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What is looked for: it is sure to be nowhere by chance.
pub struct Canary {
    /// What it was given as.
    pub name: &'static str,
    /// What it is.
    pub text: String,
}

impl Canary {
    /// One of its own for each number.
    pub fn new(name: &'static str, number: u32) -> Self {
        Self {
            name,
            text: format!("kanarie{number:03}Kq7Zx{number:03}"),
        }
    }

    /// The text as it could stand somewhere: plain, reversed, hexadecimal, and base64 at each of its three offsets.
    fn spellings(&self) -> Vec<String> {
        let bytes = self.text.as_bytes();
        let hex = |upper: bool| -> String {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            let text: String = digits.collect();
            if upper { text.to_uppercase() } else { text }
        };
        let percent = bytes.iter().map(|byte| format!("%{byte:02x}"));
        let mut all = vec![
            self.text.clone(),
            self.text.chars().rev().collect(),
            hex(false),
            hex(true),
            percent.collect(),
        ];
        for before in 0..3 {
            let padded = [&vec![b' '; before][..], bytes].concat();
            let text = STANDARD.encode(&padded);
            // Without the characters that depend on what stands before and behind.
            let begin = if before == 0 { 0 } else { before + 1 };
            let end = text.trim_end_matches('=').len() - 1;
            all.push(text[begin..end].to_owned());
        }
        all
    }

    /// Whether it is in these bytes, in any spelling.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let (first, rest) = (bytes, self.spellings());
        rest.iter()
            .any(|spelling| holds(first, spelling.as_bytes()))
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    let (first, last) = (wanted[0], wanted.len() - 1);
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        let at = from + at;
        if bytes.get(at..=at + last) == Some(wanted) {
            return true;
        }
        from = at + 1;
    }
    false
}

#[test]
fn the_scan_finds_what_it_looks_for() {
    let canary = Canary::new("test", 7);
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}{}behind", canary.text);
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for spelt in [
            text.clone(),
            STANDARD.encode(&text),
            hex.to_uppercase(),
            hex,
            text.chars().rev().collect(),
        ] {
            assert!(canary.is_in(spelt.as_bytes()), "{spelt}");
        }
    }
    assert!(!canary.is_in(b"kanarie008Kq7Zx008 a2FuYXJpZTAwOEtxN1p4MDA4"));
}
