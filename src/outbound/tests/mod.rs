//! Stories of calls over real sockets on this machine: what is called, what is refused, what an answer means.

mod classes;
mod limits;
mod refusals;
mod sent;
mod tls;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::*;
use crate::model::{LifetimeSource, RefusedClass, Ttl};

/// An endpoint that gives every caller the same answer, counts them and keeps what the last one said.
struct Endpoint {
    address: SocketAddr,
    hits: Arc<AtomicUsize>,
    heard: Arc<Mutex<String>>,
}

/// What an endpoint does when a request has come.
#[derive(Clone)]
enum Then {
    /// Answers and closes.
    Say(Vec<u8>),
    /// Closes without a word.
    Close,
    /// Says this, which may be nothing, and then neither goes on nor closes.
    Stall(Vec<u8>),
}

impl Endpoint {
    async fn at(address: &str, then: Then) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let endpoint = Self {
            address: listener.local_addr().expect("an address"),
            hits: Arc::default(),
            heard: Arc::default(),
        };
        let (hits, heard) = (Arc::clone(&endpoint.hits), Arc::clone(&endpoint.heard));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                hits.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, then.clone(), Arc::clone(&heard)));
            }
        });
        endpoint
    }

    async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        Self::at("127.0.0.1:0", Then::Say(answer.into())).await
    }

    fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn heard(&self) -> String {
        self.heard.lock().expect("no test panics in here").clone()
    }
}

/// Hears one request to its end, then does as it was told.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    then: Then,
    heard: Arc<Mutex<String>>,
) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !is_whole(&text) {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            _ => return,
        }
    }
    *heard.lock().expect("no test panics in here") = text;
    match then {
        Then::Say(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
        Then::Close => {}
        Then::Stall(begun) => {
            let _ = stream.write_all(&begun).await;
            std::future::pending().await
        }
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.parse() == Ok(body.len()))
}

/// An answer with a body.
fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

const TOKENS: &str = r#"{"access_token":"at-1","refresh_token":"rt-2","token_type":"bearer","scope":"a b","expires_in":3600}"#;

/// What may be called besides the public internet.
fn rules(allow: &[&str]) -> config::Outbound {
    let allow = allow.iter().map(|text| text.parse().expect("an exception"));
    config::Outbound {
        allow: allow.collect(),
        ..config::Outbound::default()
    }
}

/// An outbound whose names are where these answers say, one after the other.
fn resolving(allow: &[&str], answers: &[&[SocketAddr]]) -> Outbound {
    let answers = answers.iter().map(|answer| answer.to_vec()).collect();
    let resolver = Resolver::Given(Mutex::new(answers));
    Outbound::with(&rules(allow), resolver, Limits::STANDING).expect("an outbound")
}

/// How many answers were not asked for.
fn answers_left(outbound: &Outbound) -> usize {
    match &outbound.0.resolver {
        Resolver::Given(answers) => answers.lock().expect("no test panics in here").len(),
        Resolver::System => unreachable!("tests give answers"),
    }
}

fn outbound(allow: &[&str]) -> Outbound {
    resolving(allow, &[])
}

fn value(text: &str) -> Value {
    Value::text(Zeroizing::new(text.to_owned()))
}

/// Refreshes as the client `coffer`, with Basic.
async fn refresh(outbound: &Outbound, url: &str) -> Exchange {
    refresh_by(outbound, url, Instant::now() + Duration::from_secs(30)).await
}

async fn refresh_by(outbound: &Outbound, url: &str, send_by: Instant) -> Exchange {
    let (token, secret) = (value("rt-1"), value("the secret"));
    let url = url.parse().expect("a URL");
    let request = RefreshRequest {
        url: &url,
        auth: ClientAuth::Basic,
        client_id: "coffer",
        client_secret: Some(&secret),
        refresh_token: &token,
        scope: None,
        now: Timestamp::from_micros(0),
        send_by,
    };
    outbound.exchange(request).await
}

/// An outcome in a few words, for comparison.
fn said(exchange: &Exchange) -> String {
    match exchange {
        Exchange::Tokens(answer) => {
            let of = |value: &Value| String::from_utf8_lossy(value.expose()).into_owned();
            let refresh = answer.refresh_token.as_ref().map_or("-".to_owned(), of);
            format!("tokens {} {refresh}", of(&answer.access_token))
        }
        Exchange::Refused { class, code } => format!("refused {class:?} {code}"),
        Exchange::NotSent { why } => format!("not sent: {why}"),
        Exchange::Busy { why, .. } => format!("busy: {why}"),
        Exchange::Doubtful { why } => format!("doubtful: {why}"),
    }
}
