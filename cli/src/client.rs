//! One server, over HTTPS, with the token and the certificate authority that the environment names.
//! Reads and writes part here: reads may go out several at a time, a write goes out by itself, under a key of its own.
//!
//! Invariant: every wait has an end and every body a bound, except an export's, which must only keep moving.

use crate::failure::Failure;
use crate::repeats::{Repeats, fresh_key};
use crate::routes::Route;
use crate::settings;
use crate::wire::{self, Reply, Wire};
use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// For work that waits for a provider's answer too, a minute at most.
const OUTSIDE_REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// For work that grows with an environment, such as a rewrap.
const LONG_REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
/// How long is waited between two looks at how far such work has come, and for each of them.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Reads under way at a time.
const READS_MAX: usize = 8;

/// A connection to one server.
pub struct Client {
    runtime: Runtime,
    wire: Wire,
}

impl Client {
    /// As `COFFER_ADDR`, `COFFER_TOKEN` and `COFFER_CACERT` say; without a token, exit code 3.
    pub fn from_environment() -> Result<Self, Failure> {
        let client = Self::maybe_with_token()?;
        if client.has_token() {
            Ok(client)
        } else {
            Err(settings::no_token())
        }
    }

    /// The same without the need for a token.
    pub fn maybe_with_token() -> Result<Self, Failure> {
        Self::new(settings::token()?.as_deref().map(String::as_str))
    }

    /// With this token instead of the environment's.
    pub fn with_token(token: &str) -> Result<Self, Failure> {
        Self::new(Some(token))
    }

    fn new(token: Option<&str>) -> Result<Self, Failure> {
        let address = settings::address()?;
        let bearer = token.map(settings::bearer).transpose()?;
        let http = settings::http()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| {
            Failure::failed(format!("No request can be made ({}).", error.kind()))
        })?;
        Ok(Self {
            runtime,
            wire: Wire {
                http,
                address,
                bearer,
            },
        })
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.wire.bearer.is_some()
    }

    /// The address, as in messages.
    pub fn address(&self) -> &str {
        &self.wire.address
    }

    /// `GET`.
    pub fn get(&self, route: &Route) -> Result<Reply, Failure> {
        self.runtime.block_on(
            self.wire
                .exchange(Method::GET, route, None, REQUEST_TIMEOUT),
        )
    }

    /// `GET` of many, some at a time, answered in their order.
    pub fn get_all(&self, routes: Vec<Route>) -> Result<Vec<Reply>, Failure> {
        self.runtime.block_on(async {
            let mut replies: Vec<Option<Reply>> = routes.iter().map(|_| None).collect();
            let mut waiting = routes.into_iter().enumerate();
            let mut under_way = JoinSet::new();
            loop {
                while under_way.len() < READS_MAX
                    && let Some((index, route)) = waiting.next()
                {
                    let wire = self.wire.clone();
                    under_way.spawn(async move {
                        (
                            index,
                            wire.exchange(Method::GET, &route, None, REQUEST_TIMEOUT)
                                .await,
                        )
                    });
                }
                match under_way.join_next().await {
                    Some(Ok((index, reply))) => replies[index] = Some(reply?),
                    Some(Err(_)) => {
                        return Err(Failure::failed(
                            "A request ended early: this is a mistake in coffer.",
                        ));
                    }
                    None => return Ok(replies.into_iter().flatten().collect()),
                }
            }
        })
    }

    /// A write: done once, however often it has to be sent.
    pub fn send(
        &self,
        method: Method,
        route: &Route,
        body: Option<&impl Serialize>,
    ) -> Result<Reply, Failure> {
        self.send_within(REQUEST_TIMEOUT, method, route, body)
    }

    /// A write that may take minutes.
    pub fn send_long(
        &self,
        method: Method,
        route: &Route,
        body: Option<&impl Serialize>,
    ) -> Result<Reply, Failure> {
        self.send_within(LONG_REQUEST_TIMEOUT, method, route, body)
    }

    /// The same, and meanwhile this is read every second and shown; what cannot be read is not shown.
    pub fn send_watched(
        &self,
        method: Method,
        route: &Route,
        watched: &Route,
        mut show: impl FnMut(&Reply),
    ) -> Result<Reply, Failure> {
        let wire = &self.wire;
        self.runtime.block_on(async {
            let sent = self.write(LONG_REQUEST_TIMEOUT, method, route, None);
            let mut sent = std::pin::pin!(sent);
            loop {
                if let Ok(reply) = tokio::time::timeout(WATCH_EVERY, &mut sent).await {
                    return reply;
                }
                let looked = wire.exchange(Method::GET, watched, None, WATCH_EVERY);
                if let Ok(reply) = looked.await {
                    show(&reply);
                }
            }
        })
    }

    /// A write that the server makes a call of its own for, and answers after that.
    pub fn send_outside(
        &self,
        method: Method,
        route: &Route,
        body: Option<&impl Serialize>,
    ) -> Result<Reply, Failure> {
        self.send_within(OUTSIDE_REQUEST_TIMEOUT, method, route, body)
    }

    fn send_within(
        &self,
        timeout: Duration,
        method: Method,
        route: &Route,
        body: Option<&impl Serialize>,
    ) -> Result<Reply, Failure> {
        let body = body.map(json).transpose()?;
        self.runtime
            .block_on(self.write(timeout, method, route, body))
    }

    /// Sends a write until there is an answer, or no hope of one. Each try has the same key.
    async fn write(
        &self,
        timeout: Duration,
        method: Method,
        route: &Route,
        body: Option<Bytes>,
    ) -> Result<Reply, Failure> {
        let key = fresh_key()?;
        let write = wire::Write { body, key };
        let mut repeats = Repeats::default();
        loop {
            let (method, write) = (method.clone(), Some(write.clone()));
            match self.wire.exchange(method, route, write, timeout).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => repeats.pause(failure).await?,
            }
        }
    }

    /// `GET` of a body without a bound, passed on as it comes.
    pub fn stream(
        &self,
        route: &Route,
        mut pass: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let mut answer = self.wire.request(Method::GET, route, None, None).await?;
            while let Some(chunk) = answer.chunk().await? {
                pass(&chunk)?;
            }
            Ok(())
        })
    }
}

/// The body in a buffer that is wiped when the request has left.
fn json(body: &impl Serialize) -> Result<Bytes, Failure> {
    let wrong =
        |_| Failure::failed("The request cannot be written down: this is a mistake in coffer.");
    let mut count = Counter(0);
    serde_json::to_writer(&mut count, body).map_err(wrong)?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(count.0));
    serde_json::to_writer(&mut *buffer, body).map_err(wrong)?;
    Ok(Bytes::from_owner(buffer))
}

/// Measures, so that the buffer for the real thing need not grow and leave copies.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
