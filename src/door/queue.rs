//! What waits for the ledger: reads and commands apart, each batch with one completion for all who wait on it.
//! The ledger takes a whole queue at a time; there is no timer.
//!
//! Invariant: both queues are bounded, and whoever is in one hears what became of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, SetOnce};
use tokio::time::Instant;

use super::draft::{Command, Draft, Outcome};
use crate::metrics::Batches;

/// Drafts that may wait at once.
const WAITING_MAX: usize = 65_536;

/// The most drafts that a new batch makes room for.
const EXPECTED_MAX: usize = 256;

/// One outcome for each draft of a batch, by position.
type Outcomes = Vec<Outcome>;

/// A batch as the ledger takes it.
pub(super) struct Batch<T> {
    pub(super) drafts: Vec<T>,
    /// Since when the first of them waits.
    since: Option<Instant>,
    done: Arc<SetOnce<Outcomes>>,
}

impl<T> Batch<T> {
    /// Room for as many as the last one had: the next is about as large.
    fn new(expected: usize) -> Self {
        Self {
            drafts: Vec::with_capacity(expected.min(EXPECTED_MAX)),
            since: None,
            done: Arc::new(SetOnce::new()),
        }
    }

    /// Takes the drafts out; the answerer tells those who wait.
    pub(super) fn split(self) -> (Vec<T>, Answerer) {
        let Self {
            drafts,
            since,
            done,
        } = self;
        (drafts, Answerer { since, done })
    }
}

/// Tells everybody in a batch what became of their drafts.
pub(super) struct Answerer {
    since: Option<Instant>,
    done: Arc<SetOnce<Outcomes>>,
}

impl Answerer {
    /// `counted` are the batches of this kind.
    pub(super) fn answer(self, outcomes: Outcomes, counted: &Batches) {
        if let Some(since) = self.since {
            counted.waited.observe(since.elapsed());
        }
        // A batch is answered once; `SetOnce` refuses a second time, which cannot be since this consumes itself.
        let _ = self.done.set(outcomes);
    }
}

struct Waiting {
    reads: Batch<Draft>,
    commands: Batch<Command>,
    /// How many have ever waited.
    joined: u64,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    closing: AtomicBool,
    closed: SetOnce<()>,
    fenced: SetOnce<&'static str>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                reads: Batch::new(0),
                commands: Batch::new(0),
                joined: 0,
            }),
            wake: Notify::new(),
            closing: AtomicBool::new(false),
            closed: SetOnce::new(),
            fenced: SetOnce::new(),
        }
    }

    /// Waits until a draft without changes is stored, or is not.
    pub(super) async fn read(&self, draft: Draft) -> Outcome {
        self.join(draft, |waiting| &mut waiting.reads).await
    }

    /// Waits until a draft with changes is durable, or is not.
    pub(super) async fn command(&self, command: Command) -> Outcome {
        self.join(command, |waiting| &mut waiting.commands).await
    }

    /// Takes the reads that wait.
    pub(super) fn take_reads(&self) -> Batch<Draft> {
        let mut waiting = self.lock();
        let next = Batch::new(waiting.reads.drafts.len());
        std::mem::replace(&mut waiting.reads, next)
    }

    /// Takes the commands that wait.
    pub(super) fn take_commands(&self) -> Batch<Command> {
        let mut waiting = self.lock();
        let next = Batch::new(waiting.commands.drafts.len());
        std::mem::replace(&mut waiting.commands, next)
    }

    /// How many reads and how many commands wait.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let waiting = self.lock();
        (waiting.reads.drafts.len(), waiting.commands.drafts.len())
    }

    /// How many have waited so far, those who wait included.
    pub(super) fn joined(&self) -> u64 {
        self.lock().joined
    }

    /// Waits until something waits, or the queue is closing.
    pub(super) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Lets the ledger look again.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Asks the ledger to end once nothing waits, and waits for it.
    pub(super) async fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
        self.closed.wait().await;
    }

    /// The ledger has ended.
    pub(super) fn end(&self) {
        self.closing.store(true, Ordering::Release);
        let _ = self.closed.set(());
    }

    pub(super) fn fence(&self, why: &'static str) {
        let _ = self.fenced.set(why);
    }

    pub(super) async fn fenced(&self) -> &'static str {
        self.fenced.wait().await
    }

    async fn join<T>(
        &self,
        draft: T,
        queue: impl FnOnce(&mut Waiting) -> &mut Batch<T>,
    ) -> Outcome {
        let (index, done) = {
            let mut waiting = self.lock();
            let full = waiting.reads.drafts.len() + waiting.commands.drafts.len() >= WAITING_MAX;
            if full || self.closed.initialized() {
                return Outcome::Full;
            }
            waiting.joined += 1;
            let batch = queue(&mut waiting);
            batch.since.get_or_insert_with(Instant::now);
            batch.drafts.push(draft);
            (batch.drafts.len() - 1, Arc::clone(&batch.done))
        };
        self.wake.notify_one();
        done.wait()
            .await
            .get(index)
            .copied()
            .unwrap_or(Outcome::Lost)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
