//! Fuzz targets of segments, as they are once they are opened.
//!
//! Invariant: what is taken for a segment is written again as the same bytes.

use super::content::{Content, Parsed};
use super::packer::{Packer, unpack};
use super::salts;
use super::summary::Summary;

/// The content of a segment, and its summary.
pub(crate) fn segment(input: &[u8]) {
    if let Ok(parsed) = Parsed::parse(input.to_vec()) {
        let mut content = Content::default();
        content.append(0, &parsed).expect("no word is moved");
        assert_eq!(
            content.encode().ok().as_deref(),
            Some(input),
            "a segment has one spelling"
        );
        let words = parsed.spoken().count();
        assert!(words * 53 + parsed.lines().len() < input.len());
        // Behind another one its words are its own, or it is refused.
        let mut merged = Content::default();
        if merged.append(u32::MAX, &parsed).is_ok() {
            assert_eq!(merged.runs, parsed.runs);
        }
    }
    if let Ok(summary) = serde_json::from_slice::<Summary>(input) {
        let written = summary.encode().expect("it is JSON");
        assert_eq!(
            serde_json::from_slice::<Summary>(&written).ok(),
            Some(summary)
        );
    }
}

/// A line without its salt: a seed, an index and the line.
pub(crate) fn segment_line(input: &[u8]) {
    let Some((seed, rest)) = input.split_first_chunk::<32>() else {
        return;
    };
    let Some((index, line)) = rest.split_first_chunk::<8>() else {
        return;
    };
    let salt = salts::salt(seed, u64::from_be_bytes(*index));
    let mut whole = Vec::new();
    if salts::put_back(line, salt, &mut whole) {
        assert_eq!(whole.len(), line.len() + 32);
        salts::take_out(&mut whole, 0);
        assert_eq!(whole, line, "a salt that was put back can be taken out");
    }
}

/// Packed bytes, as they lie in an envelope; and any bytes, packed and unpacked.
pub(crate) fn segment_packed(input: &[u8]) {
    let length = input
        .first_chunk::<4>()
        .map(|length| u32::from_be_bytes(*length));
    // What announces so much is taken at its word, and would be by a fuzzer too.
    if length.is_some_and(|length| length < 1 << 20)
        && let Ok(plain) = unpack(input)
    {
        assert_eq!(plain.len(), length.unwrap_or(0) as usize);
    }
    let mut packer = Packer::new();
    let packed = packer.pack(input).expect("it is short");
    assert_eq!(unpack(&packed).ok().as_deref(), Some(input));
    let mut longer = packed.clone();
    longer[3] = longer[3].wrapping_add(1);
    assert!(unpack(&longer).is_err(), "it says more than it holds");
}
