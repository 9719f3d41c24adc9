//! Page cursors: a position, bound by a MAC to the listing it was made for.
//! A cursor of another listing, another cluster, or one with a byte changed is refused before anything is looked up.
//!
//! Invariant: a cursor never reaches the store but as a position that this cluster wrote (CVE-2026-33504).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use subtle::ConstantTimeEq;

use super::Door;
use crate::crypto::{CursorMac, MacKey};

const MAC_BYTES: usize = 16;

impl Door {
    /// Signs a position for the listing it belongs to.
    pub fn sign_cursor(&self, listing: &str, position: &str) -> String {
        sign(self.shared.keys.cursor_mac(), listing, position)
    }

    /// The position that a cursor of this listing names, if this cluster signed it.
    pub fn open_cursor(&self, listing: &str, cursor: &str) -> Option<String> {
        open(self.shared.keys.cursor_mac(), listing, cursor)
    }
}

pub(super) fn sign(key: &MacKey<CursorMac>, listing: &str, position: &str) -> String {
    let mut bytes = key.sign(&said(listing, position))[..MAC_BYTES].to_vec();
    bytes.extend_from_slice(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn open(key: &MacKey<CursorMac>, listing: &str, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (mac, position) = bytes.split_at_checked(MAC_BYTES)?;
    let position = std::str::from_utf8(position).ok()?;
    let own = key.sign(&said(listing, position));
    bool::from(own[..MAC_BYTES].ct_eq(mac)).then(|| position.to_owned())
}

/// Both parts, each with its length, so that nothing slides from one into the other.
fn said(listing: &str, position: &str) -> Vec<u8> {
    let mut said = Vec::with_capacity(16 + listing.len() + position.len());
    for part in [listing, position] {
        said.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        said.extend_from_slice(part.as_bytes());
    }
    said
}
