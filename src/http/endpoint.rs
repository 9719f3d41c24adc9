//! How an operation is asked for and answered over HTTP: its `parse` makes it or a 400, its `reply` says it.
//! In between there is only the door.
//!
//! Invariant: an operation is made from parsed names and a body of a known shape, and nothing else.

use std::future::Future;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use hyper::Method;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::app::App;
use super::body::{self, ReadBody, RequestBody};
use super::finish::Running;
use super::headers;
use super::problem::Fault;
use super::reply::Reply;
use super::url::{Query, wrong};
use crate::door::{Access, Credential, Door, Operation, Request, RequestId, Turned};
use crate::model::{EnvironmentName, Name, Refusal, SecretName, SecretPath};
use crate::operations::PageSize;

/// An operation with a route.
pub(super) trait Endpoint: Operation {
    /// The most bytes of a body; 0 when the route takes none.
    const BODY_BYTES_MAX: usize = 0;

    /// Makes the operation, or says in one sentence what is wrong.
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal>
    where
        Self: Sized;

    /// What a page's cursor belongs to, for lists: a cursor of one listing opens no other.
    fn listing(&self) -> String {
        String::new()
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

impl Asked<'_> {
    /// The method, for operations that two of them lead to.
    pub(super) const fn method(&self) -> &Method {
        self.method
    }

    /// The first part: a project's name.
    pub(super) fn project(&self) -> Result<Name, Refusal> {
        named("project", self.captured.0[0])
    }

    /// The first two parts.
    pub(super) fn environment(&self) -> Result<EnvironmentName, Refusal> {
        Ok(EnvironmentName {
            project: self.project()?,
            environment: named("environment", self.captured.0[1])?,
        })
    }

    /// All three: `project/environment/path`.
    pub(super) fn secret(&self) -> Result<SecretName, Refusal> {
        Ok(SecretName {
            place: self.environment()?,
            path: named::<SecretPath>("path", self.captured.0[2])?,
        })
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
    pub(super) app: Arc<App>,
    pub(super) door: Door,
    pub(super) id: RequestId,
    pub(super) source: IpAddr,
    pub(super) credential: Credential,
    pub(super) parts: Parts,
    /// The decoded path, when it is not spelt as it was sent.
    pub(super) decoded: Option<String>,
    pub(super) pattern: &'static str,
    pub(super) body: RequestBody,
    pub(super) permit: tokio::sync::OwnedSemaphorePermit,
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
            app,
            door,
            id,
            source,
            credential,
            parts,
            decoded,
            pattern,
            body,
            permit,
        } = call;
        let body = match body::read(body, &parts.headers, O::BODY_BYTES_MAX, app.bodies()).await {
            Ok(body) => body,
            Err(fault) => return Err(turned_away(&door, source, fault)),
        };
        let mut credential = Some(credential);
        let mut ask = |id: RequestId| -> Result<(Request, O), Refusal> {
            let path = decoded.as_deref().unwrap_or(parts.uri.path());
            let mut asked = Asked {
                query: Query::parse(parts.uri.query())?,
                headers: &parts.headers,
                door: &door,
                method: &parts.method,
                captured: super::routes::capture(pattern, path).unwrap_or_default(),
                body: &body,
            };
            let operation = O::parse(&mut asked)?;
            asked.query.finish()?;
            let request = Request {
                credential: credential
                    .take()
                    .unwrap_or_else(|| headers::credential(&parts.headers)),
                id,
                source: Some(source),
                user_agent: headers::user_agent(&parts.headers),
                metadata: headers::metadata(&parts.headers)?,
            };
            Ok((request, operation))
        };
        let mut asked = ask(id).map_err(|refusal| turned_away(&door, source, refusal.into()))?;
        loop {
            let (request, operation) = asked;
            let listing = operation.listing();
            let answer = door.run(request, operation).await?;
            if O::again(&answer.reply) {
                asked = ask(door.request_id())?;
                continue;
            }
            let answered = Answered {
                status: answer.status,
                door: &door,
                listing,
            };
            let reply = O::reply(answer.reply, &answered).await?;
            drop(permit);
            return Ok(reply);
        }
    })
}

/// What does not reach the door is counted there.
pub(super) fn turned_away(door: &Door, source: IpAddr, fault: Fault) -> Fault {
    let why = if matches!(fault, Fault::Busy) {
        Turned::TooMany
    } else {
        Turned::BadRequest
    };
    door.count_turned_away(Some(source), why);
    fault
}
