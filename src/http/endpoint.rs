//! How an operation is asked for and answered over HTTP: its `parse` makes it or a 400, its `reply` says it.
//! In between there is only the door.
//!
//! Invariant: an operation is made from parsed names and a body of a known shape, and nothing else.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use super::app::App;
use super::body::{self, ReadBody, RequestBody};
use super::finish::Running;
use super::headers;
use super::problem::Fault;
use super::reply::Reply;
use super::url::Query;
use crate::door::{Access, Credential, Door, Operation, Request, RequestId, Turned};
use crate::model::{EnvironmentName, Name, Refusal, SecretName, SecretPath};

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

    /// The answer.
    fn reply(reply: Self::Reply, answered: &Answered<'_>) -> Reply;
}

/// What an operation is made from.
pub(super) struct Asked<'a> {
    /// Every parameter must be taken.
    pub(super) query: Query,
    pub(super) headers: &'a HeaderMap,
    pub(super) door: &'a Door,
    captured: Captured<'a>,
    body: ReadBody,
}

/// The parts of the path that the route's pattern names.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Captured<'a>(pub(super) [&'a str; 3]);

impl Asked<'_> {
    /// The first part: a project's name.
    pub(super) fn project(&self) -> Result<Name, Refusal> {
        named("project", self.captured.0[0])
    }

    /// The first two parts.
    pub(super) fn environment(&self) -> Result<EnvironmentName, Refusal> {
        Ok(EnvironmentName { project: self.project()?, environment: named("environment", self.captured.0[1])? })
    }

    /// All three: `project/environment/path`.
    pub(super) fn secret(&self) -> Result<SecretName, Refusal> {
        Ok(SecretName { place: self.environment()?, path: named::<SecretPath>("path", self.captured.0[2])? })
    }

    /// The first part as an id.
    pub(super) fn id<T: FromStr>(&self) -> Result<T, Refusal> {
        id(self.captured.0[0])
    }

    /// The body as what the route takes.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        self.body.parse()
    }
}

/// A name from a path or a body, or the reason why it is none.
pub(super) fn named<T: FromStr<Err = &'static str>>(what: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|why| Refusal::Malformed(format!("the {what} is refused: {why}")))
}

/// An id from a path or a body.
pub(super) fn id<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| {
        Refusal::Malformed("an id is 32 lower-case hexadecimal digits with dashes, as this server gives it".to_owned())
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
    pub(super) fn cursor(&self, position: Option<&str>) -> Option<String> {
        position.map(|position| self.door.sign_cursor(&self.listing, position))
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
    const { assert!(!matches!(O::ACCESS, Access::System), "no request can name an operation of the system") };
    Box::pin(async move {
        let Call { app, door, id, source, credential, parts, decoded, pattern, body, permit } = call;
        let body = match body::read(body, &parts.headers, O::BODY_BYTES_MAX, app.bodies()).await {
            Ok(body) => body,
            Err(fault) => return Err(turned_away(&door, source, fault)),
        };
        let asked = || -> Result<(Request, O), Refusal> {
            let path = decoded.as_deref().unwrap_or(parts.uri.path());
            let captured = super::routes::capture(pattern, path).unwrap_or_default();
            let query = Query::parse(parts.uri.query())?;
            let mut asked = Asked { query, headers: &parts.headers, door: &door, captured, body };
            let operation = O::parse(&mut asked)?;
            asked.query.finish()?;
            let request = Request {
                credential,
                id,
                source: Some(source),
                user_agent: headers::user_agent(&parts.headers),
                metadata: headers::metadata(&parts.headers)?,
            };
            Ok((request, operation))
        };
        let (request, operation) = match asked() {
            Ok(asked) => asked,
            Err(refusal) => return Err(turned_away(&door, source, refusal.into())),
        };
        let listing = operation.listing();
        let answer = door.run(request, operation).await?;
        let reply = O::reply(answer.reply, &Answered { status: answer.status, door: &door, listing });
        drop(permit);
        Ok(reply)
    })
}

/// What does not reach the door is counted there.
pub(super) fn turned_away(door: &Door, source: IpAddr, fault: Fault) -> Fault {
    let why = if matches!(fault, Fault::Busy) { Turned::TooMany } else { Turned::BadRequest };
    door.count_turned_away(Some(source), why);
    fault
}
