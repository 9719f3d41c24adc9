//! The single writer of a node: makes decisions and their records true, in batches, under a signed tree head.
//! It takes what waits, and yields before until its queue stops growing where that pays; reads never take the world's lock, commands share one.
//!
//! Invariant: the next tree replaces the old one only when the outcome of its commit is known.

mod commands;
mod follow;
mod keeping;
mod next;
mod reads;
mod recover;
mod unsynced;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer_audit_log::Frontier;
use tokio::task::JoinHandle;

use super::draft::{Command, Draft, Outcome};
use super::kept::Kept;
use super::shared::Shared;
use super::state_dir::StateDir;
use crate::fault;
use crate::model::{Timestamp, WorldRow};
use crate::store::{Engine, StoreError, Writer};
pub(super) use commands::NOTES_KEPT;
pub(super) use follow::matter;
use next::Next;
use unsynced::Unsynced;

/// Turns of the runtime that the ledger gives others to join a batch.
const YIELDS_MAX: u32 = 4;
/// From one empty probe to the next, while nothing else is stored.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How long a batch of unknown outcome waits for the store before its clients are told so.
const HOLD: Duration = Duration::from_secs(5);
/// Between two tries to reach a lost store.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Another server owns the stream, or the store's history is not this node's: nothing more can be made true here.
#[derive(Debug)]
pub(super) struct Fenced(pub(super) &'static str);

/// Why a batch was not stored, or may not have been.
enum Trouble {
    /// Nothing was stored.
    Unstored(StoreError),
    /// It may have been: only a claim tells.
    Unknown(Box<Next>),
    /// Nothing more can be made true here.
    Ended(Fenced),
    /// The head did not move: somebody else owns the stream, or owned it meanwhile.
    Fenced(Option<Box<Next>>),
}

/// See the module.
pub(super) struct Ledger {
    shared: Arc<Shared>,
    state_dir: Arc<StateDir>,
    /// The connection that stores batches of reads; on SQLite, everything.
    main: Option<Writer>,
    locking: Locking,
    epoch: u64,
    tree: Frontier,
    head: String,
    last: Timestamp,
    /// What the node itself has to say in its next batch.
    matters: Vec<Draft>,
    /// What of the stream is not on the disk yet.
    unsynced: Unsynced,
    /// When a head was last kept, and which.
    kept: (std::time::Instant, Option<Kept>),
    keeping: Option<JoinHandle<()>>,
    /// The last batch failed: the next commands go one by one.
    one_by_one: bool,
    /// A batch whose outcome is not known yet.
    pending: Option<Box<Next>>,
    /// Why nothing more is to be stored, once what was stored is answered.
    ended: Option<Fenced>,
    /// What the last claim told of it.
    told: Option<Outcome>,
}

/// Where the connection is that waits for the world's lock, on PostgreSQL.
enum Locking {
    /// Not needed, or not there yet.
    Idle(Option<Writer>),
    /// Waiting for the lock, while the first connection goes on.
    Waiting(JoinHandle<(Writer, Result<WorldRow, StoreError>)>),
}

/// A lock that was granted, or was not.
type Granted = (Writer, Result<WorldRow, StoreError>);

impl Ledger {
    /// A ledger that owns its stream at `epoch`, whose tree and head are known.
    pub(super) fn new(
        shared: Arc<Shared>,
        state_dir: Arc<StateDir>,
        main: Writer,
        (epoch, tree, head, last): (u64, Frontier, String, Timestamp),
    ) -> Self {
        shared.mark_well();
        shared.metrics.ledger.head.set(tree.size());
        let now = shared.clock.monotonic();
        let unsynced = Unsynced::none((tree.size(), tree.root()), now);
        shared.set_signed(&tree);
        Self {
            shared,
            state_dir,
            main: Some(main),
            locking: Locking::Idle(None),
            epoch,
            tree,
            head,
            last,
            matters: Vec::new(),
            unsynced,
            kept: (now, None),
            keeping: None,
            one_by_one: false,
            pending: None,
            ended: None,
            told: None,
        }
    }

    /// Says something of the node's own in the next batch.
    pub(super) fn add_matter(&mut self, draft: Draft) {
        self.matters.push(draft);
    }

    /// Commits one command before anything is served; whether it still held.
    ///
    /// # Errors
    /// The store refused it, or did not answer.
    pub(super) async fn commit_first(&mut self, command: Command) -> Result<bool, StoreError> {
        let mut writer = match self.take_idle() {
            Some(writer) => writer,
            None => self.shared.store.writer().await?,
        };
        let world = writer.lock().await?;
        let outcome = self.commit_one(writer, world, command).await?;
        Ok(outcome == Outcome::Stored)
    }

    /// Serves the queue until it is closed, or the stream is lost.
    pub(super) async fn run(mut self) {
        let ended = self.serve().await;
        if ended.is_ok() {
            self.say_closed().await;
        }
        if let Err(Fenced(why)) = ended {
            tracing::error!(why, "this server stops");
            self.shared.fenced.store(true, Ordering::Release);
            self.shared.queue.fence(why);
            self.refuse_all(Outcome::Fenced);
        }
        self.keep_last_head().await;
        self.shared.queue.end();
        self.refuse_all(Outcome::Fenced);
    }

    /// The last record of this run; a store that does not answer goes without it.
    async fn say_closed(&mut self) {
        self.add_matter(matter(self, "closed", []));
        if self.main.is_some() && self.store_reads().await.is_err() {
            tracing::warn!("the closing record could not be stored");
        }
    }

    async fn serve(&mut self) -> Result<(), Fenced> {
        let mut probe = tokio::time::interval(PROBE_EVERY);
        probe.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut granted = None;
            let mut probing = false;
            tokio::select! {
                biased;
                lock = self.locking.granted() => granted = Some(lock),
                () = self.shared.queue.filled() => {}
                _ = probe.tick() => probing = true,
            }
            if probing {
                self.probe().await?;
            }
            if self.gathers(granted.is_some()) {
                self.gather_others().await;
            }
            match granted {
                Some((writer, Ok(world))) => self.commit(writer, world).await?,
                Some((writer, Err(error))) => self.lock_failed(writer, error).await?,
                None => self.turn().await?,
            }
            if let Some(ended) = self.ended.take() {
                return Err(ended);
            }
            let (reads, commands) = self.shared.queue.lengths();
            if reads + commands == 0 && self.shared.queue.is_closing() && !self.locking.is_waiting()
            {
                return Ok(());
            }
            if reads > 0 || (commands > 0 && !self.locking.is_waiting()) {
                self.shared.queue.wake();
            }
        }
    }

    /// Whether a batch is worth waiting for. PostgreSQL stores one on another core, so that the next is decided meanwhile
    /// where this one was not waited for; and who comes while the lock is waited for joins anyway.
    fn gathers(&self, granted: bool) -> bool {
        let (_, commands) = self.shared.queue.lengths();
        self.shared.store.engine() == Engine::Sqlite || !granted && commands == 0
    }

    /// Yields until the queue stops growing, so that one commit serves whoever is about to ask.
    async fn gather_others(&self) {
        let (mut reads, mut commands) = self.shared.queue.lengths();
        for _ in 0..YIELDS_MAX {
            tokio::task::yield_now().await;
            let now = self.shared.queue.lengths();
            if now == (reads, commands) {
                break;
            }
            (reads, commands) = now;
        }
    }

    /// Stores what waits, or begins to wait for the lock.
    async fn turn(&mut self) -> Result<(), Fenced> {
        if self.main.is_none() {
            // Before anything else: a batch may be waiting to be told what became of it.
            return self.recover_quietly().await;
        }
        let (reads, commands) = self.shared.queue.lengths();
        if commands > 0 && self.shared.store.engine() == Engine::Sqlite {
            let Some(mut writer) = self.main.take() else {
                return Ok(());
            };
            return match writer.lock().await {
                Ok(world) => self.commit(writer, world).await,
                Err(error) => self.lock_failed(writer, error).await,
            };
        }
        if commands > 0 && !self.locking.is_waiting() {
            self.begin_locking().await?;
        }
        if reads > 0 || !self.matters.is_empty() {
            self.store_reads().await?;
        }
        Ok(())
    }

    async fn begin_locking(&mut self) -> Result<(), Fenced> {
        let idle = std::mem::replace(&mut self.locking, Locking::Idle(None));
        let writer = match idle {
            Locking::Idle(Some(writer)) => Ok(writer),
            Locking::Idle(None) | Locking::Waiting(_) => self.shared.store.writer().await,
        };
        match writer {
            Ok(mut writer) => {
                self.locking = Locking::Waiting(tokio::spawn(async move {
                    let world = writer.lock().await;
                    (writer, world)
                }));
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "no connection to wait for the lock with");
                self.recover_quietly().await
            }
        }
    }

    /// The lock was not granted: the holder has had it for too long, or the connection is lost.
    async fn lock_failed(&mut self, writer: Writer, error: StoreError) -> Result<(), Fenced> {
        tracing::warn!(%error, "the world's lock was not granted");
        if matches!(error, StoreError::LockWait) {
            if let Err(error) = self.shared.store.end_lock_holder().await {
                tracing::warn!(%error, "the holder of the world's lock could not be ended");
            }
            self.give_back(writer);
            return Ok(());
        }
        drop(writer);
        self.recover_quietly().await
    }

    /// The connection for batches with changes, if it is there and idle.
    fn take_idle(&mut self) -> Option<Writer> {
        if self.shared.store.engine() == Engine::Sqlite {
            return self.main.take();
        }
        match &mut self.locking {
            Locking::Idle(writer) => writer.take(),
            Locking::Waiting(_) => None,
        }
    }

    /// Puts a writer that is outside of any transaction back to where it came from.
    fn give_back(&mut self, writer: Writer) {
        if self.shared.store.engine() == Engine::Sqlite {
            self.main = Some(writer);
        } else {
            self.locking = Locking::Idle(Some(writer));
        }
    }

    /// Looks whether the stream is still ours and follows what changed, so that an idle node notices both.
    async fn probe(&mut self) -> Result<(), Fenced> {
        fault::pause("probe").await;
        let Some(main) = self.main.as_mut() else {
            return self.recover_quietly().await;
        };
        match main
            .probe(self.shared.stream, self.epoch, &self.shared.history.at())
            .await
        {
            Ok(Some(world)) => {
                check_schema(&world)?;
                if !self.sync().await {
                    return self.recover_quietly().await;
                }
                self.shared.mark_well();
                self.keep_head_sometimes();
                let at = self.shared.history.at();
                if (world.seq, world.mark) != (at.seq, at.mark) {
                    return match self.catch_up().await {
                        Ok(()) => Ok(()),
                        Err(_) => self.recover_quietly().await,
                    };
                }
                Ok(())
            }
            Ok(None) | Err(_) => self.recover_quietly().await,
        }
    }

    /// Whatever waits is told that it cannot be made true now.
    fn refuse_all(&self, outcome: Outcome) {
        let (reads, tell) = self.shared.queue.take_reads().split();
        tell.answer(
            vec![outcome; reads.len()],
            &self.shared.metrics.ledger.reads,
        );
        let (commands, tell) = self.shared.queue.take_commands().split();
        let counted = &self.shared.metrics.ledger.changes;
        tell.answer(vec![outcome; commands.len()], counted);
    }
}

impl Locking {
    const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// Waits for the lock that is being waited for; for ever when none is.
    async fn granted(&mut self) -> Granted {
        let Self::Waiting(waiting) = self else {
            return std::future::pending().await;
        };
        let granted = waiting.await;
        *self = Self::Idle(None);
        granted.expect("waiting for the lock neither panics nor is aborted")
    }
}

/// A node that meets a newer schema stops.
fn check_schema(world: &WorldRow) -> Result<(), Fenced> {
    if world.schema > crate::store::SCHEMA {
        return Err(Fenced(
            "the database has been migrated by a newer coffer-server; start that version here too",
        ));
    }
    Ok(())
}
