//! The only place that calls out: one HTTPS client that no URL can turn against its own network, and OAuth's refresh on it.
//! A call is one connection to a checked address: no pool, no proxy, no redirect, no second try; limits on time and size.
//! hyper's and rustls' own buffers cannot be wiped; those that are ours are.
//!
//! Invariant: an outcome is `NotSent` only if no byte of the request can have left.

mod answer;
mod fields;
mod form;
mod lifetime;
mod reach;
mod resolve;
mod rules;
#[cfg(test)]
mod tests;
mod trust;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

#[cfg(any(test, fuzzing))]
pub(crate) use answer::fuzzing;

use answer::Answer;
use reach::{Reach, Watched};
use resolve::Resolver;

use crate::config;
use crate::fault;
use crate::model::{ClientAuth, Exchange, Timestamp, TokenUrl, Value};

/// The head of an answer, in bytes: one that is not whole by then is refused.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Header fields of an answer, at most.
const HEADERS_MAX: usize = 100;
/// Of a sentence that says why, what is told of the cause: the frame around it has fewer than 50 bytes.
const CLAUSE_BYTES_MAX: usize = 150;

const NOT_ASKED: &str = "The token endpoint was not asked";

const _: () = assert!(CLAUSE_BYTES_MAX + 50 <= Exchange::WHY_BYTES_MAX);

/// What calls out. It is cheap to clone.
#[derive(Clone)]
pub struct Outbound(Arc<Reach>);

/// One refresh (RFC 6749, 6).
pub struct RefreshRequest<'a> {
    /// The token endpoint.
    pub url: &'a TokenUrl,
    /// How the client proves who it is.
    pub auth: ClientAuth,
    /// The client.
    pub client_id: &'a str,
    /// Its secret; a public client has none.
    pub client_secret: Option<&'a Value>,
    /// What is shown.
    pub refresh_token: &'a Value,
    /// What is asked for, separated by spaces; without it, what was granted before.
    pub scope: Option<&'a str>,
    /// The wall clock when it is sent: only what turns an instant in the answer into a lifetime.
    pub now: Timestamp,
    /// From here on no first byte leaves: a process that stood still on the way does not send.
    pub send_by: Instant,
}

/// How long each step of a call may take, and how much may come back.
#[derive(Clone, Copy)]
struct Limits {
    look_up: Duration,
    /// All addresses together.
    connect: Duration,
    handshake: Duration,
    /// Everything, from the look-up to the last byte of the answer.
    call: Duration,
    body_bytes: usize,
}

impl Outbound {
    /// Reads whom to trust; the machine's own authorities may be none, which only a call over TLS then says.
    ///
    /// # Errors
    /// One sentence: `outbound.ca_file` cannot be read or holds no certificate.
    pub fn new(rules: &config::Outbound) -> Result<Self, String> {
        Self::with(rules, Resolver::System, Limits::STANDING)
    }

    fn with(rules: &config::Outbound, resolver: Resolver, limits: Limits) -> Result<Self, String> {
        Ok(Self(Arc::new(Reach {
            tls: trust::connector(rules.ca_file.as_deref())?,
            rules: rules.clone(),
            resolver,
            limits,
        })))
    }

    /// Exchanges a refresh token once; whether to try again is the caller's to say, by the outcome.
    /// Dropped half-way it may have been sent: who must know the outcome lets it run to its end.
    pub async fn exchange(&self, request: RefreshRequest<'_>) -> Exchange {
        let sent = Arc::new(AtomicBool::new(false));
        let call = self.call(&request, Arc::clone(&sent));
        // A call that is out of time is dropped here with its connection: nothing is sent once `sent` is looked at.
        let called = tokio::time::timeout(self.0.limits.call, call)
            .await
            .unwrap_or_else(|_| Err("it took too long".to_owned()));
        match called {
            Ok(answer) => {
                fault::pause("answered").await;
                answer.outcome(&request)
            }
            Err(why) if sent.load(Ordering::SeqCst) => Exchange::Doubtful {
                why: sentence("The answer of the token endpoint is lost", &why),
            },
            Err(_) if request.send_by <= Instant::now() => Exchange::NotSent {
                why: sentence(
                    NOT_ASKED,
                    "the server stood still, or its way there was too long",
                ),
            },
            Err(why) => Exchange::NotSent {
                why: sentence(NOT_ASKED, &why),
            },
        }
    }

    async fn call(
        &self,
        request: &RefreshRequest<'_>,
        sent: Arc<AtomicBool>,
    ) -> Result<Answer, String> {
        let form = form::request(request)?;
        let stream = self.0.connect(request.url).await?;
        fault::pause("connected").await;
        let stream = Watched::new(stream, sent, request.send_by);
        ask(stream, form, self.0.limits.body_bytes).await
    }
}

/// One request and its answer. The connection is driven here and by no task of its own, so that it ends when this is dropped.
async fn ask(
    stream: Watched,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> Result<Answer, String> {
    let made = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = made.await.map_err(lost)?;
    let mut conversation = pin!(async move {
        let response = sender.send_request(request).await.map_err(lost)?;
        Answer::receive(response, body_bytes_max).await
    });
    tokio::select! {
        biased;
        answer = &mut conversation => answer,
        // It may end before the answer is taken out of it; an error of its own reaches the conversation as well.
        _ = connection => conversation.await,
    }
}

/// What hyper met, in our words: its own may quote what came.
fn lost(error: hyper::Error) -> String {
    let what = if error.is_parse() || error.is_parse_too_large() {
        "what came is not HTTP, or its head is too long"
    } else if error.is_incomplete_message() {
        "the connection was closed too early"
    } else {
        "the connection broke"
    };
    what.to_owned()
}

/// One sentence of printable ASCII, within [`Exchange::WHY_BYTES_MAX`].
fn sentence(what: &str, clause: &str) -> String {
    let printable = |sign: char| match sign {
        ' '..='~' => sign,
        _ => '?',
    };
    let clause = clause.chars().take(CLAUSE_BYTES_MAX).map(printable);
    format!("{what}: {}.", clause.collect::<String>())
}
