//! A request from its head to its answer: path, route, token, and only then the body, the operation and the door.
//! What is cheap to refuse is refused first. Whether a token is one is asked before a body is read, and not only whether
//! it looks like one, which anybody can write; so nobody without a living token makes the server wait for a body, keep or
//! parse it, and nobody with one holds more than its source's share (advisories H2, H12).
//!
//! Invariant: every request gets exactly one answer, and while the server is sealed none reaches an operation.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::{Method, Request, Response};
use tokio::time::Instant;

use super::answer::Body;
use super::body;
use super::call::{Call, turned_away};
use super::finish::Finish;
use super::journal::Journal;
use super::problem::Fault;
use super::reply::Reply;
use super::routes::{self, Found, ROUTES};
use super::shares::{Peer, Shares};
use super::source::source_of;
use super::unread::RequestBody;
use super::{headers, open, url};
use crate::config::Network;
use crate::door::{Counted, Credential, Door, RequestId, Turned};
use crate::jobs::Refresher;
use crate::metrics::{Metrics, Now};
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
    shares: Shares,
    journal: Journal,
    metrics: Arc<Metrics>,
    boot: u64,
    counter: AtomicU64,
}

/// What there is only while the root key is in memory.
pub(super) struct Unsealed {
    pub(super) door: Door,
    pub(super) facts: NodeFacts,
    refresher: Refresher,
}

impl App {
    /// A sealed app. `boot` names its requests until it is unsealed; then the door does.
    pub fn new(trusted: Vec<Network>, boot: u64, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            unsealed: OnceLock::new(),
            counted: Counted::default(),
            trusted,
            shares: Shares::default(),
            journal: Journal::default(),
            metrics,
            boot,
            counter: AtomicU64::new(0),
        })
    }

    /// Opens the door to requests, for as long as the process lives.
    pub fn unseal(&self, door: Door, refresher: Refresher, facts: NodeFacts) {
        // Who comes second brings the same cluster's door; the first one stays.
        let _ = self.unsealed.set(Unsealed {
            door,
            facts,
            refresher,
        });
        if let Some(unsealed) = self.unsealed.get() {
            unsealed.door.take_over(&self.counted);
        }
    }

    /// The peer of a new connection.
    pub(super) fn peer(&self, address: IpAddr) -> Peer {
        self.shares.peer(address)
    }

    /// Answers one request of this peer. Its head may say in two ways how long the body is.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: &Peer,
        two_lengths: bool,
    ) -> Response<Body> {
        let began = Instant::now();
        let (method, version) = (request.method().clone(), request.version());
        let id = self.request_id();
        let mut route = Numbered::NONE;
        let framing = if two_lengths {
            Err(Fault::Ambiguous(TWO_LENGTHS))
        } else {
            headers::check_host(request.headers(), version)
        };
        let result = match self.begin(request, peer, id, framing, &mut route) {
            Ok(Begun::Open(reply)) => Ok(reply),
            Ok(Begun::Running(running)) => running.await,
            Err(fault) => Err(fault),
        };
        let took = began.elapsed();
        let status = match &result {
            Ok(reply) => reply.status(),
            Err(fault) => {
                self.metrics.http.refused(fault.code());
                fault.status()
            }
        };
        self.metrics.http.answered(route.number, status, took);
        self.journal.write(&method, route.pattern, status, id, took);
        let answer = match result {
            Ok(reply) => reply.answer(id),
            Err(fault) => fault.answer(id, version),
        };
        // No body follows the answer to a HEAD: over HTTP/2 it would break the stream (RFC 9110, 9.3.2).
        if method == Method::HEAD {
            return answer.map(|_| Body::full(Bytes::new()));
        }
        answer
    }

    /// Everything that needs no body, no store and no waiting.
    fn begin(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: &Peer,
        id: RequestId,
        framing: Result<(), Fault>,
        numbered: &mut Numbered,
    ) -> Result<Begun, Fault> {
        let (parts, body) = request.into_parts();
        let source = source_of(peer.address, &parts.headers, &self.trusted);
        framing.map_err(|fault| self.turn_away(source, fault))?;
        let path = url::decode_path(parts.uri.path())
            .map_err(|refusal| self.turn_away(source, refusal.into()))?;
        let run = match routes::find(&parts.method, &path) {
            Found::Route(number, route) => {
                *numbered = Numbered::new(number, route.pattern);
                route.run
            }
            Found::Open(number, route) => {
                *numbered = Numbered::new(ROUTES.len() + number, route.pattern);
                if !body.is_end_stream() {
                    return Err(self.turn_away(source, body::none_taken()));
                }
                return open::begin(route, self, &parts, source, id);
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
        let share = if source == peer.address {
            Arc::clone(&peer.share)
        } else {
            self.shares.of(source)
        };
        let place = share
            .enter()
            .map_err(|fault| turned_away(&door, source, fault))?;
        let decoded = (path != parts.uri.path()).then(|| path.into_owned());
        let call = Call {
            door,
            id,
            source,
            credential,
            decoded,
            pattern: numbered.pattern,
            body,
            place,
            parts,
            refresher: unsealed.refresher.clone(),
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

    /// What is counted of this server.
    pub(super) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What there is now, for those who ask what is counted.
    pub(super) fn look(&self) -> Now {
        let mut now = Now {
            sealed: self.unsealed.get().is_none(),
            requests: self.shares.requests() as u64,
            ..Now::default()
        };
        if let Some(unsealed) = self.unsealed.get() {
            unsealed.door.look(&mut now);
            unsealed.refresher.look(&mut now);
        }
        now
    }
}

/// The route that a request asks for, with its number among all of them.
struct Numbered {
    number: usize,
    pattern: &'static str,
}

impl Numbered {
    /// No route at all: a number behind the last one's.
    const NONE: Self = Self::new(usize::MAX, "");

    const fn new(number: usize, pattern: &'static str) -> Self {
        Self { number, pattern }
    }
}

const TWO_LENGTHS: &str = "Content-Length and Transfer-Encoding contradict each other: send one.";

/// How far a request has come by its head alone.
pub(super) enum Begun {
    /// It is answered.
    Open(Reply),
    /// It goes on.
    Running(Finish),
}
