//! How an operation is asked for and answered over HTTP: its `parse` makes it or a 400, its `reply` says it.
//! In between there is only the door.
//!
//! Invariant: an operation is made from parsed names and a body of a known shape, and nothing else.

use std::future::Future;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Method;
use hyper::body::Body as _;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body::{self, ReadBody};
use super::finish::Running;
use super::headers;
use super::problem::Fault;
use super::reply::Reply;
use super::shares::{Place, Share};
use super::unread::RequestBody;
use super::url::{Query, wrong};
use crate::door::{Access, Answer, Credential, Door, Operation, Request, RequestId, Turned};
use crate::jobs::Refresher;
use crate::model::{EnvironmentName, Holder, Name, Refusal, Resource, SecretName, SecretPath};
use crate::operations::PageSize;

/// An operation with a route.
pub(super) trait Endpoint: Operation {
    /// The most bytes of a body; 0 when the route takes none.
    const BODY_BYTES_MAX: usize = 0;

    /// Makes the operation, or says in one sentence what is wrong.
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal>
    where
        Self: Sized;

    /// What the path alone says that the operation is about: for the record of a refusal before the body is read.
    fn aims_at(captured: Captured<'_>) -> Result<String, Refusal> {
        captured.resource()
    }

    /// What a page's cursor belongs to, for lists: a cursor of one listing opens no other.
    fn listing(&self) -> String {
        String::new()
    }

    /// Decides it, as often as one answer takes: once, for most.
    fn run(
        self,
        asking: &mut Asking<'_>,
    ) -> impl Future<Output = Result<Answer<Self::Reply>, Refusal>> + Send
    where
        Self: Sized,
    {
        asking.decide(self)
    }

    /// Whether this was one step of more, and the request is asked again.
    fn again(_: &Self::Reply) -> bool {
        false
    }

    /// The answer. What it looks at besides the reply is durable by now, the operation's own record included.
    fn reply(
        reply: Self::Reply,
        answered: &Answered<'_>,
    ) -> impl Future<Output = Result<Reply, Refusal>> + Send;
}

/// What an operation is made from.
pub(super) struct Asked<'a> {
    /// Every parameter must be taken.
    pub(super) query: Query,
    pub(super) headers: &'a HeaderMap,
    pub(super) door: &'a Door,
    method: &'a Method,
    captured: Captured<'a>,
    body: &'a ReadBody,
}

/// The parts of the path that the route's pattern names.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Captured<'a>(pub(super) [&'a str; 3]);

impl Captured<'_> {
    fn project(self) -> Result<Name, Refusal> {
        named("project", self.0[0])
    }

    fn environment(self) -> Result<EnvironmentName, Refusal> {
        Ok(EnvironmentName {
            project: self.project()?,
            environment: named("environment", self.0[1])?,
        })
    }

    fn secret(self) -> Result<SecretName, Refusal> {
        Ok(SecretName {
            place: self.environment()?,
            path: named::<SecretPath>("path", self.0[2])?,
        })
    }

    /// As much of a place as there is.
    fn resource(self) -> Result<String, Refusal> {
        Ok(match self.0 {
            ["", ..] => Resource::Places.text(),
            [_, "", _] => Resource::Project(&self.project()?).text(),
            [_, _, ""] => Resource::Environment(&self.environment()?).text(),
            _ => Resource::Secret(&self.secret()?).text(),
        })
    }
}

impl Asked<'_> {
    /// The method, for operations that two of them lead to.
    pub(super) const fn method(&self) -> &Method {
        self.method
    }

    /// The first part: a project's name.
    pub(super) fn project(&self) -> Result<Name, Refusal> {
        self.captured.project()
    }

    /// The first two parts.
    pub(super) fn environment(&self) -> Result<EnvironmentName, Refusal> {
        self.captured.environment()
    }

    /// All three: `project/environment/path`.
    pub(super) fn secret(&self) -> Result<SecretName, Refusal> {
        self.captured.secret()
    }

    /// The first part as an id.
    pub(super) fn id<T: FromStr>(&self) -> Result<T, Refusal> {
        id(self.captured.0[0])
    }

    /// For a verb without parameters: no body, or an empty object.
    pub(super) fn no_parameters(&self) -> Result<(), Refusal> {
        self.body::<Nothing>().map(|Nothing {}| ())
    }

    /// The body as what the route takes.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        self.body.parse()
    }
}

/// The body of a verb without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A name from a path or a body, or the reason why it is none.
pub(super) fn named<T: FromStr<Err = &'static str>>(what: &str, text: &str) -> Result<T, Refusal> {
    text.parse()
        .map_err(|why| Refusal::Malformed(format!("the {what} is refused: {why}")))
}

/// An id from a path or a body.
pub(super) fn id<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| {
        Refusal::Malformed(
            "an id is 32 lower-case hexadecimal digits with dashes, as this server gives it"
                .to_owned(),
        )
    })
}

/// What an answer may need besides the reply.
pub(super) struct Answered<'a> {
    pub(super) status: u16,
    pub(super) door: &'a Door,
    pub(super) listing: String,
}

impl Answered<'_> {
    /// The cursor that goes on after `position`.
    pub(super) fn cursor(&self, position: Option<impl ToString>) -> Option<String> {
        position.map(|position| self.door.sign_cursor(&self.listing, &position.to_string()))
    }

    /// A JSON body with the operation's own status.
    pub(super) fn json(&self, body: &impl Serialize) -> Reply {
        Reply::json(self.status, body)
    }
}

impl Asked<'_> {
    /// `limit` and `cursor`: how much, and after what; a cursor opens only the listing that it was made for.
    pub(super) fn page<T: FromStr>(
        &mut self,
        listing: &str,
    ) -> Result<(PageSize, Option<T>), Refusal> {
        let limit = self
            .query
            .take_as::<u32>("limit", "a number of items, at least 1")?;
        let limit = limit.map_or(Some(PageSize::default()), PageSize::at_most);
        let limit = limit.ok_or_else(|| wrong("limit", "a number of items, at least 1"))?;
        let Some(cursor) = self.query.take("cursor") else {
            return Ok((limit, None));
        };
        let position = self
            .door
            .open_cursor(listing, &cursor)
            .and_then(|position| position.parse().ok());
        let after = position.ok_or_else(|| {
            wrong(
                "cursor",
                "the cursor of this list's last page, as this server gave it",
            )
        })?;
        Ok((limit, Some(after)))
    }
}

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
        if O::BODY_BYTES_MAX > 0 && !body.is_end_stream() {
            let resource =
                O::aims_at(self.captured()).map_err(|refusal| self.turned_away(refusal))?;
            Box::pin(self.door.admit::<O>(request, &resource)).await?;
        }
        let body = body::read(body, &self.parts.headers, O::BODY_BYTES_MAX, share).await;
        body.map_err(|fault| self.turned_away(fault))
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
        let Call {
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
        } = call;
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
        let mut operation: O = head.operation(&body).map_err(away)?;
        let mut asking = Asking {
            head: &head,
            refresher: &refresher,
            id,
            request: Some(request),
        };
        loop {
            let listing = operation.listing();
            let answer = operation.run(&mut asking).await?;
            if O::again(&answer.reply) {
                asking.id = head.door.request_id();
                operation = head.operation(&body)?;
                continue;
            }
            let answered = Answered {
                status: answer.status,
                door: &head.door,
                listing,
            };
            let reply = O::reply(answer.reply, &answered).await?;
            drop(place);
            return Ok(reply);
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
