//! The names in a log: the cluster, its streams, and the origin that a tree head carries.
//! They go into signed text, so each has one spelling and none can hold a separator.
//!
//! Invariant: a name that exists prints exactly as it was read.

use std::fmt;
use std::str::FromStr;

/// Longest stream id in bytes.
pub const STREAM_ID_BYTES_MAX: usize = 64;

/// A cluster's UUID. Its text is the lower-case, hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub [u8; 16]);

/// A stream's id: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(String);

/// What a tree head is about: `coffer/<cluster>/<stream>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The cluster.
    pub cluster: ClusterId,
    /// The stream of that cluster.
    pub stream: StreamId,
}

/// A text that is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a lower-case, hyphenated UUID.
    #[error("a cluster is a lower-case UUID with hyphens")]
    Cluster,
    /// Not a stream id.
    #[error(
        "a stream id is 1 to 64 letters, digits, dots, hyphens and underscores, and starts with a letter or digit"
    )]
    Stream,
    /// Not `coffer/<cluster>/<stream>`.
    #[error("an origin is coffer/CLUSTER/STREAM")]
    Origin,
}

impl ClusterId {
    /// The name of the cluster's signing key: `coffer/<cluster>`.
    #[must_use]
    pub fn key_name(&self) -> String {
        format!("coffer/{self}")
    }

    /// The cluster of a key name.
    ///
    /// # Errors
    /// [`NameError::Cluster`] unless the name is exactly `coffer/<cluster>`.
    pub fn of_key_name(name: &str) -> Result<Self, NameError> {
        name.strip_prefix("coffer/")
            .ok_or(NameError::Cluster)?
            .parse()
    }
}

impl StreamId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(at, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for ClusterId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex: Vec<u8> = text.bytes().filter(|&b| b != b'-').collect();
        let (pairs, rest) = hex.as_chunks::<2>();
        let mut id = Self([0; 16]);
        if !rest.is_empty() || pairs.len() != id.0.len() {
            return Err(NameError::Cluster);
        }
        for (byte, pair) in id.0.iter_mut().zip(pairs) {
            let digit = |b: u8| (b as char).to_digit(16).ok_or(NameError::Cluster);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NameError::Cluster)
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.bytes().next().ok_or(NameError::Stream)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if text.len() > STREAM_ID_BYTES_MAX
            || !first.is_ascii_alphanumeric()
            || !text.bytes().all(allowed)
        {
            return Err(NameError::Stream);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "coffer/{}/{}", self.cluster, self.stream)
    }
}

impl FromStr for Origin {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (cluster, stream) = text
            .strip_prefix("coffer/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(NameError::Origin)?;
        Ok(Self {
            cluster: cluster.parse()?,
            stream: stream.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        let cluster = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        assert_eq!(cluster.parse::<ClusterId>().unwrap().to_string(), cluster);
        for wrong in [
            "",
            "0190A1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
            "-",
            "+1",
        ] {
            assert!(wrong.parse::<ClusterId>().is_err(), "{wrong}");
        }
        for wrong in ["", "-a", "a b", "a/b", "ä", "a\n", &"a".repeat(65)] {
            assert!(wrong.parse::<StreamId>().is_err(), "{wrong}");
        }
        let origin = format!("coffer/{cluster}/node-1");
        assert_eq!(origin.parse::<Origin>().unwrap().to_string(), origin);
        for wrong in [
            "coffer/x",
            "coffer/x/y",
            cluster,
            &format!("{origin}/z"),
            &format!("/{origin}"),
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
        assert!(ClusterId::of_key_name(&format!("coffer/{cluster}/")).is_err());
    }
}
