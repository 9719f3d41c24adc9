//! The routes outside the door, each on one line; everything else is authorised and recorded.
//! They tell whether the process lives, whether it serves, and whether it is sealed: three bits, and no version (advisory
//! C8). Besides there is the description of the API, the same for everybody and of every server.
//!
//! Invariant: an open route looks at nothing that is stored.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use coffer_api::Status;
use hyper::Method;
use hyper::http::request::Parts;

use super::answer::Body;
use super::app::{App, Begun, Unsealed};
use super::finish::Finish;
use super::headers;
use super::problem::Fault;
use super::reply::Reply;
use crate::door::{Credential, Request, RequestId};
use crate::operations::status::ReadStatus;

/// The API, described: written by `coffer_api::openapi`, and compared with it by a test.
const OPENAPI: &[u8] = include_bytes!("../../docs/openapi.json");

/// Every route that needs no token.
#[rustfmt::skip]
pub static OPEN_ROUTES: &[OpenRoute] = &[
    OpenRoute { method: Method::GET, pattern: "/health/live",   shows: Shows::Live },
    OpenRoute { method: Method::GET, pattern: "/health/ready",  shows: Shows::Ready },
    OpenRoute { method: Method::GET, pattern: "/api/v1/status", shows: Shows::Status },
    OpenRoute { method: Method::GET, pattern: "/openapi.json",  shows: Shows::Openapi },
];

/// One line of the table.
pub struct OpenRoute {
    /// The HTTP method.
    pub method: Method,
    /// The whole path.
    pub pattern: &'static str,
    shows: Shows,
}

#[derive(Clone, Copy)]
enum Shows {
    /// 204: the process answers.
    Live,
    /// 204, or 503 when it is sealed, fenced, or its store does not record.
    Ready,
    /// Sealed or not, and more to who may know.
    Status,
    /// The API, described.
    Openapi,
}

pub(super) fn begin(
    route: &OpenRoute,
    app: &Arc<App>,
    parts: &Parts,
    source: IpAddr,
    id: RequestId,
) -> Result<Begun, Fault> {
    match route.shows {
        Shows::Live => Ok(Begun::Open(Reply::empty(204))),
        Shows::Ready => match app.unsealed() {
            None => Err(Fault::Sealed),
            Some(unsealed) if unsealed.door.is_ready() => Ok(Begun::Open(Reply::empty(204))),
            Some(_) => {
                Err(crate::model::Refusal::Unavailable("this server cannot record now").into())
            }
        },
        Shows::Status => Ok(status(app, parts, source, id)),
        Shows::Openapi => {
            let body = Body::full(Bytes::from_static(OPENAPI));
            Ok(Begun::Open(Reply::stream("application/json", body)))
        }
    }
}

/// One bit for everybody; for a token the door is asked, and whatever it refuses, the bit remains.
fn status(app: &Arc<App>, parts: &Parts, source: IpAddr, id: RequestId) -> Begun {
    let credential = headers::credential(&parts.headers);
    match app.unsealed() {
        Some(unsealed) if matches!(credential, Credential::Token(_)) => {
            let request = Request {
                credential,
                id,
                source: Some(source),
                user_agent: headers::user_agent(&parts.headers),
                metadata: None,
            };
            let (door, full) = (unsealed.door.clone(), full(unsealed));
            Begun::Running(Finish::new(Box::pin(async move {
                let shown = match door.run(request, ReadStatus).await {
                    Ok(_) => full,
                    Err(_) => bare(false),
                };
                Ok(Reply::json(200, &shown))
            })))
        }
        unsealed => Begun::Open(Reply::json(200, &bare(unsealed.is_none()))),
    }
}

const fn bare(sealed: bool) -> Status {
    Status {
        sealed,
        version: None,
        node: None,
        store: None,
        locked_memory: None,
    }
}

fn full(unsealed: &Unsealed) -> Status {
    let facts = &unsealed.facts;
    Status {
        sealed: false,
        version: Some(facts.version.to_owned()),
        node: Some(facts.node.clone()),
        store: Some(facts.store.to_owned()),
        locked_memory: Some(facts.locked_memory),
    }
}
