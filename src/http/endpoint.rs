//! How an operation is asked for and answered over HTTP: its `parse` makes it or a 400, its `reply` says it.
//! In between there is only the door.
//!
//! Invariant: an operation is made from parsed names and a body of a known shape, and nothing else.

use std::future::Future;
use std::str::FromStr;

use hyper::Method;
use hyper::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body::ReadBody;
use super::call::Asking;
use super::reply::Reply;
use super::url::{Query, wrong};
use crate::door::{Answer, Door, Operation};
use crate::model::{EnvironmentName, Name, Refusal, Resource, SecretName, SecretPath};
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

    /// The same in a smaller step, while others ask.
    fn gently(self) -> Self
    where
        Self: Sized,
    {
        self
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
    pub(super) method: &'a Method,
    pub(super) captured: Captured<'a>,
    pub(super) body: &'a ReadBody,
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
