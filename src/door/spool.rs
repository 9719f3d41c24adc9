//! The spool: a provider's answer in this node's own folder, sealed and synced, from before it is concluded until after.
//! A process that ends in between finds it at its next start; the tokens in it are the only living ones.
//!
//! Invariant: an answer is on the disk before anything else is done with it, and stays until its conclusion is durable.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Door;
use super::state_dir::StateDir;
use crate::model::{
    AttemptId, EnvironmentName, FieldName, Fields, LifetimeSource, Name, Refreshing, SecretId,
    SecretName, SecretPath, Timestamp, TokenAnswer, Ttl, Value,
};

/// The longest spooled answer, sealed, in bytes: two tokens of 64 KiB and what is said of them.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Files that are looked at: a node has far fewer calls on their way.
const FILES_MAX: usize = 10_000;

/// An answer and the attempt that it belongs to.
pub struct Spooled {
    /// The attempt.
    pub refreshing: Refreshing,
    /// When its request was sent.
    pub sent_at: Timestamp,
    /// The tokens.
    pub answer: TokenAnswer,
}

/// The folder of a node's spooled answers.
pub(super) struct Spool(PathBuf);

impl Spool {
    /// The spool of a state directory; the folder is made when it is absent.
    pub(super) fn of(state_dir: &StateDir) -> io::Result<Self> {
        state_dir.folder("spool").map(Self)
    }

    fn put(&self, id: AttemptId, sealed: &[u8]) -> io::Result<()> {
        StateDir::replace(&self.0, &id.to_string(), sealed)
    }

    fn remove(&self, id: AttemptId) -> io::Result<()> {
        fs::remove_file(self.0.join(id.to_string()))?;
        fs::File::open(&self.0)?.sync_all()
    }

    /// What is there, by attempt; what has another name was not put here by `put`, or not to its end.
    fn list(&self) -> io::Result<Vec<(AttemptId, Vec<u8>)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)?.take(FILES_MAX) {
            let entry = entry?;
            let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            if entry.metadata()?.len() <= FILE_BYTES_MAX {
                found.push((id, fs::read(entry.path())?));
            }
        }
        found.sort_unstable_by_key(|(id, _)| *id);
        Ok(found)
    }
}

impl Door {
    /// Puts an answer on the disk, sealed and synced, before it is concluded.
    ///
    /// # Errors
    /// The folder cannot be written, or the answer is beyond every limit.
    pub async fn spool(&self, spooled: &Spooled) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let id = spooled.refreshing.attempt;
        let plain = spooled.fields().expose_encoded();
        let sealed = shared
            .keys
            .seal_spooled(&*shared.entropy, id, &plain)
            .map_err(|_| io::Error::other("the answer could not be sealed"))?;
        disk(move || shared.spool.put(id, &sealed)).await
    }

    /// Takes a concluded answer from the disk.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub async fn unspool(&self, id: AttemptId) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        disk(move || shared.spool.remove(id)).await
    }

    /// What an earlier run of this node left in its spool. What does not open stays, and is told of.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn list_spooled(&self) -> io::Result<Vec<Spooled>> {
        let shared = Arc::clone(&self.shared);
        let found = disk(move || shared.spool.list()).await?;
        let opened = found.into_iter().filter_map(|(id, sealed)| {
            let plain = self.shared.keys.open_spooled(id, &sealed).ok();
            let fields = plain.and_then(|plain| Fields::decode(plain.expose()));
            let spooled = fields.and_then(|fields| Spooled::of(id, fields));
            if spooled.is_none() {
                tracing::error!(attempt = %id, "a spooled answer does not open, and is left where it is");
            }
            spooled
        });
        Ok(opened.collect())
    }
}

/// Works on the disk in a thread that may wait for it.
async fn disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(io::Error::other("the disk was not waited for")))
}

/// All of a spooled answer but its tokens.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    project: Name,
    environment: Name,
    path: SecretPath,
    connection: SecretId,
    revision: u64,
    sent_at: Timestamp,
    token_type: String,
    scope: Option<String>,
    lifetime: Option<Ttl>,
    lifetime_from: LifetimeSource,
}

const ABOUT: &str = "about";
const ACCESS_TOKEN: &str = "access_token";
const REFRESH_TOKEN: &str = "refresh_token";

fn field(name: &str) -> FieldName {
    name.parse().expect("it is a field's name")
}

impl Spooled {
    pub(super) fn fields(&self) -> Fields {
        let Self {
            refreshing,
            sent_at,
            answer,
        } = self;
        let about = About {
            project: refreshing.name.place.project.clone(),
            environment: refreshing.name.place.environment.clone(),
            path: refreshing.name.path.clone(),
            connection: refreshing.connection,
            revision: refreshing.revision,
            sent_at: *sent_at,
            token_type: answer.token_type.clone(),
            scope: answer.scope.clone(),
            lifetime: answer.lifetime,
            lifetime_from: answer.lifetime_from,
        };
        let about = serde_json::to_string(&about).expect("it is names, numbers and texts");
        let mut fields = Fields::default();
        fields.put(field(ABOUT), Value::text(Zeroizing::new(about)));
        fields.put(field(ACCESS_TOKEN), answer.access_token.copy());
        if let Some(token) = &answer.refresh_token {
            fields.put(field(REFRESH_TOKEN), token.copy());
        }
        fields
    }

    pub(super) fn of(attempt: AttemptId, mut fields: Fields) -> Option<Self> {
        let about = fields.take(&field(ABOUT))?;
        let about: About = serde_json::from_slice(about.expose()).ok()?;
        Some(Self {
            refreshing: Refreshing {
                name: SecretName {
                    place: EnvironmentName {
                        project: about.project,
                        environment: about.environment,
                    },
                    path: about.path,
                },
                connection: about.connection,
                revision: about.revision,
                attempt,
            },
            sent_at: about.sent_at,
            answer: TokenAnswer {
                access_token: fields.take(&field(ACCESS_TOKEN))?,
                refresh_token: fields.take(&field(REFRESH_TOKEN)),
                token_type: about.token_type,
                scope: about.scope,
                lifetime: about.lifetime,
                lifetime_from: about.lifetime_from,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spooled_is_found_again_whole() {
        let text = |text: &str| Value::text(Zeroizing::new(text.to_owned()));
        let attempt = AttemptId::from_bytes([7; 16]);
        let spooled = Spooled {
            refreshing: Refreshing {
                name: SecretName {
                    place: EnvironmentName {
                        project: "p".parse().expect("a name"),
                        environment: "e".parse().expect("a name"),
                    },
                    path: "Grant".parse().expect("a path"),
                },
                connection: SecretId::from_bytes([3; 16]),
                revision: 4,
                attempt,
            },
            sent_at: Timestamp::from_micros(5),
            answer: TokenAnswer {
                access_token: text("access"),
                refresh_token: None,
                token_type: "Bearer".to_owned(),
                scope: Some("a b".to_owned()),
                lifetime: Some(Ttl::seconds(60)),
                lifetime_from: LifetimeSource::ExpiresIn,
            },
        };
        let again = Spooled::of(attempt, spooled.fields()).expect("its own fields");
        assert_eq!(again.refreshing, spooled.refreshing);
        assert_eq!(again.sent_at, spooled.sent_at);
        assert_eq!(again.answer.access_token.expose(), b"access");
        assert!(again.answer.refresh_token.is_none());
        assert_eq!(again.answer.lifetime, spooled.answer.lifetime);
        assert!(Spooled::of(attempt, Fields::default()).is_none());
    }
}
