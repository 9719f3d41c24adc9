//! The fuzz target of where a page of a list begins and ended, which a client sends back.
//!
//! Invariant: what is accepted is written again as the same text.

use super::connections::After;
use super::secrets::{Position, Prefix};
use crate::fuzzing::text;
use crate::model::SecretPath;

/// A prefix, and the positions behind the last item of a page.
pub(crate) fn positions(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string(), text);
    }
    if let Ok(after) = text.parse::<After>() {
        assert_eq!(after.to_string(), text);
    }
    let path = text.parse::<SecretPath>();
    match text.parse::<Prefix>() {
        Ok(prefix) => {
            assert_eq!(prefix.to_string(), text);
            let begins = |end: &str| format!("{text}{end}").parse::<SecretPath>().is_ok();
            assert!(
                text.is_empty() || path.is_ok() || begins("x"),
                "no path begins so"
            );
        }
        Err(_) => assert!(path.is_err(), "a path begins with itself"),
    }
}
