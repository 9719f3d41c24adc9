//! `Idempotency-Key` over HTTP (draft-ietf-httpapi-idempotency-key-header): a change that carries one is answered once, and
//! a repeat of it gets the same answer again. Without the header nothing of this is looked at.
//!
//! Invariant: what is kept of an answer is what was sent, byte for byte, and never a secret.

use std::future::Future;
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use hyper::http::request::Parts;

use super::answer::Body;
use super::call::Asking;
use super::endpoint::{Answered, Endpoint};
use super::headers::single;
use super::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use super::reply::Reply;
use crate::door::{Access, Answer, Cx, Decision, Door, Operation, View};
use crate::model::{Action, Kept, KeptAnswer, Refusal, Resource, TokenId};
use crate::operations::once::Ticket;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MALFORMED: &str = "the header Idempotency-Key holds 1 to 128 visible ASCII characters, no quotation mark and no backslash among them, bare or between two quotation marks";

/// The key of a request, if it has one: the same bare or as the quoted string that the draft has.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = single(headers, &IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    let quoted = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let key = quoted.unwrap_or(value);
    let visible = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let fits = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(visible);
    let text = std::str::from_utf8(key).ok().filter(|_| fits);
    let text = text.ok_or_else(|| Refusal::Malformed(MALFORMED.to_owned()))?;
    Ok(Some(text.to_owned()))
}

/// Over all that says what is to be done: method, path, query, conditions and body.
pub(super) fn fingerprint(door: &Door, parts: &Parts, body: &[u8]) -> [u8; 32] {
    let condition = |name| {
        parts
            .headers
            .get(name)
            .map_or(&[][..], |value| value.as_bytes())
    };
    door.fingerprint(&[
        parts.method.as_str().as_bytes(),
        parts.uri.path().as_bytes(),
        parts.uri.query().unwrap_or_default().as_bytes(),
        condition(IF_MATCH),
        condition(IF_NONE_MATCH),
        body,
    ])
}

/// An operation with a route that changes something. Its answer is made of its reply alone.
pub(super) trait Change: Endpoint {
    /// The token that the answer shows, once: such an answer is not kept.
    fn shows(_: &Self::Reply) -> Option<TokenId> {
        None
    }

    /// Decides it, once for its ticket.
    fn run_once(
        self,
        ticket: &Arc<Ticket>,
        asking: &mut Asking<'_>,
    ) -> impl Future<Output = Result<Answer<Came>, Refusal>> + Send
    where
        Self: Sized,
    {
        asking.decide_once(self, ticket)
    }
}

/// What a change that is made once came to.
pub(super) enum Came {
    /// It was one step of more: nothing is kept, and the request is asked again.
    Step,
    /// This is answered, now or again.
    Said(Reply),
}

/// A change that is made once. It is authorised and recorded as what it holds.
pub(super) struct Once<O> {
    operation: O,
    ticket: Arc<Ticket>,
    /// For what an answer may need.
    door: Door,
}

impl<O> Once<O> {
    pub(super) const fn new(operation: O, ticket: Arc<Ticket>, door: Door) -> Self {
        Self {
            operation,
            ticket,
            door,
        }
    }
}

impl<O: Change> Operation for Once<O> {
    const ACTION: Action = O::ACTION;
    const ACCESS: Access = O::ACCESS;
    type Reply = Came;

    fn resource(&self) -> Resource<'_> {
        self.operation.resource()
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Came>, Refusal> {
        if let Some(before) = self.ticket.find(cx, view).await? {
            let (kept, decision) = before.exchange(());
            match kept {
                Kept::Answer(answer) => {
                    let decision = decision.status(answer.status);
                    return Ok(decision.with(Came::Said(said_again(answer))));
                }
                Kept::Token(id) => return Err(shown_once(id)),
                // It is what is being ended here.
                Kept::Begun(_) => {}
            }
        }
        let decision = self.operation.decide(cx, view).await?;
        let (reply, decision) = decision.exchange(());
        if O::again(&reply) {
            return Ok(decision.with(Came::Step));
        }
        let shown = O::shows(&reply);
        let answered = Answered {
            status: decision.answers(),
            door: &self.door,
            listing: String::new(),
        };
        let reply = O::reply(reply, &answered).await?;
        let kept = shown.map_or_else(|| Kept::Answer(kept(&reply)), Kept::Token);
        let decision = self.ticket.keep(cx, decision, kept)?;
        Ok(decision.with(Came::Said(reply)))
    }
}

/// An answer as it is kept; a change answers with JSON or nothing, and never with a stream.
fn kept(reply: &Reply) -> KeptAnswer {
    let body = match &reply.body {
        Body::Full(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Full(None) | Body::Stream(_) => String::new(),
    };
    KeptAnswer {
        status: reply.status(),
        etag: reply.etag.clone(),
        body,
    }
}

fn said_again(kept: KeptAnswer) -> Reply {
    let mut reply = Reply::empty(kept.status);
    reply.etag = kept.etag;
    reply.body = Body::full(kept.body.into());
    reply.repeats = true;
    reply
}

fn shown_once(id: TokenId) -> Refusal {
    let sentence = format!(
        "this request made the token {id}, which was shown once and is kept nowhere: revoke it, and make another with a fresh Idempotency-Key"
    );
    Refusal::Conflict("token-shown", sentence)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a header");
            headers.append(IDEMPOTENCY_KEY, value);
        }
        key(&headers)
    }

    #[test]
    fn a_key_has_one_spelling_bare_or_quoted() {
        assert_eq!(read(&[]), Ok(None));
        let longest = "x".repeat(128);
        for good in [
            "a",
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
            "!#$%&'()*+,-./:;<=>?@[]^_`{|}~",
            &longest,
        ] {
            assert_eq!(read(&[good.as_bytes()]), Ok(Some(good.to_owned())));
            let quoted = format!("\"{good}\"");
            assert_eq!(read(&[quoted.as_bytes()]), Ok(Some(good.to_owned())));
        }
        let long = "x".repeat(129);
        for bad in [
            "", "\"\"", "\"", "\"a", "a\"", "\"a\"b\"", "a b", "a\\b", "a\tb", "\u{e9}", &long,
        ] {
            let Err(Refusal::Malformed(why)) = read(&[bad.as_bytes()]) else {
                panic!("{bad} is a key");
            };
            assert_eq!(why, MALFORMED);
        }
        assert!(read(&[b"a", b"a"]).is_err());
    }
}
