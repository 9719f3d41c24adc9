//! A request from its head to its answer: path, route, token, and only then the body, the operation and the door.
//! What is cheap to refuse is refused first, so that nobody without a token can make the server read or parse a body
//! (advisories H2, H12).
//!
//! Invariant: every request gets exactly one answer, and while the server is sealed none reaches an operation.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hyper::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::body::RequestBody;
use super::endpoint::{Call, turned_away};
use super::finish::Finish;
use super::journal::Journal;
use super::limits::{BODIES_KIB_MAX, REQUESTS_MAX};
use super::problem::Fault;
use super::reply::{Body, Reply};
use super::routes::{self, Found};
use super::source::source_of;
use super::{headers, open, url};
use crate::config::Network;
use crate::door::{Counted, Credential, Door, RequestId, Turned};
use crate::model::{Refusal, TokenProblem};

/// What `status` tells to who may manage the server.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The server's version.
    pub version: &'static str,
    /// The node's name.
    pub node: String,
    /// `sqlite` or `postgres`.
    pub store: &'static str,
    /// Whether the pages that hold keys are locked into memory.
    pub locked_memory: bool,
}

/// All that answers requests. It begins sealed.
pub struct App {
    unsealed: OnceLock<Unsealed>,
    /// What was turned away while it was sealed.
    counted: Counted,
    trusted: Vec<Network>,
    bodies: Semaphore,
    requests: Arc<Semaphore>,
    journal: Journal,
    boot: u64,
    counter: AtomicU64,
}

/// What there is only while the root key is in memory.
pub(super) struct Unsealed {
    pub(super) door: Door,
    pub(super) facts: NodeFacts,
}

impl App {
    /// A sealed app. `boot` names its requests until it is unsealed; then the door does.
    pub fn new(trusted: Vec<Network>, boot: u64) -> Arc<Self> {
        Arc::new(Self {
            unsealed: OnceLock::new(),
            counted: Counted::default(),
            trusted,
            bodies: Semaphore::new(BODIES_KIB_MAX),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            journal: Journal::default(),
            boot,
            counter: AtomicU64::new(0),
        })
    }

    /// Opens the door to requests, for as long as the process lives.
    pub fn unseal(&self, door: Door, facts: NodeFacts) {
        // Who comes second brings the same cluster's door; the first one stays.
        let _ = self.unsealed.set(Unsealed { door, facts });
        if let Some(unsealed) = self.unsealed.get() {
            unsealed.door.take_over(&self.counted);
        }
    }

    /// Answers one request of the peer at this address.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let began = Instant::now();
        let (method, version) = (request.method().clone(), request.version());
        let id = self.request_id();
        let mut pattern = "";
        let result = match self.begin(request, peer.ip(), id, &mut pattern) {
            Ok(Begun::Open(reply)) => Ok(reply),
            Ok(Begun::Running(running)) => running.await,
            Err(fault) => Err(fault),
        };
        let status = result.as_ref().map_or_else(Fault::status, Reply::status);
        self.journal
            .write(&method, pattern, status, id, began.elapsed());
        match result {
            Ok(reply) => reply.answer(id),
            Err(fault) => fault.answer(id, version),
        }
    }

    /// Everything that needs no body, no store and no waiting.
    fn begin(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: IpAddr,
        id: RequestId,
        pattern: &mut &'static str,
    ) -> Result<Begun, Fault> {
        let (parts, body) = request.into_parts();
        let source = source_of(peer, &parts.headers, &self.trusted);
        let path = url::decode_path(parts.uri.path())
            .map_err(|refusal| self.turn_away(source, refusal.into()))?;
        let run = match routes::find(&parts.method, &path) {
            Found::Route(route) => {
                *pattern = route.pattern;
                route.run
            }
            Found::Open(route) => {
                *pattern = route.pattern;
                let begun = open::begin(route, self, &parts, source, id)?;
                return Ok(begun);
            }
            Found::OtherMethods(allowed) => {
                return Err(self.turn_away(source, Fault::Method(allowed)));
            }
            Found::Nothing => return Err(self.turn_away(source, Fault::NoRoute)),
        };
        let Some(unsealed) = self.unsealed.get() else {
            self.counted.count(Some(source), Turned::Sealed);
            return Err(Fault::Sealed);
        };
        let door = unsealed.door.clone();
        let credential = headers::credential(&parts.headers);
        let problem = match credential {
            Credential::Missing => Some((TokenProblem::Missing, Turned::Missing)),
            Credential::Malformed => Some((TokenProblem::Invalid, Turned::Malformed)),
            Credential::Token(_) | Credential::System(_) => None,
        };
        if let Some((problem, why)) = problem {
            door.count_turned_away(Some(source), why);
            return Err(Refusal::Unauthenticated(problem).into());
        }
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            return Err(turned_away(&door, source, Fault::Busy));
        };
        let decoded = (path != parts.uri.path()).then(|| path.into_owned());
        let call = Call {
            app: Arc::clone(self),
            door,
            id,
            source,
            credential,
            decoded,
            pattern,
            body,
            permit,
            parts,
        };
        Ok(Begun::Running(Finish::new(run(call))))
    }

    fn turn_away(&self, source: IpAddr, fault: Fault) -> Fault {
        match self.unsealed.get() {
            Some(unsealed) => turned_away(&unsealed.door, source, fault),
            None => {
                self.counted.count(Some(source), Turned::BadRequest);
                fault
            }
        }
    }

    /// The door's ids once there is one: the record, the log and the answer name a request alike.
    fn request_id(&self) -> RequestId {
        match self.unsealed.get() {
            Some(unsealed) => unsealed.door.request_id(),
            None => RequestId {
                boot: self.boot,
                counter: self.counter.fetch_add(1, Ordering::Relaxed),
            },
        }
    }

    pub(super) fn unsealed(&self) -> Option<&Unsealed> {
        self.unsealed.get()
    }

    pub(super) const fn bodies(&self) -> &Semaphore {
        &self.bodies
    }
}

/// How far a request has come by its head alone.
pub(super) enum Begun {
    /// It is answered.
    Open(Reply),
    /// It goes on.
    Running(Finish),
}
