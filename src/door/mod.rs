//! The one way in: authenticate, authorise, decide, record; for reads and writes, for people and the system alike.
//! An operation decides over a view; the ledger makes the decision and its record true together, and only then is it said.
//!
//! Invariant: no reply and no refusal of a decision leaves before its record is stored under a signed head, as durably as
//! the configuration says.

mod accounts;
mod admit;
mod authenticate;
mod bearers;
mod cache;
mod check;
mod claim;
mod counted;
mod cursors;
mod decision;
mod documents;
mod draft;
mod due;
mod facts;
mod fingerprint;
mod found;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod history;
mod joining;
mod kept;
mod ledger;
mod log;
mod merging;
mod operation;
mod proven;
mod pruning;
mod queue;
mod recent;
mod request;
mod sealing;
mod segments;
mod shared;
mod spool;
mod start;
mod state_dir;
mod strangers;
mod view;
mod words;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

pub use check::{Ground, check, check_ground, check_keys};
pub use counted::{Counted, Turned};
pub use decision::Decision;
pub use due::DuePage;
pub use facts::{
    KnownConnection, KnownSecret, KnownVersion, Lease, Living, Place, Places, ProjectPlaces,
};
pub use found::{Founding, found};
pub use log::{LogQuery, LogReader, OutcomeFilter, RecordFilter, TILE_WIDTH, Tile};
pub use merging::Merger;
pub use operation::{Access, Bearer, Caller, Cx, Operation};
pub use pruning::{Cut, Pruner};
pub use request::{Credential, Request, RequestId};
pub use sealing::{NewVersion, reseal_row, seal_row, seal_version};
pub use shared::{Head, anchors};
pub use spool::Spooled;
pub use start::{StartError, Starting, start};
pub use state_dir::StateDir;
pub(crate) use view::Owner;
pub use view::{REFS_MAX, View};

use draft::Outcome;
use shared::Shared;

use crate::metrics::{Memory, Metrics, Now};
use crate::model::{Grant, Lacking, Refusal, Resource, Timestamp, TokenProblem};

/// Attempts before a request is told to come back: a command's third is made under the lock and cannot be touched.
const ATTEMPTS_MAX: u32 = 6;

/// The door of a node that is unsealed and owns its stream. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    shared: Arc<Shared>,
    ledger: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What a request is answered with, once its record is stored.
#[derive(Debug)]
pub struct Answer<R> {
    /// The operation's reply.
    pub reply: R,
    /// The HTTP status.
    pub status: u16,
}

impl Door {
    /// Runs an operation for a request: decides, records, and answers once both are stored.
    ///
    /// # Errors
    /// The refusal, recorded as well, but for what never reaches the door.
    pub async fn run<O: Operation>(
        &self,
        request: Request,
        operation: O,
    ) -> Result<Answer<O::Reply>, Refusal> {
        self.may_ask(&request)?;
        let attempt = Arc::new(draft::Attempt { request, operation });
        for tried in 0..ATTEMPTS_MAX {
            let (outcome, answer) = match self.attempt(&attempt, tried).await {
                // What this node remembers may be old, and nothing is stored that would tell: look at the store itself.
                Err(Refusal::Refreshing(_)) if tried == 0 => continue,
                decided => decided?,
            };
            match outcome {
                Outcome::Stored => return answer.unwrap_or(Err(Refusal::Unavailable(UNKNOWN))),
                unstored => self.may_go_on(unstored, tried)?,
            }
        }
        Err(Refusal::Unavailable(BUSY))
    }

    /// Whether it is worth deciding again what was not stored.
    fn may_go_on(&self, unstored: Outcome, tried: u32) -> Result<(), Refusal> {
        unstored.may_go_on()?;
        let counted = &self.shared.metrics.ledger;
        let again = if tried == 0 {
            &counted.sent_back
        } else {
            &counted.sent_back_again
        };
        again.one();
        Ok(())
    }

    /// What shows no token at all is counted, and a fenced node answers nobody.
    fn may_ask(&self, request: &Request) -> Result<(), Refusal> {
        let shared = &self.shared;
        let problem = match &request.credential {
            Credential::Missing => TokenProblem::Missing,
            Credential::Malformed => TokenProblem::Invalid,
            Credential::Token(_) | Credential::System(_) => {
                return if shared.fenced.load(Ordering::Acquire) {
                    Err(Refusal::Unavailable(FENCED))
                } else {
                    Ok(())
                };
            }
        };
        shared.count_unauthenticated(request, problem);
        Err(Refusal::Unauthenticated(problem))
    }

    /// Runs an operation of the system.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_system<O: Operation>(
        &self,
        part: &'static str,
        operation: O,
    ) -> Result<Answer<O::Reply>, Refusal> {
        let request = Request {
            credential: Credential::System(part),
            id: self.request_id(),
            source: None,
            user_agent: None,
            metadata: None,
        };
        self.run(request, operation).await
    }

    /// A name for the next request.
    pub fn request_id(&self) -> RequestId {
        self.shared.request_id()
    }

    /// The instant for work that the node does unasked.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// What is counted of this server.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Tells what there is now.
    pub fn look(&self, now: &mut Now) {
        let (reads, changes) = self.shared.queue.lengths();
        now.ready = self.is_ready();
        now.waiting_reads = reads as u64;
        now.waiting_changes = changes as u64;
        now.cache_entries = self.shared.cache.count() as u64;
        now.memory = Memory {
            facts: self.shared.cache.weight(),
            bearers: self.shared.bearers.weight(),
            changes: self.shared.history.weight() as u64,
            batches: self.shared.recent.bytes() as u64,
        };
        let copying = self.shared.store.copying();
        now.log_pages = copying.pages;
        now.log_copied = copying.copied;
        now.log_copies_failed = copying.failed;
    }

    /// How many decisions this node's ledger was given so far.
    pub fn decided(&self) -> u64 {
        self.shared.queue.joined()
    }

    /// Whether a batch or a probe went well within the last five seconds, and nobody else owns the stream.
    pub fn is_ready(&self) -> bool {
        self.shared.is_well()
    }

    /// Whether another server owns this node's stream: the process has to end.
    pub fn is_fenced(&self) -> bool {
        self.shared.fenced.load(Ordering::Acquire)
    }

    /// Waits until this node is fenced; why it is.
    pub async fn fenced(&self) -> &'static str {
        self.shared.queue.fenced().await
    }

    /// The public key that auditors verify with (C2SP vkey).
    pub fn verifier_key(&self) -> String {
        self.shared.verifier.to_string()
    }

    /// Closes the log with a last record, and ends the ledger.
    pub async fn close(&self) {
        self.shared.queue.close().await;
        let ledger = self.ledger.lock().await.take();
        if let Some(ledger) = ledger {
            // Its store is let go of with it: the next process finds the database unlocked.
            ledger
                .await
                .expect("the ledger neither panics nor is aborted");
        }
    }
}

impl Outcome {
    /// Whether it is worth deciding again; what is stored is not asked.
    const fn may_go_on(self) -> Result<(), Refusal> {
        Err(Refusal::Unavailable(match self {
            Self::Stored | Self::Again => return Ok(()),
            Self::Lost => UNKNOWN,
            Self::Full => BUSY,
            Self::Fenced => FENCED,
        }))
    }
}

/// What clients are told.
const FENCED: &str =
    "this server has lost its audit stream to another one and is stopping; ask another node";
const UNKNOWN: &str =
    "the store did not confirm the request in time; read back before you try again";
const BUSY: &str = "too much is waiting to be recorded; try again in a moment";

/// What the door found before the operation: for the record.
struct Authorised {
    scope: Option<Arc<str>>,
}

/// Whether the caller may run this operation, by its access.
fn authorise<O: Operation>(
    caller: &Caller,
    resource: Resource<'_>,
    text: &str,
) -> Result<Authorised, (Refusal, Option<Arc<str>>)> {
    use crate::model::Verdict;
    let forbidden = Refusal::Forbidden(Lacking::Action(O::ACTION));
    let verdict = |grant: &Grant| match O::ACCESS {
        Access::Exact => Some(grant.decide_text(O::ACTION, text)),
        Access::Reach if resource == Resource::Places => None,
        Access::Reach => Some(grant.reaches(O::ACTION, text)),
        Access::Caller => None,
        Access::System => Some(Verdict::Nothing),
    };
    match caller {
        Caller::Unknown => Err((Refusal::Unauthenticated(TokenProblem::Invalid), None)),
        Caller::System(_) => Ok(Authorised { scope: None }),
        Caller::Bearer(bearer) => match verdict(&bearer.grant) {
            None => Ok(Authorised { scope: None }),
            Some(Verdict::Allowed(scope)) => Ok(Authorised { scope: Some(scope) }),
            Some(Verdict::RefusedBy(scope)) => Err((forbidden, Some(scope))),
            Some(Verdict::Other) => Err((forbidden, None)),
            Some(Verdict::Nothing) => Err((Refusal::Hidden, None)),
        },
    }
}
