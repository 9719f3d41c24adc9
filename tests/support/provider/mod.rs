//! A provider of OAuth grants that is as strict as the strictest: a token endpoint over plain HTTP on loopback.
//! Every refresh token is spent by its first use; one that is shown again ends its grant, access tokens included.
//!
//! Invariant: what a call does is done once it has begun, whether or not its caller waits for the answer.

pub mod asking;
mod faults;
mod issuer;
mod listener;
mod tests;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use coffer::clock::Clock;
use coffer::model::{Timestamp, Ttl};
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::PATIENCE;
pub use faults::{Fault, Held};
use faults::{Faults, Met};
use issuer::{Issued, Issuer, Refusal, Tokens};
pub use issuer::{Proof, SCOPE};
use listener::Listener;

/// How long an access token lives unless a test says otherwise.
pub const LIFETIME: Ttl = Ttl::seconds(3600);

/// A running provider; it ends with the runtime of its test. It is cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Shared>);

struct Shared {
    listener: Listener,
    issuer: Mutex<Issuer>,
    faults: Faults,
    lifetime: Mutex<Ttl>,
    clock: Clock,
    /// Microseconds by which its clock is ahead.
    ahead_us: AtomicI64,
    asked: watch::Sender<u64>,
}

/// A grant as its user's application has it, ready to be imported.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The token endpoint.
    pub token_url: String,
    /// The client.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<String>,
    /// How it proves who it is.
    pub proof: Proof,
    /// The first refresh token.
    pub refresh_token: String,
}

impl Grant {
    /// The body that imports it.
    pub fn import(&self) -> Value {
        let auth = match self.proof {
            Proof::Basic => "basic",
            Proof::Post | Proof::Public => "post",
        };
        let mut body = json!({ "token_url": self.token_url, "client_id": self.client_id, "refresh_token": self.refresh_token, "auth": auth });
        if let Some(secret) = &self.client_secret {
            body["client_secret"] = json!(secret);
        }
        body
    }
}

impl Provider {
    /// Listens on a port of its own.
    pub async fn start() -> Self {
        let provider = Self(Arc::new(Shared {
            listener: Listener::reserve(),
            issuer: Mutex::default(),
            faults: Faults::default(),
            lifetime: Mutex::new(LIFETIME),
            clock: Clock::new(),
            ahead_us: AtomicI64::new(0),
            asked: watch::Sender::new(0),
        }));
        provider.open().await;
        provider
    }

    /// The token endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.0.listener.address())
    }

    /// A new grant, for a client of its own that proves itself by Basic.
    pub fn grant(&self) -> Grant {
        self.grant_to(Proof::Basic)
    }

    /// A new grant, for a client of its own.
    pub fn grant_to(&self, proof: Proof) -> Grant {
        let Issued {
            client_id,
            client_secret,
            refresh_token,
        } = self.issuer().issue(proof);
        Grant {
            token_url: self.url(),
            client_id,
            client_secret,
            proof,
            refresh_token,
        }
    }

    /// The next calls, so many, meet this fault, after those that were armed before.
    pub fn arm(&self, fault: Fault, calls: usize) {
        self.0.faults.arm(&Met::Fault(fault), calls);
    }

    /// The next calls, so many, wait before they are carried out.
    pub fn hold(&self, calls: usize) -> Held {
        let held = Held::new();
        self.0.faults.arm(&held.met(), calls);
        held
    }

    /// No fault that is still armed is met.
    pub fn disarm(&self) {
        self.0.faults.clear();
    }

    /// How long access tokens live from now on.
    pub fn set_lifetime(&self, lifetime: Ttl) {
        *self.0.lifetime.lock().expect("no panic under the lock") = lifetime;
    }

    /// Moves its clock on.
    pub fn advance(&self, span: Ttl) {
        self.0.ahead_us.fetch_add(span.micros(), Ordering::SeqCst);
    }

    /// Moves its clock to this span after the machine's.
    pub fn set_clock(&self, ahead: Ttl) {
        self.0.ahead_us.store(ahead.micros(), Ordering::SeqCst);
    }

    /// Whether an access token may be used: it was given, has not run out, and its grant lives.
    pub fn accepts(&self, access_token: &str) -> bool {
        let now = self.now();
        self.issuer().accepts(access_token, now)
    }

    /// Whether a grant has not ended: its next refresh will be accepted.
    pub fn lives(&self, grant: &Grant) -> bool {
        self.issuer().lives(&grant.client_id)
    }

    /// Ends a grant, as its user does.
    pub fn revoke(&self, grant: &Grant) {
        self.issuer().end(&grant.client_id);
    }

    /// Accepted refreshes.
    pub fn refreshes(&self) -> u64 {
        self.issuer().refreshes()
    }

    /// How often a spent refresh token was shown.
    pub fn reuses(&self) -> u64 {
        self.issuer().reuses()
    }

    /// All calls, whatever became of them.
    pub fn asked(&self) -> u64 {
        *self.0.asked.borrow()
    }

    /// Waits until there were so many calls.
    pub async fn until_asked(&self, calls: u64) {
        let mut asked = self.0.asked.subscribe();
        let all = asked.wait_for(|now| *now >= calls);
        let all = tokio::time::timeout(PATIENCE, all).await;
        all.expect("the provider is asked").expect("it runs");
    }

    /// Every token and every client's secret that it ever gave: none of them belongs in a record or a log.
    pub fn secrets(&self) -> Vec<String> {
        self.issuer().secrets()
    }

    /// Refuses connections from now on; the port stays its own.
    pub async fn close(&self) {
        self.0.listener.close().await;
    }

    /// Takes connections again.
    pub async fn open(&self) {
        self.0.listener.open(self).await;
    }

    fn now(&self) -> Timestamp {
        let ahead = self.0.ahead_us.load(Ordering::SeqCst);
        let now = self.0.clock.now().micros();
        Timestamp::from_micros(now.saturating_add(ahead))
    }

    fn issuer(&self) -> MutexGuard<'_, Issuer> {
        self.0.issuer.lock().expect("no panic under the lock")
    }

    /// What a call is answered; nothing when its connection is closed instead.
    async fn answer(self, call: Call) -> Option<Response<Full<Bytes>>> {
        self.0.asked.send_modify(|asked| *asked += 1);
        let fault = match self.0.faults.take() {
            Some(Met::Hold(hold)) => {
                hold.pass().await;
                None
            }
            Some(Met::Fault(fault)) => Some(fault),
            None => None,
        };
        match fault {
            Some(Fault::DropBefore) => None,
            Some(Fault::Unavailable) => Some(text(StatusCode::SERVICE_UNAVAILABLE, "later")),
            Some(Fault::TooMany(seconds)) => {
                let mut answer = text(StatusCode::TOO_MANY_REQUESTS, "too many");
                answer.headers_mut().insert("retry-after", seconds.into());
                Some(answer)
            }
            Some(Fault::Html) => Some(text(StatusCode::OK, "<html>Sign in to the network</html>")),
            Some(Fault::InvalidClient) => Some(refused(Refusal::InvalidClient, &call)),
            Some(Fault::InvalidGrant) => Some(refused(Refusal::InvalidGrant, &call)),
            fault => {
                let answer = self.refresh(&call, fault);
                (fault != Some(Fault::DropAfter)).then_some(answer)
            }
        }
    }

    fn refresh(&self, call: &Call, fault: Option<Fault>) -> Response<Full<Bytes>> {
        if !call.is_form {
            return refused(Refusal::InvalidRequest, call);
        }
        let lifetime = *self.0.lifetime.lock().expect("no panic under the lock");
        let times = (self.now(), lifetime);
        let rotates = fault != Some(Fault::NoRefreshToken);
        let authorization = call.authorization.as_deref();
        let tokens = { self.issuer() }.refresh(authorization, &call.form, times, rotates);
        match tokens {
            Ok(tokens) => {
                let lifetime = (fault != Some(Fault::NoExpiresIn)).then_some(lifetime);
                given(tokens, lifetime)
            }
            Err(refusal) => refused(refusal, call),
        }
    }
}

/// A call as far as the rules look at it.
struct Call {
    /// A POST of a form to the endpoint, without a query.
    is_form: bool,
    authorization: Option<String>,
    form: Bytes,
}

fn given(tokens: Tokens, lifetime: Option<Ttl>) -> Response<Full<Bytes>> {
    let mut body = json!({ "access_token": tokens.access_token, "token_type": "Bearer", "scope": tokens.scope });
    if let Some(lifetime) = lifetime {
        body["expires_in"] = json!(lifetime.as_seconds());
    }
    if let Some(token) = tokens.refresh_token {
        body["refresh_token"] = json!(token);
    }
    with_json(StatusCode::OK, &body)
}

/// A refusal that repeats what it was shown, as careless providers do.
fn refused(refusal: Refusal, call: &Call) -> Response<Full<Bytes>> {
    let shown = String::from_utf8_lossy(&call.form);
    let body = json!({ "error": refusal.code(), "error_description": format!("not for {shown}") });
    match refusal {
        Refusal::InvalidClient => {
            let mut answer = with_json(StatusCode::UNAUTHORIZED, &body);
            let scheme = "Basic realm=\"provider\"".parse().expect("a header");
            answer.headers_mut().insert("www-authenticate", scheme);
            answer
        }
        _ => with_json(StatusCode::BAD_REQUEST, &body),
    }
}

fn with_json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = text(status, &body.to_string());
    let headers = answer.headers_mut();
    headers.insert("content-type", "application/json".parse().expect("a type"));
    headers.insert("cache-control", "no-store".parse().expect("a directive"));
    answer
}

/// A page, as a gateway makes it.
fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", "text/html");
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    answer.body(body).expect("an answer")
}
