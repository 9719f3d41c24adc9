//! Names and paths: canonical, or refused with the reason; never repaired.
//! Authorisation, storage and the record all use the one spelling that is parsed here.
//!
//! Invariant: a value of these types is canonical (CVE-2025-5999 and its whole family).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const NAME_BYTES_MAX: usize = 63;
const PATH_BYTES_MAX: usize = 512;
const PATH_PARTS_MAX: usize = 16;
const PART_BYTES_MAX: usize = 128;
const FIELD_BYTES_MAX: usize = 128;

/// Why a name is refused: a clause that fits behind "because".
pub type NameError = &'static str;

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The canonical text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }
    };
}

/// A project's, environment's or application's name: `[a-z][a-z0-9-]{0,62}`, and not `sys`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Box<str>);
text!(Name);

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "sys" {
            return Err("`sys` is kept for the system");
        }
        let mut bytes = text.bytes();
        let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !head || !tail || text.len() > NAME_BYTES_MAX {
            return Err("a name is a lower-case letter and then at most 62 of a-z, 0-9 and -");
        }
        Ok(Self(text.into()))
    }
}

/// A secret's path in its environment: parts joined by `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretPath(Box<str>);
text!(SecretPath);

impl SecretPath {
    /// The spelling by which a path is unique: two that differ only in case cannot both exist.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether both are one path but for case.
    pub fn folds_like(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl FromStr for SecretPath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > PATH_BYTES_MAX {
            return Err("a path has at most 512 bytes");
        }
        if text.split('/').count() > PATH_PARTS_MAX {
            return Err("a path has at most 16 parts");
        }
        text.split('/').try_for_each(check_part)?;
        Ok(Self(text.into()))
    }
}

/// One part of a path: `[A-Za-z0-9_][A-Za-z0-9_.@:=~+-]{0,127}`.
pub(super) fn check_part(part: &str) -> Result<(), NameError> {
    let mut bytes = part.bytes();
    let head = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let tail = bytes.all(|b| b.is_ascii_alphanumeric() || b"_.@:=~+-".contains(&b));
    if !head || !tail || part.len() > PART_BYTES_MAX {
        return Err(
            "each part of a path is a letter, digit or _ and then at most 127 of A-Z a-z 0-9 _ . @ : = ~ + -",
        );
    }
    Ok(())
}

/// A field of a secret: `[A-Za-z_][A-Za-z0-9_.-]{0,127}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(Box<str>);
text!(FieldName);

impl FromStr for FieldName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut bytes = text.bytes();
        let head = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let tail = bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !head || !tail || text.len() > FIELD_BYTES_MAX {
            return Err("a field is a letter or _ and then at most 127 of A-Z a-z 0-9 _ . -");
        }
        Ok(Self(text.into()))
    }
}

/// `project/environment`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EnvironmentName {
    /// The project's name.
    pub project: Name,
    /// The environment's own name.
    pub environment: Name,
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.project.as_str())?;
        f.write_str("/")?;
        f.write_str(self.environment.as_str())
    }
}

/// `project/environment/path`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SecretName {
    /// Where it lives.
    pub place: EnvironmentName,
    /// Its path there.
    pub path: SecretPath,
}

impl SecretName {
    /// The text, in one piece of memory.
    pub fn text(&self) -> String {
        let EnvironmentName {
            project,
            environment,
        } = &self.place;
        [project.as_str(), environment.as_str(), self.path.as_str()].join("/")
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        f.write_str("/")?;
        f.write_str(self.path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_other_names_are_refused() {
        for bad in [
            "",
            "Sys",
            "sys",
            " a",
            "a ",
            "a/b",
            "1a",
            "-a",
            "a_b",
            "rοot",
            "ａ",
            "a\u{200d}",
            "a\0",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.b", "a\\b", "a%2fb", "a;b",
            "a b", "a\0", "ä",
        ] {
            assert!(bad.parse::<SecretPath>().is_err(), "{bad:?}");
        }
        for bad in ["", "1a", "a/b", "a b", "a=b", ".a"] {
            assert!(bad.parse::<FieldName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        assert!("a".repeat(63).parse::<Name>().is_ok());
        assert!("a".repeat(64).parse::<Name>().is_err());
        assert!(["a"; 16].join("/").parse::<SecretPath>().is_ok());
        assert!(["a"; 17].join("/").parse::<SecretPath>().is_err());
        assert!("a".repeat(128).parse::<SecretPath>().is_ok());
        assert!("a".repeat(129).parse::<SecretPath>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_printed_as_it_was(text in "[ -~]{0,24}") {
            if let Ok(path) = text.parse::<SecretPath>() {
                prop_assert_eq!(path.as_str(), text.as_str());
            }
        }
    }
}
