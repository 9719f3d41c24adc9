//! A request from its route to its reply: its operation is parsed, decided as often as it takes, and answered.
//! Most are decided once; one that waits for the outside, or goes step by step, is decided again for the same caller.
//!
//! Invariant: each decision of a request is the door's, with the caller's own token.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Body as _;
use hyper::http::request::Parts;

use super::body::{self, ReadBody};
use super::endpoint::{Answered, Asked, Captured, Endpoint};
use super::finish::Running;
use super::headers;
use super::once::{self, Came, Change, Once};
use super::pace::Pace;
use super::problem::Fault;
use super::shares::{Place, Share};
use super::unread::RequestBody;
use super::url::Query;
use crate::door::{Access, Answer, Credential, Door, Operation, Request, RequestId, Turned};
use crate::jobs::Refresher;
use crate::model::{Holder, Refusal};
use crate::operations::once::Ticket;

/// One request on its way to its operation.
pub(super) struct Call {
    pub(super) door: Door,
    pub(super) id: RequestId,
    pub(super) source: IpAddr,
    pub(super) credential: Credential,
    pub(super) parts: Parts,
    /// The decoded path, when it is not spelt as it was sent.
    pub(super) decoded: Option<String>,
    pub(super) pattern: &'static str,
    pub(super) body: RequestBody,
    pub(super) place: Place,
    pub(super) refresher: Refresher,
}

/// What stays of a call when its token and its body are taken out.
struct Head {
    door: Door,
    source: IpAddr,
    parts: Parts,
    decoded: Option<String>,
    pattern: &'static str,
}

impl Head {
    fn captured(&self) -> Captured<'_> {
        let path = self.decoded.as_deref().unwrap_or(self.parts.uri.path());
        super::routes::capture(self.pattern, path).unwrap_or_default()
    }

    /// What the door is told of it besides the operation.
    fn request(&self, id: RequestId, credential: Credential) -> Result<Request, Refusal> {
        Ok(Request {
            credential,
            id,
            source: Some(self.source),
            user_agent: headers::user_agent(&self.parts.headers),
            metadata: headers::metadata(&self.parts.headers)?,
        })
    }

    fn operation<O: Endpoint>(&self, body: &ReadBody) -> Result<O, Refusal> {
        let mut asked = Asked {
            query: Query::parse(self.parts.uri.query())?,
            headers: &self.parts.headers,
            door: &self.door,
            method: &self.parts.method,
            captured: self.captured(),
            body,
        };
        let operation = O::parse(&mut asked)?;
        asked.query.finish()?;
        Ok(operation)
    }

    /// The operation once more, for its next step, at the pace that others leave it. Boxed: few requests have steps.
    async fn next_step<O: Endpoint>(
        &self,
        body: &ReadBody,
        pace: &mut Option<Box<Pace>>,
    ) -> Result<O, Refusal> {
        let operation = self.operation::<O>(body)?;
        let Some(pace) = pace else {
            *pace = Some(Box::new(Pace::begin(&self.door)));
            return Ok(operation);
        };
        Ok(match Box::pin(pace.rest(&self.door)).await {
            true => operation.gently(),
            false => operation,
        })
    }

    fn turned_away(&self, fault: impl Into<Fault>) -> Fault {
        turned_away(&self.door, self.source, fault.into())
    }

    /// The body, if there is one to come: only from whoever shows a living token. Without one, the decision's own look
    /// at the token is enough.
    async fn body<O: Endpoint>(
        &self,
        request: &Request,
        body: RequestBody,
        share: &Share,
    ) -> Result<ReadBody, Fault> {
        if body.is_end_stream() {
            return Ok(ReadBody::none());
        }
        // Boxed: what most requests do not need must not make their futures large.
        Box::pin(async {
            if O::BODY_BYTES_MAX > 0 {
                let resource = O::aims_at(self.captured());
                let resource = resource.map_err(|refusal| self.turned_away(refusal))?;
                self.door.admit::<O>(request, &resource).await?;
            }
            let body = body::read(body, &self.parts.headers, O::BODY_BYTES_MAX, share).await;
            body.map_err(|fault| self.turned_away(fault))
        })
        .await
    }
}

/// A request whose operation is made.
struct Parsed<O> {
    head: Head,
    id: RequestId,
    request: Request,
    body: ReadBody,
    operation: O,
    place: Place,
    refresher: Refresher,
}

impl Call {
    async fn parse<O: Endpoint>(self) -> Result<Parsed<O>, Fault> {
        let Self {
            door,
            id,
            source,
            credential,
            parts,
            decoded,
            pattern,
            body,
            place,
            refresher,
        } = self;
        let head = Head {
            door,
            source,
            parts,
            decoded,
            pattern,
        };
        let away = |refusal| head.turned_away(refusal);
        let request = head.request(id, credential).map_err(away)?;
        let body = head.body::<O>(&request, body, place.share()).await?;
        let operation: O = head.operation(&body).map_err(away)?;
        Ok(Parsed {
            head,
            id,
            request,
            body,
            operation,
            place,
            refresher,
        })
    }
}

/// Parses, runs and answers: the same for every route.
pub(super) fn call<O: Endpoint>(call: Call) -> Running {
    const {
        assert!(
            !matches!(O::ACCESS, Access::System),
            "no request can name an operation of the system"
        )
    };
    Box::pin(async move {
        let Parsed {
            head,
            id,
            request,
            body,
            mut operation,
            place,
            refresher,
        } = call.parse::<O>().await?;
        let mut asking = Asking {
            head: &head,
            refresher: &refresher,
            id,
            request: Some(request),
        };
        let mut pace = None;
        loop {
            let listing = operation.listing();
            let answer = operation.run(&mut asking).await?;
            if O::again(&answer.reply) {
                asking.id = head.door.request_id();
                operation = head.next_step(&body, &mut pace).await?;
                continue;
            }
            let answered = Answered {
                status: answer.status,
                door: &head.door,
                listing,
            };
            return O::reply(answer.reply, &answered).await?.kept_by(place);
        }
    })
}

/// The same for a route that changes something: with an `Idempotency-Key` it is done once.
pub(super) fn change<O: Change>(call: Call) -> Running {
    match once::key(&call.parts.headers) {
        Ok(None) => self::call::<O>(call),
        Ok(Some(key)) => call_once::<O>(call, key),
        Err(refusal) => {
            let fault = turned_away(&call.door, call.source, refusal.into());
            Box::pin(std::future::ready(Err(fault)))
        }
    }
}

fn call_once<O: Change>(call: Call, key: String) -> Running {
    Box::pin(async move {
        let Parsed {
            head,
            id,
            request,
            body,
            mut operation,
            place,
            refresher,
        } = call.parse::<O>().await?;
        let fingerprint = once::fingerprint(&head.door, &head.parts, body.bytes());
        let ticket = Arc::new(Ticket::new(key, fingerprint, id));
        let mut asking = Asking {
            head: &head,
            refresher: &refresher,
            id,
            request: Some(request),
        };
        let mut pace = None;
        loop {
            let answer = operation.run_once(&ticket, &mut asking).await?;
            match answer.reply {
                Came::Step => {
                    asking.id = head.door.request_id();
                    operation = head.next_step(&body, &mut pace).await?;
                }
                Came::Said(reply) => return reply.kept_by(place),
            }
        }
    })
}

/// A request that is being decided, for operations that take more than one decision.
pub(super) struct Asking<'a> {
    head: &'a Head,
    pub(super) refresher: &'a Refresher,
    id: RequestId,
    /// As it came in, until it is first decided.
    request: Option<Request>,
}

impl Asking<'_> {
    /// Decides the request itself.
    pub(super) async fn decide<O: Operation>(
        &mut self,
        operation: O,
    ) -> Result<Answer<O::Reply>, Refusal> {
        let request = match self.request.take() {
            Some(request) => request,
            None => self.request(self.id)?,
        };
        self.head.door.run(request, operation).await
    }

    /// Decides the request itself, once for its ticket.
    pub(super) async fn decide_once<O: Change>(
        &mut self,
        operation: O,
        ticket: &Arc<Ticket>,
    ) -> Result<Answer<Came>, Refusal> {
        let (ticket, door) = (Arc::clone(ticket), self.head.door.clone());
        self.decide(Once::new(operation, ticket, door)).await
    }

    /// Decides something that must be true first, for the same caller, with a record of its own.
    pub(super) async fn decide_first<O: Operation>(
        &self,
        operation: O,
    ) -> Result<Answer<O::Reply>, Refusal> {
        let request = self.request(self.head.door.request_id())?;
        self.head.door.run(request, operation).await
    }

    /// Who makes calls for this request.
    pub(super) fn holder(&self) -> Holder {
        self.head.door.holder()
    }

    fn request(&self, id: RequestId) -> Result<Request, Refusal> {
        let credential = headers::credential(&self.head.parts.headers);
        self.head.request(id, credential)
    }
}

/// What does not reach the door is counted there.
pub(super) fn turned_away(door: &Door, source: IpAddr, fault: Fault) -> Fault {
    let why = if matches!(fault, Fault::Share | Fault::Busy) {
        Turned::TooMany
    } else {
        Turned::BadRequest
    };
    door.count_turned_away(Some(source), why);
    fault
}
