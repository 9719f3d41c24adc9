//! Every refusal as problem+json (RFC 9457): one match, which gives each its status, code and sentence.
//! A new refusal does not compile until it stands here; the test below is the public list.
//!
//! Invariant: no problem repeats a value that was sent, or says why the store failed.

use std::borrow::Cow;

use coffer_api::{PROBLEM_JSON, Problem};
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode, Version};

use super::answer::Body;
use super::reply::respond;
use crate::door::RequestId;
use crate::model::{Lacking, Refusal, TokenProblem};

/// Why a request is not answered as asked: by the door or an operation, or by HTTP before them.
#[derive(Debug)]
pub enum Fault {
    /// Refused by what is inside.
    Refused(Refusal),
    /// 404: no route has this path.
    NoRoute,
    /// 405: the path has a route, but not for this method; these it has.
    Method(String),
    /// 400: where the request ends, or whom it is for, can be read in two ways; nothing after it is read.
    Ambiguous(&'static str),
    /// 408: the body took too long.
    Slow,
    /// 415: a body that is not JSON.
    MediaType,
    /// 503: the root key is not in memory.
    Sealed,
    /// 429: too much at once from one source.
    Share,
    /// 503: too much at once.
    Busy,
    /// 500: a mistake of ours.
    Internal,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Seconds after which it makes sense to try again.
const RETRY_AFTER_S: u64 = 1;
/// An unseal is done by hand.
const RETRY_AFTER_SEALED_S: u64 = 10;

/// Status, code, sentence.
type Row<'a> = (u16, &'static str, Cow<'a, str>);

impl Fault {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.row().0
    }

    /// The machine-readable code.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    fn row(&self) -> Row<'_> {
        match self {
            Self::Refused(refusal) => of_refusal(refusal),
            Self::NoRoute => (
                404,
                "no-such-route",
                "No route has this path: those of the API begin with /api/v1/.".into(),
            ),
            Self::Method(allowed) => (
                405,
                "method-not-allowed",
                format!("This path takes {allowed} only.").into(),
            ),
            Self::Ambiguous(why) => (400, "bad-request", (*why).into()),
            Self::Slow => (
                408,
                "timeout",
                "The body did not arrive within 30 seconds.".into(),
            ),
            Self::MediaType => (
                415,
                "unsupported-media-type",
                "Send the body as application/json, in UTF-8 and not compressed.".into(),
            ),
            Self::Sealed => (
                503,
                "sealed",
                "This server is sealed: an operator has to run coffer-server unseal.".into(),
            ),
            Self::Share => (
                429,
                "too-many-requests",
                "Too much is asked at once from where you are: wait, and try again.".into(),
            ),
            Self::Busy => (
                503,
                "busy",
                "This server is doing all it can: try again in a moment.".into(),
            ),
            Self::Internal => (
                500,
                "internal",
                "This is a mistake in Coffer: report it with the request's id.".into(),
            ),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(Refusal::TooMany(seconds)) => Some(u64::from(*seconds)),
            Self::Refused(Refusal::Unavailable(_) | Refusal::Refreshing(_))
            | Self::Share
            | Self::Busy => Some(RETRY_AFTER_S),
            Self::Sealed => Some(RETRY_AFTER_SEALED_S),
            _ => None,
        }
    }

    /// The answer.
    pub(super) fn answer(self, id: RequestId, version: Version) -> Response<Body> {
        let (status, code, detail) = self.row();
        let retry_after = self.retry_after();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Unknown").into(),
            status: status.as_u16(),
            detail: sentence(&detail).into(),
            code: code.into(),
            request_id: id.to_string(),
            retry_after,
        };
        let body = serde_json::to_vec(&problem).expect("a problem is text and numbers");
        let mut response = respond(status, id, PROBLEM_JSON, Body::full(body.into()));
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match &self {
            Self::Method(allowed) => {
                if let Ok(allowed) = HeaderValue::from_str(allowed) {
                    headers.insert(ALLOW, allowed);
                }
            }
            Self::Refused(Refusal::Unauthenticated(_)) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // The rest of the body is not worth waiting for, or nobody can say where it ends.
            Self::Slow | Self::Share | Self::Busy | Self::Ambiguous(_)
                if version < Version::HTTP_2 =>
            {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

fn of_refusal(refusal: &Refusal) -> Row<'_> {
    let detail = match refusal {
        Refusal::Malformed(why) | Refusal::TooLarge(why) | Refusal::Conflict(_, why) => why.into(),
        Refusal::Unauthenticated(problem) => Cow::Borrowed(match problem {
            TokenProblem::Missing => "Show a token: send the header Authorization with Bearer and the token.",
            TokenProblem::Invalid => "This is no token that this server knows: is it whole, and for this server?",
            TokenProblem::Expired => "This token, or one it was made with, has run out: make a new one.",
            TokenProblem::Revoked => "This token, or one it was made with, was revoked: make a new one.",
        }),
        Refusal::Forbidden(Lacking::Action(action)) => {
            format!("This token may do other things here, but not {action}: ask for a scope with that action.").into()
        }
        Refusal::Forbidden(Lacking::GivenScope) => {
            "This token does not hold every scope that it is to give: ask for fewer, or use a token that holds them.".into()
        }
        Refusal::Forbidden(Lacking::First) => {
            "Tokens of the application root are made by a token of its own: use one, or name another application.".into()
        }
        Refusal::NotFound | Refusal::Hidden => "There is nothing here, or nothing that this token may see.".into(),
        Refusal::PreconditionFailed => {
            "The current version is not the one you named: read it, and decide again.".into()
        }
        Refusal::KeyReused => {
            "This Idempotency-Key was sent with another request before: send a fresh one with each request.".into()
        }
        Refusal::TooMany(_) => "There were too many requests: wait, and try again.".into(),
        Refusal::Unavailable(why) => (*why).into(),
        Refusal::Refreshing(_) => {
            "The provider has not given an access token that lives as long as you ask: try again later, or ask for less.".into()
        }
        Refusal::Tampered => {
            "What is stored here does not open, or contradicts the log: an operator has to run coffer-server check."
                .into()
        }
    };
    (refusal.status(), refusal.code(), detail)
}

/// A clause as a sentence: it begins with a capital and ends with a full stop.
fn sentence(clause: &str) -> String {
    let mut text = String::with_capacity(clause.len() + 1);
    let mut characters = clause.chars();
    text.extend(characters.next().map(|first| first.to_ascii_uppercase()));
    text.push_str(characters.as_str());
    if !text.ends_with(['.', '?', '!']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::model::{Action, Patience};

    const ID: RequestId = RequestId {
        boot: 1,
        counter: 255,
    };

    async fn shown(fault: Fault) -> (Response<()>, serde_json::Value) {
        let (parts, body) = fault.answer(ID, Version::HTTP_11).into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let problem = serde_json::from_slice(&bytes).expect("JSON");
        (Response::from_parts(parts, ()), problem)
    }

    /// The public error documentation: a change here is a line in the change log.
    #[tokio::test]
    async fn the_table_of_problems() {
        let own = |text: &str| text.to_owned();
        let table: Vec<(Fault, u16, &str, Option<u64>)> = vec![
            (
                Refusal::Malformed(own("x")).into(),
                400,
                "bad-request",
                None,
            ),
            (
                Refusal::Unauthenticated(TokenProblem::Missing).into(),
                401,
                "token-missing",
                None,
            ),
            (
                Refusal::Unauthenticated(TokenProblem::Invalid).into(),
                401,
                "token-invalid",
                None,
            ),
            (
                Refusal::Unauthenticated(TokenProblem::Expired).into(),
                401,
                "token-expired",
                None,
            ),
            (
                Refusal::Unauthenticated(TokenProblem::Revoked).into(),
                401,
                "token-revoked",
                None,
            ),
            (Fault::Ambiguous("x"), 400, "bad-request", None),
            (
                Refusal::Forbidden(Lacking::Action(Action::Read)).into(),
                403,
                "forbidden",
                None,
            ),
            (Refusal::NotFound.into(), 404, "not-found", None),
            (Fault::NoRoute, 404, "no-such-route", None),
            (
                Fault::Method(own("GET, PUT")),
                405,
                "method-not-allowed",
                None,
            ),
            (Fault::Slow, 408, "timeout", None),
            (
                Refusal::Conflict("name-taken", own("x")).into(),
                409,
                "name-taken",
                None,
            ),
            (
                Refusal::PreconditionFailed.into(),
                412,
                "precondition-failed",
                None,
            ),
            (Refusal::TooLarge(own("x")).into(), 413, "too-large", None),
            (
                Refusal::KeyReused.into(),
                422,
                "idempotency-key-reused",
                None,
            ),
            (Fault::MediaType, 415, "unsupported-media-type", None),
            (
                Refusal::TooMany(7).into(),
                429,
                "too-many-requests",
                Some(7),
            ),
            (Fault::Share, 429, "too-many-requests", Some(1)),
            (Refusal::Tampered.into(), 500, "integrity", None),
            (Fault::Internal, 500, "internal", None),
            (Fault::Sealed, 503, "sealed", Some(10)),
            (Fault::Busy, 503, "busy", Some(1)),
            (
                Refusal::Unavailable("x").into(),
                503,
                "unavailable",
                Some(1),
            ),
            (
                Refusal::Refreshing(Patience::Over).into(),
                503,
                "token-refreshing",
                Some(1),
            ),
        ];
        for (fault, status, code, retry_after) in table {
            assert!(coffer_api::PROBLEMS.contains(&(status, code)), "{code}");
            assert!(crate::metrics::STATUSES.contains(&status), "{status}");
            let name = format!("{fault:?}");
            let (response, problem) = shown(fault).await;
            assert_eq!(response.status().as_u16(), status, "{name}");
            assert_eq!(problem["status"], status, "{name}");
            assert_eq!(problem["code"], code, "{name}");
            assert_eq!(problem["type"], "about:blank", "{name}");
            assert_eq!(problem["request_id"], "0000000000000001-ff", "{name}");
            assert_eq!(
                response.headers()["x-request-id"],
                "0000000000000001-ff",
                "{name}"
            );
            assert_eq!(problem["retry_after"].as_u64(), retry_after, "{name}");
            let header = response
                .headers()
                .get(RETRY_AFTER)
                .map(|seconds| seconds.to_str().expect("text").to_owned());
            assert_eq!(
                header,
                retry_after.map(|seconds| seconds.to_string()),
                "{name}"
            );
            let detail = problem["detail"].as_str().expect("a sentence");
            assert!(
                detail.ends_with(['.', '?']) && detail.starts_with(char::is_uppercase),
                "{detail}"
            );
            assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
        }
    }

    #[tokio::test]
    async fn some_problems_say_what_to_do_in_a_header() {
        let (response, _) = shown(Fault::Method("GET, PUT".to_owned())).await;
        assert_eq!(response.headers()[ALLOW], "GET, PUT");
        let (response, _) = shown(Refusal::Unauthenticated(TokenProblem::Expired).into()).await;
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
