//! Identities: each a UUID of its own type, so that none is taken for another.
//! Version 7 ids are made from the request's instant; a token's id is the head of its MAC.
//!
//! Invariant: an id is never a secret and never reused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these sixteen bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// A time-ordered id (RFC 9562, version 7) from the request's instant and ten random bytes.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// The UUID, for contexts.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The sixteen bytes, as stored.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ();

            /// Canonical lower-case hyphenated text only.
            fn from_str(text: &str) -> Result<Self, ()> {
                let id = Uuid::try_parse(text).map_err(|_| ())?;
                let mut buffer = Uuid::encode_buffer();
                (id.as_hyphenated().encode_lower(&mut buffer) == text).then_some(Self(id)).ok_or(())
            }
        }
    )+};
}

ids! {
    /// One installation of Coffer, whatever the number of its nodes.
    ClusterId,
    /// A project.
    ProjectId,
    /// An environment of a project.
    EnvironmentId,
    /// A secret; a name used again gets a new one.
    SecretId,
    /// One stored version of a secret.
    VersionId,
    /// A user, an application or a part of the system.
    PrincipalId,
    /// A token: the first sixteen bytes of its MAC.
    TokenId,
    /// A node's audit log.
    StreamId,
    /// One run of a server process.
    BootId,
    /// One attempt to refresh a connection.
    AttemptId,
    /// What is kept of a request that is made once: the first sixteen bytes of a MAC over its token and its key.
    ReceiptId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_text_is_an_id() {
        let id = SecretId::new(Timestamp::from_micros(1_700_000_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(SecretId::from_str(&id.to_string().to_uppercase()), Err(()));
        assert_eq!(
            SecretId::from_str(&id.to_string().replace('-', "")),
            Err(())
        );
    }
}
