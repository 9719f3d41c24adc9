//! A token endpoint of the bench's own, in plain HTTP on loopback: it rotates refresh tokens, and counts who comes when.
//! It looks at the refresh token and at nothing else: what is measured is Coffer, not the provider.
//!
//! Invariant: a refresh token is good once; one that is shown again is counted, and gives nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::failure::{Context, Result};
use crate::world::value;

/// What every grant is good for.
const SCOPE: &str = "files.read files.write";

/// How long access tokens live that are given from now on.
#[derive(Clone, Copy, Debug)]
pub enum Life {
    /// So long.
    For(Duration),
    /// All until this instant, whenever they are given; those of a later refresh live for [`LONG_LIFE`].
    FirstUntil(Instant),
}

/// Longer than any run.
pub const LONG_LIFE: Duration = Duration::from_secs(86_400);

/// See the module. It ends when this is dropped.
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Mutex<Issued>>,
    listening: JoinHandle<()>,
}

/// What was given to whom.
struct Issued {
    life: Life,
    /// How often each grant was refreshed.
    refreshed: Vec<u32>,
    /// When grants were refreshed for the second time and later.
    again: Vec<Instant>,
    refused: u64,
    rng: SmallRng,
}

/// What came of some grants.
pub struct Outcome {
    /// When each was refreshed after its import, in order.
    pub at: Vec<Instant>,
    /// Grants that were not refreshed exactly once after their import.
    pub not_once: u64,
    /// Refresh tokens that were not good, or not any more.
    pub refused: u64,
}

impl Provider {
    /// Listens on a port of its own.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("the provider's port")?;
        let address = listener.local_addr().context("the provider's port")?;
        let shared = Arc::new(Mutex::new(Issued {
            life: Life::For(LONG_LIFE),
            refreshed: Vec::new(),
            again: Vec::new(),
            refused: 0,
            rng: rand::make_rng(),
        }));
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            listening,
        })
    }

    /// What `outbound.allow` has to name.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How long access tokens live from now on.
    pub fn set_life(&self, life: Life) {
        lock(&self.shared).life = life;
    }

    /// A new grant, as the body of its import.
    pub fn grant(&self) -> Bytes {
        let mut issued = lock(&self.shared);
        let grant = issued.refreshed.len();
        issued.refreshed.push(0);
        let import = json!({
            "token_url": format!("{}/token", self.origin()),
            "client_id": "bench",
            "client_secret": "bench-0123456789-0123456789",
            "refresh_token": refresh_token(grant, 0),
        });
        import.to_string().into()
    }

    /// How many grants there are.
    pub fn grants(&self) -> usize {
        lock(&self.shared).refreshed.len()
    }

    /// How many refreshes there were beyond those of imports.
    pub fn refreshes(&self) -> usize {
        lock(&self.shared).again.len()
    }

    /// What came of the grants from the `first` on.
    pub fn outcome(&self, first: usize) -> Outcome {
        let issued = lock(&self.shared);
        let others = issued.refreshed[..first].iter();
        let others = others.filter(|refreshed| **refreshed != 1).count();
        let not_twice = issued.refreshed[first..].iter();
        let not_twice = not_twice.filter(|refreshed| **refreshed != 2).count();
        Outcome {
            at: issued.again.clone(),
            not_once: (others + not_twice) as u64,
            refused: issued.refused,
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Mutex<Issued>>) {
    // A listener on loopback that fails has no more to listen for: the refreshes fail, and say so.
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&shared, request));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    shared: &Mutex<Issued>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let form = request.into_body().collect().await;
    let form = form.map(|form| form.to_bytes()).unwrap_or_default();
    let (status, body) = lock(shared).refresh(&String::from_utf8_lossy(&form));
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

impl Issued {
    fn refresh(&mut self, form: &str) -> (StatusCode, Value) {
        let shown = form
            .split('&')
            .find_map(|pair| pair.strip_prefix("refresh_token="));
        let Some((grant, turn)) = shown.and_then(|shown| self.living(shown)) else {
            self.refused += 1;
            return (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
        };
        let now = Instant::now();
        let life = match self.life {
            Life::For(life) => life,
            Life::FirstUntil(end) if turn == 0 => end.saturating_duration_since(now),
            Life::FirstUntil(_) => LONG_LIFE,
        };
        if turn > 0 {
            self.again.push(now);
        }
        self.refreshed[grant] = turn + 1;
        let body = json!({
            "access_token": value(&mut self.rng),
            "token_type": "Bearer",
            "expires_in": life.as_secs(),
            "refresh_token": refresh_token(grant, turn + 1),
            "scope": SCOPE,
        });
        (StatusCode::OK, body)
    }

    /// The grant that a refresh token is of and how often it was refreshed, if the token is its newest.
    fn living(&self, shown: &str) -> Option<(usize, u32)> {
        let (grant, turn) = shown.split_once('.')?;
        let (grant, turn) = (grant.parse().ok()?, turn.get(..TURN_DIGITS)?.parse().ok()?);
        (self.refreshed.get(grant) == Some(&turn)).then_some((grant, turn))
    }
}

const TURN_DIGITS: usize = 4;

/// About as long as one of a provider's; it is not secret, and holds nothing that a form escapes.
fn refresh_token(grant: usize, turn: u32) -> String {
    format!("{grant:08}.{turn:04}{}", "r".repeat(64))
}

fn lock(shared: &Mutex<Issued>) -> MutexGuard<'_, Issued> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refresh_token_is_good_once() {
        let provider = Provider::start().await.expect("a port");
        let form = |turn| {
            format!(
                "grant_type=refresh_token&refresh_token={}",
                refresh_token(1, turn)
            )
        };
        let ask = |turn| lock(&provider.shared).refresh(&form(turn)).0;
        assert_eq!(ask(0), StatusCode::BAD_REQUEST);
        provider.grant();
        provider.grant();
        let asked = [0, 0, 1, 2].map(ask);
        let good = StatusCode::OK;
        assert_eq!(asked, [good, StatusCode::BAD_REQUEST, good, good]);
        let outcome = provider.outcome(1);
        // The first was never imported, and the second was refreshed twice since.
        assert_eq!(
            (outcome.at.len(), outcome.not_once, outcome.refused),
            (2, 2, 2)
        );
    }
}
