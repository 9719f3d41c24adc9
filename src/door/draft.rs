//! One decision on its way to the ledger: the record's parts, what it relied on, and its changes.
//! The typed reply stays with the request's own task until the ledger says what became of the draft.
//!
//! Invariant: a draft owns everything it needs, so a client that hangs up changes nothing about it.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::authenticate::authenticate;
use super::counted::Turned;
use super::decision::Learned;
use super::history::Relied;
use super::operation::{Caller, Cx, Operation};
use super::shared::Shared;
use super::{Answer, Authorised, Door, REFS_MAX, Request, RequestId, View, authorise};
use crate::fault;
use crate::model::{Action, MaybeChanges, Patience, Refusal, Timestamp, TokenId};
use crate::store::Writer;

/// What a record says, before it has a place in the log.
#[derive(Clone, Debug)]
pub(super) struct DraftRecord {
    pub(super) id: RequestId,
    pub(super) time: Timestamp,
    pub(super) principal: Option<Arc<str>>,
    pub(super) token: Option<TokenId>,
    pub(super) source: Option<IpAddr>,
    pub(super) user_agent: Option<String>,
    pub(super) action: &'static str,
    pub(super) resource: String,
    pub(super) version: Option<u64>,
    pub(super) allowed: bool,
    pub(super) scope: Option<Arc<str>>,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    pub(super) digest: Option<[u8; 32]>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) record: Box<DraftRecord>,
    pub(super) relied: Relied,
    pub(super) changes: MaybeChanges,
    pub(super) learned: Learned,
}

/// What became of a draft.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It is stored, as durably as the configuration says.
    Stored,
    /// It was touched: decide again.
    Again,
    /// The store did not confirm it.
    Lost,
    /// The queue is full, or it fails even alone.
    Full,
    /// Another server owns the stream.
    Fenced,
}

type Deciding = Pin<Box<dyn Future<Output = Result<Draft, Refusal>> + Send>>;

/// A command's third attempt: made under the lock, on top of the batch's own changes.
pub(super) struct Deferred(Box<dyn FnOnce(Arc<tokio::sync::Mutex<Writer>>) -> Deciding + Send>);

impl Deferred {
    pub(super) async fn decide(
        self,
        writer: Arc<tokio::sync::Mutex<Writer>>,
    ) -> Result<Draft, Refusal> {
        (self.0)(writer).await
    }
}

/// What is handed to the ledger.
pub(super) enum Command {
    Decided(Box<Draft>),
    Deferred(Deferred),
}

/// A request and its operation, decided as often as need be.
pub(super) struct Attempt<O: Operation> {
    pub(super) request: Request,
    pub(super) operation: O,
}

pub(super) type Decided<R> = (Draft, Result<Answer<R>, Refusal>);

impl<O: Operation> Attempt<O> {
    /// One decision over this view: the draft, and the reply that it allows.
    async fn decide(&self, shared: &Shared, view: View) -> Result<Decided<O::Reply>, Refusal> {
        let now = shared.now();
        let resource = self.operation.resource();
        let text = resource.text();
        let mut record = DraftRecord::new(&self.request, O::ACTION, now, text);
        let decision = match authenticate(shared, &self.request, &view, now).await {
            Err((refusal, token)) => {
                record.token = token;
                Err(refusal)
            }
            Ok(caller) => {
                record.token = caller.token_id();
                record.principal = caller.display();
                match authorise::<O>(&caller, resource, &record.resource) {
                    Err((refusal, scope)) => {
                        record.scope = scope;
                        Err(refusal)
                    }
                    Ok(Authorised { scope }) => {
                        record.scope = scope;
                        record.allowed = true;
                        self.operate(shared, now, &caller, &view).await
                    }
                }
            }
        };
        match decision {
            // The store could not be asked: nothing was decided, and nothing can be recorded.
            Err(Refusal::Unavailable(why)) => Err(Refusal::Unavailable(why)),
            // Nothing was decided yet: whoever asks waits, and asks again.
            Err(Refusal::Refreshing(Patience::Waits)) => Err(Refusal::Refreshing(Patience::Waits)),
            // One unknown or dead token too many from one source: counted, without a record.
            Err(Refusal::TooMany(wait)) => {
                shared.counted.count(self.request.source, Turned::TooMany);
                Err(Refusal::TooMany(wait))
            }
            decision => {
                let relied = view.into_relied();
                let decision = decision.and_then(|decision| within_refs(&relied, decision));
                Ok(finish(record, relied, decision))
            }
        }
    }

    async fn operate(
        &self,
        shared: &Shared,
        now: Timestamp,
        caller: &Caller,
        view: &View,
    ) -> Result<super::Decision<O::Reply>, Refusal> {
        let cx = Cx {
            now,
            entropy: &*shared.entropy,
            keys: &shared.keys,
            caller,
        };
        self.operation.decide(&cx, view).await
    }
}

impl DraftRecord {
    /// What a request's head says; who asked, and how it ended, is not known yet.
    pub(super) fn new(
        request: &Request,
        action: Action,
        time: Timestamp,
        resource: String,
    ) -> Box<Self> {
        Box::new(Self {
            id: request.id,
            time,
            principal: None,
            token: None,
            source: request.source,
            user_agent: request.user_agent.clone(),
            action: action.as_str(),
            resource,
            version: None,
            allowed: false,
            scope: None,
            status: 200,
            code: "ok",
            metadata: request.metadata.clone(),
            digest: None,
        })
    }
}

/// A decision relies on and touches a bounded number of refs; larger work is a cursor of decisions.
fn within_refs<R>(
    relied: &Relied,
    decision: super::Decision<R>,
) -> Result<super::Decision<R>, Refusal> {
    if relied.refs.len() <= REFS_MAX && decision.changes.touched.len() <= REFS_MAX {
        return Ok(decision);
    }
    Err(Refusal::TooLarge(format!(
        "This takes more than {REFS_MAX} objects at once; ask for less at a time."
    )))
}

pub(super) fn finish<R>(
    mut record: Box<DraftRecord>,
    relied: Relied,
    decision: Result<super::Decision<R>, Refusal>,
) -> Decided<R> {
    match decision {
        Ok(decision) => {
            record.status = decision.status;
            record.version = decision.version;
            record.digest = decision.digest;
            if let Some(said) = decision.metadata {
                record.metadata.get_or_insert_default().extend(said);
            }
            let answer = Answer {
                reply: decision.reply,
                status: decision.status,
            };
            (
                Draft {
                    record,
                    relied,
                    changes: decision.changes,
                    learned: decision.learned,
                },
                Ok(answer),
            )
        }
        Err(refusal) => {
            // An operation that asks the grant itself may refuse what the door let in.
            record.allowed &= !matches!(
                refusal,
                Refusal::Forbidden(_) | Refusal::Hidden | Refusal::Unauthenticated(_)
            );
            record.status = refusal.status();
            record.code = refusal.code();
            (
                Draft {
                    record,
                    relied,
                    changes: MaybeChanges::default(),
                    learned: Learned::default(),
                },
                Err(refusal),
            )
        }
    }
}

impl Door {
    /// What a request's attempt looks at: the cache first, and then one snapshot of its own.
    pub(super) async fn view(&self, tried: u32) -> Result<View, Refusal> {
        let shared = Arc::clone(&self.shared);
        if tried == 0 {
            Ok(View::cached(shared))
        } else {
            Box::pin(View::snapshot(shared)).await
        }
    }

    /// Decides once and hands the draft to the ledger; the reply comes with what became of it.
    ///
    /// # Errors
    /// Only what could not be decided or recorded at all.
    #[allow(
        clippy::type_complexity,
        reason = "an outcome and, when stored, the answer or the refusal"
    )]
    pub(super) async fn attempt<O: Operation>(
        &self,
        attempt: &Arc<Attempt<O>>,
        tried: u32,
    ) -> Result<(Outcome, Option<Result<Answer<O::Reply>, Refusal>>), Refusal> {
        let shared = &self.shared;
        let view = self.view(tried).await?;
        let (mut draft, answer) = attempt.decide(shared, view).await?;
        fault::pause("decided").await;
        if draft.changes.is_empty() {
            if tried > 0 {
                fault::pause(if tried == 1 {
                    "sent back"
                } else {
                    "sent back again"
                })
                .await;
                // All of it was true at once, in one snapshot after the request began.
                if !fault::planted("a snapshot doubted") {
                    draft.relied.refs.clear();
                }
            }
            return Ok((shared.queue.read(draft).await, Some(answer)));
        }
        if tried < 2 {
            return Ok((
                shared
                    .queue
                    .command(Command::Decided(Box::new(draft)))
                    .await,
                Some(answer),
            ));
        }
        shared.metrics.ledger.deferred.one();
        let slot = Arc::new(Mutex::new(None));
        let deferred = defer(Arc::clone(shared), Arc::clone(attempt), Arc::clone(&slot));
        let outcome = shared.queue.command(Command::Deferred(deferred)).await;
        let answer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok((outcome, answer))
    }
}

type Slot<R> = Arc<Mutex<Option<Result<Answer<R>, Refusal>>>>;

fn defer<O: Operation>(
    shared: Arc<Shared>,
    attempt: Arc<Attempt<O>>,
    slot: Slot<O::Reply>,
) -> Deferred {
    Deferred(Box::new(move |writer| {
        Box::pin(async move {
            let view = View::locked(Arc::clone(&shared), writer);
            let (draft, answer) = attempt.decide(&shared, view).await?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            Ok(draft)
        })
    }))
}
