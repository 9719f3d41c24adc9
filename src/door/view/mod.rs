//! What an operation sees of the world, and the list of what its decision relied on.
//! It answers from the cache, loads what is missing, and never shows a row or a connection.
//!
//! Invariant: every answer, absence included, leaves its ref in `relied`.

mod connections;
mod places;
mod receipts;
mod secrets;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use connections::Owner;

use super::cache::Entry;
use super::facts::{Fact, LoadError, Loaded};
use super::history::{Point, Relied};
use super::shared::Shared;
use crate::fault;
use crate::model::{Ref, Refusal};
use crate::store::{Connection, Reader, Stamp, Writer};

/// The most refs that one decision may rely on.
pub const REFS_MAX: usize = 1_000;

/// One decision's sight of the world.
pub struct View {
    shared: Arc<Shared>,
    source: Source,
    point: Point,
    relied: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    refs: Vec<(Ref, u64)>,
    ahead: Vec<Stamp>,
    /// Of these refs, those that the cache knew.
    known: u64,
}

/// Where a view loads from.
enum Source {
    /// The cache, and the pool for what it lacks.
    Cache,
    /// One snapshot for everything: a read that was sent back.
    Snapshot(tokio::sync::Mutex<Reader>),
    /// The transaction that holds the lock: a command that was sent back twice.
    Locked(Arc<tokio::sync::Mutex<Writer>>),
}

impl View {
    /// A view over the cache.
    pub(super) fn cached(shared: Arc<Shared>) -> Self {
        let point = shared.history.point();
        Self::new(shared, Source::Cache, point, Seen::default())
    }

    /// A view over one snapshot, true as of its own instant.
    pub(super) async fn snapshot(shared: Arc<Shared>) -> Result<Self, Refusal> {
        let generation = shared.history.point().generation;
        let mut reader = shared
            .store
            .snapshot()
            .await
            .map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        let at = stamp(&mut reader).await?;
        let seen = Seen {
            ahead: vec![at],
            ..Seen::default()
        };
        let point = Point {
            generation,
            seq: at.seq,
        };
        Ok(Self::new(
            shared,
            Source::Snapshot(tokio::sync::Mutex::new(reader)),
            point,
            seen,
        ))
    }

    /// A view under the lock, on top of the batch's own changes.
    pub(super) fn locked(shared: Arc<Shared>, writer: Arc<tokio::sync::Mutex<Writer>>) -> Self {
        let point = shared.history.point();
        Self::new(shared, Source::Locked(writer), point, Seen::default())
    }

    const fn new(shared: Arc<Shared>, source: Source, point: Point, seen: Seen) -> Self {
        Self {
            shared,
            source,
            point,
            relied: Mutex::new(seen),
        }
    }

    /// Whether it answers from the cache: so does the view of a request's first decision, and no other.
    pub(super) const fn is_cached(&self) -> bool {
        matches!(self.source, Source::Cache)
    }

    /// What the decision relied on.
    pub(super) fn into_relied(self) -> Relied {
        let seen = self
            .relied
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        self.shared.metrics.cache.hits.add(seen.known);
        // Under the lock nothing can have touched it: there is nothing to look at again.
        let refs = if matches!(self.source, Source::Locked(_)) {
            Vec::new()
        } else {
            seen.refs
        };
        Relied {
            point: self.point,
            refs,
            ahead: seen.ahead,
        }
    }

    /// What the cache knows, if it may be believed; it is then relied on.
    fn known(&self, at: Ref) -> Option<Arc<Entry>> {
        if !matches!(self.source, Source::Cache) {
            return None;
        }
        let entry = self.shared.cache.find(&at)?;
        if !entry.is_linked() {
            if entry.at.seq > self.shared.history.at().seq {
                self.relied().ahead.push(entry.at);
            } else if self.shared.history.has(&entry.at) {
                entry.link();
            } else {
                self.shared.cache.drop(&at);
                return None;
            }
        }
        let mut relied = self.relied();
        relied.refs.push((at, entry.at.seq));
        relied.known += 1;
        drop(relied);
        Some(entry)
    }

    /// Takes what was loaded for granted, and keeps it for others.
    fn learn<T: Clone>(
        &self,
        at: Ref,
        loaded: Result<Loaded<T>, LoadError>,
        fact: impl FnOnce(T) -> Fact,
    ) -> Result<T, Refusal> {
        let Loaded { at: stamp, value } = self.believe(at, loaded)?;
        if matches!(self.source, Source::Cache) {
            self.shared.metrics.cache.misses.one();
            let entry = Arc::new(Entry::new(stamp, fact(value.clone())));
            self.note_ahead(&stamp);
            self.shared
                .history
                .admit(&self.shared.cache, self.point.generation, at, entry);
        }
        Ok(value)
    }

    fn believe<T>(
        &self,
        at: Ref,
        loaded: Result<Loaded<T>, LoadError>,
    ) -> Result<Loaded<T>, Refusal> {
        match loaded {
            Ok(loaded) => {
                self.relied().refs.push((at, loaded.at.seq));
                Ok(loaded)
            }
            Err(LoadError::Closed(stamp)) => {
                self.relied().refs.push((at, stamp.seq));
                self.note_ahead(&stamp);
                Err(Refusal::Tampered)
            }
            Err(LoadError::Store(error)) => {
                tracing::warn!(%error, "a look-up failed");
                Err(Refusal::Unavailable(STORE_LOST))
            }
        }
    }

    /// A fact was loaded where this node may not have followed to yet, or on another history altogether.
    fn note_ahead(&self, at: &Stamp) {
        if matches!(self.source, Source::Cache) {
            let mut relied = self.relied();
            // The mark as well: two connections may show two histories at one change.
            if relied.ahead.last() != Some(at) {
                relied.ahead.push(*at);
            }
        }
    }

    async fn load<T>(
        &self,
        load: impl AsyncFnOnce(&mut Connection) -> Result<Loaded<T>, LoadError>,
    ) -> Result<Result<Loaded<T>, LoadError>, Refusal> {
        // Boxed: what is seldom needed must not make every request's future large.
        Box::pin(async {
            Ok(match &self.source {
                Source::Cache => {
                    let loaded = load(&mut *self.shared.reader().await?).await;
                    fault::pause("loaded").await;
                    loaded
                }
                Source::Snapshot(reader) => load(&mut *reader.lock().await).await,
                Source::Locked(writer) => load(writer.lock().await.within()).await,
            })
        })
        .await
    }

    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(
            &mut Connection,
        ) -> Result<crate::store::Seen<T>, crate::store::StoreError>,
    ) -> Result<crate::store::Seen<T>, Refusal> {
        let found = Box::pin(async {
            Ok(match &self.source {
                Source::Cache => read(&mut *self.shared.reader().await?).await,
                Source::Snapshot(reader) => read(&mut *reader.lock().await).await,
                Source::Locked(writer) => read(writer.lock().await.within()).await,
            })
        });
        found.await?.map_err(|error| {
            tracing::warn!(%error, "a look-up failed");
            Refusal::Unavailable(STORE_LOST)
        })
    }

    fn relied(&self) -> MutexGuard<'_, Seen> {
        self.relied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told when the store does not answer.
pub(super) const STORE_LOST: &str = "the store does not answer; try again in a moment";

async fn stamp(reader: &mut Reader) -> Result<Stamp, Refusal> {
    let world = reader
        .find_world()
        .await
        .ok()
        .flatten()
        .ok_or(Refusal::Unavailable(STORE_LOST))?;
    Ok(Stamp {
        seq: world.seq,
        mark: world.mark,
    })
}
